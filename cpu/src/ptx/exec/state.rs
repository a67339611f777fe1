//! What is kept of a running grid, its blocks and its warps.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::children::Children;
use crate::engine::{AddressRange, Fault, FaultKind, LaunchConfig, LaunchEnvironment};
use crate::ptx::code::{Bases, Ins, NONE, Op, Program, RESERVED_SHARED, special};
use crate::ptx::jit;

/// A piece of aligned memory for registers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// A launched grid.
pub(crate) struct Grid<'a> {
    pub(crate) program: &'a Program,
    /// The constant pool with addresses filled in.
    pub(crate) constants: &'a [Line],
    /// The kernel's machine code, if it has any by now.
    pub(crate) machine: &'a jit::Kernel,
    pub(crate) env: &'a LaunchEnvironment<'a>,
    pub(crate) config: LaunchConfig,
    pub(crate) params: &'a [u8],
    /// Parameters that are registers.
    pub(crate) param_registers: Vec<Line>,
    /// Blocks of a cluster in x, y, z.
    pub(crate) cluster: [u32; 3],
    /// Whether launch or kernel name a cluster.
    pub(crate) explicit_cluster: bool,
    pub(crate) function: u32,
    pub(crate) kernel: &'a str,
    /// Local memory per thread, bytes.
    pub(crate) stack_bytes: usize,
    pub(crate) static_shared: u32,
    pub(crate) dynamic_base: u32,
    pub(crate) shared_total: usize,
    /// Where the reserved part of shared memory starts (the end, if there is none).
    pub(crate) reserved_start: u32,
    pub(crate) grid_id: u64,
    /// The words of the grid barrier, or empty when the launch is not cooperative.
    pub(crate) workspace: AddressRange,
    /// What the grid launches, if its module has kernels that do.
    pub(crate) children: Option<Children>,
    pub(crate) stop: AtomicBool,
    pub(crate) fault: Mutex<Option<Fault>>,
}

impl Grid<'_> {
    /// Notes that so many warps run: kernels that run often become machine code.
    pub(crate) fn warm(&self, warps: u64) {
        self.machine
            .warm(warps, self.program, self.function, self.constants);
    }

    /// Number of blocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.config.grid.iter().map(|&n| u64::from(n)).product()
    }

    /// Rank of a block in its cluster.
    pub(crate) fn rank(&self, block: [u32; 3]) -> u32 {
        let [x, y, z] = self.cluster;
        block[0] % x + x * (block[1] % y + y * (block[2] % z))
    }

    /// The multiprocessor that a block is said to run on.
    pub(crate) fn multiprocessor(&self, linear: u64) -> u32 {
        (linear % self.env.threads.max(1) as u64) as u32
    }

    /// Threads of a block.
    pub(crate) fn threads(&self) -> u32 {
        self.config.block.iter().product()
    }

    /// Notes a fault (the first one counts) and stops the grid.
    pub(crate) fn report(&self, fault: Fault) {
        let mut first = self
            .fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if first.is_none() {
            *first = Some(fault);
        }
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the grid has run for longer than it may.
    pub(crate) fn overdue(&self) -> bool {
        self.env
            .deadline
            .is_some_and(|deadline| std::time::Instant::now() >= deadline)
    }

    /// Whether to stop; notes the cancellation.
    pub(crate) fn stopping(&self) -> bool {
        if self.env.cancelled.load(Ordering::Relaxed) && !self.stop.load(Ordering::Relaxed) {
            self.report(Fault::of_grid(FaultKind::Cancelled, self.kernel));
        }
        self.stop.load(Ordering::Acquire)
    }
}

/// What went wrong in one instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) kind: FaultKind,
    pub(crate) lane: u32,
    pub(crate) address: u64,
}

/// Why lanes do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Runnable,
    /// At an operation across lanes whose members are not all there; the lanes that execute it.
    Cross(u32),
    /// At a barrier of the block.
    Barrier(u32),
    /// At the barrier of the cluster.
    Cluster,
}

/// Lanes that run together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub(crate) pc: u32,
    pub(crate) mask: u32,
    /// Where they meet others: index of a [`Record`] or [`NONE`].
    pub(crate) record: u32,
    /// Index of a [`Frame`].
    pub(crate) frame: u32,
    pub(crate) wait: Wait,
}

/// A place where lanes that diverged wait for one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) pc: u32,
    pub(crate) frame: u32,
    /// Lanes that will come; 0: the record is free.
    pub(crate) expected: u32,
    pub(crate) arrived: u32,
    pub(crate) parent: u32,
}

/// A running function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) parent: u32,
    /// First register line.
    pub(crate) base: u32,
    /// Register lines.
    pub(crate) lines: u32,
    pub(crate) local_base: u32,
    pub(crate) local_top: u32,
    pub(crate) return_pc: u32,
    pub(crate) call: u32,
    pub(crate) function: u32,
}

