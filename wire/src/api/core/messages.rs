//! What the worker says: replies, progress, errors, what the device printed, what host functions and pinned memory need; and the snapshot of its devices that a session begins with.

use super::copies::{Extent, Plane};

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

crate::records! {
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
    /// The GPU has reached a host function: the client calls it and answers with [`HostCallDone`](super::HostCallDone).
    HostCall {
        /// As in [`HostFunction`](super::HostFunction).
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
    /// The worker needs pinned memory of the client as it is now; answered with [`PullData`](super::PullData).
    PullRequest {
        /// Names the request.
        id: u64,
        /// Source.
        plane: Plane,
        /// Size.
        extent: Extent,
    }
}
