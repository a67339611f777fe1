//! Loads and stores of whole warps with one register of 32 or 64 bits each: what kernels do most. Anything unusual is left to the careful paths.

use crate::ptx::code::{Access, Bases, Ins};

/// Addresses that may be touched.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Added to an address to get the host's.
    pub(super) host: u64,
}

/// What the addresses of the lanes have in common.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for a moment")]
enum Lanes {
    /// One address for all.
    Same(u64),
    /// Consecutive elements from here.
    Consecutive(u64),
    Scattered([u64; 32]),
    /// Something is not inside the window or not aligned.
    Outside,
}

/// Differences to the first lane's address, and to consecutive addresses; kept in one vector's width for the optimiser's sake.
macro_rules! pattern {
    ($t:ty, $a:expr, $size:expr, $n:literal) => {{
        let (mut different, mut uneven) = ([0 as $t; $n], [0 as $t; $n]);
        for chunk in 0..32 / $n {
            for k in 0..$n {
                let value = $a[chunk * $n + k];
                different[k] |= value ^ $a[0];
                uneven[k] |= value.wrapping_sub(((chunk * $n + k) * $size) as $t) ^ $a[0];
            }
        }
        let any = |bits: [$t; $n]| bits.iter().fold(0, |all, b| all | b);
        (any(different), any(uneven))
    }};
}

/// Looks at the differences first: they do not depend on the offset, and say how many addresses need be compared with the window.
///
/// # Safety
/// The instruction must belong to the frame of `bases`.
#[inline(always)]
unsafe fn lanes<T>(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> Lanes {
    let size = size_of::<T>() as u64;
    let inside = |at: u64, bytes: u64| {
        at & (size - 1) == 0 && at >= window.start && at < window.end && window.end - at >= bytes
    };
    // SAFETY: the caller's promise.
    let (first, different, uneven) = unsafe {
        if access.wide_address {
            let a = &*bases.at::<[u64; 32]>(ins.a);
            let (different, uneven) = pattern!(u64, a, size_of::<T>(), 4);
            (a[0].wrapping_add(access.offset as u64), different, uneven)
        } else {
            let a = &*bases.at::<[u32; 32]>(ins.a);
            let (different, uneven) = pattern!(u32, a, size_of::<T>(), 8);
            (
                u64::from(a[0].wrapping_add(access.offset as u32)),
                u64::from(different),
                u64::from(uneven),
            )
        }
    };
    if different == 0 {
        return if inside(first, size) {
            Lanes::Same(first.wrapping_add(window.host))
        } else {
            Lanes::Outside
        };
    }
    if uneven == 0 {
        // No element lies behind the end, so that nothing wrapped around either.
        return if inside(first, 32 * size) {
            Lanes::Consecutive(first.wrapping_add(window.host))
        } else {
            Lanes::Outside
        };
    }
    let mut at = [0u64; 32];
    // SAFETY: the caller's promise.
    unsafe {
        if access.wide_address {
            let a = &*bases.at::<[u64; 32]>(ins.a);
            for lane in 0..32 {
                at[lane] = a[lane].wrapping_add(access.offset as u64);
            }
        } else {
            let a = &*bases.at::<[u32; 32]>(ins.a);
            for lane in 0..32 {
                at[lane] = u64::from(a[lane].wrapping_add(access.offset as u32));
            }
        }
    }
    // Signed comparisons are what vectors have: good offsets are below 2^63.
    let room = (window.end.wrapping_sub(window.start) as i64).wrapping_sub(size as i64);
    let (mut bits, mut worst) = (0u64, room);
    for lane in 0..32 {
        let offset = at[lane].wrapping_sub(window.start) as i64;
        bits |= at[lane];
        // Negative if the element does not fit, or if the offset is negative.
        worst |= offset | room.wrapping_sub(offset);
    }
    if worst < 0 || bits & (size - 1) != 0 {
        return Lanes::Outside;
    }
    for address in &mut at {
        *address = address.wrapping_add(window.host);
    }
    Lanes::Scattered(at)
}

/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn load_any<T: Copy>(bases: &Bases, ins: &Ins, access: &Access, window: Window) -> bool {
    // SAFETY: the caller's promise; every address was compared with the window.
    unsafe {
        let out = bases.at::<[T; 32]>(ins.d);
        match lanes::<T>(bases, ins, access, window) {
            Lanes::Same(at) => *out = [(at as *const T).read_volatile(); 32],
            Lanes::Consecutive(at) => *out = (at as *const [T; 32]).read_unaligned(),
            Lanes::Scattered(at) => {
                for lane in 0..32 {
                    (*out)[lane] = (at[lane] as *const T).read_volatile();
                }
            }
            Lanes::Outside => return false,
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
        let values = bases.at::<[T; 32]>(ins.d);
        match lanes::<T>(bases, ins, access, window) {
            // The last lane wins.
            Lanes::Same(at) => (at as *mut T).write_volatile((*values)[31]),
            Lanes::Consecutive(at) => (at as *mut [T; 32]).write_unaligned(*values),
            Lanes::Scattered(at) => {
                for lane in 0..32 {
                    (at[lane] as *mut T).write_volatile((*values)[lane]);
                }
            }
            Lanes::Outside => return false,
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
