//! The core's commands and the worker's messages: memory, copies, streams, events, modules, launches, host functions, capture.
//!
//! Ids of streams, events, modules, graphs and contexts are dense numbers minted by the client (an id may be used again after its destroy command, since commands are
//! ordered); function ids are minted by the worker. Stream 0 is the legacy default stream of the frame's context; context ids below 256 are the devices' primary contexts.

use crate::codec::Params;

/// Opcode of a reply: `sequence` is the command's, `context` the CUDA status.
pub const REPLY: u16 = 0x8000;
/// [`Progress`].
pub const PROGRESS: u16 = 0x8001;
/// [`AsyncError`].
pub const ASYNC_ERROR: u16 = 0x8002;
/// [`HostCall`].
pub const HOST_CALL: u16 = 0x8003;
/// [`Output`]; the bytes are the frame's bulk.
pub const OUTPUT: u16 = 0x8004;
/// [`HostData`]; the packed bytes are the frame's bulk.
pub const HOST_DATA: u16 = 0x8005;
/// [`PullRequest`].
pub const PULL_REQUEST: u16 = 0x8006;
/// [`HostChanges`]; the changes are the frame's bulk, as in [`crate::delta`].
pub const HOST_CHANGES: u16 = 0x8007;

/// [`Snapshot`]: the worker's first frame.
pub const SNAPSHOT: u16 = 0x80ff;

/// [`ModuleInfo::image`](struct@ModuleInfo): it was there, or was sent.
pub const IMAGE_THERE: u8 = 0;
/// It must be sent.
pub const IMAGE_MISSING: u8 = 1;
/// It must be sent, and so must all others: none are kept.
pub const IMAGES_NOT_KEPT: u8 = 2;

/// First and last opcode of the core's commands.
pub const OPCODES: (u16, u16) = (0x0100, 0x01ff);

/// Contexts below this number are the primary contexts of the devices with that ordinal.
pub const FIRST_CREATED_CONTEXT: u32 = 256;

/// [`Copy::kind`](struct@Copy): the packed bytes are the frame's bulk (taken from the program's memory at issue).
pub const COPY_FROM_BULK: u8 = 0;
/// From the worker's shadow of pinned memory: a write of the GPU to it is still in flight.
pub const COPY_FROM_SHADOW: u8 = 1;
/// From pinned memory of the client as it is when the copy executes: the worker asks with a [`PullRequest`].
pub const COPY_FROM_PULL: u8 = 2;
/// To the reply's bulk, packed.
pub const COPY_TO_REPLY: u8 = 3;
/// To the worker's shadow of pinned memory; the bytes follow in a [`HostData`] before anything says that the copy is complete.
pub const COPY_TO_SHADOW: u8 = 4;
/// Device to device.
pub const COPY_ON_DEVICE: u8 = 5;

