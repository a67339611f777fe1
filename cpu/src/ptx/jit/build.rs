//! Machine code for one function: a loop over the lanes of a mask around the function's own control flow.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockCall, FuncRef, InstBuilder, JumpTableData, MemFlagsData, SigRef,
    Signature, Type, Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};

use super::entry::{self, FINISHED, place};
use super::group::{Group, Resume};
use super::groups;
use super::names::Names;
use super::plan::Plan;
use super::registers::Mode;
use super::shapes::{GROUP, Shapes};
use crate::ptx::code::{Ins, Loc, NONE, Op, Program};
use crate::ptx::exec::state::Line;
use crate::ptx::types::Width;

/// How many groups a warp has, as a power of two.
const GROUPS_LOG: u32 = (32 / GROUP).trailing_zeros();

/// What machine code is made from and with.
pub(super) struct Build<'a, 'f> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) plan: &'a Plan,
    pub(super) program: &'a Program,
    pub(super) constants: &'a [Line],
    pub(super) names: &'a Names,
    /// Whether the host has fused multiplication and addition.
    pub(super) fused: bool,
    /// The variables of each register: one, or its pieces.
    pub(super) variables: Vec<Vec<Variable>>,
    /// In code for groups, what the lanes have in common.
    pub(super) shapes: Option<Shapes<'a>>,
    /// In code for whole blocks, the number of the group in the block.
    pub(super) group_number: Option<Value>,
    /// Whether an operation of the interpreter reads special registers.
    pub(super) reads_special: bool,
    pub(super) mode: Mode,
    /// Results of single lanes that are to be put together.
    pub(super) pending: Vec<(usize, Value)>,
    pub(super) group: Group,
    /// Registers that are kept as floating-point numbers.
    pub(super) float: &'a [bool],
    /// Of those, registers that only ever get results of single-precision arithmetic: which NaN they hold is settled when somebody looks at the bits.
    pub(super) lazy: &'a [bool],
    /// The guard of the instruction at hand.
    pub(super) guard: Option<Value>,
    pub(super) context: Value,
    pub(super) frame: Value,
    pub(super) special: Value,
    /// Special registers that are the same in all of the block.
    pub(super) uniform: Value,
    /// The lane at hand, or the first of the group.
    pub(super) lane: Value,
    pub(super) lane64: Value,
    /// The lane's place in registers of 2, 4 and 8 bytes.
    pub(super) lanes: [Value; 3],
    /// The group's place in predicates.
    pub(super) frame_byte: Value,
    pub(super) special4: Value,
    /// The lane's local memory.
    pub(super) local: Value,
    /// From one lane's local memory to the next.
    pub(super) local_stride: Value,
    fuel: Variable,
    code: Vec<Option<Block>>,
    /// Where the next lane begins.
    pub(super) next_lane: Block,
    /// Returns a fault.
    pub(super) fault: Block,
    pub(super) helpers: Helpers,
    pub(super) one_lane: SigRef,
    /// Where accesses lie that were checked together with others.
    pub(super) checked: groups::Places,
    /// Places for ranges of memory that were given out.
    pub(super) slots: u32,
}

/// Memory that never changes while the machine code runs.
pub(super) fn fixed() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// Memory of the engine that changes.
pub(super) fn own() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The type of a register in machine code.
pub(super) fn int_type(width: Width) -> Type {
    match width {
        Width::Pred => I8,
        Width::W16 => I16,
        Width::W32 => I32,
        _ => I64,
    }
}

/// The signature of the compiled function: context, lanes, entry; what comes back is not zero after a fault.
pub(super) fn signature(mut signature: Signature) -> Signature {
    for ty in [I64, I32, I32] {
        signature.params.push(AbiParam::new(ty));
    }
    signature.returns.push(AbiParam::new(I32));
    signature
}

/// Functions that machine code calls where it seldom does: they leave all registers as they were, so that the ways on which nobody calls them keep their values there.
#[derive(Clone, Copy)]
pub(super) struct Helpers {
    /// [`entry::resolve`].
    pub(super) resolve: FuncRef,
    /// [`entry::one_lane`].
    pub(super) one_lane: FuncRef,
    /// [`entry::look_up`].
    pub(super) look_up: FuncRef,
}

pub(super) const RESOLVE: [Type; 5] = [I64, I32, I32, I64, I32];
pub(super) const ONE_LANE: [Type; 3] = [I64, I64, I32];
pub(super) const LOOK_UP: [Type; 5] = [I64, I32, I32, I64, I64];

