//! The plugin behind its C table, with a worker and a client played by the test.
//!
//! The driver is the CPU device, built by cargo if need be; `GVIRTUS_TEST_DEVICE` names another (`cuda`, or a path).

mod alone;
mod arrays;
mod copies;
mod errors;
mod fuzz;
mod graphs;
mod ipc;
mod kernels;
mod launch_chain;
mod launch_program;
mod launch_threads;
mod lent_streams;
mod links;
mod measure;
mod ordering;
mod shared_memory;
mod stream_memory;
mod tensor_map;
mod texture_references;
mod virtual_memory;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::*;
use gvirtus_wire::codec::{Wire, decode_all};
use gvirtus_wire::command::Command;
use gvirtus_wire::frame::{FLAG_WANTS_REPLY, Header};
use gvirtus_wire::plugin::{self, HostTable, PLUGIN_ABI};
use parking_lot::{Condvar, Mutex};

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of device memory that every test has.
pub(super) const GRANT: u64 = 64 << 20;
/// Bytes of a test's range for pinned memory.
const HOST_RANGE: u64 = 64 << 20;

/// A frame from the plugin.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    pub(super) bulk: Vec<u8>,
}

impl Frame {
    pub(super) fn decode<T: Wire>(&self) -> T {
        decode_all(&self.payload).expect("the plugin's own messages decode")
    }
}

/// The bulk that the thread's dispatch may still read, and what `may_block` tells.
struct Dispatch {
    bulk: Arc<Vec<u8>>,
    at: usize,
    gone_on: Arc<(Mutex<bool>, Condvar)>,
}

thread_local! {
    static DISPATCH: RefCell<Option<Dispatch>> = const { RefCell::new(None) };
    static STARTED: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

#[derive(Default)]
pub(super) struct Fake {
    frames: Mutex<Vec<Frame>>,
    arrived: Condvar,
    failed: Mutex<Option<String>>,
    /// Bulk is not kept: for measurements.
    discard: AtomicBool,
    /// Whose session it is.
    identity: Mutex<Vec<u8>>,
    /// Descriptors that were passed.
    passed: Mutex<HashMap<u64, OwnedFd>>,
}

impl Fake {
    fn arrive(&self, frame: Frame) {
        self.frames.lock().push(frame);
        self.arrived.notify_all();
    }
}

unsafe fn fake<'a>(host: *mut c_void) -> &'a Fake {
    unsafe { &*host.cast::<Fake>() }
}

unsafe fn bytes(at: *const u8, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    unsafe { std::slice::from_raw_parts(at, len) }.to_vec()
}

unsafe extern "C" fn send(
    host: *mut c_void,
    header: *const Header,
    payload: *const u8,
    bulk: *const u8,
) -> bool {
    unsafe {
        let header = *header;
        let kept = if fake(host).discard.load(Ordering::Relaxed) {
            0
        } else {
            header.bulk as usize
        };
        fake(host).arrive(Frame {
            header,
            payload: bytes(payload, header.len as usize),
            bulk: bytes(bulk, kept),
        });
    }
    true
}

unsafe extern "C" fn send_start(_: *mut c_void, header: *const Header, payload: *const u8) -> bool {
    let header = unsafe { *header };
    STARTED.set(Some(Frame {
        header,
        payload: unsafe { bytes(payload, header.len as usize) },
        bulk: Vec::new(),
    }));
    true
}

unsafe extern "C" fn send_bulk(host: *mut c_void, at: *const u8, len: usize) -> bool {
    if unsafe { fake(host) }.discard.load(Ordering::Relaxed) {
        return true;
    }
    let mut frame = STARTED.take().expect("a frame was started on this thread");
    frame.bulk.extend(unsafe { bytes(at, len) });
    assert!(frame.bulk.len() as u64 <= frame.header.bulk);
    if frame.bulk.len() as u64 == frame.header.bulk {
        unsafe { fake(host) }.arrive(frame);
    } else {
        STARTED.set(Some(frame));
    }
    true
}

unsafe extern "C" fn read_bulk(_: *mut c_void, into: *mut u8, len: usize) -> bool {
    DISPATCH.with_borrow_mut(|dispatch| {
        let dispatch = dispatch.as_mut().expect("read inside dispatch");
        assert!(
            !*dispatch.gone_on.0.lock(),
            "bulk is read before may_block only"
        );
        let Some(bytes) = dispatch.bulk.get(dispatch.at..dispatch.at + len) else {
            return false;
        };
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), into, len) };
        dispatch.at += len;
        true
    })
}

unsafe extern "C" fn send_bulk_later(host: *mut c_void, at: *const u8, len: usize) -> u64 {
    let sent = unsafe { send_bulk(host, at, len) };
    if sent { 0 } else { plugin::NO_TICKET }
}

