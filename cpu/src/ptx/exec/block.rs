//! One block: gives its warps turns and opens its barriers.

use super::state::{Barrier, Grid, Line, LocalMemory, Shared, Wait, Warp};
use super::warp::Turn;
use crate::engine::{Fault, FaultKind};
use crate::ptx::jit;

/// How a block's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It has more to do.
    More,
    /// It waits for something that does not come from itself.
    Stuck,
}

/// A block that is running or can be used for another.
pub(super) struct Block {
    shared: Shared,
    warps: Vec<Warp>,
    /// Whether no warp has run yet.
    fresh: bool,
}

impl Block {
    /// Memory for blocks of the grid; none when there is not enough.
    pub(super) fn new(grid: &Grid<'_>) -> Option<Block> {
        let warps = grid.threads().div_ceil(32);
        Some(Block {
            shared: Shared {
                index: [0; 3],
                slots: Vec::new(),
                luck: Vec::new(),
                sweep: jit::Sweep::default(),
                rows: grid.config.block[0].is_multiple_of(jit::GROUP)
                    || grid.config.block[1] * grid.config.block[2] == 1,
                limits: jit::Limits::new(grid.shared_total, grid.stack_bytes),
                memory: vec![Line([0; 64]); grid.shared_total.div_ceil(64)],
                bytes: grid.shared_total,
                local: LocalMemory::new(warps as usize * 32, grid.stack_bytes)?,
                barriers: [Barrier::default(); 16],
                cluster: Vec::new(),
                cluster_arrived: 0,
                cluster_phase: 0,
            },
            warps: (0..warps).map(|id| Warp::new(grid, id)).collect(),
            fresh: false,
        })
    }

    /// Runs the block of this index as a whole, if there is machine code for that and it fares well. Otherwise the block has only started.
    pub(super) fn sweep(
        &mut self,
        grid: &Grid<'_>,
        index: [u32; 3],
        linear: u64,
    ) -> Result<Outcome, Fault> {
        let code = grid.machine.code();
        let Some((code, whole)) = code.and_then(|c| Some((c, self.shared.may_sweep(c)?))) else {
            self.start(grid, index, linear);
            return Ok(Outcome::More);
        };
        self.begin(grid, index);
        let (warps, shared) = (&mut self.warps, &mut self.shared);
        if jit::sweep(warps, grid, shared, code, whole, linear)? {
            return Ok(Outcome::Done);
        }
        self.clear();
        Ok(Outcome::More)
    }

    /// Starts the block of this index.
    pub(super) fn start(&mut self, grid: &Grid<'_>, index: [u32; 3], linear: u64) {
        self.begin(grid, index);
        self.clear();
        self.fresh = true;
        for warp in &mut self.warps {
            warp.reset(grid, index, linear);
        }
    }

    /// What every block begins with.
    fn begin(&mut self, grid: &Grid<'_>, index: [u32; 3]) {
        self.shared.index = index;
        if grid.program.reserved_shared {
            let first = grid.reserved_start as usize / 64;
            self.shared.memory[first..].fill(Line([0; 64]));
        }
    }

    /// Forgets where the threads of the block before waited.
    fn clear(&mut self) {
        self.fresh = false;
        (self.shared.cluster_arrived, self.shared.cluster_phase) = (0, 1);
        self.shared.barriers = [Barrier::default(); 16];
    }

    /// Runs for some rounds.
    pub(super) fn run(&mut self, grid: &Grid<'_>, rounds: u32) -> Result<Outcome, Fault> {
        if std::mem::take(&mut self.fresh)
            && let Some(code) = grid.machine.code()
        {
            jit::start(&mut self.warps, grid, &mut self.shared, code)?;
        }
        for _ in 0..rounds {
            let (mut tired, mut done) = (false, true);
            for warp in &mut self.warps {
                if warp.done() {
                    continue;
                }
                match warp.run(grid, &mut self.shared)? {
                    Turn::Done => {}
                    Turn::Blocked => done = false,
                    Turn::Tired => (tired, done) = (true, false),
                }
            }
            if done {
                return Ok(Outcome::Done);
            }
            let opened = self.open_barriers(grid);
            if tired {
                if grid.overdue() {
                    return Err(self.standing(grid, FaultKind::Timeout));
                }
                if grid.stopping() {
                    return Ok(Outcome::More);
                }
            } else if !opened {
                return Ok(Outcome::Stuck);
            }
        }
        Ok(Outcome::More)
    }

