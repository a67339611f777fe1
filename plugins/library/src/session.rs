//! Frames to calls.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use gvirtus_wire::api::core::{ASYNC_ERROR, AsyncError, REPLY};
use gvirtus_wire::api::library::{
    Argument, CallView, Function, LibraryAsk, LibraryCreate, LibraryDefine, LibraryDestroy,
    LibraryExecute, LibraryForget, LibraryInfo, LibraryReply, LibraryRest, LibraryStart, MOST_DATA,
    Mode, NO_STREAM, arguments, command,
};
use gvirtus_wire::api::opaque::Values;
use gvirtus_wire::codec::{DecodeError, decode_all};
use gvirtus_wire::frame::Header;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::Description;
use crate::buffers::Buffers;
use crate::handles::Handle;
use crate::host::{self, Host};
use crate::invoke::invoke;
use crate::known::{Known, functions};
use crate::objects::{Object, Objects, Refused, Resolved, Scope};
use crate::opaque::{Descriptor, Descriptors};
use crate::plain::Prepared;
use crate::results::Results;
use crate::vendor::{Config, Library};

/// `CUDA_ERROR_INVALID_HANDLE`, `CUDA_ERROR_NOT_SUPPORTED`.
pub(crate) const INVALID_HANDLE: i32 = 400;
pub(crate) const NOT_SUPPORTED: i32 = 801;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: i32 = 2;

/// What a call came to.
pub(crate) enum Failure {
    /// The client broke the protocol.
    Protocol(DecodeError),
    /// A CUDA status.
    Cuda(i32),
}

/// The functions for objects of a type, with their addresses.
#[derive(Clone, Copy)]
struct Maker {
    function: &'static Function,
    make: usize,
    destroy: Option<usize>,
}

/// The most calls of a handle whose bytes are kept.
const MOST_KEPT: usize = 64;

