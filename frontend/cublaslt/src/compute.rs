//! `cublasLtMatmul` and `cublasLtMatrixTransform`: sent on their stream. The first call of each kind waits for the library's word on whether it can; later ones, and those with
//! an algorithm that the library's heuristics gave for them, do not.

use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};

use gvirtus_cublas_core::status::{INVALID_VALUE, NOT_SUPPORTED, SUCCESS, of_driver};
use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, call};
use gvirtus_frontend_link::start::capturing;
use gvirtus_wire::api::library::{Function, Mode, command, data_type_size};
use gvirtus_wire::api::opaque::{MATMUL, TRANSFORM, Values};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::handle::{self, LT_OF_BOX, of_start};
use crate::{Status, descriptor, query};

/// Bytes of a `cublasLtMatmulAlgo_t`.
pub(crate) const ALGORITHM: usize = 64;

/// A call whose descriptors have been read.
pub(crate) struct Prepared {
    /// The arguments, with the addresses of values in place of those of structures.
    pub(crate) arguments: Vec<u64>,
    /// The values, by parameter.
    pub(crate) values: Vec<Option<Values>>,
}

impl Prepared {
    /// Reads the descriptors of a call.
    ///
    /// # Errors
    /// `CUBLAS_STATUS_INVALID_VALUE` for one that is not there.
    ///
    /// # Safety
    /// The arguments are those of the function's declaration.
    pub(crate) unsafe fn of(function: &Function, arguments: &[u64]) -> Result<Self, Status> {
        let mut prepared = Self {
            arguments: arguments.to_vec(),
            values: Vec::with_capacity(arguments.len()),
        };
        for (parameter, argument) in function.parameters.iter().zip(&mut prepared.arguments) {
            let Mode::Opaque(kind) = parameter.mode else {
                prepared.values.push(None);
                continue;
            };
            // A transform may do without its second matrix.
            if *argument == 0 && function.name == TRANSFORM_NAME && parameter.name == "Bdesc" {
                prepared.values.push(None);
                continue;
            }
            // SAFETY: by this function's contract.
            let values = unsafe { descriptor::values(kind, *argument) }?;
            if kind == &MATMUL && values.number(kind, EMULATION_DESCRIPTOR) != 0 {
                unsupported("CUBLASLT_MATMUL_DESC_EMULATION_DESCRIPTOR");
                return Err(NOT_SUPPORTED);
            }
            *argument = values.0.as_ptr() as u64;
            prepared.values.push(Some(values));
        }
        Ok(prepared)
    }

    /// Reduces the addresses in descriptors to their alignment.
    pub(crate) fn reduce_addresses(&mut self, function: &Function) {
        for (parameter, values) in function.parameters.iter().zip(&mut self.values) {
            if let (Mode::Opaque(kind), Some(values)) = (parameter.mode, values) {
                // They stay where they are.
                values.map_addresses(kind, alignment);
            }
        }
    }

    /// The values of the first descriptor.
    fn operation(&self) -> Option<&Values> {
        self.values.iter().flatten().next()
    }
}

/// `CUBLASLT_MATMUL_DESC_EMULATION_DESCRIPTOR`.
const EMULATION_DESCRIPTOR: i32 = 38;
const TRANSFORM_NAME: &str = "cublasLtMatrixTransform";

/// The place of a parameter.
pub(crate) fn place(function: &Function, name: &str) -> Option<usize> {
    function.parameters.iter().position(|p| p.name == name)
}

/// An address's alignment up to that of an allocation, and whether it is null: all that the library's choices depend on.
pub(crate) fn alignment(address: u64) -> u64 {
    match address {
        0 => 0,
        _ => 0x7f00_0000_0000 | address & 0xff,
    }
}

/// What tells apart the kinds of a product: its descriptors, and its algorithm.
type Question = Vec<u8>;

static SUPPORTED: LazyLock<Mutex<FxHashSet<Question>>> = LazyLock::new(Mutex::default);
/// Algorithms that the heuristics gave, with what they were given for.
static RECOMMENDED: LazyLock<Mutex<FxHashMap<Question, Vec<Needs>>>> =
    LazyLock::new(Mutex::default);
/// So many different needs of one algorithm are kept.
const MOST_NEEDS: usize = 64;

/// What a program has to keep to with an algorithm that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Bytes of workspace.
    pub(crate) workspace: u64,
    /// The alignment of A, B, C and D, as the program has said.
    pub(crate) alignments: [u64; 4],
}

impl Needs {
    /// Matrices of this alignment, as preferences say unless they are told.
    pub(crate) const ALIGNMENT: u64 = 256;

    fn met(&self, workspace: u64, matrices: [u64; 4]) -> bool {
        self.workspace <= workspace
            && matrices
                .into_iter()
                .zip(self.alignments)
                .all(|(address, alignment)| address.is_multiple_of(alignment.max(1)))
    }
}
/// Beyond so many kinds all are asked about anew.
const MOST_KINDS: usize = 1 << 16;

/// The descriptors of a product in one piece.
pub(crate) fn question(function: &Function, prepared: &Prepared) -> Question {
    let mut question = Vec::with_capacity(1024);
    for (parameter, values) in function.parameters.iter().zip(&prepared.values) {
        let (Mode::Opaque(kind), Some(values)) = (parameter.mode, values) else {
            continue;
        };
        // How an algorithm was chosen makes no difference to what it can.
        if kind.name != "MatmulPreference" {
            let mut values = values.clone();
            values.map_addresses(kind, alignment);
            question.extend_from_slice(&values.0);
        }
    }
    question
}

