//! Every function of the tables, from the program's arguments to a stand-in for the vendor's library: what arrives equals what was passed, what it writes comes back whole,
//! and a function that writes nothing to host memory gets no reply.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the test plays program, worker and library: its pointers are those of the call"
)]

#[path = "every_function/definitions.rs"]
mod definitions;
#[path = "../../../tests/property/record.rs"]
mod property;
#[path = "every_function/worker.rs"]
mod worker;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{CStr, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gvirtus_frontend_link::library::{pack, pack_with, unpack};
use gvirtus_plugin_library::Description;
use gvirtus_plugin_library::host::Host;
use gvirtus_wire::api::core::{ASYNC_ERROR, AsyncError, REPLY};
use gvirtus_wire::api::fused::fits;
use gvirtus_wire::api::library::{
    CUBLAS, CUBLAS_OPCODES, CUBLASLT, CUBLASLT_OPCODES, CUDNN, CUDNN_OPCODES, CUFFT, CUFFT_OPCODES,
    CURAND, CURAND_OPCODES, Function, LibraryAsk, LibraryCall, LibraryDefine, LibraryExecute,
    LibraryForget, LibraryReplies, LibraryReply, LibraryRest, MOST_ASKED, MOST_DATA, Mode,
    NO_STREAM, Parameter, attribute, command,
};
use gvirtus_wire::api::opaque::{KINDS, Values};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::frame::Header;

use worker::{ALONE, Started, frame, row, started, table};

/// What the stand-in's next function expects and has seen.
#[derive(Default)]
struct Expected {
    function: Option<&'static Function>,
    host_scalars: bool,
    words: Vec<u64>,
    /// By parameter: what its pointer must lead to, and what to write there.
    read: Vec<Option<Vec<u8>>>,
    write: Vec<Option<Vec<u8>>>,
    calls: usize,
    pointer_mode: i32,
    /// The library's handles have a pointer mode.
    has_pointer_mode: bool,
    stream: u64,
    /// Whether the handle must be on the stream by now.
    on_stream: bool,
    /// What it returns.
    status: i32,
    /// What calls behind it expect.
    later: VecDeque<Expected>,
}

thread_local! {
    static EXPECTED: RefCell<Expected> = RefCell::default();
}

const HANDLE: u64 = 0x7777_0000;

thread_local! {
    /// Attributes that were set: descriptor, name, first word.
    static SEEN: RefCell<Vec<(u64, u64, u64)>> = RefCell::default();
    /// What functions return of which nothing is expected.
    static FAILS: Cell<i32> = const { Cell::new(0) };
    /// The stream that a handle was last put on.
    static LENT: Cell<u64> = const { Cell::new(0) };
}

/// What arrived in registers and slots for integers, and in those for floating-point values.
fn record(integers: &[u64], floats: [f64; 8]) -> i32 {
    EXPECTED.with_borrow_mut(|expected| {
        if expected.calls > 0
            && let Some(next) = expected.later.pop_front()
        {
            *expected = Expected {
                pointer_mode: expected.pointer_mode,
                later: std::mem::take(&mut expected.later),
                ..next
            };
        }
        let Some(function) = expected.function else {
            if let [node, name, kind, count, elements] = *integers {
                let size = attribute::size(kind as i32).unwrap();
                let there = unsafe {
                    std::slice::from_raw_parts(elements as *const u8, size * count as usize)
                };
                let mut first = [0; 8];
                first[..size.min(8)].copy_from_slice(&there[..size.min(8)]);
                let first = u64::from_le_bytes(first);
                SEEN.with_borrow_mut(|seen| seen.push((node, name as u32 as u64, first)));
            }
            return FAILS.with(Cell::get);
        };
        expected.calls += 1;
        if expected.on_stream {
            assert_eq!(LENT.get(), 0x1000 + expected.stream, "{}", function.name);
        }
        let (mut integers, mut floats) = (integers.iter().copied(), floats.into_iter());
        for (i, parameter) in function.parameters.iter().enumerate() {
            let got = match parameter.mode {
                Mode::F32 | Mode::F64 => floats.next().unwrap().to_bits(),
                _ => integers.next().unwrap(),
            };
            let what = format!("{} {}", function.name, parameter.name);
            let mode = parameter.mode;
            let passed = expected.words[i];
            match mode {
                Mode::Handle => assert_eq!(got, HANDLE, "{what}"),
                Mode::Stream => assert_eq!(got, 0x1000 + expected.stream, "{what}"),
                Mode::Opaque(_) => {
                    let values = unsafe { &*(got as *const Values) };
                    assert_eq!(Some(&values.0), expected.read[i].as_ref(), "{what}");
                }
                Mode::I32 | Mode::Kind | Mode::F32 => {
                    assert_eq!(got as u32, passed as u32, "{what}");
                }
                Mode::Object(_) => assert_eq!(got, object(passed), "{what}"),
                // One that the stand-in made for this call.
                Mode::Fill(_) => assert!(made(got), "{what}"),
                _ if !mode.on_host(expected.host_scalars) => assert_eq!(got, passed, "{what}"),
                _ => {
                    assert_ne!(got, 0, "{what}");
                    if let Some(read) = &expected.read[i] {
                        let there =
                            unsafe { std::slice::from_raw_parts(got as *const u8, read.len()) };
                        assert_eq!(there, read, "{what}");
                    }
                    if let (Some(write), Mode::Table(_)) = (&expected.write[i], mode) {
                        // The library's tables stay where they are.
                        let table = write.clone().leak().as_ptr();
                        unsafe { (got as *mut *const u8).write(table) };
                    } else if let Some(write) = &expected.write[i] {
                        unsafe {
                            std::ptr::copy_nonoverlapping(
                                write.as_ptr(),
                                got as *mut u8,
                                write.len(),
                            )
                        };
                    }
                }
            }
        }
        let results = function
            .parameters
            .iter()
            .any(|p| matches!(p.mode, Mode::Result(_)));
        let scalars = function
            .parameters
            .iter()
            .any(|p| matches!(p.mode, Mode::Scalar(_) | Mode::InOut(_)));
        let mode = expected.pointer_mode;
        if !expected.has_pointer_mode {
            // Where scalars lie is a matter of the call's.
        } else if scalars {
            assert_eq!(mode, i32::from(!expected.host_scalars), "{}", function.name);
        } else if results {
            assert_eq!(mode, 1, "{}: the GPU writes results", function.name);
        }
        expected.status
    })
}

macro_rules! recorders { ($(($($a:ident)*))*) => {
    /// A recorder for a number of parameters that are not floating-point values.
    fn recorder(parameters: usize) -> *const c_void {
        [$({
            #[allow(clippy::too_many_arguments, reason = "as many as there are")]
            extern "C" fn recorder(
                $($a: u64,)*
                f0: f64, f1: f64, f2: f64, f3: f64, f4: f64, f5: f64, f6: f64, f7: f64,
            ) -> i32 {
                record(&[$($a),*], [f0, f1, f2, f3, f4, f5, f6, f7])
            }
            recorder as *const c_void
        }),*][parameters]
    }
} }
gvirtus_plugin_library::arities! { recorders {} }

/// A descriptor of the stand-in's, with what its create function takes.
extern "C" fn describe<const KIND: usize>(
    out: *mut *mut Values,
    a: i64,
    b: i64,
    c: i64,
    d: i64,
) -> i32 {
    let kind = KINDS[KIND];
    let mut values = Values::new(kind);
    for (id, value) in kind.created_with.iter().zip([a, b, c, d]) {
        let size = values.get(kind, *id).unwrap().len();
        assert!(values.set(kind, *id, &value.to_le_bytes()[..size]));
    }
    unsafe { out.write(Box::into_raw(Box::new(values))) };
    0
}

extern "C" fn set_attribute<const KIND: usize>(
    values: &mut Values,
    id: i32,
    value: *const u8,
    size: usize,
) -> i32 {
    let value = unsafe { std::slice::from_raw_parts(value, size) };
    assert!(values.set(KINDS[KIND], id, value));
    0
}

extern "C" fn forget(values: *mut Values) -> i32 {
    drop(unsafe { Box::from_raw(values) });
    0
}

/// The stand-in's function for a kind of descriptor.
fn of_descriptor(name: &str) -> Option<*const c_void> {
    let create = [
        describe::<0> as *const c_void,
        describe::<1> as *const c_void,
        describe::<2> as *const c_void,
        describe::<3> as *const c_void,
    ];
    let set = [
        set_attribute::<0> as *const c_void,
        set_attribute::<1> as *const c_void,
        set_attribute::<2> as *const c_void,
        set_attribute::<3> as *const c_void,
    ];
    (0..4).find_map(|i| {
        let what = name.strip_prefix("cublasLt")?.strip_prefix(KINDS[i].name)?;
        match what {
            "Create" => Some(create[i]),
            "SetAttribute" => Some(set[i]),
            "Destroy" => Some(forget as *const c_void),
            _ => None,
        }
    })
}

extern "C" fn make(out: *mut u64) -> i32 {
    unsafe { out.write(HANDLE) };
    0
}

extern "C" fn set_pointer_mode(_: u64, mode: i32) -> i32 {
    EXPECTED.with_borrow_mut(|expected| expected.pointer_mode = mode);
    0
}

extern "C" fn set_stream(handle: u64, stream: u64) -> i32 {
    LENT.set(stream);
    let setter = EXPECTED.with_borrow(|e| {
        e.function.is_some_and(|f| f.name.contains("SetStream")) && stream == 0x1005 && e.calls == 0
    });
    if setter {
        record(&[handle, stream], [0.0; 8])
    } else {
        0
    }
}

extern "C" fn get_property(which: i32, out: *mut i32) -> i32 {
    unsafe { out.write(10 + which) };
    0
}

fn provider(_: &'static Host, name: &CStr) -> Option<*const c_void> {
    let name = name.to_str().unwrap();
    if let Some(function) = of_descriptor(name) {
        return Some(function);
    }
    Some(match name {
        "cublasCreate_v2" | "cufftCreate" | "curandCreateGenerator" | "cublasLtCreate" => {
            make as *const c_void
        }
        "cublasSetStream_v2" | "cufftSetStream" | "curandSetStream" => set_stream as *const c_void,
        "cublasGetProperty" | "cufftGetProperty" | "curandGetProperty" | "cublasLtGetProperty" => {
            get_property as *const c_void
        }
        "cublasSetPointerMode_v2" => set_pointer_mode as *const c_void,
        "cudnnCreate" => make as *const c_void,
        "cudnnSetStream" => set_stream as *const c_void,
        "cudnnGetProperty" => get_property as *const c_void,
        "cudnnBackendCreateDescriptor" => make_node as *const c_void,
        "cudnnBackendExecute" => execute as *const c_void,
        name if name.starts_with("cudnnCreate") => make_object as *const c_void,
        name if name.starts_with("cudnn") && name.contains("Destroy") => {
            end_object as *const c_void
        }
        _ => recorder(
            CUBLAS
                .iter()
                .chain(CUFFT)
                .chain(CURAND)
                .chain(CUDNN)
                .chain(CUBLASLT)
                .find(|f| f.name == name)?
                .parameters
                .iter()
                .filter(|p| !matches!(p.mode, Mode::F32 | Mode::F64))
                .count(),
        ),
    })
}

static DESCRIPTION: Description = Description {
    name: "cublas",
    functions: CUBLAS,
    first_opcode: CUBLAS_OPCODES.0,
    file: "libcublas.so.",
    needs: &[],
    majors: &[13, 12],
    create: c"cublasCreate_v2",
    creators: &[],
    destroy: c"cublasDestroy_v2",
    set_stream: Some(c"cublasSetStream_v2"),
    set_pointer_mode: Some(c"cublasSetPointerMode_v2"),
    get_property: c"cublasGetProperty",
    not_initialized: 1,
    not_supported: 15,
    cuda_status: |status| status,
    provider,
};

static CUFFT_DESCRIPTION: Description = Description {
    name: "cufft",
    functions: CUFFT,
    first_opcode: CUFFT_OPCODES.0,
    file: "libcufft.so.",
    needs: &[],
    majors: &[12, 11],
    create: c"cufftCreate",
    creators: &[],
    destroy: c"cufftDestroy",
    set_stream: Some(c"cufftSetStream"),
    set_pointer_mode: None,
    get_property: c"cufftGetProperty",
    not_initialized: 7,
    not_supported: 16,
    cuda_status: |status| status,
    provider,
};

static CUBLASLT_DESCRIPTION: Description = Description {
    name: "cublasLt",
    functions: CUBLASLT,
    first_opcode: CUBLASLT_OPCODES.0,
    file: "libcublasLt.so.",
    needs: &[],
    majors: &[13, 12],
    create: c"cublasLtCreate",
    creators: &[],
    destroy: c"cublasLtDestroy",
    set_stream: None,
    set_pointer_mode: None,
    get_property: c"cublasLtGetProperty",
    not_initialized: 1,
    not_supported: 15,
    cuda_status: |status| status,
    provider,
};

/// Of one plugin, as cuBLAS's plugin has two.
static BLAS: [&Description; 2] = [&DESCRIPTION, &CUBLASLT_DESCRIPTION];
static FFT: [&Description; 1] = [&CUFFT_DESCRIPTION];
static RAND: [&Description; 1] = [&CURAND_DESCRIPTION];
static DNN: [&Description; 1] = [&CUDNN_DESCRIPTION];

static CURAND_DESCRIPTION: Description = Description {
    name: "curand",
    functions: CURAND,
    first_opcode: CURAND_OPCODES.0,
    file: "libcurand.so.",
    needs: &[],
    majors: &[10],
    create: c"curandCreateGenerator",
    creators: &[],
    destroy: c"curandDestroyGenerator",
    set_stream: Some(c"curandSetStream"),
    set_pointer_mode: None,
    get_property: c"curandGetProperty",
    not_initialized: 203,
    not_supported: 204,
    cuda_status: |status| status,
    provider,
};

static CUDNN_DESCRIPTION: Description = Description {
    name: "cudnn",
    functions: CUDNN,
    first_opcode: CUDNN_OPCODES.0,
    file: "libcudnn.so.",
    needs: &[],
    majors: &[9],
    create: c"cudnnCreate",
    creators: &[],
    destroy: c"cudnnDestroy",
    set_stream: Some(c"cudnnSetStream"),
    set_pointer_mode: None,
    get_property: c"cudnnGetProperty",
    not_initialized: 1001,
    not_supported: 3000,
    cuda_status: |status| status,
    provider,
};

/// Descriptors that the stand-in has made and not ended.
static OBJECTS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static NEXT: AtomicU64 = AtomicU64::new(0x1_0000);

thread_local! {
    /// What the client's numbers of objects are at the stand-in.
    static NUMBERED: RefCell<BTreeMap<u64, u64>> = RefCell::default();
}

fn object(number: u64) -> u64 {
    NUMBERED.with_borrow(|numbered| numbered[&number])
}

fn made(address: u64) -> bool {
    OBJECTS.lock().unwrap().contains(&address)
}

extern "C" fn make_object(out: *mut u64) -> i32 {
    let address = NEXT.fetch_add(8, Ordering::Relaxed);
    OBJECTS.lock().unwrap().insert(address);
    unsafe { out.write(address) };
    0
}

extern "C" fn make_node(_: i32, out: *mut u64) -> i32 {
    make_object(out)
}

extern "C" fn end_object(object: u64) -> i32 {
    assert!(OBJECTS.lock().unwrap().remove(&object), "it is there");
    0
}

/// What a plan was last executed with.
static EXECUTED: Mutex<Vec<(u64, u64, u64)>> = Mutex::new(Vec::new());

extern "C" fn execute(handle: u64, plan: u64, pack: u64) -> i32 {
    EXECUTED.lock().unwrap().push((handle, plan, pack));
    0
}

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Parameters that say how long arrays are.
const COUNTS: [&str; 10] = [
    "elementCount",
    "nbDims",
    "nbDimsRequested",
    "arrayLength",
    "arrayLengthRequested",
    "batchSize",
    "seqLengthArraySize",
    "seqLengthSizeRequested",
    "requestedAlgoCount",
    "requestedElementCount",
];
/// INT64, FLOAT, CHAR, DATA_TYPE, FRACTION: elements that are what they are.
const ATTRIBUTE_TYPES: [u64; 5] = [3, 4, 24, 1, 26];
/// Numbers of objects that calls fill.
static FILLED: AtomicU64 = AtomicU64::new(1 << 20);
/// How long factors and blobs are in the tests.
const BLOB: usize = 12;

/// Types of descriptors, each of which has one object under its place.
fn kinds() -> Vec<&'static str> {
    let parameters = CUDNN.iter().flat_map(|function| function.parameters);
    let mut kinds: Vec<_> = parameters
        .filter_map(|parameter| match parameter.mode {
            Mode::New(kind) => Some(kind),
            _ => None,
        })
        .collect();
    kinds.sort_unstable();
    kinds
}

