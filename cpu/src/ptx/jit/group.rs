//! Machine code for groups of lanes that go the same way.
//!
//! What is emitted for one lane is emitted for eight that lie side by side: once where all lanes have the same or differ by a constant ([`super::shapes`]), for vectors of them where
//! there are instructions for that, and lane by lane otherwise ([`Mode`]).
//!
//! Where lanes do not go together (a branch that only some take, an access that only some may make, an address that nobody knows), the group *gives up*: it stores its registers as they were at the
//! start of the *segment* at hand, and tells where that is. The code for single lanes goes on there ([`super::entry`]) and does it again. A segment ends behind a store, so doing it again
//! changes nothing.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I32X4, I64};
use cranelift_codegen::ir::{Block, InstBuilder, Value};

use super::build::{Build, fixed, own};
use super::entry::{self, FINISHED, place};
use super::registers::{Mode, bits, unaligned};
use super::shapes::{Condition, GROUP, SAME, Shape};
use crate::ptx::code::{Ins, Loc, NONE, SPECIAL};
use crate::ptx::types::Width;

/// Where the code for single lanes goes on: a block, and a position in it.
pub(super) type Resume = (usize, u32);

/// Code that can be done again from its start.
pub(super) struct Segment {
    start: Resume,
    /// Registers that the frame may not have, and what they hold at the start.
    values: Vec<(usize, Vec<Value>)>,
    /// Where the group gives up, if it ever does.
    block: Option<Block>,
}

/// What machine code for groups needs besides.
#[derive(Default)]
pub(super) struct Group {
    segment: Option<Segment>,
    left: Vec<Segment>,
    /// The places where groups give up.
    pub(super) resumes: Vec<Resume>,
}

/// Operations that have vectors of four, of 32 bits each.
fn has_quads(name: &str) -> bool {
    matches!(
        name,
        "mov_32"
            | "select_32"
            | "pred_mov"
            | "pred_and"
            | "pred_or"
            | "pred_xor"
            | "add_32"
            | "sub_32"
            | "and_32"
            | "or_32"
            | "xor_32"
            | "not_32"
            | "neg_32"
            | "abs_32"
            | "min_s32"
            | "min_u32"
            | "max_s32"
            | "max_u32"
            | "lop3_32"
            | "mul_lo_32"
            | "mad_lo_32"
            | "shl_32"
            | "shr_u32"
            | "shr_s32"
            | "eq_32"
            | "lt_u32"
            | "lt_s32"
            | "cvt_64_32"
            | "cvt_s32_f32"
            | "cvt_u32_f32"
            | "cvt_rzi_f32_s32"
            | "cvt_rzi_f32_u32"
            | "cvt_f64_f32"
            | "add_f32"
            | "add_ftz_f32"
            | "sub_f32"
            | "sub_ftz_f32"
            | "mul_f32"
            | "mul_ftz_f32"
            | "fma_f32"
            | "fma_ftz_f32"
            | "div_f32"
            | "sqrt_f32"
            | "rcp_f32"
            | "neg_f32"
            | "abs_f32"
            | "min_f32"
            | "max_f32"
            | "min_ftz_f32"
            | "max_ftz_f32"
            | "eq_f32"
            | "lt_f32"
            | "le_f32"
            | "num_f32"
    )
}

/// Operations that have vectors of two, of 64 bits each.
fn has_pairs(name: &str) -> bool {
    matches!(
        name,
        "mov_64"
            | "select_64"
            | "add_64"
            | "sub_64"
            | "and_64"
            | "or_64"
            | "xor_64"
            | "not_64"
            | "neg_64"
            | "shl_64"
            | "shr_u64"
            | "eq_64"
            | "lt_u64"
            | "lt_s64"
            | "cvt_s32_s64"
            | "cvt_u32_u64"
            | "mul_wide_s32"
            | "mul_wide_u32"
            | "mad_wide_s32"
            | "mad_wide_u32"
            | "mul_lo_64"
            | "mad_lo_64"
            | "cvt_f32_f64"
            | "cvt_s32_f64"
            | "add_f64"
            | "sub_f64"
            | "mul_f64"
            | "fma_f64"
            | "div_f64"
            | "sqrt_f64"
            | "rcp_f64"
            | "neg_f64"
            | "abs_f64"
            | "eq_f64"
            | "lt_f64"
            | "le_f64"
            | "num_f64"
    )
}

impl Build<'_, '_> {
    /// Whether this is code for groups.
    pub(super) fn is_group(&self) -> bool {
        self.shapes.is_some()
    }

    /// The shape of an operand; in code for one lane there is only one.
    pub(super) fn shape_of(&self, loc: Loc) -> Shape {
        self.shapes.as_ref().map_or(SAME, |shapes| shapes.of(loc))
    }

