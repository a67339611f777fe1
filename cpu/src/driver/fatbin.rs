//! What a module image is, and which PTX in it this device runs.
//!
//! A fat binary is a header (`magic u32, version u16, header size u16, size u64`) and entries, each with a header of its own: kind (1 PTX, 2 ELF), header size,
//! padded and exact payload size, architecture, flags that name the compression, and the size before compression.

use std::ffi::c_void;

use super::device::figures;
use super::error::{ERROR_INVALID_IMAGE, ERROR_INVALID_VALUE, ERROR_NO_BINARY_FOR_GPU, Result};
use super::ffi;

/// First word of a fat binary.
const FATBIN_MAGIC: u32 = 0xba55_ed50;
/// First word of the structure that points to one.
const WRAPPER_MAGIC: u32 = 0x4662_43b1;
const ELF_MAGIC: u32 = u32::from_le_bytes(*b"\x7fELF");
const KIND_PTX: u16 = 1;
const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;
/// Larger texts are not believed.
const MAX_SOURCE: usize = 1 << 30;

/// Finds the PTX text in an image of unknown length, as `cuModuleLoadData` takes it.
///
/// # Errors
/// `CUDA_ERROR_NO_BINARY_FOR_GPU` when there is only machine code or PTX for newer GPUs, `CUDA_ERROR_INVALID_IMAGE` when it is damaged.
pub(super) fn source_of_image(image: *const c_void) -> Result<String> {
    let magic = ffi::get(image.cast::<u32>())?;
    match magic {
        WRAPPER_MAGIC => {
            /// `{magic, version, data, …}`.
            #[repr(C)]
            #[derive(Clone, Copy)]
            struct Wrapper {
                magic: u32,
                version: u32,
                data: *const c_void,
            }
            let wrapper = ffi::get(image.cast::<Wrapper>())?;
            if wrapper.data.is_null() || ffi::get(wrapper.data.cast::<u32>())? == WRAPPER_MAGIC {
                return Err(ERROR_INVALID_IMAGE);
            }
            source_of_image(wrapper.data)
        }
        FATBIN_MAGIC => {
            let header = ffi::get_bytes(image.cast(), 16)?;
            let total = header_size(&header)?;
            source_of_fatbin(&ffi::get_bytes(image.cast(), total)?)
        }
        ELF_MAGIC => Err(ERROR_NO_BINARY_FOR_GPU),
        _ => text(ffi::get_string(image.cast())?),
    }
}

/// Finds the PTX text in an image of known length.
///
/// # Errors
/// As [`source_of_image`].
pub(super) fn source_of_bytes(bytes: &[u8]) -> Result<String> {
    match u32_at(bytes, 0) {
        Some(FATBIN_MAGIC) => source_of_fatbin(bytes),
        Some(ELF_MAGIC) => Err(ERROR_NO_BINARY_FOR_GPU),
        _ => {
            let end = bytes
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(bytes.len());
            text(String::from_utf8_lossy(&bytes[..end]).into_owned())
        }
    }
}

