//! Accesses that have an address register in common: they are checked together, where the first of them stands. Where that does not hold, another version of the rest of the block
//! checks each by itself, so that a fault is that of the right instruction.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

use super::build::Build;
use super::entry::Slot;
use super::shapes::{GROUP, Shape};
use crate::ptx::code::{Access, Ins, Loc, NONE, Op, Where};
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
                if !access.direct
                    && access.place != Where::Local
                    && !written.contains(&ins.a)
                    && self.may_join(ins, access)
                {
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
            self.plan.each_written(self.program, ins, |k| {
                written.insert(self.plan.registers[k].0);
            });
        }
        let mut groups: Vec<Group> = order.iter().filter_map(|key| found.remove(key)).collect();
        for group in &mut groups {
            let first = group.members.iter().map(|m| m.1).min().unwrap_or(0);
            group.members.retain(|m| (m.1 - first) % m.2 == 0);
        }
        let least = if self.is_group() { 1 } else { 2 };
        groups.retain(|group| group.members.len() >= least);
        groups
    }

    /// Whether an access can be checked with others: for groups of lanes, only where the lanes' addresses lie in a row, and where it is made for certain.
    fn may_join(&self, ins: &Ins, access: &Access) -> bool {
        !self.is_group() || ins.guard == NONE && self.row(ins, access).is_some()
    }

    /// Checks the groups of accesses from `pc` to the end of the block. What is returned is a condition, and where the accesses lie if it holds.
    pub(super) fn check_groups(&mut self, pc: u32, end: u32) -> Option<(Value, Places)> {
        let groups = self.groups(pc, end);
        let mut all: Option<Value> = None;
        let mut places = HashMap::new();
        for group in groups {
            let (good, host, first) = self.check_group(&group);
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

    /// The same in code for groups of lanes, which give up where a condition does not hold.
    pub(super) fn check_together(&mut self, pc: u32, end: u32) {
        let ins = &self.program.code[pc as usize];
        if !matches!(ins.op, Op::Load | Op::Store) || self.checked.contains_key(&pc) {
            return;
        }
        for group in self.groups(pc, end) {
            let (good, host, first) = self.check_group(&group);
            self.give_up_unless(good);
            for (at, offset, _) in group.members {
                self.checked.insert(at, (host, (offset - first) as i32));
            }
        }
    }

    /// A condition for a group, the host's address of the lowest access if it holds, and that access's offset.
    fn check_group(&mut self, group: &Group) -> (Value, Value, i64) {
        let first = group.members.iter().map(|m| m.1).min().unwrap_or(0);
        let mut span = group.members.iter().map(|m| m.1 + m.2).max().unwrap_or(0) - first;
        if let Shape::Steps(step) = self.shape_of(group.base) {
            span += step * (GROUP as i64 - 1);
        }
        let align = group.members.iter().map(|m| m.2).max().unwrap_or(1);
        let address = self.based(group.base, group.wide, first);
        let (good, base) = self.check(group.place, &[address], span, align, group.writes);
        let host = match base {
            Some(base) => self.b.ins().iadd(address, base),
            None => address,
        };
        (good, host, first)
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

    /// Whether accesses at some addresses, each of `span` bytes and aligned, lie in memory that may be used so; and what makes an address the host's.
    pub(super) fn check(
        &mut self,
        place: Where,
        addresses: &[Value],
        span: i64,
        align: i64,
        writes: bool,
    ) -> (Value, Option<Value>) {
        if !matches!(place, Where::Shared | Where::Local) {
            return self.check_global(place, addresses, span, align, writes);
        }
        let (bytes, base) = self.limit(place, 0);
        // How many places the first byte may have; the same for all lanes.
        let room = self.b.ins().iadd_imm_s(bytes, 1 - span);
        let zero = self.b.ins().iconst(I64, 0);
        let room = self.b.ins().smax(room, zero);
        let (mut most, mut any) = (addresses[0], addresses[0]);
        for &address in &addresses[1..] {
            most = self.b.ins().umax(most, address);
            any = self.b.ins().bor(any, address);
        }
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, most, room);
        let low = self.b.ins().band_imm_u(any, align - 1);
        let aligned = self.b.ins().icmp_imm_s(IntCC::Equal, low, 0);
        let good = self.b.ins().band(inside, aligned);
        (good, Some(base))
    }

    fn check_global(
        &mut self,
        place: Where,
        addresses: &[Value],
        span: i64,
        align: i64,
        writes: bool,
    ) -> (Value, Option<Value>) {
        let slot = self.new_slot();
        let log = align.trailing_zeros();
        let check = |s: &mut Self| {
            let (start, limit) = (s.of_slot(slot, Slot::START), s.of_slot(slot, Slot::LIMIT));
            let mut worst: Option<Value> = None;
            for &address in addresses {
                let offset = s.b.ins().isub(address, start);
                let turned = s.turned(offset, log);
                worst = Some(match worst {
                    Some(worst) => s.b.ins().umax(worst, turned),
                    None => turned,
                });
            }
            let worst = worst.unwrap_or(start);
            s.b.ins().icmp(IntCC::UnsignedLessThan, worst, limit)
        };
        let good = check(self);
        let (unknown, join) = (self.b.create_block(), self.b.create_block());
        self.b
            .append_block_param(join, cranelift_codegen::ir::types::I8);
        self.b.ins().brif(good, join, [&good.into()], unknown, []);
        self.b.set_cold_block(unknown);
        self.b.switch_to_block(unknown);
        let what =
            i64::from(log) | i64::from(writes) << 8 | i64::from(place == Where::Generic) << 9;
        let number = self.b.ins().iconst(I32, i64::from(slot));
        let span = self.b.ins().iconst(I64, span);
        let what = self.b.ins().iconst(I32, what);
        self.b.ins().call(
            self.helpers.look_up,
            &[self.context, number, what, addresses[0], span],
        );
        let good = check(self);
        self.b.ins().jump(join, [&good.into()]);
        self.b.switch_to_block(join);
        let good = self.b.block_params(join)[0];
        let base = (place == Where::Generic).then(|| self.of_slot(slot, Slot::HOST));
        (good, base)
    }
}
