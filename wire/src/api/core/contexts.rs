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
    /// `cuDeviceGetDevResource` or `cuCtxGetDevResource`: the multiprocessors of the frame's context; the reply is their number in the session, and what they are.
    0x0168 r 1 sync ResourceGet {} -> (u32, [u32; 3]);
    /// `cuDevSmResourceSplitByCount`; the reply is how many groups there are or would be, and, if asked for, the groups with the rest behind them.
    0x0169 r 1 sync ResourceSplit {
        /// What is split.
        resource: u32,
        /// How many groups are wanted; 0 to be told how many there would be.
        groups: u32,
        /// `CUdevSmResourceSplit_flags`.
        flags: u32,
        /// The least of a group.
        least: u32,
    } -> (u32, Vec<(u32, [u32; 3])>);
    /// `cuGreenCtxCreate`: a context like others, whose work runs on some of the multiprocessors, while all but its streams is the primary context's.
    0x016a r 1 sync GreenContextCreate {
        /// Minted by the client, at least [`FIRST_CREATED_CONTEXT`].
        context: u32,
        /// Device ordinal.
        device: u32,
        /// `CU_GREEN_CTX_*`.
        flags: u32,
        /// What it is to have.
        resources: Vec<u32>,
    } -> ();
    /// Which GPC each TPC of the frame's context's device is part of, for libraries that count clusters by it; the driver has a private table for that.
    0x016b r 1 sync GpcsOfTpcs {} -> Vec<u8>;
}
