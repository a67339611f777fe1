//! The engine's side of [`crate::engine`]: compiled and loaded modules.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::code::{FunctionCode, RESERVED_SHARED};
use super::exec::children::{Child, Children};
use super::exec::grid;
use super::exec::state::{Grid, Line};
use super::jit;
use super::lexer::error_at;
use super::lower::{Lowered, Target, lower_module, write_constant};
use super::source_lines::SourceLines;
use crate::engine::{
    AddressRange, CompileError, CompiledModule, Fault, FaultKind, KernelInfo, LaunchConfig,
    LaunchEnvironment, LoadedModule, VariableInfo,
};

struct Compiled {
    lowered: Lowered,
    source_lines: SourceLines,
}

struct Loaded {
    compiled: Arc<Compiled>,
    constants: Vec<Line>,
    /// Machine code of each kernel.
    machine: Vec<jit::Kernel>,
}

/// Compiles PTX text.
///
/// # Errors
/// The first thing not understood or not supported.
pub(crate) fn compile(source: &str) -> Result<Arc<dyn CompiledModule>, CompileError> {
    let source = source.trim_end_matches('\0');
    let module = super::parser::parse(source)?;
    let lowered = lower_module(source, &module)?;
    Ok(Arc::new(Compiled {
        lowered,
        source_lines: SourceLines::of(source),
    }))
}

impl CompiledModule for Compiled {
    fn kernels(&self) -> &[KernelInfo] {
        &self.lowered.kernels
    }

    fn variables(&self) -> &[VariableInfo] {
        &self.lowered.variables
    }

    fn instantiate(
        self: Arc<Self>,
        addresses: &[u64],
    ) -> Result<Arc<dyn LoadedModule>, CompileError> {
        let lowered = &self.lowered;
        if addresses.len() != lowered.variables.len() {
            return Err(error_at(
                "",
                0,
                "the number of addresses does not fit the variables",
            ));
        }
        for ((image, variable), &address) in
            lowered.images.iter().zip(&lowered.variables).zip(addresses)
        {
            // SAFETY: the caller gives each variable `size` bytes of writable memory; the image is not larger, which was checked when it was made.
            unsafe {
                std::ptr::write_bytes(address as *mut u8, 0, variable.size as usize);
                std::ptr::copy_nonoverlapping(image.as_ptr(), address as *mut u8, image.len());
            }
        }
        for item in &lowered.image_addresses {
            let value = match item.target {
                Target::Variable(variable, offset) => {
                    addresses[variable as usize].wrapping_add(offset as u64)
                }
                Target::Value(value) => value,
            };
            let bytes = (value >> item.shift.min(63)).to_le_bytes();
            // SAFETY: the place lies within the image of the variable.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    (addresses[item.variable as usize] + item.at) as *mut u8,
                    usize::from(item.bytes),
                )
            }
        }
        let mut pool = lowered.program.constants.clone();
        for relocation in &lowered.program.relocations {
            let value =
                addresses[relocation.variable as usize].wrapping_add(relocation.addend as u64);
            write_constant(&mut pool, relocation.at, relocation.width, value);
        }
        let bytes: Vec<u8> = pool.iter().flat_map(|word| word.to_le_bytes()).collect();
        let constants = bytes
            .chunks(64)
            .map(|chunk| {
                let mut line = Line([0; 64]);
                line.0[..chunk.len()].copy_from_slice(chunk);
                line
            })
            .collect();
        let machine = lowered
            .kernels
            .iter()
            .map(|_| jit::Kernel::default())
            .collect();
        Ok(Arc::new(Loaded {
            compiled: self,
            constants,
            machine,
        }))
    }
}

impl LoadedModule for Loaded {
    fn kernel_info(&self, kernel: usize) -> &KernelInfo {
        &self.compiled.lowered.kernels[kernel]
    }

    fn launch(
        &self,
        kernel: usize,
        config: &LaunchConfig,
        params: &[u8],
        env: &LaunchEnvironment<'_>,
    ) -> Result<(), Fault> {
        self.launch_at(kernel, config, params, env, 0)
    }
}