/// What is neither a fat binary nor machine code should be PTX, which is plain text.
fn text(source: String) -> Result<String> {
    if source
        .bytes()
        .all(|byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
        && !source.trim().is_empty()
    {
        Ok(source)
    } else {
        Err(ERROR_INVALID_IMAGE)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Header and payload of a fat binary, in bytes.
fn header_size(bytes: &[u8]) -> Result<usize> {
    let header = u64::from(u16_at(bytes, 6).ok_or(ERROR_INVALID_IMAGE)?);
    let payload = u64_at(bytes, 8).ok_or(ERROR_INVALID_IMAGE)?;
    let total = header.checked_add(payload).ok_or(ERROR_INVALID_IMAGE)?;
    usize::try_from(total)
        .ok()
        .filter(|total| *total >= 16 && *total <= MAX_SOURCE)
        .ok_or(ERROR_INVALID_IMAGE)
}

/// The PTX of the highest architecture that is not above this device's.
fn source_of_fatbin(bytes: &[u8]) -> Result<String> {
    let total = header_size(bytes)?;
    let bytes = bytes.get(..total).ok_or(ERROR_INVALID_IMAGE)?;
    let mut at = usize::from(u16_at(bytes, 6).ok_or(ERROR_INVALID_IMAGE)?);
    let own = (figures::COMPUTE_MAJOR * 10 + figures::COMPUTE_MINOR) as u32;
    let mut best: Option<(u32, &[u8], usize)> = None;
    while at < bytes.len() {
        let entry = &bytes[at..];
        let field = || -> Option<(u16, usize, usize, u32)> {
            let padded = usize::try_from(u64_at(entry, 8)?).ok()?;
            Some((
                u16_at(entry, 0)?,
                u32_at(entry, 4)? as usize,
                padded,
                u32_at(entry, 28)?,
            ))
        };
        let (kind, header, padded, architecture) = field().ok_or(ERROR_INVALID_IMAGE)?;
        if header < 64 {
            return Err(ERROR_INVALID_IMAGE);
        }
        let next = header
            .checked_add(padded)
            .and_then(|size| at.checked_add(size))
            .filter(|next| *next <= bytes.len())
            .ok_or(ERROR_INVALID_IMAGE)?;
        let better = best.is_none_or(|(found, ..)| architecture > found);
        if kind == KIND_PTX && architecture <= own && better {
            best = Some((architecture, entry, header));
        }
        at = next;
    }
    let (_, entry, header) = best.ok_or(ERROR_NO_BINARY_FOR_GPU)?;
    payload(entry, header)
}

/// A PTX entry's text, decompressed.
fn payload(entry: &[u8], header: usize) -> Result<String> {
    let fields = || -> Option<(u64, usize, usize, usize)> {
        let padded = usize::try_from(u64_at(entry, 8)?).ok()?;
        Some((
            u64_at(entry, 40)?,
            padded,
            u32_at(entry, 16)? as usize,
            usize::try_from(u64_at(entry, 56)?).ok()?,
        ))
    };
    let (flags, padded, exact, unpacked) = fields().ok_or(ERROR_INVALID_IMAGE)?;
    let padded = entry
        .get(header..header + padded)
        .ok_or(ERROR_INVALID_IMAGE)?;
    let packed = || padded.get(..exact).ok_or(ERROR_INVALID_IMAGE);
    if unpacked > MAX_SOURCE {
        return Err(ERROR_INVALID_IMAGE);
    }
    let bytes = if flags & FLAG_ZSTD != 0 {
        use std::io::Read;
        let mut decoder =
            ruzstd::decoding::StreamingDecoder::new(packed()?).map_err(|_| ERROR_INVALID_IMAGE)?;
        let mut out = Vec::new();
        decoder
            .by_ref()
            .take(unpacked as u64)
            .read_to_end(&mut out)
            .map_err(|_| ERROR_INVALID_IMAGE)?;
        out
    } else if flags & FLAG_LZ4 != 0 {
        lz4_flex::block::decompress(packed()?, unpacked).map_err(|_| ERROR_INVALID_IMAGE)?
    } else {
        padded.to_vec()
    };
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    if end == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    text(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fat binary with uncompressed PTX entries of the given architectures.
    fn fatbin(entries: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, architecture, payload) in entries {
            let mut header = vec![0_u8; 64];
            header[0..2].copy_from_slice(&kind.to_le_bytes());
            header[4..8].copy_from_slice(&64_u32.to_le_bytes());
            header[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
            header[28..32].copy_from_slice(&architecture.to_le_bytes());
            body.extend(header);
            body.extend_from_slice(payload);
        }
        let mut out = FATBIN_MAGIC.to_le_bytes().to_vec();
        out.extend(1_u16.to_le_bytes());
        out.extend(16_u16.to_le_bytes());
        out.extend((body.len() as u64).to_le_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn the_newest_ptx_that_the_device_can_run_is_chosen() {
        let image = fatbin(&[
            (1, 75, b"seven"),
            (2, 80, b"machine"),
            (1, 80, b"eight"),
            (1, 90, b"nine"),
        ]);
        assert_eq!(source_of_bytes(&image).unwrap(), "eight");
        assert_eq!(
            source_of_bytes(&fatbin(&[(1, 90, b"nine"), (2, 80, b"x")])),
            Err(ERROR_NO_BINARY_FOR_GPU)
        );
    }

    #[test]
    fn damage_is_an_error() {
        let image = fatbin(&[(1, 75, b"seven")]);
        for length in 4..image.len() {
            assert!(source_of_bytes(&image[..length]).is_err(), "{length}");
        }
        let mut endless = image.clone();
        endless[16 + 8..16 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(source_of_bytes(&endless), Err(ERROR_INVALID_IMAGE));
    }
}