/// One session.
pub(crate) struct Session {
    pub(crate) description: &'static Description,
    pub(crate) host: &'static Host,
    config: Config,
    functions: FxHashMap<u32, Known>,
    library: RwLock<Option<Library>>,
    /// How objects of a type are made and ended: looked up once.
    makers: Mutex<HashMap<&'static str, Maker>>,
    backend: OnceLock<Option<[usize; 3]>>,
    pub(crate) handles: RwLock<FxHashMap<u32, std::sync::Arc<Handle>>>,
    pub(crate) objects: Objects,
    results: Results,
    descriptors: Descriptors,
    /// Places for plain calls that are read together.
    pub(crate) together: Mutex<Vec<Prepared>>,
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
            functions: functions(description),
            library: RwLock::new(None),
            makers: Mutex::default(),
            backend: OnceLock::new(),
            handles: RwLock::default(),
            objects: Objects::default(),
            results: Results::default(),
            descriptors: Descriptors::default(),
            together: Mutex::default(),
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
            Ok(outcome) => self.report(header, outcome),
            Err(_) => self.host.fail(&format!(
                "{} frame {}: the handler panicked",
                self.description.name, header.sequence
            )),
        }
    }

    /// Tells the client what went wrong with a frame.
    pub(crate) fn report(&self, header: &Header, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {}
            Err(Failure::Cuda(status)) => self.failed(header, status),
            Err(Failure::Protocol(error)) => self.host.fail(&format!(
                "{} frame {}: {error}",
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
                let call = CallView::of(payload).map_err(Failure::Protocol)?;
                self.call(header, call)
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
        let lacking = self.functions.iter();
        lacking
            .filter(|(_, known)| self.address_of(known).is_none())
            .map(|(id, _)| *id)
            .collect()
    }

    /// Where the library has a function: looked up once.
    pub(crate) fn address_of(&self, known: &Known) -> Option<*const c_void> {
        known.address(|name| self.address(name))
    }

    pub(crate) fn address(&self, name: &CStr) -> Option<*const c_void> {
        self.library
            .read()
            .as_ref()?
            .address(self.description, name)
    }

    fn call(&self, header: &Header, call: CallView<'_>) -> Result<(), Failure> {
        if let Some(plain) = self.plain(call) {
            return self.plain_calls(header, call, &plain);
        }
        let (function, outcome) = self.outcome(header, call)?;
        self.finished(header, function.name, &outcome)
    }

    /// What comes of a call that is not a plain one.
    pub(crate) fn outcome(
        &self,
        header: &Header,
        call: CallView<'_>,
    ) -> Result<(&'static Function, LibraryReply), Failure> {
        let known = self
            .known(call.function)
            .ok_or(Failure::Cuda(NOT_SUPPORTED))?;
        let arguments = arguments(known.function, call).map_err(Failure::Protocol)?;
        let handle = self.handle_of(known, call.handle)?;
        if known.function.is_setup(call.host_scalars) != (call.stream == NO_STREAM) {
            return Err(Failure::Protocol(DecodeError::Invalid("stream")));
        }
        if call.stream == NO_STREAM {
            // It may allocate, which waits for work that the client may have to help along; the thread that called waits, too.
            self.host.may_block();
        }
        let outcome = match handle.raw {
            Ok(raw) => self.perform(header, call, known, &arguments, &handle, raw)?,
            Err(status) => status.into(),
        };
        Ok((known.function, outcome))
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
        known: &Known,
        number: u32,
    ) -> Result<std::sync::Arc<Handle>, Failure> {
        if known.takes_handle {
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
    pub(crate) fn known(&self, id: u32) -> Option<&Known> {
        self.functions.get(&id)
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
        let wanted = |function: &Function| match class {
            "make" => function
                .parameters
                .iter()
                .any(|p| p.mode == Mode::New(kind)),
            _ => {
                function.name.contains("Destroy")
                    && function.parameters.first().map(|p| p.mode) == Some(Mode::Object(kind))
            }
        };
        let mut all = self.functions.values();
        let known = all.find(|known| wanted(known.function))?;
        Some((known.function, self.address_of(known)? as usize))
    }

    fn maker(&self, kind: &'static str) -> Option<Maker> {
        if let Some(maker) = self.makers.lock().get(kind) {
            return Some(*maker);
        }
        let (function, make) = self.of_type(kind, "make")?;
        let destroy = self.of_type(kind, "drop").map(|(_, address)| address);
        let maker = Maker {
            function,
            make,
            destroy,
        };
        self.makers.lock().insert(kind, maker);
        Some(maker)
    }

    /// Makes an object without more.
    pub(crate) fn make_object(
        &self,
        kind: &'static str,
        made_by: Option<i32>,
    ) -> Result<Object, i32> {
        let not_supported = self.description.not_supported;
        let maker = self.maker(kind).ok_or(not_supported)?;
        let mut raw = 0usize;
        let words: SmallVec<[u64; 4]> = maker
            .function
            .parameters
            .iter()
            .map(|parameter| match parameter.mode {
                Mode::New(_) => (&raw mut raw) as u64,
                _ => i64::from(made_by.unwrap_or(0)).cast_unsigned(),
            })
            .collect();
        // SAFETY: the address is the library's, of the function that the declaration names; the pointer is to a local.
        let status = unsafe {
            invoke(
                maker.make as *const c_void,
                maker.function.parameters,
                &words,
            )
        };
        match status.unwrap_or(not_supported) {
            0 => Ok(Object {
                kind,
                raw: Ok(raw),
                destroy: maker.destroy,
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
        call: CallView<'_>,
        known: &Known,
        arguments: &[Argument],
        handle: &Handle,
        raw: usize,
    ) -> Result<LibraryReply, Failure> {
        let function = known.function;
        let Some(address) = self.address_of(known) else {
            if self.missing.lock().insert(function.name) {
                let text = format!("{} is not supported by this box's library", function.name);
                self.host.log(host::WARN, &text);
            }
            return Ok(self.description.not_supported.into());
        };
        let resolved = if known.refers {
            self.with_scope(None, |scope| scope.resolve(function, arguments))
        } else {
            Ok(Resolved::as_they_are(arguments))
        };
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(Refused::Status(status)) => return Ok(status.into()),
            Err(Refused::Unknown) => return Err(Failure::Cuda(INVALID_HANDLE)),
        };
        let arguments = &*resolved.arguments;
        let descriptors = match self.descriptors(known, arguments)? {
            Ok(descriptors) => descriptors,
            Err(status) => return Ok(status.into()),
        };
        let mut buffers =
            Buffers::of(function, arguments, known.keeps).ok_or(Failure::Cuda(OUT_OF_MEMORY))?;
        // The GPU writes results to pinned memory, and the stream is waited for, so that no thread of ours waits inside the library.
        let through_gpu = call.host_scalars
            && self.description.set_pointer_mode.is_some()
            && buffers.fits_block
            && known.has_results;
        if known.keeps && handle.kept.lock().len() >= MOST_KEPT {
            return Ok(self.description.not_supported.into());
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
                    if known.sets_stream {
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
        if known.keeps {
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
        known: &Known,
        arguments: &[Argument],
    ) -> Result<Result<Vec<Option<std::sync::Arc<Descriptor>>>, i32>, Failure> {
        if !known.has_descriptors {
            return Ok(Ok(Vec::new()));
        }
        let function = known.function;
        let mut all = Vec::with_capacity(arguments.len());
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            let (Mode::Opaque(kind), Argument::Host { read, .. }) = (parameter.mode, argument)
            else {
                all.push(None);
                continue;
            };
            if !Values::are(kind, read) {
                return Err(Failure::Protocol(DecodeError::Invalid("descriptor")));
            }
            let address = |name: &str| self.address(&crate::opaque::c_name(name));
            let not_supported = self.description.not_supported;
            match self.descriptors.get(kind, read, not_supported, address) {
                Ok(descriptor) => all.push(Some(descriptor)),
                Err(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(all))
    }

    /// Where the library has `cudnnBackendSetAttribute`, `cudnnBackendFinalize` and `cudnnBackendExecute`: looked up once.
    pub(crate) fn backend(&self) -> Option<[usize; 3]> {
        *self.backend.get_or_init(|| {
            Some([
                self.address(c"cudnnBackendSetAttribute")? as usize,
                self.address(c"cudnnBackendFinalize")? as usize,
                self.address(c"cudnnBackendExecute")? as usize,
            ])
        })
    }
}