crate::records! {
    /// A box of bytes to copy.
    Extent {
        /// Bytes per row.
        width: u64,
        /// Rows per slice.
        height: u64,
        /// Slices.
        depth: u64,
    }
    /// Where a box lies: row `y` of slice `z` begins at `address + z * slice + y * pitch`.
    Plane {
        /// Address of the first byte.
        address: u64,
        /// Bytes from row to row.
        pitch: u64,
        /// Bytes from slice to slice.
        slice: u64,
    }
    /// One device as the client's programs see it, taken when the session starts.
    Device {
        /// `cuDeviceGetName`.
        name: String,
        /// `cuDeviceGetUuid_v2`.
        uuid: [u8; 16],
        /// `cuDeviceTotalMem`, bytes.
        total_memory: u64,
        /// `CUdevice_attribute` number and value, all that the driver answers.
        attributes: Vec<(u32, i32)>,
        /// `CUlimit` number and value for a fresh context.
        limits: Vec<(u32, u64)>,
        /// Lowest and greatest stream priority.
        stream_priorities: (i32, i32),
        /// Allocation granularity of physical memory, bytes.
        granularity: u64,
        /// P2P attribute (`CUdevice_P2PAttribute`) towards every device in order: 4 values each.
        peers: Vec<[u8; 4]>,
    }
    /// What the worker tells at the start of a session.
    Snapshot {
        /// `cuDriverGetVersion` of the box.
        driver_version: i32,
        /// Whether the device runs PTX alone (the CPU device): images are chosen accordingly.
        ptx_only: bool,
        /// `cuModuleGetLoadingMode`.
        loading_mode: i32,
        /// Devices in order.
        devices: Vec<Device>,
        /// The worker's process id, for messages.
        worker: u32,
    }
    /// A kernel as its module declares it.
    FunctionInfo {
        /// The worker's id for launches.
        function: u32,
        /// Mangled name.
        name: String,
        /// Offset and size of each parameter.
        params: Vec<(u32, u32)>,
        /// `CUfunction_attribute` number and value.
        attributes: Vec<(u32, i32)>,
    }
    /// Reply of [`ModuleLoad`].
    ModuleInfo {
        /// Kernels of a small module; empty where there are too many: then asked one by one.
        functions: Vec<FunctionInfo>,
        /// Whether `functions` is complete.
        complete: bool,
        /// Number of kernels in the module.
        count: u32,
        /// How compiling went.
        report: JitReport,
        /// `IMAGE_*`: whether the image that was named is there; if not, the rest does not count.
        image: u8,
    }
    /// How the JIT compiler or linker fared: its logs are wanted most when it fails, so its status comes with them.
    JitReport {
        /// CUDA status; the rest of the reply counts only if it is 0.
        status: i32,
        /// What it logged.
        info_log: String,
        /// What it found wrong.
        error_log: String,
    }
    /// Reply of [`LinkComplete`].
    LinkImage {
        /// How linking went.
        report: JitReport,
        /// Bytes of the whole image.
        size: u64,
        /// Its beginning; the rest is asked for with [`LinkRead`].
        image: Vec<u8>,
    }
    /// Reply of [`GlobalInfo`].
    GlobalReply {
        /// Device address.
        address: u64,
        /// Bytes.
        size: u64,
        /// Whether it is managed memory.
        managed: bool,
    }
    /// Reply of [`MemInfo`].
    MemInfoReply {
        /// Bytes free.
        free: u64,
        /// Bytes in all.
        total: u64,
    }
    /// Reply of [`HostRegister`].
    HostRegisterReply {
        /// Where the worker's shadow lies; equal to the client's address where that was free.
        shadow: u64,
        /// Device address of the first byte.
        device_pointer: u64,
    }
    /// Work up to `sequence` on `stream` is complete. Frees credit, answers queries. Is not sent for what the reply to a `StreamSynchronize` or `ContextSynchronize` says.
    Progress {
        /// Context of the stream (matters for stream 0).
        context: u32,
        /// Stream.
        stream: u32,
        /// Sequence number of the last completed command on it.
        sequence: u64,
    }
    /// An async command failed, or the context did.
    AsyncError {
        /// The command, 0 if unknown.
        sequence: u64,
        /// Thread that issued it, 0 if unknown.
        thread: u32,
        /// Its context.
        context: u32,
        /// CUDA status.
        status: i32,
        /// Whether the context is poisoned.
        sticky: bool,
        /// Opcode of the command, 0 if unknown.
        opcode: u16,
    }
    /// The GPU has reached a host function: the client calls it and answers with [`HostCallDone`].
    HostCall {
        /// As in [`HostFunction`].
        id: u64,
        /// CUDA status for stream callbacks.
        status: i32,
    }
    /// What the device printed.
    Output {
        /// 1 standard output, 2 standard error.
        stream: u8,
    }
    /// Bytes that the GPU wrote to pinned memory; they belong at `plane` in the client's address space, the bulk is packed row by row.
    HostData {
        /// Destination.
        plane: Plane,
        /// Size.
        extent: Extent,
    }
    /// What the GPU changed in mapped memory; sent before anything that says that the work is complete.
    HostChanges {
        /// As mapped.
        address: u64,
    }
    /// The worker needs pinned memory of the client as it is now; answered with [`PullData`].
    PullRequest {
        /// Names the request.
        id: u64,
        /// Source.
        plane: Plane,
        /// Size.
        extent: Extent,
    }
}

/// Bytes of an array are named by number: byte `x` of row `y` of slice `z` is `z << ARRAY_SLICE | y << ARRAY_ROW | x`, so that a box in it is a [`Plane`] like any other.
pub const ARRAY_ROW: u32 = 32;
/// As [`ARRAY_ROW`]: no array has 2¹⁶ rows or slices, or 2³² bytes in a row.
pub const ARRAY_SLICE: u32 = 48;

