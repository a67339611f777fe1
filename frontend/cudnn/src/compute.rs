//! Calls of the box's library: those that do work, on the handle's stream, and those that ask.

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, exchange, pack_with, unpack};
use gvirtus_frontend_link::start::{capturing, ensure_context};
use gvirtus_wire::api::library::{Function, LibraryCall, LibraryReply, Mode, command};

use crate::content::{self, Content, Facts};
use crate::descriptor::{self, Descriptor};
use crate::handle::{self, Handle, info, opcode};
use crate::status::{BAD_PARAM, NOT_SUPPORTED, SUCCESS, of_driver};
use crate::{Status, declared, lengths, mirror};

/// So many kinds of calls, and so many answers, are remembered.
const MOST: usize = 1 << 16;
/// What arrays are filled with that a call may write in part: no length and no enumeration has this value.
const UNTOUCHED: [u8; 4] = [0xa5; 4];

/// A call whose descriptors and handle are found.
struct Call<'a> {
    function: &'a Function,
    words: Vec<u64>,
    handle: Option<Arc<Handle>>,
    stream: *mut c_void,
    descriptors: Vec<Option<Arc<Descriptor>>>,
    uses: Vec<Arc<Content>>,
    /// Numbers for the descriptors that it fills.
    fills: Vec<(Arc<Descriptor>, u32)>,
}

impl<'a> Call<'a> {
    fn new(function: &'a Function, arguments: &[u64]) -> Result<Self, Status> {
        let mut call = Call {
            function,
            words: arguments.to_vec(),
            handle: None,
            stream: std::ptr::null_mut(),
            descriptors: vec![None; arguments.len()],
            uses: Vec::new(),
            fills: Vec::new(),
        };
        for (at, parameter) in function.parameters.iter().enumerate() {
            let word = &mut call.words[at];
            match parameter.mode {
                Mode::Handle => {
                    let handle = handle::find(*word)?;
                    call.stream = handle.stream();
                    call.handle = Some(handle);
                }
                Mode::Stream => {
                    call.stream = *word as *mut c_void;
                }
                Mode::Object(kind) if *word != 0 => {
                    let descriptor = descriptor::find(*word, kind)?;
                    let content = descriptor.content()?;
                    *word = u64::from(content.number);
                    call.descriptors[at] = Some(descriptor);
                    call.uses.push(content);
                }
                Mode::Fill(kind) if *word != 0 => {
                    let descriptor = descriptor::find(*word, kind)?;
                    let number = content::mint();
                    *word = u64::from(number);
                    call.fills.push((descriptor, number));
                }
                _ => {}
            }
        }
        let info = info()?;
        if info.missing.contains(&function.id()) {
            unsupported(function.name);
            return Err(NOT_SUPPORTED);
        }
        ensure_context().map_err(of_driver)?;
        Ok(call)
    }

    /// What tells this kind of call apart from others: everything but addresses, of which it matters whether there is one and how it is aligned.
    fn kind(&self) -> Vec<u8> {
        let mut kind = Vec::with_capacity(8 + 8 * self.words.len());
        kind.extend_from_slice(&self.function.id().to_le_bytes());
        let device = self.handle.as_ref().map_or(-1, |handle| handle.device);
        kind.extend_from_slice(&device.to_le_bytes());
        for (parameter, &word) in self.function.parameters.iter().zip(&self.words) {
            let word = match parameter.mode {
                Mode::Handle | Mode::Stream => 0,
                Mode::Fill(_) => u64::from(word != 0),
                Mode::Device => 16 * u64::from(word != 0) + word % 16,
                mode if mode.on_host(true) => u64::from(word != 0),
                _ => word,
            };
            kind.extend_from_slice(&word.to_le_bytes());
        }
        kind
    }

    /// # Safety
    /// Pointers to the host are null or lead to what the declaration says.
    unsafe fn pack(&self, arguments: &[u64]) -> Result<(LibraryCall, Vec<(u64, usize)>), Status> {
        let length = |at| lengths::of(self.function, arguments, &self.descriptors, at);
        let handle = self.handle.as_ref().map_or(0, |handle| handle.number);
        // SAFETY: by this function's contract.
        let packed = unsafe { pack_with(self.function, &self.words, handle, true, &length) };
        packed.map_err(|_| BAD_PARAM)
    }

    fn send(&self, call: &LibraryCall, ask: bool) -> Result<Option<LibraryReply>, Status> {
        let target = Target {
            opcode: opcode(command::CALL),
            handle: call.handle,
            stream: self.stream,
            host_scalars: true,
            ask,
        };
        exchange(self.function, call, &target).map_err(|outcome| match outcome {
            Outcome::Failed(code) => of_driver(code),
            _ => BAD_PARAM,
        })
    }
}

/// Kinds of calls that cuDNN has been seen to take.
#[derive(Debug, Default)]
pub(crate) struct Taken(LazyLock<Mutex<HashSet<Vec<u8>>>>);

