//! Between the interpreter and machine code: what machine code sees of a warp, what it calls, and how lanes go on that left it.

use std::mem::offset_of;

use super::Code;
use super::shapes::GROUP;
use super::sweep::{self, Whole};
use crate::engine::Fault;
use crate::ptx::alu::FULL;
use crate::ptx::code::{Bases, Ins, NONE, Op, SHARED_WINDOW, Where};
use crate::ptx::exec::state::{Grid, Path, Record, Shared, Trouble, Wait, Warp};

/// Backward branches that a lane may take before it leaves machine code.
pub(super) const FUEL: u32 = 1 << 14;
/// In place of a position: the lane has ended.
pub(super) const FINISHED: u32 = u32::MAX;
/// Sizes of accesses that have a limit of their own: 1 to 64 bytes.
const SIZES: usize = 7;

/// A range of memory that an instruction touched last.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Slot {
    start: u64,
    /// Aligned places for the access from the start on; 0: nothing is known.
    limit: u64,
    /// Added to an address to get the host's.
    host: u64,
    unused: u64,
}

impl Slot {
    pub(super) const START: i32 = offset_of!(Slot, start) as i32;
    pub(super) const LIMIT: i32 = offset_of!(Slot, limit) as i32;
    pub(super) const HOST: i32 = offset_of!(Slot, host) as i32;
}

/// How the code for groups fares at an entry: what gives up for the most part is not tried for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Luck {
    runs: u32,
    /// Groups that gave up.
    lost: u32,
}

impl Luck {
    /// Runs after which it is looked at.
    const ENOUGH: u32 = 32;
    /// Runs that are left out then.
    const PAUSE: u32 = 480;

    #[inline]
    pub(super) fn worth_it(&mut self) -> bool {
        if self.runs < Luck::ENOUGH {
            return true;
        }
        // More than half of the groups, if there were four in each run.
        if self.lost > 2 * Luck::ENOUGH && self.runs < Luck::ENOUGH + Luck::PAUSE {
            self.runs += 1;
            return false;
        }
        *self = Luck::default();
        true
    }

    #[inline]
    pub(super) fn note(&mut self, lost: u32) {
        self.runs += 1;
        self.lost += lost;
    }
}

/// What machine code knows.
#[repr(C)]
pub(super) struct Context<'a, 'g> {
    bases: Bases,
    slots: *mut Slot,
    luck: *mut Luck,
    /// Shared memory of the block.
    shared_start: u64,
    /// How many places for an access of each size shared and local memory have.
    limits: &'a Limits,
    /// Local memory of the warp's first lane, and the distance to the next.
    local: u64,
    local_stride: u64,
    /// Where the frame's part of local memory starts.
    local_base: u64,
    /// Bytes of the kernel's parameters.
    params: *const u8,
    /// Where each lane goes on.
    next: [u32; 32],
    /// For each group of lanes that gave up, one more than the number of the entry at which the code for single lanes goes on.
    resume: [u32; 32 / GROUP],
    /// For code that runs whole blocks.
    block: sweep::Places,
    /// What [`resolve`] found: the host's address, or 0 after a fault.
    answer: u64,
    warp: *mut Warp,
    grid: &'a Grid<'g>,
    shared: &'a Shared,
    fault: Option<(u32, Trouble)>,
}

/// Places in [`Context`].
pub(super) mod place {
    use super::{Context, Limits, offset_of, sweep};

