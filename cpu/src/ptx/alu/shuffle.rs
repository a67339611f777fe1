//! `shfl` where all 32 lanes take part: what reductions and scans do all the time.

use super::{alu, put, put_pred};
use crate::ptx::code::{Bases, Ins, NONE};

/// Each lane gets the value of the lane that `f` names for lane, offset and last (or first) lane of its segment, if that lies inside. `a`: values; `b`: offset, and clamp in the upper half.
///
/// # Safety
/// As [`super::get`].
#[inline(always)]
unsafe fn shuffle(b: &Bases, i: &Ins, m: u32, f: impl Fn(u32, u32, u32, u32) -> (u32, bool)) {
    // SAFETY: the caller's promise.
    unsafe {
        let (values, selectors) = (&*b.at::<[u32; 32]>(i.a), &*b.at::<[u64; 32]>(i.b));
        let (mut from, mut inside) = ([0u32; 32], [0u32; 32]);
        for lane in 0..32 {
            let (offset, c) = (selectors[lane] as u32 & 31, (selectors[lane] >> 32) as u32);
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let own = lane as u32;
            let last = (own & segment) | (clamp & !segment);
            let (source, is_inside) = f(own, offset, last, segment);
            from[lane] = if is_inside { source & 31 } else { own };
            inside[lane] = u32::from(is_inside);
        }
        let mut results = [0u32; 32];
        let mut flags = 0;
        for lane in 0..32 {
            results[lane] = values[from[lane] as usize & 31];
            flags |= inside[lane] << lane;
        }
        if i.d != NONE {
            put(b, i.d, &results, m);
        }
        if i.e != NONE {
            put_pred(b, i.e, flags, m);
        }
    }
}

alu! {
    shfl_up = |b, i, m| shuffle(b, i, m, |lane, n, last, _| (lane.wrapping_sub(n), lane as i32 - n as i32 >= last as i32));
    shfl_down = |b, i, m| shuffle(b, i, m, |lane, n, last, _| (lane + n, lane + n <= last));
    shfl_bfly = |b, i, m| shuffle(b, i, m, |lane, n, last, _| (lane ^ n, lane ^ n <= last));
    shfl_idx = |b, i, m| shuffle(b, i, m, |lane, n, last, segment| {
        let source = (lane & segment) | (n & !segment);
        (source, source <= last)
    });
}
