//! Atomic operations: true atomics of the host, since blocks run on several threads and the host program may look on.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use super::memory::addresses;
use super::state::{Grid, Shared, Trouble, Warp};
use crate::ptx::alu::float::{canon, flush, last_nan};
use crate::ptx::alu::half::{add_half, minmax_half};
use crate::ptx::alu::{get, put};
use crate::ptx::code::{Bases, Ins, NONE, Order, SHARED_WINDOW, Where};

/// What an atomic does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum AtomicOp {
    Add,
    Min,
    Max,
    Inc,
    Dec,
    And,
    Or,
    Xor,
    Exchange,
    CompareSwap,
}

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum AtomicKind {
    U16,
    U32,
    S32,
    U64,
    S64,
    F32,
    F64,
    F16,
    Bf16,
    F16x2,
    Bf16x2,
    U128,
}

const OPS: [AtomicOp; 10] = [
    AtomicOp::Add,
    AtomicOp::Min,
    AtomicOp::Max,
    AtomicOp::Inc,
    AtomicOp::Dec,
    AtomicOp::And,
    AtomicOp::Or,
    AtomicOp::Xor,
    AtomicOp::Exchange,
    AtomicOp::CompareSwap,
];
const KINDS: [AtomicKind; 12] = [
    AtomicKind::U16,
    AtomicKind::U32,
    AtomicKind::S32,
    AtomicKind::U64,
    AtomicKind::S64,
    AtomicKind::F32,
    AtomicKind::F64,
    AtomicKind::F16,
    AtomicKind::Bf16,
    AtomicKind::F16x2,
    AtomicKind::Bf16x2,
    AtomicKind::U128,
];

/// Operations on 16 bytes take turns: they are atomic among themselves.
static WIDE: Mutex<()> = Mutex::new(());

fn halves(old: u32, value: u32, f: impl Fn(u16, u16) -> u16) -> u32 {
    u32::from(f(old as u16, value as u16))
        | u32::from(f((old >> 16) as u16, (value >> 16) as u16)) << 16
}

/// `global`: in global memory, where the cache does the sums and flushes subnormal numbers.
fn next32(op: AtomicOp, kind: AtomicKind, old: u32, value: u32, global: bool) -> u32 {
    match (op, kind) {
        (AtomicOp::Add, AtomicKind::F32) => {
            let (x, y) = (f32::from_bits(old), f32::from_bits(value));
            if global {
                flush(canon(flush(x) + flush(y))).to_bits()
            } else {
                canon(x + y).to_bits()
            }
        }
        (_, AtomicKind::F16x2 | AtomicKind::Bf16x2) => {
            let bf = kind == AtomicKind::Bf16x2;
            match op {
                AtomicOp::Add => halves(old, value, |a, b| add_half(a, b, bf)),
                op => halves(old, value, |a, b| {
                    minmax_half(a, b, bf, op == AtomicOp::Max)
                }),
            }
        }
        (AtomicOp::Add, _) => old.wrapping_add(value),
        (AtomicOp::Min, AtomicKind::S32) => (old as i32).min(value as i32) as u32,
        (AtomicOp::Max, AtomicKind::S32) => (old as i32).max(value as i32) as u32,
        (AtomicOp::Min, _) => old.min(value),
        (AtomicOp::Max, _) => old.max(value),
        (AtomicOp::Inc, _) => {
            if old >= value {
                0
            } else {
                old + 1
            }
        }
        (AtomicOp::Dec, _) => {
            if old == 0 || old > value {
                value
            } else {
                old - 1
            }
        }
        (AtomicOp::And, _) => old & value,
        (AtomicOp::Or, _) => old | value,
        (AtomicOp::Xor, _) => old ^ value,
        _ => value,
    }
}

fn next64(op: AtomicOp, kind: AtomicKind, old: u64, value: u64, global: bool) -> u64 {
    match (op, kind) {
        (AtomicOp::Add, AtomicKind::F64) => {
            let (x, y) = (f64::from_bits(old), f64::from_bits(value));
            // The cache hands a NaN on as it is.
            match (global, y.is_nan(), x.is_nan()) {
                (true, true, _) => value,
                (true, false, true) => old,
                // Elsewhere a loop of the compiler's does it, with the old value as the second operand.
                _ => last_nan(x, y + x).to_bits(),
            }
        }
        (AtomicOp::Add, _) => old.wrapping_add(value),
        (AtomicOp::Min, AtomicKind::S64) => (old as i64).min(value as i64) as u64,
        (AtomicOp::Max, AtomicKind::S64) => (old as i64).max(value as i64) as u64,
        (AtomicOp::Min, _) => old.min(value),
        (AtomicOp::Max, _) => old.max(value),
        (AtomicOp::And, _) => old & value,
        (AtomicOp::Or, _) => old | value,
        (AtomicOp::Xor, _) => old ^ value,
        _ => value,
    }
}

