//! One call, the same for every function: inputs to arguments, results to outputs, by the modes of the declaration.

use std::ffi::c_void;

use gvirtus_wire::api::nvml_call::{
    ERROR_FUNCTION_NOT_FOUND, ERROR_INSUFFICIENT_SIZE, ERROR_INVALID_ARGUMENT, ERROR_UNKNOWN,
    Function, Input, Mode, NvmlReply, Output, SUCCESS, encode_outputs, returns,
};

use gvirtus_wire::plugin::SessionInfo;

use crate::invoke::invoke;
use crate::session::Session;

/// Behind every buffer: what the library writes beyond the declared size (a newer form of a structure) harms nothing.
const PADDING: usize = 512;
/// How many processes are asked for at first, and at most.
const PROCESSES: (u32, u32) = (256, 16 << 10);

/// Memory for one parameter, aligned for any of NVML's structures, with [`PADDING`].
#[derive(Debug)]
struct Buffer {
    words: Vec<u64>,
    len: usize,
}

impl Buffer {
    fn of(contents: &[u8], len: usize) -> Self {
        let mut words = vec![0_u64; (len + PADDING).div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(contents.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        Self { words, len }
    }

    fn address(&mut self) -> u64 {
        self.words.as_mut_ptr() as u64
    }

    /// The first `len` bytes, of those that were asked for.
    fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        bytes.truncate(len.min(self.len));
        bytes
    }

    fn u32(&self) -> u32 {
        self.words.first().map_or(0, |word| *word as u32)
    }
}

impl Session {
    /// Calls a function of the library.
    ///
    /// # Safety
    /// `address` is that of the function, or of one with its parameters; `inputs` were decoded for it.
    pub(crate) unsafe fn execute(
        &self,
        function: &Function,
        address: *const c_void,
        inputs: &[Input],
    ) -> NvmlReply {
        let shows_processes = function
            .parameters
            .iter()
            .any(|p| matches!(p.mode, Mode::Processes(_)));
        let mut room = function.capacity(inputs);
        if shows_processes {
            room = PROCESSES.0 as usize;
        }
        loop {
            let Some((mut buffers, mut arguments)) = self.arguments(function, inputs, room) else {
                return only(ERROR_INVALID_ARGUMENT);
            };
            for (buffer, argument) in buffers.iter_mut().zip(&mut arguments) {
                if let Some(buffer) = buffer {
                    *argument = buffer.address();
                }
            }
            // SAFETY: by this function's contract; the buffers live on, each as long as its parameter's declaration and the given lengths say.
            let Some(result) = (unsafe { invoke(function, address, &arguments) }) else {
                return only(ERROR_FUNCTION_NOT_FOUND);
            };
            if !shows_processes {
                return self.outputs(function, inputs, result, &buffers, room);
            }
            let there = count(function, &buffers);
            if result == ERROR_INSUFFICIENT_SIZE && there as usize > room && there <= PROCESSES.1 {
                // Some more may start meanwhile.
                room = there as usize + 16;
                continue;
            }
            let sessions = self.sessions();
            return clients_processes(function, inputs, result, &buffers, room, &sessions);
        }
    }

