//! Commands of other libraries' tables (NVML, …), which their frontends encode and decode themselves; see `gvirtus_wire::api::frontend_table`.

use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::Class;
use gvirtus_wire::api::core::OPCODES;
use gvirtus_wire::api::frontend_table::Submission;
use gvirtus_wire::api::library::NO_STREAM;
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::{DecodeError, Reader, Wire};
use gvirtus_wire::command::Command;
use gvirtus_wire::frame::MAX_PAYLOAD;

use crate::graph::record;
use crate::graph::work::Work;
use crate::session::Session;
use crate::streams::{self, Stream};

/// Bytes that somebody else understands.
struct Raw(Vec<u8>);

impl Wire for Raw {
    const LEAST: usize = 0;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(input.take(input.remaining())?.to_vec()))
    }
}

/// A command of any table.
struct Foreign {
    opcode: u16,
    payload: Raw,
}

impl Wire for Foreign {
    const LEAST: usize = 0;
    fn encode(&self, out: &mut Vec<u8>) {
        self.payload.encode(out);
    }
    /// Never received: the worker decodes these commands by their own tables.
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Err(DecodeError::Invalid("command"))
    }
}

impl Command for Foreign {
    type Reply = Raw;
    const OPCODE: u16 = 0;
    const REVISION: u16 = 0;
    const CLASS: Class = Class::Sync;
    const NAME: &'static str = "a library's command";
    fn opcode(&self) -> u16 {
        self.opcode
    }
}

/// A library's work that was captured.
pub(crate) struct Recorded {
    opcode: u16,
    payload: Vec<u8>,
}

impl Recorded {
    /// Issues it again, on another stream.
    ///
    /// # Errors
    /// Those of sending.
    pub(crate) fn post(&self, session: &Session, stream: &Stream) -> Result<(), CUresult> {
        let mut payload = self.payload.clone();
        if let Some(number) = payload.first_chunk_mut() {
            *number = stream.id.to_le_bytes();
        }
        let command = Foreign {
            opcode: self.opcode,
            payload: Raw(payload),
        };
        stream.post(session, &command, &[]).map(drop)
    }
}

/// See [`FrontendTable::call`](gvirtus_wire::api::frontend_table::FrontendTable::call).
///
/// # Safety
/// `payload` has `len` readable bytes, and `sink` may be called with `sink_arg`.
pub(crate) unsafe extern "C" fn library_call(
    opcode: u16,
    payload: *const u8,
    len: usize,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) -> CUresult {
    let payload = if len == 0 {
        &[]
    } else if payload.is_null() || len > MAX_PAYLOAD as usize {
        return error::ERROR_INVALID_VALUE;
    } else {
        // SAFETY: not null, and readable by this function's contract.
        unsafe { std::slice::from_raw_parts(payload, len) }
    };
    let reply =
        std::panic::catch_unwind(|| call(opcode, payload)).unwrap_or(Err(error::ERROR_UNKNOWN));
    match reply {
        Ok(Raw(bytes)) => {
            // SAFETY: by this function's contract; the bytes live during the call.
            unsafe { sink(sink_arg, bytes.as_ptr(), bytes.len()) };
            error::SUCCESS
        }
        Err(status) => status,
    }
}

/// See [`FrontendTable::submit`](gvirtus_wire::api::frontend_table::FrontendTable::submit).
///
/// # Safety
/// `submission` is valid, its payload has `len` readable bytes, and `sink` may be called with `sink_arg`.
pub(crate) unsafe extern "C" fn submit(
    submission: *const Submission,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) -> CUresult {
    // SAFETY: by this function's contract.
    let Some(submission) = (unsafe { submission.as_ref() }) else {
        return error::ERROR_INVALID_VALUE;
    };
    if submission.payload.is_null() || submission.len > MAX_PAYLOAD as usize {
        return error::ERROR_INVALID_VALUE;
    }
    // SAFETY: not null, and readable by this function's contract.
    let payload = unsafe { std::slice::from_raw_parts(submission.payload, submission.len) };
    let done = std::panic::catch_unwind(|| submitted(submission, payload))
        .unwrap_or(Err(error::ERROR_UNKNOWN));
    match done {
        Ok(Some(Raw(bytes))) => {
            // SAFETY: by this function's contract; the bytes live during the call.
            unsafe { sink(sink_arg, bytes.as_ptr(), bytes.len()) };
            error::SUCCESS
        }
        Ok(None) => error::SUCCESS,
        Err(status) => status,
    }
}

fn submitted(submission: &Submission, payload: &[u8]) -> Result<Option<Raw>, CUresult> {
    let opcode = submission.opcode;
    let words = submission
        .words_len
        .checked_mul(8)
        .and_then(|len| payload.get(submission.words..)?.get(..len));
    let (Some(words), false) = (words, not_for_libraries(opcode) || payload.len() < 4) else {
        return Err(error::ERROR_INVALID_VALUE);
    };
    let session = Session::get()?;
    let context = crate::driver::context::current()?;
    session.check(context.id)?;
    let make = |stream: u32| {
        let mut payload = payload.to_vec();
        payload[..4].copy_from_slice(&stream.to_le_bytes());
        Foreign {
            opcode,
            payload: Raw(payload),
        }
    };
    match (submission.on_stream, submission.wait) {
        (false, false) => session.post(context.id, &make(NO_STREAM)).map(|()| None),
        (false, true) => session.call(context.id, &make(NO_STREAM)).map(Some),
        (true, wait) => {
            let work = streams::Work {
                stream: submission.stream,
                words,
                weight: submission.weight.clamp(1, streams::MOST_WEIGHT as u32) as usize,
                wait,
            };
            let done = streams::submit_library(session, &context, &work, make)?;
            record::on_handle(session, &context, submission.stream, || {
                let payload = payload.to_vec();
                Work::Library(Arc::new(Recorded { opcode, payload }))
            });
            Ok(done)
        }
    }
}

/// The core's own commands have invariants that only this library keeps; from 0x8000 on are the worker's messages.
fn not_for_libraries(opcode: u16) -> bool {
    opcode <= OPCODES.1 || opcode >= 0x8000
}

fn call(opcode: u16, payload: &[u8]) -> Result<Raw, CUresult> {
    if not_for_libraries(opcode) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Session::get()?.call_unchecked(&Foreign {
        opcode,
        payload: Raw(payload.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn nothing(_: *mut c_void, _: *const u8, _: usize) {}

    #[test]
    fn the_cores_commands_are_not_for_others() {
        for opcode in [0, OPCODES.0, OPCODES.1, 0x8000, 0xffff] {
            // SAFETY: no payload, and a sink that does nothing.
            let status =
                unsafe { library_call(opcode, std::ptr::null(), 0, nothing, std::ptr::null_mut()) };
            assert_eq!(status, error::ERROR_INVALID_VALUE);
        }
    }
}