    pub(in super::super) const FRAME: i32 = offset_of!(Context<'_, '_>, bases) as i32;
    pub(in super::super) const SPECIAL: i32 = FRAME + 16;
    pub(in super::super) const PARAMS: i32 = FRAME + 24;
    pub(in super::super) const SLOTS: i32 = offset_of!(Context<'_, '_>, slots) as i32;
    pub(in super::super) const SHARED: i32 = offset_of!(Context<'_, '_>, shared_start) as i32;
    pub(in super::super) const LIMITS: i32 = offset_of!(Context<'_, '_>, limits) as i32;
    /// In what [`LIMITS`] leads to.
    pub(in super::super) const SHARED_LIMITS: i32 = offset_of!(Limits, shared) as i32;
    pub(in super::super) const LOCAL_LIMITS: i32 = offset_of!(Limits, local) as i32;
    pub(in super::super) const LOCAL: i32 = offset_of!(Context<'_, '_>, local) as i32;
    pub(in super::super) const LOCAL_STRIDE: i32 = offset_of!(Context<'_, '_>, local_stride) as i32;
    pub(in super::super) const LOCAL_BASE: i32 = offset_of!(Context<'_, '_>, local_base) as i32;
    pub(in super::super) const RAW_PARAMS: i32 = offset_of!(Context<'_, '_>, params) as i32;
    pub(in super::super) const ANSWER: i32 = offset_of!(Context<'_, '_>, answer) as i32;
    pub(in super::super) const RESUME: i32 = offset_of!(Context<'_, '_>, resume) as i32;
    pub(in super::super) const NEXT: i32 = offset_of!(Context<'_, '_>, next) as i32;
    const BLOCK: i32 = offset_of!(Context<'_, '_>, block) as i32;
    pub(in super::super) const WARPS: i32 = BLOCK + offset_of!(sweep::Places, warps) as i32;
    pub(in super::super) const NEXT_OF_WARPS: i32 = BLOCK + offset_of!(sweep::Places, next) as i32;
    pub(in super::super) const RESUME_OF_WARPS: i32 =
        BLOCK + offset_of!(sweep::Places, resume) as i32;
    pub(in super::super) const UNIFORM: i32 = BLOCK + offset_of!(sweep::Places, uniform) as i32;
    pub(in super::super) const ODD: i32 = BLOCK + offset_of!(sweep::Places, odd) as i32;
}

/// The compiled function: context, lanes, number of the entry. Not zero: a fault.
type Run = unsafe extern "C" fn(*mut Context<'_, '_>, u32, u32) -> u32;

/// How many aligned places (by `1 << log`) there are in a piece of memory for something of `span` bytes.
fn places(bytes: u64, span: u64, log: usize) -> u64 {
    if bytes < span {
        0
    } else {
        ((bytes - span) >> log) + 1
    }
}

impl Slot {
    /// For things of `span` bytes, aligned to `1 << log`, in a range of addresses.
    fn new((start, end, host): Known, span: u64, log: usize) -> Slot {
        let start = start.next_multiple_of(1 << log);
        Slot {
            start,
            limit: places(end.saturating_sub(start), span, log),
            host,
            unused: 0,
        }
    }
}

/// A range of addresses, and what is added to one to get the host's.
type Known = (u64, u64, u64);

impl Context<'_, '_> {
    /// The range around an address that machine code may use without asking: of global memory, the one that the warp found last.
    fn around(&self, warp: &Warp, address: u64, generic: bool) -> Option<Known> {
        let bytes = self.shared.bytes as u64;
        if address < SHARED_WINDOW {
            Some((warp.range.start, warp.range.end, 0))
        } else if generic && address - SHARED_WINDOW < bytes {
            let host = self.shared_start.wrapping_sub(SHARED_WINDOW);
            Some((SHARED_WINDOW, SHARED_WINDOW + bytes, host))
        } else {
            None
        }
    }
}

/// How many places for accesses of each size shared and local memory have.
#[repr(C)]
pub(crate) struct Limits {
    shared: [u64; SIZES],
    local: [u64; SIZES],
}

impl Limits {
    /// For memory of so many bytes.
    pub(crate) fn new(shared: usize, local: usize) -> Limits {
        let limits = |bytes: usize| std::array::from_fn(|log| places(bytes as u64, 1 << log, log));
        Limits {
            shared: limits(shared),
            local: limits(local),
        }
    }
}