impl Loaded {
    /// Runs a grid, and then what it launches.
    fn launch_at(
        &self,
        kernel: usize,
        config: &LaunchConfig,
        params: &[u8],
        env: &LaunchEnvironment<'_>,
        depth: u32,
    ) -> Result<(), Fault> {
        static GRIDS: AtomicU64 = AtomicU64::new(1);
        let lowered = &self.compiled.lowered;
        let info = &lowered.kernels[kernel];
        let refuse = || Err(Fault::of_grid(FaultKind::LaunchFailed, &info.name));
        let threads = config.block.iter().map(|&n| u64::from(n)).product::<u64>();
        let blocks = config
            .grid
            .iter()
            .try_fold(1u64, |p, &n| p.checked_mul(u64::from(n)));
        if threads == 0 || threads > 1024 || blocks.is_none_or(|b| b == 0) {
            return refuse();
        }
        let needed = info
            .params
            .last()
            .map_or(0, |p| (p.offset + p.size) as usize);
        if params.len() < needed {
            return refuse();
        }
        let dynamic_base = info.shared_bytes.next_multiple_of(lowered.dynamic_align);
        let shared_total = if config.shared_bytes == 0 {
            info.shared_bytes as usize
        } else {
            dynamic_base as usize + config.shared_bytes as usize
        };
        let reserved_start = shared_total.next_multiple_of(128);
        let shared_total = if lowered.program.reserved_shared {
            reserved_start + RESERVED_SHARED as usize
        } else {
            shared_total
        };
        // Two words are used by the grid barrier; more are there for those of several grids.
        let mut workspace = vec![0u64; if config.cooperative { 32 } else { 0 }];
        let workspace_start = if config.cooperative {
            workspace.as_mut_ptr() as u64
        } else {
            0
        };
        let grid = Grid {
            program: &lowered.program,
            constants: &self.constants,
            machine: &self.machine[kernel],
            env,
            config: *config,
            params,
            param_registers: param_registers(
                &lowered.program.functions[lowered.kernel_functions[kernel] as usize],
                params,
            ),
            cluster: config.blocks_of_cluster(info),
            explicit_cluster: config.cluster[0] != 0 || info.required_cluster.is_some(),
            function: lowered.kernel_functions[kernel],
            kernel: &info.name,
            stack_bytes: lowered.local_bytes[kernel].next_multiple_of(64) as usize,
            static_shared: info.shared_bytes,
            dynamic_base,
            shared_total,
            reserved_start: reserved_start as u32,
            grid_id: GRIDS.fetch_add(1, Ordering::Relaxed),
            workspace: AddressRange {
                start: workspace_start,
                end: workspace_start + 8 * workspace.len() as u64,
                writable: true,
            },
            children: if lowered.program.launches {
                Children::new(self.parameter_sizes(), depth)
            } else {
                None
            },
            stop: AtomicBool::new(false),
            fault: Mutex::new(None),
        };
        grid.warm(grid.blocks() * u64::from(grid.threads().div_ceil(32)));
        grid::run(&grid).map_err(|fault| Fault {
            source: self.compiled.source_lines.find(fault.line),
            ..fault
        })?;
        let launched = grid.children.as_ref().map_or_else(Vec::new, Children::take);
        drop(grid);
        for child in launched {
            self.run_child(child, &info.name, env, depth + 1)?;
        }
        Ok(())
    }

    /// Bytes of the parameters of each kernel, by function.
    fn parameter_sizes(&self) -> HashMap<u32, usize> {
        let lowered = &self.compiled.lowered;
        let bytes = |info: &KernelInfo| {
            let last = info.params.last();
            last.map_or(0, |p| (p.offset + p.size) as usize)
        };
        lowered
            .kernel_functions
            .iter()
            .zip(&lowered.kernels)
            .map(|(&function, info)| (function, bytes(info)))
            .collect()
    }

    /// Does what a kernel launched.
    fn run_child(
        &self,
        child: Child,
        parent: &str,
        env: &LaunchEnvironment<'_>,
        depth: u32,
    ) -> Result<(), Fault> {
        if env.cancelled.load(Ordering::Relaxed) {
            return Err(Fault::of_grid(FaultKind::Cancelled, parent));
        }
        if env
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Fault::of_grid(FaultKind::Timeout, parent));
        }
        // Whether the memory is there from one end to the other.
        let check = |from: u64, bytes: u64, write: bool| {
            let end = from.checked_add(bytes);
            let mut at = from;
            while end.is_some_and(|end| at < end) {
                match env.memory.find(at) {
                    Some(range) if !write || range.writable => at = range.end,
                    _ => break,
                }
            }
            if end.is_some_and(|end| at >= end) {
                return Ok(());
            }
            let mut fault = Fault::of_grid(FaultKind::IllegalAddress, parent);
            fault.address = at;
            fault.note = "a copy or fill that the kernel launched".to_owned();
            Err(fault)
        };
        match child {
            Child::Grid {
                function,
                config,
                params,
            } => {
                let functions = &self.compiled.lowered.kernel_functions;
                let kernel = functions.iter().position(|&index| index == function);
                let kernel =
                    kernel.ok_or_else(|| Fault::of_grid(FaultKind::LaunchFailed, parent))?;
                self.launch_at(kernel, &config, &params, env, depth)
            }
            Child::Copy { to, from, bytes } => {
                check(to, bytes, true)?;
                check(from, bytes, false)?;
                // SAFETY: just checked; memory stays mapped while the launch runs.
                unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize) };
                Ok(())
            }
            Child::Fill { to, value, bytes } => {
                check(to, bytes, true)?;
                // SAFETY: as above.
                unsafe { std::ptr::write_bytes(to as *mut u8, value, bytes as usize) };
                Ok(())
            }
        }
    }
}

/// The parameters of a kernel as registers.
fn param_registers(code: &FunctionCode, params: &[u8]) -> Vec<Line> {
    let mut lines = vec![Line([0; 64]); code.param_bytes.div_ceil(64) as usize];
    for register in &code.param_registers {
        let (at, size) = (register.offset as usize, usize::from(register.size));
        // What the launch checked: all parameters are there.
        let Some(bytes) = params.get(at..at + size) else {
            continue;
        };
        let mut raw = [0u8; 16];
        raw[..size].copy_from_slice(bytes);
        let mut value = u128::from_le_bytes(raw);
        if register.signed {
            let shift = 128 - 8 * size as u32;
            value = ((value << shift) as i128 >> shift) as u128;
        }
        let lane = register.width.lane_bytes() as usize;
        let value = &value.to_le_bytes()[..lane];
        for k in 0..32 {
            let place = register.place as usize + k * lane;
            lines[place / 64].0[place % 64..][..lane].copy_from_slice(value);
        }
    }
    lines
}