/// Keeps that the library recommends an algorithm for a product under these conditions.
pub(crate) fn recommend(mut question: Question, algorithm: &[u8], needs: Needs) {
    question.extend_from_slice(algorithm);
    let mut all = RECOMMENDED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= MOST_KINDS {
        all.clear();
    }
    let known = all.entry(question).or_default();
    if !known.contains(&needs) && known.len() < MOST_NEEDS {
        known.push(needs);
    }
}

/// Executes a function.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers to host memory are null or lead to what cuBLASLt documents.
pub unsafe fn compute(function: &Function, arguments: &[u64]) -> Status {
    let told = match LT_OF_BOX.info() {
        Ok(told) => told,
        Err(failed) => return of_start(failed),
    };
    if told.missing.contains(&function.id()) {
        unsupported(function.name);
        return NOT_SUPPORTED;
    }
    let handle = if function.parameters.iter().any(|p| p.mode == Mode::Handle) {
        match handle::find(arguments.first().copied().unwrap_or(0)) {
            Ok(handle) => handle,
            Err(status) => return status,
        }
    } else {
        0
    };
    // SAFETY: by this function's contract.
    let prepared = match unsafe { Prepared::of(function, arguments) } {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    // SAFETY: by this function's contract.
    unsafe {
        if function.class == "Sync" {
            query::ask(function, handle, prepared)
        } else {
            execute(function, handle, prepared)
        }
    }
}

/// No function is a setter: cuBLASLt's handles have no state.
///
/// # Safety
/// Does nothing.
pub unsafe fn set(_: &Function, _: &[u64]) -> Status {
    NOT_SUPPORTED
}

/// `cublasLtPointerMode_t`: both scalars on the host, or on the device, or vectors there.
const POINTER_MODES: std::ops::RangeInclusive<i64> = 0..=3;

/// Sends a product or a transform.
///
/// # Safety
/// As [`compute`].
unsafe fn execute(function: &Function, handle: u32, mut prepared: Prepared) -> Status {
    let transform = function.name == TRANSFORM_NAME;
    let Some(operation) = prepared.operation() else {
        return INVALID_VALUE;
    };
    let (kind, scale_type, pointer_mode) = if transform {
        (&TRANSFORM, 0, 1)
    } else {
        (&MATMUL, 1, 2)
    };
    let (scale_type, pointer_mode) = (
        operation.number(kind, scale_type) as i32,
        operation.number(kind, pointer_mode),
    );
    if !POINTER_MODES.contains(&pointer_mode) {
        // One scalar here and one there.
        unsupported("CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST");
        return NOT_SUPPORTED;
    }
    let on_host = pointer_mode == 0;
    let mut scalars = [[0u8; 16]; 2];
    if on_host {
        let Some(size) = data_type_size(scale_type) else {
            return INVALID_VALUE;
        };
        for (name, scalar) in ["alpha", "beta"].into_iter().zip(&mut scalars) {
            let Some(argument) = place(function, name).map(|at| &mut prepared.arguments[at]) else {
                return INVALID_VALUE;
            };
            if *argument == 0 {
                if name == "alpha" {
                    return INVALID_VALUE;
                }
                continue;
            }
            // SAFETY: a scalar on the host is of the scale type, of at most 16 bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(*argument as *const u8, scalar.as_mut_ptr(), size);
            }
            *argument = scalar.as_ptr() as u64;
        }
    }
    let mut question = question(function, &prepared);
    let word = |name: &str| place(function, name).map_or(0, |at| prepared.arguments[at]);
    let workspace = word("workspaceSizeInBytes");
    let algorithm = match word("algo") {
        0 => Vec::new(),
        // SAFETY: an algorithm is of this size.
        at => unsafe { std::slice::from_raw_parts(at as *const u8, ALGORITHM) }.to_vec(),
    };
    question.extend_from_slice(&algorithm);
    let matrices = ["A", "B", "C", "D"].map(word);
    let recommended = !algorithm.is_empty()
        && RECOMMENDED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&question)
            .is_some_and(|known| known.iter().any(|needs| needs.met(workspace, matrices)));
    for name in ["A", "B", "C", "D", "workspace"] {
        question.extend_from_slice(&alignment(word(name)).to_le_bytes());
    }
    question.extend_from_slice(&workspace.to_le_bytes());
    question.push(u8::from(word("C") == word("D")));
    let known = |question: &Question| {
        SUPPORTED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(question)
    };
    let stream = function
        .parameters
        .iter()
        .position(|p| p.mode == Mode::Stream)
        .map_or(0, |at| prepared.arguments[at]);
    let ask = !recommended && !known(&question) && !capturing(stream);
    let target = Target {
        opcode: LT_OF_BOX.opcode(command::CALL),
        handle,
        stream: stream as *mut c_void,
        host_scalars: on_host,
        ask,
    };
    // SAFETY: by this function's contract; descriptors and scalars are locals.
    let status = status(unsafe { call(function, &prepared.arguments, &target) });
    if ask && status == SUCCESS {
        let mut supported = SUPPORTED.lock().unwrap_or_else(PoisonError::into_inner);
        if supported.len() >= MOST_KINDS {
            supported.clear();
        }
        supported.insert(question);
    }
    status
}

/// cuBLASLt's status for what became of a call.
pub(crate) fn status(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Sent => SUCCESS,
        Outcome::Answered(status) => status,
        Outcome::Invalid => INVALID_VALUE,
        Outcome::Failed(code) => of_driver(code),
    }
}
