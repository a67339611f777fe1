//! How calls of NVML travel: modes of parameters, the table of functions, and the one command that carries them all.
//!
//! A call becomes the function's name, the *shape* of its declaration (both ends must have declared the same), and the bytes of its inputs in order of the parameters.
//! The reply is NVML's return value and the bytes of the outputs. Both are read strictly: not one byte more or less than the declaration and the inputs say.

use crate::codec::{DecodeError, Reader, Wire};

/// First and last opcode of NVML's commands.
pub const OPCODES: (u16, u16) = (0x0200, 0x02ff);
/// The most bytes of one array; what a program asks for beyond it is cut.
pub const ARRAY_LIMIT: usize = 1 << 20;
/// The longest text, its NUL included.
pub const TEXT_LIMIT: usize = 4096;

/// `NVML_SUCCESS`.
pub const SUCCESS: i32 = 0;
/// `NVML_ERROR_UNINITIALIZED`.
pub const ERROR_UNINITIALIZED: i32 = 1;
/// `NVML_ERROR_INVALID_ARGUMENT`.
pub const ERROR_INVALID_ARGUMENT: i32 = 2;
/// `NVML_ERROR_NOT_SUPPORTED`.
pub const ERROR_NOT_SUPPORTED: i32 = 3;
/// `NVML_ERROR_NO_PERMISSION`.
pub const ERROR_NO_PERMISSION: i32 = 4;
/// `NVML_ERROR_NOT_FOUND`.
pub const ERROR_NOT_FOUND: i32 = 6;
/// `NVML_ERROR_INSUFFICIENT_SIZE`.
pub const ERROR_INSUFFICIENT_SIZE: i32 = 7;
/// `NVML_ERROR_DRIVER_NOT_LOADED`.
pub const ERROR_DRIVER_NOT_LOADED: i32 = 9;
/// `NVML_ERROR_TIMEOUT`.
pub const ERROR_TIMEOUT: i32 = 10;
/// `NVML_ERROR_LIBRARY_NOT_FOUND`.
pub const ERROR_LIBRARY_NOT_FOUND: i32 = 12;
/// `NVML_ERROR_FUNCTION_NOT_FOUND`.
pub const ERROR_FUNCTION_NOT_FOUND: i32 = 13;
/// `NVML_ERROR_ARGUMENT_VERSION_MISMATCH`.
pub const ERROR_ARGUMENT_VERSION_MISMATCH: i32 = 25;
/// `NVML_ERROR_UNKNOWN`.
pub const ERROR_UNKNOWN: i32 = 999;

/// What an opaque handle stands for. Handles on the wire are numbers that the plugin gives out, from 1; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `nvmlDevice_t`.
    Device,
    /// `nvmlUnit_t`.
    Unit,
    /// `nvmlGpuInstance_t`.
    GpuInstance,
    /// `nvmlComputeInstance_t`.
    ComputeInstance,
}

/// How a parameter travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `device`, `unit`, …: a handle.
    Handle(Kind),
    /// `out_device`, …: a pointer to a handle that the call returns.
    OutHandle(Kind),
    /// `devices`, …: an array of returned handles, as many as the function's `count`.
    Handles(Kind),
    /// `u32`: a 32-bit value.
    U32,
    /// `u64`: a 64-bit value.
    U64,
    /// `size`: a 32-bit value that says how long the function's array or text is.
    Size,
    /// `count`: a pointer to the array's length; returns how many there are.
    Count,
    /// `out(n)`: a pointer to `n` bytes that the call writes.
    Out(usize),
    /// `optional(n)`: the same, and the pointer may be null.
    Optional(usize),
    /// `inout(n)`: a pointer to `n` bytes that the call reads and writes.
    InOut(usize),
    /// `versioned(…)`: a structure whose first word is its version (number in the top 8 bits) and size (the rest); one of these words.
    Versioned(&'static [u32]),
    /// `array(n)`: an array of elements of `n` bytes that the call writes, as long as `count` or `size` says; may be null.
    Array(usize),
    /// `values(n)`: an array of elements of `n` bytes that the call reads and writes, as long as `size` says.
    Values(usize),
    /// `processes(n)`: an array whose elements begin with a process id. Those of the tenant's sessions are shown, as their clients' processes.
    Processes(usize),
    /// `text`: a buffer for text, as long as `size` says.
    Text,
    /// `name`: a NUL-terminated text that the call reads.
    Name,
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// NVML's name.
    pub name: &'static str,
    /// How it travels.
    pub mode: Mode,
}