/// Machine code asks for an address that it does not know.
///
/// # Safety
/// Called by machine code only, with its context.
pub(super) unsafe extern "C" fn resolve(
    context: *mut Context<'_, '_>,
    pc: u32,
    lane: u32,
    address: u64,
    slot: u32,
) {
    // SAFETY: the context lives as long as machine code runs, and nobody else uses it or the warp meanwhile.
    let (context, warp) = unsafe { (&mut *context, &mut *(*context).warp) };
    let ins = &context.grid.program.code[pc as usize];
    let access = &context.grid.program.accesses[ins.imm as usize];
    let size = u64::from(access.size) * u64::from(access.count);
    let write = ins.op == Op::Store;
    context.answer = match warp.resolve_one(
        context.grid,
        context.shared,
        access.place,
        address,
        size,
        lane,
        write,
    ) {
        Ok(host) => {
            if slot != NONE {
                let generic = access.place == Where::Generic;
                if let Some(known) = context.around(warp, address, generic) {
                    // SAFETY: the compiled function has its number of places, and slots were made for all of them.
                    unsafe {
                        *context.slots.add(slot as usize) =
                            Slot::new(known, size, size.trailing_zeros() as usize);
                    }
                }
            }
            host
        }
        Err(trouble) => {
            context.fault = Some((pc, trouble));
            0
        }
    };
}

/// Machine code asks for the range around an address, for several accesses together. `what`: alignment (its logarithm), whether something is written (bit 8), whether the address
/// is generic (bit 9).
///
/// # Safety
/// Called by machine code only, with its context.
pub(super) unsafe extern "C" fn look_up(
    context: *mut Context<'_, '_>,
    slot: u32,
    what: u32,
    address: u64,
    span: u64,
) {
    // SAFETY: as in [`resolve`].
    let (context, warp) = unsafe { (&mut *context, &mut *(*context).warp) };
    let (log, write, generic) = (what & 63, what >> 8 & 1 != 0, what >> 9 & 1 != 0);
    if address < SHARED_WINDOW
        && (!warp.readable(context.grid, address, 1) || write && !warp.range.writable)
    {
        return;
    }
    if let Some(known) = context.around(warp, address, generic) {
        // SAFETY: the compiled function has its number of places, and slots were made for all of them.
        unsafe { *context.slots.add(slot as usize) = Slot::new(known, span, log as usize) };
    }
}

/// Machine code has the interpreter's own function do an instruction for one lane.
///
/// # Safety
/// Called by machine code only, with its context and an instruction of the function that it was made from.
pub(super) unsafe extern "C" fn one_lane(
    context: *const Context<'_, '_>,
    ins: *const Ins,
    bit: u32,
) {
    // SAFETY: the caller's promise.
    unsafe { ((*ins).alu)(&(*context).bases, &*ins, bit) }
}

/// Runs warps that stand at the start of their kernel in machine code, up to the first boundary: most are done then.
pub(crate) fn start(
    warps: &mut [Warp],
    grid: &Grid<'_>,
    shared: &mut Shared,
    code: &Code,
) -> Result<(), Fault> {
    let mut context = Context::new(grid, shared, code);
    for warp in warps.iter_mut().filter(|warp| warp.jit) {
        let Path {
            mut pc, mut mask, ..
        } = warp.paths[0];
        if code.ins[pc as usize].op != Op::Compiled {
            continue;
        }
        let (bases, local_base) = (warp.bases(grid, 0), warp.frames[0].local_base);
        context.run_warp(warp, code, &bases, local_base, pc, mask)?;
        context.settle(warp, code, &mut pc, &mut mask)?;
    }
    Ok(())
}

impl<'a, 'g> Context<'a, 'g> {
    /// What is the same for all warps of a block.
    pub(super) fn new(grid: &'a Grid<'g>, shared: &'a mut Shared, code: &Code) -> Context<'a, 'g> {
        if shared.luck.len() < code.entries as usize || shared.slots.len() < code.slots as usize {
            shared.slots.resize(code.slots as usize, Slot::default());
            shared.luck.resize(code.entries as usize, Luck::default());
        }
        Context {
            bases: Bases([std::ptr::null_mut(); 4]),
            slots: shared.slots.as_mut_ptr(),
            luck: shared.luck.as_mut_ptr(),
            shared_start: shared.memory_start() as u64,
            limits: &shared.limits,
            local: 0,
            local_stride: shared.local.stack_bytes as u64,
            local_base: 0,
            params: grid.params.as_ptr(),
            next: [0; 32],
            resume: [0; 32 / GROUP],
            block: shared.sweep.places(),
            answer: 0,
            warp: std::ptr::null_mut(),
            grid,
            shared,
            fault: None,
        }
    }

