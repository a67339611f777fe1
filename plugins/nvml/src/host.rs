//! The worker's functions, made safe to call.

use std::ffi::c_void;

use gvirtus_wire::codec::decode_all;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, SessionInfo};

/// Log levels of [`Host::log`].
pub(crate) const ERROR: u32 = 1;
pub(crate) const WARN: u32 = 2;
pub(crate) const INFO: u32 = 3;

/// A copy of the worker's table.
pub(crate) struct Host {
    table: HostTable,
}

// SAFETY: the worker promises that its functions may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Takes the worker's functions over.
    pub(crate) fn new(table: &HostTable) -> Self {
        Self {
            table: HostTable { ..*table },
        }
    }

    /// Sends one whole frame without bulk.
    pub(crate) fn send(&self, mut header: Header, payload: &[u8]) {
        header.len = u32::try_from(payload.len()).expect("payloads that we encode fit 32 bits");
        header.bulk = 0;
        let nothing: &[u8] = &[];
        // SAFETY: the lengths in the header are those of the slices.
        unsafe {
            (self.table.send)(
                self.table.host,
                &raw const header,
                payload.as_ptr(),
                nothing.as_ptr(),
            )
        };
    }

    /// Lets another thread go on with the next frames.
    pub(crate) fn may_block(&self) {
        // SAFETY: handlers run inside `dispatch`.
        unsafe { (self.table.may_block)(self.table.host) }
    }

    /// The sessions of this one's tenant, this one among them.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        unsafe extern "C" fn keep(into: *mut c_void, bytes: *const u8, len: usize) {
            if bytes.is_null() || len == 0 {
                return;
            }
            // SAFETY: `sessions` passes its vector's address, and the worker readable bytes.
            unsafe {
                (*into.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, len));
            }
        }
        let mut bytes: Vec<u8> = Vec::new();
        // SAFETY: the vector outlives the call, which is over when it returns.
        unsafe { (self.table.sessions)(self.table.host, keep, (&raw mut bytes).cast()) };
        decode_all(&bytes).unwrap_or_default()
    }

    /// Writes to the worker's log.
    pub(crate) fn log(&self, level: u32, text: &str) {
        // SAFETY: pointer and length are those of the text.
        unsafe { (self.table.log)(self.table.host, level, text.as_ptr(), text.len()) }
    }

    /// Ends the session.
    pub(crate) fn fail(&self, text: &str) {
        // SAFETY: pointer and length are those of the text.
        unsafe { (self.table.fail)(self.table.host, text.as_ptr(), text.len()) }
    }
}
