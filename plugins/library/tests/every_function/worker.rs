//! The worker that the plugin meets: it keeps what is sent, and lends streams that are numbers.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;

use gvirtus_plugin_library::host::Host;
use gvirtus_plugin_library::{Description, Sessions};
use gvirtus_wire::api::library::{LibraryCall, LibraryCreate, LibraryStart, command};
use gvirtus_wire::codec::Wire;
use gvirtus_wire::frame::{FLAG_WANTS_REPLY, Header};
use gvirtus_wire::plugin::{HostTable, Issue, PLUGIN_ABI, Take};

use super::make;

/// One test at a time: what the plugin sends is kept in one place.
pub(super) static ALONE: Mutex<()> = Mutex::new(());

/// What the plugin has sent.
static SENT: Mutex<Vec<(Header, Vec<u8>)>> = Mutex::new(Vec::new());

unsafe extern "C" fn send(
    _: *mut c_void,
    header: *const Header,
    payload: *const u8,
    _: *const u8,
) -> bool {
    let header = unsafe { *header };
    let payload = unsafe { std::slice::from_raw_parts(payload, header.len as usize) };
    SENT.lock().unwrap().push((header, payload.to_vec()));
    true
}
unsafe extern "C" fn send_start(_: *mut c_void, _: *const Header, _: *const u8) -> bool {
    unreachable!("libraries send no bulk")
}
unsafe extern "C" fn send_bulk(_: *mut c_void, _: *const u8, _: usize) -> bool {
    unreachable!("libraries send no bulk")
}
unsafe extern "C" fn send_bulk_later(_: *mut c_void, _: *const u8, _: usize) -> u64 {
    unreachable!("libraries send no bulk")
}
unsafe extern "C" fn send_wait(_: *mut c_void, _: u64) -> bool {
    unreachable!("libraries send no bulk")
}
unsafe extern "C" fn read_bulk_later(_: *mut c_void, _: *mut u8, _: usize) -> u32 {
    unreachable!("libraries read no bulk")
}
unsafe extern "C" fn read_wait(_: *mut c_void, _: u64) -> bool {
    unreachable!("libraries read no bulk")
}
unsafe extern "C" fn read_bulk(_: *mut c_void, _: *mut u8, _: usize) -> bool {
    unreachable!("libraries read no bulk")
}
unsafe extern "C" fn may_block(_: *mut c_void) {}

unsafe extern "C" fn frame_waits(_: *mut c_void) -> bool {
    true
}
/// Frames that come behind the one that is dispatched.
static FOLLOWING: Mutex<VecDeque<(Header, Vec<u8>)>> = Mutex::new(VecDeque::new());

unsafe extern "C" fn following(
    _: *mut c_void,
    header: *const Header,
    take: Take,
    argument: *mut c_void,
) -> bool {
    let current = unsafe { &*header };
    let mut following = FOLLOWING.lock().unwrap();
    let like_it = |(next, _): &(Header, Vec<u8>)| {
        (next.opcode, next.flags, current.flags) == (current.opcode, 0, 0)
    };
    let Some((next, payload)) = following.front().filter(|next| like_it(next)) else {
        return false;
    };
    let taken = unsafe { take(argument, next, payload.as_ptr(), payload.len()) };
    if taken {
        following.pop_front();
    }
    taken
}
unsafe extern "C" fn take_descriptor(_: *mut c_void, _: u64) -> i32 {
    -1
}
unsafe extern "C" fn identity(_: *mut c_void, _: *mut u8, _: usize) -> usize {
    0
}
unsafe extern "C" fn sessions(
    _host: *mut c_void,
    _sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    _sink_arg: *mut c_void,
) {
}