impl Taken {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    pub(crate) fn has(&self, kind: &[u8]) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.contains(kind)
    }

    pub(crate) fn add(&self, kind: Vec<u8>) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= MOST {
            taken.clear();
        }
        taken.insert(kind);
    }
}

static TAKEN: Taken = Taken::new();

/// Calls a function of class `async` or `sync`.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers to host memory are null or lead to what cuDNN documents.
pub unsafe fn compute(function: &Function, arguments: &[u64]) -> Status {
    // SAFETY: by this function's contract.
    unsafe {
        match function.class {
            "Sync" => ask(function, arguments),
            _ => work(function, arguments),
        }
    }
}

/// Executes a function. The first call of its kind waits for cuDNN's status.
///
/// # Safety
/// As [`compute`].
pub unsafe fn work(function: &Function, arguments: &[u64]) -> Status {
    // SAFETY: by this function's contract.
    let done = unsafe { try_compute(function, arguments) };
    done.err().unwrap_or(SUCCESS)
}

unsafe fn try_compute(function: &Function, arguments: &[u64]) -> Result<(), Status> {
    let call = Call::new(function, arguments)?;
    // SAFETY: by this function's contract.
    let (packed, _) = unsafe { call.pack(arguments) }?;
    let kind = call.kind();
    let ask = !TAKEN.has(&kind) && !capturing(call.stream as u64);
    match call.send(&packed, ask)? {
        Some(reply) if reply.result != 0 => Err(reply.result),
        Some(_) => {
            TAKEN.add(kind);
            Ok(())
        }
        None => Ok(()),
    }
}

/// What the box's library answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    /// By parameter.
    pub(crate) written: Vec<Option<Vec<u8>>>,
    pub(crate) fills: Vec<Arc<Content>>,
    /// What was asked about: its numbers mean the same as long as this is kept.
    _uses: Vec<Arc<Content>>,
}

static ANSWERS: LazyLock<RwLock<HashMap<Vec<u8>, Arc<Answer>>>> = LazyLock::new(RwLock::default);

/// Answers that are the same for the same question.
pub(crate) fn remembered(question: &[u8]) -> Option<Arc<Answer>> {
    let answers = ANSWERS.read().unwrap_or_else(PoisonError::into_inner);
    answers.get(question).cloned()
}

/// Forgets all answers, and what they keep alive.
pub(crate) fn forget_answers() {
    ANSWERS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

/// Keeps an answer, unless it is about something that may pass.
pub(crate) fn remember(question: Vec<u8>, answer: &Arc<Answer>) {
    if !matches!(answer.status / 1000, 0 | 2 | 3) {
        return;
    }
    let mut answers = ANSWERS.write().unwrap_or_else(PoisonError::into_inner);
    if answers.len() >= MOST {
        answers.clear();
    }
    answers.insert(question, Arc::clone(answer));
}

impl Answer {
    pub(crate) fn new(
        status: Status,
        written: Vec<Option<Vec<u8>>>,
        fills: Vec<Arc<Content>>,
        uses: Vec<Arc<Content>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            status,
            written,
            fills,
            _uses: uses,
        })
    }

    /// Bytes of an element, by the type that is among what came back.
    fn element(&self, function: &Function) -> Option<usize> {
        let mut parameters = function.parameters.iter();
        let at = parameters.position(|p| p.name == "dataType")?;
        let told = self.written.get(at)?.as_deref()?.first_chunk()?;
        lengths::element(i32::from_le_bytes(*told))
    }

    /// Writes what came back to where the program's arguments say.
    ///
    /// # Safety
    /// Pointers to the host are null or have room for what the declaration says.
    unsafe fn write(&self, function: &Function, arguments: &[u64]) {
        let parameters = function.parameters.iter().zip(arguments);
        for ((parameter, &address), bytes) in parameters.zip(&self.written) {
            let Some(bytes) = bytes else { continue };
            let bytes = match parameter.name {
                // As many as the sequences' elements have.
                "paddingFill" => &bytes[..self.element(function).unwrap_or(4).min(bytes.len())],
                _ => bytes,
            };
            let partly = matches!(parameter.mode, Mode::HostInOut(..));
            for (i, word) in bytes.chunks(4).enumerate() {
                if !(partly && word == UNTOUCHED) {
                    // SAFETY: by this function's contract.
                    unsafe {
                        let to = (address as *mut u8).add(4 * i);
                        std::ptr::copy_nonoverlapping(word.as_ptr(), to, word.len());
                    }
                }
            }
        }
    }
}

/// Asks the box's library, or remembers what it said.
///
/// # Safety
/// As [`compute`].
pub unsafe fn ask(function: &Function, arguments: &[u64]) -> Status {
    // SAFETY: by this function's contract.
    match unsafe { mirror::answer(function, arguments) } {
        Some(status) => status,
        // SAFETY: by this function's contract.
        None => unsafe { try_ask(function, arguments) }
            .err()
            .unwrap_or(SUCCESS),
    }
}

