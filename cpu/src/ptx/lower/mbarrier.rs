//! `mbarrier` and `cp.async.bulk`.

use super::quals::{Quals, arity};
use super::{Emit, Step};
use crate::ptx::alu::convert;
use crate::ptx::ast::Operand;
use crate::ptx::code::{Ins, NONE, Op, Order};
use crate::ptx::exec::mbarrier::MbarrierOp;
use crate::ptx::types::{Space, Ty, Width};

impl<'a> Emit<'_, 'a> {
    /// Lowers barriers in memory and bulk copies; false if it is none of them.
    pub(super) fn mbarriers(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "mbarrier" => self.mbarrier(q, operands)?,
            "cp" if q.has("mbarrier") => {
                q.take("async");
                q.take("mbarrier");
                q.take("arrive");
                let counted = q.take("noinc");
                // Copies are done at once. Without `.noinc` the arrival makes up for one that is expected in addition: nothing changes.
                if counted {
                    self.on_barrier(q, operands, 0, MbarrierOp::Arrive, |_, _| Ok(()))?;
                } else {
                    q.find(Space::parse);
                    q.ty()?;
                    arity(operands, 1..=1)?;
                }
            }
            "cp" if q.has("bulk") => {
                q.take("async");
                q.take("bulk");
                self.bulk(q, operands)?;
            }
            "st" | "red" if q.has("async") => self.remote(q, operands)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `st.async` and `red.async`: done at once, and then told to the barrier.
    fn remote(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        q.take("async");
        if !q.take("mbarrier::complete_tx::bytes") {
            return Err("expected how the end is told".into());
        }
        arity(operands, 3..=3)?;
        let mut looked_at = q.clone();
        let count = [("v2", 2), ("v4", 4)]
            .into_iter()
            .find_map(|(word, count)| looked_at.take(word).then_some(count))
            .unwrap_or(1);
        let bytes = u64::from(looked_at.ty()?.size() * count);
        if !self.memory(q, &operands[..2])? {
            return Err("this kind of store is not supported".into());
        }
        let mut ins = self.blank(Op::Mbarrier);
        ins.sub = MbarrierOp::CompleteBytes as u16;
        ins.b = self.module.constant(bytes, Width::W32);
        let mut access = Self::access(Ty::B64, Order::Weak);
        self.address(&mut ins, &mut access, Space::Shared, &operands[2])?;
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.push(access);
        self.push(ins);
        Ok(())
    }

    /// An instruction on the barrier whose address is operand number `at`; `fill` adds the rest.
    fn on_barrier(
        &mut self,
        q: &mut Quals<'a>,
        operands: &[Operand<'a>],
        at: usize,
        op: MbarrierOp,
        fill: impl FnOnce(&mut Self, &mut Ins) -> Step<()>,
    ) -> Step<()> {
        let space = q.find(Space::parse).unwrap_or(Space::Generic);
        if q.ty()? != Ty::B64 {
            return Err("only `.b64` is supported".into());
        }
        let mut ins = self.blank(Op::Mbarrier);
        ins.sub = op as u16;
        if matches!(op, MbarrierOp::Arrive | MbarrierOp::ArriveDrop) {
            ins.b = self.module.constant(1, Width::W32);
        }
        let mut access = Self::access(Ty::B64, Order::Weak);
        let operand = operands.get(at).ok_or("operands are missing")?;
        self.address(&mut ins, &mut access, space, operand)?;
        fill(self, &mut ins)?;
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.push(access);
        self.push(ins);
        Ok(())
    }

    fn mbarrier(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        const ACTIONS: [&str; 9] = [
            "init",
            "inval",
            "arrive",
            "arrive_drop",
            "expect_tx",
            "complete_tx",
            "test_wait",
            "try_wait",
            "pending_count",
        ];
        // `.arrive.expect_tx` has two of these words.
        let action = ["arrive", "arrive_drop"]
            .into_iter()
            .find(|word| q.take(word))
            .or_else(|| ACTIONS.into_iter().find(|word| q.take(word)))
            .ok_or("this operation on a barrier is not supported")?;
        let expect = q.take("expect_tx");
        let parity = q.take("parity");
        // Arriving without completing a phase is a promise of the program.
        q.take("noComplete");
        q.one_of(&["release", "acquire", "relaxed"]);
        q.one_of(&["cta", "cluster"]);
        match action {
            "init" => {
                arity(operands, 2..=2)?;
                self.on_barrier(q, operands, 0, MbarrierOp::Init, |e, ins| {
                    ins.b = e.source(&operands[1], Ty::U32)?;
                    Ok(())
                })
            }
            "inval" => {
                arity(operands, 1..=1)?;
                self.on_barrier(q, operands, 0, MbarrierOp::Invalidate, |_, _| Ok(()))
            }
            "arrive" | "arrive_drop" => {
                let op = if action == "arrive" {
                    MbarrierOp::Arrive
                } else {
                    MbarrierOp::ArriveDrop
                };
                // The state that is returned may be left out, and must be for another block's barrier.
                let first = usize::from(!matches!(operands.first(), Some(Operand::Address(..))));
                arity(operands, first + 1..=first + 2)?;
                self.on_barrier(q, operands, first, op, |e, ins| {
                    if first == 1 && operands[0] != Operand::Sink {
                        ins.d = e.dest(&operands[0], Width::W64)?;
                    }
                    if let Some(count) = operands.get(first + 1) {
                        let value = e.source(count, Ty::U32)?;
                        if expect {
                            ins.e = value;
                        } else {
                            ins.b = value;
                        }
                    }
                    Ok(())
                })
            }
            "expect_tx" | "complete_tx" => {
                arity(operands, 2..=2)?;
                let op = if action == "expect_tx" {
                    MbarrierOp::ExpectBytes
                } else {
                    MbarrierOp::CompleteBytes
                };
                self.on_barrier(q, operands, 0, op, |e, ins| {
                    ins.b = e.source(&operands[1], Ty::U32)?;
                    Ok(())
                })
            }
            "pending_count" => {
                q.ty()?;
                arity(operands, 2..=2)?;
                let d = self.dest(&operands[0], Width::W32)?;
                let a = self.source(&operands[1], Ty::B64)?;
                self.alu(convert::mbarrier_pending(), d, &[a]);
                Ok(())
            }
            _ => {
                // A hint for how long to wait may follow.
                arity(operands, 3..=4)?;
                let op = if parity {
                    MbarrierOp::TestParity
                } else {
                    MbarrierOp::Test
                };
                self.on_barrier(q, operands, 1, op, |e, ins| {
                    ins.d = e.dest(&operands[0], Width::Pred)?;
                    let ty = if parity { Ty::U32 } else { Ty::B64 };
                    ins.b = e.source(&operands[2], ty)?;
                    Ok(())
                })
            }
        }
    }

    fn bulk(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        if q.take("commit_group") {
            return arity(operands, 0..=0);
        }
        if q.take("wait_group") {
            q.take("read");
            return arity(operands, 1..=1);
        }
        if q.has("tensor") {
            return Err("copies of tensors are not supported".into());
        }
        if q.take("prefetch") {
            q.take("L2");
            q.take("global");
            while q.find(|w| w.starts_with("L2::").then_some(())).is_some() {}
            return arity(operands, 2..=3);
        }
        let hint = q.take("L2::cache_hint");
        let to = q.find(Space::parse).ok_or("expected where to copy")?;
        let from = q.find(Space::parse).ok_or("expected from where to copy")?;
        let barrier = q.take("mbarrier::complete_tx::bytes");
        if !barrier && !q.take("bulk_group") {
            return Err("expected how the end of the copy is told".into());
        }
        let several = q.take("multicast::cluster");
        if several && !(barrier && to == Space::Shared) {
            return Err("only shared memory can be that of several blocks".into());
        }
        let count = 3 + usize::from(barrier) + usize::from(several) + usize::from(hint);
        arity(operands, count..=count)?;
        let mut ins = self.blank(Op::BulkCopy);
        if several {
            ins.d = self.source(&operands[4], Ty::U16)?;
        }
        let mut accesses = [Self::access(Ty::B128, Order::Weak); 3];
        if barrier {
            self.address(&mut ins, &mut accesses[2], Space::Shared, &operands[3])?;
            ins.e = ins.a;
        }
        self.address(&mut ins, &mut accesses[1], from, &operands[1])?;
        ins.b = ins.a;
        self.address(&mut ins, &mut accesses[0], to, &operands[0])?;
        if accesses.iter().any(|a| a.direct) || ins.a == NONE || ins.b == NONE {
            return Err("addresses must be those of shared or global memory".into());
        }
        ins.c = self.source(&operands[2], Ty::U32)?;
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.extend(accesses);
        self.push(ins);
        Ok(())
    }
}
