//! Operations across lanes: shuffles, votes, matches, reductions. Lanes that diverged are gathered from their paths first.

use super::atomic::each;
use super::state::{Grid, Wait, Warp};
use crate::ptx::alu::{FULL, get, put, put_pred};
use crate::ptx::code::{Bases, CrossOp, Ins, NONE};
use crate::ptx::lower::flags::NEGATED;

const OPS: [CrossOp; 18] = [
    CrossOp::ShflUp,
    CrossOp::ShflDown,
    CrossOp::ShflBfly,
    CrossOp::ShflIdx,
    CrossOp::VoteAll,
    CrossOp::VoteAny,
    CrossOp::VoteUni,
    CrossOp::VoteBallot,
    CrossOp::MatchAny,
    CrossOp::MatchAll,
    CrossOp::RedAdd,
    CrossOp::RedMin,
    CrossOp::RedMax,
    CrossOp::RedAnd,
    CrossOp::RedOr,
    CrossOp::RedXor,
    CrossOp::Sync,
    CrossOp::Elect,
];

fn op_of(ins: &Ins) -> CrossOp {
    OPS[usize::from(ins.sub).min(OPS.len() - 1)]
}

fn is_vote(op: CrossOp) -> bool {
    matches!(
        op,
        CrossOp::VoteAll | CrossOp::VoteAny | CrossOp::VoteUni | CrossOp::VoteBallot
    )
}

/// Operands and results of all lanes that take part.
struct Gathered {
    /// Lanes that execute.
    active: u32,
    members: [u32; 32],
    values: [u64; 32],
    /// Lane and clamp of shuffles.
    selectors: [u64; 32],
    predicate: u32,
    results: [u64; 32],
    flags: u32,
}

impl Gathered {
    fn new() -> Gathered {
        Gathered {
            active: 0,
            members: [0; 32],
            values: [0; 32],
            selectors: [0; 32],
            predicate: 0,
            results: [0; 32],
            flags: 0,
        }
    }

    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    unsafe fn add(&mut self, bases: &Bases, ins: &Ins, m: u32) {
        let op = op_of(ins);
        self.active |= m;
        // SAFETY: the caller's promise.
        unsafe {
            let members = if ins.c == NONE {
                [m; 32]
            } else {
                get(bases, ins.c)
            };
            each(m, |l| self.members[l] = members[l]);
            if is_vote(op) {
                let p = *bases.at::<u32>(ins.a) ^ if ins.flags & NEGATED != 0 { FULL } else { 0 };
                self.predicate |= p & m;
            } else if ins.a != NONE {
                if matches!(op, CrossOp::MatchAny | CrossOp::MatchAll) && ins.flags != 0 {
                    let v: [u64; 32] = get(bases, ins.a);
                    each(m, |l| self.values[l] = v[l]);
                } else {
                    let v: [u32; 32] = get(bases, ins.a);
                    each(m, |l| self.values[l] = u64::from(v[l]));
                }
            }
            if ins.b != NONE {
                let v: [u64; 32] = get(bases, ins.b);
                each(m, |l| self.selectors[l] = v[l]);
            }
        }
    }

    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    unsafe fn write(&self, bases: &Bases, ins: &Ins, m: u32) {
        let op = op_of(ins);
        // SAFETY: the caller's promise.
        unsafe {
            if ins.d != NONE {
                if matches!(op, CrossOp::VoteAll | CrossOp::VoteAny | CrossOp::VoteUni) {
                    put_pred(bases, ins.d, self.flags, m);
                } else {
                    put(bases, ins.d, &self.results.map(|v| v as u32), m);
                }
            }
            if ins.e != NONE {
                put_pred(bases, ins.e, self.flags, m);
            }
        }
    }

