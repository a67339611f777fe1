//! Machine code for one function: a loop over the lanes of a mask around the function's own control flow.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockCall, FuncRef, InstBuilder, JumpTableData, MemFlagsData, SigRef,
    Signature, Type, Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};

use super::entry::{self, FINISHED, place};
use super::groups;
use super::names::Names;
use super::plan::Plan;
use crate::ptx::alu::float::NAN_F32;
use crate::ptx::code::{CONST, Ins, Loc, NONE, OFFSET, Op, Program, SPECIAL, special};
use crate::ptx::exec::state::Line;
use crate::ptx::types::Width;

/// What machine code is made from and with.
pub(super) struct Build<'a, 'f> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) plan: &'a Plan,
    pub(super) program: &'a Program,
    pub(super) constants: &'a [Line],
    pub(super) names: &'a Names,
    /// Whether the host has fused multiplication and addition.
    pub(super) fused: bool,
    pub(super) variables: Vec<Variable>,
    /// Registers that are kept as floating-point numbers.
    pub(super) float: Vec<bool>,
    /// Of those, registers that only ever get results of single-precision arithmetic: which NaN they hold is settled when somebody looks at the bits.
    pub(super) lazy: Vec<bool>,
    /// The guard of the instruction at hand.
    pub(super) guard: Option<Value>,
    pub(super) context: Value,
    frame: Value,
    special: Value,
    pub(super) lane: Value,
    pub(super) lane64: Value,
    /// The lane's place in registers of 2, 4 and 8 bytes.
    lanes: [Value; 3],
    special4: Value,
    /// The lane's local memory.
    pub(super) local: Value,
    fuel: Variable,
    code: Vec<Option<Block>>,
    /// Where the next lane begins.
    next_lane: Block,
    /// Returns a fault.
    pub(super) fault: Block,
    pub(super) helpers: Helpers,
    one_lane: SigRef,
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

/// Builds the function; the number of places for ranges of memory that it uses.
pub(super) fn build(
    mut b: FunctionBuilder<'_>,
    plan: &Plan,
    program: &Program,
    constants: &[Line],
    names: &Names,
    fused: bool,
    first_slot: u32,
    target: TargetFrontendConfig,
    helpers: Helpers,
) -> u32 {
    let call = b.func.signature.call_conv;
    let one_lane = b.import_signature(with_params(Signature::new(call), &ONE_LANE));
    let (float, lazy) = super::kinds::choose(plan, program, names, constants);
    let variables = plan
        .registers
        .iter()
        .zip(&float)
        .map(|(&(_, width), &float)| {
            b.declare_var(match (width, float) {
                (Width::W32, true) => F32,
                (Width::W64, true) => F64,
                _ => int_type(width),
            })
        })
        .collect();
    let (mask, fuel) = (b.declare_var(I32), b.declare_var(I32));
    let first = b.create_block();
    b.append_block_params_for_function_params(first);
    b.switch_to_block(first);
    let [context, lanes, entry] = *b.block_params(first) else {
        unreachable!("three parameters")
    };
    let load = |b: &mut FunctionBuilder<'_>, at: i32| b.ins().load(I64, fixed(), context, at);
    let frame = load(&mut b, place::FRAME);
    let special = load(&mut b, place::SPECIAL);
    let local = load(&mut b, place::LOCAL);
    let stride = load(&mut b, place::LOCAL_STRIDE);
    b.def_var(mask, lanes);
    let (next_lane, begin, fault, finish) = (
        b.create_block(),
        b.create_block(),
        b.create_block(),
        b.create_block(),
    );
    b.ins().jump(next_lane, []);
    b.switch_to_block(next_lane);
    let left = b.use_var(mask);
    b.ins().brif(left, begin, [], finish, []);
    b.switch_to_block(finish);
    let zero = b.ins().iconst(I32, 0);
    b.ins().return_(&[zero]);
    b.switch_to_block(fault);
    b.set_cold_block(fault);
    let one = b.ins().iconst(I32, 1);
    b.ins().return_(&[one]);
    b.switch_to_block(begin);
    let lane = b.ins().ctz(left);
    let less = b.ins().iadd_imm_s(left, -1);
    let rest = b.ins().band(left, less);
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
    let offset = b.ins().imul(lane64, stride);
    let local = b.ins().iadd(local, offset);
    let start_fuel = b.ins().iconst(I32, i64::from(entry::FUEL));
    b.def_var(fuel, start_fuel);
    let mut build = Build {
        b,
        plan,
        program,
        constants,
        names,
        fused,
        variables,
        float,
        lazy,
        guard: None,
        context,
        frame,
        special,
        lane,
        lane64,
        lanes,
        special4,
        local,
        fuel,
        code: vec![None; plan.blocks.len()],
        next_lane,
        fault,
        helpers,
        one_lane,
        checked: HashMap::new(),
        slots: first_slot,
    };
    build.body(entry);
    let slots = build.slots;
    build.b.seal_all_blocks();
    build.b.finalize(target);
    slots
}

