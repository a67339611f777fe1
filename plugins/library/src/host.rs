//! The worker's functions, made safe to call.

use std::ffi::{CStr, c_void};

use gvirtus_wire::codec::Wire;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::HostTable;

/// Log levels of [`Host::log`].
pub const ERROR: u32 = 1;
/// Something will not work.
pub const WARN: u32 = 2;
/// Worth knowing.
pub const INFO: u32 = 3;

/// A copy of the worker's table.
#[derive(Debug)]
pub struct Host {
    table: HostTable,
}

// SAFETY: the worker promises that its functions may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Takes the worker's functions over.
    #[must_use]
    pub fn new(table: &HostTable) -> Self {
        Self {
            table: HostTable { ..*table },
        }
    }

    /// Sends one whole frame without bulk.
    pub(crate) fn send<T: Wire>(&self, mut header: Header, message: &T) {
        let mut payload = Vec::with_capacity(64);
        message.encode(&mut payload);
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

    /// Runs `issue` with the driver's handle of the client's stream; see [`HostTable::on_stream`].
    ///
    /// # Errors
    /// A CUDA status.
    pub(crate) fn on_stream(
        &self,
        header: &Header,
        stream: u32,
        wait: bool,
        issue: impl FnOnce(*mut c_void),
    ) -> Result<(), i32> {
        struct Call<F>(Option<F>);
        unsafe extern "C" fn run<F: FnOnce(*mut c_void)>(
            argument: *mut c_void,
            stream: *mut c_void,
        ) -> i32 {
            // SAFETY: the worker hands back the address of the call below, which is alive.
            let call = unsafe { &mut *argument.cast::<Call<F>>() };
            if let Some(issue) = call.0.take() {
                issue(stream);
            }
            0
        }
        fn of<F: FnOnce(*mut c_void)>(_: &Call<F>) -> gvirtus_wire::plugin::Issue {
            run::<F>
        }
        let mut call = Call(Some(issue));
        let run = of(&call);
        // SAFETY: inside `dispatch`; header and call outlive it.
        let status = unsafe {
            (self.table.on_stream)(
                self.table.host,
                header,
                stream,
                wait,
                run,
                (&raw mut call).cast(),
            )
        };
        if status == 0 { Ok(()) } else { Err(status) }
    }

    /// The address of a function of the driver's library, or null.
    #[must_use]
    pub fn driver_symbol(&self, name: &CStr) -> *const c_void {
        // SAFETY: the name is NUL-terminated.
        unsafe { (self.table.driver_symbol)(self.table.host, name.as_ptr()) }
    }

    /// Whether the driver is the CPU device.
    #[must_use]
    pub fn is_cpu_device(&self) -> bool {
        !self.driver_symbol(c"gvirtus_cpu_accessible").is_null()
    }

    /// Writes to the worker's log.
    pub fn log(&self, level: u32, text: &str) {
        // SAFETY: pointer and length are those of the text.
        unsafe { (self.table.log)(self.table.host, level, text.as_ptr(), text.len()) }
    }

    /// Ends the session.
    pub(crate) fn fail(&self, text: &str) {
        // SAFETY: pointer and length are those of the text.
        unsafe { (self.table.fail)(self.table.host, text.as_ptr(), text.len()) }
    }
}