    /// Buffers and arguments; `None` for a handle that there is not.
    fn arguments(
        &self,
        function: &Function,
        inputs: &[Input],
        room: usize,
    ) -> Option<(Vec<Option<Buffer>>, Vec<u64>)> {
        let mut buffers = Vec::with_capacity(inputs.len());
        let mut arguments = Vec::with_capacity(inputs.len());
        for (parameter, input) in function.parameters.iter().zip(inputs) {
            let (buffer, value) = match (parameter.mode, input) {
                (Mode::Handle(kind), Input::Handle(number)) => {
                    (None, self.handles.handle(kind, *number)?)
                }
                (Mode::Size, _) => (None, room as u64),
                (Mode::U32 | Mode::U64, Input::Number(value)) => (None, *value),
                (Mode::Count, _) => (
                    Some(Buffer::of(&u32::try_from(room).ok()?.to_ne_bytes(), 4)),
                    0,
                ),
                (Mode::OutHandle(_), _) => (Some(Buffer::of(&[], 8)), 0),
                (Mode::Out(n), _) | (Mode::Optional(n), Input::Wanted(true)) => {
                    (Some(Buffer::of(&[], n)), 0)
                }
                // The library's own list has to be seen to know what is ours.
                (Mode::Processes(n), _) => (Some(Buffer::of(&[], n * room)), 0),
                (Mode::Array(n), Input::Wanted(true)) => (Some(Buffer::of(&[], n * room)), 0),
                (Mode::Handles(_), Input::Wanted(true)) => (Some(Buffer::of(&[], 8 * room)), 0),
                (Mode::Text, _) => (Some(Buffer::of(&[], room)), 0),
                (Mode::Name, Input::Bytes(bytes)) => (Some(Buffer::of(bytes, bytes.len() + 1)), 0),
                (_, Input::Bytes(bytes)) => (Some(Buffer::of(bytes, bytes.len())), 0),
                // A pointer that may be null, and is.
                _ => (None, 0),
            };
            buffers.push(buffer);
            arguments.push(value);
        }
        Some((buffers, arguments))
    }

