//! Runs a grid: hands its blocks to threads.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cluster::Cluster;
use super::pool;
use super::state::Grid;
use crate::engine::{Fault, FaultKind};

/// Rounds that a block runs before its thread looks at another one: blocks may wait for one another.
const ROUNDS: u32 = 2048;
/// The same for cooperative grids, whose blocks do wait for one another.
const COOPERATIVE_ROUNDS: u32 = 2;
/// Blocks that one thread keeps going at once, unless the grid is cooperative.
const MAX_RESIDENT: usize = 16;

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

fn worker(grid: &Grid<'_>, total: u64, next: &AtomicU64, finished: &AtomicU64) {
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
            let linear = next.fetch_add(1, Ordering::Relaxed);
            if linear < total {
                let Some(mut block) = spare.pop().or_else(|| Cluster::new(grid)) else {
                    grid.report(launch_failed(grid));
                    return;
                };
                block.start(grid, linear);
                // The newest runs first: a block that has not begun is what an older one may wait for.
                resident.push_front(block);
            } else {
                more = false;
            }
        }
        let Some(mut block) = resident.pop_front() else {
            return;
        };
        match block.run(grid, rounds) {
            Ok(true) => {
                finished.fetch_add(1, Ordering::AcqRel);
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