fn known_object(kind: &str) -> u64 {
    let at = kinds().iter().position(|other| *other == kind);
    1 + at.expect("descriptors are made") as u64
}

/// Words and memory for a call; memory by parameter.
fn arguments(
    function: &Function,
    numbers: &mut Numbers,
    host_scalars: bool,
) -> (Vec<u64>, Vec<Option<Vec<u8>>>) {
    const DATA_TYPES: [u64; 8] = [0, 1, 2, 3, 4, 5, 10, 14];
    const COMPUTE_TYPES: [u64; 5] = [64, 68, 70, 72, 77];
    let counts = |name: &str| {
        let of = |mode: Mode| matches!(mode, Mode::Output(count, _) | Mode::HostIn(count, _) | Mode::Bytes(count) if count == name);
        function.parameters.iter().any(|p| of(p.mode))
    };
    let mut words: Vec<u64> = function
        .parameters
        .iter()
        .map(|parameter| {
            let n = numbers.next();
            match parameter.mode {
                Mode::Handle | Mode::Stream => HANDLE,
                Mode::Kind if parameter.name.contains("omputeType") => {
                    COMPUTE_TYPES[n as usize % 5]
                }
                Mode::Kind => DATA_TYPES[n as usize % 8],
                _ if matches!(parameter.name, "group_count" | "rank") => n % 6,
                _ if COUNTS.contains(&parameter.name) => n % 6,
                _ if parameter.name == "attributeType" => ATTRIBUTE_TYPES[n as usize % 5],
                Mode::Object(kind) => known_object(kind),
                Mode::Fill(_) => FILLED.fetch_add(1, Ordering::Relaxed),
                _ if counts(parameter.name) => n % 999,
                // One whose parameter the setter takes.
                _ if parameter.name == "paramLabel" => (0..120)
                    .map(|label| (label + n % 120) % 120)
                    .find(|label| fits(function, &[0, *label]))
                    .unwrap_or(0),
                Mode::I32 => i64::from(n as i32).cast_unsigned(),
                _ => n,
            }
        })
        .collect();
    let mut memory: Vec<Option<Vec<u8>>> = vec![None; words.len()];
    for (i, parameter) in function.parameters.iter().enumerate() {
        if parameter.mode.on_host(host_scalars) {
            let length = function
                .length(parameter.mode, &words)
                .expect("the types are known");
            let length = match parameter.mode {
                Mode::Blob => BLOB,
                _ => length,
            };
            let mut bytes = numbers.bytes(length);
            if parameter.mode == Mode::Text {
                bytes = format!("name{:x}\0", numbers.next()).into_bytes();
            }
            if let Mode::Opaque(kind) = parameter.mode {
                let mut values = Values::new(kind);
                for attribute in kind.attributes {
                    if !numbers.next().is_multiple_of(3) {
                        continue;
                    }
                    let value = numbers.next().to_le_bytes();
                    assert!(values.set(kind, attribute.id, &value[..attribute.size]));
                }
                bytes = values.0;
            }
            memory[i] = Some(bytes);
        }
    }
    for (word, memory) in words.iter_mut().zip(&mut memory) {
        if let Some(memory) = memory {
            // Room for nothing has no address of its own.
            memory.reserve(1);
            *word = memory.as_mut_ptr() as u64;
        }
    }
    (words, memory)
}

