//! Handles of the library: made and ended as the client says.

use std::ffi::{CStr, c_void};

use gvirtus_wire::api::library::{LibraryCreate, LibraryDestroy, NO_STREAM};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::buffers::Buffers;
use crate::host;
use crate::session::{Failure, INVALID_HANDLE, NOT_SUPPORTED, Session};

/// The most handles of a session.
const MOST_HANDLES: usize = 1 << 16;

/// A handle of the library.
pub(crate) struct Handle {
    /// As the library made it, or the status with which it did not.
    pub(crate) raw: Result<usize, i32>,
    pub(crate) state: Mutex<State>,
    /// What did not fit the reply to the last call.
    pub(crate) rest: Mutex<Vec<u8>>,
    /// What the library goes on reading.
    pub(crate) kept: Mutex<Vec<Buffers>>,
}

impl Handle {
    pub(crate) fn new(raw: Result<usize, i32>) -> Self {
        Self {
            raw,
            state: Mutex::new(State {
                stream: 0,
                pointer_mode: 0,
            }),
            rest: Mutex::default(),
            kept: Mutex::default(),
        }
    }
}

/// What the library has last been told of a handle.
pub(crate) struct State {
    pub(crate) stream: usize,
    pointer_mode: i32,
}

impl Session {
    /// The function that a client means to make a handle by; 0 is the usual one.
    fn creator(&self, id: u32) -> Option<&'static CStr> {
        if id == 0 {
            return Some(self.description.create);
        }
        let mut functions = self.description.functions.iter();
        let function = functions.find(|function| function.id() == id)?;
        let mut creators = self.description.creators.iter().copied();
        creators.find(|name| name.to_bytes() == function.name.as_bytes())
    }

    pub(crate) fn create(&self, header: &Header, create: &LibraryCreate) -> Result<(), Failure> {
        {
            let handles = self.handles.read();
            if handles.len() >= MOST_HANDLES || handles.contains_key(&create.handle) {
                return Err(Failure::Cuda(INVALID_HANDLE));
            }
        }
        let creator = self
            .creator(create.function)
            .ok_or(Failure::Cuda(NOT_SUPPORTED))?;
        let mut raw = Err(self.description.not_initialized);
        let made = self.host.on_stream(header, NO_STREAM, false, |_| {
            let Some(address) = self.address(creator) else {
                return;
            };
            let mut handle = std::ptr::null_mut();
            // SAFETY: NVIDIA documents this signature, or one without the second parameter, which C's calling conventions then ignore; the address is that of a
            // local. A context is current.
            let status = unsafe {
                let make: unsafe extern "C" fn(*mut *mut c_void, i32) -> i32 =
                    std::mem::transmute(address);
                make(&raw mut handle, create.argument)
            };
            raw = if status == 0 {
                Ok(handle as usize)
            } else {
                Err(status)
            };
        });
        let handle = Handle::new(raw);
        self.handles
            .write()
            .insert(create.handle, std::sync::Arc::new(handle));
        made.map_err(Failure::Cuda)?;
        match raw {
            Ok(_) => {
                if header.wants_reply() {
                    self.reply(header, &());
                }
                Ok(())
            }
            Err(status) => {
                let text = format!(
                    "{}: a handle cannot be made: status {status}",
                    self.description.name
                );
                self.host.log(host::WARN, &text);
                // Every call with the handle gets the library's status.
                Err(Failure::Cuda((self.description.cuda_status)(status)))
            }
        }
    }

    pub(crate) fn destroy(&self, header: &Header, destroy: &LibraryDestroy) -> Result<(), Failure> {
        let handle = self.handles.write().remove(&destroy.handle);
        let raw = handle
            .ok_or(Failure::Cuda(INVALID_HANDLE))?
            .raw
            .map_err(|_| Failure::Cuda(INVALID_HANDLE))?;
        // It waits for what the handle's work uses.
        self.host.may_block();
        self.host
            .on_stream(header, NO_STREAM, false, |_| {
                if let Some(address) = self.address(self.description.destroy) {
                    // SAFETY: NVIDIA documents this signature; the handle is the library's, and nobody else has it any more.
                    unsafe {
                        let destroy: unsafe extern "C" fn(usize) -> i32 =
                            std::mem::transmute(address);
                        destroy(raw);
                    }
                }
            })
            .map_err(Failure::Cuda)?;
        if header.wants_reply() {
            self.reply(header, &());
        }
        Ok(())
    }

    /// Sets stream and pointer mode of a handle if they are others than before.
    pub(crate) fn prepare(
        &self,
        handle: &Handle,
        raw: usize,
        stream: usize,
        pointer_mode: i32,
    ) -> Result<(), i32> {
        if raw == 0 {
            // The function takes none.
            return Ok(());
        }
        let mut state = handle.state.lock();
        if state.stream != stream
            && let Some(name) = self.description.set_stream
            && let Some(address) = self.address(name)
        {
            // SAFETY: NVIDIA documents this signature; handle and stream are alive.
            unsafe {
                let set: unsafe extern "C" fn(usize, usize) -> i32 = std::mem::transmute(address);
                set(raw, stream);
            }
            state.stream = stream;
        }
        if state.pointer_mode != pointer_mode
            && let Some(name) = self.description.set_pointer_mode
            && let Some(address) = self.address(name)
        {
            // SAFETY: as above.
            unsafe {
                let set: unsafe extern "C" fn(usize, i32) -> i32 = std::mem::transmute(address);
                set(raw, pointer_mode);
            }
            state.pointer_mode = pointer_mode;
        }
        Ok(())
    }
}
