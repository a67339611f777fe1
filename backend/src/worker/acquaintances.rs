//! What the daemon says during a session: which others there are, and lanes that join.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gvirtus_wire::plugin::SessionInfo;
use parking_lot::{Condvar, Mutex};

use super::channel::Channel;
use crate::control::{FromWorker, ToWorker};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers of the daemon, as they come in.
#[derive(Default)]
struct Answers {
    latest: Mutex<(u64, Vec<SessionInfo>)>,
    come: Condvar,
}

/// The line to the daemon, to ask.
pub(super) struct Acquaintances {
    channel: Arc<Mutex<Channel>>,
    asking: Mutex<()>,
    answers: Arc<Answers>,
}

impl Acquaintances {
    /// Starts a thread that reads what the daemon says once there is a session: its answers, and lanes that join (protocol, how many there will be, descriptors).
    pub(super) fn new(
        channel: Arc<Mutex<Channel>>,
        join_lane: impl Fn(&str, u8, Vec<OwnedFd>) + Send + 'static,
    ) -> io::Result<Self> {
        let answers = Arc::new(Answers::default());
        let mut reading = channel.lock().try_clone()?;
        let to = Arc::clone(&answers);
        thread::Builder::new()
            .name("daemon".into())
            .spawn(move || {
                // That the daemon is gone, another thread notices.
                while let Ok((message, fds)) = reading.receive() {
                    match message {
                        ToWorker::Sessions(sessions) => {
                            let mut latest = to.latest.lock();
                            latest.0 += 1;
                            latest.1 = sessions.into_iter().map(Into::into).collect();
                            to.come.notify_all();
                        }
                        ToWorker::Lane { protocol, of } => join_lane(&protocol, of, fds),
                        _ => {}
                    }
                }
            })?;
        Ok(Self {
            channel,
            asking: Mutex::new(()),
            answers,
        })
    }

    /// The sessions of this one's tenant; none if the daemon does not answer.
    pub(super) fn ask(&self) -> Vec<SessionInfo> {
        // One at a time: an answer is to the question before it.
        let _asking = self.asking.lock();
        let mut latest = self.answers.latest.lock();
        let before = latest.0;
        if let Err(e) = self.channel.lock().send(&FromWorker::AskSessions) {
            tracing::warn!("the daemon cannot be asked for sessions: {e}");
            return Vec::new();
        }
        let timed_out = self
            .answers
            .come
            .wait_while_for(&mut latest, |latest| latest.0 == before, PATIENCE)
            .timed_out();
        if timed_out {
            tracing::warn!("the daemon does not say which sessions there are");
            return Vec::new();
        }
        latest.1.clone()
    }
}

impl From<crate::control::SessionInfo> for SessionInfo {
    fn from(from: crate::control::SessionInfo) -> Self {
        Self {
            worker: from.worker,
            pid: from.pid,
            host: from.host,
            program: from.program,
        }
    }
}