/// One of the 16 barriers of a block.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Barrier {
    /// Threads that arrived.
    pub(crate) arrived: u32,
    /// Threads expected, if the instruction said so.
    pub(crate) expected: Option<u32>,
    pub(crate) popc: u32,
    pub(crate) any: bool,
    /// Whether some predicate was false.
    pub(crate) some_false: bool,
}

/// The 32 lanes.
pub(crate) struct Warp {
    pub(crate) id: u32,
    pub(crate) alive: u32,
    pub(crate) paths: Vec<Path>,
    pub(crate) records: Vec<Record>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) registers: Vec<Line>,
    pub(crate) special: Vec<Line>,
    /// Index of the block that the special registers tell.
    block: [u32; 3],
    /// The multiprocessor that they tell.
    multiprocessor: u32,
    /// Path that ran last.
    pub(crate) cursor: usize,
    /// How often the cluster's barrier had opened when the warp last arrived at it.
    pub(crate) cluster_phase: u32,
    /// Quanta used up since lanes last met.
    pub(crate) stalled: u32,
    /// Whether it runs machine code where there is some: once it does, it does so for the whole block.
    pub(crate) jit: bool,
    /// Range of global memory used last.
    pub(crate) range: AddressRange,
    /// Ranges found before.
    pub(crate) ranges: [AddressRange; 4],
}

/// What the lanes of a block share; the warps stand beside it.
pub(crate) struct Shared {
    pub(crate) index: [u32; 3],
    pub(crate) memory: Vec<Line>,
    /// Ranges of memory that instructions of machine code touched last.
    pub(crate) slots: Vec<jit::Slot>,
    /// What machine code for whole blocks needs.
    pub(crate) sweep: jit::Sweep,
    /// How machine code for groups of lanes fares.
    pub(crate) luck: Vec<jit::Luck>,
    /// Whether the lanes of a group of machine code are always in one row of the block.
    pub(crate) rows: bool,
    /// What machine code compares addresses of shared and local memory with.
    pub(crate) limits: jit::Limits,
    /// Bytes of `memory` that kernels may use.
    pub(crate) bytes: usize,
    pub(crate) local: LocalMemory,
    pub(crate) barriers: [Barrier; 16],
    /// Shared memory of the blocks of the cluster by rank: start and bytes.
    pub(crate) cluster: Vec<(u64, usize)>,
    /// Threads of this block that arrived at the barrier of the cluster.
    pub(crate) cluster_arrived: u32,
    /// How often that barrier has opened.
    pub(crate) cluster_phase: u32,
}

/// Local memory of all threads of a block: `stack_bytes` for each, one after the other. Pages that are not touched cost nothing.
pub(crate) struct LocalMemory {
    /// What was allocated, and the first line of it.
    base: *mut u8,
    start: *mut u8,
    layout: Option<std::alloc::Layout>,
    pub(crate) stack_bytes: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for LocalMemory {}

impl LocalMemory {
    pub(crate) fn new(threads: usize, stack_bytes: usize) -> Option<LocalMemory> {
        let bytes = threads.checked_mul(stack_bytes)?;
        if bytes == 0 {
            return Some(LocalMemory {
                base: std::ptr::null_mut(),
                start: std::ptr::null_mut(),
                layout: None,
                stack_bytes: 0,
            });
        }
        // A stricter alignment than `calloc`'s would have all pages written at once.
        let layout = std::alloc::Layout::from_size_align(bytes.checked_add(64)?, 16).ok()?;
        // SAFETY: the size is not zero.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        (!base.is_null()).then_some(LocalMemory {
            base,
            start: base.wrapping_add(base.align_offset(64)),
            layout: Some(layout),
            stack_bytes,
        })
    }

    /// Start of a thread's memory.
    #[inline(always)]
    pub(crate) fn of(&self, thread: usize) -> *mut u8 {
        self.start.wrapping_add(thread * self.stack_bytes)
    }
}

impl Drop for LocalMemory {
    fn drop(&mut self) {
        if let Some(layout) = self.layout {
            // SAFETY: allocated with this layout.
            unsafe { std::alloc::dealloc(self.base, layout) }
        }
    }
}

impl Shared {
    #[inline(always)]
    pub(crate) fn memory_start(&self) -> *mut u8 {
        self.memory.as_ptr().cast_mut().cast()
    }
}

/// A range that holds nothing.
const NO_RANGE: AddressRange = AddressRange {
    start: 0,
    end: 0,
    writable: false,
};

impl Warp {
    /// Forgets which ranges of memory are valid.
    pub(crate) fn forget_ranges(&mut self) {
        self.range = NO_RANGE;
        self.ranges = [NO_RANGE; 4];
    }

