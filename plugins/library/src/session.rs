//! Frames to calls.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_wire::api::core::{ASYNC_ERROR, AsyncError, REPLY};
use gvirtus_wire::api::library::{
    Argument, Function, LibraryAsk, LibraryCall, LibraryCreate, LibraryDefine, LibraryDestroy,
    LibraryExecute, LibraryForget, LibraryInfo, LibraryReply, LibraryRest, LibraryStart, MOST_DATA,
    Mode, NO_STREAM, arguments, command,
};
use gvirtus_wire::api::opaque::Values;
use gvirtus_wire::codec::{DecodeError, decode_all};
use gvirtus_wire::frame::Header;
use parking_lot::{Mutex, RwLock};

use crate::Description;
use crate::buffers::Buffers;
use crate::host::{self, Host};
use crate::invoke::invoke;
use crate::objects::{Object, Objects, Refused, Scope};
use crate::opaque::{Descriptor, Descriptors};
use crate::results::Results;
use crate::vendor::{Config, Library};

/// The most handles of a session.
const MOST_HANDLES: usize = 1 << 16;
/// `CUDA_ERROR_INVALID_HANDLE`, `CUDA_ERROR_NOT_SUPPORTED`.
const INVALID_HANDLE: i32 = 400;
const NOT_SUPPORTED: i32 = 801;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: i32 = 2;

/// What a call came to.
pub(crate) enum Failure {
    /// The client broke the protocol.
    Protocol(DecodeError),
    /// A CUDA status.
    Cuda(i32),
}

/// A handle of the library.
pub(crate) struct Handle {
    /// As the library made it, or the status with which it did not.
    pub(crate) raw: Result<usize, i32>,
    state: Mutex<State>,
    /// What did not fit the reply to the last call.
    rest: Mutex<Vec<u8>>,
    /// What the library goes on reading.
    kept: Mutex<Vec<Buffers>>,
}

impl Handle {
    fn new(raw: Result<usize, i32>) -> Self {
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
struct State {
    stream: usize,
    pointer_mode: i32,
}

/// The most calls of a handle whose bytes are kept.
const MOST_KEPT: usize = 64;

/// One session.
pub(crate) struct Session {
    pub(crate) description: &'static Description,
    pub(crate) host: &'static Host,
    config: Config,
    functions: HashMap<u32, &'static Function>,
    library: RwLock<Option<Library>>,
    /// Of functions that were called, by their ids: the library stays loaded.
    addresses: RwLock<HashMap<u32, usize>>,
    handles: RwLock<HashMap<u32, std::sync::Arc<Handle>>>,
    pub(crate) objects: Objects,
    results: Results,
    descriptors: Descriptors,
    /// Functions that the library lacks, each logged once.
    missing: Mutex<HashSet<&'static str>>,
}

impl Session {
    pub(crate) fn new(
        description: &'static Description,
        host: &'static Host,
        config: &[u8],
    ) -> Result<Self, String> {
        Ok(Self {
            description,
            host,
            config: serde_json::from_slice(config)
                .map_err(|e| format!("the configuration: {e}"))?,
            functions: description
                .functions
                .iter()
                .filter(|f| f.is_forwarded())
                .map(|f| (f.id(), f))
                .collect(),
            library: RwLock::new(None),
            addresses: RwLock::default(),
            handles: RwLock::default(),
            objects: Objects::default(),
            results: Results::default(),
            descriptors: Descriptors::default(),
            missing: Mutex::default(),
        })
    }

    /// Where its commands begin.
    pub(crate) fn first_opcode(&self) -> u16 {
        self.description.first_opcode
    }

    /// Executes one frame.
    pub(crate) fn dispatch(&self, header: &Header, payload: &[u8]) {
        let run = AssertUnwindSafe(|| self.execute(header, payload));
        match catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(Failure::Cuda(status))) => self.failed(header, status),
            Ok(Err(Failure::Protocol(error))) => self.host.fail(&format!(
                "{} frame {}: {error}",
                self.description.name, header.sequence
            )),
            Err(_) => self.host.fail(&format!(
                "{} frame {}: the handler panicked",
                self.description.name, header.sequence
            )),
        }
    }

