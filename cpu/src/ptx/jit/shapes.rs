//! What the lanes of a group have in common in each register: machine code for groups ([`super::group`]) keeps one number for what is the same in all lanes, or differs from lane to
//! lane by a constant, and vectors for the rest.
//!
//! This is one answer for each register, whatever the place in the code: compilers give a register one meaning. It holds because the lanes of a group stay together in machine code for
//! groups, and because the way into it looks at the registers that it brings along.

use super::names::Names;
use super::plan::Plan;
use crate::ptx::code::{CONST, Ins, Loc, NONE, Op, Program, Where, special};
use crate::ptx::exec::state::Line;

/// Lanes of a group.
pub(super) const GROUP: usize = 8;

/// Most instructions of a function that becomes code for groups.
const MOST: usize = 6000;

/// What the lanes of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing is known yet.
    Unknown,
    /// Each lane has the number of the lane before plus this, in the register's own arithmetic. 0: all lanes have the same.
    Steps(i64),
    Varying,
}

/// The same in all lanes.
pub(super) const SAME: Shape = Shape::Steps(0);

impl Shape {
    fn join(self, other: Shape) -> Shape {
        match (self, other) {
            (Shape::Unknown, s) | (s, Shape::Unknown) => s,
            (a, b) if a == b => a,
            _ => Shape::Varying,
        }
    }
}

/// What has to hold of an operand for an operation to have the shape that it is said to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// From the first lane to the last it stays within 32 bits, taken as a signed number or as an unsigned one.
    Within { signed: bool },
    /// In the first lane it is a multiple of the size of the group.
    Aligned,
}

/// Shape of an operation's result, and what that depends on: a condition on operand `a`, or on `b` if told so.
pub(super) type Derived = (Shape, Option<(Condition, bool)>);

/// Finds shapes.
#[derive(Clone)]
pub(super) struct Shapes<'a> {
    names: &'a Names,
    constants: &'a [Line],
    plan: &'a Plan,
    of: Vec<Shape>,
}

