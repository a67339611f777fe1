//! A client core inside the test: what a frontend sends is kept, by thread, and answered as the test says. Nothing is connected.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, Ordering};

use gvirtus_frontend_link::session::stand_in;
use gvirtus_frontend_link::wire::api::frontend_table::{
    Counter, FRONTEND_TABLE_VERSION, FrontendTable, Submission,
};
use gvirtus_frontend_link::wire::api::library::{
    LibraryCreate, LibraryDestroy, LibraryInfo, LibraryReply, LibraryStart, command,
};
use gvirtus_frontend_link::wire::api::types::{CUcontext, CUresult, CUstream};
use gvirtus_frontend_link::wire::codec::{Wire, decode_all};

/// A command that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its number among the library's commands.
    pub(crate) command: u16,
    /// The frontend waits for the reply: a round trip.
    pub(crate) wait: bool,
    /// The program's stream, if it is on one.
    pub(crate) stream: Option<u64>,
    /// Where words begin that may be addresses, and how many there are.
    pub(crate) words: (usize, usize),
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    /// The command.
    pub(crate) fn decoded<C: Wire>(&self) -> C {
        decode_all(&self.payload).expect("the command can be decoded")
    }
}

thread_local! {
    static SENT: RefCell<Vec<Sent>> = RefCell::default();
    /// The library's status in replies.
    pub(crate) static RESULT: Cell<i32> = const { Cell::new(0) };
    /// What the session says in place of sending.
    pub(crate) static FAILURE: Cell<CUresult> = const { Cell::new(0) };
    /// Streams are being captured.
    pub(crate) static CAPTURING: Cell<bool> = const { Cell::new(false) };
}

static FIRST_OPCODE: AtomicU16 = AtomicU16::new(0);
static VERSION: AtomicI32 = AtomicI32::new(0);

/// What was sent since the last call.
pub(crate) fn sent() -> Vec<Sent> {
    SENT.take()
}

/// What comes of a call that sends nothing.
pub(crate) fn alone<T>(what: &str, call: impl FnOnce() -> T) -> T {
    assert!(sent().is_empty(), "before {what}");
    let told = call();
    let sent = sent();
    assert!(sent.is_empty(), "{what} sends {sent:?}");
    told
}

/// The number that the box knows a handle by, of the one command that makes it.
pub(crate) fn created(sent: &[Sent]) -> u32 {
    let [create] = sent else {
        panic!("a handle is made by one command: {sent:?}");
    };
    assert_eq!((create.command, create.wait), (command::CREATE, false));
    create.decoded::<LibraryCreate>().handle
}

/// The number of the handle that is destroyed, if anything was sent.
pub(crate) fn destroyed(sent: &[Sent]) -> Option<u32> {
    let [destroy] = sent else {
        assert!(
            sent.is_empty(),
            "a handle is destroyed by one command: {sent:?}"
        );
        return None;
    };
    assert_eq!((destroy.command, destroy.wait), (command::DESTROY, false));
    Some(destroy.decoded::<LibraryDestroy>().handle)
}

/// Starts a library, once: `unstarted` sees it while the session fails, then `start` asks for it. Of the thread, nothing is sent or set yet.
pub(crate) fn begin(
    opcodes: u16,
    version: i32,
    major: u32,
    unstarted: impl FnOnce(),
    start: impl FnOnce(),
) {
    static BEGUN: Once = Once::new();
    /// `CUDA_ERROR_NO_DEVICE`.
    const NO_DEVICE: CUresult = 100;
    BEGUN.call_once(|| {
        FIRST_OPCODE.store(opcodes, Ordering::Relaxed);
        VERSION.store(version, Ordering::Relaxed);
        let table = Box::leak(Box::new(FrontendTable {
            version: FRONTEND_TABLE_VERSION,
            size: size_of::<FrontendTable>() as u32,
            enabled: Box::leak(Box::new(AtomicU32::new(0))),
            enter,
            leave,
            trace,
            call,
            submit,
        }));
        assert!(unsafe { stand_in(driver_proc, table) });
        FAILURE.set(NO_DEVICE);
        unstarted();
        FAILURE.set(0);
        sent();
        start();
        let sent = sent();
        let [start] = sent.as_slice() else {
            panic!("the library is asked once: {sent:?}");
        };
        assert_eq!((start.command, start.wait), (command::START, true));
        assert_eq!(start.decoded::<LibraryStart>().major, major);
    });
    // What another test on this thread has left.
    sent();
    RESULT.set(0);
    FAILURE.set(0);
    CAPTURING.set(false);
}

unsafe extern "C" fn driver_proc(name: *const c_char) -> *mut c_void {
    unsafe extern "C" fn current(out: *mut CUcontext) -> CUresult {
        unsafe { out.write(0x1000 as CUcontext) };
        0
    }
    unsafe extern "C" fn device(out: *mut c_int) -> CUresult {
        unsafe { out.write(0) };
        0
    }
    unsafe extern "C" fn capturing(_: CUstream, out: *mut u32) -> CUresult {
        unsafe { out.write(CAPTURING.get().into()) };
        0
    }
    match unsafe { CStr::from_ptr(name) }.to_bytes() {
        b"cuCtxGetCurrent" => current as *mut c_void,
        b"cuCtxGetDevice" => device as *mut c_void,
        b"cuStreamIsCapturing" => capturing as *mut c_void,
        _ => std::ptr::null_mut(),
    }
}

unsafe extern "C" fn submit(
    submission: *const Submission,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) -> CUresult {
    let submission = unsafe { &*submission };
    let payload = unsafe { std::slice::from_raw_parts(submission.payload, submission.len) };
    let sent = Sent {
        command: submission.opcode - FIRST_OPCODE.load(Ordering::Relaxed),
        wait: submission.wait,
        stream: submission.on_stream.then_some(submission.stream as u64),
        words: (submission.words, submission.words_len),
        payload: payload.to_vec(),
    };
    let mut reply = Vec::new();
    if sent.command == command::START {
        LibraryInfo {
            status: 0,
            version: VERSION.load(Ordering::Relaxed),
            missing: Vec::new(),
        }
        .encode(&mut reply);
    } else {
        LibraryReply {
            result: RESULT.get(),
            data: Vec::new(),
        }
        .encode(&mut reply);
    }
    let failure = FAILURE.get();
    if failure == 0 && sent.wait {
        unsafe { sink(sink_arg, reply.as_ptr(), reply.len()) };
    }
    SENT.with_borrow_mut(|all| all.push(sent));
    failure
}

// Nothing is counted or traced, and libraries submit.
unsafe extern "C" fn enter(_: *const Counter) -> *const Counter {
    std::ptr::null()
}
unsafe extern "C" fn leave(_: *const Counter) {}
unsafe extern "C" fn trace(_: *const c_char) {}
unsafe extern "C" fn call(
    _: u16,
    _: *const u8,
    _: usize,
    _: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    _: *mut c_void,
) -> CUresult {
    unreachable!("libraries submit")
}