    fn execute(&self, header: &Header, payload: &[u8]) -> Result<(), Failure> {
        match header.opcode - self.description.first_opcode {
            command::START => {
                let start: LibraryStart = decode_all(payload).map_err(Failure::Protocol)?;
                self.host.may_block();
                let info = self.start(start.major);
                self.reply(header, &info);
                Ok(())
            }
            command::CREATE => {
                let create: LibraryCreate = decode_all(payload).map_err(Failure::Protocol)?;
                self.create(header, &create)
            }
            command::DESTROY => {
                let destroy: LibraryDestroy = decode_all(payload).map_err(Failure::Protocol)?;
                self.destroy(header, &destroy)
            }
            command::CALL => {
                let call: LibraryCall = decode_all(payload).map_err(Failure::Protocol)?;
                self.call(header, &call)
            }
            command::REST => {
                let rest: LibraryRest = decode_all(payload).map_err(Failure::Protocol)?;
                let handle = self.handles.read().get(&rest.handle).cloned();
                let handle = handle.ok_or(Failure::Cuda(INVALID_HANDLE))?;
                let data = std::mem::take(&mut *handle.rest.lock());
                self.reply(header, &Self::cut(&handle, 0, data));
                Ok(())
            }
            command::DEFINE => {
                let define: LibraryDefine = decode_all(payload).map_err(Failure::Protocol)?;
                self.define(header, &define)
            }
            command::FORGET => {
                let forget: LibraryForget = decode_all(payload).map_err(Failure::Protocol)?;
                // Descriptors may hold memory of the device: a context is current.
                let gone = self.objects.forget(forget.object);
                let dropped = self
                    .host
                    .on_stream(header, NO_STREAM, false, |_| drop(gone));
                dropped.map_err(Failure::Cuda)
            }
            command::EXECUTE => {
                let execute: LibraryExecute = decode_all(payload).map_err(Failure::Protocol)?;
                self.execute_plan(header, &execute)
            }
            command::ASK => {
                let ask: LibraryAsk = decode_all(payload).map_err(Failure::Protocol)?;
                self.ask(header, &ask)
            }
            _ => Err(Failure::Protocol(DecodeError::UnknownOpcode(header.opcode))),
        }
    }

    pub(crate) fn reply<T: gvirtus_wire::codec::Wire>(&self, header: &Header, message: &T) {
        let reply = Header {
            opcode: REPLY,
            sequence: header.sequence,
            thread: header.thread,
            ..Header::default()
        };
        self.host.send_message(reply, message);
    }

    /// A reply, and what does not fit it kept for later.
    fn cut(handle: &Handle, result: i32, mut data: Vec<u8>) -> LibraryReply {
        if data.len() > MOST_DATA {
            *handle.rest.lock() = data.split_off(MOST_DATA);
        }
        LibraryReply { result, data }
    }

    /// Tells the client of a CUDA status: in place of the reply, or to be reported by a later call.
    fn failed(&self, header: &Header, status: i32) {
        if header.wants_reply() {
            let reply = Header {
                opcode: REPLY,
                sequence: header.sequence,
                thread: header.thread,
                context: status.cast_unsigned(),
                ..Header::default()
            };
            self.host.send_message(reply, &());
            return;
        }
        let push = Header {
            opcode: ASYNC_ERROR,
            sequence: header.sequence,
            thread: header.thread,
            ..Header::default()
        };
        self.host.send_message(
            push,
            &AsyncError {
                sequence: header.sequence,
                thread: header.thread,
                context: header.context,
                status,
                sticky: false,
                opcode: header.opcode,
            },
        );
    }

