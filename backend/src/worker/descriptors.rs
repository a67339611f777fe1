//! Descriptors that the client passes beside the stream of commands: memory that both ends share.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use gvirtus_wire::communicator::shm::Descriptors;
use parking_lot::Mutex;

/// A client passes a descriptor before the command that names it, so it is there or about to be.
const PATIENCE: Duration = Duration::from_secs(5);
/// Descriptors that were passed and not asked for yet: threads of the client may overtake each other.
const MOST_KEPT: usize = 64;

/// Those of one session.
pub(super) struct Passed {
    line: Descriptors,
    kept: Mutex<VecDeque<(u64, OwnedFd)>>,
}

impl Passed {
    pub(super) fn new(line: Descriptors) -> Self {
        Self {
            line,
            kept: Mutex::default(),
        }
    }

    /// The descriptor that the client passed under `tag`.
    pub(super) fn take(&self, tag: u64) -> std::io::Result<OwnedFd> {
        let mut kept = self.kept.lock();
        loop {
            if let Some(at) = kept.iter().position(|(known, _)| *known == tag)
                && let Some((_, fd)) = kept.remove(at)
            {
                return Ok(fd);
            }
            let next = self.line.receive(PATIENCE)?;
            kept.push_back(next);
            if kept.len() > MOST_KEPT {
                kept.pop_front();
            }
        }
    }
}