fn one_call(
    state: Started,
    function: &'static Function,
    numbers: &mut Numbers,
    host_scalars: bool,
    has_pointer_mode: bool,
) {
    let (words, mut memory) = arguments(function, numbers, host_scalars);
    let before = memory.clone();
    let writes: Vec<Option<Vec<u8>>> = function
        .parameters
        .iter()
        .zip(&memory)
        .map(|(parameter, memory)| {
            let memory = memory.as_ref()?;
            parameter
                .mode
                .is_written()
                .then(|| numbers.bytes(memory.len()))
        })
        .collect();
    EXPECTED.with_borrow_mut(|expected| {
        expected.function = Some(function);
        expected.host_scalars = host_scalars;
        expected.has_pointer_mode = has_pointer_mode;
        expected.stream = if function.is_setup(host_scalars) {
            u64::from(NO_STREAM)
        } else {
            5
        };
        expected.words = words.clone();
        expected.read = function
            .parameters
            .iter()
            .zip(&before)
            .map(|(parameter, memory)| memory.clone().filter(|_| parameter.mode.is_read()))
            .collect();
        expected.write = writes.clone();
        expected.calls = 0;
    });
    let length = |at: usize| match function.parameters[at].mode {
        Mode::Blob => Some(BLOB),
        _ => Some(8),
    };
    let (mut call, written) = unsafe { pack_with(function, &words, 1, host_scalars, &length) }
        .expect("the arguments are valid");
    call.stream = if function.is_setup(host_scalars) {
        NO_STREAM
    } else {
        5
    };
    let answers = function.answers(host_scalars);
    let sent = frame(state, command::CALL, &call, answers);
    let name = function.name;
    EXPECTED.with_borrow_mut(|expected| {
        // A pointer mode is the plugin's own business.
        if name != "cublasSetPointerMode_v2" {
            assert_eq!(expected.calls, 1, "{name}");
        }
        expected.function = None;
    });
    let fills = function
        .parameters
        .iter()
        .any(|p| matches!(p.mode, Mode::Fill(_)));
    assert_eq!(answers, fills || !written.is_empty(), "{name}");
    if !answers {
        assert!(sent.is_empty(), "{name} is asynchronous, and answered");
        return;
    }
    let [(header, payload)] = sent.as_slice() else {
        panic!("{name} was answered {} times", sent.len());
    };
    assert_eq!((header.opcode, header.context), (REPLY, 0), "{name}");
    let reply: LibraryReply = decode_all(payload).expect("a reply");
    assert_eq!(reply.result, 0, "{name}");
    assert!(unsafe { unpack(&reply, &written) }, "{name}");
    for (i, memory) in memory.iter_mut().enumerate() {
        let expected = writes[i].as_ref().or(before[i].as_ref());
        assert_eq!(
            memory.as_ref(),
            expected,
            "{name} {}",
            function.parameters[i].name
        );
    }
}

