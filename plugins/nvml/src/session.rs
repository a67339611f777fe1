//! Frames to calls.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gvirtus_plugin::host::{self, Host};
use gvirtus_wire::api::core::REPLY;
use gvirtus_wire::api::nvml_call::{
    self, ERROR_ARGUMENT_VERSION_MISMATCH, ERROR_FUNCTION_NOT_FOUND, ERROR_UNINITIALIZED, Function,
    NvmlCall, NvmlInit, NvmlProcessName, NvmlReply, SUCCESS, decode_inputs,
};
use gvirtus_wire::command::{Answer, Dispatched, Handle};
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::SessionInfo;
use parking_lot::Mutex;

use crate::handles::Handles;
use crate::library::Library;

/// `CUDA_ERROR_INVALID_VALUE`.
const INVALID_VALUE: i32 = 1;

/// One session.
pub(crate) struct Session {
    pub(crate) host: &'static Host,
    pub(crate) library: Library,
    pub(crate) handles: Handles,
    /// A client has said `nvmlInit`.
    started: Mutex<bool>,
}

impl Session {
    pub(crate) fn new(host: &'static Host, library: Library) -> Self {
        Self {
            host,
            library,
            handles: Handles::default(),
            started: Mutex::new(false),
        }
    }

    /// Executes one frame.
    pub(crate) fn dispatch(&self, header: &Header, payload: &[u8]) {
        let run = AssertUnwindSafe(|| nvml_call::dispatch(self, header, payload));
        let (status, reply) = match catch_unwind(run) {
            Ok(Ok(Dispatched::Done(reply))) => (0, reply),
            Ok(Ok(Dispatched::Sent)) => return,
            Ok(Ok(Dispatched::Failed(status))) => (status, Vec::new()),
            Ok(Err(error)) => {
                return self
                    .host
                    .fail(&format!("frame {}: {error}", header.sequence));
            }
            Err(_) => {
                return self
                    .host
                    .fail(&format!("frame {}: the handler panicked", header.sequence));
            }
        };
        if header.wants_reply() {
            let header = Header {
                opcode: REPLY,
                sequence: header.sequence,
                thread: header.thread,
                context: status.cast_unsigned(),
                ..Header::default()
            };
            self.host.send(header, &reply, &[]);
        }
    }

    /// A call's reply.
    ///
    /// # Errors
    /// A CUDA status for inputs that are not those of the function.
    pub(crate) fn answer(&self, call: &NvmlCall) -> Result<NvmlReply, i32> {
        let only = |result| {
            Ok(NvmlReply {
                result,
                outputs: Vec::new(),
            })
        };
        if !*self.started.lock() {
            return only(ERROR_UNINITIALIZED);
        }
        let Some(function) = Function::find(&call.function).filter(|f| f.class == "sync") else {
            return only(ERROR_FUNCTION_NOT_FOUND);
        };
        // A client of another release has declared it otherwise.
        if call.shape != function.shape() {
            return only(ERROR_ARGUMENT_VERSION_MISMATCH);
        }
        let inputs = decode_inputs(function, &call.inputs).map_err(|_| INVALID_VALUE)?;
        match self.library.address(function.name) {
            // SAFETY: the address is the library's, of the function that the declaration names.
            Ok(address) => Ok(unsafe { self.execute(function, address, &inputs) }),
            Err(result) => only(result),
        }
    }

    /// The sessions whose processes may be shown.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        self.host.sessions()
    }

    pub(crate) fn start(&self) -> i32 {
        let result = self.library.start(|text| self.host.log(host::INFO, text));
        *self.started.lock() = result == SUCCESS;
        result
    }
}

impl Handle<NvmlInit> for Session {
    fn handle(&self, _: &Header, _: NvmlInit) -> Result<Answer<i32>, i32> {
        self.host.may_block();
        Ok(Answer::Now(self.start()))
    }
}

impl Handle<NvmlCall> for Session {
    fn handle(&self, _: &Header, call: NvmlCall) -> Result<Answer<NvmlReply>, i32> {
        // Some functions ask the GPU's firmware.
        self.host.may_block();
        self.answer(&call).map(Answer::Now)
    }
}

impl Handle<NvmlProcessName> for Session {
    fn handle(&self, _: &Header, call: NvmlProcessName) -> Result<Answer<String>, i32> {
        // The daemon is asked.
        self.host.may_block();
        Ok(Answer::Now(elsewhere(
            call.pid,
            &self.sessions(),
            std::process::id(),
        )))
    }
}

/// What process `pid` is if it is not on the host of the session that the worker `worker` serves.
fn elsewhere(pid: u32, sessions: &[SessionInfo], worker: u32) -> String {
    let Some(asking) = sessions.iter().find(|s| s.worker == worker) else {
        return String::new();
    };
    let mut so_called = sessions.iter().filter(|s| s.pid == pid);
    match so_called.clone().find(|s| s.host == asking.host) {
        Some(_) => None,
        None => so_called.next(),
    }
    .map_or_else(String::new, |s| format!("{}:{}", s.host, s.program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_other_hosts_are_named_by_them() {
        let session = |worker, pid, host: &str, program: &str| SessionInfo {
            worker,
            pid,
            host: host.to_owned(),
            program: program.to_owned(),
        };
        let sessions = [
            session(1, 10, "here", "/bin/me"),
            session(2, 20, "there", "/bin/train"),
            session(3, 10, "there", "/bin/same"),
        ];
        assert_eq!(elsewhere(20, &sessions, 1), "there:/bin/train");
        assert_eq!(elsewhere(10, &sessions, 1), "");
        assert_eq!(elsewhere(10, &sessions, 2), "");
        assert_eq!(elsewhere(99, &sessions, 1), "");
        assert_eq!(elsewhere(20, &sessions, 9), "");
    }
}
