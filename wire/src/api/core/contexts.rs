//! Contexts, their limits and their access to other devices.

/// Contexts below this number are the primary contexts of the devices with that ordinal.
pub const FIRST_CREATED_CONTEXT: u32 = 256;

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler ContextsHandler;

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
}