/// One function of [`nvml_api!`](crate::nvml_api).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Exported name.
    pub name: &'static str,
    /// The declaration's class.
    pub class: &'static str,
    /// Parameters in order.
    pub parameters: &'static [Parameter],
}

/// The [`Mode`] of a declaration's words.
#[macro_export]
#[doc(hidden)]
macro_rules! nvml_mode {
    (device) => { $crate::api::nvml_call::Mode::Handle($crate::api::nvml_call::Kind::Device) };
    (unit) => { $crate::api::nvml_call::Mode::Handle($crate::api::nvml_call::Kind::Unit) };
    (gpu_instance) => { $crate::api::nvml_call::Mode::Handle($crate::api::nvml_call::Kind::GpuInstance) };
    (compute_instance) => { $crate::api::nvml_call::Mode::Handle($crate::api::nvml_call::Kind::ComputeInstance) };
    (out_device) => { $crate::api::nvml_call::Mode::OutHandle($crate::api::nvml_call::Kind::Device) };
    (out_unit) => { $crate::api::nvml_call::Mode::OutHandle($crate::api::nvml_call::Kind::Unit) };
    (out_gpu_instance) => { $crate::api::nvml_call::Mode::OutHandle($crate::api::nvml_call::Kind::GpuInstance) };
    (out_compute_instance) => { $crate::api::nvml_call::Mode::OutHandle($crate::api::nvml_call::Kind::ComputeInstance) };
    (devices) => { $crate::api::nvml_call::Mode::Handles($crate::api::nvml_call::Kind::Device) };
    (gpu_instances) => { $crate::api::nvml_call::Mode::Handles($crate::api::nvml_call::Kind::GpuInstance) };
    (compute_instances) => { $crate::api::nvml_call::Mode::Handles($crate::api::nvml_call::Kind::ComputeInstance) };
    (u32) => { $crate::api::nvml_call::Mode::U32 };
    (u64) => { $crate::api::nvml_call::Mode::U64 };
    (size) => { $crate::api::nvml_call::Mode::Size };
    (count) => { $crate::api::nvml_call::Mode::Count };
    (text) => { $crate::api::nvml_call::Mode::Text };
    (name) => { $crate::api::nvml_call::Mode::Name };
    (out $n:literal) => { $crate::api::nvml_call::Mode::Out($n) };
    (optional $n:literal) => { $crate::api::nvml_call::Mode::Optional($n) };
    (inout $n:literal) => { $crate::api::nvml_call::Mode::InOut($n) };
    (array $n:literal) => { $crate::api::nvml_call::Mode::Array($n) };
    (values $n:literal) => { $crate::api::nvml_call::Mode::Values($n) };
    (processes $n:literal) => { $crate::api::nvml_call::Mode::Processes($n) };
    (versioned $($word:literal)+) => { $crate::api::nvml_call::Mode::Versioned(&[$($word),+]) };
}

/// The C type of a parameter by its declaration's word: `u32`, `u64`, or a pointer.
#[macro_export]
#[doc(hidden)]
macro_rules! nvml_type {
    (u32) => { u32 };
    (size) => { u32 };
    (u64) => { u64 };
    ($other:ident) => { *mut ::std::ffi::c_void };
}

macro_rules! functions {
    ($(group $group:literal { $($class:ident fn $name:ident($($p:ident: $mode:ident $(($($argument:literal)+))?),*);)* })*) => {
        /// Every function, in the order of the declarations.
        pub static FUNCTIONS: &[Function] = &[$($(Function {
            name: stringify!($name),
            class: stringify!($class),
            parameters: &[$(Parameter { name: stringify!($p), mode: nvml_mode!($mode $($($argument)+)?) }),*],
        },)*)*];
    };
}
nvml_api!(functions);

crate::commands! {
    /// NVML's commands.
    pub table COMMANDS, dispatch dispatch, handler NvmlHandler;

    /// `nvmlInit`: makes the box's library ready, once. The reply is NVML's return value.
    0x0200 r 1 sync NvmlInit {} -> i32;
    /// A call of one function.
    0x0201 r 1 sync NvmlCall {
        /// Its exported name.
        function: String,
        /// [`Function::shape`].
        shape: u32,
        /// Its inputs: [`encode_inputs`].
        inputs: Vec<u8>,
    } -> NvmlReply;
    /// The name of a process that lists of processes show, if its session's client is on another host than the caller's: the host, a colon and the program. Empty
    /// otherwise: the caller sees its own host's processes itself.
    0x0202 r 1 sync NvmlProcessName {
        /// As shown.
        pid: u32,
    } -> String;
}