#[test]
fn what_arrives_is_what_was_passed() {
    let _alone = ALONE.lock();
    let table = table();
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for (plugin, description, least) in [
        (&BLAS[..], &DESCRIPTION, 480),
        (&BLAS[..], &CUBLASLT_DESCRIPTION, 12),
        (&FFT[..], &CUFFT_DESCRIPTION, 28),
        (&RAND[..], &CURAND_DESCRIPTION, 20),
        (&DNN[..], &CUDNN_DESCRIPTION, 160),
    ] {
        let state = started(plugin, description, &table);
        if std::ptr::eq(description, &raw const CUDNN_DESCRIPTION) {
            define_all(state);
        }
        let mut functions = 0;
        // What makes, ends and executes has tests of its own.
        let sent = |f: &&Function| {
            f.is_forwarded()
                && !matches!(f.class, "make" | "drop" | "value")
                && ![
                    "cudnnBackendCreateDescriptor",
                    "cudnnBackendDestroyDescriptor",
                    "cudnnBackendExecute",
                ]
                .contains(&f.name)
        };
        for function in description.functions.iter().filter(sent) {
            functions += 1;
            let table = |p: &Parameter| matches!(p.mode, Mode::Table(_));
            // Megabytes each.
            let rounds = if function.parameters.iter().any(table) {
                1
            } else {
                16
            };
            for round in 0..rounds {
                one_call(
                    state,
                    function,
                    &mut numbers,
                    round % 2 == 0,
                    description.set_pointer_mode.is_some(),
                );
            }
        }
        assert!(functions > least, "{functions}");
        let names = description.functions.iter().filter(sent).map(|f| f.name);
        property::record(description.name, names);
    }

    // What a reply has no room for is asked for.
    let state = started(&RAND, &CURAND_DESCRIPTION, &table);
    let uniform = CURAND.iter().find(|f| f.name == "curandGenerateUniform");
    let numbers_wanted = (MOST_DATA + 4000) / 4;
    let words = [HANDLE, 0x1000, numbers_wanted as u64];
    let (mut call, _) = unsafe { pack(uniform.unwrap(), &words, 1, true) }.unwrap();
    call.stream = NO_STREAM;
    let reply = |sent: Vec<(Header, Vec<u8>)>| -> LibraryReply {
        assert_eq!(sent.len(), 1);
        decode_all(&sent[0].1).expect("a reply")
    };
    let first = reply(frame(state, command::CALL, &call, true));
    assert_eq!((first.result, first.data.len()), (0, MOST_DATA));
    let rest = LibraryRest {
        stream: 0,
        handle: 1,
    };
    let second = reply(frame(state, command::REST, &rest, true));
    assert_eq!((second.result, second.data.len()), (0, 4000));
    let third = reply(frame(state, command::REST, &rest, true));
    assert_eq!((third.result, third.data.len()), (0, 0));

    let state = started(&BLAS, &DESCRIPTION, &table);

    // What is not such a call ends the session, and nothing is called.
    let gemm = CUBLAS.iter().find(|f| f.name == "cublasSgemm_v2").unwrap();
    let (words, memory) = arguments(gemm, &mut numbers, true);
    let (call, _) = unsafe { pack(gemm, &words, 1, true) }.unwrap();
    drop(memory);
    for change in 0..3 {
        let mut call = call.clone();
        match change {
            0 => call.data.truncate(7),
            1 => call.data.push(0),
            _ => call.words.truncate(8),
        }
        let sent = frame(state, command::CALL, &call, false);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0.opcode, 0, "the session ends");
    }
}

