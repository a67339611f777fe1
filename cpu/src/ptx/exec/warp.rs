//! The main loop: runs the paths of one warp, lets lanes part at branches and meet again.

use std::sync::atomic::{Ordering, fence};

use super::state::{Barrier, Frame, Grid, Path, Record, Shared, Trouble, Wait, Warp};
use crate::engine::{Fault, FaultKind};
use crate::ptx::alu::{FULL, get, put, put_pred};
use crate::ptx::code::{
    Bases, FUNCTION_STRIDE, FUNCTION_WINDOW, Ins, LOCAL_WINDOW, NONE, Op, PROVIDED, SHARED_WINDOW,
};
use crate::ptx::jit::After;
use crate::ptx::lower::flags::{ARRIVE, NEGATED, RED_AND, RED_OR, RED_POPC};
use crate::ptx::types::Space;

/// Backward branches that a warp may take before others have a turn.
const QUANTUM: u32 = 512;
/// Backward branches that a path may take before another path of its warp has a turn.
const PATH_QUANTUM: u32 = 32;
/// Quanta without a meeting after which waiting lanes go on alone: what they wait for may wait for them.
const PATIENCE: u32 = 64;

/// How a turn of a warp ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All lanes have ended.
    Done,
    /// Nothing can run before a barrier opens.
    Blocked,
    /// The quantum is used up.
    Tired,
}

/// How a path's turn ended.
enum PathEnd {
    /// It waits or is no more.
    Off,
    Tired,
}

impl Warp {
    /// Runs until nothing can run or the quantum is used up.
    pub(crate) fn run(&mut self, grid: &Grid<'_>, shared: &mut Shared) -> Result<Turn, Fault> {
        let mut budget = QUANTUM;
        self.take_machine_code(grid);
        loop {
            let Some(index) = self.next_path() else {
                if self.done() {
                    return Ok(Turn::Done);
                }
                if self.meet_across(grid) {
                    continue;
                }
                return Ok(Turn::Blocked);
            };
            self.cursor = index;
            match self.run_path(grid, shared, index, &mut budget)? {
                PathEnd::Tired if budget == 0 => {
                    if !self.jit {
                        grid.machine
                            .tired(grid.program, grid.function, grid.constants);
                    }
                    self.stalled += 1;
                    if self.stalled >= PATIENCE {
                        self.release_waiting();
                    }
                    return Ok(Turn::Tired);
                }
                _ => {}
            }
        }
    }

    /// Changes over to machine code that has been made meanwhile, where all lanes are together at an entry.
    fn take_machine_code(&mut self, grid: &Grid<'_>) {
        if !self.jit
            && let Some(code) = grid.machine.code()
            && let [path] = self.paths[..]
            && path.wait == Wait::Runnable
            && path.frame == 0
            && self.records.iter().all(|r| r.expected == 0)
        {
            self.jit = code.ins[path.pc as usize].op == Op::Compiled;
        }
    }

    /// The next path that can run, in turn.
    fn next_path(&self) -> Option<usize> {
        let count = self.paths.len();
        (1..=count)
            .map(|k| (self.cursor + k) % count)
            .find(|&k| self.paths[k].wait == Wait::Runnable)
    }

    /// Lets lanes that wait to meet others go on alone; whether there were any.
    pub(crate) fn release_waiting(&mut self) -> bool {
        self.stalled = 0;
        let mut any = false;
        for k in 0..self.records.len() {
            let record = self.records[k];
            if record.expected != 0 && record.arrived != 0 {
                any = true;
                self.records[k].expected &= !record.arrived;
                self.records[k].arrived = 0;
                self.paths.push(Path {
                    pc: record.pc,
                    mask: record.arrived,
                    record: record.parent,
                    frame: record.frame,
                    wait: Wait::Runnable,
                });
            }
        }
        any
    }

