//! How calls of NVIDIA's compute libraries (cuBLAS, …) travel: modes of parameters, functions as the tables declare them, and the commands that carry every call.
//!
//! A call becomes the id of its declaration (which both ends must have in common), one word per parameter, and behind them the bytes that its pointers to host memory
//! lead to, in order of the parameters. How long these are follows from the declaration and the words alone. Device pointers are words: addresses are the same at both
//! ends. What the call writes to host memory comes back in the reply, in order of the parameters; a call that writes none needs no reply.

use crate::codec::Params;

pub use crate::api::library_arguments::{Argument, Arguments, CallView, arguments};

/// What an element is made of: how many bytes a scalar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Fixed(usize),
    /// So many elements of the `cudaDataType` that the named parameter gives.
    Of(usize, &'static str),
    /// The scale type of a `cublasComputeType_t` (first) for results of a `cudaDataType` (second).
    Scale(&'static str, &'static str),
}

/// How a parameter travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `handle`: the library's handle, which the client minted.
    Handle,
    /// `stream`: the stream that the command goes to.
    Stream,
    /// `i32`: a 32-bit value.
    I32,
    /// `kind`: a 32-bit value that says which variant is meant (a data type, an algorithm): the library may lack it.
    Kind,
    /// `i64`: a 64-bit value.
    I64,
    /// `f32`: a value.
    F32,
    /// `f64`: a value.
    F64,
    /// `letter`: a `char` that stands for an enumeration (cuBLAS's interface before handles).
    Letter,
    /// `c32`: a `cuComplex` by value.
    C32,
    /// `c64`: a `cuDoubleComplex` by value.
    C64,
    /// `dev`: a device address.
    Device,
    /// `scalar(…)`: read; on the host or the device by the handle's pointer mode.
    Scalar(Size),
    /// `result(…)`: written by the GPU; on the host or the device by the handle's pointer mode.
    Result(Size),
    /// `inout(…)`: read and written; on the host or the device by the handle's pointer mode.
    InOut(Size),
    /// `host_in(count; …)`: an array on the host that is read, as long as the named parameter says.
    HostIn(&'static str, Size),
    /// `host_out(n)`: on the host, written before the call returns.
    HostOut(usize),
    /// `out(count; …)`: an array that the call writes, as long as the named parameter says; on the host or the device by the handle's kind.
    Output(&'static str, Size),
    /// `host_const(n)`: so many bytes on the host that are read.
    HostConst(usize),
    /// `host_changed(n)`: so many bytes on the host that are read and written.
    HostChanged(usize),
    /// `opaque(kind)`: a descriptor, which travels by its values.
    Opaque(&'static crate::api::opaque::Kind),
    /// `table(n)`: the library tells where a table of so many bytes lies; the bytes travel.
    Table(usize),
    /// `host_io(count; …)`: an array on the host that is written before the call returns, as far as the function likes; as long as the named parameter says.
    HostInOut(&'static str, Size),
    /// `blob`: on the host, read; as long as the client says.
    Blob,
    /// `text`: on the host, read; it ends in a NUL.
    Text,
    /// `bytes(count)`: on the host, read: an image, as long as the named parameter says. The library goes on reading it until the handle ends.
    Bytes(&'static str),
    /// `scale`: on the host, read: a `float`, or a `double` where the data are; 8 bytes on the way.
    Scale,
    /// `object(Type)`: what [`LibraryDefine`] made or a call filled, by its number.
    Object(&'static str),
    /// `new(Type)`: where the function puts what it makes. First step of a definition.
    New(&'static str),
    /// `fill(Type)`: an object that the call sets, under a number that the client has minted.
    Fill(&'static str),
    /// `attributes(type count)`: elements of a `cudnnBackendAttributeType_t` on the host, read; see [`attribute`].
    Attributes(&'static str, &'static str),
    /// `attributes_out(type count)`: the same, written before the call returns.
    AttributesOut(&'static str, &'static str),
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// NVIDIA's name.
    pub name: &'static str,
    /// How it travels.
    pub mode: Mode,
}

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Exported name.
    pub name: &'static str,
    /// The declaration's class: `async`, `sync`, `state` (a setter that the client does by hand), `local`, `unsupported`, `on_host`, `made_…` and `legacy…` (made of
    /// calls of others; `made_…` costs as that class, `legacy` is with what the function returns); of libraries with descriptors also `make`, `drop`, `value`
    /// (what it returns is no status), and `hand_…` (as that class, by the client's own code).
    pub class: &'static str,
    /// Major versions of the library that export it.
    pub majors: &'static [u32],
    /// Parameters in order.
    pub parameters: &'static [Parameter],
    /// [`Function::id`].
    id: u32,
    /// What its parameters amount to: [`TELLS`] and others.
    facts: u8,
}

/// It writes to host memory, or fills an object, whatever the pointer mode.
const TELLS: u8 = 1;
/// It writes to host memory if scalars are there.
const WRITES_SCALARS: u8 = 1 << 1;
/// It fills an array that is on the host or the device.
const FILLS: u8 = 1 << 2;
/// It takes a handle.
const HANDLE: u8 = 1 << 3;
/// It takes what only work needs.
const WORK: u8 = 1 << 4;

const fn facts(parameters: &[Parameter]) -> u8 {
    let mut facts = 0;
    let mut i = 0;
    while i < parameters.len() {
        facts |= match parameters[i].mode {
            Mode::HostOut(_)
            | Mode::Table(_)
            | Mode::HostChanged(_)
            | Mode::HostInOut(..)
            | Mode::AttributesOut(..)
            | Mode::Fill(_) => TELLS,
            Mode::Output(..) => FILLS | WRITES_SCALARS,
            Mode::Result(_) | Mode::InOut(_) => WORK | WRITES_SCALARS,
            Mode::Device | Mode::Stream => WORK,
            Mode::Handle => HANDLE,
            _ => 0,
        };
        i += 1;
    }
    facts
}

/// The [`Size`] of a declaration's words.
#[macro_export]
#[doc(hidden)]
macro_rules! library_size {
    ($n:literal) => {
        $crate::api::library::Size::Fixed($n)
    };
    ($p:ident) => {
        $crate::api::library::Size::Of(1, stringify!($p))
    };
    ($n:literal $p:ident) => {
        $crate::api::library::Size::Of($n, stringify!($p))
    };
    ($c:ident $t:ident) => {
        $crate::api::library::Size::Scale(stringify!($c), stringify!($t))
    };
}

/// The [`Mode`] of a declaration's words.
#[macro_export]
#[doc(hidden)]
macro_rules! library_mode {
    (handle) => { $crate::api::library::Mode::Handle };
    (stream) => { $crate::api::library::Mode::Stream };
    (i32) => { $crate::api::library::Mode::I32 };
    (kind) => { $crate::api::library::Mode::Kind };
    (i64) => { $crate::api::library::Mode::I64 };
    (f32) => { $crate::api::library::Mode::F32 };
    (f64) => { $crate::api::library::Mode::F64 };
    (letter) => { $crate::api::library::Mode::Letter };
    (c32) => { $crate::api::library::Mode::C32 };
    (c64) => { $crate::api::library::Mode::C64 };
    (dev) => { $crate::api::library::Mode::Device };
    (scalar $($size:tt)+) => { $crate::api::library::Mode::Scalar($crate::library_size!($($size)+)) };
    (result $($size:tt)+) => { $crate::api::library::Mode::Result($crate::library_size!($($size)+)) };
    (inout $($size:tt)+) => { $crate::api::library::Mode::InOut($crate::library_size!($($size)+)) };
    (host_in $count:ident; $($size:tt)+) => {
        $crate::api::library::Mode::HostIn(stringify!($count), $crate::library_size!($($size)+))
    };
    (host_out $n:literal) => { $crate::api::library::Mode::HostOut($n) };
    (out $count:ident; $($size:tt)+) => {
        $crate::api::library::Mode::Output(stringify!($count), $crate::library_size!($($size)+))
    };
    (host_const $n:literal) => { $crate::api::library::Mode::HostConst($n) };
    (host_changed $n:literal) => { $crate::api::library::Mode::HostChanged($n) };
    (opaque $kind:ident) => { $crate::api::library::Mode::Opaque(&$crate::api::opaque::$kind) };
    (table $n:literal) => { $crate::api::library::Mode::Table($n) };
    (host_io $count:ident; $($size:tt)+) => {
        $crate::api::library::Mode::HostInOut(stringify!($count), $crate::library_size!($($size)+))
    };
    (blob) => { $crate::api::library::Mode::Blob };
    (text) => { $crate::api::library::Mode::Text };
    (bytes $count:ident) => { $crate::api::library::Mode::Bytes(stringify!($count)) };
    (scale) => { $crate::api::library::Mode::Scale };
    (object $kind:ident) => { $crate::api::library::Mode::Object(stringify!($kind)) };
    (new $kind:ident) => { $crate::api::library::Mode::New(stringify!($kind)) };
    (fill $kind:ident) => { $crate::api::library::Mode::Fill(stringify!($kind)) };
    (attributes $kind:ident $count:ident) => {
        $crate::api::library::Mode::Attributes(stringify!($kind), stringify!($count))
    };
    (attributes_out $kind:ident $count:ident) => {
        $crate::api::library::Mode::AttributesOut(stringify!($kind), stringify!($count))
    };
}

/// The C type of a parameter by its declaration's word.
#[macro_export]
#[doc(hidden)]
macro_rules! library_type {
    (i32) => { i32 };
    (kind) => { i32 };
    (i64) => { i64 };
    (f32) => { f32 };
    (f64) => { f64 };
    (letter) => { ::std::ffi::c_char };
    (c32) => { $crate::api::types::cuComplex };
    (c64) => { $crate::api::types::cuDoubleComplex };
    ($other:ident) => { *mut ::std::ffi::c_void };
}

/// The [`Function`] of a declaration.
#[macro_export]
#[doc(hidden)]
macro_rules! library_function {
    ($class:ident [$($major:literal)*] $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*)) => {
        $crate::api::library::Function::new(
            stringify!($name),
            stringify!($class),
            &[$($major),*],
            &[$($crate::api::library::Parameter {
                name: stringify!($p),
                mode: $crate::library_mode!($mode $($($argument)+)?),
            }),*],
        )
    };
}

/// Commands of a library, counted from the first opcode of its range.
pub mod command {
    /// [`LibraryStart`](super::LibraryStart), answered with [`LibraryInfo`](super::LibraryInfo).
    pub const START: u16 = 0;
    /// [`LibraryCreate`](super::LibraryCreate).
    pub const CREATE: u16 = 1;
    /// [`LibraryDestroy`](super::LibraryDestroy).
    pub const DESTROY: u16 = 2;
    /// [`LibraryCall`](super::LibraryCall), answered with [`LibraryReply`](super::LibraryReply) if it writes to host memory.
    pub const CALL: u16 = 3;
    /// [`LibraryRest`](super::LibraryRest), answered with [`LibraryReply`](super::LibraryReply).
    pub const REST: u16 = 4;
    /// [`LibraryDefine`](super::LibraryDefine), answered with [`LibraryReply`](super::LibraryReply) if the client asks.
    pub const DEFINE: u16 = 5;
    /// [`LibraryForget`](super::LibraryForget).
    pub const FORGET: u16 = 6;
    /// [`LibraryExecute`](super::LibraryExecute), answered as a call.
    pub const EXECUTE: u16 = 7;
    /// [`LibraryAsk`](super::LibraryAsk), answered with [`LibraryReplies`](super::LibraryReplies). cuDNN's alone.
    pub const ASK: u16 = 8;
}

/// In place of a stream: the command is on none.
pub const NO_STREAM: u32 = u32::MAX;

crate::records! {
    /// Makes the library ready, once per session.
    LibraryStart {
        /// Not used.
        stream: u32,
        /// Major version that the program was linked against.
        major: u32,
    }
    /// What the box's library says of itself.
    LibraryInfo {
        /// The library's status: 0 if it is there.
        status: i32,
        /// What its version function returns.
        version: i32,
        /// Ids of functions that it lacks.
        missing: Vec<u32>,
    }
    /// Makes a handle.
    LibraryCreate {
        /// Not used.
        stream: u32,
        /// Minted by the client, not 0.
        handle: u32,
        /// The create function's id.
        function: u32,
        /// Its further argument, if it takes one.
        argument: i32,
    }
    /// Ends a handle.
    LibraryDestroy {
        /// Not used.
        stream: u32,
        /// As created.
        handle: u32,
    }
    /// A call of one function.
    LibraryCall {
        /// Stream that the call's work goes to. First: the client core fills it in.
        stream: u32,
        /// [`Function::id`].
        function: u32,
        /// Handle.
        handle: u32,
        /// Scalars and results are on the host.
        host_scalars: bool,
        /// One word of 8 bytes per parameter; of a pointer to host memory 1, or 0 if it is null.
        words: Params,
        /// The bytes that pointers to host memory lead to.
        data: Params,
    }
    /// Makes an object: a descriptor as the steps leave it, which nothing changes any more.
    LibraryDefine {
        /// Not used.
        stream: u32,
        /// Minted by the client, not 0.
        object: u32,
        /// Calls, the first of which makes the object and the others of which set it. They know it by its number. If one fails, so does what uses the object.
        steps: Vec<LibraryCall>,
    }
    /// Ends an object.
    LibraryForget {
        /// Not used.
        stream: u32,
        /// As defined.
        object: u32,
    }
    /// Executes a plan of cuDNN's graph API with a variant pack.
    LibraryExecute {
        /// Stream that the work goes to. First: the client core fills it in.
        stream: u32,
        /// Handle.
        handle: u32,
        /// The plan.
        plan: u32,
        /// The workspace's address, and one word for each tensor: its address, or for a value on the host its place in `values`.
        words: Params,
        /// The tensors' unique ids.
        uids: Vec<i64>,
        /// Which of them are values on the host.
        by_value: Vec<bool>,
        /// Those values, each of 16 bytes.
        values: Vec<u8>,
    }
    /// What a call returned.
    LibraryReply {
        /// The library's status.
        result: i32,
        /// What it wrote to host memory; if that is more than [`MOST_DATA`], its beginning.
        data: Vec<u8>,
    }
    /// Calls that ask something, and are answered together.
    LibraryAsk {
        /// Not used.
        stream: u32,
        /// At most [`MOST_ASKED`], each on [`NO_STREAM`].
        calls: Vec<LibraryCall>,
    }
    /// What they returned.
    LibraryReplies {
        /// One for each.
        replies: Vec<LibraryReply>,
    }
    /// Asks for what did not fit the reply to the last call with a handle.
    LibraryRest {
        /// Not used.
        stream: u32,
        /// Handle.
        handle: u32,
    }
}

impl From<i32> for LibraryReply {
    /// A status, and nothing written.
    fn from(result: i32) -> Self {
        let data = Vec::new();
        Self { result, data }
    }
}

/// The most calls of a [`LibraryAsk`].
pub const MOST_ASKED: usize = 256;

/// The most bytes of [`LibraryReply::data`].
pub const MOST_DATA: usize = 12 << 20;

/// How many commands a library has.
const COMMANDS: usize = 8;

/// The commands of a library whose range begins with `first`.
#[must_use]
pub const fn commands(first: u16) -> [crate::command::CommandInfo; COMMANDS] {
    use crate::api::Class::{Async, Sync};
    [
        row(first + command::START, Sync, "LibraryStart"),
        row(first + command::CREATE, Async, "LibraryCreate"),
        row(first + command::DESTROY, Async, "LibraryDestroy"),
        row(first + command::CALL, Async, "LibraryCall"),
        row(first + command::REST, Sync, "LibraryRest"),
        row(first + command::DEFINE, Async, "LibraryDefine"),
        row(first + command::FORGET, Async, "LibraryForget"),
        row(first + command::EXECUTE, Async, "LibraryExecute"),
    ]
}

const fn row(
    opcode: u16,
    class: crate::api::Class,
    name: &'static str,
) -> crate::command::CommandInfo {
    crate::command::CommandInfo {
        opcode,
        revision: 1,
        class,
        name,
    }
}

/// First and last opcode of cuBLAS's commands.
pub const CUBLAS_OPCODES: (u16, u16) = (0x0300, 0x0307);
/// cuBLAS's commands.
pub static CUBLAS_COMMANDS: [crate::command::CommandInfo; COMMANDS] = commands(CUBLAS_OPCODES.0);

macro_rules! functions {
    ($(group $group:literal { $($class:ident [$($major:literal)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
        /// The functions, in the order of the declarations.
        pub static FUNCTIONS: &[$crate::api::library::Function] = &[$($(
            $crate::library_function!($class [$($major)*] $name($($p: $mode $(($($argument)+))?),*)),
        )*)*];
    };
}
mod cublas_functions {
    cublas_api!(functions);
}
mod cudnn_functions {
    cudnn_api!(functions);
}
mod cufft_functions {
    cufft_api!(functions);
}
mod cublaslt_functions {
    cublaslt_api!(functions);
}
mod curand_functions {
    curand_api!(functions);
}
/// cuBLAS's functions.
pub use cublas_functions::FUNCTIONS as CUBLAS;
/// cuBLASLt's functions.
pub use cublaslt_functions::FUNCTIONS as CUBLASLT;
/// cuDNN's functions.
pub use cudnn_functions::FUNCTIONS as CUDNN;
/// cuFFT's functions.
pub use cufft_functions::FUNCTIONS as CUFFT;
/// cuRAND's functions.
pub use curand_functions::FUNCTIONS as CURAND;

/// First and last opcode of cuDNN's commands.
pub const CUDNN_OPCODES: (u16, u16) = (0x0310, 0x031f);
/// cuDNN's commands: those of every library, and one by which it is asked much at once.
pub static CUDNN_COMMANDS: [crate::command::CommandInfo; COMMANDS + 1] = {
    let mut all = [row(
        CUDNN_OPCODES.0 + command::ASK,
        crate::api::Class::Sync,
        "LibraryAsk",
    ); COMMANDS + 1];
    let common = commands(CUDNN_OPCODES.0);
    let mut at = 0;
    while at < COMMANDS {
        all[at] = common[at];
        at += 1;
    }
    all
};

/// First and last opcode of cuFFT's commands.
pub const CUFFT_OPCODES: (u16, u16) = (0x0320, 0x032f);
/// cuFFT's commands.
pub static CUFFT_COMMANDS: [crate::command::CommandInfo; COMMANDS] = commands(CUFFT_OPCODES.0);

/// First and last opcode of cuBLASLt's commands, which cuBLAS's plugin serves.
pub const CUBLASLT_OPCODES: (u16, u16) = (0x0308, 0x030f);
/// cuBLASLt's commands.
pub static CUBLASLT_COMMANDS: [crate::command::CommandInfo; COMMANDS] =
    commands(CUBLASLT_OPCODES.0);

/// First and last opcode of cuRAND's commands.
pub const CURAND_OPCODES: (u16, u16) = (0x0330, 0x033f);
/// cuRAND's commands.
pub static CURAND_COMMANDS: [crate::command::CommandInfo; COMMANDS] = commands(CURAND_OPCODES.0);

/// About how many operations the driver has pending for a call of a library, by the call's opcode: the client's credit for its stream and the worker's markers count it so.
#[must_use]
pub const fn weight(opcode: u16) -> u32 {
    match opcode {
        // Workspace cleared, partial products, their sum.
        ..=0x030f => 4,
        // cuDNN.
        0x0310..=0x031f => 16,
        _ => 8,
    }
}

/// The most elements of an array on the host that a call reads.
const MOST_ELEMENTS: u64 = 1 << 16;
/// The most bytes of an image.
const MOST_BYTES: usize = 64 << 20;
/// The most elements of one that a call writes.
const MOST_OUTPUT: u64 = 1 << 30;

/// Bytes of one element of a `cudaDataType`.
#[must_use]
pub fn data_type_size(data_type: i32) -> Option<usize> {
    Some(match data_type {
        // R_8I, R_8U, and the 8-bit floats.
        3 | 8 | 28 | 29 | 30 => 1,
        // R_16F, R_16BF, C_8I, C_8U, R_16I, R_16U.
        2 | 14 | 7 | 9 | 20 | 22 => 2,
        // R_32F, C_16F, C_16BF, R_32I, R_32U, C_16I, C_16U.
        0 | 6 | 15 | 10 | 12 | 21 | 23 => 4,
        // R_64F, C_32F, C_32I, C_32U, R_64I, R_64U.
        1 | 4 | 11 | 13 | 24 | 26 => 8,
        // C_64F, C_64I, C_64U.
        5 | 25 | 27 => 16,
        _ => return None,
    })
}

/// Bytes of a scalar (`alpha`) for a `cublasComputeType_t` and a result of a `cudaDataType`.
#[must_use]
pub fn scale_size(compute_type: i32, data_type: i32) -> Option<usize> {
    let real = match compute_type {
        64 | 65 => 2,
        68 | 69 | 72..=75 | 77 | 78 => 4,
        70 | 71 | 79 => 8,
        _ => return None,
    };
    // C_32F and C_64F.
    Some(if matches!(data_type, 4 | 5) {
        2 * real
    } else {
        real
    })
}

/// Types of cuDNN's attributes (`cudnnBackendAttributeType_t`). Handles and descriptors travel as words: a handle's number; a descriptor's number, with its
/// `cudnnBackendDescriptorType_t` in the upper half where the call is to fill it.
pub mod attribute {
    /// `CUDNN_TYPE_HANDLE`.
    pub const HANDLE: i32 = 0;
    /// `CUDNN_TYPE_INT64`.
    pub const INT64: i32 = 3;
    /// `CUDNN_TYPE_VOID_PTR`.
    pub const POINTER: i32 = 6;
    /// `CUDNN_TYPE_BACKEND_DESCRIPTOR`.
    pub const DESCRIPTOR: i32 = 15;

    /// Bytes of one element.
    #[must_use]
    pub const fn size(kind: i32) -> Option<usize> {
        Some(match kind {
            // BOOLEAN, CHAR.
            2 | 24 => 1,
            // HANDLE, INT64, DOUBLE, VOID_PTR, BACKEND_DESCRIPTOR.
            0 | 3 | 5 | 6 | 15 => 8,
            // FRACTION.
            26 => 16,
            // FLOAT, INT32, and the enumerations.
            1 | 4 | 7..=14 | 16..=23 | 25 | 27..=33 => 4,
            _ => return None,
        })
    }
}

const fn fold(mut hash: u32, bytes: &[u8]) -> u32 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

const fn fold_number(hash: u32, n: usize) -> u32 {
    fold(hash, &(n as u64).to_le_bytes())
}

const fn fold_size(hash: u32, size: Size) -> u32 {
    match size {
        Size::Fixed(n) => fold_number(fold(hash, b"n"), n),
        Size::Of(n, p) => fold(fold_number(fold(hash, b"o"), n), p.as_bytes()),
        Size::Scale(c, t) => fold(fold(fold(hash, b"s"), c.as_bytes()), t.as_bytes()),
    }
}

const fn fold_mode(hash: u32, mode: Mode) -> u32 {
    match mode {
        Mode::Handle => fold(hash, b"H"),
        Mode::Stream => fold(hash, b"S"),
        Mode::I32 => fold(hash, b"i"),
        Mode::Kind => fold(hash, b"k"),
        Mode::I64 => fold(hash, b"l"),
        Mode::F32 => fold(hash, b"f"),
        Mode::F64 => fold(hash, b"d"),
        Mode::Letter => fold(hash, b"c"),
        Mode::C32 => fold(hash, b"cc"),
        Mode::C64 => fold(hash, b"cz"),
        Mode::Device => fold(hash, b"D"),
        Mode::Scalar(size) => fold_size(fold(hash, b"A"), size),
        Mode::Result(size) => fold_size(fold(hash, b"R"), size),
        Mode::InOut(size) => fold_size(fold(hash, b"B"), size),
        Mode::HostIn(count, size) => fold_size(fold(fold(hash, b"I"), count.as_bytes()), size),
        Mode::HostOut(n) => fold_number(fold(hash, b"O"), n),
        Mode::Output(count, size) => fold_size(fold(fold(hash, b"P"), count.as_bytes()), size),
        Mode::HostConst(n) => fold_number(fold(hash, b"C"), n),
        Mode::HostChanged(n) => fold_number(fold(hash, b"J"), n),
        Mode::Opaque(kind) => {
            fold_number(fold(fold(hash, b"Q"), kind.name.as_bytes()), kind.bytes())
        }
        Mode::Table(n) => fold_number(fold(hash, b"T"), n),
        Mode::HostInOut(count, size) => fold_size(fold(fold(hash, b"IO"), count.as_bytes()), size),
        Mode::Blob => fold(hash, b"bl"),
        Mode::Text => fold(hash, b"tx"),
        Mode::Bytes(count) => fold(fold(hash, b"by"), count.as_bytes()),
        Mode::Scale => fold(hash, b"sc"),
        Mode::Object(kind) => fold(fold(hash, b"ob"), kind.as_bytes()),
        Mode::New(kind) => fold(fold(hash, b"ne"), kind.as_bytes()),
        Mode::Fill(kind) => fold(fold(hash, b"fi"), kind.as_bytes()),
        Mode::Attributes(t, count) => fold(fold(fold(hash, b"at"), t.as_bytes()), count.as_bytes()),
        Mode::AttributesOut(t, count) => {
            fold(fold(fold(hash, b"ao"), t.as_bytes()), count.as_bytes())
        }
    }
}

impl Mode {
    /// Whether the parameter is a pointer to host memory in a call with scalars on the host (or not).
    #[must_use]
    pub fn on_host(self, host_scalars: bool) -> bool {
        match self {
            Self::Scalar(_) | Self::Result(_) | Self::InOut(_) | Self::Output(..) => host_scalars,
            Self::HostIn(..)
            | Self::HostOut(_)
            | Self::HostConst(_)
            | Self::HostChanged(_)
            | Self::Opaque(_)
            | Self::Table(_)
            | Self::HostInOut(..)
            | Self::Blob
            | Self::Text
            | Self::Bytes(_)
            | Self::Scale
            | Self::Attributes(..)
            | Self::AttributesOut(..) => true,
            _ => false,
        }
    }

    /// Whether the call reads what a pointer to host memory leads to.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Self::Scalar(_)
                | Self::InOut(_)
                | Self::HostIn(..)
                | Self::HostInOut(..)
                | Self::Blob
                | Self::Text
                | Self::Bytes(_)
                | Self::Scale
                | Self::Attributes(..)
                | Self::AttributesOut(..)
                | Self::HostConst(_)
                | Self::HostChanged(_)
                | Self::Opaque(_)
        )
    }

    /// Whether the call writes what a pointer to host memory leads to.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(
            self,
            Self::Result(_)
                | Self::InOut(_)
                | Self::HostOut(_)
                | Self::HostInOut(..)
                | Self::Output(..)
                | Self::Table(_)
                | Self::AttributesOut(..)
                | Self::HostChanged(_)
        )
    }
}

impl Function {
    /// Whether the box's library is called at all.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        !matches!(
            self.class,
            "local" | "on_host" | "unsupported" | "undeclared"
        ) && !self.class.starts_with("legacy")
            && !self.class.starts_with("made")
    }

    /// A number that two declarations have in common only if name and parameters are the same (FNV-1a), not 0.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// A declaration.
    #[must_use]
    pub const fn new(
        name: &'static str,
        class: &'static str,
        majors: &'static [u32],
        parameters: &'static [Parameter],
    ) -> Self {
        let mut hash = fold(0x811c_9dc5, name.as_bytes());
        let mut i = 0;
        while i < parameters.len() {
            hash = fold_mode(fold(hash, b";"), parameters[i].mode);
            i += 1;
        }
        Self {
            name,
            class,
            majors,
            parameters,
            id: hash | 1,
            facts: facts(parameters),
        }
    }

    /// Place and type of the descriptor that a setting changes: the first that it takes, behind the handle if it takes one.
    #[must_use]
    pub fn own_object(&self) -> Option<(usize, &'static str)> {
        let mut modes = self.parameters.iter().map(|p| p.mode).enumerate();
        modes.find_map(|(at, mode)| match mode {
            Mode::Object(kind) => Some((at, kind)),
            _ => None,
        })
    }

    fn word(&self, words: &[u64], name: &str) -> Option<u64> {
        let at = self.parameters.iter().position(|p| p.name == name)?;
        words.get(at).copied()
    }

    /// The value of a parameter by its name.
    #[must_use]
    pub fn number(&self, arguments: &[Argument], name: &str) -> Option<i32> {
        let at = self.parameters.iter().position(|p| p.name == name)?;
        match arguments.get(at)? {
            Argument::Word(word) => Some(*word as i32),
            Argument::Host { .. } => None,
        }
    }

    fn bytes(&self, words: &[u64], size: Size) -> Option<usize> {
        let number = |name| Some(self.word(words, name)? as i32);
        match size {
            Size::Fixed(n) => Some(n),
            Size::Of(n, p) => Some(n * data_type_size(number(p)?)?),
            Size::Scale(c, t) => scale_size(number(c)?, number(t)?),
        }
    }

    /// How many bytes a parameter on the host has in a call with these words; `None` if it cannot be told: a type that there is not, a count below 0 or too large.
    #[must_use]
    pub fn length(&self, mode: Mode, words: &[u64]) -> Option<usize> {
        match mode {
            Mode::Scalar(size) | Mode::Result(size) | Mode::InOut(size) => self.bytes(words, size),
            Mode::HostIn(count, size) | Mode::HostInOut(count, size) => {
                let count = self.word(words, count)?;
                if count > MOST_ELEMENTS {
                    return None;
                }
                Some(usize::try_from(count).ok()? * self.bytes(words, size)?)
            }
            Mode::Bytes(count) => {
                let count = self.word(words, count)?;
                usize::try_from(count).ok().filter(|n| *n <= MOST_BYTES)
            }
            Mode::Output(count, size) => {
                let count = self.word(words, count)?;
                if count > MOST_OUTPUT {
                    return None;
                }
                Some(usize::try_from(count).ok()? * self.bytes(words, size)?)
            }
            Mode::HostOut(n) | Mode::Table(n) | Mode::HostConst(n) | Mode::HostChanged(n) => {
                Some(n)
            }
            Mode::Opaque(kind) => Some(kind.bytes()),
            Mode::Scale => Some(8),
            Mode::Attributes(kind, count) | Mode::AttributesOut(kind, count) => {
                let count = self.word(words, count).filter(|n| *n <= MOST_ELEMENTS)?;
                let size = attribute::size(self.word(words, kind)? as i32)?;
                Some(usize::try_from(count).ok()? * size)
            }
            _ => Some(0),
        }
    }

    /// Whether a call only makes something ready, tells something, or works on the host: it writes to host memory alone, and is on no stream.
    #[must_use]
    pub const fn is_setup(&self, host_scalars: bool) -> bool {
        let fills = self.facts & FILLS != 0;
        let of_no_handle = self.facts & HANDLE == 0;
        (self.facts & TELLS != 0 || of_no_handle || fills)
            && (host_scalars || !fills)
            && self.facts & WORK == 0
    }

    /// Whether a call with scalars on the host (or not) has to be answered.
    #[must_use]
    pub const fn answers(&self, host_scalars: bool) -> bool {
        self.facts & TELLS != 0 || host_scalars && self.facts & WRITES_SCALARS != 0
    }
}