/// Plain calls are read several at a time: each must arrive as if it had come alone, in its turn, and an error must name it.
#[test]
fn a_row_of_calls_arrives_one_by_one() {
    let _alone = ALONE.lock();
    let table = table();
    let mut numbers = Numbers(0x9876_5432_10fe_dcba);
    let state = started(&BLAS, &DESCRIPTION, &table);
    let plain = |f: &&Function| {
        let on_host = |p: &Parameter| p.mode.is_written() && p.mode.on_host(true);
        f.is_forwarded()
            && !f.is_setup(true)
            && !f.is_setup(false)
            && [Mode::Handle, Mode::Device]
                .iter()
                .all(|mode| f.parameters.iter().any(|p| p.mode == *mode))
            && !f
                .parameters
                .iter()
                .any(|p| p.mode == Mode::Stream || on_host(p))
    };
    let functions: Vec<_> = CUBLAS.iter().filter(plain).collect();
    assert!(functions.len() > 400, "{}", functions.len());
    let (mut most, mut fewest) = (0, u32::MAX);
    for _ in 0..200 {
        let (mut calls, mut expected, mut memories) = (Vec::new(), VecDeque::new(), Vec::new());
        // Rows of one stream and place of scalars, and changes of either.
        let (mut stream, mut host_scalars) = (5, true);
        for _ in 0..1 + numbers.next() % 40 {
            match numbers.next() % 16 {
                0 => stream = 5 + (numbers.next() % 3) as u32,
                1 => host_scalars = !host_scalars,
                _ => {}
            }
            let function = functions[numbers.next() as usize % functions.len()];
            let (words, memory) = arguments(function, &mut numbers, host_scalars);
            let (mut call, _) = unsafe { pack(function, &words, 1, host_scalars) }.unwrap();
            call.stream = stream;
            calls.push(call);
            let nothing = function.parameters.iter().map(|_| None).collect();
            let modes = function.parameters.iter().zip(&memory);
            expected.push_back(Expected {
                function: Some(function),
                host_scalars,
                words,
                read: modes
                    .map(|(p, memory)| memory.clone().filter(|_| p.mode.is_read()))
                    .collect(),
                write: nothing,
                has_pointer_mode: true,
                stream: u64::from(stream),
                on_stream: true,
                status: if numbers.next().is_multiple_of(8) {
                    13
                } else {
                    0
                },
                ..Expected::default()
            });
            memories.push(memory);
        }
        let failing: Vec<u64> = (0..)
            .zip(&expected)
            .filter(|(_, expected)| expected.status != 0)
            .map(|(sequence, _)| sequence)
            .collect();
        EXPECTED.with_borrow_mut(|now| {
            let first = expected.pop_front().unwrap();
            *now = Expected {
                pointer_mode: now.pointer_mode,
                later: expected,
                ..first
            };
        });
        let row = row(state, &calls);
        EXPECTED.with_borrow_mut(|now| {
            assert_eq!(
                (now.calls, now.later.len()),
                (1, 0),
                "all are made, each once"
            );
            now.function = None;
        });
        let told: Vec<u64> = row
            .sent
            .iter()
            .map(|(header, payload)| {
                assert_eq!(header.opcode, ASYNC_ERROR);
                let error: AsyncError = decode_all(payload).expect("an error");
                assert_eq!(error.status, 13);
                error.sequence
            })
            .collect();
        assert_eq!(told, failing);
        // Each frame is issued once, in its order.
        let mut next = 0;
        for (last, number) in row.issued {
            next += u64::from(number);
            assert_eq!(last + 1, next);
            (most, fewest) = (most.max(number), fewest.min(number));
        }
        assert_eq!(next, calls.len() as u64);
    }
    assert_eq!(fewest, 1);
    assert!(most >= 8, "{most} calls together");
}