    /// Runs the lanes of a mask of a warp from the instruction at `pc` on.
    #[inline]
    fn run_warp(
        &mut self,
        warp: &mut Warp,
        code: &Code,
        bases: &Bases,
        local_base: u32,
        pc: u32,
        mask: u32,
    ) -> Result<(), Fault> {
        self.resume = [0; 32 / GROUP];
        self.stand_at(warp, bases, local_base);
        if self.run(code, &code.ins[pc as usize], mask) {
            return Ok(());
        }
        Err(self.fault_of(warp, pc, mask.trailing_zeros()))
    }

    /// Machine code is to be about a warp.
    #[inline]
    fn stand_at(&mut self, warp: &mut Warp, bases: &Bases, local_base: u32) {
        self.bases = Bases(bases.0);
        self.local = self.shared.local.of(warp.id as usize * 32) as u64;
        self.local_base = u64::from(local_base);
        self.warp = std::ptr::from_mut(warp);
    }

    /// The fault that machine code left; without one, it failed at `pc` in `lane`.
    #[cold]
    pub(super) fn fault_of(&self, warp: &Warp, pc: u32, lane: u32) -> Fault {
        let (at, trouble) = self.fault.unwrap_or((
            pc,
            Trouble {
                kind: crate::engine::FaultKind::LaunchFailed,
                lane,
                address: 0,
            },
        ));
        let ins = &self.grid.program.code[at as usize];
        warp.fault(self.grid, self.shared.index, ins, trouble)
    }

    /// Runs the first groups of a block in code for whole blocks. False after a fault.
    pub(super) fn run_block(&mut self, first: &mut Warp, whole: &Whole, groups: u32) -> bool {
        let bases = first.bases_from(self.grid, 0);
        self.stand_at(first, &bases, 0);
        // SAFETY: the address is that of a function in this form, and the code lives as long as the module.
        let run = unsafe { std::mem::transmute::<usize, Run>(whole.address as usize) };
        // SAFETY: the context is complete; the block has so many groups, and the lists have room for each of its warps.
        unsafe { run(self, groups, 0) == 0 }
    }

    /// Whether code for whole blocks left groups that have not ended.
    #[inline]
    pub(super) fn is_odd(&self) -> bool {
        self.block.odd != 0
    }

    /// Takes over where groups of a warp stopped in code for whole blocks; whether any did.
    pub(super) fn take_places(&mut self, warp: usize) -> bool {
        // SAFETY: the lists are as long as there are warps, and nobody else uses them.
        let (next, resume) = unsafe {
            (
                &mut *self.block.next.add(warp),
                &mut *self.block.resume.add(warp),
            )
        };
        self.next = std::mem::replace(next, [FINISHED; 32]);
        self.resume = std::mem::replace(resume, [0; 32 / GROUP]);
        self.next.iter().any(|&pc| pc != FINISHED) || self.resume.iter().any(|&entry| entry != 0)
    }

    /// Lets the lanes of a warp go on whose groups did not end in code for whole blocks, and those that are no whole group.
    pub(super) fn go_on(&mut self, warp: &mut Warp, code: &Code, ins: &Ins) -> Result<(), Fault> {
        let Path {
            mut pc, mut mask, ..
        } = warp.paths[0];
        let (bases, local_base) = (warp.bases(self.grid, 0), warp.frames[0].local_base);
        self.stand_at(warp, &bases, local_base);
        if !self.run_lanes(ins, mask, whole_groups(mask)) {
            return Err(self.fault_of(warp, pc, mask.trailing_zeros()));
        }
        self.settle(warp, code, &mut pc, &mut mask)
    }

