//! The compact form that is executed: fixed-size instructions whose operands are byte offsets of whole registers.

use super::types::Width;

/// Where an operand lives: the two top bits choose the region, the rest is a byte offset in it.
pub(crate) type Loc = u32;

/// Registers of the running function are region 0.
///
/// Constants of the module, each spread over all lanes.
pub(crate) const CONST: u32 = 1 << 30;
/// Special registers of the warp.
pub(crate) const SPECIAL: u32 = 2 << 30;
/// Parameters of the running kernel, each spread over all lanes.
pub(crate) const PARAMS: u32 = 3 << 30;
/// Mask of the offset in a [`Loc`].
pub(crate) const OFFSET: u32 = (1 << 30) - 1;
/// No operand.
pub(crate) const NONE: u32 = u32::MAX;

/// Base addresses of the regions, indexed by the two top bits of a [`Loc`].
#[repr(transparent)]
pub(crate) struct Bases(pub(crate) [*mut u8; 4]);

impl Bases {
    /// Address of the register at `loc`.
    ///
    /// # Safety
    /// `loc` must have been made by the compiler for the function whose frame is set.
    #[inline(always)]
    pub(crate) unsafe fn at<T>(&self, loc: Loc) -> *mut T {
        // SAFETY: locations stay inside their region by construction.
        unsafe {
            self.0[(loc >> 30) as usize]
                .add((loc & OFFSET) as usize)
                .cast()
        }
    }
}

/// An instruction without influence on control or memory, over the lanes of a mask.
pub(crate) type Alu = unsafe fn(&Bases, &Ins, u32);

/// Class of an instruction: what the main loop distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    /// [`Ins::alu`] does it all.
    Alu,
    /// To `imm`, all active lanes together.
    Jump,
    /// To `imm` where predicate `a` (`b` != 0: negated) holds; `c` is the point of reconvergence (or [`NONE`]).
    Branch,
    /// To the entry of table `imm` that register `a` names; `c` is the point of reconvergence.
    BranchTable,
    /// Start of a block where diverged lanes meet again.
    Meet,
    Exit,
    Ret,
    /// Function `imm`.
    Call,
    /// Function whose address is in `a`.
    CallIndirect,
    /// A function that the engine provides, `imm` is a [`Builtin`].
    CallBuiltin,
    Trap,
    /// `d` = frame's local memory + `imm`, as a 64-bit (b = 0) or 32-bit address.
    LocalAddress,
    /// Loads; see [`Access`] in `imm`.
    Load,
    Store,
    /// `cp.async`: `a` the place in shared memory, `b` the source, `c` the number of bytes that are read (the others become zero).
    CopyAsync,
    /// On matrices that are spread over the lanes; `imm` is the index of a [`super::matrix::MatrixOp`].
    Matrix,
    /// On the texture or surface whose handle is in `a`; `imm` is the index of an [`ImageOp`].
    Image,
    Atomic,
    /// `ld.param` of a kernel or anything else with one address for all lanes.
    LoadParam,
    Fence,
    /// `isspacep`.
    IsSpace,
    Barrier,
    /// The barrier of the cluster; `flags` as for barriers: only arrive, or wait for an arrival before.
    ClusterBarrier,
    /// On a barrier in memory; `sub` is a [`super::exec::mbarrier::MbarrierOp`].
    Mbarrier,
    /// `cp.async.bulk`: destination `a`, source `b`, bytes `c`, barrier `e` (or none).
    BulkCopy,
    /// Operations across lanes with a member mask; `imm` is a [`CrossOp`].
    Cross,
    ActiveMask,
    Clock,
    Yield,
    StackAlloc,
    StackSave,
    StackRestore,
    /// Machine code from here on ([`super::jit`]): `imm` is its address, `a` the number of the entry in the function, `b` that among all of the kernel's, `sub` says which code for groups there is.
    Compiled,
}

/// One instruction.
#[derive(Clone, Copy)]
pub(crate) struct Ins {
    pub(crate) op: Op,
    /// A few bits whose meaning depends on `op`.
    pub(crate) flags: u8,
    pub(crate) sub: u16,
    /// Guard predicate: location times two, plus one if negated; [`NONE`] for none.
    pub(crate) guard: u32,
    pub(crate) d: Loc,
    pub(crate) a: Loc,
    pub(crate) b: Loc,
    pub(crate) c: Loc,
    pub(crate) e: Loc,
    pub(crate) line: u32,
    pub(crate) imm: u64,
    pub(crate) alu: Alu,
}

