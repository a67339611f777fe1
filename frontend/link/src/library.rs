//! Calls of NVIDIA's compute libraries: from a declaration and the program's arguments to a command, and from the reply to where the program's pointers say. See
//! [`gvirtus_wire::api::library`].

use std::ffi::{CStr, c_char, c_void};

use gvirtus_wire::api::frontend_table::{Submission, library_submit};
use gvirtus_wire::api::library::{
    Function, LibraryCall, LibraryExecute, LibraryReply, LibraryRest, Mode, command as number,
    weight,
};
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::{Params, Wire, decode_all};

use smallvec::SmallVec;

use crate::session::hooks;

/// An argument of the program as a word.
pub trait ToWord: Copy {
    /// The word: values sign-extended, floating-point values as their bits, pointers as addresses.
    fn to_word(self) -> u64;
}

macro_rules! words { ($($t:ty: $value:ident => $word:expr;)*) => { $(
    impl ToWord for $t {
        #[inline]
        fn to_word(self) -> u64 {
            let $value = self;
            $word
        }
    }
)* } }
words! {
    i32: value => i64::from(value).cast_unsigned();
    i64: value => value.cast_unsigned();
    f32: value => u64::from(value.to_bits());
    f64: value => value.to_bits();
    *mut c_void: value => value as u64;
}

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The library's first opcode plus the command's number.
    pub opcode: u16,
    /// The handle's number.
    pub handle: u32,
    /// The program's stream.
    pub stream: *mut c_void,
    /// Scalars and results are on the host.
    pub host_scalars: bool,
    /// Wait for the answer even if there is nothing to write.
    pub ask: bool,
}

/// What became of a call that reached the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is under way.
    Sent,
    /// The library's status.
    Answered(i32),
    /// An argument from which a length follows is not valid.
    Invalid,
    /// The session's error.
    Failed(CUresult),
}

/// A call as it travels, and where what comes back goes: addresses and lengths.
///
/// # Errors
/// [`Outcome::Invalid`].
///
/// # Safety
/// The arguments are those of the function's declaration; pointers to host memory are null or lead to as many bytes as it says.
pub unsafe fn pack(
    function: &Function,
    arguments: &[u64],
    handle: u32,
    host_scalars: bool,
) -> Result<(LibraryCall, Vec<(u64, usize)>), Outcome> {
    // SAFETY: by this function's contract; a factor is a `float` at least.
    unsafe { pack_with(function, arguments, handle, host_scalars, &|_| Some(4)) }
}

/// [`pack`] of a function with factors ([`Mode::Scale`]) or blobs ([`Mode::Blob`]): how many bytes each of them has by the parameter's place.
///
/// # Errors
/// [`Outcome::Invalid`].
///
/// # Safety
/// As [`pack`], and the lengths are right.
pub unsafe fn pack_with(
    function: &Function,
    arguments: &[u64],
    handle: u32,
    host_scalars: bool,
    lengths: &dyn Fn(usize) -> Option<usize>,
) -> Result<(LibraryCall, Vec<(u64, usize)>), Outcome> {
    let mut call = LibraryCall {
        stream: 0,
        function: function.id(),
        handle,
        host_scalars,
        words: Params::new(),
        data: Params::new(),
    };
    let mut written = Vec::new();
    let mut words = SmallVec::<[[u8; 8]; 24]>::new();
    for (at, (parameter, &argument)) in function.parameters.iter().zip(arguments).enumerate() {
        let mode = parameter.mode;
        let on_host = mode.on_host(host_scalars);
        let word = match mode {
            Mode::Handle | Mode::Stream => 0,
            _ if on_host => u64::from(argument != 0),
            _ => argument,
        };
        words.push(word.to_le_bytes());
        if !on_host || argument == 0 {
            continue;
        }
        let length = match mode {
            Mode::Scale | Mode::Blob => lengths(at),
            Mode::Text => {
                // SAFETY: by this function's contract.
                let text = unsafe { CStr::from_ptr(argument as *const c_char) };
                Some(text.to_bytes_with_nul().len())
            }
            _ => function.length(mode, arguments),
        };
        let length = length.ok_or(Outcome::Invalid)?;
        if matches!(mode, Mode::Blob | Mode::Text) {
            let told = u32::try_from(length).map_err(|_| Outcome::Invalid)?;
            call.data.extend_from_slice(&told.to_le_bytes());
        }
        if mode.is_read() {
            // SAFETY: by this function's contract.
            let bytes = unsafe { std::slice::from_raw_parts(argument as *const u8, length) };
            call.data.extend_from_slice(bytes);
        }
        if mode == Mode::Scale {
            let missing = 8usize.checked_sub(length).ok_or(Outcome::Invalid)?;
            call.data.extend_from_slice(&[0; 8][..missing]);
        }
        if mode.is_written() {
            written.push((argument, length));
        }
    }
    call.words = Params::from_slice(words.as_flattened());
    Ok((call, written))
}

/// Writes what came back; false if it is not as much as there is room for.
///
/// # Safety
/// `written` is what [`pack`] told, and the program's memory is still there.
#[must_use]
pub unsafe fn unpack(reply: &LibraryReply, written: &[(u64, usize)]) -> bool {
    let mut rest = reply.data.as_slice();
    if rest.len() != written.iter().map(|(_, length)| length).sum::<usize>() {
        return false;
    }
    for &(address, length) in written {
        let (bytes, after) = rest.split_at(length);
        rest = after;
        // SAFETY: the pointer has room for `length` bytes by this function's contract.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, length) };
    }
    true
}