/// The last frames of what was issued together, and how many calls that was.
static ISSUED: Mutex<Vec<(u64, u32)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_stream(
    _: *mut c_void,
    header: *const Header,
    stream: u32,
    _: bool,
    calls: u32,
    issue: Issue,
    argument: *mut c_void,
) -> i32 {
    let last = unsafe { (*header).sequence };
    ISSUED.lock().unwrap().push((last, calls));
    unsafe { issue(argument, (0x1000 + stream as usize) as *mut c_void) }
}
unsafe extern "C" fn driver_symbol(_: *mut c_void, name: *const c_char) -> *const c_void {
    unsafe extern "C" fn allocate(out: *mut *mut c_void, size: usize, _: u32) -> i32 {
        unsafe {
            out.write(
                Box::leak(vec![0u128; size / 16].into_boxed_slice())
                    .as_mut_ptr()
                    .cast(),
            )
        };
        0
    }
    match unsafe { CStr::from_ptr(name) }.to_str() {
        Ok("cuMemHostAlloc") => allocate as *const c_void,
        _ => make as *const c_void,
    }
}
unsafe extern "C" fn log(_: *mut c_void, _: u32, text: *const u8, len: usize) {
    eprintln!(
        "{}",
        String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text, len) })
    );
}
unsafe extern "C" fn fail(_: *mut c_void, text: *const u8, len: usize) {
    let text =
        String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text, len) }).into_owned();
    SENT.lock()
        .unwrap()
        .push((Header::default(), text.into_bytes()));
}

pub(super) fn table() -> HostTable {
    HostTable {
        abi: PLUGIN_ABI,
        host: std::ptr::null_mut(),
        send,
        send_start,
        send_bulk,
        send_bulk_later,
        send_wait,
        read_bulk,
        read_bulk_later,
        read_wait,
        may_block,
        frame_waits,
        following,
        take_descriptor,
        identity,
        on_stream,
        driver_symbol,
        log,
        fail,
        sessions,
    }
}

/// A plugin's libraries, of which one is called.
#[derive(Clone, Copy)]
pub(super) struct Started {
    sessions: &'static Sessions,
    first_opcode: u16,
}

pub(super) fn started(
    plugin: &'static [&'static Description],
    description: &Description,
    table: &HostTable,
) -> Started {
    let host = Box::leak(Box::new(Host::new(table)));
    let state = Started {
        sessions: Box::leak(Box::new(Sessions::new(plugin, host, b"{}").unwrap())),
        first_opcode: description.first_opcode,
    };
    let start = LibraryStart {
        stream: 0,
        major: description.majors[0],
    };
    assert_eq!(frame(state, command::START, &start, true).len(), 1);
    let create = LibraryCreate {
        stream: 0,
        handle: 1,
        function: 0,
        argument: 0,
    };
    assert!(frame(state, command::CREATE, &create, false).is_empty());
    state
}

/// Has a command executed; what was sent meanwhile.
pub(super) fn frame<C: Wire>(
    state: Started,
    number: u16,
    command: &C,
    wants_reply: bool,
) -> Vec<(Header, Vec<u8>)> {
    let mut payload = Vec::new();
    command.encode(&mut payload);
    let header = Header {
        opcode: state.first_opcode + number,
        len: payload.len() as u32,
        sequence: 9,
        flags: if wants_reply { FLAG_WANTS_REPLY } else { 0 },
        ..Header::default()
    };
    SENT.lock().unwrap().clear();
    state.sessions.dispatch(&header, &payload);
    SENT.lock().unwrap().drain(..).collect()
}

/// What came of frames that arrive together.
pub(super) struct Row {
    pub(super) sent: Vec<(Header, Vec<u8>)>,
    /// The last frames of what was issued together, and how many calls that was.
    pub(super) issued: Vec<(u64, u32)>,
}

/// Has calls executed that arrive together, numbered from 0.
pub(super) fn row(state: Started, calls: &[LibraryCall]) -> Row {
    let frames = calls.iter().zip(0..).map(|(call, sequence)| {
        let mut payload = Vec::new();
        call.encode(&mut payload);
        let header = Header {
            opcode: state.first_opcode + command::CALL,
            len: payload.len() as u32,
            sequence,
            ..Header::default()
        };
        (header, payload)
    });
    FOLLOWING.lock().unwrap().extend(frames);
    SENT.lock().unwrap().clear();
    ISSUED.lock().unwrap().clear();
    let next = || FOLLOWING.lock().unwrap().pop_front();
    while let Some((header, payload)) = next() {
        state.sessions.dispatch(&header, &payload);
    }
    Row {
        sent: SENT.lock().unwrap().drain(..).collect(),
        issued: ISSUED.lock().unwrap().drain(..).collect(),
    }
}
