//! The receiving side where callers may read for themselves: over rings in memory, a thread that waits for a reply takes the inbox and gives what comes to whom it concerns, its own reply among it. From thread to thread a
//! reply would take as long again as from process to process.
//!
//! While nobody waits, or when who waits for a reply finds another at it already, the receiver thread sees to what comes.

use std::io;
use std::time::Duration;

use gvirtus_shm::Lookout;
use gvirtus_shm::spin::Spin;
use gvirtus_wire::communicator::watch;
use parking_lot::{Mutex, MutexGuard};

use super::Session;
use super::inbox::{Inbox, handle};

/// How long the receiver looks on before it sleeps.
const BETWEEN_FRAMES: Duration = Duration::from_micros(50);

/// The inbox, for one reader at a time.
pub(crate) struct Desk {
    inbox: Mutex<Inbox>,
    lookout: Lookout,
}

impl Desk {
    pub(super) fn new(inbox: Inbox, lookout: Lookout) -> Self {
        Self {
            inbox: Mutex::new(inbox),
            lookout,
        }
    }

    /// The receiver thread's life; returns what ended it.
    pub(super) fn attend(&self, session: &'static Session) -> io::Error {
        let lookout = &self.lookout;
        let mut spin = Spin::default();
        loop {
            if lookout.is_relieved() {
                lookout.rest();
            } else if lookout.is_needed() {
                match self.inbox.try_lock() {
                    Some(mut inbox) => {
                        if let Err(error) = all_that_came(session, &mut inbox) {
                            return error;
                        }
                    }
                    // Somebody who begins to read, or has just ended.
                    None => std::thread::yield_now(),
                }
            } else {
                let changed = || lookout.is_needed() || lookout.is_relieved();
                if !watch(BETWEEN_FRAMES, changed, || false) && !spin.look(changed) {
                    lookout.rest();
                }
            }
        }
    }

    /// For a thread that begins to wait for a reply.
    pub(super) fn turn(&'static self, session: &'static Session) -> Turn {
        Turn {
            desk: self,
            session,
            inbox: None,
        }
    }
}

/// Afterwards nothing is left that only the inbox knows of: who looks out sees what lies in the ring.
fn all_that_came(session: &'static Session, inbox: &mut Inbox) -> io::Result<()> {
    while inbox.has_frame()? {
        handle(session, inbox)?;
    }
    Ok(())
}

/// A waiting thread's turn at the desk, if it gets one.
pub(super) struct Turn {
    desk: &'static Desk,
    session: &'static Session,
    inbox: Option<MutexGuard<'static, Inbox>>,
}

impl Turn {
    /// Handles what has come, if nobody else is at it.
    #[inline]
    pub(super) fn help(&mut self) {
        if self.inbox.is_none() {
            self.inbox = self.desk.inbox.try_lock();
            if self.inbox.is_none() {
                return;
            }
            self.desk.lookout.relieve();
        }
        self.read(all_that_came);
    }

    /// Waits for the next frame and handles what comes; false if somebody else is at it.
    pub(super) fn rest(&mut self) -> bool {
        self.read(|session, inbox| {
            handle(session, inbox)?;
            all_that_came(session, inbox)
        })
    }

    fn read(&mut self, read: impl Fn(&'static Session, &mut Inbox) -> io::Result<()>) -> bool {
        let Some(inbox) = &mut self.inbox else {
            return false;
        };
        if let Err(error) = read(self.session, inbox) {
            // This ends the caller's waiting, too; and the receiver meets the same.
            self.session.lose(&error.to_string());
        }
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.inbox.is_some() {
            self.desk.lookout.resume();
        }
    }
}
