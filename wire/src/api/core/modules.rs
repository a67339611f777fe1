//! Modules and linking, what is known of their kernels and variables, and launches.

use crate::codec::Params;

/// [`ModuleInfo::image`](struct@ModuleInfo): it was there, or was sent.
pub const IMAGE_THERE: u8 = 0;
/// It must be sent.
pub const IMAGE_MISSING: u8 = 1;
/// It must be sent, and so must all others: none are kept.
pub const IMAGES_NOT_KEPT: u8 = 2;

crate::records! {
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
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler ModulesHandler;

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
}
