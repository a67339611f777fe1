//! The worker's functions, made safe to call.

use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::HostTable;

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