/// Kinds of memory that a memory instruction may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Where {
    Generic,
    Global,
    Shared,
    Local,
    /// Parameters of the kernel.
    Param,
}

/// Details of a memory instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) place: Where,
    /// Bytes of one element in memory.
    pub(crate) size: u8,
    /// Whether a narrower element is sign-extended into its register.
    pub(crate) signed: bool,
    /// How each register is kept.
    pub(crate) width: Width,
    /// Whether the address register has 64 bits (32 otherwise).
    pub(crate) wide_address: bool,
    /// Whether all lanes take the same address: `offset`, relative to the frame's local memory when `place` is [`Where::Local`].
    pub(crate) direct: bool,
    /// Strength: plain, relaxed/volatile, acquire/release.
    pub(crate) order: Order,
    /// Added to the address.
    pub(crate) offset: i64,
    /// Index of the first register in [`Program::lists`] and their number; a single register stands in the instruction.
    pub(crate) list: u32,
    pub(crate) count: u8,
    /// Whether the quick path may be tried.
    pub(crate) quick: bool,
    /// Whether this CPU has wide vectors.
    pub(crate) vectors: bool,
}

impl Access {
    /// Whether others must see all elements of a vector at once, or none.
    pub(crate) fn whole(&self) -> bool {
        let total = u32::from(self.size) * u32::from(self.count);
        self.count > 1 && self.order != Order::Weak && matches!(total, 8 | 16)
    }
}

/// What an instruction does with a texture or a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageAction {
    /// `tex`.
    Sample(Lod),
    /// `tld4`, and the channel that it takes.
    Gather(u8),
    /// `suld.b`.
    Load,
    /// `sust.b`.
    Store,
    /// `sust.p`.
    StoreFormatted,
    /// `txq`.
    AskTexture(Question),
    /// `suq`.
    AskSurface(Question),
}

/// Where a mip level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lod {
    /// The lowest.
    Base,
    /// An operand.
    Given,
    /// Two vectors of derivatives.
    Derivatives,
}

/// What is asked of a texture or surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Width,
    Height,
    Depth,
    Layers,
    Levels,
    NormalizedCoordinates,
    /// `channel_data_type`, in the codes of OpenCL that PTX uses.
    DataType,
    /// `channel_order`, as above.
    Order,
}

/// How many coordinates say where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Dimensions: 1, 2 or 3; 2 for cubes.
    pub(crate) dimensions: u8,
    /// Whether a layer stands before the coordinates.
    pub(crate) layered: bool,
    /// Whether the coordinates are a direction.
    pub(crate) cube: bool,
}

/// What a surface instruction does outside of the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Trap,
    Clamp,
    Zero,
}

/// Details of an instruction on a texture or surface. Its registers stand in [`Program::lists`]: values, then coordinates, then level or derivatives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageOp {
    pub(crate) action: ImageAction,
    pub(crate) geometry: Geometry,
    /// Whether coordinates (and the level) are integers.
    pub(crate) integers: bool,
    pub(crate) outside: Outside,
    /// Bytes of each value, for surfaces.
    pub(crate) size: u8,
    pub(crate) list: u32,
    pub(crate) values: u8,
    pub(crate) coordinates: u8,
}

/// How strong a memory operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Weak,
    Relaxed,
    Strong,
}

/// Functions that the engine provides to kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Builtin {
    Vprintf,
    AssertFail,
    Malloc,
    Free,
    /// `cudaGraphSetConditional`.
    SetConditional,
    /// `cudaGraphLaunch`.
    GraphLaunch,
    /// `cudaGraphKernelNodeSetParam`, and so on.
    NodeSetParam,
    NodeSetEnabled,
    NodeSetGridDim,
    NodeUpdatesApply,
    // The device runtime, as of CUDA 12.
    GetParameterBuffer,
    LaunchDevice,
    GetLastError,
    PeekAtLastError,
    StreamCreate,
    StreamDestroy,
    StreamWaitEvent,
    EventCreate,
    EventRecord,
    EventRecordWithFlags,
    EventDestroy,
    MemcpyAsync,
    MemsetAsync,
    RuntimeGetVersion,
    GetDevice,
    GetDeviceCount,
    GetErrorName,
    GetErrorString,
    DeviceMalloc,
    DeviceFree,
}

