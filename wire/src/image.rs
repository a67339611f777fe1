//! What both ends read out of a module's image.

use memchr::memmem;

/// Images from this size on are kept by a backend, and named by their hash before they are sent.
pub const SMALLEST_CACHED: u64 = 256 << 10;

/// Whether kernels of an image (a binary or PTX) may print or assert: both go through functions of the device's runtime whose names stand in the image.
#[must_use]
pub fn prints(image: &[u8]) -> bool {
    [&b"vprintf"[..], b"__assertfail"]
        .iter()
        .any(|name| memmem::find(image, name).is_some())
}
