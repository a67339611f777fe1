//! Containers: a header and entries one after the other, as nvcc 11 to 13 write them.
//!
//! ```text
//! container  0 magic u32   4 version u16   6 header size u16   8 bytes of entries u64
//! entry      0 kind u16    2 version u16   4 header size u32   8 payload with padding u64
//!           16 compressed bytes u32 (0: not compressed)  20 options' offset u32  24 format's minor u16, major u16  28 architecture u32
//!           32 name's offset u32  36 name's length u32  40 flags u64  48 reserved u64  56 bytes when decompressed u64
//! ```

use std::borrow::Cow;

use crate::fatbin::ImageError;

/// First word of a container.
pub const CONTAINER_MAGIC: u32 = 0xba55_ed50;
/// Bytes of a container's header.
pub const HEADER: usize = 16;
/// Bytes of an entry's header that we read; the real one may be longer.
const ENTRY: usize = 64;

const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;
/// `sm_90a`: code for exactly this architecture.
const FLAG_ARCHITECTURE: u64 = 0x10_0000;
/// `sm_100f`: code for this architecture's family.
const FLAG_FAMILY: u64 = 0x20_0000;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text for the JIT compiler.
    Ptx,
    /// A cubin.
    Elf,
}

/// How an entry is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Lz4,
    Zstd,
}

/// How narrow the code's target is, the narrowest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Generic,
    Family,
    Exact,
}

/// An image that was chosen, still as it lies in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// What it is.
    pub kind: Kind,
    /// Architecture as the entry says (90 for `sm_90`), 0 for a bare image.
    pub architecture: u32,
    compression: Compression,
    /// Bytes when decompressed.
    size: usize,
    data: &'a [u8],
}

/// A copy of a [`Choice`] that needs nothing of the program's memory.
#[derive(Debug, Clone)]
pub struct Owned {
    kind: Kind,
    architecture: u32,
    compression: Compression,
    size: usize,
    data: Vec<u8>,
}

impl Owned {
    /// As it was.
    #[must_use]
    pub fn borrow(&self) -> Choice<'_> {
        Choice {
            kind: self.kind,
            architecture: self.architecture,
            compression: self.compression,
            size: self.size,
            data: &self.data,
        }
    }
}

impl<'a> Choice<'a> {
    /// A bare image.
    #[must_use]
    pub fn plain(kind: Kind, data: &'a [u8]) -> Self {
        Self {
            kind,
            architecture: 0,
            compression: Compression::None,
            size: data.len(),
            data,
        }
    }

    /// Copies the (compressed) bytes.
    #[must_use]
    pub fn to_owned(&self) -> Owned {
        Owned {
            kind: self.kind,
            architecture: self.architecture,
            compression: self.compression,
            size: self.size,
            data: self.data.to_vec(),
        }
    }

    /// Decompresses. PTX comes with exactly one NUL at its end, as the driver wants it.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if the compressed bytes are broken or not as long as the header says.
    pub fn extract(&self) -> Result<Cow<'a, [u8]>, ImageError> {
        let plain = match self.compression {
            Compression::None => Cow::Borrowed(self.data),
            Compression::Lz4 => Cow::Owned(lz4(self.data, self.size)?),
            Compression::Zstd => Cow::Owned(zstd(self.data, self.size)?),
        };
        Ok(match self.kind {
            Kind::Elf => plain,
            Kind::Ptx => {
                let end = plain
                    .iter()
                    .rposition(|b| *b != 0)
                    .map_or(0, |last| last + 1);
                match plain {
                    Cow::Borrowed(bytes) if bytes.len() > end => Cow::Borrowed(&bytes[..=end]),
                    other => {
                        let mut bytes = other.into_owned();
                        bytes.truncate(end);
                        bytes.push(0);
                        Cow::Owned(bytes)
                    }
                }
            }
        })
    }
}

/// No compressor makes more of a byte than this (zstd's blocks come closest): a header that claims more is not believed before memory is taken for it.
const MAX_RATIO: usize = 1 << 15;

fn room(data: &[u8], size: usize) -> Result<(), ImageError> {
    if size > data.len().saturating_mul(MAX_RATIO) {
        return Err(ImageError::Invalid);
    }
    Ok(())
}

fn lz4(data: &[u8], size: usize) -> Result<Vec<u8>, ImageError> {
    room(data, size)?;
    let mut out = vec![0; size];
    match lz4_flex::block::decompress_into(data, &mut out) {
        Ok(n) if n == size => Ok(out),
        _ => Err(ImageError::Invalid),
    }
}

