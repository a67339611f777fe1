//! A core plugin without a device, for the tests of the daemon and its workers. It knows a handful of commands and does with them what a test needs.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use gvirtus_wire::api::core::{self, Copy, Device, REPLY, Snapshot, StreamDestroy};
use gvirtus_wire::codec::{Wire, decode_all};
use gvirtus_wire::command::Command;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::{HostTable, PLUGIN_ABI, PluginTable};

struct Table(PluginTable);
// SAFETY: constant; the name points to a literal.
unsafe impl Sync for Table {}

static TABLE: Table = Table(PluginTable {
    abi: PLUGIN_ABI,
    first_opcode: core::OPCODES.0,
    last_opcode: core::OPCODES.1,
    name: c"cudart".as_ptr().cast::<c_char>(),
    create,
    snapshot,
    dispatch,
    idle,
    on_stream: None,
    driver_symbol: None,
    close,
});

/// The plugin's entry.
#[unsafe(no_mangle)]
pub extern "C" fn gvirtus_plugin_entry() -> *const PluginTable {
    &raw const TABLE.0
}

struct State {
    host: &'static HostTable,
    /// Streams that were destroyed: a synchronize waits for its stream to be here.
    destroyed: Mutex<Vec<u32>>,
    changed: Condvar,
    idles: AtomicU64,
}

fn log(host: &HostTable, text: &str) {
    // SAFETY: the host's own table and a text of that length.
    unsafe { (host.log)(host.host, 3, text.as_ptr(), text.len()) }
}

unsafe extern "C" fn create(
    host: *const HostTable,
    config: *const u8,
    config_len: usize,
) -> *mut c_void {
    // SAFETY: the worker passes its table, which lives for ever, and a text of that length.
    let (host, config) = unsafe {
        (
            &*host,
            std::str::from_utf8(std::slice::from_raw_parts(config, config_len)),
        )
    };
    log(host, &format!("fake plugin with {config:?}"));
    if std::env::var("CUDA_VISIBLE_DEVICES").is_ok_and(|v| v == "-1") {
        log(host, "no visible device");
        return std::ptr::null_mut();
    }
    Box::into_raw(Box::new(State {
        host,
        destroyed: Mutex::default(),
        changed: Condvar::new(),
        idles: AtomicU64::new(0),
    }))
    .cast()
}

unsafe extern "C" fn snapshot(
    _: *mut c_void,
    sink: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    sink_arg: *mut c_void,
) {
    let mut out = Vec::new();
    Snapshot {
        driver_version: 13000,
        ptx_only: true,
        loading_mode: 2,
        devices: vec![Device {
            name: format!(
                "Fake {}",
                std::env::var("CUDA_MODULE_LOADING").unwrap_or_default()
            ),
            ..Device::default()
        }],
        worker: std::process::id(),
    }
    .encode(&mut out);
    // SAFETY: the worker's sink takes bytes of that length.
    unsafe { sink(sink_arg, out.as_ptr(), out.len()) }
}

impl State {
    fn reply(&self, to: &Header, status: i32, payload: &[u8], bulk: &[u8]) {
        if !to.wants_reply() {
            return;
        }
        let header = Header {
            len: payload.len() as u32,
            opcode: REPLY,
            sequence: to.sequence,
            thread: to.thread,
            context: status as u32,
            bulk: bulk.len() as u64,
            ..Header::default()
        };
        // In pieces, as a plugin with large bulk does.
        // False: the client is gone, and nobody waits for the rest.
        // SAFETY: the host's own table; lengths match the header.
        let mut sent =
            unsafe { (self.host.send_start)(self.host.host, &raw const header, payload.as_ptr()) };
        for piece in bulk.chunks(1000) {
            // SAFETY: as above.
            sent = sent
                && unsafe { (self.host.send_bulk)(self.host.host, piece.as_ptr(), piece.len()) };
        }
    }
}

unsafe extern "C" fn dispatch(
    state: *mut c_void,
    header: *const Header,
    payload: *const u8,
    payload_len: usize,
) {
    // SAFETY: what `create` returned, and a frame of that length.
    let (state, header, payload) = unsafe {
        (
            &*state.cast::<State>(),
            &*header,
            if payload_len == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(payload, payload_len)
            },
        )
    };
    match header.opcode {
        // Reads as much of the bulk as the copy is wide, the rest is left; answers with it.
        Copy::OPCODE => {
            let Ok(copy) = decode_all::<Copy>(payload) else {
                let text = b"a malformed copy";
                // SAFETY: the host's own table and a text of that length.
                return unsafe { (state.host.fail)(state.host.host, text.as_ptr(), text.len()) };
            };
            let mut bytes = vec![0; copy.extent.width as usize];
            // SAFETY: the host's own table and a buffer of that length.
            let read =
                unsafe { (state.host.read_bulk)(state.host.host, bytes.as_mut_ptr(), bytes.len()) };
            state.reply(
                header,
                i32::from(!read),
                &[],
                if read { &bytes } else { &[] },
            );
        }
        // Waits, aside, until its stream is destroyed.
        core::StreamSynchronize::OPCODE => {
            let stream: u32 = decode_all(payload).unwrap_or_default();
            // SAFETY: the host's own table, inside dispatch.
            unsafe { (state.host.may_block)(state.host.host) };
            let mut destroyed = state.destroyed.lock().unwrap();
            while !destroyed.contains(&stream) {
                destroyed = state.changed.wait(destroyed).unwrap();
            }
            drop(destroyed);
            state.reply(header, 0, &[], &[]);
        }
        StreamDestroy::OPCODE => {
            let stream: u32 = decode_all(payload).unwrap_or_default();
            state.destroyed.lock().unwrap().push(stream);
            state.changed.notify_all();
            state.reply(header, 0, &[], &[]);
        }
        // Holds up everything, as a driver does that waits for a busy GPU.
        core::ContextSynchronize::OPCODE => {
            log(state.host, "busy for an hour");
            std::thread::sleep(Duration::from_secs(3600));
        }
        core::ContextReset::OPCODE => std::process::abort(),
        // How often the input was idle.
        core::MemInfo::OPCODE => {
            let mut out = Vec::new();
            core::MemInfoReply {
                free: state.idles.load(Ordering::Relaxed),
                total: 0,
            }
            .encode(&mut out);
            state.reply(header, 0, &out, &[]);
        }
        _ => state.reply(header, 0, &[], &[]),
    }
}

unsafe extern "C" fn idle(state: *mut c_void, _: bool) -> bool {
    // SAFETY: what `create` returned.
    let state = unsafe { &*state.cast::<State>() };
    state.idles.fetch_add(1, Ordering::Relaxed);
    false
}

unsafe extern "C" fn close(state: *mut c_void) {
    // SAFETY: what `create` returned.
    let state = unsafe { &*state.cast::<State>() };
    log(state.host, "closed");
}
