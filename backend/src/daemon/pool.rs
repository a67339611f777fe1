//! Workers kept warm: a context costs 310 ms and half a gigabyte, so some are made ahead of their clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Provisions;
use super::process::{Environment, State, Worker};
use crate::control::Ready;

/// Pauses between attempts to warm a worker after failures, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The warm workers of a daemon. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    provisions: Provisions,
    /// Workers to keep warm, for clients that set no variables.
    target: usize,
    start_timeout: Duration,
    state: Mutex<Warm>,
    failures: AtomicU32,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Warm {
    workers: Vec<Worker>,
    closed: bool,
    /// A pause after a failure is running; it refills when it is over.
    pausing: bool,
}

/// What was last learned of the device: for status.
#[derive(Default, Clone)]
pub(super) struct Latest {
    pub(super) ready: Option<Arc<Ready>>,
    pub(super) failure: Option<String>,
}

impl Pool {
    pub(super) fn new(provisions: Provisions, target: usize, start_timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            provisions,
            target,
            start_timeout,
            state: Mutex::default(),
            failures: AtomicU32::new(0),
            latest: Mutex::default(),
        }))
    }

    pub(super) fn provisions(&self) -> &Provisions {
        &self.0.provisions
    }

    pub(super) fn latest(&self) -> Latest {
        self.0.latest.lock().clone()
    }

    /// Process ids of the warm workers, and whether each is ready.
    pub(super) fn warm(&self) -> Vec<(u32, bool)> {
        let state = self.0.state.lock();
        let ready = |w: &Worker| matches!(*w.state.borrow(), State::Ready(_));
        state.workers.iter().map(|w| (w.pid, ready(w))).collect()
    }

    /// Starts as many workers as are missing.
    pub(super) fn refill(&self) {
        let mut state = self.0.state.lock();
        state.workers.retain(Worker::usable);
        while !state.closed && !state.pausing && state.workers.len() < self.0.target {
            match Worker::start(&self.0.provisions, Environment::new()) {
                Ok(worker) => {
                    tracing::debug!("worker {} is warming up", worker.pid);
                    tokio::spawn(self.clone().follow(worker.state.clone(), worker.pid));
                    state.workers.push(worker);
                }
                Err(e) => {
                    tracing::error!("cannot start a worker: {e}");
                    self.0.latest.lock().failure = Some(format!("cannot start a worker: {e}"));
                    self.pause(&mut state);
                }
            }
        }
    }

    /// Lets go of the warm workers for good.
    pub(super) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        state.workers.clear();
    }

    /// Watches a warming or warm worker: one that fails is replaced, after a pause.
    async fn follow(self, mut state: tokio::sync::watch::Receiver<State>, pid: u32) {
        let failure = loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Starting => {}
                State::Ready(ready) => self.learned(ready),
                State::Failed(why) => break why,
                State::Exited { how, .. } => break format!("a worker {how}"),
            }
            if state.changed().await.is_err() {
                return;
            }
        };
        let mut warm = self.0.state.lock();
        let before = warm.workers.len();
        warm.workers.retain(|w| w.pid != pid);
        if warm.closed || warm.workers.len() == before {
            // It serves a session; its end is that session's matter.
            return;
        }
        tracing::error!("no warm worker: {failure}");
        self.0.latest.lock().failure = Some(failure);
        self.pause(&mut warm);
    }

    fn learned(&self, ready: Arc<Ready>) {
        self.0.failures.store(0, Ordering::Relaxed);
        *self.0.latest.lock() = Latest {
            ready: Some(ready),
            failure: None,
        };
    }

    fn pause(&self, state: &mut Warm) {
        if std::mem::replace(&mut state.pausing, true) {
            return;
        }
        let failures = self.0.failures.fetch_add(1, Ordering::Relaxed).min(10);
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep((FIRST_PAUSE * 2u32.pow(failures)).min(LONGEST_PAUSE)).await;
            pool.0.state.lock().pausing = false;
            pool.refill();
        });
    }

    /// A ready worker for a client with these variables: a warm one if it fits, else a new one.
    /// The next client's worker warms up after [`refill`](Self::refill), which forks: the caller's client need not wait for that.
    pub(super) async fn take(&self, environment: Environment) -> Result<Worker, String> {
        loop {
            let warm = self.take_warm(&environment);
            let was_warm = warm.is_some();
            let mut worker = match warm {
                Some(worker) => worker,
                None => Worker::start(&self.0.provisions, environment.clone())
                    .map_err(|e| format!("cannot start a worker: {e}"))?,
            };
            let ready = tokio::time::timeout(self.0.start_timeout, worker.ready()).await;
            match ready {
                Ok(Ok(ready)) => {
                    self.learned(ready);
                    return Ok(worker);
                }
                // A warm worker may have died since; a fresh one tells whether that is the rule.
                Ok(Err(why)) if was_warm => tracing::warn!("a warm worker is of no use: {why}"),
                Ok(Err(why)) => {
                    self.0.latest.lock().failure = Some(why.clone());
                    return Err(why);
                }
                Err(_) => {
                    return Err(format!(
                        "the device was not ready within {:?} (worker_timeout)",
                        self.0.start_timeout
                    ));
                }
            }
        }
    }

    fn take_warm(&self, environment: &Environment) -> Option<Worker> {
        let mut state = self.0.state.lock();
        let fits = |w: &Worker| w.usable() && w.environment == *environment;
        let ready = |w: &Worker| matches!(*w.state.borrow(), State::Ready(_));
        let at = state
            .workers
            .iter()
            .position(|w| fits(w) && ready(w))
            .or_else(|| state.workers.iter().position(fits))?;
        Some(state.workers.swap_remove(at))
    }
}
