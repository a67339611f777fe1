//! Barriers in shared memory (`mbarrier`), and the copies that arrive at them.
//!
//! The object is opaque to programs. Here it is one word: arrivals expected per phase (20 bits), arrivals pending (20), bytes pending (22, signed), and the phase in the top bit.

use super::atomic::each;
use super::state::{Grid, Shared, Trouble, Warp};
use crate::ptx::alu::{get, put, put_pred};
use crate::ptx::code::{Bases, CLUSTER_SHIFT, Ins, NONE, Where};

/// What an instruction does to a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum MbarrierOp {
    Init,
    Invalidate,
    /// Arrives `b` times; `e`: bytes that are expected first.
    Arrive,
    /// Arrives, and no longer takes part.
    ArriveDrop,
    ExpectBytes,
    CompleteBytes,
    /// Whether the phase of state `b` is over.
    Test,
    /// Whether the phase of parity `b` is over.
    TestParity,
}

const OPS: [MbarrierOp; 8] = [
    MbarrierOp::Init,
    MbarrierOp::Invalidate,
    MbarrierOp::Arrive,
    MbarrierOp::ArriveDrop,
    MbarrierOp::ExpectBytes,
    MbarrierOp::CompleteBytes,
    MbarrierOp::Test,
    MbarrierOp::TestParity,
];

const COUNT: u64 = (1 << 20) - 1;

/// The barrier's word, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    expected: u64,
    pending: u64,
    bytes: i64,
    phase: bool,
}

impl State {
    fn unpack(word: u64) -> State {
        State {
            expected: word & COUNT,
            pending: word >> 20 & COUNT,
            bytes: (word << 2) as i64 >> 42,
            phase: word >> 63 != 0,
        }
    }

    fn pack(self) -> u64 {
        self.expected & COUNT
            | (self.pending & COUNT) << 20
            | (self.bytes as u64 & 0x3f_ffff) << 40
            | u64::from(self.phase) << 63
    }

    /// Begins the next phase if nothing is pending.
    fn settle(mut self) -> State {
        if self.pending == 0 && self.bytes == 0 {
            self.phase = !self.phase;
            self.pending = self.expected;
        }
        self
    }
}

/// Arrivals that are pending in a state, for `mbarrier.pending_count`.
pub(crate) fn pending_count(state: u64) -> u32 {
    State::unpack(state).pending as u32
}

impl Warp {
    /// Changes the barrier at an address; the word before.
    fn change(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        place: Where,
        address: u64,
        lane: usize,
        f: impl FnOnce(State) -> State,
    ) -> Result<u64, Trouble> {
        let at = self.resolve_one(grid, shared, place, address, 8, lane as u32, true)? as *mut u64;
        // SAFETY: the address was checked and is aligned; blocks of a cluster run on one thread.
        unsafe {
            let old = at.read();
            at.write(f(State::unpack(old)).pack());
            Ok(old)
        }
    }

