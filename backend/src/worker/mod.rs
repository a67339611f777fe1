//! The worker process: one session, once.
//!
//! # Layout
//! * here: its life — set up, wait for a client, serve, exit — and what it offers to plugins.
//! * `input`, `output`: frames from and to the client. `lead`: which thread reads.
//! * `ffi`: plugins' C tables, the one unsafe module.
//! * `lanes`: large payloads beside the frames.
//! * `channel`: the line to the daemon. `acquaintances`: what it says of other sessions. `descriptors`: memory that the client shares.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gvirtus_wire::api::core::{ASYNC_ERROR, AsyncError, REPLY, SNAPSHOT, Snapshot};
use gvirtus_wire::codec::{Wire, decode_all};
use gvirtus_wire::communicator;
use gvirtus_wire::frame::Header;
use gvirtus_wire::plugin::SessionInfo;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::control::{Counters, FromWorker, Ready, ToWorker, exit};
use crate::logging;

mod acquaintances;
mod channel;
mod descriptors;
mod ffi;
mod input;
mod lanes;
mod lead;
mod output;

use acquaintances::Acquaintances;
use channel::Channel;
use descriptors::Passed;
use ffi::{Plugin, Reading, Sending, exit_now, host_table};
use input::{End, Input, Received};
use lanes::Lanes;
use lead::{Handler, Threads};
use output::Output;

/// The plugin without which there is no session.
const CORE: &str = "cudart";
/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: i32 = 801;
/// How long plugins may take to close when the client is gone; the GPU's memory is free when the process is.
const CLOSE_TIME: Duration = Duration::from_millis(100);
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);

/// Everything of a session that several threads use.
struct Worker {
    plugins: OnceLock<Vec<Plugin>>,
    /// Place of the core among them.
    core: OnceLock<usize>,
    session: OnceLock<Session>,
    threads: Threads,
    /// Somebody has begun to close: watchers and the reader may see the end at the same time.
    closing: AtomicBool,
}

struct Session {
    output: Output,
    /// One bit per opcode that both ends know.
    opcodes: Box<[u64; 1024]>,
    /// Whose it is.
    tenant: Option<String>,
    /// Over a transport that shares memory.
    passed: Option<Passed>,
    acquaintances: Option<Acquaintances>,
    /// Where the session may have some.
    lanes: Option<Lanes>,
}

/// What the daemon says of the client.
struct Admitted {
    opcodes: Vec<u16>,
    tenant: Option<String>,
    lanes: bool,
}

/// Lives a worker's life.
pub(crate) fn main() -> ! {
    // Before plugins take over descriptors 1 and 2.
    logging::init(logging::standard_error());
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("the worker panicked: {panic}");
        exit_now(exit::PANIC);
    }));
    let mut channel = match Channel::from_stdin() {
        Ok(channel) => channel,
        Err(e) => give_up(exit::DAEMON_GONE, &format!("no line to the daemon: {e}")),
    };
    let worker = Worker::leak();
    let watched = channel.socket();
    on_hang_up("daemon-watch", watched, move || {
        tracing::info!("the daemon is gone");
        worker.close(exit::DAEMON_GONE)
    });
    match worker.live(&mut channel) {
        Ok(never) => match never {},
        Err(e) => {
            tracing::info!("the daemon is gone: {e}");
            exit_now(exit::DAEMON_GONE)
        }
    }
}

fn give_up(code: i32, why: &str) -> ! {
    tracing::error!("{why}");
    exit_now(code)
}

/// Starts a thread that waits for the other end of a socket to close, with or without a word, and then calls `then`.
fn on_hang_up(name: &str, socket: OwnedFd, then: impl FnOnce() + Send + 'static) {
    let watch = move || {
        loop {
            let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::RDHUP)];
            match poll(&mut fds, None) {
                Ok(1..) => return then(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => {
                    tracing::error!("poll: {e}");
                    return then();
                }
            }
        }
    };
    if let Err(e) = thread::Builder::new().name(name.into()).spawn(watch) {
        give_up(exit::NOT_READY, &format!("no thread for {name}: {e}"));
    }
}

