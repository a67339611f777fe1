//! A cluster of blocks: they run in turn on one thread, see one another's shared memory, and have a barrier of their own. A block without a cluster is a cluster of one.

use std::ops::Range;

use super::block::{Block, Outcome};
use super::state::Grid;
use crate::engine::Fault;

/// Rounds that a block of a larger cluster runs before the next one has its turn.
const TURN: u32 = 8;

/// A cluster that is running or can be used for another.
pub(super) struct Cluster {
    blocks: Vec<Block>,
    done: Vec<bool>,
}

impl Cluster {
    /// Memory for clusters of the grid; none when there is not enough.
    pub(super) fn new(grid: &Grid<'_>) -> Option<Cluster> {
        let size: u32 = grid.cluster.iter().product();
        let mut blocks: Vec<Block> = (0..size).map(|_| Block::new(grid)).collect::<Option<_>>()?;
        if size > 1 {
            let memory: Vec<(u64, usize)> = blocks.iter().map(Block::shared_memory).collect();
            for block in &mut blocks {
                block.set_cluster(memory.clone());
            }
        } else {
            // Its own memory can be named by rank, too.
            let own = blocks[0].shared_memory();
            blocks[0].set_cluster(vec![own]);
        }
        Some(Cluster {
            done: vec![false; blocks.len()],
            blocks,
        })
    }

    /// Starts cluster number `linear`.
    pub(super) fn start(&mut self, grid: &Grid<'_>, linear: u64) {
        let counts: [u64; 3] =
            std::array::from_fn(|k| u64::from(grid.config.grid[k] / grid.cluster[k]));
        let first: [u32; 3] = [
            (linear % counts[0]) as u32 * grid.cluster[0],
            (linear / counts[0] % counts[1]) as u32 * grid.cluster[1],
            (linear / counts[0] / counts[1]) as u32 * grid.cluster[2],
        ];
        self.done.fill(false);
        let [x, y, _] = grid.cluster;
        for (rank, block) in self.blocks.iter_mut().enumerate() {
            let rank = rank as u32;
            let index = [
                first[0] + rank % x,
                first[1] + rank / x % y,
                first[2] + rank / x / y,
            ];
            let [gx, gy, _] = grid.config.grid.map(u64::from);
            let number =
                u64::from(index[0]) + gx * (u64::from(index[1]) + gy * u64::from(index[2]));
            block.start(grid, index, number);
        }
    }

    /// Starts some blocks that are clusters of their own, one after the other, as long as each ends at once. Whether there is one that has not; `blocks` are those that are left, and
    /// `done` counts those that ended.
    pub(super) fn sweep(
        &mut self,
        grid: &Grid<'_>,
        blocks: &mut Range<u64>,
        done: &mut u64,
    ) -> Result<bool, Fault> {
        let [gx, gy, _] = grid.config.grid.map(u64::from);
        let mut index = [
            (blocks.start % gx) as u32,
            (blocks.start / gx % gy) as u32,
            (blocks.start / gx / gy) as u32,
        ];
        self.done.fill(false);
        for number in blocks {
            if self.blocks[0].sweep(grid, index, number)? != Outcome::Done {
                return Ok(true);
            }
            *done += 1;
            if grid.stopping() {
                break;
            }
            for k in 0..3 {
                index[k] += 1;
                if index[k] < grid.config.grid[k] {
                    break;
                }
                index[k] = 0;
            }
        }
        Ok(false)
    }

    /// Runs for some rounds; whether all blocks have ended.
    pub(super) fn run(&mut self, grid: &Grid<'_>, rounds: u32) -> Result<bool, Fault> {
        let turn = if self.blocks.len() == 1 { rounds } else { TURN };
        for _ in 0..rounds.div_ceil(turn) {
            let (mut all, mut stuck) = (true, true);
            for (block, done) in self.blocks.iter_mut().zip(&mut self.done) {
                if *done {
                    continue;
                }
                match block.run(grid, turn)? {
                    Outcome::Done => {
                        *done = true;
                        stuck = false;
                    }
                    Outcome::More => (all, stuck) = (false, false),
                    Outcome::Stuck => all = false,
                }
            }
            if all {
                return Ok(true);
            }
            let opened = self.open_barrier();
            if stuck && !opened && !self.release() {
                let stuck = self.done.iter().position(|done| !done).unwrap_or(0);
                return Err(self.blocks[stuck].deadlock(grid));
            }
            if grid.stopping() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Opens the cluster's barrier if all threads that are left have arrived; whether it did.
    fn open_barrier(&mut self) -> bool {
        let arrived: u32 = self.blocks.iter().map(Block::cluster_arrived).sum();
        let alive: u32 = self.blocks.iter().map(Block::alive).sum();
        if arrived == 0 || arrived < alive {
            return false;
        }
        for block in &mut self.blocks {
            block.open_cluster();
        }
        true
    }

    /// Lets lanes that wait to meet others in their warp go on: nothing else can.
    fn release(&mut self) -> bool {
        let mut any = false;
        for (block, done) in self.blocks.iter_mut().zip(&self.done) {
            any |= !done && block.release();
        }
        any
    }
}