    /// Sees where the lanes of a warp's only path are, and where that goes on.
    #[inline]
    fn settle(
        &self,
        warp: &mut Warp,
        code: &Code,
        pc: &mut u32,
        mask: &mut u32,
    ) -> Result<(), Fault> {
        match warp.sort_out(code, &self.next, 0, pc, mask)? {
            After::Off => {}
            After::Together | After::Tired => {
                (warp.paths[0].pc, warp.paths[0].mask) = (*pc, *mask);
            }
        }
        Ok(())
    }

    /// Runs lanes from an entry on: whole groups in the code for groups, and the lanes of others, and of groups that gave up, one after the other. False after a fault.
    #[inline]
    fn run(&mut self, code: &Code, ins: &Ins, mask: u32) -> bool {
        // SAFETY: the address is that of a function that was compiled for this instruction, and the code lives as long as the module.
        let function = |at: u64| unsafe { std::mem::transmute::<usize, Run>(at as usize) };
        let groups = match code.groups.get(usize::from(ins.sub)) {
            Some(&at) if self.shared.rows => {
                // SAFETY: there is one for each entry, and nobody else uses it.
                let luck = unsafe { &mut *self.luck.add(ins.b as usize) };
                let whole = if luck.worth_it() {
                    whole_groups(mask)
                } else {
                    0
                };
                if whole != 0 {
                    // SAFETY: the context is complete; the frame is that of the function that was compiled.
                    let _ = unsafe { function(at)(self, whole, ins.a) };
                    let lost = self.resume.iter().filter(|&&entry| entry != 0).count();
                    luck.note(lost as u32);
                }
                whole
            }
            _ => 0,
        };
        self.run_lanes(ins, mask, groups)
    }

    /// Runs the lanes one after the other that are not in one of some groups (named by their first lanes), or in one that gave up. False after a fault.
    #[inline]
    fn run_lanes(&mut self, ins: &Ins, mask: u32, groups: u32) -> bool {
        // SAFETY: the address is that of a function that was compiled for this instruction, and the code lives as long as the module.
        let run = unsafe { std::mem::transmute::<usize, Run>(ins.imm as usize) };
        let mut left = (0, ins.a);
        for group in 0..32 / GROUP {
            let first = group * GROUP;
            let lanes = mask & (((1 << GROUP) - 1) << first);
            let entry = match self.resume[group] {
                0 if groups >> first & 1 != 0 => continue,
                0 => ins.a,
                number => number - 1,
            };
            if entry == left.1 {
                left.0 |= lanes;
                continue;
            }
            // SAFETY: as above.
            if left.0 != 0 && unsafe { run(self, left.0, left.1) } != 0 {
                return false;
            }
            left = (lanes, entry);
        }
        // SAFETY: as above.
        left.0 == 0 || unsafe { run(self, left.0, left.1) } == 0
    }
}

/// The first lanes of the groups that are there as a whole.
fn whole_groups(mask: u32) -> u32 {
    let (two, four);
    two = mask & mask >> 1;
    four = two & two >> 2;
    four & four >> 4 & 0x0101_0101
}

/// How a path that left machine code goes on.
pub(crate) enum After {
    /// Together, here.
    Together,
    /// It has no lanes any more, or its lanes wait.
    Off,
    /// It has used up its time.
    Tired,
}

impl Warp {
    /// Runs the lanes of a path in machine code, from the instruction at `pc` on; `pc` and `mask` are where the path goes on.
    pub(crate) fn compiled(
        &mut self,
        grid: &Grid<'_>,
        shared: &mut Shared,
        code: &Code,
        bases: &Bases,
        index: usize,
        local_base: u32,
        pc: &mut u32,
        mask: &mut u32,
    ) -> Result<After, Fault> {
        let mut context = Context::new(grid, shared, code);
        context.run_warp(self, code, bases, local_base, *pc, *mask)?;
        self.sort_out(code, &context.next, index, pc, mask)
    }

