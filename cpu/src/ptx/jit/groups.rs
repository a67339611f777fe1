//! Accesses that have an address register in common: they are checked together, where the first of them stands. Where that does not hold, another version of the rest of the block
//! checks each by itself, so that a fault is that of the right instruction.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

use super::build::{Build, fixed, own};
use super::entry::{Slot, place};
use crate::ptx::code::{Access, Ins, Loc, Op, Where};
use crate::ptx::types::Width;

/// Accesses this far apart are not looked at together, bytes.
const FAR: i64 = 1 << 15;
/// Most versions of a block within one another.
pub(super) const DEPTH: u32 = 3;

/// Where accesses lie: a host address, and an offset.
pub(super) type Places = HashMap<u32, (Value, i32)>;

/// Some accesses with the same address register.
struct Group {
    base: Loc,
    place: Where,
    wide: bool,
    /// Position, offset and bytes of each.
    members: Vec<(u32, i64, i64)>,
    writes: bool,
}

impl Build<'_, '_> {
    /// Groups of accesses from `pc` to the end of the block whose registers are known by now.
    fn groups(&self, pc: u32, end: u32) -> Vec<Group> {
        let mut written: HashSet<Loc> = HashSet::new();
        let mut found: HashMap<(Loc, Where, bool), Group> = HashMap::new();
        let mut order = Vec::new();
        for at in pc..end {
            let ins = &self.program.code[at as usize];
            if matches!(ins.op, Op::Load | Op::Store) && !self.checked.contains_key(&at) {
                let access = &self.program.accesses[ins.imm as usize];
                if !access.direct && access.place != Where::Local && !written.contains(&ins.a) {
                    let key = (ins.a, access.place, access.wide_address);
                    let group = found.entry(key).or_insert_with(|| {
                        order.push(key);
                        Group {
                            base: ins.a,
                            place: access.place,
                            wide: access.wide_address,
                            members: Vec::new(),
                            writes: false,
                        }
                    });
                    let first = group.members.first().map_or(access.offset, |m| m.1);
                    if (access.offset - first).abs() < FAR {
                        let total = i64::from(access.size) * i64::from(access.count);
                        group.members.push((at, access.offset, total));
                        group.writes |= ins.op == Op::Store;
                    }
                }
            }
            for loc in self.written(ins) {
                written.insert(loc);
            }
        }
        let mut groups: Vec<Group> = order.iter().filter_map(|key| found.remove(key)).collect();
        for group in &mut groups {
            let first = group.members.iter().map(|m| m.1).min().unwrap_or(0);
            group.members.retain(|m| (m.1 - first) % m.2 == 0);
        }
        groups.retain(|group| group.members.len() > 1);
        groups
    }

    /// Registers that an instruction writes.
    fn written(&self, ins: &Ins) -> Vec<Loc> {
        match ins.op {
            Op::Load | Op::LoadParam => {
                let access: &Access = &self.program.accesses[ins.imm as usize];
                if access.count == 1 {
                    vec![ins.d]
                } else {
                    (0..u32::from(access.count))
                        .map(|k| self.program.lists[(access.list + k) as usize])
                        .collect()
                }
            }
            Op::Store => Vec::new(),
            _ => vec![ins.d, ins.e],
        }
    }

    /// Checks the groups of accesses from `pc` to the end of the block. What is returned is a condition, and where the accesses lie if it holds.
    pub(super) fn check_groups(&mut self, pc: u32, end: u32) -> Option<(Value, Places)> {
        let groups = self.groups(pc, end);
        if groups.is_empty() {
            return None;
        }
        let mut all: Option<Value> = None;
        let mut places = HashMap::new();
        for group in groups {
            let first = group.members.iter().map(|m| m.1).min().unwrap_or(0);
            let span = group.members.iter().map(|m| m.1 + m.2).max().unwrap_or(0) - first;
            let align = group.members.iter().map(|m| m.2).max().unwrap_or(1);
            let address = self.based(group.base, group.wide, first);
            let (good, host) = match group.place {
                Where::Shared => self.check_shared(address, span, align),
                _ => self.check_global(address, span, align, &group),
            };
            all = Some(match all {
                Some(all) => self.b.ins().band(all, good),
                None => good,
            });
            for (at, offset, _) in group.members {
                places.insert(at, (host, (offset - first) as i32));
            }
        }
        all.map(|all| (all, places))
    }

    /// A register and an offset as an address.
    pub(super) fn based(&mut self, base: Loc, wide: bool, offset: i64) -> Value {
        if wide {
            let base = self.int(base, Width::W64);
            self.b.ins().iadd_imm_s(base, offset)
        } else {
            let base = self.int(base, Width::W32);
            let offset = self.b.ins().iconst(I32, i64::from(offset as u32));
            let sum = self.b.ins().iadd(base, offset);
            self.b.ins().uextend(I64, sum)
        }
    }

    fn check_shared(&mut self, address: Value, span: i64, align: i64) -> (Value, Value) {
        let bytes = self
            .b
            .ins()
            .load(I64, fixed(), self.context, place::SHARED_LIMITS);
        // How many places the first byte may have; the same for all lanes.
        let room = self.b.ins().iadd_imm_s(bytes, 1 - span);
        let zero = self.b.ins().iconst(I64, 0);
        let room = self.b.ins().smax(room, zero);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, address, room);
        let low = self.b.ins().band_imm_u(address, align - 1);
        let aligned = self.b.ins().icmp_imm_s(IntCC::Equal, low, 0);
        let good = self.b.ins().band(inside, aligned);
        let base = self.b.ins().load(I64, fixed(), self.context, place::SHARED);
        (good, self.b.ins().iadd(address, base))
    }

    fn check_global(
        &mut self,
        address: Value,
        span: i64,
        align: i64,
        group: &Group,
    ) -> (Value, Value) {
        let slot = self.slots;
        self.slots += 1;
        let slots = self.b.ins().load(I64, fixed(), self.context, place::SLOTS);
        let at = (slot as usize * size_of::<Slot>()) as i32;
        let log = align.trailing_zeros();
        let check = |s: &mut Self| {
            let start = s.b.ins().load(I64, own(), slots, at + Slot::START);
            let limit = s.b.ins().load(I64, own(), slots, at + Slot::LIMIT);
            let offset = s.b.ins().isub(address, start);
            let turned = if log == 0 {
                offset
            } else {
                s.b.ins().rotr_imm_u(offset, i64::from(log))
            };
            s.b.ins().icmp(IntCC::UnsignedLessThan, turned, limit)
        };
        let good = check(self);
        let (unknown, join) = (self.b.create_block(), self.b.create_block());
        self.b
            .append_block_param(join, cranelift_codegen::ir::types::I8);
        self.b.ins().brif(good, join, [&good.into()], unknown, []);
        self.b.set_cold_block(unknown);
        self.b.switch_to_block(unknown);
        let what = i64::from(log)
            | i64::from(group.writes) << 8
            | i64::from(group.place == Where::Generic) << 9;
        let number = self.b.ins().iconst(I32, i64::from(slot));
        let span = self.b.ins().iconst(I64, span);
        let what = self.b.ins().iconst(I32, what);
        self.b.ins().call(
            self.helpers.look_up,
            &[self.context, number, what, address, span],
        );
        let good = check(self);
        self.b.ins().jump(join, [&good.into()]);
        self.b.switch_to_block(join);
        let good = self.b.block_params(join)[0];
        let host = if group.place == Where::Generic {
            let base = self.b.ins().load(I64, own(), slots, at + Slot::HOST);
            self.b.ins().iadd(address, base)
        } else {
            address
        };
        (good, host)
    }
}