/// # Safety
/// As [`compute`].
pub(crate) unsafe fn try_ask(function: &Function, arguments: &[u64]) -> Result<(), Status> {
    let mut call = Call::new(function, arguments)?;
    // Searches measure, and errors of running work change.
    let same = function.is_setup(true)
        && !function.name.starts_with("cudnnFind")
        && function.name != "cudnnQueryRuntimeError";
    // What is written goes to memory of ours first.
    let mut room: Vec<Option<Vec<u8>>> = Vec::with_capacity(arguments.len());
    for (at, parameter) in function.parameters.iter().enumerate() {
        let written = parameter.mode.on_host(true) && parameter.mode.is_written();
        room.push(if written && arguments[at] != 0 {
            let length = function
                .length(parameter.mode, arguments)
                .ok_or(BAD_PARAM)?;
            let mut bytes = vec![UNTOUCHED[0]; length];
            bytes.reserve(1);
            call.words[at] = bytes.as_mut_ptr() as u64;
            Some(bytes)
        } else {
            None
        });
    }
    // SAFETY: by this function's contract; what is written has room of that length.
    let (packed, written) = unsafe { call.pack(arguments) }?;
    let mut question = call.kind();
    question.extend_from_slice(&packed.data);
    let answer = match remembered(&question).filter(|_| same) {
        Some(answer) => answer,
        None => {
            let reply = call.send(&packed, true)?.ok_or(BAD_PARAM)?;
            // SAFETY: the addresses are those of the rooms.
            if reply.result == 0 && !unsafe { unpack(&reply, &written) } {
                return Err(crate::status::INTERNAL_ERROR);
            }
            let fills = call
                .fills
                .iter()
                .map(|(_, number)| content::filled(*number, Facts::default(), call.uses.clone()));
            let fills = fills.collect();
            let answer = Answer::new(reply.result, room, fills, call.uses.clone());
            if same {
                remember(question, &answer);
            }
            answer
        }
    };
    if answer.status != 0 {
        return Err(answer.status);
    }
    // SAFETY: by this function's contract.
    unsafe { answer.write(function, arguments) };
    for ((descriptor, _), content) in call.fills.iter().zip(&answer.fills) {
        descriptor.fill(Arc::clone(content));
    }
    Ok(())
}

/// Asks a function that returns a value and no status; 0 if it cannot be asked.
///
/// # Safety
/// As [`compute`].
pub unsafe fn value(function: &Function, arguments: &[u64]) -> usize {
    let told = (|| {
        let call = Call::new(function, arguments).ok()?;
        let question = call.kind();
        if let Some(answer) = remembered(&question) {
            return Some(answer.status);
        }
        // SAFETY: by this function's contract.
        let (packed, _) = unsafe { call.pack(arguments) }.ok()?;
        let told = call.send(&packed, true).ok()??.result;
        let answer = Answer::new(told, Vec::new(), Vec::new(), Vec::new());
        let mut answers = ANSWERS.write().unwrap_or_else(PoisonError::into_inner);
        answers.insert(question, answer);
        Some(told)
    })();
    told.map_or(0, |told| usize::try_from(told).unwrap_or(0))
}

/// Data type, number of dimensions and dimensions of a tensor that a call has filled.
pub(crate) fn told(descriptor: &Descriptor) -> Option<Vec<i32>> {
    /// `CUDNN_DIM_MAX`.
    const MOST_DIMENSIONS: usize = 8;
    let content = descriptor.content().ok()?;
    let function = declared("cudnnGetTensorNdDescriptor");
    // A descriptor of our own, since functions are given the program's.
    let mut own = 0u64;
    // SAFETY: the address is that of a local.
    unsafe {
        descriptor::create(
            declared("cudnnCreateTensorDescriptor"),
            &[(&raw mut own) as u64],
        )
    };
    descriptor::find(own, "Tensor").ok()?.fill(content);
    let (mut kind, mut count) = (0i32, 0i32);
    let mut dimensions = [0i32; MOST_DIMENSIONS];
    let mut strides = [0i32; MOST_DIMENSIONS];
    // SAFETY: the arguments are those of the declaration; the addresses are those of locals.
    let status = unsafe {
        try_ask(
            function,
            &[
                own,
                MOST_DIMENSIONS as u64,
                (&raw mut kind) as u64,
                (&raw mut count) as u64,
                dimensions.as_mut_ptr() as u64,
                strides.as_mut_ptr() as u64,
            ],
        )
    };
    // SAFETY: the descriptor is of this function.
    unsafe { descriptor::destroy(declared("cudnnDestroyTensorDescriptor"), &[own]) };
    status.ok()?;
    let dimensions = dimensions.get(..usize::try_from(count).ok()?)?;
    Some(
        [kind, count]
            .into_iter()
            .chain(dimensions.iter().copied())
            .collect(),
    )
}
