//! Loads and stores in machine code: an address is compared with the range of memory that the instruction touched last; only where it does not fit, the engine is asked.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};

use super::build::{Build, fixed, int_type, own};
use super::entry::{Slot, place};
use crate::ptx::code::{Access, Ins, NONE, Where};
use crate::ptx::types::Width;

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
    fn address(&mut self, ins: &Ins, access: &Access) -> Value {
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
        // Offset in the range with its lowest bits on top: one comparison sees both whether it lies inside and whether it is aligned.
        let (offset, limit, base, slot) = match access.place {
            Where::Shared => {
                let limit = self.b.ins().load(
                    I64,
                    fixed(),
                    self.context,
                    place::SHARED_LIMITS + 8 * log as i32,
                );
                let base = self.b.ins().load(I64, fixed(), self.context, place::SHARED);
                (address, limit, Some(base), NONE)
            }
            Where::Local => {
                let limit = self.b.ins().load(
                    I64,
                    fixed(),
                    self.context,
                    place::LOCAL_LIMITS + 8 * log as i32,
                );
                (address, limit, Some(self.local), NONE)
            }
            _ => {
                let slot = self.slots;
                self.slots += 1;
                let slots = self.b.ins().load(I64, fixed(), self.context, place::SLOTS);
                let at = (slot as usize * size_of::<Slot>()) as i32;
                let start = self.b.ins().load(I64, own(), slots, at + Slot::START);
                let limit = self.b.ins().load(I64, own(), slots, at + Slot::LIMIT);
                let base = (access.place == Where::Generic)
                    .then(|| self.b.ins().load(I64, own(), slots, at + Slot::HOST));
                (self.b.ins().isub(address, start), limit, base, slot)
            }
        };
        let turned = if log == 0 {
            offset
        } else {
            self.b.ins().rotr_imm_u(offset, i64::from(log))
        };
        let good = self.b.ins().icmp(IntCC::UnsignedLessThan, turned, limit);
        let (quick, slow, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.append_block_param(join, I64);
        self.b.ins().brif(good, quick, [], slow, []);
        self.b.switch_to_block(quick);
        let host = match (access.place, base) {
            (Where::Generic, Some(base)) | (_, Some(base)) => self.b.ins().iadd(
                if access.place == Where::Generic {
                    address
                } else {
                    offset
                },
                base,
            ),
            (_, None) => address,
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

    /// The registers of a load or store.
    fn registers(&self, ins: &Ins, access: &Access) -> Vec<u32> {
        if access.count == 1 {
            vec![ins.d]
        } else {
            (0..u32::from(access.count))
                .map(|k| self.program.lists[(access.list + k) as usize])
                .collect()
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
        let registers = self.registers(ins, &access);
        // All elements are read before any register is written: the address may be among them.
        let mut values = Vec::with_capacity(registers.len());
        for (k, &register) in registers.iter().enumerate() {
            let ty = self.loaded_type(register, &access);
            let value = self.b.ins().load(
                ty,
                kernel(),
                host,
                first + k as i32 * i32::from(access.size),
            );
            values.push(if ty.is_float() {
                value
            } else {
                self.widen(value, &access)
            });
        }
        for (register, value) in registers.into_iter().zip(values) {
            self.set(register, value);
        }
    }

    /// Floating-point registers are loaded as they are kept.
    fn loaded_type(&self, register: u32, access: &Access) -> Type {
        let float = self
            .plan
            .numbers
            .get(&register)
            .is_some_and(|&k| self.float[k]);
        match (float, access.size, access.width) {
            (true, 4, Width::W32) => cranelift_codegen::ir::types::F32,
            (true, 8, Width::W64) => cranelift_codegen::ir::types::F64,
            _ => memory_type(access.size),
        }
    }

    pub(super) fn store(&mut self, ins: &Ins, pc: u32) {
        let access = self.program.accesses[ins.imm as usize];
        let (host, first) = self.place_of(ins, pc, &access);
        for (k, register) in self.registers(ins, &access).into_iter().enumerate() {
            let mut value = self.like(register, access.width, register);
            let ty = self.b.func.dfg.value_type(value);
            if ty.bits() != u32::from(access.size) * 8 {
                if ty.is_float() {
                    value = self.int(register, access.width);
                }
                value = self.b.ins().ireduce(memory_type(access.size), value);
            }
            self.b.ins().store(
                kernel(),
                value,
                host,
                first + k as i32 * i32::from(access.size),
            );
        }
    }

    /// Loads from the parameters of the kernel; the plan has looked at the offset.
    pub(super) fn load_param(&mut self, ins: &Ins) {
        let access = self.program.accesses[ins.imm as usize];
        let params = self
            .b
            .ins()
            .load(I64, fixed(), self.context, place::RAW_PARAMS);
        for (k, register) in self.registers(ins, &access).into_iter().enumerate() {
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