/// Names of the functions that the engine provides, and the bytes of each argument.
pub(crate) const PROVIDED: &[(&str, Builtin, &[u32])] = &[
    ("vprintf", Builtin::Vprintf, &[8, 8]),
    ("__assertfail", Builtin::AssertFail, &[8, 8, 4, 8, 8]),
    ("malloc", Builtin::Malloc, &[8]),
    ("free", Builtin::Free, &[8]),
    ("cudaGraphSetConditional", Builtin::SetConditional, &[8, 4]),
    ("cudaGraphLaunch", Builtin::GraphLaunch, &[8, 8]),
    (
        "cudaGraphKernelNodeSetParam",
        Builtin::NodeSetParam,
        &[8, 8, 8, 8],
    ),
    (
        "cudaGraphKernelNodeSetEnabled",
        Builtin::NodeSetEnabled,
        &[8, 4],
    ),
    (
        "cudaGraphKernelNodeSetGridDim",
        Builtin::NodeSetGridDim,
        &[8, 12],
    ),
    (
        "cudaGraphKernelNodeUpdatesApply",
        Builtin::NodeUpdatesApply,
        &[8, 8],
    ),
    (
        "__cudaCDP2GetParameterBufferV2",
        Builtin::GetParameterBuffer,
        &[8, 12, 12, 4],
    ),
    ("__cudaCDP2LaunchDeviceV2", Builtin::LaunchDevice, &[8, 8]),
    // As programs that do not come from nvcc call them.
    (
        "cudaGetParameterBufferV2",
        Builtin::GetParameterBuffer,
        &[8, 12, 12, 4],
    ),
    ("cudaLaunchDeviceV2", Builtin::LaunchDevice, &[8, 8]),
    (
        "__cudaCDP2LaunchDeviceV2_ptsz",
        Builtin::LaunchDevice,
        &[8, 8],
    ),
    ("__cudaCDP2GetLastError", Builtin::GetLastError, &[]),
    ("__cudaCDP2PeekAtLastError", Builtin::PeekAtLastError, &[]),
    (
        "__cudaCDP2StreamCreateWithFlags",
        Builtin::StreamCreate,
        &[8, 4],
    ),
    ("__cudaCDP2StreamDestroy", Builtin::StreamDestroy, &[8]),
    (
        "__cudaCDP2StreamWaitEvent",
        Builtin::StreamWaitEvent,
        &[8, 8, 4],
    ),
    (
        "__cudaCDP2StreamWaitEvent_ptsz",
        Builtin::StreamWaitEvent,
        &[8, 8, 4],
    ),
    (
        "__cudaCDP2EventCreateWithFlags",
        Builtin::EventCreate,
        &[8, 4],
    ),
    ("__cudaCDP2EventRecord", Builtin::EventRecord, &[8, 8]),
    ("__cudaCDP2EventRecord_ptsz", Builtin::EventRecord, &[8, 8]),
    (
        "__cudaCDP2EventRecordWithFlags",
        Builtin::EventRecordWithFlags,
        &[8, 8, 4],
    ),
    (
        "__cudaCDP2EventRecordWithFlags_ptsz",
        Builtin::EventRecordWithFlags,
        &[8, 8, 4],
    ),
    ("__cudaCDP2EventDestroy", Builtin::EventDestroy, &[8]),
    (
        "__cudaCDP2MemcpyAsync",
        Builtin::MemcpyAsync,
        &[8, 8, 8, 4, 8],
    ),
    (
        "__cudaCDP2MemcpyAsync_ptsz",
        Builtin::MemcpyAsync,
        &[8, 8, 8, 4, 8],
    ),
    ("__cudaCDP2MemsetAsync", Builtin::MemsetAsync, &[8, 4, 8, 8]),
    (
        "__cudaCDP2MemsetAsync_ptsz",
        Builtin::MemsetAsync,
        &[8, 4, 8, 8],
    ),
    (
        "__cudaCDP2RuntimeGetVersion",
        Builtin::RuntimeGetVersion,
        &[8],
    ),
    ("__cudaCDP2GetDevice", Builtin::GetDevice, &[8]),
    ("__cudaCDP2GetDeviceCount", Builtin::GetDeviceCount, &[8]),
    ("__cudaCDP2GetErrorName", Builtin::GetErrorName, &[4]),
    ("__cudaCDP2GetErrorString", Builtin::GetErrorString, &[4]),
    ("__cudaCDP2Malloc", Builtin::DeviceMalloc, &[8, 8]),
    ("__cudaCDP2Free", Builtin::DeviceFree, &[8]),
];

