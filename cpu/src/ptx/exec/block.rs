//! One block: gives its warps turns and opens its barriers.

use super::state::{Barrier, Grid, Line, LocalMemory, Shared, Warp};
use super::warp::Turn;
use crate::engine::{Fault, FaultKind};

/// A block that is running or can be used for another.
pub(super) struct Block {
    shared: Shared,
    warps: Vec<Warp>,
}

impl Block {
    /// Memory for blocks of the grid; none when there is not enough.
    pub(super) fn new(grid: &Grid<'_>) -> Option<Block> {
        let warps = grid.threads().div_ceil(32);
        Some(Block {
            shared: Shared {
                index: [0; 3],
                memory: vec![Line([0; 64]); grid.shared_total.div_ceil(64)],
                bytes: grid.shared_total,
                local: LocalMemory::new(warps as usize * 32, grid.stack_bytes)?,
                barriers: [Barrier::default(); 16],
            },
            warps: (0..warps).map(Warp::new).collect(),
        })
    }

    /// Starts block number `linear`.
    pub(super) fn start(&mut self, grid: &Grid<'_>, linear: u64) {
        let [gx, gy, _] = grid.config.grid.map(u64::from);
        self.shared.index = [
            (linear % gx) as u32,
            (linear / gx % gy) as u32,
            (linear / gx / gy) as u32,
        ];
        self.shared.barriers = [Barrier::default(); 16];
        if grid.program.reserved_shared {
            let first = grid.reserved_start as usize / 64;
            self.shared.memory[first..].fill(Line([0; 64]));
        }
        for warp in &mut self.warps {
            warp.reset(grid, self.shared.index, linear);
        }
    }

    /// Runs for some rounds; whether the block has ended.
    pub(super) fn run(&mut self, grid: &Grid<'_>, rounds: u32) -> Result<bool, Fault> {
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
                return Ok(true);
            }
            let opened = self.open_barriers(grid);
            if tired {
                if grid.stopping() {
                    return Ok(false);
                }
            } else if !opened && !self.release() {
                let lane = self
                    .warps
                    .iter()
                    .find(|w| !w.done())
                    .map_or((0, 0), |w| (w.id, w.alive.trailing_zeros()));
                let thread = self.warps[lane.0 as usize].thread(grid, lane.1);
                return Err(Fault {
                    kind: FaultKind::LaunchFailed,
                    kernel: grid.kernel.to_owned(),
                    line: 0,
                    block: self.shared.index,
                    thread,
                    address: 0,
                });
            }
        }
        Ok(false)
    }

    /// Lets lanes that wait to meet others in their warp go on: nothing else can.
    fn release(&mut self) -> bool {
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