    pub(crate) fn new(grid: &Grid<'_>, id: u32) -> Warp {
        let mut warp = Warp {
            id,
            // No block has this index: all registers are written for the first.
            block: [u32::MAX; 3],
            multiprocessor: u32::MAX,
            alive: 0,
            paths: Vec::with_capacity(4),
            records: Vec::with_capacity(8),
            frames: Vec::with_capacity(4),
            registers: Vec::new(),
            special: vec![Line([0; 64]); special::BYTES / 64],
            cursor: 0,
            cluster_phase: 0,
            stalled: 0,
            jit: false,
            range: NO_RANGE,
            ranges: [NO_RANGE; 4],
        };
        warp.fill_constant_special(grid);
        warp
    }

    /// Makes the warp ready for a block.
    pub(crate) fn reset(&mut self, grid: &Grid<'_>, block: [u32; 3], linear: u64) {
        let threads = grid.threads();
        let first = self.id * 32;
        let count = (threads - first).min(32);
        self.alive = if count == 32 {
            u32::MAX
        } else {
            (1 << count) - 1
        };
        self.paths.clear();
        self.records.clear();
        self.frames.clear();
        self.cursor = 0;
        self.cluster_phase = 0;
        self.stalled = 0;
        self.jit = grid.machine.code().is_some();
        let code = &grid.program.functions[grid.function as usize];
        let lines = code.frame_bytes / 64;
        self.make_room(lines);
        self.frames.push(Frame {
            parent: NONE,
            base: 0,
            lines,
            local_base: 0,
            local_top: code.local_bytes,
            return_pc: 0,
            call: NONE,
            function: grid.function,
        });
        self.paths.push(Path {
            pc: code.start,
            mask: self.alive,
            record: NONE,
            frame: 0,
            wait: Wait::Runnable,
        });
        self.fill_special(grid, block, linear);
    }

    /// Has at least so many lines of registers.
    #[inline]
    fn make_room(&mut self, lines: u32) {
        if self.registers.len() < lines as usize {
            self.registers.resize(lines as usize, Line([0; 64]));
        }
    }

    /// Addresses of the registers of the kernel itself, and of the special registers.
    #[inline]
    pub(crate) fn places(&mut self, grid: &Grid<'_>) -> [u64; 2] {
        self.make_room(grid.program.functions[grid.function as usize].frame_bytes / 64);
        [
            self.registers.as_mut_ptr() as u64,
            self.special.as_mut_ptr() as u64,
        ]
    }

    /// Writes the lanes of a special register of 32 bits.
    fn set_special(&mut self, loc: u32, f: impl Fn(u32) -> u32) {
        let start: *mut u8 = self.special.as_mut_ptr().cast();
        // SAFETY: the places of special registers lie within the region, which is aligned.
        let out = unsafe {
            &mut *start
                .add((loc & crate::ptx::code::OFFSET) as usize)
                .cast::<[u32; 32]>()
        };
        for (lane, value) in out.iter_mut().enumerate() {
            *value = f(lane as u32);
        }
    }

    /// The special registers that differ from block to block.
    pub(crate) fn fill_special(&mut self, grid: &Grid<'_>, block: [u32; 3], linear: u64) {
        for k in 0..3 {
            if self.block[k] != block[k] {
                self.set_special(special::CTAID + 128 * k as u32, |_| block[k]);
            }
        }
        self.block = block;
        let multiprocessor = grid.multiprocessor(linear);
        if self.multiprocessor != multiprocessor {
            self.multiprocessor = multiprocessor;
            self.set_special(special::SMID, |_| multiprocessor);
        }
        if grid.program.clusters {
            for k in 0..3 {
                let size = grid.cluster[k];
                let at = 128 * k as u32;
                self.set_special(special::CLUSTER_CTAID + at, |_| block[k] % size);
                self.set_special(special::CLUSTERID + at, |_| block[k] / size);
            }
            self.set_special(special::CLUSTER_RANK, |_| grid.rank(block));
        }
    }