    /// What is told when nothing can ever run again.
    pub(super) fn deadlock(&self, grid: &Grid<'_>) -> Fault {
        let mut fault = self.standing(grid, FaultKind::LaunchFailed);
        let waiting = |id: u32| {
            let lanes = |w: &Warp| -> u32 {
                let paths = w.paths.iter().filter(|p| p.wait == Wait::Barrier(id));
                paths.map(|p| p.mask.count_ones()).sum()
            };
            self.warps.iter().map(lanes).sum::<u32>()
        };
        fault.note = match (0..16).find(|&id| waiting(id) > 0) {
            Some(id) => format!(
                "{} threads of the block wait at barrier {id}, {} have not ended: it can never complete",
                waiting(id),
                self.alive()
            ),
            None => "threads wait for one another and none can go on".to_owned(),
        };
        fault
    }

    /// A fault of the block as a whole: where one of its threads stands.
    fn standing(&self, grid: &Grid<'_>, kind: FaultKind) -> Fault {
        let warp = self.warps.iter().find(|w| !w.done());
        let path = warp.and_then(|w| w.paths.first());
        let mut fault = Fault::of_grid(kind, grid.kernel);
        fault.block = self.shared.index;
        if let (Some(warp), Some(path)) = (warp, path) {
            fault.thread = warp.thread(grid, path.mask.trailing_zeros().min(31));
            // A path that waits stands behind the instruction at which it does.
            let at = path
                .pc
                .saturating_sub(u32::from(path.wait != Wait::Runnable));
            fault.line = grid.program.code.get(at as usize).map_or(0, |ins| ins.line);
        }
        fault
    }

    /// Start and bytes of the block's shared memory.
    pub(super) fn shared_memory(&self) -> (u64, usize) {
        (self.shared.memory_start() as u64, self.shared.bytes)
    }

    /// Tells the block where the shared memory of its cluster is.
    pub(super) fn set_cluster(&mut self, memory: Vec<(u64, usize)>) {
        self.shared.cluster = memory;
    }

    /// Threads at the barrier of the cluster.
    pub(super) fn cluster_arrived(&self) -> u32 {
        self.shared.cluster_arrived
    }

    /// Threads that have not ended.
    pub(super) fn alive(&self) -> u32 {
        self.warps.iter().map(|w| w.alive.count_ones()).sum()
    }

    /// Opens the barrier of the cluster for this block.
    pub(super) fn open_cluster(&mut self) {
        self.shared.cluster_arrived = 0;
        self.shared.cluster_phase = self.shared.cluster_phase.wrapping_add(1);
        for warp in &mut self.warps {
            warp.open_cluster();
        }
    }

    /// Lets lanes that wait to meet others in their warp go on: nothing else can.
    pub(super) fn release(&mut self) -> bool {
        let mut any = false;
        for warp in &mut self.warps {
            any |= warp.release_waiting();
        }
        any
    }

    /// Opens the barriers that are complete; whether there were any.
    fn open_barriers(&mut self, grid: &Grid<'_>) -> bool {
        let mut any = false;
        for id in 0..16u32 {
            let barrier = self.shared.barriers[id as usize];
            if barrier.arrived == 0 {
                continue;
            }
            let expected = barrier
                .expected
                .unwrap_or_else(|| self.warps.iter().map(|w| w.alive.count_ones()).sum());
            if barrier.arrived < expected {
                continue;
            }
            any = true;
            self.shared.barriers[id as usize] = Barrier::default();
            for warp in &mut self.warps {
                warp.open_barrier(grid, id, &barrier);
            }
        }
        any
    }
}
