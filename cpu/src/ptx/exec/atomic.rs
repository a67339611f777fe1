//! Atomic operations: true atomics of the host, since blocks run on several threads and the host program may look on.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

use super::memory::addresses;
use super::state::{Grid, Shared, Trouble, Warp};
use crate::ptx::alu::half::{add_half, minmax_half};
use crate::ptx::alu::{get, put};
use crate::ptx::code::{Bases, Ins, NONE, Order};

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
const KINDS: [AtomicKind; 11] = [
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
];

fn halves(old: u32, value: u32, f: impl Fn(u16, u16) -> u16) -> u32 {
    u32::from(f(old as u16, value as u16))
        | u32::from(f((old >> 16) as u16, (value >> 16) as u16)) << 16
}

fn next32(op: AtomicOp, kind: AtomicKind, old: u32, value: u32) -> u32 {
    match (op, kind) {
        (AtomicOp::Add, AtomicKind::F32) => {
            // Atomics on global memory flush nothing here; NaN is made canonical.
            crate::ptx::alu::float::canon(f32::from_bits(old) + f32::from_bits(value)).to_bits()
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

fn next64(op: AtomicOp, kind: AtomicKind, old: u64, value: u64) -> u64 {
    match (op, kind) {
        (AtomicOp::Add, AtomicKind::F64) => (f64::from_bits(old) + f64::from_bits(value)).to_bits(),
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
        let kind = KINDS[usize::from(ins.sub & 0xff).min(10)];
        if access.order == Order::Strong {
            fence(ORDER);
        }
        // SAFETY: the caller's promise; `resolve` has checked address and alignment of all lanes in `mask`.
        unsafe {
            let mut at = addresses(bases, ins, access, local_base);
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
                                .fetch_update(ORDER, ORDER, |v| Some(next32(op, kind, v, b[lane])))
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
                                .fetch_update(ORDER, ORDER, |v| Some(next64(op, kind, v, b[lane])))
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
