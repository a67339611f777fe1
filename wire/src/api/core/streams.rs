//! Streams and events, host functions and memory operations in stream order.

crate::records! {
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
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler StreamsHandler;

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
    /// `cuLaunchHostFunc` or `cuStreamAddCallback`: the worker sends a [`HostCall`](super::HostCall) when the stream reaches it and holds the stream until [`HostCallDone`].
    0x0124 r 1 async HostFunction {
        /// Stream.
        stream: u32,
        /// Minted by the client.
        id: u64,
    } -> ();
    /// The client has called the host function.
    0x0125 r 1 async HostCallDone {
        /// As in [`HostCall`](super::HostCall).
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
    /// `cuStreamBatchMemOp`, and the functions for one operation.
    0x01b0 r 1 async StreamMemoryOperations {
        /// Stream.
        stream: u32,
        /// In order.
        operations: Vec<MemoryOperation>,
    } -> ();
    /// `cuEventQuery`, for events that other sessions record: `CUDA_ERROR_NOT_READY` if it is not complete.
    0x01d7 r 1 sync EventQuery {
        /// Event.
        event: u32,
    } -> ();
}