impl Worker {
    fn leak() -> &'static Self {
        Box::leak(Box::new(Self {
            plugins: OnceLock::new(),
            core: OnceLock::new(),
            session: OnceLock::new(),
            threads: Threads::new(),
            closing: AtomicBool::new(false),
        }))
    }

    fn live(&'static self, channel: &mut Channel) -> std::io::Result<std::convert::Infallible> {
        let (message, _) = channel.receive()?;
        let ToWorker::Setup { plugins, config } = message else {
            return Err(std::io::Error::other("a session before the set-up"));
        };
        let config = config.to_string();
        let host = host_table(self);
        let mut ready = Ready::default();
        let mut loaded = Vec::new();
        for (name, path) in plugins {
            match Plugin::load(&path, &name, host, &config) {
                Ok(plugin) => {
                    ready.plugins.push(name);
                    loaded.push(plugin);
                }
                Err(why) => {
                    tracing::warn!("plugin {name} ({}): {why}", path.display());
                    ready.failed_plugins.push((name, why));
                }
            }
        }
        let snapshot = match describe(&loaded, &mut ready) {
            Ok(snapshot) => snapshot,
            Err(why) => {
                channel.send(&FromWorker::Failed(why.clone()))?;
                give_up(exit::NOT_READY, &why)
            }
        };
        if self.plugins.set(loaded).is_err() {
            return Err(std::io::Error::other("set up twice"));
        }
        channel.send(&FromWorker::Ready(ready))?;

        let (message, fds) = loop {
            match channel.receive()? {
                (ToWorker::Ping, _) => channel.send(&FromWorker::Pong)?,
                other => break other,
            }
        };
        let ToWorker::Session {
            session,
            protocol,
            client,
            opcodes,
            shared_memory,
            tenant,
            lanes,
        } = message
        else {
            return Err(std::io::Error::other("no session after the set-up"));
        };
        let span = tracing::info_span!("session", id = session);
        let _entered = span.enter();
        let connection = communicator::by_protocol(&protocol)
            .ok_or_else(|| std::io::Error::other("an unknown communicator"))?
            .adopt(fds)
            .and_then(|connection| {
                if shared_memory {
                    communicator::shm::offer(connection)
                } else {
                    Ok(connection)
                }
            });
        let mut connection = match connection {
            Ok(connection) => connection,
            // It was reset between the daemon and here.
            Err(e) => {
                tracing::info!("the client is gone already: {e}");
                exit_now(exit::CLIENT_GONE)
            }
        };
        tracing::debug!("serving {client} over {}", connection.protocol);
        if let Some(attendant) = connection.attendant()
            && let Err(e) = thread::Builder::new()
                .name("connection".into())
                .spawn(attendant)
        {
            give_up(exit::NOT_READY, &format!("no thread: {e}"));
        }
        let received = Arc::new(Received::default());
        let admitted = Admitted {
            opcodes,
            tenant,
            lanes,
        };
        let end = self.serve(connection, admitted, &snapshot, channel, received);
        let code = match &end {
            End::Connection(_) => {
                tracing::debug!("{end}");
                exit::CLIENT_GONE
            }
            End::Malformed(_) | End::Sequence { .. } => {
                tracing::warn!("the client broke the protocol: {end}");
                exit::VIOLATION
            }
        };
        self.close(code)
    }

    fn serve(
        &'static self,
        connection: communicator::Connection,
        admitted: Admitted,
        snapshot: &[u8],
        channel: &Channel,
        received: Arc<Received>,
    ) -> End {
        let watched = connection.watchable();
        let passed = communicator::shm::Descriptors::of(&connection).map(Passed::new);
        let (receiver, sender) = connection.split();
        let mut bits = Box::new([0; 1024]);
        for opcode in admitted.opcodes {
            bits[usize::from(opcode / 64)] |= 1 << (opcode % 64);
        }
        let line = match channel.try_clone() {
            Ok(line) => Arc::new(Mutex::new(line)),
            Err(e) => return e.into(),
        };
        let session = self.session.get_or_init(|| Session {
            output: Output::new(sender),
            opcodes: bits,
            tenant: admitted.tenant,
            passed,
            acquaintances: Acquaintances::new(Arc::clone(&line), |protocol, of, fds| {
                self.join_lane(protocol, of, fds);
            })
            .inspect_err(|e| tracing::warn!("the daemon cannot be heard: {e}"))
            .ok(),
            lanes: admitted.lanes.then(Lanes::default),
        });
        match watched {
            // A kernel may run for hours: the threads that wait for it do not see the client go, this one does.
            Ok(fd) => on_hang_up("client-watch", fd, || self.close(exit::CLIENT_GONE)),
            Err(e) => return e.into(),
        }
        let header = Header {
            len: u32::try_from(snapshot.len()).unwrap_or(u32::MAX),
            opcode: SNAPSHOT,
            ..Header::default()
        };
        session.output.send(&header, snapshot, &[]);
        report(line, session, Arc::clone(&received));
        let lanes = session.lanes.as_ref().map(|lanes| &lanes.incoming);
        self.threads
            .run(self, Input::new(receiver, received, lanes))
    }

    /// The daemon has a lane for the session.
    fn join_lane(&'static self, protocol: &str, of: u8, fds: Vec<OwnedFd>) {
        let Some(session) = self.session.get() else {
            return;
        };
        let Some(lanes) = &session.lanes else {
            return;
        };
        let joined = communicator::by_protocol(protocol)
            .ok_or_else(|| std::io::Error::other("an unknown communicator"))
            .and_then(|communicator| communicator.adopt(fds))
            .and_then(|lane| lanes.join(lane, of, |error| self.lane_over(error)));
        match joined {
            Ok(false) => {}
            Ok(true) => {
                tracing::debug!("{of} lanes");
                session.output.use_lanes(&lanes.outgoing);
            }
            Err(e) => tracing::warn!("a lane could not join: {e}"),
        }
    }

    /// A lane has ended, and with it the session.
    fn lane_over(&'static self, error: &std::io::Error) -> ! {
        if error.kind() == std::io::ErrorKind::InvalidData {
            tracing::warn!("the client broke the protocol: {error}");
            self.close(exit::VIOLATION)
        }
        tracing::debug!("a lane ended: {error}");
        self.close(exit::CLIENT_GONE)
    }

    /// Lets the plugins close, but not for long, and exits.
    fn close(&'static self, code: i32) -> ! {
        if self.closing.swap(true, Ordering::AcqRel) {
            // The first one's code counts.
            thread::sleep(2 * CLOSE_TIME);
            exit_now(code)
        }
        let closing = thread::Builder::new().name("close".into()).spawn(move || {
            self.plugins
                .get()
                .into_iter()
                .flatten()
                .for_each(Plugin::close);
            exit_now(code);
        });
        if closing.is_ok() {
            thread::sleep(CLOSE_TIME);
        }
        exit_now(code)
    }

    fn plugin(&self, opcode: u16) -> Option<&Plugin> {
        self.plugins.get()?.iter().find(|p| p.serves(opcode))
    }

    /// Answers a command that this session does not have.
    fn refuse(&self, header: &Header) {
        tracing::debug!("opcode {:#06x} is not supported", header.opcode);
        let Some(session) = self.session.get() else {
            return;
        };
        if header.wants_reply() {
            let reply = Header {
                opcode: REPLY,
                sequence: header.sequence,
                thread: header.thread,
                context: NOT_SUPPORTED as u32,
                ..Header::default()
            };
            session.output.send(&reply, &[], &[]);
            return;
        }
        let mut payload = Vec::new();
        AsyncError {
            sequence: header.sequence,
            thread: header.thread,
            context: header.context,
            status: NOT_SUPPORTED,
            sticky: false,
            opcode: header.opcode,
        }
        .encode(&mut payload);
        let push = Header {
            len: payload.len() as u32,
            opcode: ASYNC_ERROR,
            sequence: header.sequence,
            thread: header.thread,
            ..Header::default()
        };
        session.output.send(&push, &payload, &[]);
    }
}