pub(super) fn with_params(mut signature: Signature, types: &[Type]) -> Signature {
    signature
        .params
        .extend(types.iter().map(|&ty| AbiParam::new(ty)));
    signature
}

/// A function that leaves all registers as they were and calls `callee` with its own parameters.
pub(super) fn helper(
    mut b: FunctionBuilder<'_>,
    types: &[Type],
    call: CallConv,
    callee: *const (),
    target: TargetFrontendConfig,
) {
    let signature = b.import_signature(with_params(Signature::new(call), types));
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let params = b.block_params(block).to_vec();
    let callee = b.ins().iconst(I64, callee as i64);
    b.ins().call_indirect(signature, callee, &params);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(target);
}

/// What a function is built from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) plan: &'a Plan,
    pub(super) program: &'a Program,
    pub(super) constants: &'a [Line],
    pub(super) names: &'a Names,
    /// Whether the host has fused multiplication and addition.
    pub(super) fused: bool,
    /// Registers that are kept as floating-point numbers, and those whose NaN is settled later ([`super::kinds::choose`]).
    pub(super) float: &'a [bool],
    pub(super) lazy: &'a [bool],
}

/// Which of a function's forms is built.
pub(super) enum Form<'a> {
    /// For single lanes.
    Lanes,
    /// For groups of the lanes of a warp.
    Groups(Shapes<'a>),
    /// For all groups of a block, from the start of the kernel on ([`mod@super::sweep`]).
    Block(Shapes<'a>),
}

/// What is known of a function that was built.
pub(super) struct Built {
    /// Where groups give up: further entries of the function for single lanes.
    pub(super) resumes: Vec<Resume>,
    /// Whether an operation of the interpreter reads special registers.
    pub(super) reads_special: bool,
}

/// Builds a function in one of its forms. `resumes`: where groups of other forms give up.
pub(super) fn build(
    mut b: FunctionBuilder<'_>,
    source: Source<'_>,
    form: Form<'_>,
    resumes: &[Resume],
    slots: &mut u32,
    target: TargetFrontendConfig,
    helpers: impl FnOnce(&mut FunctionBuilder<'_>) -> Helpers,
) -> Built {
    let (shapes, whole_block) = match form {
        Form::Lanes => (None, false),
        Form::Groups(shapes) => (Some(shapes), false),
        Form::Block(shapes) => (Some(shapes), true),
    };
    let call = b.func.signature.call_conv;
    let helpers = helpers(&mut b);
    let one_lane = b.import_signature(with_params(Signature::new(call), &ONE_LANE));
    let (mask, fuel) = (b.declare_var(I32), b.declare_var(I32));
    let first = b.create_block();
    b.append_block_params_for_function_params(first);
    b.switch_to_block(first);
    let [context, lanes, entry] = *b.block_params(first) else {
        unreachable!("three parameters")
    };
    let load = |b: &mut FunctionBuilder<'_>, at: i32| b.ins().load(I64, fixed(), context, at);
    let local = load(&mut b, place::LOCAL);
    let stride = load(&mut b, place::LOCAL_STRIDE);
    let (frame, special, uniform) = if whole_block {
        let uniform = load(&mut b, place::UNIFORM);
        (uniform, uniform, uniform)
    } else {
        let special = load(&mut b, place::SPECIAL);
        (load(&mut b, place::FRAME), special, special)
    };
    // The lanes that are left, or the number of the next group.
    let start = if whole_block {
        b.ins().iconst(I32, 0)
    } else {
        lanes
    };
    b.def_var(mask, start);
    let (next_lane, begin, fault, finish) = (
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
    );
    b.ins().jump(next_lane, []);
    b.switch_to_block(next_lane);
    let left = b.use_var(mask);
    if whole_block {
        // This way round, or Cranelift does not see that what follows is in the loop, and leaves in it what could go before.
        let end = b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, left, lanes);
        b.ins().brif(end, finish, [], begin, []);
    } else {
        b.ins().brif(left, begin, [], finish, []);
    }
    b.switch_to_block(finish);
    let zero = b.ins().iconst(I32, 0);
    b.ins().return_(&[zero]);
    b.switch_to_block(fault);
    b.set_cold_block(fault);
    let one = b.ins().iconst(I32, 1);
    b.ins().return_(&[one]);
    b.switch_to_block(begin);
    let (mut frame, mut special, mut group_number) = (frame, special, None);
    let (lane, thread, rest) = if whole_block {
        let number = b.ins().uextend(I64, left);
        group_number = Some(number);
        let warp = b.ins().ushr_imm_u(number, i64::from(GROUPS_LOG));
        let entry = b.ins().ishl_imm_u(warp, 4);
        let warps = load(&mut b, place::WARPS);
        let entry = b.ins().iadd(warps, entry);
        frame = b.ins().load(I64, fixed(), entry, 0);
        special = b.ins().load(I64, fixed(), entry, 8);
        let lane = b.ins().band_imm_u(left, (1 << GROUPS_LOG) - 1);
        let lane = b.ins().ishl_imm_u(lane, i64::from(GROUP.trailing_zeros()));
        let thread = b
            .ins()
            .ishl_imm_u(number, i64::from(GROUP.trailing_zeros()));
        (lane, thread, b.ins().iadd_imm_s(left, 1))
    } else {
        let lane = b.ins().ctz(left);
        let less = b.ins().iadd_imm_s(left, -1);
        let rest = b.ins().band(left, less);
        (lane, b.ins().uextend(I64, lane), rest)
    };
    b.def_var(mask, rest);
    let lane64 = b.ins().uextend(I64, lane);
    let scaled = |b: &mut FunctionBuilder<'_>, base: Value, shift: i64| {
        let offset = b.ins().ishl_imm_u(lane64, shift);
        b.ins().iadd(base, offset)
    };
    let lanes = [
        scaled(&mut b, frame, 1),
        scaled(&mut b, frame, 2),
        scaled(&mut b, frame, 3),
    ];
    let special4 = scaled(&mut b, special, 2);
    let eighth = b.ins().ushr_imm_u(lane64, 3);
    let frame_byte = b.ins().iadd(frame, eighth);
    // The local memory of a block's threads lies side by side.
    let offset = b.ins().imul(thread, stride);
    let local = b.ins().iadd(local, offset);
    let start_fuel = b.ins().iconst(I32, i64::from(entry::FUEL));
    b.def_var(fuel, start_fuel);
    let mode = if shapes.is_some() {
        Mode::Together(0)
    } else {
        Mode::One
    };
    let mut build = Build {
        b,
        plan: source.plan,
        program: source.program,
        constants: source.constants,
        names: source.names,
        fused: source.fused,
        variables: Vec::new(),
        shapes,
        group_number,
        reads_special: false,
        mode,
        pending: Vec::new(),
        group: Group::default(),
        float: source.float,
        lazy: source.lazy,
        guard: None,
        context,
        frame,
        special,
        uniform,
        lane,
        lane64,
        lanes,
        frame_byte,
        special4,
        local,
        local_stride: stride,
        fuel,
        code: vec![None; source.plan.blocks.len()],
        next_lane,
        fault,
        helpers,
        one_lane,
        checked: HashMap::new(),
        slots: *slots,
    };
    for k in 0..source.plan.registers.len() {
        let variables = build
            .variable_types(k)
            .into_iter()
            .map(|ty| build.b.declare_var(ty))
            .collect();
        build.variables.push(variables);
    }
    if build.is_group() {
        build.group.resumes = resumes.to_vec();
    }
    build.body(entry, resumes);
    *slots = build.slots;
    let built = Built {
        resumes: std::mem::take(&mut build.group.resumes),
        reads_special: build.reads_special,
    };
    build.b.seal_all_blocks();
    build.b.finalize(target);
    built
}