crate::records! {
    /// What a call returned.
    NvmlReply {
        /// NVML's return value.
        result: i32,
        /// The outputs: [`encode_outputs`].
        outputs: Vec<u8>,
    }
}

/// A parameter's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing travels: the call only writes.
    None,
    /// A handle's number.
    Handle(u32),
    /// A value; for `count` and `size` how many elements there is room for.
    Number(u64),
    /// Contents of a structure, an array of values, a name without its NUL.
    Bytes(Vec<u8>),
    /// Whether an array or optional output is wanted: its pointer is not null.
    Wanted(bool),
}

/// A parameter's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing is written.
    None,
    /// A handle's number.
    Handle(u32),
    /// How many elements there are.
    Count(u32),
    /// The bytes written; of a text without its NUL.
    Bytes(Vec<u8>),
    /// Handles' numbers.
    Handles(Vec<u32>),
}

impl Function {
    /// The function of that exported name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// A number that two declarations have in common only if their parameters travel alike (FNV-1a over the modes).
    #[must_use]
    pub fn shape(&self) -> u32 {
        let mut hash = 0x811c_9dc5_u32;
        for parameter in self.parameters {
            for byte in format!("{:?};", parameter.mode).bytes() {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        }
        hash
    }

    /// How many elements the function's array has room for.
    #[must_use]
    pub fn capacity(&self, inputs: &[Input]) -> usize {
        self.parameters
            .iter()
            .zip(inputs)
            .find_map(|(parameter, input)| match (parameter.mode, input) {
                (Mode::Count | Mode::Size, Input::Number(n)) => usize::try_from(*n).ok(),
                _ => None,
            })
            .unwrap_or(0)
    }

    /// The most elements that the function's array may have: what is beyond [`ARRAY_LIMIT`] or [`TEXT_LIMIT`] is cut.
    #[must_use]
    pub fn most(&self) -> u32 {
        let most = self
            .parameters
            .iter()
            .filter_map(|parameter| match parameter.mode {
                Mode::Array(n) | Mode::Values(n) | Mode::Processes(n) => {
                    Some(ARRAY_LIMIT / n.max(1))
                }
                Mode::Handles(_) => Some(ARRAY_LIMIT / 8),
                Mode::Text => Some(TEXT_LIMIT),
                _ => None,
            });
        most.min()
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(u32::MAX)
    }
}

/// Encodes the inputs of a call.
#[must_use]
pub fn encode_inputs(inputs: &[Input]) -> Vec<u8> {
    let mut out = Vec::new();
    for input in inputs {
        match input {
            Input::None => {}
            Input::Handle(number) => number.encode(&mut out),
            Input::Number(value) => value.encode(&mut out),
            Input::Bytes(bytes) => bytes.encode(&mut out),
            Input::Wanted(wanted) => wanted.encode(&mut out),
        }
    }
    out
}

/// Reads the inputs of a call of `function` and checks them against its declaration.
///
/// # Errors
/// Bytes that are not such inputs.
pub fn decode_inputs(function: &Function, bytes: &[u8]) -> Result<Vec<Input>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let most = function.most();
    let mut inputs = Vec::with_capacity(function.parameters.len());
    for parameter in function.parameters {
        inputs.push(match parameter.mode {
            Mode::Handle(_) => Input::Handle(u32::decode(&mut reader)?),
            Mode::OutHandle(_) | Mode::Out(_) | Mode::Text => Input::None,
            Mode::U32 => narrow(u64::decode(&mut reader)?, u32::MAX)?,
            Mode::Size | Mode::Count => narrow(u64::decode(&mut reader)?, most)?,
            Mode::U64 => Input::Number(u64::decode(&mut reader)?),
            Mode::Optional(_) | Mode::Array(_) | Mode::Processes(_) | Mode::Handles(_) => {
                Input::Wanted(bool::decode(&mut reader)?)
            }
            Mode::InOut(_) | Mode::Versioned(_) | Mode::Values(_) | Mode::Name => {
                Input::Bytes(Vec::decode(&mut reader)?)
            }
        });
    }
    reader.finish()?;
    let capacity = function.capacity(&inputs);
    for (parameter, input) in function.parameters.iter().zip(&inputs) {
        if let Input::Bytes(bytes) = input {
            check_bytes(parameter.mode, bytes, capacity)?;
        }
    }
    Ok(inputs)
}

