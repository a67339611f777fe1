//! What sessions of one tenant share: tokens for memory, pools and events, and what another session gets for them.

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
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler SharingHandler;

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
}
