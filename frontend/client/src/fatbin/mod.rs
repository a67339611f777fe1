//! Images of device code as compilers embed them, and the choice of the one that fits a device.
//!
//! A *wrapper* (what `__cudaRegisterFatBinary` and `cuModuleLoadData` are handed) points to a *container*; a container is a header and entries, each a cubin (ELF) or PTX
//! for one architecture, plain or compressed ([`container`]). A program may also hand over a bare cubin or PTX text. All of it lies in the program's memory,
//! where nothing but the headers says how long it is.

pub mod container;
pub mod elf;
pub mod ptx;

use std::borrow::Cow;
use std::ffi::c_void;

use gvirtus_wire::api::types::{CUresult, error};

pub use container::{CONTAINER_MAGIC, Choice};

/// First word of a wrapper: then a version, the container's address, and (version 2) a list of further containers.
pub const WRAPPER_MAGIC: u32 = 0x4662_43b1;
/// The version of wrappers that nvcc's link step makes: behind the container's address follows that of a list of fat binaries, which ends in a null pointer.
const WRAPPER_OF_LINKED_CODE: u32 = 2;
/// A longer list is not believed.
const MAX_PARTS: usize = 1 << 16;
/// What `nvcc -fatbin` writes stays far below; beyond it a size is not believed.
const MAX_IMAGE: u64 = 4 << 30;

/// Why there is no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// The bytes are no image, or a broken one.
    Invalid,
    /// No entry fits the device.
    NoBinary,
}

impl ImageError {
    /// The CUDA status that says so.
    #[must_use]
    pub fn status(self) -> CUresult {
        match self {
            Self::Invalid => error::ERROR_INVALID_IMAGE,
            Self::NoBinary => error::ERROR_NO_BINARY_FOR_GPU,
        }
    }
}

