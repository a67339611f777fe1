//! The seam between the driver API of the CPU device ([`crate::driver`]) and the engine that runs kernels from PTX ([`crate::ptx`]).
//!
//! Device memory *is* host memory: a device address is an address in this process. The engine therefore checks every access against the [`AddressSpace`] that
//! the driver keeps, so that a stray pointer in a kernel is a CUDA error and not a crash of the process.

use std::sync::Arc;

/// A compiled PTX module: nothing is allocated or relocated yet.
pub trait CompiledModule: Send + Sync {
    /// The kernels (`.entry`) of the module, in the order of the source.
    fn kernels(&self) -> &[KernelInfo];
    /// Module-scope variables (`.global`, `.const`) that need memory, in the order of the source.
    fn variables(&self) -> &[VariableInfo];
    /// Binds the module to memory: `addresses[i]` is where `variables()[i]` now lives. The engine writes the initial values (pointers to other variables and
    /// functions resolved) and returns the module ready to launch.
    ///
    /// # Errors
    /// An initialiser that names an unknown symbol.
    fn instantiate(
        self: Arc<Self>,
        addresses: &[u64],
    ) -> Result<Arc<dyn LoadedModule>, CompileError>;
}

/// A module in memory, ready to launch.
pub trait LoadedModule: Send + Sync {
    /// Runs one grid to its end on the calling thread and the engine's worker threads.
    ///
    /// `kernel` is an index into [`CompiledModule::kernels`]; `params` is the packed parameter block with the layout of [`KernelInfo::params`].
    ///
    /// # Errors
    /// The first fault of the grid; other blocks are stopped as soon as possible.
    fn launch(
        &self,
        kernel: usize,
        config: &LaunchConfig,
        params: &[u8],
        env: &LaunchEnvironment<'_>,
    ) -> Result<(), Fault>;
    /// Number of blocks of the kernel that one multiprocessor of this device is said to hold (threads, shared memory and barriers considered).
    fn kernel_info(&self, kernel: usize) -> &KernelInfo;
}

/// Compiles PTX text (any trailing NUL removed).
///
/// # Errors
/// The first thing not understood or not supported: maps to `CUDA_ERROR_INVALID_PTX`, and its text and line go to the log.
pub fn compile(source: &str) -> Result<Arc<dyn CompiledModule>, CompileError> {
    crate::ptx::compile(source)
}

/// Why a PTX text cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Line in the PTX text, from 1; 0 when no single line is to blame.
    pub line: u32,
    /// That line's text, trimmed.
    pub text: String,
    /// What is wrong with it, in one sentence.
    pub message: String,
}

/// Whether text is well-formed PTX; its names may be undefined and its instructions unsupported.
pub fn is_ptx(source: &str) -> bool {
    crate::ptx::parses(source)
}

/// Makes one PTX text of several.
///
/// # Errors
/// The symbol that several define.
pub fn link(sources: &[String]) -> Result<String, String> {
    crate::ptx::link::join(sources)
}

/// What is known of a kernel before it runs; feeds `cuFuncGetAttribute` and `cuFuncGetParamInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelInfo {
    /// Mangled name.
    pub name: String,
    /// Parameters in order.
    pub params: Vec<ParamInfo>,
    /// Static shared memory, bytes.
    pub shared_bytes: u32,
    /// `.local` and stack memory per thread, bytes.
    pub local_bytes: u32,
    /// `.const` memory of the module, bytes.
    pub const_bytes: u32,
    /// Largest block that may be launched (`.maxntid`/`.reqntid` considered; 1024 otherwise).
    pub max_threads_per_block: u32,
    /// `.reqntid`, if given.
    pub required_block: Option<[u32; 3]>,
    /// `.reqnctapercluster`, if given.
    pub required_cluster: Option<[u32; 3]>,
    /// An estimate of registers per thread (a GPU compiler's figure is not known here).
    pub registers: u32,
    /// `.version` of the module times ten (ISA 9.0 is 90).
    pub ptx_version: u32,
    /// The number in `.target sm_NN`.
    pub target: u32,
}

/// Place of one kernel parameter in the parameter block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamInfo {
    /// Offset in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// A module-scope variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableInfo {
    /// Mangled name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Alignment in bytes.
    pub align: u64,
    /// Whether it stands in `.const` space.
    pub constant: bool,
    /// Whether it has the attribute `.managed`.
    pub managed: bool,
    /// Whether it is a reference rather than memory: kernels name it by its address.
    pub reference: Option<Reference>,
}

/// What a variable stands for that is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// `.texref`.
    Texture,
    /// `.surfref`.
    Surface,
    /// `.samplerref`, which no function of the driver sets.
    Sampler,
}

/// Launch geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchConfig {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads per block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory per block, bytes.
    pub shared_bytes: u32,
    /// Whether all blocks must be able to wait for one another (grid barrier).
    pub cooperative: bool,
    /// Blocks of a cluster in x, y, z; 0 in x where the launch does not say (then the kernel may).
    pub cluster: [u32; 3],
}