    fn compute(&mut self, op: CrossOp, signed: bool) {
        let active = self.active;
        match op {
            CrossOp::ShflUp | CrossOp::ShflDown | CrossOp::ShflBfly | CrossOp::ShflIdx => {
                let mut flags = 0u32;
                let mut results = [0u64; 32];
                each(active, |l| {
                    let (b, c) = (
                        self.selectors[l] as u32 & 31,
                        (self.selectors[l] >> 32) as u32,
                    );
                    let (clamp, segment) = (c & 31, c >> 8 & 31);
                    let lane = l as u32;
                    let last = (lane & segment) | (clamp & !segment);
                    let first = lane & segment;
                    let (source, inside) = match op {
                        CrossOp::ShflUp => {
                            (lane.wrapping_sub(b), lane as i32 - b as i32 >= last as i32)
                        }
                        CrossOp::ShflDown => (lane + b, lane + b <= last),
                        CrossOp::ShflBfly => (lane ^ b, lane ^ b <= last),
                        _ => (first | (b & !segment), first | (b & !segment) <= last),
                    };
                    let source = if inside { source & 31 } else { lane };
                    flags |= u32::from(inside) << l;
                    results[l] = self.values[source as usize];
                });
                self.results = results;
                self.flags = flags;
            }
            CrossOp::VoteAll | CrossOp::VoteAny | CrossOp::VoteUni | CrossOp::VoteBallot => {
                let mut flags = 0u32;
                let p = self.predicate;
                each(active, |l| {
                    let members = self.members[l] & active;
                    let ballot = p & members;
                    let yes = match op {
                        CrossOp::VoteAll => ballot == members,
                        CrossOp::VoteAny => ballot != 0,
                        _ => ballot == members || ballot == 0,
                    };
                    flags |= u32::from(yes) << l;
                    self.results[l] = u64::from(ballot);
                });
                self.flags = flags;
            }
            CrossOp::MatchAny | CrossOp::MatchAll => {
                let mut flags = 0u32;
                each(active, |l| {
                    let members = self.members[l] & active;
                    let mut same = 0u32;
                    each(members, |k| {
                        same |= u32::from(self.values[k] == self.values[l]) << k
                    });
                    if op == CrossOp::MatchAny {
                        self.results[l] = u64::from(same);
                    } else {
                        let all = same == members;
                        self.results[l] = if all { u64::from(members) } else { 0 };
                        flags |= u32::from(all) << l;
                    }
                });
                self.flags = flags;
            }
            CrossOp::RedAdd
            | CrossOp::RedMin
            | CrossOp::RedMax
            | CrossOp::RedAnd
            | CrossOp::RedOr
            | CrossOp::RedXor => {
                let mut results = [0u64; 32];
                each(active, |l| {
                    let members = self.members[l] & active;
                    let mut sum: Option<u32> = None;
                    each(members, |k| {
                        let v = self.values[k] as u32;
                        sum = Some(match sum {
                            None => v,
                            Some(s) => match op {
                                CrossOp::RedAdd => s.wrapping_add(v),
                                CrossOp::RedMin if signed => (s as i32).min(v as i32) as u32,
                                CrossOp::RedMax if signed => (s as i32).max(v as i32) as u32,
                                CrossOp::RedMin => s.min(v),
                                CrossOp::RedMax => s.max(v),
                                CrossOp::RedAnd => s & v,
                                CrossOp::RedOr => s | v,
                                _ => s ^ v,
                            },
                        });
                    });
                    results[l] = u64::from(sum.unwrap_or(0));
                });
                self.results = results;
            }
            CrossOp::Sync => {}
            CrossOp::Elect => {
                let mut flags = 0u32;
                each(active, |l| {
                    let leader = (self.members[l] & active).trailing_zeros() & 31;
                    self.results[l] = u64::from(leader);
                    flags |= u32::from(leader == l as u32) << l;
                });
                self.flags = flags;
            }
        }
    }
}

/// What happens most: shuffles of whole warps, and votes in which all lanes name the same members. Whether it was that.
///
/// # Safety
/// The instruction must belong to the frame of `bases`.
unsafe fn quick(bases: &Bases, ins: &Ins, op: CrossOp, m: u32) -> bool {
    let shuffle = matches!(
        op,
        CrossOp::ShflUp | CrossOp::ShflDown | CrossOp::ShflBfly | CrossOp::ShflIdx
    );
    // SAFETY: the caller's promise.
    unsafe {
        if shuffle && m == FULL {
            (ins.alu)(bases, ins, m);
            return true;
        }
        if !is_vote(op) || ins.e != NONE || ins.d == NONE {
            return false;
        }
        let members = if ins.c == NONE {
            m
        } else {
            let members = &*bases.at::<[u32; 32]>(ins.c);
            let first = members[m.trailing_zeros() as usize & 31];
            let mut same = true;
            for &other in members {
                same &= other == first;
            }
            if !same {
                return false;
            }
            first & m
        };
        let p = *bases.at::<u32>(ins.a) ^ if ins.flags & NEGATED != 0 { FULL } else { 0 };
        let ballot = p & members;
        let yes = match op {
            CrossOp::VoteAll => ballot == members,
            CrossOp::VoteAny => ballot != 0,
            CrossOp::VoteUni => ballot == members || ballot == 0,
            _ => {
                put(bases, ins.d, &[ballot; 32], m);
                return true;
            }
        };
        put_pred(bases, ins.d, if yes { FULL } else { 0 }, m);
    }
    true
}