    /// Loads the library, once.
    fn start(&self, major: u32) -> LibraryInfo {
        let mut library = self.library.write();
        if library.is_none() {
            match Library::find(self.description, self.host, &self.config, major) {
                Ok(found) => *library = Some(found),
                Err(reason) => {
                    let text = format!("{} is not there: {reason}", self.description.name);
                    self.host.log(host::WARN, &text);
                    return LibraryInfo {
                        status: self.description.not_initialized,
                        version: 0,
                        missing: Vec::new(),
                    };
                }
            }
        }
        drop(library);
        let property = |which: i32| {
            let mut value = 0i32;
            let address = self.address(self.description.get_property)?;
            // SAFETY: NVIDIA documents this signature; the address is that of a local.
            let status = unsafe {
                let get: unsafe extern "C" fn(i32, *mut i32) -> i32 = std::mem::transmute(address);
                get(which, &raw mut value)
            };
            (status == 0).then_some(value)
        };
        let version = (|| Some(property(0)? * 10_000 + property(1)? * 100 + property(2)?))();
        LibraryInfo {
            status: 0,
            version: version.unwrap_or(0),
            missing: self.lacking(),
        }
    }

    /// Functions that the library lacks.
    fn lacking(&self) -> Vec<u32> {
        let lacks = |function: &Function| {
            CString::new(function.name).is_ok_and(|name| self.address(&name).is_none())
        };
        let lacking = self.functions.iter().filter(|(_, f)| lacks(f));
        lacking.map(|(id, _)| *id).collect()
    }

    /// Where the library has a function that calls name by its id: looked up once.
    pub(crate) fn address_of(&self, id: u32, function: &Function) -> Option<*const c_void> {
        if let Some(known) = self.addresses.read().get(&id) {
            return Some(*known as *const c_void);
        }
        let address = self.address(&CString::new(function.name).ok()?)?;
        self.addresses.write().insert(id, address as usize);
        Some(address)
    }

    pub(crate) fn address(&self, name: &CStr) -> Option<*const c_void> {
        self.library
            .read()
            .as_ref()?
            .address(self.description, name)
    }

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

