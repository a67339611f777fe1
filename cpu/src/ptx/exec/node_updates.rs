//! Changes that kernels make of kernel nodes.

use super::state::{Grid, Shared, Trouble, Warp};
use crate::engine::NodeUpdate;
use crate::ptx::code::{Builtin, Ins};

/// `cudaErrorInvalidValue`.
const INVALID_VALUE: i32 = 1;
/// No kernel has more parameters.
const MOST_BYTES: u64 = 1 << 16;
/// `sizeof(cudaGraphKernelNodeUpdate)`: a node, what is changed, and 24 bytes by what that is.
const UPDATE: u64 = 40;
/// `cudaGraphKernelNodeField`.
const GRID: u32 = 1;
const PARAMETER: u32 = 2;
const ENABLED: u32 = 3;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|k| bytes[at + k]))
}

fn wide(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|k| bytes[at + k]))
}

impl Warp {
    /// Bytes of a node's parameters, as a lane has them; `None` if they are too many for any.
    fn parameter(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        (from, offset, bytes): (u64, u64, u64),
        lane: usize,
    ) -> Result<Option<NodeUpdate>, Trouble> {
        if bytes > MOST_BYTES {
            return Ok(None);
        }
        let mut value = vec![0; bytes as usize];
        self.read_bytes(grid, shared, from, &mut value, lane as u32)?;
        Ok(Some(NodeUpdate::Parameter(offset, value)))
    }

    /// Executes one of the functions for a lane: the status that it returns.
    pub(super) fn update_nodes(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        local_base: u32,
        builtin: Builtin,
        ins: &Ins,
        lane: usize,
    ) -> Result<i32, Trouble> {
        let arg = |warp: &Warp, number| warp.argument(grid, shared, local_base, ins, number, lane);
        let update = match builtin {
            Builtin::NodeSetParam => {
                let value = (arg(self, 2), arg(self, 1), arg(self, 3));
                self.parameter(grid, shared, value, lane)?
            }
            Builtin::NodeSetEnabled => Some(NodeUpdate::Enabled(arg(self, 1) as u8 != 0)),
            Builtin::NodeSetGridDim => {
                let size = self.argument_bytes(grid, shared, local_base, ins, 1, lane);
                Some(NodeUpdate::Grid([0, 4, 8].map(|at| word(&size, at))))
            }
            _ => return self.apply_updates(grid, shared, (arg(self, 0), arg(self, 1)), lane),
        };
        let apply = |update| (grid.env.update_node)(arg(self, 0), update);
        Ok(update.map_or(INVALID_VALUE, apply))
    }

    /// `cudaGraphKernelNodeUpdatesApply`: so many updates from an address on, until one fails.
    fn apply_updates(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        (address, count): (u64, u64),
        lane: usize,
    ) -> Result<i32, Trouble> {
        for number in 0..count {
            let mut update = [0; UPDATE as usize];
            let at = address.wrapping_add(number.wrapping_mul(UPDATE));
            self.read_bytes(grid, shared, at, &mut update, lane as u32)?;
            let change = match word(&update, 8) {
                GRID => Some(NodeUpdate::Grid([16, 20, 24].map(|at| word(&update, at)))),
                PARAMETER => {
                    let value = (wide(&update, 16), wide(&update, 24), wide(&update, 32));
                    self.parameter(grid, shared, value, lane)?
                }
                ENABLED => Some(NodeUpdate::Enabled(word(&update, 16) != 0)),
                _ => None,
            };
            let node = wide(&update, 0);
            let status =
                change.map_or(INVALID_VALUE, |change| (grid.env.update_node)(node, change));
            if status != 0 {
                return Ok(status);
            }
        }
        Ok(0)
    }
}