    pub(crate) fn new_record(&mut self, record: Record) -> u32 {
        match self.records.iter().position(|r| r.expected == 0) {
            Some(free) => {
                self.records[free] = record;
                free as u32
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        }
    }

    /// Lanes part: those of `taken` go to `to`, the others go on at `pc`; they meet at `meet`. Returns the lanes and the place with which the path goes on.
    fn part(
        &mut self,
        index: usize,
        mask: u32,
        taken: u32,
        to: u32,
        pc: u32,
        meet: u32,
    ) -> (u32, u32) {
        let path = self.paths[index];
        let mut record = path.record;
        if meet != NONE {
            let known = record != NONE && {
                let r = &self.records[record as usize];
                r.pc == meet && r.frame == path.frame
            };
            if !known {
                record = self.new_record(Record {
                    pc: meet,
                    frame: path.frame,
                    expected: mask,
                    arrived: 0,
                    parent: record,
                });
                self.paths[index].record = record;
            }
        }
        let rest = mask & !taken;
        if meet != NONE && to == meet {
            self.records[record as usize].arrived |= taken;
            return (rest, pc);
        }
        if meet != NONE && pc == meet {
            self.records[record as usize].arrived |= rest;
            return (taken, to);
        }
        self.paths.push(Path {
            pc: to,
            mask: taken,
            record,
            frame: path.frame,
            wait: Wait::Runnable,
        });
        (rest, pc)
    }

    /// Takes lanes out for good. Whether lanes were waiting for nobody else is seen to.
    pub(crate) fn end_lanes(&mut self, lanes: u32) {
        self.alive &= !lanes;
        for k in 0..self.records.len() {
            let record = &mut self.records[k];
            if record.expected & lanes == 0 {
                continue;
            }
            record.expected &= !lanes;
            if record.expected != 0 && record.arrived == record.expected {
                let record = *record;
                self.records[k].expected = 0;
                self.paths.push(Path {
                    pc: record.pc,
                    mask: record.arrived,
                    record: record.parent,
                    frame: record.frame,
                    wait: Wait::Runnable,
                });
            }
        }
    }

    pub(crate) fn remove_path(&mut self, index: usize) {
        self.paths.swap_remove(index);
        // The path that took the place is the next in turn.
        self.cursor = if index == 0 {
            self.paths.len().saturating_sub(1)
        } else {
            index - 1
        };
    }

    // SAFETY of all blocks in the loop: the instruction belongs to the function of the frame that `bases` was made for.
    #[expect(
        clippy::undocumented_unsafe_blocks,
        reason = "one comment for all instructions"
    )]
    #[inline(never)]
    fn run_path(
        &mut self,
        grid: &Grid<'_>,
        shared: &mut Shared,
        index: usize,
        budget: &mut u32,
    ) -> Result<PathEnd, Fault> {
        let machine = if self.jit { grid.machine.code() } else { None };
        let code = machine.map_or(&grid.program.code[..], |machine| &machine.ins[..]);
        let path = self.paths[index];
        let (mut pc, mut mask, mut frame) = (path.pc, path.mask, path.frame);
        let mut bases = self.bases(grid, frame);
        let mut local_base = self.frames[frame as usize].local_base;
        let mut turns = PATH_QUANTUM;
        macro_rules! fail {
            ($ins:expr, $trouble:expr) => {
                return Err(self.fault(grid, shared.index, $ins, $trouble))
            };
        }
        macro_rules! attempt {
            ($ins:expr, $result:expr) => {
                if let Err(trouble) = $result {
                    fail!($ins, trouble)
                }
            };
        }
        macro_rules! leave {
            ($wait:expr, $end:expr) => {{
                let path = &mut self.paths[index];
                (path.pc, path.mask, path.frame, path.wait) = (pc, mask, frame, $wait);
                return Ok($end);
            }};
        }
        macro_rules! backward {
            ($ins:expr) => {
                if $ins.flags & 1 != 0 {
                    *budget -= 1;
                    turns -= 1;
                    if *budget == 0 || (turns == 0 && self.paths.len() > 1) {
                        leave!(Wait::Runnable, PathEnd::Tired);
                    }
                    if turns == 0 {
                        turns = PATH_QUANTUM;
                    }
                }
            };
        }
        loop {
            let ins = &code[pc as usize];
            pc += 1;
            let mut m = mask;
            if ins.guard != NONE {
                // SAFETY: guards are predicates of the frame.
                let p = unsafe { *bases.at::<u32>(ins.guard >> 1) };
                m &= if ins.guard & 1 != 0 { !p } else { p };
                if m == 0 {
                    continue;
                }
            }
            match ins.op {
                Op::Alu => unsafe { (ins.alu)(&bases, ins, m) },
                Op::Load => attempt!(ins, unsafe {
                    self.load(grid, shared, &bases, ins, m, local_base)
                }),
                Op::Store => attempt!(ins, unsafe {
                    self.store(grid, shared, &bases, ins, m, local_base)
                }),
                Op::CopyAsync => attempt!(ins, unsafe {
                    self.copy_async(grid, shared, &bases, ins, m)
                }),
                Op::Matrix => attempt!(ins, unsafe { self.matrix(grid, shared, &bases, ins, m) }),
                Op::Image => attempt!(ins, unsafe { self.image(grid, shared, &bases, ins, m) }),
                Op::LoadParam => attempt!(ins, unsafe { self.load_param(grid, &bases, ins, m) }),
                Op::Atomic => attempt!(ins, unsafe {
                    self.atomic(grid, shared, &bases, ins, m, local_base)
                }),
                Op::Compiled => {
                    let Some(machine) = machine else {
                        unreachable!("only machine code has such instructions")
                    };
                    pc -= 1;
                    match self.compiled(
                        grid, shared, machine, &bases, index, local_base, &mut pc, &mut mask,
                    )? {
                        After::Together => {}
                        After::Off => return Ok(PathEnd::Off),
                        After::Tired => {
                            *budget = 0;
                            leave!(Wait::Runnable, PathEnd::Tired);
                        }
                    }
                }
                Op::Jump => {
                    pc = ins.imm as u32;
                    backward!(ins);
                }
                Op::Branch => {
                    let p = unsafe { *bases.at::<u32>(ins.a) };
                    let taken = mask & if ins.b != 0 { !p } else { p };
                    if taken == 0 {
                        continue;
                    }
                    if taken == mask {
                        pc = ins.imm as u32;
                    } else {
                        (mask, pc) = self.part(index, mask, taken, ins.imm as u32, pc, ins.c);
                        // The mask shrank: the path on record must, too, before anybody looks.
                        self.paths[index].mask = mask;
                    }
                    backward!(ins);
                }
                Op::BranchTable => {
                    let table = &grid.program.tables[ins.imm as usize];
                    let choice: [u32; 32] = unsafe { get(&bases, ins.a) };
                    let lane = m.trailing_zeros();
                    let Some(&target) = table.get(choice[lane as usize] as usize) else {
                        fail!(
                            ins,
                            Trouble {
                                kind: FaultKind::IllegalInstruction,
                                lane,
                                address: 0
                            }
                        )
                    };
                    let same = (0..32).fold(0, |bits, l| {
                        bits | u32::from(choice[l as usize] == choice[lane as usize]) << l
                    }) & m;
                    if same == mask {
                        pc = ins.d + target;
                    } else {
                        // The others come back to this instruction.
                        (mask, pc) = self.part(index, mask, same, ins.d + target, pc - 1, ins.c);
                        self.paths[index].mask = mask;
                    }
                    // The target may lie before: counted like a loop.
                    *budget -= 1;
                    if *budget == 0 {
                        leave!(Wait::Runnable, PathEnd::Tired);
                    }
                }
                Op::Meet => {
                    let record = self.paths[index].record;
                    if record == NONE {
                        continue;
                    }
                    let r = &mut self.records[record as usize];
                    if r.pc != pc - 1 || r.frame != frame {
                        continue;
                    }
                    r.arrived |= mask;
                    self.stalled = 0;
                    if r.arrived != r.expected {
                        self.remove_path(index);
                        return Ok(PathEnd::Off);
                    }
                    mask = r.arrived;
                    r.expected = 0;
                    let parent = r.parent;
                    let path = &mut self.paths[index];
                    (path.record, path.mask) = (parent, mask);
                    // The outer point of meeting may be the same.
                    pc -= 1;
                }
                Op::Exit => {
                    mask &= !m;
                    if mask == 0 {
                        self.remove_path(index);
                        self.end_lanes(m);
                        return Ok(PathEnd::Off);
                    }
                    self.paths[index].mask = mask;
                    self.end_lanes(m);
                }
                Op::Call | Op::CallIndirect => {
                    let mut function = ins.imm as u32;
                    if ins.op == Op::CallIndirect {
                        let targets: [u64; 32] = unsafe { get(&bases, ins.a) };
                        let lane = mask.trailing_zeros();
                        let target = targets[lane as usize];
                        let same = (0..32)
                            .fold(0, |bits, l| bits | u32::from(targets[l] == target) << l)
                            & mask;
                        if same != mask {
                            let (rest, _) =
                                self.part(index, mask, mask & !same, pc - 1, pc - 1, ins.c);
                            mask = rest;
                            self.paths[index].mask = mask;
                        }
                        let number = target.wrapping_sub(FUNCTION_WINDOW);
                        function = (number / FUNCTION_STRIDE).min(u64::from(u32::MAX)) as u32;
                        let callable = number.is_multiple_of(FUNCTION_STRIDE)
                            && self.callable(grid, function, ins);
                        if !callable {
                            fail!(
                                ins,
                                Trouble {
                                    kind: FaultKind::IllegalInstruction,
                                    lane,
                                    address: target
                                }
                            )
                        }
                    }
                    let Some(new) = self.enter(grid, shared, frame, function, ins.b, pc, mask)
                    else {
                        fail!(
                            ins,
                            Trouble {
                                kind: FaultKind::LaunchFailed,
                                lane: mask.trailing_zeros(),
                                address: 0
                            }
                        )
                    };
                    frame = new;
                    self.paths[index].frame = frame;
                    bases = self.bases(grid, frame);
                    local_base = self.frames[frame as usize].local_base;
                    pc = grid.program.functions[function as usize].start;
                    // Recursion is a loop, too.
                    *budget -= 1;
                    if *budget == 0 {
                        leave!(Wait::Runnable, PathEnd::Tired);
                    }
                }
                Op::Ret => {
                    let (parent, return_pc) = self.leave(grid, shared, frame, mask);
                    frame = parent;
                    self.paths[index].frame = frame;
                    self.drop_frames();
                    pc = return_pc;
                    bases = self.bases(grid, frame);
                    local_base = self.frames[frame as usize].local_base;
                }
                Op::CallBuiltin => {
                    attempt!(
                        ins,
                        self.builtin(
                            grid,
                            shared,
                            local_base,
                            PROVIDED[ins.imm as usize].1,
                            ins,
                            m
                        )
                    );
                }
                Op::Trap => fail!(
                    ins,
                    Trouble {
                        kind: FaultKind::Trap,
                        lane: m.trailing_zeros(),
                        address: 0
                    }
                ),
                Op::LocalAddress => unsafe {
                    let at = u64::from(local_base).wrapping_add(ins.imm);
                    if ins.b != 0 {
                        put(&bases, ins.d, &[at as u32; 32], m)
                    } else {
                        put(&bases, ins.d, &[at; 32], m)
                    }
                },
                Op::Fence => fence(Ordering::SeqCst),
                Op::IsSpace => unsafe { is_space(grid, &bases, ins, m) },
                Op::Barrier => {
                    let (id, wait) = match self.barrier(shared, &bases, ins, m) {
                        Ok(found) => found,
                        Err(trouble) => fail!(ins, trouble),
                    };
                    if wait {
                        leave!(Wait::Barrier(id), PathEnd::Off);
                    }
                }
                Op::ClusterBarrier => {
                    if ins.flags & ARRIVE != 0 {
                        shared.cluster_arrived += m.count_ones();
                        self.cluster_phase = shared.cluster_phase;
                    } else if self.cluster_phase == shared.cluster_phase {
                        leave!(Wait::Cluster, PathEnd::Off);
                    }
                }
                Op::Mbarrier => {
                    attempt!(ins, unsafe { self.mbarrier(grid, shared, &bases, ins, m) })
                }
                Op::BulkCopy => {
                    attempt!(ins, unsafe { self.bulk_copy(grid, shared, &bases, ins, m) })
                }
                Op::Cross => {
                    if !self.across_now(&bases, ins, m) {
                        pc -= 1;
                        leave!(Wait::Cross(m), PathEnd::Off);
                    }
                }
                Op::ActiveMask => unsafe { put(&bases, ins.d, &[m; 32], m) },
                Op::Clock => {
                    let value = clock(ins.sub != 0) >> ins.imm;
                    unsafe {
                        if ins.b != 0 {
                            put(&bases, ins.d, &[value as u32; 32], m)
                        } else {
                            put(&bases, ins.d, &[value; 32], m)
                        }
                    }
                }
                Op::Yield => {
                    // Whoever sleeps waits for others.
                    *budget = 0;
                    leave!(Wait::Runnable, PathEnd::Tired);
                }
                Op::StackAlloc | Op::StackSave | Op::StackRestore => {
                    attempt!(ins, self.stack(grid, &bases, ins, frame, m))
                }
            }
        }
    }

    /// Arrives at a barrier: its number, and whether to wait.
    fn barrier(
        &self,
        shared: &mut Shared,
        bases: &Bases,
        ins: &Ins,
        m: u32,
    ) -> Result<(u32, bool), Trouble> {
        let lane = m.trailing_zeros();
        // SAFETY: operands of an instruction of this frame.
        let (id, count) = unsafe {
            let id: [u32; 32] = get(bases, ins.a);
            let count = if ins.b == NONE {
                None
            } else {
                Some(get::<u32>(bases, ins.b)[lane as usize])
            };
            (id[lane as usize], count)
        };
        let Some(barrier) = shared.barriers.get_mut(id as usize) else {
            return Err(Trouble {
                kind: FaultKind::IllegalInstruction,
                lane,
                address: 0,
            });
        };
        // A warp that is not full counts as one where the number of threads is given.
        let threads = if count.is_some() && m == self.alive {
            32
        } else {
            m.count_ones()
        };
        barrier.arrived += threads;
        barrier.expected = barrier.expected.or(count.filter(|&c| c != 0));
        if ins.flags & (RED_POPC | RED_AND | RED_OR) != 0 {
            // SAFETY: as above.
            let p = unsafe { *bases.at::<u32>(ins.e) }
                ^ if ins.flags & NEGATED != 0 { FULL } else { 0 };
            barrier.popc += (p & m).count_ones();
            barrier.any |= p & m != 0;
            barrier.some_false |= !p & m != 0;
        }
        Ok((id, ins.flags & ARRIVE == 0))
    }

    /// Lets the paths go on that wait for the cluster.
    pub(crate) fn open_cluster(&mut self) {
        for path in &mut self.paths {
            if path.wait == Wait::Cluster {
                path.wait = Wait::Runnable;
            }
        }
    }

    /// Opens a barrier for the paths of this warp and hands out the result of a reduction.
    pub(crate) fn open_barrier(&mut self, grid: &Grid<'_>, id: u32, result: &Barrier) {
        for k in 0..self.paths.len() {
            if self.paths[k].wait != Wait::Barrier(id) {
                continue;
            }
            let path = self.paths[k];
            self.paths[k].wait = Wait::Runnable;
            let ins = &grid.program.code[path.pc as usize - 1];
            if ins.d == NONE {
                continue;
            }
            let bases = self.bases(grid, path.frame);
            // SAFETY: the destination belongs to the frame of the path.
            unsafe {
                let m = if ins.guard == NONE {
                    path.mask
                } else {
                    let p = *bases.at::<u32>(ins.guard >> 1);
                    path.mask & if ins.guard & 1 != 0 { !p } else { p }
                };
                match ins.flags & (RED_POPC | RED_AND | RED_OR) {
                    RED_POPC => put(&bases, ins.d, &[result.popc; 32], m),
                    RED_AND => put_pred(&bases, ins.d, if result.some_false { 0 } else { FULL }, m),
                    _ => put_pred(&bases, ins.d, if result.any { FULL } else { 0 }, m),
                }
            }
        }
    }

    /// `alloca`, `stacksave`, `stackrestore`: lanes of a warp move their stacks together.
    fn stack(
        &mut self,
        grid: &Grid<'_>,
        bases: &Bases,
        ins: &Ins,
        frame: u32,
        m: u32,
    ) -> Result<(), Trouble> {
        let frame: &mut Frame = &mut self.frames[frame as usize];
        let narrow = ins.b != 0;
        // SAFETY: operands of an instruction of this frame.
        unsafe {
            let read = |loc| -> [u64; 32] {
                if narrow {
                    get::<u32>(bases, loc).map(u64::from)
                } else {
                    get(bases, loc)
                }
            };
            let write = |value: u64| {
                if narrow {
                    put(bases, ins.d, &[value as u32; 32], m)
                } else {
                    put(bases, ins.d, &[value; 32], m)
                }
            };
            match ins.op {
                Op::StackAlloc => {
                    let sizes = read(ins.a);
                    let largest = (0..32)
                        .filter(|l| m >> l & 1 != 0)
                        .map(|l| sizes[l])
                        .max()
                        .unwrap_or(0);
                    let at = u64::from(frame.local_top).next_multiple_of(ins.imm.max(1));
                    let end = at.saturating_add(largest);
                    if end > grid.stack_bytes as u64 {
                        return Err(Trouble {
                            kind: FaultKind::LaunchFailed,
                            lane: m.trailing_zeros(),
                            address: 0,
                        });
                    }
                    frame.local_top = end as u32;
                    write(at);
                }
                Op::StackSave => write(u64::from(frame.local_top)),
                _ => {
                    // Lanes that diverged may still use what lies above: only a whole warp gives back.
                    let to = read(ins.a)[m.trailing_zeros() as usize];
                    if m == self.alive
                        && to <= u64::from(frame.local_top)
                        && to >= u64::from(frame.local_base)
                    {
                        frame.local_top = to as u32;
                    }
                }
            }
        }
        Ok(())
    }
}

