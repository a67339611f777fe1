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
    /// Each half of the warp has one address, or consecutive elements: what blocks that are 16 threads wide do.
    Halves([(u64, bool); 2]),
    Scattered([u64; 32]),
    /// Something is not inside the window or not aligned.
    Outside,
}

/// Differences to the address of the first lane of a half, and to consecutive addresses from there; kept in one vector's width for the optimiser's sake.
macro_rules! pattern {
    ($t:ty, $a:expr, $from:literal, $size:expr, $n:literal) => {{
        let (mut different, mut uneven) = ([0 as $t; $n], [0 as $t; $n]);
        for chunk in 0..16 / $n {
            for k in 0..$n {
                let value = $a[$from + chunk * $n + k];
                different[k] |= value ^ $a[$from];
                uneven[k] |= value.wrapping_sub(((chunk * $n + k) * $size) as $t) ^ $a[$from];
            }
        }
        let any = |bits: [$t; $n]| bits.iter().fold(0, |all, b| all | b);
        (any(different) == 0, any(uneven) == 0)
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
    let (first, second, low, high) = unsafe {
        if access.wide_address {
            let a = &*bases.at::<[u64; 32]>(ins.a);
            let low = pattern!(u64, a, 0, size_of::<T>(), 4);
            let high = pattern!(u64, a, 16, size_of::<T>(), 4);
            let at = |k: usize| a[k].wrapping_add(access.offset as u64);
            (at(0), at(16), low, high)
        } else {
            let a = &*bases.at::<[u32; 32]>(ins.a);
            let low = pattern!(u32, a, 0, size_of::<T>(), 8);
            let high = pattern!(u32, a, 16, size_of::<T>(), 8);
            let at = |k: usize| u64::from(a[k].wrapping_add(access.offset as u32));
            (at(0), at(16), low, high)
        }
    };
    if low.0 && high.0 && first == second {
        return if inside(first, size) {
            Lanes::Same(first.wrapping_add(window.host))
        } else {
            Lanes::Outside
        };
    }
    if low.1 && high.1 && second == first.wrapping_add(16 * size) {
        // No element lies behind the end, so that nothing wrapped around either.
        return if inside(first, 32 * size) {
            Lanes::Consecutive(first.wrapping_add(window.host))
        } else {
            Lanes::Outside
        };
    }
    if (low.0 || low.1) && (high.0 || high.1) {
        let bytes = |consecutive: bool| if consecutive { 16 * size } else { size };
        return if inside(first, bytes(low.1)) && inside(second, bytes(high.1)) {
            Lanes::Halves([
                (first.wrapping_add(window.host), low.1),
                (second.wrapping_add(window.host), high.1),
            ])
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
            Lanes::Halves(halves) => {
                for (half, (at, consecutive)) in halves.into_iter().enumerate() {
                    let out = out.cast::<[T; 16]>().add(half);
                    *out = if consecutive {
                        (at as *const [T; 16]).read_unaligned()
                    } else {
                        [(at as *const T).read_volatile(); 16]
                    };
                }
            }
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
            Lanes::Halves(halves) => {
                for (half, (at, consecutive)) in halves.into_iter().enumerate() {
                    let values = values.cast::<[T; 16]>().add(half);
                    if consecutive {
                        (at as *mut [T; 16]).write_unaligned(*values);
                    } else {
                        (at as *mut T).write_volatile((*values)[15]);
                    }
                }
            }
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
