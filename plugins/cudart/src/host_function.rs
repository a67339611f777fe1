//! Host functions: the stream stops while the client runs them; and pulls, by which a stream fetches pinned memory of the client as it is when the stream gets there.
//!
//! The driver is given numbers, not pointers: what a number means is looked up when the driver calls, so a graph that outlives its session's bookkeeping does no harm.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::{
    self, Extent, HostCall, HostCallDone, HostFunction, Plane, PullData, PullRequest,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::{Condvar, Mutex};

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_VALUE, Result, SUCCESS};
use crate::host;
use crate::host_memory::{HostWrite, read_into_shadow};
use crate::session::Session;
use crate::shape::Box3;
use crate::streams::Stream;

enum What {
    /// Call the client's function of this id.
    Call(u64),
    /// Fetch a box of the client's memory.
    Pull(Plane, Extent),
}

struct Node {
    session: &'static Session,
    what: What,
    /// Not part of a graph: called at most once.
    once: bool,
    /// What the same graph has written to pinned memory before.
    writes: Vec<HostWrite>,
}

static NODES: LazyLock<Mutex<HashMap<usize, Arc<Node>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Keeps a node known for as long as its graph lives.
pub(crate) struct NodeKey(usize);

impl Drop for NodeKey {
    fn drop(&mut self) {
        NODES.lock().remove(&self.0);
    }
}

/// What waits for the client.
#[derive(Default)]
struct Waiting {
    /// By id of the host function: how many wait, and how many answers nobody has taken yet.
    calls: HashMap<u64, (u32, u32)>,
    pulls: HashMap<u64, (Plane, Extent, bool)>,
}

/// How long a call that waits for the GPU inside the driver is put off while host functions are outstanding.
const PATIENCE: Duration = Duration::from_secs(5);

/// The session's host functions in flight.
#[derive(Default)]
pub(crate) struct HostFunctions {
    /// Enqueued and not yet finished, graphs aside. Locked while a call runs that waits inside the driver, see [`quietly`](Self::quietly).
    outstanding: Mutex<usize>,
    finished: Condvar,
    waiting: Mutex<Waiting>,
    answered: Condvar,
    next_pull: AtomicU64,
}

impl HostFunctions {
    /// Runs a call that waits for the GPU while it holds the driver's locks (unregistering memory, loading and unloading modules).
    ///
    /// The thread that reads frames may need those locks for its next command, and a host function ends only when that thread reads the client's answer: so such a call
    /// runs when none is outstanding, and none is enqueued meanwhile. Not on the thread that reads frames.
    pub(crate) fn quietly<R>(&self, call: impl FnOnce() -> R) -> R {
        let mut outstanding = self.outstanding.lock();
        let until = Instant::now() + PATIENCE;
        while *outstanding > 0 {
            if self
                .finished
                .wait_until(&mut outstanding, until)
                .timed_out()
            {
                // A program that never lets go of its host functions: as good as natively.
                drop(outstanding);
                return call();
            }
        }
        call()
    }

    fn end_one(&self) {
        let mut outstanding = self.outstanding.lock();
        *outstanding = outstanding.saturating_sub(1);
        drop(outstanding);
        self.finished.notify_all();
    }

    /// The session is over: nobody waits any more.
    pub(crate) fn wake_all(&self) {
        let _waiting = self.waiting.lock();
        self.answered.notify_all();
    }
}

/// What the driver calls when a stream gets to a host function.
unsafe extern "C" fn reached(user: *mut c_void) {
    let key = user as usize;
    let node = {
        let mut nodes = NODES.lock();
        let Some(node) = nodes.get(&key).cloned() else {
            return;
        };
        if node.once {
            nodes.remove(&key);
        }
        node
    };
    let run = std::panic::AssertUnwindSafe(|| {
        node.session.run_node(&node);
        if node.once {
            node.session.host_functions.end_one();
        }
    });
    if std::panic::catch_unwind(run).is_err() {
        node.session
            .host
            .fail("a host function's bookkeeping panicked");
    }
}

impl Session {
    fn run_node(&self, node: &Node) {
        self.output.forward(self.host);
        // The client's function, and its memory that is pulled, must see what the GPU has written before.
        self.progress.writes_before_host_call(self.host);
        for write in &node.writes {
            if let Ok(shape) = Box3::new(&write.plane, &write.extent) {
                self.host_memory
                    .with_shadow(write.plane.address, shape.span(), |_| {
                        write.send(self.host, &self.progress.mapped);
                    });
            }
        }
        match &node.what {
            What::Call(id) => self.call_client(*id),
            What::Pull(plane, extent) => self.pull(plane, extent),
        }
    }