    fn create(&self, header: &Header, create: &LibraryCreate) -> Result<(), Failure> {
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

    fn destroy(&self, header: &Header, destroy: &LibraryDestroy) -> Result<(), Failure> {
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

    fn call(&self, header: &Header, call: &LibraryCall) -> Result<(), Failure> {
        let (function, outcome) = self.outcome(header, call)?;
        self.finished(header, function.name, &outcome)
    }

    /// What comes of a call.
    pub(crate) fn outcome(
        &self,
        header: &Header,
        call: &LibraryCall,
    ) -> Result<(&'static Function, LibraryReply), Failure> {
        let function = *self
            .functions
            .get(&call.function)
            .ok_or(Failure::Cuda(NOT_SUPPORTED))?;
        let arguments = arguments(function, call).map_err(Failure::Protocol)?;
        let handle = self.handle_of(function, call.handle)?;
        if function.is_setup(call.host_scalars) != (call.stream == NO_STREAM) {
            return Err(Failure::Protocol(DecodeError::Invalid("stream")));
        }
        if call.stream == NO_STREAM {
            // It may allocate, which waits for work that the client may have to help along; the thread that called waits, too.
            self.host.may_block();
        }
        let outcome = match handle.raw {
            Ok(raw) => self.perform(header, call, function, &arguments, &handle, raw)?,
            Err(status) => LibraryReply {
                result: status,
                data: Vec::new(),
            },
        };
        Ok((function, outcome))
    }

    /// Answers who waits; tells others of an error.
    pub(crate) fn finished(
        &self,
        header: &Header,
        name: &str,
        outcome: &LibraryReply,
    ) -> Result<(), Failure> {
        if header.wants_reply() {
            self.reply(header, outcome);
            return Ok(());
        }
        if outcome.result == 0 {
            return Ok(());
        }
        let text = format!("{name} failed: status {}", outcome.result);
        self.host.log(host::WARN, &text);
        Err(Failure::Cuda((self.description.cuda_status)(
            outcome.result,
        )))
    }

    /// The handle that a call means; one of no meaning if it takes none.
    pub(crate) fn handle_of(
        &self,
        function: &Function,
        number: u32,
    ) -> Result<std::sync::Arc<Handle>, Failure> {
        if function.parameters.iter().any(|p| p.mode == Mode::Handle) {
            return self.handle(number);
        }
        Ok(std::sync::Arc::new(Handle::new(Ok(0))))
    }

    /// A handle by its number.
    pub(crate) fn handle(&self, number: u32) -> Result<std::sync::Arc<Handle>, Failure> {
        let handle = self.handles.read().get(&number).cloned();
        handle.ok_or(Failure::Cuda(INVALID_HANDLE))
    }

    /// A function that the client may call, by its id.
    pub(crate) fn function(&self, id: u32) -> Option<&'static Function> {
        self.functions.get(&id).copied()
    }

    /// What numbers in a call's arguments mean, as far as handles and objects are concerned.
    pub(crate) fn with_scope<R>(
        &self,
        own: Option<(u32, &'static str, usize)>,
        run: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        let handle = |number: u64| {
            let number = u32::try_from(number).ok()?;
            self.handles.read().get(&number)?.raw.ok()
        };
        let make = |kind, made_by| self.make_object(kind, made_by);
        run(&Scope {
            objects: &self.objects,
            own,
            handle: &handle,
            make: &make,
        })
    }

    /// The function that makes objects of a type, or the one that ends them.
    fn of_type(&self, kind: &'static str, class: &str) -> Option<(&'static Function, usize)> {
        let wanted = |function: &&&Function| match class {
            "make" => function
                .parameters
                .iter()
                .any(|p| p.mode == Mode::New(kind)),
            _ => {
                function.name.contains("Destroy")
                    && function.parameters.first().map(|p| p.mode) == Some(Mode::Object(kind))
            }
        };
        let function = *self.functions.values().find(wanted)?;
        let name = CString::new(function.name).ok()?;
        Some((function, self.address(&name)? as usize))
    }

    /// Makes an object without more.
    pub(crate) fn make_object(
        &self,
        kind: &'static str,
        made_by: Option<i32>,
    ) -> Result<Object, i32> {
        let not_supported = self.description.not_supported;
        let (function, address) = self.of_type(kind, "make").ok_or(not_supported)?;
        let mut raw = 0usize;
        let words: Vec<u64> = function
            .parameters
            .iter()
            .map(|parameter| match parameter.mode {
                Mode::New(_) => (&raw mut raw) as u64,
                _ => i64::from(made_by.unwrap_or(0)).cast_unsigned(),
            })
            .collect();
        // SAFETY: the address is the library's, of the function that the declaration names; the pointer is to a local.
        let status = unsafe { invoke(address as *const c_void, function.parameters, &words) };
        match status.unwrap_or(not_supported) {
            0 => Ok(Object {
                kind,
                raw: Ok(raw),
                destroy: self.of_type(kind, "drop").map(|(_, address)| address),
                uses: Vec::new(),
                by_value: Vec::new(),
            }),
            status => Err(status),
        }
    }

    /// Calls the library on the client's stream.
    fn perform(
        &self,
        header: &Header,
        call: &LibraryCall,
        function: &'static Function,
        arguments: &[Argument],
        handle: &Handle,
        raw: usize,
    ) -> Result<LibraryReply, Failure> {
        let result = |result| LibraryReply {
            result,
            data: Vec::new(),
        };
        let Some(address) = self.address_of(call.function, function) else {
            if self.missing.lock().insert(function.name) {
                let text = format!("{} is not supported by this box's library", function.name);
                self.host.log(host::WARN, &text);
            }
            return Ok(result(self.description.not_supported));
        };
        let resolved = self.with_scope(None, |scope| scope.resolve(function, arguments));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(Refused::Status(status)) => return Ok(result(status)),
            Err(Refused::Unknown) => return Err(Failure::Cuda(INVALID_HANDLE)),
        };
        let arguments = &*resolved.arguments;
        let descriptors = match self.descriptors(function, arguments)? {
            Ok(descriptors) => descriptors,
            Err(status) => return Ok(result(status)),
        };
        let mut buffers = Buffers::of(function, arguments).ok_or(Failure::Cuda(OUT_OF_MEMORY))?;
        // The GPU writes results to pinned memory, and the stream is waited for, so that no thread of ours waits inside the library.
        let through_gpu = call.host_scalars
            && self.description.set_pointer_mode.is_some()
            && buffers.fits_block
            && function
                .parameters
                .iter()
                .any(|p| matches!(p.mode, Mode::Result(_)));
        let keeps = function
            .parameters
            .iter()
            .any(|p| matches!(p.mode, Mode::Bytes(_)));
        if keeps && handle.kept.lock().len() >= MOST_KEPT {
            return Ok(result(self.description.not_supported));
        }
        let waits = function.answers(call.host_scalars);
        let mut block = None;
        let mut status = Ok(self.description.not_initialized);
        self.host
            .on_stream(header, call.stream, waits, |stream| {
                status = (|| {
                    if through_gpu {
                        block = Some(buffers.lay_out(self.results.take(self.host)?));
                    }
                    if call.stream != NO_STREAM {
                        self.prepare(
                            handle,
                            raw,
                            stream as usize,
                            i32::from(!call.host_scalars || through_gpu),
                        )?;
                    }
                    let mut words = buffers.words(function, arguments, raw, stream as usize, block);
                    for (word, descriptor) in words.iter_mut().zip(&descriptors) {
                        if let Some(descriptor) = descriptor {
                            *word = descriptor.at as u64;
                        }
                    }
                    if let Some(set_stream) = self.description.set_stream
                        && function.name.as_bytes() == set_stream.to_bytes()
                    {
                        handle.state.lock().stream = stream as usize;
                    }
                    // SAFETY: the address is the library's, of the function that the declaration names; buffers are as long as it says and live.
                    let status = unsafe { invoke(address, function.parameters, &words) };
                    Ok(status.unwrap_or(self.description.not_supported))
                })();
            })
            .map_err(Failure::Cuda)?;
        let reply = status.map(|status| {
            let data = if status == 0 && waits {
                buffers.written(function, call.host_scalars, arguments, block)
            } else {
                Vec::new()
            };
            Self::cut(handle, status, data)
        });
        if let Some(block) = block {
            self.results.give(block);
        }
        if keeps {
            handle.kept.lock().push(buffers);
        }
        if matches!(&reply, Ok(reply) if reply.result == 0) {
            for (number, mut object) in resolved.fills {
                object.refer_to(resolved.uses.clone());
                self.objects.keep(number, object);
            }
        }
        reply.map_err(Failure::Cuda)
    }

    /// The library's descriptors for a call's parameters, or the status with which it does not make one.
    #[allow(clippy::type_complexity, reason = "one of each parameter")]
    fn descriptors(
        &self,
        function: &Function,
        arguments: &[Argument],
    ) -> Result<Result<Vec<Option<std::sync::Arc<Descriptor>>>, i32>, Failure> {
        if !function
            .parameters
            .iter()
            .any(|p| matches!(p.mode, Mode::Opaque(_)))
        {
            return Ok(Ok(Vec::new()));
        }
        let mut all = Vec::with_capacity(arguments.len());
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            let (Mode::Opaque(kind), Argument::Host { read, .. }) = (parameter.mode, argument)
            else {
                all.push(None);
                continue;
            };
            let values = Values::of(kind, read)
                .ok_or(Failure::Protocol(DecodeError::Invalid("descriptor")))?;
            let address = |name: &str| self.address(&crate::opaque::c_name(name));
            let not_supported = self.description.not_supported;
            match self.descriptors.get(kind, &values, not_supported, address) {
                Ok(descriptor) => all.push(Some(descriptor)),
                Err(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(all))
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