    /// An instruction that only computes, for all lanes of the group.
    pub(super) fn alu_of_group(&mut self, ins: &Ins, pc: u32) {
        let Some(shapes) = &self.shapes else { return };
        let (shape, condition) = shapes.derived(ins);
        let unguarded = ins.guard == NONE;
        let apart = [ins.d, ins.e]
            .iter()
            .any(|loc| self.plan.numbers.contains_key(loc) && shapes.of(*loc) == Shape::Varying);
        if let Shape::Steps(step) = shape
            && (unguarded || shapes.of(ins.guard >> 1) == SAME && !apart)
        {
            if let Some((condition, second)) = condition {
                self.hold(condition, if second { ins.b } else { ins.a });
            }
            self.in_mode(Mode::Together(step), |s| {
                if !s.known(ins, pc) {
                    s.by_interpreter(ins, pc);
                }
            });
            return;
        }
        let name = self.names.of(ins);
        // Vectors are shifted by one amount.
        let shifts = name.starts_with("sh") && self.shape_of(ins.b) != SAME;
        let modes: Vec<Mode> = if !self.fused && name.starts_with("fma") || shifts {
            (0..GROUP).map(Mode::Lane).collect()
        } else if has_quads(name) {
            (0..GROUP / 4).map(Mode::Quad).collect()
        } else if has_pairs(name) {
            (0..GROUP / 2).map(Mode::Pair).collect()
        } else {
            (0..GROUP).map(Mode::Lane).collect()
        };
        for mode in modes {
            if !self.in_mode(mode, |s| s.known(ins, pc)) {
                debug_assert_eq!(mode, Mode::Lane(0));
                self.pending.clear();
                self.group_by_interpreter(ins, pc);
                return;
            }
        }
        self.put_together();
    }

