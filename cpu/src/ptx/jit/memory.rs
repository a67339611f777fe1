//! Loads and stores in machine code: an address is compared with the range of memory that the instruction touched last; only where it does not fit, the engine is asked.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

use super::build::{Build, fixed, int_type, own};
use super::entry::{Slot, place};
use super::plan::registers;
use crate::ptx::code::{Access, Ins, NONE, Where};

fn memory_type(size: u8) -> Type {
    match size {
        1 => I8,
        2 => I16,
        4 => I32,
        _ => I64,
    }
}

impl Build<'_, '_> {
    /// The address that the instruction gives.
    pub(super) fn address(&mut self, ins: &Ins, access: &Access) -> Value {
        if access.direct {
            if access.place != Where::Local {
                return self.b.ins().iconst(I64, access.offset);
            }
            let base = self
                .b
                .ins()
                .load(I64, fixed(), self.context, place::LOCAL_BASE);
            return self.b.ins().iadd_imm_s(base, access.offset);
        }
        self.based(ins.a, access.wide_address, access.offset)
    }

    /// Where the bytes lie on the host: checked, and aligned to all of the access.
    fn place_of(&mut self, ins: &Ins, pc: u32, access: &Access) -> (Value, i32) {
        if let Some(&known) = self.checked.get(&pc) {
            return known;
        }
        let total = u64::from(access.size) * u64::from(access.count);
        let log = total.trailing_zeros();
        let address = self.address(ins, access);
        let (offset, limit, base, slot) = match access.place {
            Where::Shared | Where::Local => {
                let (limit, base) = self.limit(access.place, log);
                (address, limit, Some(base), NONE)
            }
            _ => {
                let slot = self.new_slot();
                let start = self.of_slot(slot, Slot::START);
                let limit = self.of_slot(slot, Slot::LIMIT);
                let base = (access.place == Where::Generic).then(|| self.of_slot(slot, Slot::HOST));
                (self.b.ins().isub(address, start), limit, base, slot)
            }
        };
        let turned = self.turned(offset, log);
        let good = self.b.ins().icmp(IntCC::UnsignedLessThan, turned, limit);
        let (quick, slow, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.append_block_param(join, I64);
        self.b.ins().brif(good, quick, [], slow, []);
        self.b.switch_to_block(quick);
        let host = match base {
            Some(base) => self.b.ins().iadd(address, base),
            None => address,
        };
        self.b.ins().jump(join, [&host.into()]);
        self.b.set_cold_block(slow);
        self.b.switch_to_block(slow);
        let number = self.b.ins().iconst(I32, i64::from(pc));
        let slot = self.b.ins().iconst(I32, i64::from(slot));
        self.b.ins().call(
            self.helpers.resolve,
            &[self.context, number, self.lane, address, slot],
        );
        let host = self.b.ins().load(I64, own(), self.context, place::ANSWER);
        self.b
            .ins()
            .brif(host, join, [&host.into()], self.fault, []);
        self.b.switch_to_block(join);
        (self.b.block_params(join)[0], 0)
    }

    /// How many places for accesses of a size shared or local memory has, and where it starts.
    pub(super) fn limit(&mut self, place: Where, log: u32) -> (Value, Value) {
        let (limits, base) = if place == Where::Local {
            (place::LOCAL_LIMITS, self.local)
        } else {
            let base = self.b.ins().load(I64, fixed(), self.context, place::SHARED);
            (place::SHARED_LIMITS, base)
        };
        let all = self.b.ins().load(I64, fixed(), self.context, place::LIMITS);
        let at = limits + 8 * log as i32;
        (self.b.ins().load(I64, fixed(), all, at), base)
    }

    /// A place for a range of memory.
    pub(super) fn new_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    /// A field of such a place.
    pub(super) fn of_slot(&mut self, slot: u32, field: i32) -> Value {
        let slots = self.b.ins().load(I64, fixed(), self.context, place::SLOTS);
        let at = (slot as usize * size_of::<Slot>()) as i32;
        self.b.ins().load(I64, own(), slots, at + field)
    }

    /// An offset in a range with its lowest bits on top: one comparison sees both whether it lies inside and whether it is aligned.
    pub(super) fn turned(&mut self, offset: Value, log: u32) -> Value {
        if log == 0 {
            offset
        } else {
            self.b.ins().rotr_imm_u(offset, i64::from(log))
        }
    }

    /// A number from memory in the size of its register.
    fn widen(&mut self, value: Value, access: &Access) -> Value {
        let (from, to) = (memory_type(access.size), int_type(access.width));
        if from == to {
            value
        } else if access.signed {
            self.b.ins().sextend(to, value)
        } else {
            self.b.ins().uextend(to, value)
        }
    }

    pub(super) fn load(&mut self, ins: &Ins, pc: u32) {
        let access = self.program.accesses[ins.imm as usize];
        let (host, first) = self.place_of(ins, pc, &access);
        self.load_from(ins, &access, host, first);
    }

    /// Loads the registers of an instruction from where it lies on the host.
    pub(super) fn load_from(&mut self, ins: &Ins, access: &Access, host: Value, first: i32) {
        // All elements are read before any register is written: the address may be among them.
        let mut values = Vec::with_capacity(usize::from(access.count));
        for (k, register) in registers(self.program, ins).enumerate() {
            let ty = self.loaded_type(register, access);
            let at = first + k as i32 * i32::from(access.size);
            let value = self.b.ins().load(ty, kernel(), host, at);
            values.push(if ty.is_float() {
                value
            } else {
                self.widen(value, access)
            });
        }
        for (register, value) in registers(self.program, ins).zip(values) {
            self.set(register, value);
        }
    }

    /// Floating-point registers are loaded as they are kept.
    pub(super) fn loaded_type(&self, register: u32, access: &Access) -> Type {
        let kept = self.plan.numbers.get(&register).map(|&k| self.kept(k));
        match (kept, access.size) {
            (Some(F32), 4) => F32,
            (Some(F64), 8) => F64,
            _ => memory_type(access.size),
        }
    }

    pub(super) fn store(&mut self, ins: &Ins, pc: u32) {
        let access = self.program.accesses[ins.imm as usize];
        let (host, first) = self.place_of(ins, pc, &access);
        self.store_to(ins, &access, host, first);
    }

    /// Stores the registers of an instruction to where it lies on the host.
    pub(super) fn store_to(&mut self, ins: &Ins, access: &Access, host: Value, first: i32) {
        for (k, register) in registers(self.program, ins).enumerate() {
            let mut value = self.like(register, access.width, register);
            let ty = self.b.func.dfg.value_type(value);
            if ty.bits() != u32::from(access.size) * 8 {
                if ty.is_float() {
                    value = self.int(register, access.width);
                }
                value = self.b.ins().ireduce(memory_type(access.size), value);
            }
            let at = first + k as i32 * i32::from(access.size);
            self.b.ins().store(kernel(), value, host, at);
        }
    }

    /// Loads from the parameters of the kernel; the plan has looked at the offset.
    pub(super) fn load_param(&mut self, ins: &Ins) {
        let access = self.program.accesses[ins.imm as usize];
        let params = self
            .b
            .ins()
            .load(I64, fixed(), self.context, place::RAW_PARAMS);
        for (k, register) in registers(self.program, ins).enumerate() {
            let at = access.offset as i32 + k as i32 * i32::from(access.size);
            let flags = MemFlagsData::new()
                .with_notrap()
                .with_readonly()
                .with_can_move();
            let value = self
                .b
                .ins()
                .load(memory_type(access.size), flags, params, at);
            let value = self.widen(value, &access);
            self.set(register, value);
        }
    }
}

/// Memory of kernels: checked, aligned, and written by whoever likes.
fn kernel() -> MemFlagsData {
    MemFlagsData::trusted()
}