    /// Sees where the lanes are.
    fn sort_out(
        &mut self,
        code: &Code,
        next: &[u32; 32],
        index: usize,
        pc: &mut u32,
        mask: &mut u32,
    ) -> Result<After, Fault> {
        let first = next[mask.trailing_zeros() as usize & 31];
        let mut same = true;
        if *mask == FULL {
            for &at in next {
                same &= at == first;
            }
        } else {
            same = lanes_at(next, first, *mask) == *mask;
        }
        if !same || first == FINISHED {
            let done = if same {
                *mask
            } else {
                lanes_at(next, FINISHED, *mask)
            };
            *mask &= !done;
            if *mask == 0 {
                self.remove_path(index);
                self.end_lanes(done);
                return Ok(After::Off);
            }
            if done != 0 {
                self.paths[index].mask = *mask;
                self.end_lanes(done);
            }
        }
        let first = next[mask.trailing_zeros() as usize & 31];
        if same || lanes_at(next, first, *mask) == *mask {
            *pc = first;
            return Ok(self.arrive_behind(code, index, pc, mask));
        }
        self.part_behind(code, next, index, pc, mask);
        Ok(After::Tired)
    }

    /// All lanes of a path left machine code at the same place. Others may wait there for them.
    fn arrive_behind(&mut self, code: &Code, index: usize, pc: &mut u32, mask: &mut u32) -> After {
        let op = code.ins[*pc as usize].op;
        if op == Op::Compiled {
            return After::Tired;
        }
        let path = self.paths[index];
        if path.record == NONE || op == Op::Meet {
            return After::Together;
        }
        let record = &mut self.records[path.record as usize];
        if record.pc != *pc || record.frame != path.frame {
            return After::Together;
        }
        record.arrived |= *mask;
        self.stalled = 0;
        if record.arrived != record.expected {
            self.remove_path(index);
            return After::Off;
        }
        *mask = record.arrived;
        record.expected = 0;
        let parent = record.parent;
        (self.paths[index].record, self.paths[index].mask) = (parent, *mask);
        After::Together
    }

    /// Some lanes ran out of fuel in loops: they go on there, and the others wait where all come to.
    fn part_behind(
        &mut self,
        code: &Code,
        next: &[u32; 32],
        index: usize,
        pc: &mut u32,
        mask: &mut u32,
    ) {
        let path = self.paths[index];
        let meet = (0..32)
            .filter(|lane| *mask >> lane & 1 != 0)
            .find_map(|lane| code.loops.get(&next[lane]).copied())
            .unwrap_or(NONE);
        let mut record = path.record;
        let known = record != NONE && {
            let r = &self.records[record as usize];
            r.pc == meet && r.frame == path.frame
        };
        if meet != NONE && !known {
            record = self.new_record(Record {
                pc: meet,
                frame: path.frame,
                expected: *mask,
                arrived: 0,
                parent: path.record,
            });
        }
        let mut left = *mask;
        if meet != NONE {
            let arrived = lanes_at(next, meet, left);
            self.records[record as usize].arrived |= arrived;
            left &= !arrived;
        }
        // At least one lane is in a loop, and goes on with the path.
        let mut kept = None;
        while left != 0 {
            let at = next[left.trailing_zeros() as usize & 31];
            let lanes = lanes_at(next, at, left);
            left &= !lanes;
            if kept.is_none() {
                kept = Some((at, lanes));
                continue;
            }
            self.paths.push(Path {
                pc: at,
                mask: lanes,
                record,
                frame: path.frame,
                wait: Wait::Runnable,
            });
        }
        let (at, lanes) = kept.unwrap_or((*pc, *mask));
        (*pc, *mask) = (at, lanes);
        self.paths[index].record = record;
    }
}

/// The lanes of `mask` that go on at `pc`.
#[inline]
fn lanes_at(next: &[u32; 32], pc: u32, mask: u32) -> u32 {
    let mut bits = 0;
    for (lane, &at) in next.iter().enumerate() {
        bits |= u32::from(at == pc) << lane;
    }
    bits & mask
}