unsafe extern "C" fn send_wait(_: *mut c_void, ticket: u64) -> bool {
    ticket == 0
}

unsafe extern "C" fn read_bulk_later(host: *mut c_void, into: *mut u8, len: usize) -> u32 {
    let read = unsafe { read_bulk(host, into, len) };
    if read { plugin::READ } else { plugin::NOT_READ }
}

unsafe extern "C" fn read_wait(_: *mut c_void, _: u64) -> bool {
    unreachable!("everything is read at once")
}

unsafe extern "C" fn may_block(_: *mut c_void) {
    DISPATCH.with_borrow(|dispatch| {
        let dispatch = dispatch.as_ref().expect("may_block inside dispatch");
        *dispatch.gone_on.0.lock() = true;
        dispatch.gone_on.1.notify_all();
    });
}

unsafe extern "C" fn frame_waits(_: *mut c_void) -> bool {
    // The next one comes when this one lets it.
    true
}

unsafe extern "C" fn take_descriptor(host: *mut c_void, tag: u64) -> i32 {
    let fd = unsafe { fake(host) }.passed.lock().remove(&tag);
    fd.map_or(-1, IntoRawFd::into_raw_fd)
}

unsafe extern "C" fn identity(host: *mut c_void, into: *mut u8, len: usize) -> usize {
    let identity = unsafe { fake(host) }.identity.lock();
    unsafe { std::ptr::copy_nonoverlapping(identity.as_ptr(), into, identity.len().min(len)) };
    identity.len()
}

unsafe extern "C" fn sessions(
    _host: *mut c_void,
    _sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    _sink_arg: *mut c_void,
) {
}

unsafe extern "C" fn following(
    _: *mut c_void,
    _: *const Header,
    _: gvirtus_wire::plugin::Take,
    _: *mut c_void,
) -> bool {
    unreachable!("the core takes one frame at a time")
}

unsafe extern "C" fn on_stream(
    _: *mut c_void,
    _: *const Header,
    _: u32,
    _: bool,
    _: u32,
    _: gvirtus_wire::plugin::Issue,
    _: *mut c_void,
) -> i32 {
    unreachable!("the core does not ask itself")
}

unsafe extern "C" fn driver_symbol(_: *mut c_void, _: *const std::ffi::c_char) -> *const c_void {
    unreachable!("the core does not ask itself")
}

unsafe extern "C" fn log(_: *mut c_void, level: u32, text: *const u8, len: usize) {
    let text = unsafe { bytes(text, len) };
    if std::env::var_os("GVIRTUS_TEST_LOG").is_some() {
        eprintln!("[{level}] {}", String::from_utf8_lossy(&text));
    }
}

unsafe extern "C" fn fail(host: *mut c_void, text: *const u8, len: usize) {
    let text = String::from_utf8_lossy(&unsafe { bytes(text, len) }).into_owned();
    *unsafe { fake(host) }.failed.lock() = Some(text);
}

fn cpu_library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(path) = std::env::var_os("GVIRTUS_TEST_CPU_LIBRARY") {
                return path.into();
            }
            let here = std::env::current_exe().expect("tests know where they are");
            let directory = here
                .parent()
                .and_then(|deps| deps.parent())
                .expect("tests lie in target/<profile>/deps")
                .to_owned();
            let status = std::process::Command::new(env!("CARGO"))
                .args(["build", "--quiet", "-p", "gvirtus-cpu"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .expect("cargo runs");
            assert!(status.success(), "the CPU device builds");
            directory.join("libgvirtus_cpu.so")
        })
        .clone()
}

/// A session with device memory and a range for pinned memory.
pub(super) struct Client {
    fake: &'static Fake,
    state: usize,
    sequence: AtomicU64,
    /// Frames begin in the order of their numbers, whatever thread issues them.
    order: Mutex<()>,
    /// Granted device memory, [`GRANT`] bytes.
    pub(super) device: u64,
    /// Reserved for pinned memory.
    pub(super) pinned: u64,
    pub(super) context: u32,
}

/// What has happened to a command that wants a reply.
pub(super) struct Pending<'a, C: Command> {
    client: &'a Client,
    sequence: u64,
    command: std::marker::PhantomData<C>,
}

impl<C: Command> Pending<'_, C> {
    pub(super) fn wait(self) -> Result<C::Reply, i32> {
        self.wait_with_bulk().map(|(reply, _)| reply)
    }

    pub(super) fn wait_with_bulk(self) -> Result<(C::Reply, Vec<u8>), i32> {
        let frame = self
            .client
            .wait_for(|f| f.header.opcode == REPLY && f.header.sequence == self.sequence);
        match frame.header.context as i32 {
            0 => {
                let reply = if frame.payload.is_empty() && size_of::<C::Reply>() == 0 {
                    decode_all(&[])
                } else if frame.payload.is_empty() {
                    panic!("{}: an empty reply", C::NAME)
                } else {
                    decode_all(&frame.payload)
                };
                Ok((reply.expect("replies decode"), frame.bulk))
            }
            status => Err(status),
        }
    }

    pub(super) fn answered(&self) -> bool {
        self.client
            .fake
            .frames
            .lock()
            .iter()
            .any(|f| f.header.opcode == REPLY && f.header.sequence == self.sequence)
    }
}