/// The core's snapshot, checked; its gist goes into `ready`.
fn describe(plugins: &[Plugin], ready: &mut Ready) -> Result<Vec<u8>, String> {
    let Some(core) = plugins.iter().find(|p| p.name() == CORE) else {
        let why = ready.failed_plugins.iter().find(|(name, _)| name == CORE);
        return Err(match why {
            Some((_, why)) => format!("plugin {CORE}: {why}"),
            None => format!("plugin {CORE} is not there"),
        });
    };
    let bytes = core.snapshot();
    let snapshot: Snapshot =
        decode_all(&bytes).map_err(|e| format!("plugin {CORE}: its snapshot: {e}"))?;
    ready.driver_version = snapshot.driver_version;
    ready.cpu = snapshot.ptx_only;
    ready.devices = snapshot.devices.into_iter().map(|d| d.name).collect();
    tracing::info!(
        "ready: {} (driver API {}.{}), plugins {}",
        if ready.devices.is_empty() {
            "no device".to_owned()
        } else {
            ready.devices.join(", ")
        },
        ready.driver_version / 1000,
        ready.driver_version % 1000 / 10,
        ready.plugins.join(", "),
    );
    Ok(bytes)
}

/// Tells the daemon now and then what the session has done.
fn report(line: Arc<Mutex<Channel>>, session: &'static Session, received: Arc<Received>) {
    let report = move || {
        let mut last = Counters::default();
        let lanes = session.lanes.as_ref();
        loop {
            thread::sleep(COUNTERS_INTERVAL);
            let now = Counters {
                frames: received.frames.load(Ordering::Relaxed),
                bytes_in: received.bytes.load(Ordering::Relaxed)
                    + lanes.map_or(0, |lanes| lanes.incoming.bytes()),
                bytes_out: session.output.bytes.load(Ordering::Relaxed)
                    + lanes.map_or(0, |lanes| lanes.outgoing.bytes()),
            };
            if now != last && line.lock().send(&FromWorker::Counters(now)).is_err() {
                return;
            }
            last = now;
        }
    };
    // Status is a nicety: without the thread there are no figures.
    let _ = thread::Builder::new().name("counters".into()).spawn(report);
}

