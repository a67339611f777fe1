//! Heuristics and algorithms: what only the box's library knows, asked once for each distinct question. Addresses in descriptors are reduced to their alignment, which is all
//! that the library looks at.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gvirtus_cublas_core::status::{INVALID_VALUE, SUCCESS, of_driver};
use gvirtus_frontend_link::library::{Target, call, pack};
use gvirtus_frontend_link::start::{device, ensure_context};
use gvirtus_wire::api::library::{Function, command};
use gvirtus_wire::api::opaque::PREFERENCE;
use gvirtus_wire::codec::Wire;
use rustc_hash::FxHashMap;

use crate::Status;
use crate::compute::{ALGORITHM, Needs, Prepared, place, question, recommend, status};
use crate::handle::LT_OF_BOX;

/// The most algorithms, and bytes of an attribute, that are asked for.
const MOST_ALGORITHMS: u64 = 4096;
const MOST_BYTES: u64 = 1 << 16;
/// Bytes of a `cublasLtMatmulHeuristicResult_t`; where in it the workspace and the status lie, and where what is reserved begins.
const RESULT: usize = 96;
const RESULT_WORKSPACE: usize = 64;
const RESULT_STATUS: usize = 72;
const RESULT_RESERVED: usize = 80;

/// `CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES` and those of B, C and D.
const MIN_ALIGNMENTS: [i32; 4] = [5, 6, 7, 8];

/// What the library answered, by parameter.
type Answer = Arc<(Status, Vec<Vec<u8>>)>;

static ANSWERS: LazyLock<Mutex<FxHashMap<Vec<u8>, Answer>>> = LazyLock::new(Mutex::default);
const MOST_ANSWERS: usize = 1 << 16;

/// Answers a question.
///
/// # Safety
/// The arguments are those of the function's declaration.
pub(crate) unsafe fn ask(function: &Function, handle: u32, mut prepared: Prepared) -> Status {
    if let Err(code) = ensure_context() {
        return of_driver(code);
    }
    let word = |name: &str| place(function, name).map(|at| prepared.arguments[at]);
    for name in [
        "heuristicResultsArray",
        "returnAlgoCount",
        "algoIdsArray",
        "algo",
        "result",
        "capacity",
    ] {
        // An algorithm's check has none of its own if the result has it.
        if word(name) == Some(0) && function.name != "cublasLtHeuristicsCacheSetCapacity" {
            return INVALID_VALUE;
        }
    }
    let size = word("sizeInBytes");
    let getter = function.name.ends_with("GetAttribute");
    if let Some(size) = size {
        let none = word("buf") == Some(0);
        if none && (size != 0 || !getter) || getter && size == 0 && word("sizeWritten") == Some(0) {
            return INVALID_VALUE;
        }
    }
    if word("requestedAlgoCount").is_some_and(|count| count as i32 <= 0) {
        return INVALID_VALUE;
    }
    let theirs = prepared.arguments.clone();
    for (name, most) in [
        ("requestedAlgoCount", MOST_ALGORITHMS),
        ("sizeInBytes", MOST_BYTES),
    ] {
        if let Some(at) = place(function, name) {
            prepared.arguments[at] = prepared.arguments[at].min(most);
        }
    }
    prepared.reduce_addresses(function);
    // What is written comes to memory of ours first: how much of it counts is in the answer.
    let mut written: Vec<Vec<u8>> = vec![Vec::new(); prepared.arguments.len()];
    for (at, parameter) in function.parameters.iter().enumerate() {
        if !parameter.mode.is_written() {
            continue;
        }
        let Some(length) = function.length(parameter.mode, &prepared.arguments) else {
            return INVALID_VALUE;
        };
        // Memory for nothing has an address, too.
        written[at] = vec![0; length.max(1)];
        if parameter.mode.is_read() {
            // SAFETY: what is read and written has this length.
            let theirs = unsafe { std::slice::from_raw_parts(theirs[at] as *const u8, length) };
            written[at].copy_from_slice(theirs);
        }
        prepared.arguments[at] = written[at].as_mut_ptr() as u64;
    }
    // SAFETY: by this function's contract; descriptors and outputs are locals.
    let (answer, new) = match unsafe { answer(function, handle, &prepared, written) } {
        Ok(answer) => answer,
        Err(status) => return status,
    };
    let (status, written) = (answer.0, answer.1.as_slice());
    // SAFETY: by this function's contract.
    unsafe {
        if new && status == SUCCESS {
            remember(function, &theirs, &prepared, written);
        }
        tell(function, &theirs, &prepared, status, written)
    }
}