impl Client {
    pub(super) fn new() -> Self {
        Self::start_session(false)
    }

    pub(super) fn start_session(capture_output: bool) -> Self {
        Self::with(&serde_json::json!({"capture_output": capture_output}))
    }

    /// With these settings besides the usual ones.
    pub(super) fn with(settings: &serde_json::Value) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fake: &'static Fake = Box::leak(Box::default());
        let table = HostTable {
            abi: PLUGIN_ABI,
            host: std::ptr::from_ref(fake).cast_mut().cast(),
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
            sessions,
            on_stream,
            driver_symbol,
            log,
            fail,
        };
        let device = std::env::var("GVIRTUS_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
        let mut config = serde_json::json!({
            "device": device,
            "capture_output": false,
            "progress_words": std::env::var_os("GVIRTUS_TEST_EVENTS").is_none(),
        });
        if device == "cpu" {
            config["cpu_library"] = serde_json::json!(cpu_library());
        }
        for (key, value) in settings.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let config = config.to_string();
        let state =
            unsafe { (crate::TABLE.0.create)(&raw const table, config.as_ptr(), config.len()) };
        assert!(!state.is_null(), "the session starts");
        let client = Self {
            fake,
            state: state as usize,
            sequence: AtomicU64::new(1),
            order: Mutex::new(()),
            device: 0x2000_0000_0000 + number * (4 << 30),
            pinned: 0x5000_0000_0000 + number * HOST_RANGE,
            context: 0,
        };
        client
            .call(ReserveRange {
                device: 0,
                base: client.device,
                size: 4 << 30,
                grant: GRANT,
            })
            .expect("device memory");
        client
            .call(ReserveHostRange {
                base: client.pinned,
                size: HOST_RANGE,
            })
            .expect("a range for pinned memory");
        client
    }

    fn state(&self) -> *mut c_void {
        self.state as *mut c_void
    }

    /// Hands a frame to the plugin on a thread of its own; returns when it is done or lets others go on.
    pub(super) fn frame(&self, header: Header, payload: Vec<u8>, bulk: Vec<u8>) {
        let gone_on = Arc::new((Mutex::new(false), Condvar::new()));
        let told = Arc::clone(&gone_on);
        let state = self.state;
        let thread = std::thread::spawn(move || {
            DISPATCH.set(Some(Dispatch {
                bulk: Arc::new(bulk),
                at: 0,
                gone_on: Arc::clone(&told),
            }));
            unsafe {
                (crate::TABLE.0.dispatch)(
                    state as *mut c_void,
                    &raw const header,
                    payload.as_ptr(),
                    payload.len(),
                );
            }
            DISPATCH.set(None);
            *told.0.lock() = true;
            told.1.notify_all();
        });
        let mut on = gone_on.0.lock();
        while !*on {
            assert!(
                !gone_on.1.wait_for(&mut on, PATIENCE).timed_out(),
                "a handler blocks without saying so"
            );
        }
        drop(on);
        drop(thread);
    }

    /// Hands a frame to the plugin on this very thread, as a worker does.
    pub(super) fn inline(&self, header: &Header, payload: &[u8], bulk: Arc<Vec<u8>>) {
        DISPATCH.set(Some(Dispatch {
            bulk,
            at: 0,
            gone_on: Arc::default(),
        }));
        unsafe {
            (crate::TABLE.0.dispatch)(
                self.state(),
                std::ptr::from_ref(header),
                payload.as_ptr(),
                payload.len(),
            );
        }
        DISPATCH.set(None);
    }

    pub(super) fn pass(&self, tag: u64, fd: OwnedFd) {
        self.fake.passed.lock().insert(tag, fd);
    }