impl LaunchConfig {
    /// Blocks of a cluster in x, y, z, as the launch or the kernel says; 1 each where neither does.
    pub fn blocks_of_cluster(&self, kernel: &KernelInfo) -> [u32; 3] {
        if self.cluster[0] != 0 {
            self.cluster
        } else {
            kernel.required_cluster.unwrap_or([1; 3])
        }
    }
}

/// How a kernel changes a kernel node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeUpdate {
    /// Bytes of its parameters, from an offset on.
    Parameter(u64, Vec<u8>),
    /// Blocks in x, y, z.
    Grid([u32; 3]),
    /// Whether it runs.
    Enabled(bool),
}

/// What a running grid needs from the driver.
pub struct LaunchEnvironment<'a> {
    /// Which addresses a kernel may touch.
    pub memory: &'a dyn AddressSpace,
    /// Which textures and surfaces it may name.
    pub images: &'a dyn crate::image::Images,
    /// Number of host threads the grid may use.
    pub threads: usize,
    /// Where device `printf` goes (whole formatted pieces, in the order of the calls of one thread).
    pub print: &'a (dyn Fn(&[u8]) + Sync),
    /// Where the text of a failed device `assert` goes.
    pub print_error: &'a (dyn Fn(&[u8]) + Sync),
    /// Becomes true when the grid must stop (context destroyed, session over).
    pub cancelled: &'a std::sync::atomic::AtomicBool,
    /// When the grid has to have ended, if that is limited.
    pub deadline: Option<std::time::Instant>,
    /// Device heap for `malloc`/`free` in kernels: allocate, or 0 when exhausted.
    pub device_malloc: &'a (dyn Fn(u64) -> u64 + Sync),
    /// Sets the value of a conditional node of a graph, by its handle; false if there is none.
    pub set_condition: &'a (dyn Fn(u64, u32) -> bool + Sync),
    /// Launches an executable graph, by its handle, as the stream says: `cudaGraphLaunch` of a kernel. The status, as the runtime has it.
    pub launch_graph: &'a (dyn Fn(u64, u64) -> i32 + Sync),
    /// Changes a node of a graph, by its handle: `cudaGraphKernelNodeSetParam` and the like. The status, as the runtime has it.
    pub update_node: &'a (dyn Fn(u64, NodeUpdate) -> i32 + Sync),
    /// Handle of the executable graph that the grid is part of, 0 if kernels may not launch it.
    pub graph: u64,
    /// Counterpart of `device_malloc`.
    pub device_free: &'a (dyn Fn(u64) + Sync),
}

/// A run of valid device addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Whether kernels may write.
    pub writable: bool,
}

/// The addresses that kernels may touch. Called from many threads; the engine caches the last ranges found per warp.
pub trait AddressSpace: Sync {
    /// The mapped range that holds `address`, if any.
    fn find(&self, address: u64) -> Option<AddressRange>;
}

/// What went wrong in a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which CUDA error it is.
    pub kind: FaultKind,
    /// Kernel's name.
    pub kernel: String,
    /// PTX line of the instruction.
    pub line: u32,
    /// Block index.
    pub block: [u32; 3],
    /// Thread index of the first faulting thread.
    pub thread: [u32; 3],
    /// Address, for memory faults.
    pub address: u64,
    /// File and line of the instruction in the program's source, where the PTX tells them (nvcc's `-lineinfo`); behind them those of the place where it was inlined, if it was.
    pub source: Vec<(String, u32)>,
    /// What else there is to say, in one sentence.
    pub note: String,
}

impl Fault {
    /// A fault of a whole grid, of no thread in particular.
    pub(crate) fn of_grid(kind: FaultKind, kernel: &str) -> Fault {
        Fault {
            kind,
            kernel: kernel.to_owned(),
            line: 0,
            block: [0; 3],
            thread: [0; 3],
            address: 0,
            source: Vec::new(),
            note: String::new(),
        }
    }
}

/// Classes of faults, after CUDA's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `CUDA_ERROR_ILLEGAL_ADDRESS` (700).
    IllegalAddress,
    /// `CUDA_ERROR_MISALIGNED_ADDRESS` (716).
    MisalignedAddress,
    /// `CUDA_ERROR_INVALID_ADDRESS_SPACE` (717).
    InvalidAddressSpace,
    /// `CUDA_ERROR_ILLEGAL_INSTRUCTION` (715).
    IllegalInstruction,
    /// `CUDA_ERROR_ASSERT` (710).
    Assert,
    /// `trap`: `CUDA_ERROR_LAUNCH_FAILED` (719).
    Trap,
    /// Call stack exhausted or a barrier that can never complete: `CUDA_ERROR_LAUNCH_FAILED` (719).
    LaunchFailed,
    /// The grid ran beyond [`LaunchEnvironment::deadline`]: `CUDA_ERROR_LAUNCH_TIMEOUT` (702).
    Timeout,
    /// Stopped because [`LaunchEnvironment::cancelled`] became true.
    Cancelled,
}
