//! Multicast objects: memory of several devices behind one address. They have numbers of physical memory, and are mapped like it.

crate::records! {
    /// `CUmulticastObjectProp`.
    MulticastProperties {
        /// Devices that will take part.
        devices: u32,
        /// Bytes of each.
        size: u64,
        /// `CUmemAllocationHandleType`, as bits.
        handle_types: u64,
        /// As given.
        flags: u64,
    }
}

crate::commands! {
    /// The commands.
    pub(super) table COMMANDS, dispatch dispatch, handler MulticastHandler;

    /// `cuMulticastCreate`.
    0x01f8 r 1 sync MulticastCreate {
        /// Minted by the client, among the pieces of physical memory.
        object: u32,
        /// Ordinal of the device among whose memory it counts.
        device: u32,
        /// What it is to be.
        properties: MulticastProperties,
    } -> ();
    /// `cuMulticastAddDevice`.
    0x01f9 r 1 sync MulticastAddDevice {
        /// As created.
        object: u32,
        /// Device ordinal.
        device: u32,
    } -> ();
    /// `cuMulticastBindMem`, `cuMulticastBindAddr`.
    0x01fa r 1 sync MulticastBind {
        /// As created.
        object: u32,
        /// Where in the object, bytes.
        offset: u64,
        /// Physical memory, or 0: what is mapped at an address.
        piece: u32,
        /// Offset in the physical memory, or the address.
        memory: u64,
        /// Bytes.
        size: u64,
        /// As given.
        flags: u64,
    } -> ();
    /// `cuMulticastUnbind`.
    0x01fb r 1 sync MulticastUnbind {
        /// As created.
        object: u32,
        /// Device ordinal.
        device: u32,
        /// Where in the object, bytes.
        offset: u64,
        /// Bytes.
        size: u64,
    } -> ();
    /// `cuMulticastGetGranularity`.
    0x01fc r 1 sync MulticastGranularity {
        /// Of which object.
        properties: MulticastProperties,
        /// `CUmulticastGranularity_flags`.
        option: u32,
    } -> u64;
}