    fn outputs(
        &self,
        function: &Function,
        inputs: &[Input],
        result: i32,
        buffers: &[Option<Buffer>],
        room: usize,
    ) -> NvmlReply {
        let has_count = function.parameters.iter().any(|p| p.mode == Mode::Count);
        let filled = if has_count {
            room.min(count(function, buffers) as usize)
        } else {
            room
        };
        let mut outputs = Vec::with_capacity(inputs.len());
        for ((parameter, input), buffer) in function.parameters.iter().zip(inputs).zip(buffers) {
            let Some(buffer) = buffer
                .as_ref()
                .filter(|_| returns(parameter.mode, input, result))
            else {
                outputs.push(Output::None);
                continue;
            };
            let handle = |kind, at: usize| self.handles.number(kind, *buffer.words.get(at)?);
            outputs.push(match parameter.mode {
                Mode::OutHandle(kind) => match handle(kind, 0) {
                    Some(number) => Output::Handle(number),
                    None => return only(ERROR_UNKNOWN),
                },
                // The library leaves the rest as it was: nulls, which stay nobody's number.
                Mode::Handles(kind) => match (0..filled)
                    .map(|at| match buffer.words.get(at) {
                        Some(0) => Some(0),
                        _ => handle(kind, at),
                    })
                    .collect()
                {
                    Some(numbers) => Output::Handles(numbers),
                    None => return only(ERROR_UNKNOWN),
                },
                Mode::Count => Output::Count(buffer.u32()),
                Mode::Array(n) => Output::Bytes(buffer.bytes(n * filled)),
                Mode::Text => {
                    let mut text = buffer.bytes(room);
                    let end = text.iter().position(|byte| *byte == 0);
                    text.truncate(end.unwrap_or(room.saturating_sub(1)));
                    Output::Bytes(text)
                }
                _ => Output::Bytes(buffer.bytes(buffer.len)),
            });
        }
        NvmlReply {
            result,
            outputs: encode_outputs(&outputs),
        }
    }
}

fn only(result: i32) -> NvmlReply {
    NvmlReply {
        result,
        outputs: Vec::new(),
    }
}

/// What the library has put into the function's count.
fn count(function: &Function, buffers: &[Option<Buffer>]) -> u32 {
    let at = function
        .parameters
        .iter()
        .position(|p| p.mode == Mode::Count);
    at.and_then(|at| buffers.get(at)?.as_ref())
        .map_or(0, Buffer::u32)
}

/// Of the library's list of processes those that are workers of `sessions`, as their clients' processes: others are other tenants', or none of GVirtuS.
fn clients_processes(
    function: &Function,
    inputs: &[Input],
    result: i32,
    buffers: &[Option<Buffer>],
    room: usize,
    sessions: &[SessionInfo],
) -> NvmlReply {
    if result != SUCCESS {
        // How many processes the box has is nobody's business, either.
        return only(if result == ERROR_INSUFFICIENT_SIZE {
            ERROR_UNKNOWN
        } else {
            result
        });
    }
    let capacity = function.capacity(inputs);
    let listed = room.min(count(function, buffers) as usize);
    let mut result = SUCCESS;
    let mut shown = Vec::new();
    let mut outputs = Vec::new();
    for ((parameter, input), buffer) in function.parameters.iter().zip(inputs).zip(buffers) {
        if let (Mode::Processes(n), Some(buffer)) = (parameter.mode, buffer) {
            let all = buffer.bytes(n * listed);
            shown = all
                .chunks_exact(n)
                .filter_map(|entry| as_client(entry, sessions))
                .collect();
            if shown.len() > capacity || (*input == Input::Wanted(false) && !shown.is_empty()) {
                result = ERROR_INSUFFICIENT_SIZE;
            }
        }
    }
    for (parameter, input) in function.parameters.iter().zip(inputs) {
        outputs.push(match parameter.mode {
            Mode::Count => Output::Count(u32::try_from(shown.len()).unwrap_or(u32::MAX)),
            Mode::Processes(_) if returns(parameter.mode, input, result) => {
                Output::Bytes(shown.concat())
            }
            _ => Output::None,
        });
    }
    NvmlReply {
        result,
        outputs: encode_outputs(&outputs),
    }
}

/// An entry, which begins with a worker's process id, with that of its client; `None` if it is no session's.
fn as_client(entry: &[u8], sessions: &[SessionInfo]) -> Option<Vec<u8>> {
    let (pid, rest) = entry.split_first_chunk()?;
    let worker = u32::from_ne_bytes(*pid);
    let session = sessions.iter().find(|s| s.worker == worker)?;
    Some([&session.pid.to_ne_bytes(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_shown_as_their_clients_and_nobody_else_is() {
        let function = Function::find("nvmlDeviceGetComputeRunningProcesses_v3").unwrap();
        let session = |worker, pid| SessionInfo {
            worker,
            pid,
            ..SessionInfo::default()
        };
        let sessions = [session(100, 7), session(101, 8)];
        let mut list = Vec::new();
        for (worker, memory) in [(55_u64, 1_u64), (101, 2), (100, 3)] {
            list.extend([worker, memory, u64::MAX].map(u64::to_ne_bytes).concat());
        }
        let buffers = [
            None,
            Some(Buffer::of(&3_u32.to_ne_bytes(), 4)),
            Some(Buffer::of(&list, list.len())),
        ];
        let ask = |count: u32, wanted| {
            let inputs = [
                Input::Handle(1),
                Input::Number(u64::from(count)),
                Input::Wanted(wanted),
            ];
            let reply = clients_processes(function, &inputs, SUCCESS, &buffers, 3, &sessions);
            let outputs = gvirtus_wire::api::nvml_call::decode_outputs(
                function,
                &inputs,
                reply.result,
                &reply.outputs,
            );
            (reply.result, outputs.unwrap())
        };
        let entries: Vec<u8> = [8_u64, 2, u64::MAX, 7, 3, u64::MAX]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let (result, outputs) = ask(4, true);
        assert_eq!(result, SUCCESS);
        assert_eq!(outputs[1], Output::Count(2));
        assert_eq!(outputs[2], Output::Bytes(entries));
        let (result, outputs) = ask(1, true);
        assert_eq!(result, ERROR_INSUFFICIENT_SIZE);
        assert_eq!(outputs[1], Output::Count(2));
        assert_eq!(ask(0, false).0, ERROR_INSUFFICIENT_SIZE);
    }
}