/// What a program handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A container of images.
    Container(&'a [u8]),
    /// A container of images that the compiler linked, and what they were linked of: where none of them fits, that is to be linked.
    Linked(&'a [u8], Parts<'a>),
    /// One cubin.
    Elf(&'a [u8]),
    /// PTX text without its NUL.
    Ptx(&'a [u8]),
}

/// Containers of relocatable code, which together are a program: its own parts and what they need of libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a>(&'a [*const u8]);

impl<'a> Parts<'a> {
    /// # Safety
    /// A list of addresses of containers starts there and ends in a null pointer; all of it stays for `'a`.
    unsafe fn at(list: *const *const u8) -> Result<Self, ImageError> {
        let mut count = 0;
        // SAFETY: by this function's contract, each being read only if the one before it was not the last.
        while !unsafe { list.add(count).read() }.is_null() {
            count += 1;
            if count > MAX_PARTS {
                return Err(ImageError::Invalid);
            }
        }
        // SAFETY: as above.
        Ok(Self(unsafe { std::slice::from_raw_parts(list, count) }))
    }

    /// The containers.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if one of them is none.
    pub fn containers(self) -> Result<Vec<&'a [u8]>, ImageError> {
        let container = |start: &*const u8| {
            // SAFETY: a container starts there, by the contract of `at`.
            match unsafe { Source::at_container(*start) } {
                Some(Source::Container(bytes)) => Ok(bytes),
                _ => Err(ImageError::Invalid),
            }
        };
        self.0.iter().map(container).collect()
    }
}

impl<'a> Source<'a> {
    /// Finds out what lies at an address and how long it is.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if it is nothing known.
    ///
    /// # Safety
    /// `image` is not null and points to a wrapper, a container, a cubin or NUL-terminated text, as CUDA asks of a program; the bytes stay for `'a`.
    pub unsafe fn at(image: *const c_void) -> Result<Self, ImageError> {
        let start = image.cast::<u8>();
        // Byte by byte: text may be shorter than a word.
        // SAFETY: each byte is read only if the one before it was not the text's NUL.
        let magic = unsafe {
            let mut magic = [0; 4];
            for (i, byte) in magic.iter_mut().enumerate() {
                *byte = start.add(i).read();
                if *byte == 0 && i < 3 {
                    break;
                }
            }
            u32::from_le_bytes(magic)
        };
        match magic {
            WRAPPER_MAGIC => {
                // SAFETY: a wrapper's third word is the address of its container.
                let container = unsafe { start.add(8).cast::<*const c_void>().read_unaligned() };
                if container.is_null() {
                    return Err(ImageError::Invalid);
                }
                // SAFETY: by the wrapper's contract; a wrapper in a wrapper is refused, so this ends.
                let found = unsafe { Self::at_container(container.cast()) };
                // SAFETY: a wrapper's second word is its version; that of linked code has a fourth.
                let parts = unsafe {
                    match start.add(4).cast::<u32>().read_unaligned() {
                        WRAPPER_OF_LINKED_CODE => {
                            start.add(16).cast::<*const *const u8>().read_unaligned()
                        }
                        _ => std::ptr::null(),
                    }
                };
                match found {
                    Some(Self::Container(bytes)) if !parts.is_null() && parts.is_aligned() => {
                        // SAFETY: by the contract of a wrapper of this version.
                        Ok(Self::Linked(bytes, unsafe { Parts::at(parts)? }))
                    }
                    Some(found) => Ok(found),
                    None => Err(ImageError::Invalid),
                }
            }
            // SAFETY: the magic says what it is.
            CONTAINER_MAGIC => unsafe { Self::at_container(start) }.ok_or(ImageError::Invalid),
            elf::MAGIC => {
                // SAFETY: a cubin is as long as its headers say.
                let header = unsafe { std::slice::from_raw_parts(start, elf::HEADER) };
                let tables = elf::tables_end(header).ok_or(ImageError::Invalid)?;
                let tables = believable(tables)?;
                // SAFETY: as above.
                let bytes = unsafe { std::slice::from_raw_parts(start, tables) };
                let whole = believable(elf::size(bytes).ok_or(ImageError::Invalid)?)?;
                // SAFETY: as above.
                Ok(Self::Elf(unsafe {
                    std::slice::from_raw_parts(start, whole)
                }))
            }
            _ => {
                // SAFETY: what is left is text with a NUL.
                let text = unsafe { std::ffi::CStr::from_ptr(start.cast()) }.to_bytes();
                if ptx::looks_like(text) {
                    Ok(Self::Ptx(text))
                } else {
                    Err(ImageError::Invalid)
                }
            }
        }
    }

    /// # Safety
    /// A container starts there, or at least 16 bytes that are none.
    unsafe fn at_container(start: *const u8) -> Option<Self> {
        // SAFETY: by this function's contract.
        let header = unsafe { std::slice::from_raw_parts(start, container::HEADER) };
        let size = believable(container::size(header)?).ok()?;
        // SAFETY: a container is as long as its header says.
        Some(Self::Container(unsafe {
            std::slice::from_raw_parts(start, size)
        }))
    }

    /// Finds out what bytes of known length are: a file's, for instance.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if they are nothing known, or shorter than their headers say.
    pub fn of(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let magic = bytes.first_chunk().map(|b| u32::from_le_bytes(*b));
        match magic {
            Some(CONTAINER_MAGIC) => {
                let size = container::size(bytes).and_then(|n| usize::try_from(n).ok());
                let whole = size
                    .and_then(|n| bytes.get(..n))
                    .ok_or(ImageError::Invalid)?;
                Ok(Self::Container(whole))
            }
            Some(elf::MAGIC) => Ok(Self::Elf(bytes)),
            _ => {
                let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
                if ptx::looks_like(text) {
                    Ok(Self::Ptx(text))
                } else {
                    Err(ImageError::Invalid)
                }
            }
        }
    }

    /// What is to be linked if no image fits; empty if there is nothing.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] if a part is broken.
    pub fn parts(self) -> Result<Vec<&'a [u8]>, ImageError> {
        match self {
            Self::Linked(_, parts) => parts.containers(),
            _ => Ok(Vec::new()),
        }
    }

    /// What there is, in words, for one who finds no image in it.
    #[must_use]
    pub fn contents(self) -> String {
        match self {
            Self::Container(bytes) | Self::Linked(bytes, _) => container::contents(bytes),
            Self::Elf(_) => "machine code, no PTX".to_owned(),
            Self::Ptx(_) => "PTX".to_owned(),
        }
    }

    /// The image for a device of that compute capability, not yet decompressed.
    ///
    /// # Errors
    /// [`ImageError::NoBinary`] if a container has none, [`ImageError::Invalid`] if it is broken. Bare cubins and PTX are taken as they are: the driver judges them.
    pub fn choose(self, capability: (u32, u32), ptx_only: bool) -> Result<Choice<'a>, ImageError> {
        match self {
            Self::Container(bytes) | Self::Linked(bytes, _) => {
                container::choose(bytes, capability, ptx_only)
            }
            Self::Elf(_) if ptx_only => Err(ImageError::NoBinary),
            Self::Elf(bytes) => Ok(Choice::plain(container::Kind::Elf, bytes)),
            Self::Ptx(bytes) => Ok(Choice::plain(container::Kind::Ptx, bytes)),
        }
    }
}

fn believable(size: u64) -> Result<usize, ImageError> {
    if size > MAX_IMAGE {
        return Err(ImageError::Invalid);
    }
    usize::try_from(size).map_err(|_| ImageError::Invalid)
}

/// The image in a container for a device, decompressed; PTX ends with a NUL.
///
/// The cubin of the device's own major capability with the highest minor that is not above the device's, architecture-specific ones (`sm_90a`) only on exactly that
/// device; else the highest PTX that is not above the device. `ptx_only` leaves cubins out.
///
/// # Errors
/// See [`Source::choose`].
pub fn choose(
    container: &[u8],
    capability: (u32, u32),
    ptx_only: bool,
) -> Result<Cow<'_, [u8]>, ImageError> {
    container::choose(container, capability, ptx_only)?.extract()
}

/// Mangled names of an image's kernels, in the image's order.
#[must_use]
pub fn kernel_names(image: &[u8]) -> Vec<String> {
    if image.starts_with(&elf::MAGIC.to_le_bytes()) {
        elf::kernel_names(image)
    } else {
        ptx::kernel_names(image)
    }
}

#[cfg(test)]
mod tests;