    /// The special registers that are the same for all blocks of the grid.
    fn fill_constant_special(&mut self, grid: &Grid<'_>) {
        let [bx, by, bz] = grid.config.block;
        let first = self.id * 32;
        let id = self.id;
        let mut set = |loc: u32, f: &dyn Fn(u32) -> u32| self.set_special(loc, f);
        let thread = |lane: u32| first + lane;
        set(special::TID_X, &|l| thread(l) % bx);
        set(special::TID_Y, &|l| thread(l) / bx % by);
        set(special::TID_Z, &|l| thread(l) / bx / by);
        set(special::LANEID, &|l| l);
        set(special::LANEMASK_EQ, &|l| 1 << l);
        set(special::LANEMASK_LT, &|l| (1 << l) - 1);
        set(special::LANEMASK_LE, &|l| (1 << l) | ((1 << l) - 1));
        set(special::LANEMASK_GT, &|l| !((1 << l) | ((1 << l) - 1)));
        set(special::LANEMASK_GE, &|l| !((1 << l) - 1));
        set(special::WARPID, &|_| id);
        set(special::NWARPID, &|_| 64);
        for (k, n) in [bx, by, bz].into_iter().enumerate() {
            set(special::NTID + 128 * k as u32, &|_| n);
            set(special::NCTAID + 128 * k as u32, &|_| grid.config.grid[k]);
        }
        let size = grid.cluster;
        for k in 0..3 {
            let at = 128 * k as u32;
            set(special::CLUSTER_NCTAID + at, &|_| size[k]);
            set(special::NCLUSTERID + at, &|_| grid.config.grid[k] / size[k]);
        }
        set(special::CLUSTER_SIZE, &|_| size.iter().product());
        set(special::EXPLICIT_CLUSTER, &|_| {
            if grid.explicit_cluster { u32::MAX } else { 0 }
        });
        let multiprocessors = grid.env.threads.max(1) as u32;
        set(special::NSMID, &|_| multiprocessors);
        set(special::DYNAMIC_SMEM_SIZE, &|_| grid.config.shared_bytes);
        set(special::TOTAL_SMEM_SIZE, &|_| {
            grid.static_shared + grid.config.shared_bytes
        });
        set(special::DYNAMIC_BASE, &|_| grid.dynamic_base);
        let reserved = grid.reserved_start;
        set(special::RESERVED_0, &|_| reserved);
        set(special::RESERVED_1, &|_| reserved + RESERVED_SHARED / 2);
        set(special::RESERVED_END, &|_| reserved + RESERVED_SHARED);
        set(special::RESERVED_CAP, &|_| RESERVED_SHARED);
        set(special::ENVREG1, &|_| (grid.workspace.start >> 32) as u32);
        set(special::ENVREG2, &|_| grid.workspace.start as u32);
        set(special::ZERO, &|_| 0);
        for (loc, value) in [
            (special::GRIDID, grid.grid_id),
            (special::DYNAMIC_BASE_64, u64::from(grid.dynamic_base)),
            (special::CURRENT_GRAPH, grid.env.graph),
        ] {
            set(loc, &|l| {
                if l % 2 == 0 {
                    value as u32
                } else {
                    (value >> 32) as u32
                }
            });
            set(loc + 128, &|l| {
                if l % 2 == 0 {
                    value as u32
                } else {
                    (value >> 32) as u32
                }
            });
        }
    }

    /// Base addresses for the frame.
    #[inline(always)]
    pub(crate) fn bases(&mut self, grid: &Grid<'_>, frame: u32) -> Bases {
        let base = self.frames[frame as usize].base;
        self.bases_from(grid, base)
    }

    /// Base addresses for a frame whose registers start at a line: 0 for the kernel itself.
    #[inline(always)]
    pub(crate) fn bases_from(&mut self, grid: &Grid<'_>, base: u32) -> Bases {
        let base = base as usize;
        let registers: *mut Line = self.registers.as_mut_ptr();
        let constants: *const Line = grid.constants.as_ptr();
        let special: *mut Line = self.special.as_mut_ptr();
        Bases([
            registers.wrapping_add(base).cast(),
            constants.cast_mut().cast(),
            special.cast(),
            grid.param_registers.as_ptr().cast_mut().cast(),
        ])
    }

    /// Whether all lanes have ended.
    pub(crate) fn done(&self) -> bool {
        self.alive == 0
    }

    /// Puts a lane's place into a fault.
    pub(crate) fn fault(
        &self,
        grid: &Grid<'_>,
        block: [u32; 3],
        ins: &Ins,
        trouble: Trouble,
    ) -> Fault {
        let calls =
            matches!(ins.op, Op::Call | Op::CallIndirect | Op::StackAlloc) && trouble.address == 0;
        let note = if calls && trouble.kind == FaultKind::LaunchFailed {
            format!("its stack of {} bytes is full", grid.stack_bytes)
        } else {
            String::new()
        };
        Fault {
            kind: trouble.kind,
            kernel: grid.kernel.to_owned(),
            line: ins.line,
            block,
            thread: self.thread(grid, trouble.lane),
            address: trouble.address,
            source: Vec::new(),
            note,
        }
    }

    /// Index of a lane's thread.
    pub(crate) fn thread(&self, grid: &Grid<'_>, lane: u32) -> [u32; 3] {
        let [bx, by, _] = grid.config.block;
        let thread = self.id * 32 + lane;
        [thread % bx, thread / bx % by, thread / bx / by]
    }
}