/// Operations across lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum CrossOp {
    ShflUp,
    ShflDown,
    ShflBfly,
    ShflIdx,
    VoteAll,
    VoteAny,
    VoteUni,
    VoteBallot,
    MatchAny,
    MatchAll,
    RedAdd,
    RedMin,
    RedMax,
    RedAnd,
    RedOr,
    RedXor,
    /// `bar.warp.sync`.
    Sync,
    /// `elect.sync`.
    Elect,
}

/// What a call needs to know of a function.
#[derive(Debug, Clone, Default)]
pub(crate) struct FunctionCode {
    /// First instruction.
    pub(crate) start: u32,
    /// One past the last.
    pub(crate) end: u32,
    /// The registers of the frame.
    pub(crate) registers: Vec<(Loc, Width)>,
    /// Bytes of registers.
    pub(crate) frame_bytes: u32,
    /// Bytes of local memory, including parameters in local memory.
    pub(crate) local_bytes: u32,
    /// Offset and size of each formal parameter in the function's local memory.
    pub(crate) params: Vec<(u32, u32)>,
    /// Offset and size of each return value in the function's local memory.
    pub(crate) returns: Vec<(u32, u32)>,
    /// Whether there is a body.
    pub(crate) defined: bool,
    /// Functions that are called directly.
    pub(crate) callees: Vec<u32>,
    /// Whether there are indirect calls.
    pub(crate) indirect: bool,
    /// End of the static shared memory that is used by the body.
    pub(crate) shared_end: u32,
    pub(crate) uses_dynamic_shared: bool,
    /// Parameters that are registers (of kernels), and the bytes that they take.
    pub(crate) param_registers: Vec<ParamRegister>,
    pub(crate) param_bytes: u32,
}

/// Arguments of one call: places in the caller's local memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallSite {
    /// Offset and size in the caller's local memory.
    pub(crate) args: Vec<(u32, u32)>,
    pub(crate) rets: Vec<(u32, u32)>,
}

/// A constant that waits for an address.
#[derive(Debug, Clone)]
pub(crate) struct Relocation {
    /// Byte offset of the constant in the pool, and how it is kept.
    pub(crate) at: u32,
    pub(crate) width: Width,
    /// Variable of the module.
    pub(crate) variable: u32,
    pub(crate) addend: i64,
}

/// A parameter of a kernel that is kept as a register, the same for the whole grid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParamRegister {
    /// Offset and bytes in the parameters.
    pub(crate) offset: u32,
    pub(crate) size: u8,
    pub(crate) signed: bool,
    pub(crate) width: Width,
    /// Byte offset in the region.
    pub(crate) place: u32,
}

/// Everything that running needs and that does not depend on addresses.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) code: Vec<Ins>,
    pub(crate) functions: Vec<FunctionCode>,
    /// Constant pool, 16-byte units so that it is aligned.
    pub(crate) constants: Vec<u128>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) accesses: Vec<Access>,
    /// Registers of vector operands.
    pub(crate) lists: Vec<Loc>,
    /// Details of texture and surface instructions.
    pub(crate) images: Vec<ImageOp>,
    /// Details of matrix instructions.
    pub(crate) matrices: Vec<super::matrix::MatrixOp>,
    pub(crate) calls: Vec<CallSite>,
    /// Targets of `brx.idx`.
    pub(crate) tables: Vec<Vec<u32>>,
    /// Whether some function asks for its place in a cluster.
    pub(crate) clusters: bool,
    /// Whether some function uses the reserved part of shared memory.
    pub(crate) reserved_shared: bool,
    /// Whether some function calls the device runtime.
    pub(crate) launches: bool,
}

/// Bytes of shared memory that are reserved for the system: two halves, of which cooperative groups use the second.
pub(crate) const RESERVED_SHARED: u32 = 2048;

