//! Runs a grid: hands its blocks to threads.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cluster::Cluster;
use super::pool;
use super::state::Grid;
use crate::engine::{Fault, FaultKind};
use crate::ptx::jit;

/// Rounds that a block runs before its thread looks at another one: blocks may wait for one another.
const ROUNDS: u32 = 2048;
/// The same for cooperative grids, whose blocks do wait for one another.
const COOPERATIVE_ROUNDS: u32 = 2;
/// Blocks that one thread keeps going at once, unless the grid is cooperative.
const MAX_RESIDENT: usize = 16;
/// Most blocks that a thread takes at once.
const HANDFUL: u64 = 32;
/// How often each thread takes some, at least.
const SHARES: u64 = 64;

/// Runs all blocks.
pub(crate) fn run(grid: &Grid<'_>) -> Result<(), Fault> {
    let total = grid.blocks()
        / grid
            .cluster
            .iter()
            .map(|&n| u64::from(n))
            .product::<u64>()
            .max(1);
    let next = AtomicU64::new(0);
    let finished = AtomicU64::new(0);
    let helpers = (grid.env.threads.max(1) as u64)
        .min(total)
        .saturating_sub(1) as usize;
    pool::run(helpers, &|| worker(grid, total, &next, &finished));
    let fault = grid
        .fault
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match fault {
        Some(fault) => Err(fault),
        None if finished.load(Ordering::Acquire) == total => Ok(()),
        // A thread died in the middle of a block.
        None => Err(launch_failed(grid)),
    }
}

fn launch_failed(grid: &Grid<'_>) -> Fault {
    Fault::of_grid(FaultKind::LaunchFailed, grid.kernel)
}

/// Adds to a counter what was counted, at the end.
struct Count<'a>(&'a AtomicU64, u64);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(self.1, Ordering::AcqRel);
    }
}

/// How many blocks a thread takes at once: few enough that all threads end at about the same time.
fn handful(grid: &Grid<'_>, total: u64) -> u64 {
    (total / (grid.env.threads.max(1) as u64 * SHARES)).clamp(1, HANDFUL)
}

fn worker(grid: &Grid<'_>, total: u64, next: &AtomicU64, finished: &AtomicU64) {
    let mut finished = Count(finished, 0);
    // Blocks that run as a whole, if they can.
    let sweeps = !grid.config.cooperative
        && grid.cluster == [1; 3]
        && !grid.program.clusters
        && grid.machine.code().is_some_and(jit::Code::has_sweep);
    let many = if sweeps { handful(grid, total) } else { 1 };
    let mut mine = 0..0;
    let mut resident: VecDeque<Cluster> = VecDeque::new();
    let mut spare: Vec<Cluster> = Vec::new();
    let (rounds, most) = if grid.config.cooperative {
        (COOPERATIVE_ROUNDS, usize::MAX)
    } else {
        (ROUNDS, MAX_RESIDENT)
    };
    let mut more = true;
    loop {
        if more && resident.len() < most {
            if mine.is_empty() {
                let first = next.fetch_add(many, Ordering::Relaxed).min(total);
                mine = first..(first + many).min(total);
            }
            if !mine.is_empty() {
                let Some(mut block) = spare.pop().or_else(|| Cluster::new(grid)) else {
                    grid.report(launch_failed(grid));
                    return;
                };
                let begun = if sweeps {
                    match block.sweep(grid, &mut mine, &mut finished.1) {
                        Ok(begun) => begun,
                        Err(fault) => {
                            grid.report(fault);
                            return;
                        }
                    }
                } else {
                    block.start(grid, mine.start);
                    mine.start += 1;
                    true
                };
                if begun {
                    // The newest runs first: a block that has not begun is what an older one may wait for.
                    resident.push_front(block);
                } else {
                    spare.push(block);
                }
            } else {
                more = false;
            }
        }
        let Some(mut block) = resident.pop_front() else {
            if more && !grid.stopping() {
                continue;
            }
            return;
        };
        match block.run(grid, rounds) {
            Ok(true) => {
                finished.1 += 1;
                spare.push(block);
            }
            Ok(false) => resident.push_back(block),
            Err(fault) => grid.report(fault),
        }
        if grid.stopping() {
            return;
        }
        if grid.config.cooperative && !more {
            std::thread::yield_now();
        }
    }
}
