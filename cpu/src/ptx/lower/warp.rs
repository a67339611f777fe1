//! Barriers and operations across the lanes of a warp.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::{int, logic, shuffle};
use crate::ptx::ast::Operand;
use crate::ptx::code::{CrossOp, Loc, NONE, Op, special};
use crate::ptx::types::{Ty, Width};

/// `flags` of barriers: wait or only arrive; what to combine.
pub(crate) const ARRIVE: u8 = 1;
pub(crate) const RED_POPC: u8 = 2;
pub(crate) const RED_AND: u8 = 4;
pub(crate) const RED_OR: u8 = 8;
/// The predicate of a reduction or vote is negated.
pub(crate) const NEGATED: u8 = 16;

impl<'a> Emit<'_, 'a> {
    /// Lowers barriers, shuffles, votes, matches; false if it is none of them.
    pub(super) fn warp(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "bar" if q.has("warp") => {
                q.take("warp");
                q.take("sync");
                arity(operands, 1..=1)?;
                let mask = self.source(&operands[0], Ty::B32)?;
                self.cross(CrossOp::Sync, NONE, NONE, NONE, NONE, mask);
            }
            "bar" | "barrier" => self.barrier(q, operands)?,
            "shfl" => self.shuffle(q, operands)?,
            "vote" => self.vote(q, operands)?,
            "match" => {
                let all = match q.one_of(&["any", "all"]) {
                    Some(k) => k == 1,
                    None => return Err("expected `.any` or `.all`".into()),
                };
                q.take("sync");
                let ty = q.ty()?;
                arity(operands, 3..=3)?;
                let (d, p) = match &operands[0] {
                    Operand::Pair(d, p) if all => (
                        self.dest(d, Width::W32)?,
                        if **p == Operand::Sink {
                            NONE
                        } else {
                            self.dest(p, Width::Pred)?
                        },
                    ),
                    d => (self.dest(d, Width::W32)?, NONE),
                };
                let a = self.source(&operands[1], ty)?;
                let mask = self.source(&operands[2], Ty::B32)?;
                self.cross(
                    if all {
                        CrossOp::MatchAll
                    } else {
                        CrossOp::MatchAny
                    },
                    d,
                    a,
                    NONE,
                    p,
                    mask,
                );
                self.code.last_mut().expect("just pushed").flags = u8::from(ty.size() == 8);
            }
            "redux" => {
                q.take("sync");
                let op = q
                    .one_of(&["add", "min", "max", "and", "or", "xor"])
                    .ok_or("this reduction is not supported")?;
                let ty = q.ty()?;
                if !matches!(ty, Ty::U32 | Ty::S32 | Ty::B32) {
                    return Err("this type is not supported here".into());
                }
                arity(operands, 3..=3)?;
                let d = self.dest(&operands[0], Width::W32)?;
                let a = self.source(&operands[1], ty)?;
                let mask = self.source(&operands[2], Ty::B32)?;
                let op = [
                    CrossOp::RedAdd,
                    CrossOp::RedMin,
                    CrossOp::RedMax,
                    CrossOp::RedAnd,
                    CrossOp::RedOr,
                    CrossOp::RedXor,
                ][op];
                self.cross(op, d, a, NONE, NONE, mask);
                self.code.last_mut().expect("just pushed").flags = u8::from(ty.signed());
            }
            "elect" => {
                q.take("sync");
                arity(operands, 2..=2)?;
                let Operand::Pair(d, p) = &operands[0] else {
                    return Err("expected `d|p`".into());
                };
                let d = if **d == Operand::Sink {
                    NONE
                } else {
                    self.dest(d, Width::W32)?
                };
                let p = self.dest(p, Width::Pred)?;
                let mask = self.source(&operands[1], Ty::B32)?;
                self.cross(CrossOp::Elect, d, NONE, NONE, p, mask);
            }
            "mapa" | "getctarank" => self.cluster_address(q, operands)?,
            "activemask" => {
                q.ty()?;
                arity(operands, 1..=1)?;
                let mut ins = self.blank(Op::ActiveMask);
                ins.d = self.dest(&operands[0], Width::W32)?;
                self.push(ins);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `mask` [`NONE`]: the form without `.sync`, for the lanes that are active.
    fn cross(&mut self, op: CrossOp, d: Loc, a: Loc, b: Loc, e: Loc, mask: Loc) {
        let mut ins = self.blank(Op::Cross);
        (ins.d, ins.a, ins.b, ins.e, ins.c) = (d, a, b, e, mask);
        ins.sub = op as u16;
        self.push(ins);
    }

    /// `mapa` and `getctarank`: between addresses of shared memory and ranks of blocks.
    fn cluster_address(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let map = q.base == "mapa";
        q.take("shared::cluster");
        let ty = q.ty()?;
        if !matches!(ty, Ty::U32 | Ty::U64) {
            return Err("this type is not supported here".into());
        }
        arity(operands, if map { 3..=3 } else { 2..=2 })?;
        let wide = ty == Ty::U64;
        let d = self.dest(&operands[0], if map { ty.width() } else { Width::W32 })?;
        let a = self.source(&operands[1], ty)?;
        let rank = if map {
            self.source(&operands[2], Ty::U32)?
        } else {
            self.module.program.clusters = true;
            special::CLUSTER_RANK
        };
        let alu = match (map, wide) {
            (true, false) => int::mapa_32(),
            (true, true) => int::mapa_64(),
            (false, false) => int::rank_32(),
            (false, true) => int::rank_64(),
        };
        // A generic address keeps the bits that tell the space.
        self.alu(alu, d, &[a, rank]);
        Ok(())
    }

    fn barrier(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        q.one_of(&["cta"]);
        if q.take("cluster") {
            let kind = q
                .one_of(&["arrive", "wait"])
                .ok_or("expected `.arrive` or `.wait`")?;
            q.one_of(&["acquire", "release", "relaxed"]);
            q.take("aligned");
            arity(operands, 0..=0)?;
            let mut ins = self.blank(Op::ClusterBarrier);
            ins.flags = if kind == 0 { ARRIVE } else { 0 };
            self.push(ins);
            return Ok(());
        }
        let mut flags = 0;
        let kind = q
            .one_of(&["sync", "arrive", "red"])
            .ok_or("this barrier is not supported")?;
        q.take("aligned");
        let mut ins = self.blank(Op::Barrier);
        let mut rest = operands;
        if kind == 2 {
            flags |= [RED_POPC, RED_AND, RED_OR][q
                .one_of(&["popc", "and", "or"])
                .ok_or("expected what to combine")?];
            let ty = q.ty()?;
            arity(operands, 3..=4)?;
            ins.d = self.dest(&operands[0], ty.width())?;
            let (p, negated) = self.predicate(&operands[operands.len() - 1])?;
            ins.e = p;
            if negated {
                flags |= NEGATED;
            }
            rest = &operands[1..operands.len() - 1];
        } else if kind == 1 {
            flags |= ARRIVE;
            arity(operands, 2..=2)?;
        } else {
            arity(operands, 0..=2)?;
        }
        ins.a = match rest.first() {
            Some(id) => self.source(id, Ty::U32)?,
            None => self.module.constant(0, Width::W32),
        };
        if let Some(count) = rest.get(1) {
            ins.b = self.source(count, Ty::U32)?;
        }
        ins.flags = flags;
        self.push(ins);
        Ok(())
    }

    fn shuffle(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let sync = q.take("sync");
        let op = match q.one_of(&["up", "down", "bfly", "idx"]) {
            Some(0) => CrossOp::ShflUp,
            Some(1) => CrossOp::ShflDown,
            Some(2) => CrossOp::ShflBfly,
            Some(_) => CrossOp::ShflIdx,
            None => return Err("expected `.up`, `.down`, `.bfly` or `.idx`".into()),
        };
        if q.ty()?.size() != 4 {
            return Err("only `.b32` is supported".into());
        }
        let count = if sync { 5 } else { 4 };
        arity(operands, count..=count)?;
        let (d, p) = match &operands[0] {
            Operand::Pair(d, p) => (
                self.dest(d, Width::W32)?,
                if **p == Operand::Sink {
                    NONE
                } else {
                    self.dest(p, Width::Pred)?
                },
            ),
            d => (self.dest(d, Width::W32)?, NONE),
        };
        let a = self.source(&operands[1], Ty::B32)?;
        // Lane and clamp travel as one packed value.
        let (b, c) = (
            self.source(&operands[2], Ty::B32)?,
            self.source(&operands[3], Ty::B32)?,
        );
        let packed = match (&operands[2], &operands[3]) {
            (&Operand::Int(b), &Operand::Int(c)) => {
                let both = b & 0xffff_ffff | c << 32;
                self.module.constant(both, Width::W64)
            }
            _ => {
                let packed = self.temporary(Width::W64, 20);
                self.alu(logic::pack_32_64(), packed, &[b, c]);
                packed
            }
        };
        let mask = if sync {
            self.source(&operands[4], Ty::B32)?
        } else {
            NONE
        };
        self.cross(op, d, a, packed, p, mask);
        self.code.last_mut().expect("just pushed").alu = match op {
            CrossOp::ShflUp => shuffle::shfl_up(),
            CrossOp::ShflDown => shuffle::shfl_down(),
            CrossOp::ShflBfly => shuffle::shfl_bfly(),
            _ => shuffle::shfl_idx(),
        };
        Ok(())
    }

    fn vote(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let sync = q.take("sync");
        let op = match q.one_of(&["all", "any", "uni", "ballot"]) {
            Some(0) => CrossOp::VoteAll,
            Some(1) => CrossOp::VoteAny,
            Some(2) => CrossOp::VoteUni,
            Some(_) => CrossOp::VoteBallot,
            None => return Err("expected `.all`, `.any`, `.uni` or `.ballot`".into()),
        };
        let ty = q.ty()?;
        let count = if sync { 3 } else { 2 };
        arity(operands, count..=count)?;
        let expected = if op == CrossOp::VoteBallot {
            Ty::B32
        } else {
            Ty::Pred
        };
        if ty != expected {
            return Err("this type is not supported here".into());
        }
        let d = self.dest(&operands[0], ty.width())?;
        let (a, negated) = self.predicate(&operands[1])?;
        let mask = if sync {
            self.source(&operands[2], Ty::B32)?
        } else {
            NONE
        };
        self.cross(op, d, a, NONE, NONE, mask);
        if negated {
            self.code.last_mut().expect("just pushed").flags = NEGATED;
        }
        Ok(())
    }
}