impl Build<'_, '_> {
    fn body(&mut self, entry: Value) {
        let reachable = self.plan.reachable();
        for (k, &yes) in reachable.iter().enumerate() {
            if yes {
                self.code[k] = Some(self.b.create_block());
            }
        }
        let entries: Vec<Block> = self
            .plan
            .entries
            .iter()
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
        let plan = self.plan;
        for (&block, &own) in plan.entries.iter().zip(&entries) {
            self.b.switch_to_block(own);
            for k in plan.blocks[block].need.iter() {
                if plan.registers[k].1 != Width::W128 {
                    let value = self.load_register(k);
                    self.b.def_var(self.variables[k], value);
                }
            }
            let to = self.code[block].expect("entries are reachable");
            self.b.ins().jump(to, []);
        }
        let mut ways_out = HashMap::new();
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
    }

    /// Stores what the interpreter needs at the start of a block, and goes on with the next lane.
    fn way_out(&mut self, block: usize) {
        let plan = self.plan;
        let block = &plan.blocks[block];
        for k in block.live.common(&block.dirty) {
            if plan.registers[k].1 != Width::W128 {
                self.store_register(k);
            }
        }
        self.leave(block.start);
    }

    fn leave(&mut self, pc: u32) {
        let four = self.b.ins().ishl_imm_u(self.lane64, 2);
        let at = self.b.ins().iadd(self.context, four);
        let pc = self.b.ins().iconst(I32, i64::from(pc));
        self.b.ins().store(own(), pc, at, place::NEXT);
        self.b.ins().jump(self.next_lane, []);
    }

