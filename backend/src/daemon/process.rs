//! One worker process, as the daemon sees it.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use gvirtus_wire::communicator::fds::send_with_fds;
use parking_lot::Mutex;
use rustix::io::fcntl_dupfd_cloexec;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

use super::Provisions;
use crate::control::{Counters, FromWorker, MAX_MESSAGE, Ready, ToWorker, encode, exit};

/// Client variables in force for a worker: what a warm worker must match.
pub(super) type Environment = Vec<(String, String)>;

/// How far a worker is.
#[derive(Debug, Clone)]
pub(super) enum State {
    Starting,
    Ready(Arc<Ready>),
    /// It said that it will not be ready; it exits.
    Failed(String),
    Exited {
        /// How, in words.
        how: String,
        /// Whether it crashed or gave up.
        abnormal: bool,
    },
}

/// A worker process. Dropping it closes the line to it, upon which it exits.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: u32,
    pub(super) environment: Environment,
    pub(super) state: watch::Receiver<State>,
    pub(super) counters: Arc<Mutex<Counters>>,
    pong: Arc<Notify>,
    /// It wants to know the sessions.
    pub(super) asks: Arc<Notify>,
    line: tokio::sync::Mutex<OwnedWriteHalf>,
}

impl Worker {
    /// Starts a process that loads the plugins and makes the device ready.
    pub(super) fn start(provisions: &Provisions, environment: Environment) -> io::Result<Self> {
        let (mut ours, theirs) = StdUnixStream::pair()?;
        // Far smaller than the socket's buffer, so this does not wait.
        ours.write_all(&encode(&ToWorker::Setup {
            plugins: provisions.plugins.clone(),
            config: provisions.config.clone(),
        })?)?;
        ours.set_nonblocking(true)?;
        let (reading, line) = UnixStream::from_std(ours)?.into_split();
        // Of this same program, even if its file has been replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("gvirtus-backend")
            .arg("--worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Whatever a library prints must not get among the daemon's own lines.
            .stdout(Stdio::from(fcntl_dupfd_cloexec(io::stderr(), 3)?))
            .envs(provisions.environment.iter().map(|(k, v)| (k, v)))
            .envs(environment.iter().map(|(k, v)| (k, v)))
            // A Ctrl-C in the daemon's terminal is the daemon's to handle.
            .process_group(0);
        let child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let (publish, state) = watch::channel(State::Starting);
        let counters = Arc::new(Mutex::new(Counters::default()));
        let pong = Arc::new(Notify::new());
        let asks = Arc::new(Notify::new());
        let supervisor = Supervisor {
            pid,
            publish,
            pong: Arc::clone(&pong),
            asks: Arc::clone(&asks),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(supervisor.watch(child, reading));
        Ok(Self {
            pid,
            environment,
            state,
            counters,
            pong,
            asks,
            line: tokio::sync::Mutex::new(line),
        })
    }

    /// Whether it might still serve a session.
    pub(super) fn usable(&self) -> bool {
        matches!(*self.state.borrow(), State::Starting | State::Ready(_))
    }

    /// Waits until it is ready, and sees that it is still there: it may have been so for days.
    pub(super) async fn ready(&mut self) -> Result<Arc<Ready>, String> {
        let ready = self.started().await?;
        let pong = Arc::clone(&self.pong);
        let answer = async {
            self.send(&ToWorker::Ping, &[]).await?;
            pong.notified().await;
            io::Result::Ok(())
        };
        let answered = tokio::select! {
            answer = answer => answer.map_err(|e| e.to_string()),
            (how, _) = exited(self.state.clone()) => Err(format!("a worker {how}")),
        };
        answered.map(|()| ready)
    }

    async fn started(&mut self) -> Result<Arc<Ready>, String> {
        loop {
            match &*self.state.borrow_and_update() {
                State::Starting => {}
                State::Ready(ready) => return Ok(Arc::clone(ready)),
                State::Failed(why) => return Err(why.clone()),
                State::Exited { how, .. } => return Err(format!("a worker {how} while starting")),
            }
            if self.state.changed().await.is_err() {
                return Err("a worker vanished while starting".into());
            }
        }
    }

    /// Hands it a client, or a lane of its client.
    pub(super) async fn assign(&self, message: &ToWorker, fds: &[OwnedFd]) -> io::Result<()> {
        self.send(message, fds).await
    }

    /// Tells it something.
    pub(super) async fn tell(&self, message: &ToWorker) -> io::Result<()> {
        self.send(message, &[]).await
    }

    async fn send(&self, message: &ToWorker, fds: &[OwnedFd]) -> io::Result<()> {
        // One message after the other: lanes join at any time.
        let line = self.line.lock().await;
        let line: &UnixStream = line.as_ref();
        let message = encode(message)?;
        let mut rest = message.as_slice();
        let mut fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        while !rest.is_empty() {
            let n = line
                .async_io(Interest::WRITABLE, || send_with_fds(line, rest, &fds))
                .await?;
            rest = &rest[n..];
            // They went with the first byte.
            fds.clear();
        }
        Ok(())
    }
}

/// Waits until a worker has exited; says how, and whether that was a crash.
pub(super) async fn exited(mut state: watch::Receiver<State>) -> (String, bool) {
    loop {
        if let State::Exited { how, abnormal } = &*state.borrow_and_update() {
            return (how.clone(), *abnormal);
        }
        if state.changed().await.is_err() {
            return ("vanished".into(), true);
        }
    }
}

struct Supervisor {
    pid: u32,
    publish: watch::Sender<State>,
    counters: Arc<Mutex<Counters>>,
    pong: Arc<Notify>,
    asks: Arc<Notify>,
}

impl Supervisor {
    /// Follows a worker to its end.
    async fn watch(self, mut child: Child, mut line: OwnedReadHalf) {
        while let Some(message) = self.receive(&mut line).await {
            match message {
                FromWorker::Ready(ready) => {
                    self.publish.send_replace(State::Ready(Arc::new(ready)));
                }
                FromWorker::Failed(why) => {
                    self.publish.send_replace(State::Failed(why));
                }
                FromWorker::Pong => self.pong.notify_one(),
                FromWorker::AskSessions => self.asks.notify_one(),
                FromWorker::Counters(counters) => *self.counters.lock() = counters,
            }
        }
        self.exited(child.wait().await);
    }

    /// The next message; `None` when the worker has closed its end.
    async fn receive(&self, line: &mut OwnedReadHalf) -> Option<FromWorker> {
        let len = line.read_u32_le().await.ok()? as usize;
        if len > MAX_MESSAGE {
            tracing::warn!("worker {}: a message of {len} bytes", self.pid);
            return None;
        }
        let mut body = vec![0; len];
        line.read_exact(&mut body).await.ok()?;
        serde_json::from_slice(&body)
            .inspect_err(|e| tracing::warn!("worker {}: {e}", self.pid))
            .ok()
    }

    fn exited(&self, status: io::Result<ExitStatus>) {
        let (how, abnormal) = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => (
                    format!("exited: {} (code {code})", exit::meaning(code)),
                    code != exit::CLIENT_GONE && code != exit::DAEMON_GONE,
                ),
                (None, Some(signal)) => (format!("was killed by signal {signal}"), true),
                (None, None) => ("ended".into(), true),
            },
            Err(e) => (format!("cannot be waited for: {e}"), true),
        };
        self.publish.send_replace(State::Exited { how, abnormal });
    }
}