/// The library's answer, from before if there is one; and whether it is new.
///
/// # Safety
/// The arguments are those of the function's declaration, and outputs lie in `written`.
unsafe fn answer(
    function: &Function,
    handle: u32,
    prepared: &Prepared,
    written: Vec<Vec<u8>>,
) -> Result<(Answer, bool), Status> {
    let target = Target {
        opcode: LT_OF_BOX.opcode(command::CALL),
        handle,
        stream: std::ptr::null_mut(),
        host_scalars: true,
        ask: true,
    };
    if function.name.contains("HeuristicsCache") {
        // SAFETY: by this function's contract.
        let outcome = unsafe { call(function, &prepared.arguments, &target) };
        return Ok((Arc::new((status(outcome), written)), true));
    }
    // SAFETY: by this function's contract.
    let packed = unsafe { pack(function, &prepared.arguments, 0, true) };
    let Ok((packed, _)) = packed else {
        return Err(INVALID_VALUE);
    };
    let mut key = device().unwrap_or(-1).to_le_bytes().to_vec();
    packed.encode(&mut key);
    let kept = |key: &Vec<u8>| {
        let answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).cloned()
    };
    if let Some(answer) = kept(&key) {
        return Ok((answer, false));
    }
    // SAFETY: by this function's contract.
    let outcome = unsafe { call(function, &prepared.arguments, &target) };
    let answer = Arc::new((status(outcome), written));
    // What the session failed at is asked again.
    if matches!(
        outcome,
        gvirtus_frontend_link::library::Outcome::Answered(_)
    ) {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(key, Arc::clone(&answer));
    }
    Ok((answer, true))
}

/// The number that some bytes begin with.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let length = bytes.len().min(8);
    word[..length].copy_from_slice(&bytes[..length]);
    u64::from_le_bytes(word)
}

/// Writes an answer to where the program wants it.
///
/// # Safety
/// `theirs` are the arguments of the function's declaration.
unsafe fn tell(
    function: &Function,
    theirs: &[u64],
    prepared: &Prepared,
    status: Status,
    written: &[Vec<u8>],
) -> Status {
    let find = |name: &str| {
        let at = place(function, name)?;
        Some((theirs[at], written[at].as_slice()))
    };
    // SAFETY: the program has room for so many bytes where its pointer leads to.
    let put = |address: u64, bytes: &[u8]| unsafe {
        if address != 0 {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len());
        }
    };
    if status != SUCCESS {
        if let Some((count, _)) = find("returnAlgoCount") {
            put(count, &0i32.to_le_bytes());
        }
        return status;
    }
    if let Some((count, told)) = find("returnAlgoCount") {
        put(count, told);
        let returned = number(told) as usize;
        for (name, each) in [("heuristicResultsArray", RESULT), ("algoIdsArray", 4)] {
            if let Some((to, all)) = find(name) {
                let end = returned.saturating_mul(each).min(all.len() / each * each);
                put(to, &all[..end]);
            }
        }
        return status;
    }
    if let Some((to, bytes)) = find("result") {
        // Not every version tells the algorithm again; none is zero.
        if bytes[..ALGORITHM] != [0; ALGORITHM] {
            put(to, &bytes[..ALGORITHM]);
        }
        put(
            to + RESULT_WORKSPACE as u64,
            &bytes[RESULT_WORKSPACE..RESULT_RESERVED],
        );
        return status;
    }
    if let Some((size_out, told)) = find("sizeWritten") {
        put(size_out, told);
        if let Some((to, bytes)) = find("buf") {
            let asked = place(function, "sizeInBytes").map_or(0, |at| prepared.arguments[at]);
            let length = (number(told).min(asked) as usize).min(bytes.len());
            put(to, &bytes[..length]);
        }
        return status;
    }
    for name in ["algo", "capacity"] {
        if let Some((to, bytes)) = find(name)
            && !bytes.is_empty()
        {
            put(to, bytes);
        }
    }
    status
}

/// Keeps which algorithms the library recommends, or says that it can execute.
///
/// # Safety
/// `theirs` are the arguments of the function's declaration.
unsafe fn remember(function: &Function, theirs: &[u64], prepared: &Prepared, written: &[Vec<u8>]) {
    let find = |name: &str| {
        let at = place(function, name)?;
        Some((theirs[at], written[at].as_slice()))
    };
    if let (Some((_, returned)), Some((_, results))) =
        (find("returnAlgoCount"), find("heuristicResultsArray"))
    {
        let preference = place(function, "preference").and_then(|at| prepared.values[at].as_ref());
        let alignments = MIN_ALIGNMENTS.map(|attribute| {
            preference.map_or(Needs::ALIGNMENT, |preference| {
                preference.number(&PREFERENCE, attribute).cast_unsigned()
            })
        });
        let results = results.chunks_exact(RESULT);
        for result in results.take(number(returned) as usize) {
            if result[RESULT_STATUS..RESULT_STATUS + 4] == [0; 4] {
                let needs = Needs {
                    workspace: number(&result[RESULT_WORKSPACE..RESULT_STATUS]),
                    alignments,
                };
                recommend(question(function, prepared), &result[..ALGORITHM], needs);
            }
        }
    }
    if let (Some((algorithm, _)), Some((_, result))) = (find("algo"), find("result")) {
        // SAFETY: an algorithm is of this size.
        let algorithm = unsafe { std::slice::from_raw_parts(algorithm as *const u8, ALGORITHM) };
        let needs = Needs {
            workspace: number(&result[RESULT_WORKSPACE..RESULT_STATUS]),
            alignments: [Needs::ALIGNMENT; 4],
        };
        recommend(question(function, prepared), algorithm, needs);
    }
}