    pub(super) fn discard_bulk(&self) {
        self.fake.discard.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget_frames(&self) {
        self.fake.frames.lock().clear();
    }

    fn start<C: Command>(&self, command: &C, bulk: Vec<u8>, flags: u16) -> u64 {
        let _order = self.order.lock();
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut payload = Vec::new();
        command.encode(&mut payload);
        let header = Header {
            len: payload.len() as u32,
            opcode: C::OPCODE,
            flags,
            sequence,
            thread: 7,
            context: self.context,
            bulk: bulk.len() as u64,
            trace: 0,
        };
        self.frame(header, payload, bulk);
        sequence
    }

    /// Issues a command that wants no reply; its sequence number.
    pub(super) fn cast<C: Command>(&self, command: C) -> u64 {
        self.start(&command, Vec::new(), 0)
    }

    pub(super) fn cast_bulk<C: Command>(&self, command: C, bulk: Vec<u8>) -> u64 {
        self.start(&command, bulk, 0)
    }

    /// Issues a command and returns before its reply.
    pub(super) fn begin<C: Command>(&self, command: C, bulk: Vec<u8>) -> Pending<'_, C> {
        Pending {
            client: self,
            sequence: self.start(&command, bulk, FLAG_WANTS_REPLY),
            command: std::marker::PhantomData,
        }
    }

    pub(super) fn call<C: Command>(&self, command: C) -> Result<C::Reply, i32> {
        self.begin(command, Vec::new()).wait()
    }

    pub(super) fn call_bulk<C: Command>(&self, command: C, bulk: Vec<u8>) -> Result<C::Reply, i32> {
        self.begin(command, bulk).wait()
    }

    /// The session behind the plugin's table.
    pub(super) fn session(&self) -> &'static crate::session::Session {
        // SAFETY: sessions are never freed.
        unsafe { &*(self.state as *const crate::session::Session) }
    }

    /// Streams 1 and 2, which wait for nobody.
    pub(super) fn two_streams(&self) {
        for stream in 1..3 {
            self.cast(StreamCreate {
                stream,
                flags: 1,
                priority: 0,
            });
        }
    }

    /// No frame has come for some microseconds; whether the plugin has something that can wait.
    pub(super) fn lull(&self) -> bool {
        let _order = self.order.lock();
        unsafe { (crate::TABLE.0.idle)(self.state(), false) }
    }

    pub(super) fn idle(&self) {
        let _order = self.order.lock();
        unsafe { (crate::TABLE.0.idle)(self.state(), true) };
    }

    /// The first frame that `which` is true of; it stays in the list.
    pub(super) fn wait_for(&self, which: impl Fn(&Frame) -> bool) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        let mut frames = self.fake.frames.lock();
        loop {
            if let Some(frame) = frames.iter().find(|f| which(f)) {
                return frame.clone();
            }
            assert!(
                !self
                    .fake
                    .arrived
                    .wait_until(&mut frames, deadline)
                    .timed_out(),
                "an expected frame does not come; there are {:?}; session: {:?}",
                frames.iter().map(|f| f.header).collect::<Vec<_>>(),
                self.fake.failed.lock(),
            );
        }
    }

    /// Waits for progress of a stream up to a command.
    pub(super) fn progress(&self, stream: u32, sequence: u64) {
        self.wait_for(|f| {
            f.header.opcode == PROGRESS && {
                let p: Progress = f.decode();
                p.stream == stream && p.sequence >= sequence && p.context == self.context
            }
        });
    }

    pub(super) fn frames(&self) -> Vec<Frame> {
        self.fake.frames.lock().clone()
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.fake.failed.lock().clone()
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) {
        self.call_bulk(
            linear(COPY_FROM_BULK, 0, address, 0, bytes.len() as u64),
            bytes.to_vec(),
        )
        .expect("a copy to the device");
    }

    pub(super) fn read(&self, address: u64, len: u64) -> Vec<u8> {
        self.begin(linear(COPY_TO_REPLY, 0, 0, address, len), Vec::new())
            .wait_with_bulk()
            .expect("a copy from the device")
            .1
    }

    pub(super) fn read_box(&self, src: Plane, extent: Extent) -> Vec<u8> {
        let copy = Copy {
            kind: COPY_TO_REPLY,
            stream: 0,
            dst: Plane::default(),
            src,
            extent,
        };
        self.begin(copy, Vec::new())
            .wait_with_bulk()
            .expect("a copy from the device")
            .1
    }

    pub(super) fn load(&self, module: u32, ptx: &str) -> Result<ModuleInfo, i32> {
        use sha2::{Digest, Sha256};
        self.call_bulk(
            ModuleLoad {
                module,
                hash: Sha256::digest(ptx.as_bytes()).into(),
                options: Vec::new(),
                known: 0,
            },
            ptx.as_bytes().to_vec(),
        )
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        unsafe { (crate::TABLE.0.close)(self.state()) };
    }
}

/// A copy without gaps.
pub(super) fn linear(kind: u8, stream: u32, dst: u64, src: u64, len: u64) -> Copy {
    let plane = |address| Plane {
        address,
        pitch: 0,
        slice: 0,
    };
    Copy {
        kind,
        stream,
        dst: plane(dst),
        src: plane(src),
        extent: Extent {
            width: len,
            height: 1,
            depth: 1,
        },
    }
}

/// Bytes that differ from place to place.
pub(super) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}