crate::records! {
    /// What a token of another session stands for.
    IpcShared {
        /// A pool, of which only the device is known, or memory.
        pool: bool,
        /// Ordinal of the device in this session.
        device: u32,
        /// Sizes of the pieces of physical memory, to be mapped one behind the other.
        parts: Vec<u64>,
        /// Where in them the shared range begins.
        offset: u64,
        /// Its bytes.
        size: u64,
    }
    /// `CUDA_ARRAY3D_DESCRIPTOR`.
    ArrayShape {
        /// Elements per row.
        width: u64,
        /// Rows, 0 for one dimension.
        height: u64,
        /// Slices or layers, 0 for fewer than three dimensions.
        depth: u64,
        /// `CUarray_format`.
        format: u32,
        /// Channels per element.
        channels: u32,
        /// `CUDA_ARRAY3D_*`.
        flags: u32,
    }
    /// `CUDA_ARRAY_SPARSE_PROPERTIES`.
    SparseProperties {
        /// Elements of a tile in each dimension.
        tile: [u32; 3],
        /// Where the mip tail begins.
        first_tail_level: u32,
        /// Bytes of the mip tail.
        tail_size: u64,
        /// `CU_ARRAY_SPARSE_PROPERTIES_*`.
        flags: u32,
    }
    /// `CUDA_RESOURCE_DESC`; what does not belong to the kind is 0.
    Resource {
        /// `CUresourcetype`.
        kind: u32,
        /// Array or mipmapped array.
        array: u32,
        /// Device address of linear or pitched memory.
        address: u64,
        /// `CUarray_format` of memory.
        format: u32,
        /// Channels per element of memory.
        channels: u32,
        /// Bytes of linear memory, elements per row of pitched memory.
        width: u64,
        /// Rows of pitched memory.
        height: u64,
        /// Bytes from row to row of pitched memory.
        pitch: u64,
        /// As given.
        flags: u32,
    }
    /// `CUDA_TEXTURE_DESC`; numbers with a fraction by their bits.
    TextureSettings {
        /// `CUaddress_mode` in each dimension.
        address_modes: [u32; 3],
        /// `CUfilter_mode`.
        filter: u32,
        /// `CU_TRSF_*`.
        flags: u32,
        /// Limit of anisotropy.
        anisotropy: u32,
        /// `CUfilter_mode` between mip levels.
        mipmap_filter: u32,
        /// Offset of the mip level.
        bias: u32,
        /// Lowest mip level.
        lowest: u32,
        /// Highest mip level.
        highest: u32,
        /// What lies beyond the border: four numbers.
        border: [u8; 16],
    }
    /// `CUDA_RESOURCE_VIEW_DESC`.
    ResourceView {
        /// `CUresourceViewFormat`.
        format: u32,
        /// Elements per row.
        width: u64,
        /// Rows.
        height: u64,
        /// Slices.
        depth: u64,
        /// First and last mip level.
        levels: (u32, u32),
        /// First and last layer.
        layers: (u32, u32),
    }
    /// One operation of [`StreamMemoryOperations`].
    MemoryOperation {
        /// `CUstreamBatchMemOpType`.
        operation: u32,
        /// Device address, or the client's address of pinned memory; unused for barriers.
        address: u64,
        /// What is written or compared with.
        value: u64,
        /// As CUDA documents them for the operation.
        flags: u32,
    }
}

