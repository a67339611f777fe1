//! Copies and memsets between anything but arrays.

/// [`Copy::kind`](struct@Copy): the packed bytes are the frame's bulk (taken from the program's memory at issue).
pub const COPY_FROM_BULK: u8 = 0;
/// From the worker's shadow of pinned memory: a write of the GPU to it is still in flight.
pub const COPY_FROM_SHADOW: u8 = 1;
/// From pinned memory of the client as it is when the copy executes: the worker asks with a [`PullRequest`](super::PullRequest).
pub const COPY_FROM_PULL: u8 = 2;
/// To the reply's bulk, packed.
pub const COPY_TO_REPLY: u8 = 3;
/// To the worker's shadow of pinned memory; the bytes follow in a [`HostData`](super::HostData) before anything says that the copy is complete.
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
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler CopiesHandler;

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
    /// Answer to a [`PullRequest`](super::PullRequest); the packed bytes are the bulk.
    0x0112 r 1 async PullData {
        /// As requested.
        id: u64,
    } -> ();
}