impl Build<'_, '_> {
    fn body(&mut self, entry: Value, resumes: &[Resume]) {
        let plan = self.plan;
        let (starts, resumes) = match self.group_number {
            Some(_) => (&plan.entries[..1], &[][..]),
            None => (&plan.entries[..], resumes),
        };
        let reachable = plan.reachable(starts);
        for (k, &yes) in reachable.iter().enumerate() {
            if yes {
                self.code[k] = Some(self.b.create_block());
            }
        }
        let entries: Vec<Block> = (0..starts.len() + resumes.len())
            .map(|_| self.b.create_block())
            .collect();
        let calls: Vec<BlockCall> = entries
            .iter()
            .map(|&block| self.b.func.dfg.block_call(block, []))
            .collect();
        let otherwise = calls[0];
        if let [only] = entries[..] {
            self.b.ins().jump(only, []);
        } else {
            let table = self
                .b
                .create_jump_table(JumpTableData::new(otherwise, &calls));
            self.b.ins().br_table(entry, table);
        }
        let mut ways_out = HashMap::new();
        let starts = starts.iter().map(|&k| (k, plan.blocks[k].start));
        for (number, (k, pc)) in starts.chain(resumes.iter().copied()).enumerate() {
            self.b.switch_to_block(entries[number]);
            if self.is_group() {
                self.enter_group(number);
            } else {
                for register in plan.need_at(self.program, k, pc).iter() {
                    if plan.registers[register].1 != Width::W128 {
                        let value = self.load_register(register);
                        self.b.def_var(self.variables[register][0], value);
                    }
                }
            }
            if pc == plan.blocks[k].start {
                let to = self.code[k].expect("entries are reachable");
                self.b.ins().jump(to, []);
            } else {
                self.block(k, pc, 0, &mut ways_out);
            }
        }
        for (k, &yes) in reachable.iter().enumerate() {
            if !yes {
                continue;
            }
            let block = self.code[k].expect("just made");
            self.b.switch_to_block(block);
            if plan.blocks[k].is_boundary() {
                self.way_out(k);
            } else {
                let start = plan.blocks[k].start;
                self.block(k, start, 0, &mut ways_out);
            }
        }
        self.ways_back();
    }