    /// The instructions of a block from `from` on; `depth` is how often the block was divided before.
    fn block(&mut self, k: usize, from: u32, depth: u32, ways_out: &mut HashMap<usize, Block>) {
        let (plan, program) = (self.plan, self.program);
        let range = &plan.blocks[k];
        for pc in from..range.end {
            let ins = &program.code[pc as usize];
            if matches!(ins.op, Op::Load | Op::Store)
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
                    let p = self.int(ins.a, Width::Pred);
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
                    let p = self.guard_of(ins);
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
                    Op::Load => s.load(ins, pc),
                    Op::Store => s.store(ins, pc),
                    _ => s.load_param(ins),
                }),
                Op::LocalAddress => {
                    self.guard = (ins.guard != NONE).then(|| self.guard_of(ins));
                    let base = self
                        .b
                        .ins()
                        .load(I64, fixed(), self.context, place::LOCAL_BASE);
                    let at = self.b.ins().iadd_imm_s(base, ins.imm as i64);
                    let value = if ins.b != 0 {
                        self.b.ins().ireduce(I32, at)
                    } else {
                        at
                    };
                    self.set(ins.d, value);
                    self.guard = None;
                }
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
        if ins.guard & 1 != 0 {
            self.b.ins().bxor_imm_u(p, 1)
        } else {
            p
        }
    }

    /// Code that only runs where the guard holds.
    pub(super) fn guarded(&mut self, ins: &Ins, f: impl FnOnce(&mut Self)) {
        if ins.guard == NONE {
            f(self);
            return;
        }
        let p = self.guard_of(ins);
        let (inside, behind) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(p, inside, [], behind, []);
        self.b.switch_to_block(inside);
        f(self);
        self.b.ins().jump(behind, []);
        self.b.switch_to_block(behind);
    }

    /// A register from the frame.
    fn load_register(&mut self, k: usize) -> Value {
        let (loc, width) = self.plan.registers[k];
        let at = loc as i32;
        match width {
            Width::Pred => {
                let word = self.b.ins().load(I32, own(), self.frame, at);
                let bit = self.b.ins().ushr(word, self.lane);
                let bit = self.b.ins().band_imm_u(bit, 1);
                self.b.ins().ireduce(I8, bit)
            }
            Width::W16 => self.b.ins().load(I16, own(), self.lanes[0], at),
            Width::W32 => {
                let ty = if self.float[k] { F32 } else { I32 };
                self.b.ins().load(ty, own(), self.lanes[1], at)
            }
            _ => {
                let ty = if self.float[k] { F64 } else { I64 };
                self.b.ins().load(ty, own(), self.lanes[2], at)
            }
        }
    }

    /// A register into the frame.
    fn store_register(&mut self, k: usize) {
        let (loc, width) = self.plan.registers[k];
        let at = loc as i32;
        let mut value = self.b.use_var(self.variables[k]);
        if self.lazy[k] {
            value = self.canon(value);
        }
        match width {
            Width::Pred => {
                let word = self.b.ins().load(I32, own(), self.frame, at);
                let one = self.b.ins().iconst(I32, 1);
                let bit = self.b.ins().ishl(one, self.lane);
                let cleared = self.b.ins().band_not(word, bit);
                let wide = self.b.ins().uextend(I32, value);
                let set = self.b.ins().ishl(wide, self.lane);
                let word = self.b.ins().bor(cleared, set);
                self.b.ins().store(own(), word, self.frame, at);
            }
            Width::W16 => {
                self.b.ins().store(own(), value, self.lanes[0], at);
            }
            Width::W32 => {
                self.b.ins().store(own(), value, self.lanes[1], at);
            }
            _ => {
                self.b.ins().store(own(), value, self.lanes[2], at);
            }
        }
    }

    /// The canonical NaN in place of any other.
    pub(super) fn canon(&mut self, value: Value) -> Value {
        let nan = self.b.ins().iconst(I32, i64::from(NAN_F32));
        let nan = self.b.ins().bitcast(F32, MemFlagsData::new(), nan);
        let odd = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        self.b.ins().select(odd, nan, value)
    }

    /// An operand as a number of `ty`, whose NaN may be any if it is only used for arithmetic (`exact` is false).
    fn operand(&mut self, loc: Loc, width: Width, ty: Type, exact: bool) -> Value {
        let value = match loc >> 30 {
            0 => {
                let k = self.plan.numbers[&loc];
                let value = self.b.use_var(self.variables[k]);
                if self.lazy[k] && (exact || ty != F32) {
                    self.canon(value)
                } else {
                    value
                }
            }
            1 => {
                let bits = self.constant(loc, width);
                self.b.ins().iconst(int_type(width), bits)
            }
            2 => self.special_register(loc, width),
            _ => {
                let params = self.b.ins().load(I64, fixed(), self.context, place::PARAMS);
                self.b
                    .ins()
                    .load(int_type(width), fixed(), params, (loc & OFFSET) as i32)
            }
        };
        self.as_type(value, ty)
    }

    /// The bits of a constant, which are the same for all lanes.
    pub(super) fn constant(&self, loc: Loc, width: Width) -> i64 {
        let at = (loc & OFFSET) as usize;
        debug_assert_eq!(loc & !OFFSET, CONST);
        let byte = |k: usize| i64::from(self.constants[(at + k) / 64].0[(at + k) % 64]) << (8 * k);
        match width {
            Width::Pred => byte(0) & 1,
            _ => (0..width.lane_bytes() as usize).fold(0, |v, k| v | byte(k)),
        }
    }

    fn special_register(&mut self, loc: Loc, width: Width) -> Value {
        let at = (loc & OFFSET) as i32;
        // Thread indices and what belongs to the lane differ, the rest is the same for all lanes.
        if loc < special::WARPID {
            debug_assert!(loc >= SPECIAL);
            return self.b.ins().load(I32, fixed(), self.special4, at);
        }
        match width {
            Width::Pred => {
                let word = self.b.ins().load(I32, fixed(), self.special, at);
                let bit = self.b.ins().band_imm_u(word, 1);
                self.b.ins().ireduce(I8, bit)
            }
            _ => self
                .b
                .ins()
                .load(int_type(width), fixed(), self.special, at),
        }
    }

    fn as_type(&mut self, value: Value, ty: Type) -> Value {
        let found = self.b.func.dfg.value_type(value);
        if found == ty {
            value
        } else if found.bits() == ty.bits() {
            self.b.ins().bitcast(ty, MemFlagsData::new(), value)
        } else {
            unreachable!("operands have the size that the instruction says")
        }
    }

    /// An operand as an integer; predicates are 0 or 1 in a byte.
    pub(super) fn int(&mut self, loc: Loc, width: Width) -> Value {
        self.operand(loc, width, int_type(width), true)
    }

    /// An operand for arithmetic in single precision.
    pub(super) fn f32(&mut self, loc: Loc) -> Value {
        self.operand(loc, Width::W32, F32, false)
    }

    /// An operand in double precision.
    pub(super) fn f64(&mut self, loc: Loc) -> Value {
        self.operand(loc, Width::W64, F64, true)
    }

    /// An operand in the form in which the register `like` is kept, with its bits.
    pub(super) fn like(&mut self, loc: Loc, width: Width, like: Loc) -> Value {
        let ty = match self.plan.numbers.get(&like) {
            Some(&k) if self.float[k] => {
                if width == Width::W32 {
                    F32
                } else {
                    F64
                }
            }
            _ => int_type(width),
        };
        self.operand(loc, width, ty, true)
    }

    /// Gives a register its value, under the guard.
    pub(super) fn set(&mut self, loc: Loc, value: Value) {
        let Some(&k) = self.plan.numbers.get(&loc) else {
            unreachable!("destinations are registers of the frame")
        };
        let variable = self.variables[k];
        let ty = match (self.plan.registers[k].1, self.float[k]) {
            (Width::W32, true) => F32,
            (Width::W64, true) => F64,
            (width, _) => int_type(width),
        };
        let mut value = self.as_type(value, ty);
        if let Some(guard) = self.guard {
            let old = self.b.use_var(variable);
            value = self.b.ins().select(guard, value, old);
        }
        self.b.def_var(variable, value);
    }

    /// Gives a register the result of single-precision arithmetic, which has one NaN only.
    pub(super) fn set_f32(&mut self, loc: Loc, value: Value) {
        let lazy = self.plan.numbers.get(&loc).is_some_and(|&k| self.lazy[k]);
        let value = if lazy { value } else { self.canon(value) };
        self.set(loc, value);
    }

    /// Lets the interpreter's own function do an instruction for this lane; its results are in the frame.
    pub(super) fn one_lane(&mut self, ins: &Ins, pc: u32, seldom: bool) {
        for loc in [ins.a, ins.b, ins.c, ins.e, ins.d] {
            if let Some(&k) = self.plan.numbers.get(&loc) {
                self.store_register(k);
            }
        }
        let address = std::ptr::from_ref(&self.program.code[pc as usize]) as i64;
        let ins_value = self.b.ins().iconst(I64, address);
        let one = self.b.ins().iconst(I32, 1);
        let bit = self.b.ins().ishl(one, self.lane);
        let arguments = [self.context, ins_value, bit];
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

    /// What [`Build::one_lane`] left in the register.
    pub(super) fn result(&mut self, loc: Loc) -> Value {
        let k = self.plan.numbers[&loc];
        self.load_register(k)
    }
}