impl Warp {
    /// Executes the operation if all members are among the lanes `m`; otherwise does nothing and says so.
    pub(crate) fn across_now(&mut self, bases: &Bases, ins: &Ins, m: u32) -> bool {
        // SAFETY: the instruction belongs to the frame of `bases`.
        unsafe {
            if ins.c != NONE && m != self.alive {
                let members: [u32; 32] = get(bases, ins.c);
                let mut missing = 0;
                each(m, |l| missing |= members[l] & self.alive & !m);
                if missing != 0 {
                    return false;
                }
            }
            let op = op_of(ins);
            if op == CrossOp::Sync {
                return true;
            }
            if quick(bases, ins, op, m) {
                return true;
            }
            let mut gathered = Gathered::new();
            gathered.add(bases, ins, m);
            gathered.compute(op, ins.flags & 1 != 0);
            gathered.write(bases, ins, m);
        }
        true
    }

    /// Looks whether lanes that wait in several paths are complete together, and executes for them; whether any were.
    pub(crate) fn meet_across(&mut self, grid: &Grid<'_>) -> bool {
        let waiting: Vec<usize> = (0..self.paths.len())
            .filter(|&k| matches!(self.paths[k].wait, Wait::Cross(_)))
            .collect();
        let mut progress = false;
        let mut left = waiting;
        while let Some(&first) = left.first() {
            let (same, other): (Vec<usize>, Vec<usize>) =
                left.iter().partition(|&&k| self.same_kind(grid, first, k));
            left = other;
            progress |= self.meet_kind(grid, same);
        }
        progress
    }

    fn waiting_ins<'g>(&self, grid: &'g Grid<'_>, path: usize) -> &'g Ins {
        &grid.program.code[self.paths[path].pc as usize]
    }

    fn same_kind(&self, grid: &Grid<'_>, a: usize, b: usize) -> bool {
        let (x, y) = (self.waiting_ins(grid, a), self.waiting_ins(grid, b));
        x.sub == y.sub && x.flags & !NEGATED == y.flags & !NEGATED
    }

    fn waiting_lanes(&self, path: usize) -> u32 {
        match self.paths[path].wait {
            Wait::Cross(m) => m,
            _ => 0,
        }
    }

    /// The paths all wait at the same kind of operation: executes for those that are complete.
    fn meet_kind(&mut self, grid: &Grid<'_>, mut paths: Vec<usize>) -> bool {
        // Drop paths whose members are not all here until nothing changes.
        loop {
            let present = paths
                .iter()
                .fold(0, |bits, &k| bits | self.waiting_lanes(k));
            let alive = self.alive;
            let before = paths.len();
            let mut complete = Vec::with_capacity(before);
            for &k in &paths {
                let (ins, m, frame) = (
                    self.waiting_ins(grid, k),
                    self.waiting_lanes(k),
                    self.paths[k].frame,
                );
                let bases = self.bases(grid, frame);
                let mut missing = 0;
                // SAFETY: the instruction belongs to the frame of the path.
                let members: [u32; 32] = unsafe {
                    if ins.c == NONE {
                        [m; 32]
                    } else {
                        get(&bases, ins.c)
                    }
                };
                each(m, |l| missing |= members[l] & alive & !present);
                if missing == 0 {
                    complete.push(k);
                }
            }
            paths = complete;
            if paths.len() == before {
                break;
            }
        }
        let Some(&first) = paths.first() else {
            return false;
        };
        let ins = self.waiting_ins(grid, first);
        let (op, signed) = (op_of(ins), ins.flags & 1 != 0);
        let mut gathered = Gathered::new();
        for &k in &paths {
            let (ins, m, frame) = (
                self.waiting_ins(grid, k),
                self.waiting_lanes(k),
                self.paths[k].frame,
            );
            let bases = self.bases(grid, frame);
            // SAFETY: the instruction belongs to the frame of the path.
            unsafe { gathered.add(&bases, ins, m) }
        }
        gathered.compute(op, signed);
        for &k in &paths {
            let (ins, m, frame) = (
                self.waiting_ins(grid, k),
                self.waiting_lanes(k),
                self.paths[k].frame,
            );
            let bases = self.bases(grid, frame);
            // SAFETY: the instruction belongs to the frame of the path.
            unsafe { gathered.write(&bases, ins, m) }
            self.paths[k].pc += 1;
            self.paths[k].wait = Wait::Runnable;
        }
        true
    }
}
