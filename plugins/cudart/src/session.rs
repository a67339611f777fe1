//! The session: everything that the plugin keeps, and how a frame becomes a call of a handler.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use gvirtus_wire::api::core::{self, AsyncError, COMMANDS};
use gvirtus_wire::codec::Wire;
use gvirtus_wire::command::{Answer, Command, Dispatched, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::{Mutex, RwLock};

use crate::arrays::{Array, Mipmap};
use crate::choose::{self, Config};
use crate::contexts::Context;
use crate::driver::Driver;
use crate::errors::{self, Result, SUCCESS, Status, is_sticky};
use crate::events::Event;
use crate::graph::{Capture, Exec, Graph};
use crate::green::Pieces;
use crate::host::{self, Host};
use crate::host_function::HostFunctions;
use crate::host_memory::HostMemory;
use crate::image_cache::ImageCache;
use crate::ipc::Ipc;
use crate::launch::Last;
use crate::launch_threads::LaunchThreads;
use crate::link::Link;
use crate::memory::Memory;
use crate::modules::{Function, Module};
use crate::output::Output;
use crate::physical::Physical;
use crate::poller;
use crate::progress::{Lane, Progress};
use crate::streams::Stream;
use crate::table::Table;
use crate::texture_references::Reference;
use crate::textures::Objects;

/// A stream with so many markers on their way can do without another for a while.
const MARKS_AHEAD: u64 = 2;

/// One session. It is made once per worker process and never freed: threads of the driver may call back until the process ends.
pub(crate) struct Session {
    pub(crate) host: &'static Host,
    pub(crate) driver: &'static Driver,
    pub(crate) config: Config,
    /// The driver is the CPU device.
    pub(crate) cpu: bool,
    /// Number of devices.
    pub(crate) devices: u32,
    pub(crate) contexts: RwLock<HashMap<u32, Arc<Context>>>,
    /// Held while a device's primary context is made.
    pub(crate) retaining: Mutex<()>,
    pub(crate) memory: Memory,
    pub(crate) physical: Physical,
    pub(crate) ipc: Ipc,
    pub(crate) host_memory: HostMemory,
    pub(crate) streams: Table<Arc<Stream>>,
    pub(crate) events: Table<Arc<Event>>,
    pub(crate) modules: Table<Arc<Module>>,
    pub(crate) links: Table<Arc<Link>>,
    pub(crate) functions: Table<Arc<Function>>,
    pub(crate) arrays: Table<Arc<Array>>,
    pub(crate) mipmaps: Table<Arc<Mipmap>>,
    pub(crate) objects: Objects,
    pub(crate) texture_references: Table<Arc<Reference>>,
    pub(crate) surface_references: Table<Arc<Reference>>,
    /// Groups of multiprocessors.
    pub(crate) pieces: Pieces,
    pub(crate) graphs: Table<Arc<Graph>>,
    pub(crate) execs: Table<Arc<Exec>>,
    pub(crate) captures: Mutex<Vec<Arc<Capture>>>,
    pub(crate) host_functions: HostFunctions,
    pub(crate) progress: Progress,
    pub(crate) output: Output,
    pub(crate) launch_threads: LaunchThreads,
    /// Used by the thread that reads frames alone.
    pub(crate) last: Mutex<Option<Last>>,
    /// Once a module asked for it.
    pub(crate) image_cache: OnceLock<Option<ImageCache>>,
    me: OnceLock<&'static Session>,
}

impl Session {
    /// Loads the driver, makes the first device's context, starts the threads.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(crate) fn create(
        host: &'static Host,
        config: &[u8],
    ) -> std::result::Result<&'static Self, String> {
        let config: Config =
            serde_json::from_slice(config).map_err(|e| format!("the configuration: {e}"))?;
        let output = if config.capture_output {
            Output::take_over().map_err(|e| format!("standard output cannot be caught: {e}"))?
        } else {
            Output::none()
        };
        let chosen = choose::choose(&config, host)?;
        let session: &'static Self = Box::leak(Box::new(Self {
            host,
            driver: chosen.driver,
            cpu: chosen.cpu,
            devices: chosen.devices,
            contexts: RwLock::new(HashMap::new()),
            retaining: Mutex::new(()),
            memory: Memory::new(),
            physical: Physical::default(),
            ipc: Ipc::default(),
            host_memory: HostMemory::new(config.max_host_bytes),
            streams: Table::new(),
            events: Table::new(),
            modules: Table::new(),
            links: Table::new(),
            functions: Table::new(),
            arrays: Table::new(),
            mipmaps: Table::new(),
            objects: Objects::default(),
            texture_references: Table::new(),
            surface_references: Table::new(),
            pieces: Pieces::default(),
            graphs: Table::new(),
            execs: Table::new(),
            captures: Mutex::new(Vec::new()),
            host_functions: HostFunctions::default(),
            progress: Progress::new(),
            output,
            launch_threads: LaunchThreads::new(config.launch_threads),
            last: Mutex::new(None),
            image_cache: OnceLock::new(),
            me: OnceLock::new(),
            config,
        }));
        let _ = session.me.set(session);
        session
            .retain_primary(0)
            .map_err(|s| format!("the context of device 0: {}", errors::name(s)))?;
        poller::start(session).map_err(|e| format!("a thread cannot be started: {e}"))?;
        Ok(session)
    }

    /// The session as those see it who may outlive every borrow: the driver's threads.
    pub(crate) fn forever(&self) -> &'static Self {
        self.me.get().copied().unwrap_or_else(|| {
            unreachable!("sessions are made by `create`, which stores this reference")
        })
    }

    /// Executes one frame.
    pub(crate) fn dispatch(&self, header: &Header, payload: &[u8]) {
        if self.hand_out(header, payload) {
            return;
        }
        self.launch_threads.drain();
        let run = AssertUnwindSafe(|| {
            match header.opcode {
                core::Launch::OPCODE => {}
                // They destroy nothing.
                core::StreamSynchronize::OPCODE
                | core::ContextSynchronize::OPCODE
                | core::Copy::OPCODE => self.issue_held_launches(),
                _ => self.forget_last_launch(),
            }
            core::dispatch(self, header, payload)
        });
        match catch_unwind(run) {
            Ok(Ok(Dispatched::Done(reply))) => {
                if header.wants_reply() {
                    self.reply(header, SUCCESS, &reply);
                }
            }
            Ok(Ok(Dispatched::Sent)) => {}
            Ok(Ok(Dispatched::Failed(status))) => self.failed(header, status),
            Ok(Err(error)) => self.host.fail(&format!(
                "frame {} ({}): {error}",
                header.sequence,
                command_name(header.opcode)
            )),
            Err(_) => self.host.fail(&format!(
                "frame {} ({}): the handler panicked",
                header.sequence,
                command_name(header.opcode)
            )),
        }
    }

    fn reply(&self, header: &Header, status: Status, payload: &[u8]) {
        let reply = Header {
            opcode: core::REPLY,
            sequence: header.sequence,
            thread: header.thread,
            context: status as u32,
            ..Header::default()
        };
        self.host.send(reply, payload, &[]);
    }

    pub(crate) fn failed(&self, header: &Header, status: Status) {
        self.host.log(
            host::DEBUG,
            &format!(
                "{} (frame {}): {}",
                command_name(header.opcode),
                header.sequence,
                errors::name(status)
            ),
        );
        let sticky = is_sticky(status);
        if sticky && let Ok(context) = self.context(header.context) {
            self.poison(&context, status);
        }
        if header.wants_reply() {
            self.reply(header, status, &[]);
        } else if !sticky {
            self.push_error(header, header.context, status, false);
        }
    }

    /// Tells the client of a failure that no reply carries.
    pub(crate) fn push_error(&self, of: &Header, context: u32, status: Status, sticky: bool) {
        let message = AsyncError {
            sequence: of.sequence,
            thread: of.thread,
            context,
            status,
            sticky,
            opcode: of.opcode,
        };
        self.host
            .push(core::ASYNC_ERROR, of.sequence, &message, &[]);
    }

    /// After a synchronising call and before its reply: what the device printed, what the GPU wrote to pinned memory, progress.
    pub(crate) fn settle(&self) {
        self.output.forward(self.host);
        self.progress.settle(self.host, |_| 0);
    }

    /// The reply to a synchronization that succeeded, from which the client knows how far the lanes are that `synchronized` is true of; about them no message is sent. What
    /// must come before the reply does, the rest is seen to when the client has it.
    pub(crate) fn synchronized(
        &self,
        header: &Header,
        synchronized: impl Fn(&Arc<Lane>) -> bool,
    ) -> Answer<()> {
        // The client may have gone on, and what it has issued since may be complete as well: of that a message is due.
        let synchronized = |lane: &Arc<Lane>| {
            if synchronized(lane) {
                header.sequence
            } else {
                0
            }
        };
        if !header.wants_reply() {
            self.output.forward(self.host);
            self.progress.settle(self.host, synchronized);
            return Answer::Now(());
        }
        self.reply_first(synchronized, || self.reply(header, SUCCESS, &[]));
        Answer::Sent
    }

    /// Sends a reply from which the client knows that the lanes are complete up to the commands that `replied` gives for them, and tells of what else has completed: after it, unless
    /// something is due that the client must have before.
    pub(crate) fn reply_first(&self, replied: impl Fn(&Arc<Lane>) -> u64, reply: impl FnOnce()) {
        let due = self.progress.owes_bytes() || self.output.expected();
        if due {
            self.output.forward(self.host);
            self.progress.settle(self.host, &replied);
        }
        reply();
        if !due {
            self.progress.settle(self.host, replied);
        }
    }

    /// The input is drained: markers that were put off are placed now, but on streams that have some before them, whose completion is soon enough to place another unless this is the `last` time; whether there are
    /// such. A program that launches one kernel after the other, with lulls between, would otherwise have a marker behind each, which takes the GPU about a microsecond.
    pub(crate) fn idle(&self, last: bool) -> bool {
        self.launch_threads.drain();
        self.forget_last_launch();
        self.progress
            .mark_dirty(self, |lane| last || lane.ahead() < MARKS_AHEAD)
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        self.output.forward(self.host);
        self.progress.closed.store(true, Ordering::Release);
        self.progress.poller.wake();
        self.host_functions.wake_all();
    }

    /// Gives the encoded snapshot.
    pub(crate) fn encoded_snapshot(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.snapshot()?.encode(&mut bytes);
        Ok(bytes)
    }
}

impl Handler<core::Ping> for Session {
    fn handle(&self, _: &Header, _: core::Ping) -> Result<Answer<()>> {
        Ok(Answer::Now(()))
    }
}

fn command_name(opcode: u16) -> &'static str {
    COMMANDS
        .iter()
        .find(|c| c.opcode == opcode)
        .map_or("unknown opcode", |c| c.name)
}
