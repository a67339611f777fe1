//! Vector accesses that other threads see whole.
//!
//! A GPU reads and writes the elements of an aligned vector of up to 16 bytes at once. Programs rely on it where the access is `relaxed`, `volatile` or stronger: CUB
//! passes a flag and a value from block to block in one vector, and who sees the flag must see the value.

use super::atomic::each;

/// The bytes of each lane, up to 16.
#[repr(align(64))]
pub(super) struct Wholes([[u8; 16]; 32]);

impl Wholes {
    pub(super) const fn new() -> Wholes {
        Wholes([[0; 16]; 32])
    }

    /// Addresses of the lanes' bytes.
    pub(super) fn addresses(&mut self) -> [u64; 32] {
        let start = self.0.as_mut_ptr() as u64;
        std::array::from_fn(|lane| start + 16 * lane as u64)
    }

    /// Reads `size` bytes for each lane.
    ///
    /// # Safety
    /// Addresses of lanes in `mask` must be readable and aligned to `size`.
    pub(super) unsafe fn read(&mut self, at: &[u64; 32], size: u64, mask: u32) {
        each(mask, |lane| {
            // SAFETY: the caller's promise.
            unsafe {
                let out = self.0[lane].as_mut_ptr();
                if size == 16 {
                    copy16(at[lane] as *const u8, out);
                } else {
                    out.cast::<u64>()
                        .write((at[lane] as *const u64).read_volatile());
                }
            }
        });
    }

    /// Writes `size` bytes for each lane, in the order of the lanes.
    ///
    /// # Safety
    /// Addresses of lanes in `mask` must be writable and aligned to `size`.
    pub(super) unsafe fn write(&self, at: &[u64; 32], size: u64, mask: u32) {
        each(mask, |lane| {
            // SAFETY: the caller's promise.
            unsafe {
                let from = self.0[lane].as_ptr();
                if size == 16 {
                    copy16(from, at[lane] as *mut u8);
                } else {
                    (at[lane] as *mut u64).write_volatile(from.cast::<u64>().read());
                }
            }
        });
    }
}

/// Copies 16 aligned bytes at once: processors with AVX promise that, and others do it as well as they can.
///
/// # Safety
/// Both places must be aligned to 16 bytes, the one readable, the other writable.
#[inline(always)]
unsafe fn copy16(from: *const u8, to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; the instruction reads or writes 16 bytes.
    unsafe {
        std::arch::asm!(
            "movaps {value}, [{from}]",
            "movaps [{to}], {value}",
            value = out(xmm_reg) _,
            from = in(reg) from,
            to = in(reg) to,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<u128>()
            .write_volatile(from.cast::<u128>().read_volatile());
    }
}