    /// Executes an instruction on a barrier.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(super) unsafe fn mbarrier(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        let access = &grid.program.accesses[ins.imm as usize];
        let op = OPS[usize::from(ins.sub).min(OPS.len() - 1)];
        // SAFETY: the caller's promise.
        unsafe {
            let addresses = super::memory::addresses(bases, ins, access, 0);
            let words = |loc| -> [u64; 32] {
                match loc {
                    NONE => [0; 32],
                    _ if op == MbarrierOp::Test => get(bases, loc),
                    _ => get::<u32>(bases, loc).map(u64::from),
                }
            };
            let (values, bytes) = (words(ins.b), words(ins.e));
            let mut results = [0u64; 32];
            let mut trouble = None;
            each(mask, |l| {
                if trouble.is_some() {
                    return;
                }
                let value = values[l] & COUNT;
                let change = |mut s: State| match op {
                    MbarrierOp::Init => State {
                        expected: value,
                        pending: value,
                        bytes: 0,
                        phase: false,
                    },
                    MbarrierOp::Invalidate => State::unpack(0),
                    MbarrierOp::Arrive | MbarrierOp::ArriveDrop => {
                        s.bytes += bytes[l] as i64;
                        s.pending = s.pending.saturating_sub(value);
                        if op == MbarrierOp::ArriveDrop {
                            s.expected = s.expected.saturating_sub(value);
                        }
                        s.settle()
                    }
                    MbarrierOp::ExpectBytes => {
                        s.bytes += values[l] as i64;
                        s
                    }
                    MbarrierOp::CompleteBytes => {
                        s.bytes -= values[l] as i64;
                        s.settle()
                    }
                    MbarrierOp::Test | MbarrierOp::TestParity => s,
                };
                match self.change(grid, shared, access.place, addresses[l], l, change) {
                    Ok(old) => results[l] = old,
                    Err(t) => trouble = Some(t),
                }
            });
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            match op {
                MbarrierOp::Test | MbarrierOp::TestParity => {
                    let over = |l: usize| {
                        let phase = if op == MbarrierOp::Test {
                            values[l] >> 63
                        } else {
                            values[l] & 1
                        };
                        results[l] >> 63 != phase
                    };
                    let bits = (0..32).fold(0, |bits, l| bits | u32::from(over(l)) << l);
                    put_pred(bases, ins.d, bits, mask);
                }
                _ if ins.d != NONE => put(bases, ins.d, &results, mask),
                _ => {}
            }
        }
        Ok(())
    }

    /// Executes `cp.async.bulk`: at once.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(super) unsafe fn bulk_copy(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        let accesses = &grid.program.accesses[ins.imm as usize..];
        let (to, from) = (&accesses[0], &accesses[1]);
        // SAFETY: the caller's promise; each address is checked before it is used.
        unsafe {
            let targets = super::memory::addresses(bases, ins, to, 0);
            let sources = super::memory::addresses(bases, &Ins { a: ins.b, ..*ins }, from, 0);
            let sizes: [u32; 32] = get(bases, ins.c);
            let barriers = if ins.e == NONE {
                None
            } else {
                Some(super::memory::addresses(
                    bases,
                    &Ins { a: ins.e, ..*ins },
                    &accesses[2],
                    0,
                ))
            };
            // Bits of the ranks of the blocks that get a copy; none: the block that the address names.
            let blocks: [u16; 32] = if ins.d == NONE {
                [0; 32]
            } else {
                get(bases, ins.d)
            };
            let own = (1 << CLUSTER_SHIFT) - 1;
            for lane in (0..32usize).filter(|l| mask >> l & 1 != 0) {
                let ranks = match blocks[lane] {
                    _ if ins.d == NONE => 0..1,
                    set => 0..16 - set.leading_zeros(),
                };
                for rank in ranks {
                    let there = |address: u64| match ins.d {
                        NONE => address,
                        _ => address & own | u64::from(rank + 1) << CLUSTER_SHIFT,
                    };
                    if ins.d != NONE && blocks[lane] >> rank & 1 == 0 {
                        continue;
                    }
                    let target = there(targets[lane]);
                    for part in 0..u64::from(sizes[lane] / 16) {
                        let at = |start: u64| start.wrapping_add(16 * part);
                        let (source, write_to) = (at(sources[lane]), at(target));
                        let l = lane as u32;
                        let read =
                            self.resolve_one(grid, shared, from.place, source, 16, l, false)?;
                        let write =
                            self.resolve_one(grid, shared, to.place, write_to, 16, l, true)?;
                        (write as *mut u128).write((read as *const u128).read());
                    }
                    if let Some(barriers) = &barriers {
                        let (place, at) = (accesses[2].place, there(barriers[lane]));
                        let bytes = i64::from(sizes[lane]);
                        self.change(grid, shared, place, at, lane, |mut s| {
                            s.bytes -= bytes;
                            s.settle()
                        })?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_ends_when_nothing_is_pending() {
        let start = State {
            expected: 2,
            pending: 2,
            bytes: 0,
            phase: false,
        };
        assert_eq!(State::unpack(start.pack()), start);
        let mut s = start;
        s.bytes = -100;
        assert_eq!(State::unpack(s.pack()), s);
        s.pending = 0;
        assert!(!s.settle().phase, "bytes are pending");
        s.bytes = 0;
        let next = s.settle();
        assert!(next.phase && next.pending == 2);
    }
}
