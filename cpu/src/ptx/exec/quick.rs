//! Loads and stores of whole warps with one register of 32 or 64 bits each: what kernels do most. Anything unusual is left to the careful paths.

use crate::ptx::alu::get;
use crate::ptx::code::{Access, Bases, Ins};

/// Addresses that may be touched.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Added to an address to get the host's.
    pub(super) host: u64,
}

/// Offsets of the lanes in the window, and what they have in common.
struct Lanes {
    at: [u64; 32],
    all_inside: bool,
    same: bool,
    consecutive: bool,
}

/// # Safety
/// The instruction must belong to the frame of `bases`.
#[inline(always)]
unsafe fn lanes(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> Lanes {
    let size = u64::from(access.size);
    let mut at = [0u64; 32];
    // SAFETY: the caller's promise.
    unsafe {
        if access.wide_address {
            let a: [u64; 32] = get(bases, ins.a);
            for lane in 0..32 {
                at[lane] = a[lane].wrapping_add(access.offset as u64);
            }
        } else {
            let a: [u32; 32] = get(bases, ins.a);
            for lane in 0..32 {
                at[lane] = u64::from(a[lane].wrapping_add(access.offset as u32));
            }
        }
    }
    // Signed comparisons are what vectors have: the offsets are below 2^63 when they are good.
    let length = window.end.wrapping_sub(window.start) as i64;
    let (mut bits, mut worst, mut different, mut uneven) = (0u64, 0i64, 0u64, 0u64);
    for lane in 0..32 {
        let offset = at[lane].wrapping_sub(window.start) as i64;
        bits |= at[lane];
        // Negative if the element does not fit, or if the offset is negative.
        worst |= offset | (length - size as i64).wrapping_sub(offset);
        different |= at[lane] ^ at[0];
        uneven |= at[lane] ^ at[0].wrapping_add(lane as u64 * size);
    }
    Lanes {
        at,
        all_inside: worst >= 0 && bits & (size - 1) == 0,
        same: different == 0,
        consecutive: uneven == 0,
    }
}

/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn load_any<T: Copy>(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> bool {
    // SAFETY: the caller's promise; every address was compared with the window.
    unsafe {
        let lanes = lanes(bases, ins, access, window);
        if !lanes.all_inside {
            return false;
        }
        let out = &mut *bases.at::<[T; 32]>(ins.d);
        if lanes.consecutive {
            *out = (lanes.at[0].wrapping_add(window.host) as *const [T; 32]).read_unaligned();
        } else if lanes.same {
            *out = [(lanes.at[0].wrapping_add(window.host) as *const T).read_volatile(); 32];
        } else {
            for lane in 0..32 {
                out[lane] = (lanes.at[lane].wrapping_add(window.host) as *const T).read_volatile();
            }
        }
    }
    true
}

/// # Safety
/// As [`store`].
#[inline(always)]
unsafe fn store_any<T: Copy>(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> bool {
    // SAFETY: the caller's promise; every address was compared with the window.
    unsafe {
        let lanes = lanes(bases, ins, access, window);
        if !lanes.all_inside {
            return false;
        }
        let values = &*bases.at::<[T; 32]>(ins.d);
        if lanes.consecutive {
            (lanes.at[0].wrapping_add(window.host) as *mut [T; 32]).write_unaligned(*values);
        } else {
            for lane in 0..32 {
                (lanes.at[lane].wrapping_add(window.host) as *mut T).write_volatile(values[lane]);
            }
        }
    }
    true
}

macro_rules! variants {
    ($name:ident, $inner:ident, $what:literal) => {
        #[doc = $what]
        /// Whether that was possible.
        ///
        /// # Safety
        /// The instruction must belong to the frame of `bases`; the window must be accessible.
        #[inline(always)]
        pub(super) unsafe fn $name(
            bases: &Bases,
            ins: &Ins,
            access: &Access,
            window: Window,
        ) -> bool {
            #[cfg(target_arch = "x86_64")]
            {
                /// # Safety
                /// As the function around it; the CPU must have AVX2.
                #[target_feature(enable = "avx2,bmi2")]
                unsafe fn wide(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> bool {
                    // SAFETY: the caller's promise.
                    unsafe {
                        if access.size == 4 {
                            $inner::<u32>(bases, ins, access, window)
                        } else {
                            $inner::<u64>(bases, ins, access, window)
                        }
                    }
                }
                if access.vectors {
                    // SAFETY: the caller's promise; the feature was looked for when the instruction was made.
                    return unsafe { wide(bases, ins, access, window) };
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                if access.size == 4 {
                    $inner::<u32>(bases, ins, access, window)
                } else {
                    $inner::<u64>(bases, ins, access, window)
                }
            }
        }
    };
}

variants!(
    load,
    load_any,
    "Loads one element for each of the 32 lanes."
);
variants!(
    store,
    store_any,
    "Stores one element for each of the 32 lanes."
);
