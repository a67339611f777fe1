//! Memory: ranges of device addresses and what is granted of them, pinned host memory, and physical memory that programs map themselves.

crate::records! {
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
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler MemoryHandler;

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
    0x010b r 2 sync PhysicalCreate {
        /// Minted by the client, never used twice.
        piece: u32,
        /// Device ordinal.
        device: u32,
        /// Bytes, a multiple of the granularity.
        size: u64,
        /// `CU_MEM_CREATE_USAGE_*`.
        usage: u32,
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
    /// As [`HostAlloc`], of memory that the client shares: what it maps at the address is what the client passed under `tag`. Nothing has to be exchanged for it, ever.
    0x0113 r 1 sync HostShare {
        /// Start, page-aligned.
        address: u64,
        /// Bytes, a multiple of the page size.
        size: u64,
        /// As passed beside the connection.
        tag: u64,
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
}
