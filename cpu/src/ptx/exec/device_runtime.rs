//! The device runtime's functions, as kernels call them.

use super::children::{self, Child};
use super::state::{Grid, Shared, Trouble, Warp};
use crate::engine::FaultKind;
use crate::ptx::code::{Builtin, Ins};

/// `cudaErrorMemoryAllocation`.
const OUT_OF_MEMORY: i32 = 2;
/// `cudaRuntimeGetVersion` on the device.
const RUNTIME_VERSION: u32 = 13_000;

impl Warp {
    /// Executes a function for one lane: what it returns.
    pub(super) fn device_runtime(
        &mut self,
        grid: &Grid<'_>,
        shared: &mut Shared,
        local_base: u32,
        builtin: Builtin,
        ins: &Ins,
        lane: usize,
    ) -> Result<u64, Trouble> {
        let place = (shared.index, self.thread(grid, lane as u32));
        let Some(launched) = &grid.children else {
            // The host had no memory for what the grid launches.
            return Err(Trouble {
                kind: FaultKind::LaunchFailed,
                lane: lane as u32,
                address: 0,
            });
        };
        if builtin == Builtin::DeviceFree {
            let address = self.argument(grid, shared, local_base, ins, 0, lane);
            if address != 0 {
                (grid.env.device_free)(address);
            }
            self.forget_ranges();
            shared.slots.clear();
            return Ok(0);
        }
        let shared: &Shared = shared;
        let arg = |warp: &Warp, number| warp.argument(grid, shared, local_base, ins, number, lane);
        let size = |warp: &Warp, number| -> [u32; 3] {
            let bytes = warp.argument_bytes(grid, shared, local_base, ins, number, lane);
            std::array::from_fn(|k| {
                u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * k + byte]))
            })
        };
        let put = |warp: &mut Warp, bytes: &[u8]| {
            let to = arg(warp, 0);
            warp.write_bytes(grid, shared, to, bytes, lane as u32)
        };
        let status = match builtin {
            Builtin::GetParameterBuffer => {
                let (blocks, threads) = (size(self, 1), size(self, 2));
                let made = launched.buffer(arg(self, 0), blocks, threads, arg(self, 3) as u32);
                // No buffer: the launch is not made, and the thread's last error says why.
                return Ok(made.unwrap_or_else(|code| {
                    launched.note(place, code);
                    0
                }));
            }
            // Natively no last error.
            Builtin::GraphLaunch => {
                let status = (grid.env.launch_graph)(arg(self, 0), arg(self, 1));
                return Ok(status as u64);
            }
            Builtin::LaunchDevice => launched.launch(arg(self, 0), arg(self, 1)),
            Builtin::GetLastError => return Ok(launched.last_error(place, false) as u64),
            Builtin::PeekAtLastError => return Ok(launched.last_error(place, true) as u64),
            Builtin::GetErrorName | Builtin::GetErrorString => {
                let (name, text) = children::error(arg(self, 0) as i32);
                let asked = if builtin == Builtin::GetErrorName {
                    name
                } else {
                    text
                };
                return Ok(launched.text(asked));
            }
            Builtin::StreamCreate | Builtin::EventCreate => {
                put(self, &children::mint().to_le_bytes())?;
                0
            }
            Builtin::MemcpyAsync => {
                let (to, from, bytes) = (arg(self, 0), arg(self, 1), arg(self, 2));
                launched.enqueue(Child::Copy { to, from, bytes }, arg(self, 4))
            }
            Builtin::MemsetAsync => {
                let (to, value, bytes) = (arg(self, 0), arg(self, 1) as u8, arg(self, 2));
                launched.enqueue(Child::Fill { to, value, bytes }, arg(self, 3))
            }
            Builtin::RuntimeGetVersion => {
                put(self, &RUNTIME_VERSION.to_le_bytes())?;
                0
            }
            Builtin::GetDevice => {
                put(self, &0u32.to_le_bytes())?;
                0
            }
            Builtin::GetDeviceCount => {
                put(self, &1u32.to_le_bytes())?;
                0
            }
            Builtin::DeviceMalloc => {
                let address = (grid.env.device_malloc)(arg(self, 1));
                put(self, &address.to_le_bytes())?;
                if address == 0 { OUT_OF_MEMORY } else { 0 }
            }
            // The launches of a grid run in their order: whatever streams and events ask for holds.
            _ => 0,
        };
        Ok(launched.note(place, status) as u64)
    }
}