crate::commands! {
    /// The core's commands.
    table COMMANDS, dispatch dispatch, handler CoreHandler;

    /// Reserves a range of device addresses at the same place as the client has, and grants the first `grant` bytes at its start.
    0x0100 r 1 sync ReserveRange {
        /// Device ordinal.
        device: u32,
        /// Start, aligned to the granularity.
        base: u64,
        /// Bytes.
        size: u64,
        /// Bytes of physical memory to create and map at `base`, 0 for none.
        grant: u64,
    } -> ();
    /// Creates physical memory and maps it at `address`, inside a reserved range: this is where `CUDA_ERROR_OUT_OF_MEMORY` comes from.
    0x0101 r 1 sync MemGrant {
        /// Device ordinal.
        device: u32,
        /// Start of the mapping.
        address: u64,
        /// Bytes, a multiple of the granularity.
        size: u64,
    } -> ();
    /// Unmaps and releases what one [`MemGrant`] (or [`ReserveRange`]) made. The client sends it only when the work that may use it is complete.
    0x0102 r 1 async MemRelease {
        /// Device ordinal.
        device: u32,
        /// As granted.
        address: u64,
    } -> ();
    /// `cuMemGetInfo`.
    0x0103 r 1 sync MemInfo {
        /// Device ordinal.
        device: u32,
    } -> MemInfoReply;
    /// Says which part of the address space the client gives to pinned host memory.
    0x0104 r 1 sync ReserveHostRange {
        /// Start.
        base: u64,
        /// Bytes.
        size: u64,
    } -> ();
    /// Pinned memory: the worker maps a shadow at the same address (inside the host range) and registers it with CUDA.
    0x0105 r 1 sync HostAlloc {
        /// Start, page-aligned.
        address: u64,
        /// Bytes, a multiple of the page size.
        size: u64,
        /// `CU_MEMHOSTALLOC_*`.
        flags: u32,
    } -> ();
    /// Counterpart of [`HostAlloc`].
    0x0106 r 1 sync HostFree {
        /// As allocated.
        address: u64,
    } -> ();
    /// Memory of the program that it registers: the worker makes a shadow, at the same address if it can.
    0x0107 r 1 sync HostRegister {
        /// Start in the client, page-aligned down.
        address: u64,
        /// Bytes, a multiple of the page size.
        size: u64,
        /// `CU_MEMHOSTREGISTER_*`.
        flags: u32,
    } -> HostRegisterReply;
    /// Counterpart of [`HostRegister`].
    0x0108 r 1 sync HostUnregister {
        /// As registered.
        address: u64,
    } -> ();
    /// Kernels use pinned memory in place (zero-copy). From now on both ends keep it equal, by the changes of each; both begin with zeros, and no work that uses it is
    /// outstanding.
    0x0109 r 1 sync HostMap {
        /// Start of the allocation or registration.
        address: u64,
        /// Whether every command on a stream may use it, or only those that a [`HostTouch`] announces.
        always: bool,
    } -> ();
    /// What the client changed in mapped memory (the bulk, as in [`crate::delta`]). The next command of this thread on a stream may use
    /// the memory.
    0x010a r 1 async HostTouch {
        /// As mapped.
        address: u64,
    } -> ();
    /// `cuMemCreate`.
    0x010b r 1 sync PhysicalCreate {
        /// Minted by the client, never used twice.
        piece: u32,
        /// Device ordinal.
        device: u32,
        /// Bytes, a multiple of the granularity.
        size: u64,
    } -> ();
    /// `cuMemRelease`; the memory stays while it is mapped.
    0x010c r 1 async PhysicalRelease {
        /// As created.
        piece: u32,
    } -> ();
    /// `cuMemMap`: all of a piece, inside a reserved range.
    0x010d r 1 sync PhysicalMap {
        /// As created.
        piece: u32,
        /// Where.
        address: u64,
    } -> ();
    /// `cuMemUnmap` of one mapping. The client sends it only when the program says that the work that may use it is complete.
    0x010e r 1 async PhysicalUnmap {
        /// As mapped.
        address: u64,
        /// Its size, bytes.
        size: u64,
    } -> ();
    /// `cuMemSetAccess` for one mapping and one device.
    0x010f r 1 sync PhysicalAccess {
        /// As mapped.
        address: u64,
        /// Its size, bytes.
        size: u64,
        /// Device ordinal.
        device: u32,
        /// `CU_MEM_ACCESS_FLAGS_*`.
        flags: u32,
    } -> ();

    /// Any copy. With a reply wanted it is complete when the reply comes (`CU_MEMCPY` semantics on stream 0 or the given stream); without, it is ordered on the stream.
    0x0110 r 1 async Copy {
        /// `COPY_*`.
        kind: u8,
        /// Stream.
        stream: u32,
        /// Destination: device address, or client address for `COPY_TO_SHADOW`; unused for `COPY_TO_REPLY`.
        dst: Plane,
        /// Source: device address, or client address for `COPY_FROM_SHADOW` and `COPY_FROM_PULL`; unused for `COPY_FROM_BULK`.
        src: Plane,
        /// Size.
        extent: Extent,
    } -> ();
    /// Any memset, ordered on the stream.
    0x0111 r 1 async Memset {
        /// Stream.
        stream: u32,
        /// Destination; `slice` unused.
        dst: Plane,
        /// Element size in bytes: 1, 2 or 4.
        element: u8,
        /// Value; the low `element` bytes count.
        value: u32,
        /// Elements per row.
        width: u64,
        /// Rows.
        height: u64,
    } -> ();
    /// Answer to a [`PullRequest`]; the packed bytes are the bulk.
    0x0112 r 1 async PullData {
        /// As requested.
        id: u64,
    } -> ();
    /// As [`HostAlloc`], of memory that the client shares: what it maps at the address is what the client passed under `tag`. Nothing has to be exchanged for it, ever.
    0x0113 r 1 sync HostShare {
        /// Start, page-aligned.
        address: u64,
        /// Bytes, a multiple of the page size.
        size: u64,
        /// As passed beside the connection.
        tag: u64,
    } -> ();

    /// `cuStreamCreateWithPriority`.
    0x0120 r 1 async StreamCreate {
        /// Minted by the client, not 0.
        stream: u32,
        /// `CU_STREAM_*`.
        flags: u32,
        /// Priority.
        priority: i32,
    } -> ();
    /// `cuStreamDestroy`.
    0x0121 r 1 async StreamDestroy {
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuStreamSynchronize`.
    0x0122 r 1 sync StreamSynchronize {
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuStreamWaitEvent`.
    0x0123 r 1 async StreamWaitEvent {
        /// Stream.
        stream: u32,
        /// Event.
        event: u32,
        /// `CU_EVENT_WAIT_*`.
        flags: u32,
    } -> ();
    /// `cuLaunchHostFunc` or `cuStreamAddCallback`: the worker sends a [`HostCall`] when the stream reaches it and holds the stream until [`HostCallDone`].
    0x0124 r 1 async HostFunction {
        /// Stream.
        stream: u32,
        /// Minted by the client.
        id: u64,
    } -> ();
    /// The client has called the host function.
    0x0125 r 1 async HostCallDone {
        /// As in [`HostCall`].
        id: u64,
    } -> ();

    /// `cuStreamSetAttribute`.
    0x0126 r 1 sync StreamSetAttribute {
        /// Stream.
        stream: u32,
        /// `CUstreamAttrID`.
        attribute: u32,
        /// `CUstreamAttrValue`; addresses in it are device addresses, the same at both ends. First and second half.
        value: ([u8; 32], [u8; 32]),
    } -> ();
    /// `cuStreamGetAttribute`; the reply is as `value` above.
    0x0127 r 1 sync StreamGetAttribute {
        /// Stream.
        stream: u32,
        /// `CUstreamAttrID`.
        attribute: u32,
    } -> ([u8; 32], [u8; 32]);
    /// `cuStreamCopyAttributes`.
    0x0128 r 1 sync StreamCopyAttributes {
        /// Stream that gets them.
        to: u32,
        /// Stream that has them.
        from: u32,
    } -> ();

    /// `cuEventCreate`.
    0x0130 r 1 async EventCreate {
        /// Minted by the client, not 0.
        event: u32,
        /// `CU_EVENT_*`.
        flags: u32,
    } -> ();
    /// `cuEventDestroy`.
    0x0131 r 1 async EventDestroy {
        /// Event.
        event: u32,
    } -> ();
    /// `cuEventRecordWithFlags`.
    0x0132 r 1 async EventRecord {
        /// Event.
        event: u32,
        /// Stream.
        stream: u32,
        /// `CU_EVENT_RECORD_*`.
        flags: u32,
    } -> ();
    /// `cuEventSynchronize`.
    0x0133 r 1 sync EventSynchronize {
        /// Event.
        event: u32,
    } -> ();
    /// `cuEventElapsedTime`, milliseconds.
    0x0134 r 1 sync EventElapsedTime {
        /// Start event.
        start: u32,
        /// End event.
        end: u32,
    } -> f32;

    /// Loads an image (the bulk, or one that the backend has) as a module.
    0x0140 r 2 sync ModuleLoad {
        /// Minted by the client.
        module: u32,
        /// SHA-256 of the image; checked.
        hash: [u8; 32],
        /// JIT options (`CUjit_option` number and value) that change code or its log.
        options: Vec<(u32, u64)>,
        /// Bytes of an image that the backend may have from earlier, and is not sent; 0 if it is the bulk.
        known: u64,
    } -> ModuleInfo;
    /// `cuModuleUnload`.
    0x0141 r 1 sync ModuleUnload {
        /// Module.
        module: u32,
    } -> ();
    /// `cuModuleGetFunction` with everything that is known of the kernel.
    0x0142 r 1 sync GetFunction {
        /// Module.
        module: u32,
        /// Mangled name.
        name: String,
    } -> FunctionInfo;
    /// `cuModuleGetGlobal`.
    0x0143 r 2 sync GlobalInfo {
        /// Module.
        module: u32,
        /// Mangled name.
        name: String,
    } -> GlobalReply;
    /// `cuFuncSetAttribute`; the reply is the attribute's value afterwards.
    0x0144 r 1 sync FunctionSetAttribute {
        /// Function.
        function: u32,
        /// `CUfunction_attribute`.
        attribute: u32,
        /// Value.
        value: i32,
    } -> i32;
    /// `cuFuncSetCacheConfig`.
    0x0145 r 1 async FunctionSetCacheConfig {
        /// Function.
        function: u32,
        /// `CUfunc_cache`.
        config: u32,
    } -> ();
    /// Occupancy questions, cached by the client: `query` 0 active blocks per multiprocessor (with `flags`), 1 available dynamic shared memory per block
    /// (`blocks` given), 2 maximum active clusters, 3 maximum potential cluster size (`grid`, `block`, `attributes` given).
    0x0146 r 1 sync Occupancy {
        /// Which question.
        query: u32,
        /// Function.
        function: u32,
        /// Grid for cluster questions.
        grid: [u32; 3],
        /// Block; `[threads, 1, 1]` where only a size is given.
        block: [u32; 3],
        /// Dynamic shared memory per block.
        shared: u64,
        /// Blocks for query 1.
        blocks: u32,
        /// `CU_OCCUPANCY_*`.
        flags: u32,
        /// Launch attributes: id and 64 bytes.
        attributes: Vec<(u32, [u8; 64])>,
    } -> u64;
    /// `cuLinkCreate`.
    0x0147 r 1 sync LinkCreate {
        /// Minted by the client.
        link: u32,
        /// JIT options (`CUjit_option` number and value) that change code or its log.
        options: Vec<(u32, u64)>,
    } -> ();
    /// `cuLinkAddData`; the input is the bulk. The logs in the reply are those of the whole link so far.
    0x0148 r 1 sync LinkAdd {
        /// Link.
        link: u32,
        /// `CUjitInputType`.
        kind: u32,
        /// What the logs call it.
        name: String,
        /// JIT options for this input.
        options: Vec<(u32, u64)>,
    } -> JitReport;
    /// `cuLinkComplete`.
    0x0149 r 1 sync LinkComplete {
        /// Link.
        link: u32,
    } -> LinkImage;
    /// `cuLinkDestroy`.
    0x014a r 1 async LinkDestroy {
        /// Link.
        link: u32,
    } -> ();
    /// A further piece of the image that [`LinkComplete`] made: as much as fits a reply.
    0x014b r 1 sync LinkRead {
        /// Link.
        link: u32,
        /// First byte wanted.
        offset: u64,
    } -> Vec<u8>;

    /// A kernel launch.
    0x0150 r 1 async Launch {
        /// Function.
        function: u32,
        /// Stream.
        stream: u32,
        /// Blocks.
        grid: [u32; 3],
        /// Threads per block.
        block: [u32; 3],
        /// Dynamic shared memory per block, bytes.
        shared: u32,
        /// Parameters, packed by the layout in [`FunctionInfo`].
        params: Params,
        /// Launch attributes (`CUlaunchAttributeID` and its 64 bytes); event and stream handles in them are ids.
        attributes: Vec<(u32, [u8; 64])>,
    } -> ();

    /// `cuCtxCreate`.
    0x0160 r 1 sync ContextCreate {
        /// Minted by the client, at least [`FIRST_CREATED_CONTEXT`].
        context: u32,
        /// Device ordinal.
        device: u32,
        /// `CU_CTX_*`.
        flags: u32,
    } -> ();
    /// `cuCtxDestroy`.
    0x0161 r 1 sync ContextDestroy {
        /// Context.
        context: u32,
    } -> ();
    /// `cuCtxSynchronize` for the frame's context.
    0x0162 r 1 sync ContextSynchronize {} -> ();
    /// `cuDevicePrimaryCtxReset`: destroys modules, streams, events and memory of the device. The client forgets them too.
    0x0163 r 1 sync ContextReset {
        /// Device ordinal.
        device: u32,
    } -> ();
    /// `cuCtxSetLimit` for the frame's context; the reply is the limit afterwards.
    0x0164 r 1 sync ContextSetLimit {
        /// `CUlimit`.
        limit: u32,
        /// Value.
        value: u64,
    } -> u64;
    /// `cuCtxEnablePeerAccess` towards a device of the same backend: access to all present and future memory there.
    0x0165 r 1 sync PeerAccess {
        /// Device whose memory becomes accessible from the frame's context.
        device: u32,
        /// Enable or disable.
        enable: bool,
    } -> ();
    /// Waits until the worker has read everything before; answers at once.
    0x0166 r 1 sync Ping {} -> ();
    /// `cuCtxResetPersistingL2Cache` for the frame's context.
    0x0167 r 1 sync ResetPersistingL2 {} -> ();

    /// `cuStreamBeginCapture`. The worker always captures relaxed; the client enforces the program's mode.
    0x0170 r 1 sync StreamBeginCapture {
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuStreamEndCapture`; the reply is the number of nodes.
    0x0171 r 1 sync StreamEndCapture {
        /// Stream.
        stream: u32,
        /// Minted by the client.
        graph: u32,
    } -> u32;
    /// `cuGraphInstantiate`.
    0x0172 r 1 sync GraphInstantiate {
        /// Graph.
        graph: u32,
        /// Minted by the client.
        exec: u32,
        /// `CUDA_GRAPH_INSTANTIATE_FLAG_*`.
        flags: u64,
    } -> ();
    /// `cuGraphLaunch`.
    0x0173 r 1 async GraphLaunch {
        /// Executable graph.
        exec: u32,
        /// Stream.
        stream: u32,
    } -> ();
    /// `cuGraphExecDestroy`.
    0x0174 r 1 async GraphExecDestroy {
        /// Executable graph.
        exec: u32,
    } -> ();
    /// `cuGraphDestroy`.
    0x0175 r 1 async GraphDestroy {
        /// Graph.
        graph: u32,
    } -> ();
    /// `cuGraphCreate`: an empty graph.
    0x0176 r 1 async GraphCreate {
        /// Minted by the client.
        graph: u32,
    } -> ();

    /// Between the commands of a capture: what comes next on the stream depends on the work of other places in the capture, not on what came before it.
    0x0177 r 1 async CaptureAt {
        /// Stream.
        stream: u32,
        /// Number by which the place where the stream is now may be named later; 0 for none.
        save: u32,
        /// Places that what comes next depends on; none for nothing.
        after: Vec<u32>,
    } -> ();
    /// Makes an executable graph do what a graph describes: by `cuGraphExecUpdate`, or where the driver cannot, anew under the same number.
    0x0178 r 1 async GraphExecUpdate {
        /// Executable graph.
        exec: u32,
        /// Graph.
        graph: u32,
        /// As the executable graph was made with.
        flags: u64,
    } -> ();

    /// While a stream captures: `cuGraphConditionalHandleCreate` for the graph that comes of it. The reply is the box's own handle, which kernels receive as a parameter.
    0x0179 r 1 sync ConditionalHandle {
        /// Stream.
        stream: u32,
        /// The condition's value at each launch.
        value: u32,
        /// `CU_GRAPH_COND_ASSIGN_DEFAULT` or 0.
        flags: u32,
    } -> u64;
    /// While a stream captures: a conditional node becomes what comes next on the stream. What its graphs consist of follows when the capture has ended.
    0x017a r 1 sync CaptureConditional {
        /// Stream.
        stream: u32,
        /// As [`ConditionalHandle`] replied.
        handle: u64,
        /// `CUgraphConditionalNodeType`.
        kind: u32,
        /// Numbers, by which the node's graphs are named from now on: none twice in a graph.
        bodies: Vec<u32>,
    } -> ();
    /// A stream begins to capture into a graph of a conditional node: `cuStreamBeginCaptureToGraph`.
    0x017b r 1 sync ConditionalBodyBegin {
        /// Stream.
        stream: u32,
        /// The graph that the node is in.
        graph: u32,
        /// As [`CaptureConditional`] named it.
        body: u32,
    } -> ();
    /// It ends.
    0x017c r 1 sync ConditionalBodyEnd {
        /// Stream.
        stream: u32,
        /// The graph that the node is in.
        graph: u32,
    } -> ();

    /// `cuStreamBatchMemOp`, and the functions for one operation.
    0x01b0 r 1 async StreamMemoryOperations {
        /// Stream.
        stream: u32,
        /// In order.
        operations: Vec<MemoryOperation>,
    } -> ();

    /// `cuTensorMapEncodeTiled` and its siblings: a descriptor in the format that the box's driver alone knows.
    0x01c0 r 1 sync TensorMapEncode {
        /// 0 tiled, 1 im2col, 2 im2col wide.
        form: u8,
        /// `CUtensorMapDataType`.
        data_type: u32,
        /// Device address, the same at both ends.
        address: u64,
        /// Size of each dimension, elements; as many as the tensor's rank.
        dimensions: Vec<u64>,
        /// Bytes between elements of each dimension but the first.
        strides: Vec<u64>,
        /// Tiled: size of the box in each dimension.
        tile: Vec<u32>,
        /// Im2col: lower and upper corner of the pixel box in each spatial dimension; wide: of the width.
        corners: Vec<(i32, i32)>,
        /// Im2col: channels per pixel.
        channels: u32,
        /// Im2col: pixels per column.
        pixels: u32,
        /// Step in each dimension.
        element_strides: Vec<u32>,
        /// `CUtensorMapInterleave`.
        interleave: u32,
        /// Wide: `CUtensorMapIm2ColWideMode`.
        mode: u32,
        /// `CUtensorMapSwizzle`.
        swizzle: u32,
        /// `CUtensorMapL2promotion`.
        promotion: u32,
        /// `CUtensorMapFloatOOBfill`.
        fill: u32,
    } -> Vec<u8>;
    /// `cuTensorMapReplaceAddress`; the reply is the changed descriptor.
    0x01c1 r 1 sync TensorMapReplaceAddress {
        /// The descriptor, 128 bytes.
        map: Vec<u8>,
        /// Device address.
        address: u64,
    } -> Vec<u8>;

    /// `cuIpcGetMemHandle`: lets other sessions of the same tenant import granted memory. The reply is a token for them.
    0x01d0 r 1 sync IpcExportMemory {
        /// Start of an allocation.
        address: u64,
        /// Its bytes.
        size: u64,
    } -> [u8; 32];
    /// `cuMemExportToShareableHandle`, likewise.
    0x01d1 r 1 sync IpcExportPiece {
        /// As created.
        piece: u32,
    } -> [u8; 32];
    /// `cuMemPoolExportToShareableHandle`, likewise: memory of the pool is exported by itself.
    0x01d2 r 1 sync IpcExportPool {
        /// Device ordinal.
        device: u32,
    } -> [u8; 32];
    /// `cuIpcGetEventHandle`, likewise.
    0x01d3 r 1 sync IpcExportEvent {
        /// Event.
        event: u32,
    } -> [u8; 32];
    /// What another session's token stands for. Memory is kept for an [`IpcTake`].
    0x01d4 r 1 sync IpcLook {
        /// As exported.
        token: [u8; 32],
    } -> IpcShared;
    /// Makes pieces of physical memory of what was looked at, to be mapped and released as created ones are.
    0x01d5 r 1 sync IpcTake {
        /// As looked at.
        token: [u8; 32],
        /// Number of the first piece; the others follow. Minted by the client, never used twice.
        first_piece: u32,
    } -> ();
    /// `cuIpcOpenEventHandle`.
    0x01d6 r 1 sync IpcImportEvent {
        /// Minted by the client, not 0.
        event: u32,
        /// As exported.
        token: [u8; 32],
    } -> ();
    /// `cuEventQuery`, for events that other sessions record: `CUDA_ERROR_NOT_READY` if it is not complete.
    0x01d7 r 1 sync EventQuery {
        /// Event.
        event: u32,
    } -> ();
    /// Lets another device of the session use the grants that a range lies in: managed memory is every device's.
    0x01d8 r 1 sync MemAccess {
        /// Start.
        address: u64,
        /// Bytes.
        size: u64,
        /// Ordinal of the device that is to have access.
        device: u32,
    } -> ();
    /// `cuArray3DCreate`.
    0x01e0 r 1 sync ArrayCreate {
        /// Minted by the client.
        array: u32,
        /// What it is to be.
        shape: ArrayShape,
    } -> ();
    /// `cuMipmappedArrayCreate`.
    0x01e1 r 1 sync MipmapCreate {
        /// Minted by the client, apart from the ids of arrays.
        mipmap: u32,
        /// Level 0.
        shape: ArrayShape,
        /// Levels.
        levels: u32,
    } -> ();
    /// `cuMipmappedArrayGetLevel`.
    0x01e2 r 1 async MipmapLevel {
        /// Mipmapped array.
        mipmap: u32,
        /// Which level.
        level: u32,
        /// Minted by the client: the id of the level's array.
        array: u32,
    } -> ();
    /// `cuArrayGetPlane`; the reply is what the plane is.
    0x01e3 r 1 sync ArrayPlane {
        /// Array of a planar format.
        array: u32,
        /// Which plane.
        plane: u32,
        /// Minted by the client: the id of the plane's array.
        made: u32,
    } -> ArrayShape;
    /// `cuArrayDestroy`. The client sends it only when the work that may use it is complete. For levels and planes it forgets the id alone.
    0x01e4 r 1 async ArrayDestroy {
        /// Array.
        array: u32,
    } -> ();
    /// `cuMipmappedArrayDestroy`, after [`ArrayDestroy`] of its levels.
    0x01e5 r 1 async MipmapDestroy {
        /// Mipmapped array.
        mipmap: u32,
    } -> ();
    /// `cuArrayGetMemoryRequirements`, `cuMipmappedArrayGetMemoryRequirements`; the reply is size and alignment, bytes.
    0x01e6 r 1 sync ArrayRequirements {
        /// Array or mipmapped array.
        array: u32,
        /// Which of the two.
        mipmapped: bool,
        /// Device ordinal.
        device: u32,
    } -> (u64, u64);
    /// `cuArrayGetSparseProperties`, `cuMipmappedArrayGetSparseProperties`.
    0x01e7 r 1 sync ArraySparse {
        /// Array or mipmapped array.
        array: u32,
        /// Which of the two.
        mipmapped: bool,
    } -> SparseProperties;
    /// `cuTexObjectCreate`; the reply is the box's own handle, which kernels receive as a parameter.
    0x01e8 r 1 sync TextureCreate {
        /// What is read.
        resource: Resource,
        /// How.
        texture: TextureSettings,
        /// As which format and which part of it.
        view: Option<ResourceView>,
    } -> u64;
    /// `cuTexObjectDestroy`.
    0x01e9 r 1 async TextureDestroy {
        /// As created.
        texture: u64,
    } -> ();
    /// `cuSurfObjectCreate`; the reply is the box's own handle.
    0x01ea r 1 sync SurfaceCreate {
        /// Array.
        array: u32,
    } -> u64;
    /// `cuSurfObjectDestroy`.
    0x01eb r 1 async SurfaceDestroy {
        /// As created.
        surface: u64,
    } -> ();
    /// As [`Copy`](struct@Copy), with an array on one side or on both: there the address is a number as [`ARRAY_ROW`] says.
    0x01ec r 1 async CopyArray {
        /// `COPY_*`; arrays count as memory of the device.
        kind: u8,
        /// Stream.
        stream: u32,
        /// Array that is written, 0 for memory.
        dst_array: u32,
        /// Array that is read, 0 for memory.
        src_array: u32,
        /// Destination.
        dst: Plane,
        /// Source.
        src: Plane,
        /// Size.
        extent: Extent,
    } -> ();
    /// `cuDeviceGetTexture1DLinearMaxWidth`.
    0x01ed r 1 sync TextureLinearWidth {
        /// Device ordinal.
        device: u32,
        /// `CUarray_format`.
        format: u32,
        /// Channels per element.
        channels: u32,
    } -> u64;
}