/// Sends a call, and writes what came back to where the arguments say.
///
/// # Safety
/// As [`pack`].
pub unsafe fn call(function: &Function, arguments: &[u64], target: &Target) -> Outcome {
    // SAFETY: by this function's contract.
    let packed = unsafe { pack(function, arguments, target.handle, target.host_scalars) };
    let (call, written) = match packed {
        Ok(packed) => packed,
        Err(outcome) => return outcome,
    };
    let mut reply = match exchange(function, &call, target) {
        Ok(Some(reply)) => reply,
        Ok(None) => return Outcome::Sent,
        Err(outcome) => return outcome,
    };
    let expected: usize = written.iter().map(|(_, length)| length).sum();
    while reply.result == 0 && reply.data.len() < expected {
        match rest(target) {
            Ok(more) if !more.is_empty() => reply.data.extend_from_slice(&more),
            _ => return Outcome::Failed(error::ERROR_UNKNOWN),
        }
    }
    // SAFETY: the addresses are those of the call.
    if reply.result == 0 && !unsafe { unpack(&reply, &written) } {
        return Outcome::Failed(error::ERROR_UNKNOWN);
    }
    Outcome::Answered(reply.result)
}

/// Sends a packed call; the reply, if there is one.
///
/// # Errors
/// [`Outcome::Failed`].
pub fn exchange(
    function: &Function,
    call: &LibraryCall,
    target: &Target,
) -> Result<Option<LibraryReply>, Outcome> {
    let wait = target.ask || function.answers(target.host_scalars);
    let mut payload = Vec::with_capacity(32 + call.words.len() + call.data.len());
    call.encode(&mut payload);
    let submission = Submission {
        opcode: target.opcode,
        wait,
        on_stream: !function.is_setup(target.host_scalars),
        weight: weight(target.opcode),
        stream: target.stream,
        payload: payload.as_ptr(),
        len: payload.len(),
        // Stream, function, handle, where the scalars are, and how many bytes of words.
        words: 4 + 4 + 4 + 1 + 4,
        words_len: function.parameters.len(),
    };
    let reply = submit(&submission).map_err(Outcome::Failed)?;
    if !wait {
        return Ok(None);
    }
    decode_all(&reply)
        .map(Some)
        .map_err(|_| Outcome::Failed(error::ERROR_UNKNOWN))
}

/// Sends a plan's execution; with `ask`, the library's status.
///
/// # Errors
/// [`Outcome::Failed`].
pub fn execute(execute: &LibraryExecute, target: &Target) -> Result<Option<LibraryReply>, Outcome> {
    let mut payload = Vec::with_capacity(64 + execute.words.len() + 9 * execute.uids.len());
    execute.encode(&mut payload);
    let submission = Submission {
        opcode: target.opcode,
        wait: target.ask,
        on_stream: true,
        weight: weight(target.opcode),
        stream: target.stream,
        payload: payload.as_ptr(),
        len: payload.len(),
        // Stream, handle, plan, and how many bytes of words.
        words: 4 + 4 + 4 + 4,
        words_len: execute.words.len() / 8,
    };
    let reply = submit(&submission).map_err(Outcome::Failed)?;
    if !target.ask {
        return Ok(None);
    }
    decode_all(&reply)
        .map(Some)
        .map_err(|_| Outcome::Failed(error::ERROR_UNKNOWN))
}

/// What did not fit the reply to a call, or its next part.
fn rest(target: &Target) -> Result<Vec<u8>, CUresult> {
    let rest = LibraryRest {
        stream: 0,
        handle: target.handle,
    };
    let opcode = target.opcode - number::CALL + number::REST;
    let reply = command(opcode, &rest, true)?;
    let reply: LibraryReply = decode_all(&reply).map_err(|_| error::ERROR_UNKNOWN)?;
    Ok(reply.data)
}

/// Sends a command that is on no stream, its first field left out for the session to fill in; with `wait`, its reply.
///
/// # Errors
/// The session's.
pub fn command<C: Wire>(opcode: u16, command: &C, wait: bool) -> Result<Vec<u8>, CUresult> {
    let mut payload = Vec::new();
    command.encode(&mut payload);
    submit(&Submission {
        opcode,
        wait,
        on_stream: false,
        weight: 1,
        stream: std::ptr::null_mut(),
        payload: payload.as_ptr(),
        len: payload.len(),
        words: 0,
        words_len: 0,
    })
}

fn submit(submission: &Submission) -> Result<Vec<u8>, CUresult> {
    let Some(submit) = hooks().and_then(library_submit) else {
        return Err(error::ERROR_NOT_INITIALIZED);
    };
    let mut reply: Vec<u8> = Vec::new();
    // SAFETY: the submission's payload and the reply outlive the call; `collect` takes the reply's address.
    match unsafe { submit(submission, collect, (&raw mut reply).cast()) } {
        error::SUCCESS => Ok(reply),
        status => Err(status),
    }
}

/// Appends bytes to the vector at `into`.
unsafe extern "C" fn collect(into: *mut c_void, bytes: *const u8, len: usize) {
    if bytes.is_null() || len == 0 {
        return;
    }
    // SAFETY: `submit` passes its vector's address, and the client core readable bytes.
    unsafe { (*into.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, len)) };
}