/// # Safety
/// The instruction must belong to the frame of `bases`.
unsafe fn is_space(grid: &Grid<'_>, bases: &Bases, ins: &Ins, m: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let a: [u64; 32] = get(bases, ins.a);
        let window = 1u64 << 32;
        let _ = grid;
        let bits = (0..32).fold(0, |bits, l| {
            let shared = a[l] >= SHARED_WINDOW && a[l] - SHARED_WINDOW < window;
            let local = a[l] >= LOCAL_WINDOW && a[l] - LOCAL_WINDOW < window;
            let yes = match ins.sub {
                s if s == Space::Shared as u16 => shared,
                s if s == Space::Local as u16 => local,
                s if s == Space::Global as u16 => a[l] < SHARED_WINDOW,
                s if s == Space::Param as u16 => {
                    a[l] >= crate::ptx::code::PARAM_WINDOW
                        && a[l] - crate::ptx::code::PARAM_WINDOW < window
                }
                _ => false,
            };
            bits | u32::from(yes) << l
        });
        put_pred(bases, ins.d, bits, m);
    }
}

/// Ticks: nanoseconds since the first look (`%clock`) or since the epoch (`%globaltimer`).
fn clock(global: bool) -> u64 {
    use std::sync::OnceLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};
    static START: OnceLock<Instant> = OnceLock::new();
    if global {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64)
    } else {
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}