    /// Sees to it that an operand is as the shape of the result asks for.
    fn hold(&mut self, condition: Condition, loc: Loc) {
        let Shape::Steps(step) = self.shape_of(loc) else {
            return;
        };
        let far = step * (GROUP as i64 - 1);
        let x = self.int(loc, Width::W32);
        let good = match condition {
            Condition::Aligned => {
                let low = self.b.ins().band_imm_u(x, GROUP as i64 - 1);
                self.b.ins().icmp_imm_s(IntCC::Equal, low, 0)
            }
            Condition::Within { signed: true } if far >= 0 => {
                let most = i64::from(i32::MAX) - far;
                self.b
                    .ins()
                    .icmp_imm_s(IntCC::SignedLessThanOrEqual, x, most)
            }
            Condition::Within { signed: true } => {
                let least = i64::from(i32::MIN) - far;
                self.b
                    .ins()
                    .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, x, least)
            }
            Condition::Within { signed: false } if far >= 0 => {
                let most = i64::from(u32::MAX) - far;
                self.b
                    .ins()
                    .icmp_imm_u(IntCC::UnsignedLessThanOrEqual, x, most)
            }
            Condition::Within { signed: false } => {
                self.b
                    .ins()
                    .icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, x, -far)
            }
        };
        self.give_up_unless(good);
    }

    /// Has the interpreter's own function do an instruction for all lanes of the group.
    fn group_by_interpreter(&mut self, ins: &Ins, pc: u32) {
        let mut seen = Vec::new();
        for loc in [ins.a, ins.b, ins.c, ins.e, ins.d] {
            if let Some(&k) = self.plan.numbers.get(&loc)
                && !seen.contains(&k)
            {
                seen.push(k);
                let values = self.values(k);
                let pieces = self.pieces(k, &values);
                self.store_pieces(k, &pieces);
            }
        }
        let lanes = if ins.guard == NONE {
            self.b.ins().iconst(I32, (1 << GROUP) - 1)
        } else {
            self.bits_of(ins.guard >> 1, ins.guard & 1 != 0)
        };
        let (call, behind) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(lanes, call, [], behind, []);
        self.b.switch_to_block(call);
        let lanes = self.b.ins().ishl(lanes, self.lane);
        self.call_interpreter(pc, lanes, false);
        for loc in [ins.d, ins.e] {
            if let Some(&k) = self.plan.numbers.get(&loc)
                && self.shape(k) == Shape::Varying
            {
                for (p, value) in self.load_pieces(k).into_iter().enumerate() {
                    let variable = self.variables[k][p];
                    self.b.def_var(variable, value);
                }
            }
        }
        self.b.ins().jump(behind, []);
        self.b.switch_to_block(behind);
    }

    /// A predicate as one bit for each lane of the group.
    fn bits_of(&mut self, loc: Loc, negated: bool) -> Value {
        let k = self.plan.numbers[&loc];
        let values = self.values(k);
        let pieces = self.pieces(k, &values);
        let all = self.predicate_bits(&pieces);
        if negated {
            self.b.ins().bxor_imm_u(all, (1 << GROUP) - 1)
        } else {
            all
        }
    }

    /// A predicate that all lanes agree on; where they do not, the group gives up.
    pub(super) fn decide(&mut self, loc: Loc, negated: bool) -> Value {
        if self.shape_of(loc) == SAME {
            let p = self.int(loc, Width::Pred);
            return if negated { self.not(p) } else { p };
        }
        let all = self.bits_of(loc, negated);
        let more = self.b.ins().iadd_imm_s(all, 1);
        let more = self.b.ins().band_imm_u(more, (1 << GROUP) - 1);
        let together = self
            .b
            .ins()
            .icmp_imm_s(IntCC::UnsignedLessThanOrEqual, more, 1);
        self.give_up_unless(together);
        self.b.ins().icmp_imm_s(IntCC::NotEqual, all, 0)
    }

    /// Gives up where any lane of a vector has a predicate.
    pub(super) fn give_up_if_any(&mut self, odd: Value) {
        let odd = self.b.ins().bitcast(I32X4, bits(), odd);
        let any = self.b.ins().vany_true(odd);
        let none = self.b.ins().bxor_imm_u(any, 1);
        self.give_up_unless(none);
    }

    /// Goes on where a condition holds, and gives up where not.
    pub(super) fn give_up_unless(&mut self, good: Value) {
        let out = self.way_back();
        let next = self.b.create_block();
        self.b.ins().brif(good, next, [], out, []);
        self.b.switch_to_block(next);
    }

    /// Where the group gives up in this segment.
    fn way_back(&mut self) -> Block {
        let segment = self.group.segment.as_mut().expect("a segment has begun");
        if let Some(block) = segment.block {
            return block;
        }
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        segment.block = Some(block);
        block
    }

    /// Begins a segment at `pc` in block `k`.
    pub(super) fn begin_segment(&mut self, k: usize, pc: u32) {
        self.end_segment();
        let unsaved = self.plan.unsaved(self.program, k, pc);
        let values = unsaved
            .into_iter()
            .filter(|&k| self.plan.registers[k].1 != Width::W128)
            .map(|k| (k, self.values(k)))
            .collect();
        self.group.segment = Some(Segment {
            start: (k, pc),
            values,
            block: None,
        });
    }

    pub(super) fn end_segment(&mut self) {
        if let Some(segment) = self.group.segment.take()
            && segment.block.is_some()
        {
            self.group.left.push(segment);
        }
    }

    /// The ways on which groups give up.
    pub(super) fn ways_back(&mut self) {
        self.end_segment();
        for segment in std::mem::take(&mut self.group.left) {
            let block = segment.block.expect("only those are kept");
            self.b.switch_to_block(block);
            for (k, values) in segment.values {
                let pieces = self.pieces(k, &values);
                self.store_pieces(k, &pieces);
            }
            let known = self.group.resumes.iter().position(|&r| r == segment.start);
            let number = known.unwrap_or_else(|| {
                self.group.resumes.push(segment.start);
                self.group.resumes.len() - 1
            });
            self.resume_at(self.plan.entries.len() + number);
        }
    }

    /// Tells at which entry of the code for single lanes the lanes go on.
    fn resume_at(&mut self, entry: usize) {
        let number = self.b.ins().iconst(I32, entry as i64 + 1);
        if let Some(group) = self.group_number {
            let at = self.odd_group(place::RESUME_OF_WARPS, group, 2);
            self.b.ins().store(own(), number, at, 0);
        } else {
            let half = self.b.ins().ushr_imm_u(self.lane64, 1);
            let at = self.b.ins().iadd(self.context, half);
            self.b.ins().store(own(), number, at, place::RESUME);
        }
        self.b.ins().jump(self.next_lane, []);
    }

    /// Takes the registers that are needed at an entry from the frame, and sees whether they are as their shapes say.
    pub(super) fn enter_group(&mut self, number: usize) {
        let plan = self.plan;
        let mut good: Option<Value> = None;
        let join = |s: &mut Self, good: Option<Value>, one: Value| {
            Some(match good {
                Some(all) => s.b.ins().band(all, one),
                None => one,
            })
        };
        let (mut vectors, mut bytes) = (None, None);
        for k in plan.blocks[plan.entries[number]].need.iter() {
            let width = plan.registers[k].1;
            if width == Width::W128 {
                continue;
            }
            if self.shape(k) == Shape::Varying {
                for (p, value) in self.load_pieces(k).into_iter().enumerate() {
                    let variable = self.variables[k][p];
                    self.b.def_var(variable, value);
                }
                continue;
            }
            if width == Width::Pred {
                let byte = self.predicate_of_frame(k);
                let low = self.b.ins().band_imm_u(byte, 1);
                self.b.def_var(self.variables[k][0], low);
                let more = self.b.ins().iadd_imm_s(byte, 1);
                let same = self
                    .b
                    .ins()
                    .icmp_imm_s(IntCC::UnsignedLessThanOrEqual, more, 1);
                bytes = join(self, bytes, same);
                continue;
            }
            let first = self.load_register(k);
            self.b.def_var(self.variables[k][0], first);
            let expected = self.pieces(k, &[first]);
            let found = self.load_pieces(k);
            for (x, y) in expected.into_iter().zip(found) {
                let x = self.b.ins().bitcast(I32X4, bits(), x);
                let y = self.b.ins().bitcast(I32X4, bits(), y);
                let same = self.b.ins().icmp(IntCC::Equal, x, y);
                vectors = join(self, vectors, same);
            }
        }
        if let Some(all) = vectors {
            good = Some(self.b.ins().vall_true(all));
        }
        if let Some(all) = bytes {
            good = join(self, good, all);
        }
        if let Some(good) = good {
            let (inside, out) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(good, inside, [], out, []);
            self.b.set_cold_block(out);
            self.b.switch_to_block(out);
            self.resume_at(number);
            self.b.switch_to_block(inside);
        }
    }

    /// Says where the lanes of the group go on.
    pub(super) fn leave_group(&mut self, pc: u32) {
        let (at, first) = match self.group_number {
            // Whole blocks take it for granted that lanes end.
            Some(_) if pc == FINISHED => return,
            Some(group) => (self.odd_group(place::NEXT_OF_WARPS, group, 5), 0),
            None => {
                let four = self.b.ins().ishl_imm_u(self.lane64, 2);
                (self.b.ins().iadd(self.context, four), place::NEXT)
            }
        };
        let pc = self.b.ins().iconst(I32, i64::from(pc));
        let all = self.b.ins().splat(I32X4, pc);
        for half in 0..GROUP as i32 / 4 {
            self.b.ins().store(unaligned(), all, at, first + 16 * half);
        }
    }

    /// In code for whole blocks: notes that a group does not end there, and finds its place in a list of the block's groups, which has `1 << log` bytes for each.
    fn odd_group(&mut self, list: i32, group: Value, log: i64) -> Value {
        let one = self.b.ins().iconst(I32, 1);
        self.b.ins().store(own(), one, self.context, place::ODD);
        let list = self.b.ins().load(I64, fixed(), self.context, list);
        let offset = self.b.ins().ishl_imm_u(group, log);
        self.b.ins().iadd(list, offset)
    }

    /// Half of a vector of four as the lower half, for operations that widen it.
    pub(super) fn half(&mut self, value: impl FnOnce(&mut Self) -> Value) -> Value {
        let Mode::Pair(p) = self.mode else {
            unreachable!("only vectors of two are halves")
        };
        let quad = self.in_mode(Mode::Quad(p / 2), value);
        if p % 2 == 0 {
            quad
        } else {
            let ty = self.b.func.dfg.value_type(quad);
            self.shuffle(quad, quad, [2, 3, 2, 3], ty)
        }
    }

    /// The two vectors of two that make one of four.
    pub(super) fn halves(&mut self, mut value: impl FnMut(&mut Self) -> Value) -> [Value; 2] {
        let Mode::Quad(q) = self.mode else {
            unreachable!("only vectors of four have halves")
        };
        [2 * q, 2 * q + 1].map(|p| self.in_mode(Mode::Pair(p), &mut value))
    }

    /// Calls the interpreter's own function of the instruction at `pc`, for some lanes.
    pub(super) fn call_interpreter(&mut self, pc: u32, lanes: Value, seldom: bool) {
        if self.group_number.is_some() {
            // It looks for registers where the context says, which is another warp's for whole blocks.
            self.b
                .ins()
                .store(own(), self.frame, self.context, place::FRAME);
            self.b
                .ins()
                .store(own(), self.special, self.context, place::SPECIAL);
            let ins = &self.program.code[pc as usize];
            self.reads_special |= [ins.a, ins.b, ins.c, ins.e]
                .iter()
                .any(|&loc| loc != NONE && loc >> 30 == SPECIAL >> 30);
        }
        let address = std::ptr::from_ref(&self.program.code[pc as usize]) as i64;
        let ins = self.b.ins().iconst(I64, address);
        let arguments = [self.context, ins, lanes];
        if seldom {
            self.b.ins().call(self.helpers.one_lane, &arguments);
            return;
        }
        let callee = self
            .b
            .ins()
            .iconst(I64, entry::one_lane as *const () as i64);
        self.b
            .ins()
            .call_indirect(self.one_lane, callee, &arguments);
    }

    /// The byte of the frame that has a predicate's bits for the group.
    fn predicate_of_frame(&mut self, k: usize) -> Value {
        let (base, at) = (self.frame_byte, self.plan.registers[k].0 as i32);
        self.b.ins().load(I8, own(), base, at)
    }
}
