//! Loads and stores of groups of lanes: addresses in a row are checked together and make vectors; others are checked by the furthest of them, and are taken lane by lane.

use cranelift_codegen::ir::{InstBuilder, Value};

use super::build::Build;
use super::registers::{Mode, unaligned};
use super::shapes::{GROUP, Shape};
use crate::ptx::code::{Access, Ins, Op, Where};
use crate::ptx::types::Width;

/// Where the lanes' accesses lie on the host.
enum Places {
    /// A place and an offset of the first lane, and how far it is to the next.
    Row(Value, i32, i64),
    /// A place for each lane.
    Each(Vec<Value>),
}

impl Build<'_, '_> {
    /// How far it is from one lane's address to the next, if that is the same from lane to lane, and leaves them aligned and in order.
    pub(super) fn row(&self, ins: &Ins, access: &Access) -> Option<i64> {
        let total = i64::from(access.size) * i64::from(access.count);
        match self.shape_of(ins.a) {
            _ if access.direct => Some(0),
            Shape::Steps(s) if s >= 0 && s % total == 0 => Some(s),
            _ => None,
        }
    }

    /// Where an access lies; where it may not be made, the group gives up.
    fn places(&mut self, ins: &Ins, pc: u32, access: &Access) -> Places {
        let step = self.row(ins, access);
        if let (Some(step), Some(&(host, first))) = (step, self.checked.get(&pc)) {
            return Places::Row(host, first, step);
        }
        let local = access.place == Where::Local;
        let total = i64::from(access.size) * i64::from(access.count);
        let (addresses, span, row) = match step {
            Some(step) if !local || step == 0 => {
                let address = self.address(ins, access);
                (vec![address], total + step * (GROUP as i64 - 1), Some(step))
            }
            _ => {
                let each = (0..GROUP)
                    .map(|lane| self.in_mode(Mode::Lane(lane), |s| s.address(ins, access)))
                    .collect();
                (each, total, None)
            }
        };
        let writes = ins.op == Op::Store;
        let (good, base) = self.check(access.place, &addresses, span, total, writes);
        self.give_up_unless(good);
        let mut hosts: Vec<Value> = addresses
            .into_iter()
            .map(|address| match base {
                Some(base) => self.b.ins().iadd(address, base),
                None => address,
            })
            .collect();
        match row {
            Some(step) if !local => Places::Row(hosts[0], 0, step),
            _ => {
                // Each lane has local memory of its own.
                hosts.resize(GROUP, hosts[0]);
                if local {
                    let mut far = self.local_stride;
                    for host in &mut hosts[1..] {
                        *host = self.b.ins().iadd(*host, far);
                        far = self.b.ins().iadd(far, self.local_stride);
                    }
                }
                Places::Each(hosts)
            }
        }
    }

    /// Does something for each lane where it lies.
    fn each_lane(&mut self, places: Places, mut f: impl FnMut(&mut Self, Value, i32)) {
        for lane in 0..GROUP {
            let (host, at) = match &places {
                Places::Row(host, first, step) => (*host, first + *step as i32 * lane as i32),
                Places::Each(hosts) => (hosts[lane], 0),
            };
            self.in_mode(Mode::Lane(lane), |s| f(s, host, at));
        }
        self.put_together();
    }

    /// Modes in which vectors are what the lanes have side by side in memory, for one element of the register's size.
    fn vectors(&self, access: &Access, step: i64) -> Option<Vec<Mode>> {
        if access.count != 1 || step != i64::from(access.size) {
            return None;
        }
        match (access.width, access.size) {
            (Width::W32, 4) => Some((0..GROUP / 4).map(Mode::Quad).collect()),
            (Width::W64, 8) => Some((0..GROUP / 2).map(Mode::Pair).collect()),
            _ => None,
        }
    }

    pub(super) fn load_group(&mut self, ins: &Ins, pc: u32) {
        let access = self.program.accesses[ins.imm as usize];
        match self.places(ins, pc, &access) {
            Places::Row(host, first, 0) => self.load_from(ins, &access, host, first),
            Places::Row(host, first, step) if let Some(modes) = self.vectors(&access, step) => {
                let ty = self.loaded_type(ins.d, &access);
                for (p, mode) in modes.into_iter().enumerate() {
                    self.in_mode(mode, |s| {
                        let ty = s.shaped(ty);
                        let at = first + 16 * p as i32;
                        let value = s.b.ins().load(ty, unaligned(), host, at);
                        s.set(ins.d, value);
                    });
                }
            }
            places => self.each_lane(places, |s, host, at| s.load_from(ins, &access, host, at)),
        }
    }

    pub(super) fn store_group(&mut self, ins: &Ins, pc: u32) {
        let access = self.program.accesses[ins.imm as usize];
        match self.places(ins, pc, &access) {
            // The last lane wins.
            Places::Row(host, first, 0) => self.in_mode(Mode::Lane(GROUP - 1), |s| {
                s.store_to(ins, &access, host, first);
            }),
            Places::Row(host, first, step) if let Some(modes) = self.vectors(&access, step) => {
                for (p, mode) in modes.into_iter().enumerate() {
                    self.in_mode(mode, |s| {
                        let value = s.like(ins.d, access.width, ins.d);
                        let at = first + 16 * p as i32;
                        s.b.ins().store(unaligned(), value, host, at);
                    });
                }
            }
            places => self.each_lane(places, |s, host, at| s.store_to(ins, &access, host, at)),
        }
    }
}
