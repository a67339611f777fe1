//! The worker's functions, made safe to call.

use std::ffi::{CStr, c_void};
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::codec::{Wire, decode_all};
use gvirtus_wire::frame::Header;
use gvirtus_wire::lanes::SMALLEST;
use gvirtus_wire::plugin::{self, HostTable, Issue, NO_TICKET, SessionInfo, Take};

/// Level of [`Host::log`]: something does not work.
pub const ERROR: u32 = 1;
/// Something will not work, or not as it might.
pub const WARN: u32 = 2;
/// Worth knowing.
pub const INFO: u32 = 3;
/// Of interest to who looks for something.
pub const DEBUG: u32 = 4;

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

    /// Sends one whole frame; false when the session is over.
    pub fn send(&self, mut header: Header, payload: &[u8], bulk: &[u8]) -> bool {
        header.len = u32::try_from(payload.len()).expect("payloads that we encode fit 32 bits");
        header.bulk = bulk.len() as u64;
        header.trace = now_ns();
        // SAFETY: the lengths in the header are those of the slices.
        unsafe {
            (self.table.send)(
                self.table.host,
                &raw const header,
                payload.as_ptr(),
                bulk.as_ptr(),
            )
        }
    }

    /// Sends one whole frame with that message, without bulk; false when the session is over.
    pub fn send_message<T: Wire>(&self, header: Header, message: &T) -> bool {
        let mut payload = Vec::with_capacity(64);
        message.encode(&mut payload);
        self.send(header, &payload, &[])
    }

    /// Sends a message of the worker that answers no command.
    pub fn push<T: Wire>(&self, opcode: u16, sequence: u64, message: &T, bulk: &[u8]) -> bool {
        let mut payload = Vec::with_capacity(64);
        message.encode(&mut payload);
        let header = Header {
            opcode,
            sequence,
            ..Header::default()
        };
        self.send(header, &payload, bulk)
    }

    /// As [`push`](Self::push), but the bulk may still be on its way when this returns; `None` when it is not.
    ///
    /// # Safety
    /// The bulk must stay as it is until the ticket is dropped.
    pub unsafe fn push_later<T: Wire>(
        &'static self,
        opcode: u16,
        message: &T,
        bulk: &[u8],
    ) -> Option<Sending> {
        if (bulk.len() as u64) < SMALLEST {
            self.push(opcode, 0, message, bulk);
            return None;
        }
        let mut payload = Vec::with_capacity(64);
        message.encode(&mut payload);
        let header = Header {
            opcode,
            bulk: bulk.len() as u64,
            ..Header::default()
        };
        if !self.send_start(header, &payload) {
            return None;
        }
        // SAFETY: this function's contract.
        unsafe { self.send_bulk_later(bulk) }
    }

    /// Starts a frame whose bulk follows by [`send_bulk_later`](Self::send_bulk_later).
    pub fn send_start(&self, mut header: Header, payload: &[u8]) -> bool {
        header.len = u32::try_from(payload.len()).expect("payloads that we encode fit 32 bits");
        header.trace = now_ns();
        // SAFETY: the length in the header is the slice's.
        unsafe { (self.table.send_start)(self.table.host, &raw const header, payload.as_ptr()) }
    }

    /// The next bytes of the frame that this thread started. They may still be on their way when this returns; `None` when the session is over.
    ///
    /// # Safety
    /// The bytes must stay as they are until the ticket is dropped.
    pub unsafe fn send_bulk_later(&'static self, bytes: &[u8]) -> Option<Sending> {
        // SAFETY: pointer and length are those of the slice, which is borrowed by this function's contract.
        let ticket =
            unsafe { (self.table.send_bulk_later)(self.table.host, bytes.as_ptr(), bytes.len()) };
        (ticket != NO_TICKET).then_some(Sending { host: self, ticket })
    }

    /// As [`read_bulk`](Self::read_bulk), but the bytes may still be on their way when this returns.
    ///
    /// # Safety
    /// As for `read_bulk`, and the memory must stay valid until [`read_wait`](Self::read_wait) was called for it.
    pub unsafe fn read_bulk_later(&self, into: *mut u8, len: usize) -> Reading {
        // SAFETY: by this function's contract.
        match unsafe { (self.table.read_bulk_later)(self.table.host, into, len) } {
            plugin::READ => Reading::Done,
            plugin::READING => Reading::UnderWay,
            _ => Reading::Failed,
        }
    }

    /// Waits until the first `upto` bytes of the dispatched frame's bulk are in their places; false if they will not be.
    pub fn read_wait(&self, upto: u64) -> bool {
        // SAFETY: handlers run inside `dispatch`.
        unsafe { (self.table.read_wait)(self.table.host, upto) }
    }

    /// Reads the next bytes of the dispatched frame's bulk; false when the session is over.
    ///
    /// # Safety
    /// `into` must be valid for writes of `len` bytes, and this must be the thread and the time that the plugin interface asks for.
    pub unsafe fn read_bulk(&self, into: *mut u8, len: usize) -> bool {
        // SAFETY: by this function's contract.
        unsafe { (self.table.read_bulk)(self.table.host, into, len) }
    }

    /// Lets another thread go on with the next frames.
    pub fn may_block(&self) {
        // SAFETY: handlers run inside `dispatch`.
        unsafe { (self.table.may_block)(self.table.host) }
    }

    /// Whether another frame has come, or another thread reads them.
    pub fn frame_waits(&self) -> bool {
        // SAFETY: handlers run inside `dispatch`.
        unsafe { (self.table.frame_waits)(self.table.host) }
    }

    /// Offers the next frame to `take` if it has come and is like the one that is being dispatched; see [`HostTable::following`]. Whether it was taken.
    pub fn following(&self, header: &Header, take: impl FnOnce(&Header, &[u8]) -> bool) -> bool {
        unsafe extern "C" fn run<F: FnOnce(&Header, &[u8]) -> bool>(
            argument: *mut c_void,
            header: *const Header,
            payload: *const u8,
            payload_len: usize,
        ) -> bool {
            // SAFETY: the worker hands back the address of the option below, which is alive, a header, and as many bytes as it says.
            let (take, header, payload) = unsafe {
                (
                    (*argument.cast::<Option<F>>()).take(),
                    &*header,
                    std::slice::from_raw_parts(payload, payload_len),
                )
            };
            let take = || take.is_some_and(|take| take(header, payload));
            // What panics is dispatched, and panics there.
            catch_unwind(AssertUnwindSafe(take)).unwrap_or(false)
        }
        fn of<F: FnOnce(&Header, &[u8]) -> bool>(_: &Option<F>) -> Take {
            run::<F>
        }
        let mut take = Some(take);
        let run = of(&take);
        // SAFETY: inside `dispatch`; header and option outlive the call.
        unsafe { (self.table.following)(self.table.host, header, run, (&raw mut take).cast()) }
    }

    /// The descriptor that the client passed under a tag.
    #[must_use]
    pub fn take_descriptor(&self, tag: u64) -> Option<OwnedFd> {
        // SAFETY: the worker's function gives a descriptor away, or -1.
        unsafe {
            let fd = (self.table.take_descriptor)(self.table.host, tag);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
        }
    }

    /// Whose session it is.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        // SAFETY: the buffer has as many bytes as is said.
        let len =
            unsafe { (self.table.identity)(self.table.host, bytes.as_mut_ptr(), bytes.len()) };
        bytes.truncate(len);
        bytes
    }

    /// The sessions of this one's tenant, this one among them.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
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

    /// Runs `issue` with the driver's handle of the client's stream; see [`HostTable::on_stream`].
    ///
    /// # Errors
    /// A CUDA status.
    pub fn on_stream(
        &self,
        header: &Header,
        stream: u32,
        wait: bool,
        issue: impl FnOnce(*mut c_void),
    ) -> Result<(), i32> {
        self.on_stream_for(header, stream, wait, 1, issue)
    }

    /// [`on_stream`](Self::on_stream) for what several calls issue; the header is that of the last.
    ///
    /// # Errors
    /// A CUDA status.
    pub fn on_stream_for(
        &self,
        header: &Header,
        stream: u32,
        wait: bool,
        calls: u32,
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
        fn of<F: FnOnce(*mut c_void)>(_: &Call<F>) -> Issue {
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
                calls,
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
    pub fn fail(&self, text: &str) {
        // SAFETY: pointer and length are those of the text.
        unsafe { (self.table.fail)(self.table.host, text.as_ptr(), text.len()) }
    }
}

/// How far [`Host::read_bulk_later`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The session is over, or there are not so many bytes.
    Failed,
    /// They are there.
    Done,
    /// They are on their way.
    UnderWay,
}

/// Bytes that are being sent; dropping it waits until they are not.
#[derive(Debug)]
pub struct Sending {
    host: &'static Host,
    ticket: u64,
}

impl Sending {
    /// Whether they had been sent when they were given.
    pub fn at_once(&self) -> bool {
        self.ticket == 0
    }

    /// Waits; false when not all were sent.
    pub fn wait(mut self) -> bool {
        self.take()
    }

    fn take(&mut self) -> bool {
        let ticket = std::mem::replace(&mut self.ticket, 0);
        // SAFETY: each ticket is given back once.
        ticket == 0 || unsafe { (self.host.table.send_wait)(self.host.table.host, ticket) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.take();
    }
}

/// Nanoseconds of the monotonic clock.
fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}
