//! Whole blocks at once: one call of machine code runs all groups of lanes of a block, from the start of the kernel on.
//!
//! Most kernels that do something with each element of an array end without any boundary. What an engine does for each warp (registers that tell the block, paths, looking where the lanes
//! ended) takes longer there than the kernel itself. So a third form of the code goes over the groups of a block in a loop ([`super::build::Form::Block`]). It takes for granted that groups
//! end; one that does not (it gives up, comes to a boundary, or has used up its time) is noted as *odd*. Only the warps of such groups are made ready for the block, behind the call, and go
//! on as if their code for groups had stopped there.

use super::Code;
use super::entry::{Context, FINISHED, Luck};
use super::plan::Plan;
use super::shapes::GROUP;
use crate::engine::Fault;
use crate::ptx::code::{Op, Program, special};
use crate::ptx::exec::state::{Grid, Line, Shared, Warp};

/// Groups of a warp.
const GROUPS: usize = 32 / GROUP;
/// Most instructions of what becomes code for whole blocks, besides the other forms.
const MOST: usize = 1500;

/// The code of a kernel for whole blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    /// Where it is.
    pub(super) address: u64,
    /// Whether operations of the interpreter read special registers, which all warps need then.
    pub(super) reads_special: bool,
}

/// What a block keeps for such code.
#[derive(Default)]
pub(crate) struct Sweep {
    /// Registers and special registers of each warp.
    warps: Vec<[u64; 2]>,
    /// Where each lane of odd groups goes on, for each warp; [`FINISHED`] for all others.
    next: Vec<[u32; 32]>,
    /// Where each group goes on that gave up, as in [`Context`].
    resume: Vec<[u32; GROUPS]>,
    /// The special registers that are the same in the whole block (in the place of the first lane).
    uniform: Vec<Line>,
    luck: Luck,
}

/// What [`Context`] has of it.
#[repr(C)]
pub(super) struct Places {
    pub(super) warps: *const [u64; 2],
    pub(super) next: *mut [u32; 32],
    pub(super) resume: *mut [u32; GROUPS],
    pub(super) uniform: *const Line,
    /// Not zero: some group is odd.
    pub(super) odd: u32,
}

impl Sweep {
    pub(super) fn places(&mut self) -> Places {
        Places {
            warps: self.warps.as_ptr(),
            next: self.next.as_mut_ptr(),
            resume: self.resume.as_mut_ptr(),
            uniform: self.uniform.as_ptr(),
            odd: 0,
        }
    }

    /// Makes it ready for a block.
    fn prepare(&mut self, warps: &mut [Warp], grid: &Grid<'_>, index: [u32; 3], linear: u64) {
        if self.warps.len() != warps.len() {
            self.warps.resize(warps.len(), [0; 2]);
            self.next.resize(warps.len(), [FINISHED; 32]);
            self.resume.resize(warps.len(), [0; GROUPS]);
            self.uniform = warps[0].special.clone();
        }
        for (place, warp) in self.warps.iter_mut().zip(warps) {
            // Calls of functions may have moved the registers.
            *place = warp.places(grid);
        }
        let mut set = |loc: u32, value: u32| {
            let at = (loc - special::TID_X) as usize;
            self.uniform[at / 64].0[at % 64..][..4].copy_from_slice(&value.to_le_bytes());
        };
        for (k, n) in index.into_iter().enumerate() {
            set(special::CTAID + 128 * k as u32, n);
        }
        set(special::SMID, grid.multiprocessor(linear));
    }
}

/// Whether a kernel may end without a boundary, so that code for whole blocks is worth its compilation.
pub(super) fn worth_it(plan: &Plan, program: &Program) -> bool {
    if plan.entries.first() != Some(&0) {
        return false;
    }
    let reached = plan.reachable(&[0]);
    let (mut count, mut ends) = (0, false);
    for (block, _) in plan.blocks.iter().zip(reached).filter(|b| b.1) {
        let code = &program.code[block.start as usize..block.end as usize];
        if block.is_boundary() {
            if code.iter().any(|ins| ins.op == Op::Barrier) {
                return false;
            }
        } else {
            count += code.len();
            ends |= code.iter().any(|ins| ins.op == Op::Exit);
        }
    }
    ends && count <= MOST
}

impl Shared {
    /// The code for whole blocks, if the grid's blocks may be run by it and that is worth a try.
    #[inline]
    pub(crate) fn may_sweep<'a>(&mut self, code: &'a Code) -> Option<&'a Whole> {
        let whole = code.whole.as_ref().filter(|_| self.rows)?;
        self.sweep.luck.worth_it().then_some(whole)
    }
}

/// Runs a block, none of whose warps has begun, from the start of its kernel on. True if it has ended. Otherwise the warps of which lanes are left are ready to go on.
pub(crate) fn sweep(
    warps: &mut [Warp],
    grid: &Grid<'_>,
    shared: &mut Shared,
    code: &Code,
    whole: &Whole,
    linear: u64,
) -> Result<bool, Fault> {
    let index = shared.index;
    shared.sweep.prepare(warps, grid, index, linear);
    if whole.reads_special {
        for warp in warps.iter_mut() {
            warp.fill_special(grid, index, linear);
        }
    }
    let threads = grid.threads();
    let start = grid.program.functions[grid.function as usize].start;
    let ins = &code.ins[start as usize];
    let mut context = Context::new(grid, shared, code);
    if !context.run_block(&mut warps[0], whole, threads / GROUP as u32) {
        return Err(context.fault_of(&warps[0], start, 0));
    }
    let tail = !threads.is_multiple_of(GROUP as u32);
    if !context.is_odd() && !tail {
        shared.sweep.luck.note(0);
        return Ok(true);
    }
    let (mut done, mut odd) = (true, 0);
    let count = warps.len();
    for (k, warp) in warps.iter_mut().enumerate() {
        let known = context.take_places(k);
        let partial = tail && k + 1 == count;
        if !(known || partial) {
            continue;
        }
        odd += u32::from(known);
        warp.reset(grid, index, linear);
        context.go_on(warp, code, ins)?;
        done &= warp.done();
    }
    // As if all of a run's groups had given up: blocks of which more than half stops are better off with the other forms.
    let lost = if 2 * odd as usize > count {
        GROUPS as u32
    } else {
        0
    };
    shared.sweep.luck.note(lost);
    Ok(done)
}