    /// Stores what the interpreter needs at the start of a block, and goes on with the next lane.
    fn way_out(&mut self, block: usize) {
        let plan = self.plan;
        let block = &plan.blocks[block];
        for k in block.live.common(&block.dirty) {
            if plan.registers[k].1 == Width::W128 {
                continue;
            }
            if self.is_group() {
                let values = self.values(k);
                let pieces = self.pieces(k, &values);
                self.store_pieces(k, &pieces);
            } else {
                self.store_register(k);
            }
        }
        self.leave(block.start);
    }

    fn leave(&mut self, pc: u32) {
        if self.is_group() {
            self.leave_group(pc);
        } else {
            let four = self.b.ins().ishl_imm_u(self.lane64, 2);
            let at = self.b.ins().iadd(self.context, four);
            let pc = self.b.ins().iconst(I32, i64::from(pc));
            self.b.ins().store(own(), pc, at, place::NEXT);
        }
        self.b.ins().jump(self.next_lane, []);
    }

    /// The instructions of a block from `from` on; `depth` is how often the block was divided before.
    fn block(&mut self, k: usize, from: u32, depth: u32, ways_out: &mut HashMap<usize, Block>) {
        let (plan, program) = (self.plan, self.program);
        let range = &plan.blocks[k];
        if self.is_group() {
            self.begin_segment(k, from);
        }
        for pc in from..range.end {
            let ins = &program.code[pc as usize];
            if self.is_group() {
                // Doing a store again could be seen, and so could a load of what it changed.
                let stored = pc > from && program.code[pc as usize - 1].op == Op::Store;
                if stored || ins.op == Op::Fence {
                    self.begin_segment(k, pc);
                }
                self.check_together(pc, range.end);
            } else if matches!(ins.op, Op::Load | Op::Store)
                && depth < groups::DEPTH
                && !self.checked.contains_key(&pc)
                && let Some((good, places)) = self.check_groups(pc, range.end)
            {
                let (quick, careful) = (self.b.create_block(), self.b.create_block());
                self.b.ins().brif(good, quick, [], careful, []);
                let before = self.checked.clone();
                self.b.set_cold_block(careful);
                self.b.switch_to_block(careful);
                self.block(k, pc, groups::DEPTH, ways_out);
                self.b.switch_to_block(quick);
                self.checked.extend(places);
                self.block(k, pc, depth + 1, ways_out);
                self.checked = before;
                return;
            }
            match ins.op {
                Op::Jump => {
                    let to = self.target(ins);
                    self.b.ins().jump(to.0, []);
                    self.count(to, ways_out);
                    return;
                }
                Op::Branch => {
                    let p = self.decide(ins.a, false);
                    let to = self.target(ins);
                    match self.code.get(k + 1).copied().flatten() {
                        Some(next) if ins.b != 0 => self.b.ins().brif(p, next, [], to.0, []),
                        Some(next) => self.b.ins().brif(p, to.0, [], next, []),
                        None => self.b.ins().jump(to.0, []),
                    };
                    self.count(to, ways_out);
                    return;
                }
                Op::Exit => {
                    if ins.guard == NONE {
                        self.leave(FINISHED);
                        return;
                    }
                    let p = self.decide(ins.guard >> 1, ins.guard & 1 != 0);
                    let (done, next) = (self.b.create_block(), self.b.create_block());
                    self.b.ins().brif(p, done, [], next, []);
                    self.b.switch_to_block(done);
                    self.leave(FINISHED);
                    self.b.switch_to_block(next);
                }
                Op::Meet => {}
                Op::Fence => {
                    self.b.ins().fence();
                }
                Op::Alu => self.alu(ins, pc),
                Op::Load | Op::Store | Op::LoadParam => self.guarded(ins, |s| match ins.op {
                    Op::Load if s.is_group() => s.load_group(ins, pc),
                    Op::Load => s.load(ins, pc),
                    Op::Store if s.is_group() => s.store_group(ins, pc),
                    Op::Store => s.store(ins, pc),
                    _ => s.load_param(ins),
                }),
                Op::LocalAddress => self.guarded(ins, |s| {
                    let base = s.b.ins().load(I64, fixed(), s.context, place::LOCAL_BASE);
                    let at = s.b.ins().iadd_imm_s(base, ins.imm as i64);
                    let value = if ins.b != 0 {
                        s.b.ins().ireduce(I32, at)
                    } else {
                        at
                    };
                    s.set(ins.d, value);
                }),
                _ => unreachable!("the plan lets no other through"),
            }
        }
        match self.code.get(k + 1).copied().flatten() {
            Some(next) => self.b.ins().jump(next, []),
            // Nothing behind the end of a function.
            None => self.b.ins().jump(self.fault, []),
        };
    }