/// One object of each type.
fn define_all(state: Started) {
    for kind in kinds() {
        let before = OBJECTS.lock().unwrap().clone();
        let number = known_object(kind) as u32;
        let define = LibraryDefine {
            stream: NO_STREAM,
            object: number,
            steps: vec![first_step(kind)],
        };
        assert!(frame(state, command::DEFINE, &define, false).is_empty());
        let after = OBJECTS.lock().unwrap().clone();
        let new: Vec<u64> = after.difference(&before).copied().collect();
        let [new] = new.as_slice() else {
            panic!("{kind}: one object is made");
        };
        NUMBERED.with_borrow_mut(|numbered| numbered.insert(u64::from(number), *new));
    }
}

fn first_step(kind: &str) -> LibraryCall {
    let makes = |f: &&Function| {
        let mut parameters = f.parameters.iter();
        parameters.any(|p| matches!(p.mode, Mode::New(of) if of == kind))
    };
    let create = CUDNN.iter().find(makes).unwrap();
    let words: Vec<u64> = vec![0; create.parameters.len()];
    unsafe { pack(create, &words, 0, true) }.unwrap().0
}

/// A call packed as the client packs it.
fn packed(name: &str, words: &[u64]) -> LibraryCall {
    let function = CUDNN.iter().find(|f| f.name == name).unwrap();
    unsafe { pack_with(function, words, 1, true, &|_| Some(4)) }
        .unwrap()
        .0
}