    fn over(&self) -> bool {
        self.progress.closed.load(Ordering::Acquire)
    }

    fn call_client(&self, id: u64) {
        let functions = &self.host_functions;
        functions.waiting.lock().calls.entry(id).or_default().0 += 1;
        let call = HostCall {
            id,
            status: SUCCESS,
        };
        let sent = self.host.push(core::HOST_CALL, 0, &call, &[]);
        let mut waiting = functions.waiting.lock();
        loop {
            let Some(state) = waiting.calls.get_mut(&id) else {
                return;
            };
            if state.1 > 0 || !sent || self.over() {
                state.0 -= 1;
                state.1 = state.1.saturating_sub(1);
                if state.0 == 0 {
                    waiting.calls.remove(&id);
                }
                return;
            }
            functions.answered.wait(&mut waiting);
        }
    }

    fn pull(&self, plane: &Plane, extent: &Extent) {
        let functions = &self.host_functions;
        let id = functions.next_pull.fetch_add(1, Ordering::Relaxed) + 1;
        functions
            .waiting
            .lock()
            .pulls
            .insert(id, (plane.clone(), extent.clone(), false));
        let request = PullRequest {
            id,
            plane: plane.clone(),
            extent: extent.clone(),
        };
        let sent = self.host.push(core::PULL_REQUEST, 0, &request, &[]);
        let mut waiting = functions.waiting.lock();
        while sent && !self.over() && waiting.pulls.get(&id).is_some_and(|(_, _, done)| !done) {
            functions.answered.wait(&mut waiting);
        }
        waiting.pulls.remove(&id);
    }

    fn enqueue_node(&self, stream: &Stream, what: What) -> Result<()> {
        let capture = self.capture_of(stream);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        let node = Node {
            session: self.forever(),
            what,
            once: capture.is_none(),
            writes: capture.as_ref().map(|c| c.writes()).unwrap_or_default(),
        };
        NODES.lock().insert(key, Arc::new(node));
        let held = NodeKey(key);
        if capture.is_none() {
            *self.host_functions.outstanding.lock() += 1;
        }
        let launched = cu!(
            self.driver,
            cuLaunchHostFunc(stream.raw.ptr(), Some(reached), key as *mut c_void)
        );
        if launched.is_err() && capture.is_none() {
            self.host_functions.end_one();
        }
        launched?;
        match capture {
            Some(capture) => capture.hold_node(held),
            // The call itself takes it out.
            None => std::mem::forget(held),
        }
        Ok(())
    }

    /// Makes the stream fetch a box of the client's memory into its shadow.
    pub(crate) fn enqueue_pull(
        &self,
        stream: &Stream,
        plane: &Plane,
        extent: &Extent,
    ) -> Result<()> {
        self.enqueue_node(stream, What::Pull(plane.clone(), extent.clone()))
    }
}

impl Handler<HostFunction> for Session {
    fn handle(&self, header: &Header, command: HostFunction) -> Result<Answer<()>> {
        self.on_stream_then_reply(header, command.stream, |stream| {
            // The client may wait for nothing else: what comes before the function is told as it completes.
            self.enqueue_node(stream, What::Call(command.id))
        })
    }
}

impl Handler<HostCallDone> for Session {
    fn handle(&self, _: &Header, command: HostCallDone) -> Result<Answer<()>> {
        let mut waiting = self.host_functions.waiting.lock();
        match waiting.calls.get_mut(&command.id) {
            Some(state) if state.1 < state.0 => {
                state.1 += 1;
                self.host_functions.answered.notify_all();
                Ok(Answer::Now(()))
            }
            _ => Err(ERROR_INVALID_VALUE),
        }
    }
}

impl Handler<PullData> for Session {
    fn handle(&self, header: &Header, command: PullData) -> Result<Answer<()>> {
        let (plane, extent) = {
            let waiting = self.host_functions.waiting.lock();
            match waiting.pulls.get(&command.id) {
                Some((plane, extent, false)) => (plane.clone(), extent.clone()),
                _ => return Err(ERROR_INVALID_VALUE),
            }
        };
        let filled = read_into_shadow(self, &plane, &extent, header.bulk);
        if let Err(status) = filled {
            self.host.log(
                host::WARN,
                &format!(
                    "pulled memory could not be stored: {}",
                    crate::errors::name(status)
                ),
            );
        }
        // Whatever came: the stream must not stand still for ever.
        if let Some(pull) = self
            .host_functions
            .waiting
            .lock()
            .pulls
            .get_mut(&command.id)
        {
            pull.2 = true;
        }
        self.host_functions.answered.notify_all();
        filled.map(Answer::Now)
    }
}