impl<'a> Shapes<'a> {
    /// Shapes of the registers of a function; `float`: those that are kept as floating-point numbers.
    pub(super) fn find(
        plan: &'a Plan,
        program: &Program,
        names: &'a Names,
        constants: &'a [Line],
        float: &[bool],
    ) -> Shapes<'a> {
        let mut shapes = Shapes {
            names,
            constants,
            plan,
            of: vec![Shape::Unknown; plan.registers.len()],
        };
        shapes.spread(program, float);
        // What nothing is known of now depends on registers that nobody writes: any number will do, but the same one for all that is made of it.
        for shape in &mut shapes.of {
            if *shape == Shape::Unknown {
                *shape = SAME;
            }
        }
        shapes.spread(program, float);
        shapes
    }

    /// Follows the code until nothing new is found.
    fn spread(&mut self, program: &Program, float: &[bool]) {
        let plan = self.plan;
        let mut changed = true;
        while changed {
            changed = false;
            for block in &plan.blocks {
                for ins in &program.code[block.start as usize..block.end as usize] {
                    let shape = if block.is_boundary() {
                        Shape::Varying
                    } else {
                        self.result(program, ins)
                    };
                    let mut written = Vec::new();
                    if block.is_boundary() {
                        written.extend(plan.numbers.get(&ins.d));
                        if ins.op == Op::Image {
                            let image = &program.images[ins.imm as usize];
                            let list = &program.lists[image.list as usize..];
                            let values = list.iter().take(usize::from(image.values));
                            written.extend(values.filter_map(|loc| plan.numbers.get(loc)));
                        }
                    }
                    plan.each_written(program, ins, |k| written.push(k));
                    for k in written {
                        let steps = matches!(shape, Shape::Steps(s) if s != 0);
                        let shape = if steps && float[k] {
                            Shape::Varying
                        } else {
                            shape
                        };
                        let joined = self.of[k].join(shape);
                        changed |= joined != self.of[k];
                        self.of[k] = joined;
                    }
                }
            }
        }
    }

    /// Whether code for groups is worth its compilation.
    pub(super) fn worth_it(&self, program: &Program) -> bool {
        let blocks = &self.plan.blocks;
        let all = || {
            blocks
                .iter()
                .flat_map(|block| &program.code[block.start as usize..block.end as usize])
        };
        all().count() <= MOST && !all().any(|ins| ins.op == Op::Matrix)
    }

    /// The shape of a register of the frame.
    pub(super) fn register(&self, k: usize) -> Shape {
        self.of[k]
    }

    /// The shape of an operand.
    pub(super) fn of(&self, loc: Loc) -> Shape {
        match loc >> 30 {
            0 => self.plan.numbers.get(&loc).map_or(SAME, |&k| self.of[k]),
            // Groups are aligned, and only made where rows of threads are as long as several of them.
            2 if loc == special::TID_X || loc == special::LANEID => Shape::Steps(1),
            2 if (special::LANEMASK_EQ..special::WARPID).contains(&loc) => Shape::Varying,
            _ => SAME,
        }
    }

    fn result(&self, program: &Program, ins: &Ins) -> Shape {
        match ins.op {
            Op::Alu => {
                let shape = self.derived(ins).0;
                // Under a guard that differs, so does the result.
                if shape != Shape::Unknown && ins.guard != NONE {
                    match self.of(ins.guard >> 1) {
                        Shape::Unknown => Shape::Unknown,
                        SAME => shape,
                        _ => Shape::Varying,
                    }
                } else {
                    shape
                }
            }
            Op::Load => {
                let access = &program.accesses[ins.imm as usize];
                if access.place == Where::Local {
                    return Shape::Varying;
                }
                match self.of(ins.a) {
                    _ if access.direct => SAME,
                    Shape::Steps(s) if s != 0 => Shape::Varying,
                    shape => shape,
                }
            }
            _ => SAME,
        }
    }

    /// The constant that an operand is.
    pub(super) fn constant(&self, loc: Loc) -> Option<u32> {
        if loc == NONE || loc >> 30 != CONST >> 30 {
            return None;
        }
        let at = (loc & crate::ptx::code::OFFSET) as usize;
        let word = &self.constants[at / 64].0[at % 64..][..4];
        Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }

    /// What the result of arithmetic is like.
    pub(super) fn derived(&self, ins: &Ins) -> Derived {
        let operands = [ins.a, ins.b, ins.c, ins.e];
        let mut all = SAME;
        for loc in operands.into_iter().filter(|&loc| loc != NONE) {
            match self.of(loc) {
                Shape::Unknown => return (Shape::Unknown, None),
                SAME => {}
                _ => all = Shape::Varying,
            }
        }
        if all == SAME {
            return (SAME, None);
        }
        let steps = |loc: Loc| match self.of(loc) {
            Shape::Steps(s) => Some(s),
            _ => None,
        };
        self.linear(ins, steps)
            .map_or((Shape::Varying, None), |(s, condition)| {
                (Shape::Steps(s), condition)
            })
    }

    /// The step of a result that is a linear function of operands with steps.
    fn linear(
        &self,
        ins: &Ins,
        steps: impl Fn(Loc) -> Option<i64>,
    ) -> Option<(i64, Option<(Condition, bool)>)> {
        let name = self.names.of(ins);
        // A product of something with steps and a constant; which of the two is which is told, too.
        let product = |signed: bool| -> Option<(i64, bool)> {
            let number = |n: u32| {
                if signed {
                    i64::from(n as i32)
                } else {
                    i64::from(n)
                }
            };
            let (a, b) = (steps(ins.a)?, steps(ins.b)?);
            match (self.constant(ins.a), self.constant(ins.b)) {
                _ if a == 0 && b == 0 => Some((0, false)),
                (_, Some(n)) => Some((a.checked_mul(number(n))?, false)),
                (Some(n), _) => Some((b.checked_mul(number(n))?, true)),
                _ => None,
            }
        };
        let small = |s: i64| s.abs() < 1 << 24;
        let (s, condition) = match name {
            "mov_32" | "mov_64" => (steps(ins.a)?, None),
            "add_32" | "add_64" => (steps(ins.a)? + steps(ins.b)?, None),
            "sub_32" | "sub_64" => (steps(ins.a)? - steps(ins.b)?, None),
            "neg_32" | "neg_64" => (-steps(ins.a)?, None),
            "shl_32" | "shl_64" => {
                let far = self.constant(ins.b).filter(|&n| n < 24)?;
                (steps(ins.a)? << far, None)
            }
            "mul_lo_32" => (product(true)?.0, None),
            "mad_lo_32" => (product(true)?.0 + steps(ins.c)?, None),
            "mul_wide_s32" | "mad_wide_s32" | "mul_wide_u32" | "mad_wide_u32" => {
                let signed = name.ends_with("s32");
                let (s, other) = product(signed)?;
                let more = if name.starts_with("mad") {
                    steps(ins.c)?
                } else {
                    0
                };
                let condition = (s != 0).then_some((Condition::Within { signed }, other));
                (s + more, condition)
            }
            "cvt_s32_s64" | "cvt_u32_u64" => {
                let signed = name.starts_with("cvt_s");
                (steps(ins.a)?, Some((Condition::Within { signed }, false)))
            }
            "cvt_64_32" => (steps(ins.a)?, None),
            // The lowest bits of the number of a thread, and what is above them.
            "and_32" if steps(ins.a)? == 1 => {
                let mask = self.constant(ins.b)?;
                let low = mask & mask.wrapping_add(1) == 0 && mask as usize >= GROUP - 1;
                (
                    i64::from(low.then_some(1u8)?),
                    Some((Condition::Aligned, false)),
                )
            }
            "shr_u32" | "shr_s32" if steps(ins.a)? == 1 => {
                let far = self.constant(ins.b)?;
                (far >= GROUP.trailing_zeros()).then_some(())?;
                (0, Some((Condition::Aligned, false)))
            }
            _ => return None,
        };
        small(s).then_some((s, condition))
    }
}