    /// Where a jump leads. Loops count: for them it is a block of their own, which [`Build::count`] fills.
    fn target(&mut self, ins: &Ins) -> (Block, Option<usize>) {
        let block = self.plan.block_at(ins.imm as u32);
        if ins.flags & 1 == 0 || self.plan.blocks[block].is_boundary() {
            (self.code[block].expect("reachable"), None)
        } else {
            (self.b.create_block(), Some(block))
        }
    }

    /// Uses up fuel on the way back to a loop, and leaves when there is none.
    fn count(
        &mut self,
        (own, loop_start): (Block, Option<usize>),
        ways_out: &mut HashMap<usize, Block>,
    ) {
        let Some(block) = loop_start else { return };
        let to = self.code[block].expect("reachable");
        let known = ways_out.get(&block).copied();
        let out = known.unwrap_or_else(|| self.b.create_block());
        self.b.switch_to_block(own);
        let fuel = self.b.use_var(self.fuel);
        let left = self.b.ins().iadd_imm_s(fuel, -1);
        self.b.def_var(self.fuel, left);
        self.b.ins().brif(left, to, [], out, []);
        if known.is_none() {
            ways_out.insert(block, out);
            self.b.set_cold_block(out);
            self.b.switch_to_block(out);
            self.way_out(block);
        }
    }

    /// The guard of an instruction as a value.
    pub(super) fn guard_of(&mut self, ins: &Ins) -> Value {
        let p = self.int(ins.guard >> 1, Width::Pred);
        if ins.guard & 1 != 0 { self.not(p) } else { p }
    }

    /// Code that only runs where the guard holds.
    pub(super) fn guarded(&mut self, ins: &Ins, f: impl FnOnce(&mut Self)) {
        if ins.guard == NONE {
            f(self);
            return;
        }
        let p = self.decide(ins.guard >> 1, ins.guard & 1 != 0);
        let (inside, behind) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(p, inside, [], behind, []);
        self.b.switch_to_block(inside);
        f(self);
        self.b.ins().jump(behind, []);
        self.b.switch_to_block(behind);
    }

    /// Lets the interpreter's own function do an instruction for this lane; its results are in the frame.
    pub(super) fn one_lane(&mut self, ins: &Ins, pc: u32, seldom: bool) {
        for loc in [ins.a, ins.b, ins.c, ins.e, ins.d] {
            if let Some(&k) = self.plan.numbers.get(&loc) {
                self.store_register(k);
            }
        }
        let one = self.b.ins().iconst(I32, 1);
        let lane = self.own_lane();
        let bit = self.b.ins().ishl(one, lane);
        self.call_interpreter(pc, bit, seldom);
    }

    /// What [`Build::one_lane`] left in the register.
    pub(super) fn result(&mut self, loc: Loc) -> Value {
        let k = self.plan.numbers[&loc];
        self.load_register(k)
    }
}