impl Handler for Worker {
    fn frame(&self, header: &Header, payload: &[u8]) {
        let known = self.session.get().is_some_and(|s| {
            s.opcodes[usize::from(header.opcode / 64)] >> (header.opcode % 64) & 1 == 1
        });
        match self.plugin(header.opcode) {
            Some(plugin) if known => plugin.dispatch(header, payload),
            _ => self.refuse(header),
        }
    }

    fn idle(&self, last: bool) -> bool {
        let plugins = self.plugins.get().into_iter().flatten();
        // Each of them is told.
        plugins.filter(|plugin| plugin.idle(last)).count() > 0
    }
}

impl ffi::Host for Worker {
    fn send(&'static self, header: &Header, payload: &[u8], bulk: &'static [u8]) -> bool {
        self.session
            .get()
            .is_some_and(|s| s.output.send(header, payload, bulk))
    }

    fn send_start(&'static self, header: &Header, payload: &[u8]) -> bool {
        self.session
            .get()
            .is_some_and(|s| s.output.send_start(header, payload))
    }

    fn send_bulk(&'static self, bytes: &'static [u8]) -> Option<Sending> {
        self.session.get()?.output.send_bulk(bytes)
    }

    fn read_bulk(&'static self, into: &'static mut [u8]) -> Reading {
        if let Some(payload) = lead::bulk() {
            return match payload.place(into) {
                true => Reading::Upto(payload.placed()),
                false => Reading::Failed,
            };
        }
        match lead::with_input(|input| input.read_bulk(into)) {
            Some(true) => Reading::Done,
            _ => Reading::Failed,
        }
    }

    fn read_wait(&'static self, upto: u64) -> bool {
        lead::bulk().is_none_or(|payload| payload.wait(upto))
    }

    fn may_block(&'static self) {
        self.threads.may_block(self);
    }

    fn frame_waits(&'static self) -> bool {
        lead::with_input(Input::ready).unwrap_or(true)
    }

    fn following(
        &'static self,
        header: &Header,
        take: impl FnOnce(&Header, &[u8]) -> bool,
    ) -> bool {
        lead::with_input(|input| input.following(header, take)).unwrap_or(false)
    }

    fn take_descriptor(&'static self, tag: u64) -> Option<OwnedFd> {
        let passed = self.session.get()?.passed.as_ref()?;
        passed
            .take(tag)
            .inspect_err(|e| tracing::warn!("the client's descriptor {tag}: {e}"))
            .ok()
    }

    fn identity(&'static self) -> &'static [u8] {
        let tenant = self.session.get().and_then(|s| s.tenant.as_deref());
        tenant.unwrap_or_default().as_bytes()
    }

    fn sessions(&'static self) -> Vec<SessionInfo> {
        let acquaintances = self.session.get().and_then(|s| s.acquaintances.as_ref());
        acquaintances.map(Acquaintances::ask).unwrap_or_default()
    }

    fn core(&'static self) -> Option<&'static Plugin> {
        let plugins = self.plugins.get()?;
        let at = match self.core.get() {
            Some(at) => *at,
            None => {
                let at = plugins.iter().position(|p| p.name() == CORE)?;
                *self.core.get_or_init(|| at)
            }
        };
        plugins.get(at)
    }

    fn log(&'static self, level: u32, text: &str) {
        match level {
            ..=1 => tracing::error!("{text}"),
            2 => tracing::warn!("{text}"),
            3 => tracing::info!("{text}"),
            4 => tracing::debug!("{text}"),
            _ => tracing::trace!("{text}"),
        }
    }

    fn fail(&'static self, text: &str) {
        tracing::warn!("a plugin ends the session: {text}");
        exit_now(exit::PLUGIN)
    }
}