fn zstd(data: &[u8], size: usize) -> Result<Vec<u8>, ImageError> {
    use std::io::Read;
    room(data, size)?;
    let decoder = ruzstd::decoding::StreamingDecoder::new(data).map_err(|_| ImageError::Invalid)?;
    let mut out = Vec::with_capacity(size);
    // One byte more than there should be shows that there is more.
    decoder
        .take(size as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|_| ImageError::Invalid)?;
    if out.len() == size {
        Ok(out)
    } else {
        Err(ImageError::Invalid)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Bytes of a container, header included, by its header.
#[must_use]
pub fn size(header: &[u8]) -> Option<u64> {
    let own = u16_at(header, 6)?;
    if u32_at(header, 0)? != CONTAINER_MAGIC || usize::from(own) < HEADER {
        return None;
    }
    u64_at(header, 8)?.checked_add(u64::from(own))
}

/// One entry.
struct Entry<'a> {
    choice: Choice<'a>,
    target: Target,
}

/// Reads the entry at the start of `rest`: `None` in the tuple if it is of a kind that we do not load (LTO intermediate code), and where the next one begins.
fn entry(rest: &[u8]) -> Option<(Option<Entry<'_>>, usize)> {
    let header = u32_at(rest, 4)? as usize;
    if header < ENTRY || rest.len() < ENTRY {
        return None;
    }
    let padded = usize::try_from(u64_at(rest, 8)?).ok()?;
    let next = header.checked_add(padded)?;
    let payload = rest.get(header..next)?;
    let kind = match u16_at(rest, 0)? {
        1 => Kind::Ptx,
        2 => Kind::Elf,
        _ => return Some((None, next)),
    };
    let flags = u64_at(rest, 40)?;
    let compression = if flags & FLAG_LZ4 != 0 {
        Compression::Lz4
    } else if flags & FLAG_ZSTD != 0 {
        Compression::Zstd
    } else {
        Compression::None
    };
    let (data, size) = match compression {
        Compression::None => (payload, payload.len()),
        _ => (
            payload.get(..u32_at(rest, 16)? as usize)?,
            usize::try_from(u64_at(rest, 56)?).ok()?,
        ),
    };
    let target = if flags & FLAG_ARCHITECTURE != 0 {
        Target::Exact
    } else if flags & FLAG_FAMILY != 0 {
        Target::Family
    } else {
        Target::Generic
    };
    let choice = Choice {
        kind,
        architecture: u32_at(rest, 28)?,
        compression,
        size,
        data,
    };
    Some((Some(Entry { choice, target }), next))
}

/// Whether code for an entry's architecture runs on a device.
fn fits(entry: &Entry<'_>, (major, minor): (u32, u32)) -> bool {
    let (its_major, its_minor) = (
        entry.choice.architecture / 10,
        entry.choice.architecture % 10,
    );
    let same_family = its_major == major && its_minor <= minor;
    match (entry.target, entry.choice.kind) {
        (Target::Exact, _) => (its_major, its_minor) == (major, minor),
        (Target::Family, _) | (Target::Generic, Kind::Elf) => same_family,
        (Target::Generic, Kind::Ptx) => (its_major, its_minor) <= (major, minor),
    }
}

/// The entry for a device: cubins before PTX, then the highest architecture, then the narrowest target; the first of equals.
///
/// # Errors
/// [`ImageError::NoBinary`] if none fits, [`ImageError::Invalid`] if the container is broken before an entry was found.
pub fn choose(
    container: &[u8],
    capability: (u32, u32),
    ptx_only: bool,
) -> Result<Choice<'_>, ImageError> {
    let whole = size(container).ok_or(ImageError::Invalid)?;
    let whole = usize::try_from(whole).map_err(|_| ImageError::Invalid)?;
    let start = usize::from(u16_at(container, 6).ok_or(ImageError::Invalid)?);
    let mut rest = container.get(start..whole).ok_or(ImageError::Invalid)?;
    let mut best: Option<Entry<'_>> = None;
    while !rest.is_empty() {
        let (found, next) = entry(rest).ok_or(ImageError::Invalid)?;
        if let Some(found) = found
            && fits(&found, capability)
            && !(ptx_only && found.choice.kind == Kind::Elf)
            && best.as_ref().is_none_or(|best| rank(&found) > rank(best))
        {
            best = Some(found);
        }
        rest = rest.get(next..).ok_or(ImageError::Invalid)?;
    }
    best.map(|best| best.choice).ok_or(ImageError::NoBinary)
}

/// What a container holds, in words, for one who finds nothing in it.
#[must_use]
pub fn contents(container: &[u8]) -> String {
    let (mut code, mut text) = (Vec::new(), Vec::new());
    let start = usize::from(u16_at(container, 6).unwrap_or(0));
    let mut rest = container.get(start..).unwrap_or_default();
    while let Some((found, next)) = entry(rest) {
        if let Some(Entry { choice, .. }) = found {
            let (list, name) = match choice.kind {
                Kind::Elf => (&mut code, "sm"),
                Kind::Ptx => (&mut text, "compute"),
            };
            let name = format!("{name}_{}", choice.architecture);
            if !list.contains(&name) {
                list.push(name);
            }
        }
        rest = rest.get(next..).unwrap_or_default();
    }
    let part = |what: &str, list: &[String]| match list {
        [] => format!("no {what}"),
        some => format!("{what} for {}", some.join(", ")),
    };
    format!("{}, {}", part("machine code", &code), part("PTX", &text))
}

fn rank(entry: &Entry<'_>) -> (bool, u32, Target) {
    (
        entry.choice.kind == Kind::Elf,
        entry.choice.architecture,
        entry.target,
    )
}