fn narrow(value: u64, most: u32) -> Result<Input, DecodeError> {
    if value > u64::from(most) {
        return Err(DecodeError::TooLong(value));
    }
    Ok(Input::Number(value))
}

fn check_bytes(mode: Mode, bytes: &[u8], capacity: usize) -> Result<(), DecodeError> {
    let fits = match mode {
        Mode::InOut(n) => bytes.len() == n,
        Mode::Values(n) => Some(bytes.len()) == n.checked_mul(capacity),
        Mode::Versioned(words) => version_word(bytes)
            .is_some_and(|word| words.contains(&word) && bytes.len() == structure_size(word)),
        Mode::Name => bytes.len() < TEXT_LIMIT && !bytes.contains(&0),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(DecodeError::Invalid("NVML argument"))
    }
}

/// The first word of a versioned structure.
#[must_use]
pub fn version_word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// The size that a version word says, bytes.
#[must_use]
pub fn structure_size(word: u32) -> usize {
    (word & 0x00ff_ffff) as usize
}

/// Encodes the outputs of a call; what a result does not return must be [`Output::None`] (see [`decode_outputs`]).
#[must_use]
pub fn encode_outputs(outputs: &[Output]) -> Vec<u8> {
    let mut out = Vec::new();
    for output in outputs {
        match output {
            Output::None => {}
            Output::Handle(number) | Output::Count(number) => number.encode(&mut out),
            Output::Bytes(bytes) => bytes.encode(&mut out),
            Output::Handles(numbers) => numbers.encode(&mut out),
        }
    }
    out
}

/// Reads the outputs of a call of `function` with `inputs` and checks that they fit what the caller has room for.
///
/// On success every output comes, with `NVML_ERROR_INSUFFICIENT_SIZE` only counts and versioned structures (which hold counts), with other results nothing.
///
/// # Errors
/// Bytes that are not such outputs.
pub fn decode_outputs(
    function: &Function,
    inputs: &[Input],
    result: i32,
    bytes: &[u8],
) -> Result<Vec<Output>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let capacity = function.capacity(inputs);
    let mut outputs = Vec::with_capacity(function.parameters.len());
    for (parameter, input) in function.parameters.iter().zip(inputs) {
        if !returns(parameter.mode, input, result) {
            outputs.push(Output::None);
            continue;
        }
        outputs.push(match parameter.mode {
            Mode::OutHandle(_) => Output::Handle(u32::decode(&mut reader)?),
            Mode::Count => Output::Count(u32::decode(&mut reader)?),
            Mode::Handles(_) => {
                let numbers: Vec<u32> = Vec::decode(&mut reader)?;
                if numbers.len() > capacity {
                    return Err(DecodeError::TooLong(numbers.len() as u64));
                }
                Output::Handles(numbers)
            }
            mode => {
                let bytes: Vec<u8> = Vec::decode(&mut reader)?;
                let fits = match (mode, input) {
                    (Mode::Out(n) | Mode::Optional(n) | Mode::InOut(n), _) => bytes.len() == n,
                    (Mode::Versioned(_) | Mode::Values(_), Input::Bytes(sent)) => {
                        bytes.len() == sent.len()
                    }
                    (Mode::Array(n) | Mode::Processes(n), _) => {
                        bytes.len().is_multiple_of(n) && bytes.len() / n <= capacity
                    }
                    (Mode::Text, _) => bytes.len() < capacity && !bytes.contains(&0),
                    _ => false,
                };
                if !fits {
                    return Err(DecodeError::Invalid("NVML result"));
                }
                Output::Bytes(bytes)
            }
        });
    }
    reader.finish()?;
    Ok(outputs)
}

/// Whether a parameter comes back with that result.
#[must_use]
pub fn returns(mode: Mode, input: &Input, result: i32) -> bool {
    match mode {
        Mode::Handle(_) | Mode::U32 | Mode::U64 | Mode::Size | Mode::Name => false,
        Mode::Count | Mode::Versioned(_) => result == SUCCESS || result == ERROR_INSUFFICIENT_SIZE,
        Mode::Optional(_) | Mode::Array(_) | Mode::Processes(_) | Mode::Handles(_) => {
            result == SUCCESS && *input == Input::Wanted(true)
        }
        Mode::OutHandle(_) | Mode::Out(_) | Mode::InOut(_) | Mode::Values(_) | Mode::Text => {
            result == SUCCESS
        }
    }
}