/// First generic address of shared memory.
pub(crate) const SHARED_WINDOW: u64 = 0x8000_0000_0000;
/// Addresses of shared memory of a block of the cluster: its rank plus one in the bits from here on, and the offset below.
pub(crate) const CLUSTER_SHIFT: u32 = 24;
/// First generic address of local memory.
pub(crate) const LOCAL_WINDOW: u64 = 0x8001_0000_0000;
/// First generic address of the kernel's parameters.
pub(crate) const PARAM_WINDOW: u64 = 0x8002_0000_0000;
/// First address of functions, [`FUNCTION_STRIDE`] apart.
pub(crate) const FUNCTION_WINDOW: u64 = 0x8003_0000_0000;
/// Distance of the addresses of two functions.
pub(crate) const FUNCTION_STRIDE: u64 = 16;

/// Special registers: places in their region. 32-bit ones take 128 bytes, 64-bit ones 256.
pub(crate) mod special {
    use super::SPECIAL;

    pub(crate) const TID_X: u32 = SPECIAL;
    pub(crate) const TID_Y: u32 = SPECIAL + 128;
    pub(crate) const TID_Z: u32 = SPECIAL + 256;
    pub(crate) const LANEID: u32 = SPECIAL + 384;
    pub(crate) const LANEMASK_EQ: u32 = SPECIAL + 512;
    pub(crate) const LANEMASK_LE: u32 = SPECIAL + 640;
    pub(crate) const LANEMASK_LT: u32 = SPECIAL + 768;
    pub(crate) const LANEMASK_GE: u32 = SPECIAL + 896;
    pub(crate) const LANEMASK_GT: u32 = SPECIAL + 1024;
    pub(crate) const WARPID: u32 = SPECIAL + 1152;
    pub(crate) const NWARPID: u32 = SPECIAL + 1280;
    /// x; y and z follow.
    pub(crate) const NTID: u32 = SPECIAL + 1408;
    /// x; y and z follow.
    pub(crate) const CTAID: u32 = SPECIAL + 1792;
    /// x; y and z follow.
    pub(crate) const NCTAID: u32 = SPECIAL + 2176;
    pub(crate) const SMID: u32 = SPECIAL + 2560;
    pub(crate) const NSMID: u32 = SPECIAL + 2688;
    pub(crate) const DYNAMIC_SMEM_SIZE: u32 = SPECIAL + 2816;
    pub(crate) const TOTAL_SMEM_SIZE: u32 = SPECIAL + 2944;
    /// Where dynamic shared memory starts.
    pub(crate) const DYNAMIC_BASE: u32 = SPECIAL + 3072;
    pub(crate) const ENVREG1: u32 = SPECIAL + 3200;
    pub(crate) const ENVREG2: u32 = SPECIAL + 3328;
    pub(crate) const ZERO: u32 = SPECIAL + 3456;
    /// 64 bits.
    pub(crate) const GRIDID: u32 = SPECIAL + 3584;
    /// 64 bits.
    pub(crate) const DYNAMIC_BASE_64: u32 = SPECIAL + 3840;
    /// 64 bits.
    pub(crate) const CURRENT_GRAPH: u32 = SPECIAL + 4096;
    /// Shared memory that the system reserves, behind that of the kernel.
    pub(crate) const RESERVED_0: u32 = SPECIAL + 4352;
    pub(crate) const RESERVED_1: u32 = SPECIAL + 4480;
    pub(crate) const RESERVED_END: u32 = SPECIAL + 4608;
    pub(crate) const RESERVED_CAP: u32 = SPECIAL + 4736;
    /// x; y and z follow, here and for the next three.
    pub(crate) const CLUSTER_CTAID: u32 = SPECIAL + 4864;
    pub(crate) const CLUSTERID: u32 = SPECIAL + 5248;
    pub(crate) const CLUSTER_NCTAID: u32 = SPECIAL + 5632;
    pub(crate) const NCLUSTERID: u32 = SPECIAL + 6016;
    pub(crate) const CLUSTER_RANK: u32 = SPECIAL + 6400;
    pub(crate) const CLUSTER_SIZE: u32 = SPECIAL + 6528;
    /// A predicate.
    pub(crate) const EXPLICIT_CLUSTER: u32 = SPECIAL + 6656;
    /// Bytes of the region.
    pub(crate) const BYTES: usize = 6784;
}