fn next16(op: AtomicOp, kind: AtomicKind, old: u16, value: u16) -> u16 {
    match (op, kind) {
        (AtomicOp::Add, AtomicKind::F16 | AtomicKind::Bf16) => {
            add_half(old, value, kind == AtomicKind::Bf16)
        }
        (AtomicOp::Min | AtomicOp::Max, AtomicKind::F16 | AtomicKind::Bf16) => {
            minmax_half(old, value, kind == AtomicKind::Bf16, op == AtomicOp::Max)
        }
        (AtomicOp::Add, _) => old.wrapping_add(value),
        (AtomicOp::Min, _) => old.min(value),
        (AtomicOp::Max, _) => old.max(value),
        (AtomicOp::And, _) => old & value,
        (AtomicOp::Or, _) => old | value,
        (AtomicOp::Xor, _) => old ^ value,
        _ => value,
    }
}

const ORDER: Ordering = Ordering::SeqCst;

impl Warp {
    /// Executes an atomic operation, lane after lane.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn atomic(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
        local_base: u32,
    ) -> Result<(), Trouble> {
        let access = &grid.program.accesses[ins.imm as usize];
        let op = OPS[usize::from(ins.sub >> 8).min(9)];
        let kind = KINDS[usize::from(ins.sub & 0xff).min(11)];
        if access.order == Order::Strong {
            fence(ORDER);
        }
        // SAFETY: the caller's promise; `resolve` has checked address and alignment of all lanes in `mask`.
        unsafe {
            let mut at = addresses(bases, ins, access, local_base);
            let global = match access.place {
                Where::Global => u32::MAX,
                Where::Generic => {
                    (0..32).fold(0, |bits, l| bits | u32::from(at[l] < SHARED_WINDOW) << l)
                }
                _ => 0,
            };
            self.resolve(
                grid,
                shared,
                access.place,
                &mut at,
                u64::from(access.size),
                mask,
                true,
            )?;
            match access.size {
                16 => {
                    let (b, c): ([u128; 32], [u128; 32]) = (get(bases, ins.b), get(bases, ins.c));
                    let mut old = [0u128; 32];
                    let _alone = WIDE.lock().unwrap_or_else(PoisonError::into_inner);
                    each(mask, |lane| {
                        let cell = at[lane] as *mut u128;
                        old[lane] = cell.read();
                        match op {
                            AtomicOp::CompareSwap if old[lane] != b[lane] => {}
                            AtomicOp::CompareSwap => cell.write(c[lane]),
                            _ => cell.write(b[lane]),
                        }
                    });
                    if ins.d != NONE {
                        put(bases, ins.d, &old, mask);
                    }
                }
                4 => {
                    let (b, c): ([u32; 32], [u32; 32]) = (get(bases, ins.b), get(bases, ins.c));
                    let mut old = [0u32; 32];
                    each(mask, |lane| {
                        let cell = AtomicU32::from_ptr(at[lane] as *mut u32);
                        old[lane] = match op {
                            AtomicOp::CompareSwap => cell
                                .compare_exchange(b[lane], c[lane], ORDER, ORDER)
                                .unwrap_or_else(|v| v),
                            AtomicOp::Exchange => cell.swap(b[lane], ORDER),
                            AtomicOp::Add if matches!(kind, AtomicKind::U32 | AtomicKind::S32) => {
                                cell.fetch_add(b[lane], ORDER)
                            }
                            _ => cell
                                .fetch_update(ORDER, ORDER, |v| {
                                    Some(next32(op, kind, v, b[lane], global >> lane & 1 != 0))
                                })
                                .unwrap_or_else(|v| v),
                        };
                    });
                    if ins.d != NONE {
                        put(bases, ins.d, &old, mask);
                    }
                }
                8 => {
                    let (b, c): ([u64; 32], [u64; 32]) = (get(bases, ins.b), get(bases, ins.c));
                    let mut old = [0u64; 32];
                    each(mask, |lane| {
                        let cell = AtomicU64::from_ptr(at[lane] as *mut u64);
                        old[lane] = match op {
                            AtomicOp::CompareSwap => cell
                                .compare_exchange(b[lane], c[lane], ORDER, ORDER)
                                .unwrap_or_else(|v| v),
                            AtomicOp::Exchange => cell.swap(b[lane], ORDER),
                            _ => cell
                                .fetch_update(ORDER, ORDER, |v| {
                                    Some(next64(op, kind, v, b[lane], global >> lane & 1 != 0))
                                })
                                .unwrap_or_else(|v| v),
                        };
                    });
                    if ins.d != NONE {
                        put(bases, ins.d, &old, mask);
                    }
                }
                _ => {
                    let (b, c): ([u16; 32], [u16; 32]) = (get(bases, ins.b), get(bases, ins.c));
                    let mut old = [0u16; 32];
                    each(mask, |lane| {
                        let cell = AtomicU16::from_ptr(at[lane] as *mut u16);
                        old[lane] = match op {
                            AtomicOp::CompareSwap => cell
                                .compare_exchange(b[lane], c[lane], ORDER, ORDER)
                                .unwrap_or_else(|v| v),
                            _ => cell
                                .fetch_update(ORDER, ORDER, |v| Some(next16(op, kind, v, b[lane])))
                                .unwrap_or_else(|v| v),
                        };
                    });
                    if ins.d != NONE {
                        put(bases, ins.d, &old, mask);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Calls `f` for each lane of the mask, in order.
#[inline(always)]
pub(crate) fn each(mask: u32, mut f: impl FnMut(usize)) {
    let mut left = mask;
    while left != 0 {
        f(left.trailing_zeros() as usize);
        left &= left - 1;
    }
}
