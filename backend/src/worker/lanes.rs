//! The session's lanes: further connections of its client, handed over by the daemon as they join, that carry large payloads.
#![forbid(unsafe_code)]

use std::io;
use std::thread;

use gvirtus_wire::communicator::{Connection, Receiver, Sender};
use gvirtus_wire::lanes::{Incoming, MOST, Outgoing};
use parking_lot::Mutex;

/// Lanes of one session.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    /// Those that have joined while others are still to come, and of how many.
    joined: Mutex<(usize, Vec<Connection>)>,
}

impl Lanes {
    /// Another lane has joined. When it is the last, all begin to work, and true is returned; `over` is called when one of them ends.
    pub(super) fn join(
        &'static self,
        connection: Connection,
        of: u8,
        over: impl Fn(&io::Error) + Copy + Send + 'static,
    ) -> io::Result<bool> {
        let of = usize::from(of);
        let mut joined = self.joined.lock();
        if joined.1.is_empty() {
            joined.0 = of;
        }
        if joined.0 != of || of > MOST {
            return Err(io::Error::other("lanes that disagree on how many they are"));
        }
        joined.1.push(connection);
        if joined.1.len() < of {
            return Ok(false);
        }
        for (number, connection) in std::mem::take(&mut joined.1).into_iter().enumerate() {
            let (receiver, sender) = connection.split();
            self.start(number, receiver, sender, over)?;
        }
        Ok(true)
    }

    fn start(
        &'static self,
        number: usize,
        mut receiver: Box<dyn Receiver>,
        mut sender: Box<dyn Sender>,
        over: impl Fn(&io::Error) + Copy + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new()
            .name(format!("lane-in-{number}"))
            .spawn(move || over(&self.incoming.run(receiver.as_mut())))?;
        thread::Builder::new()
            .name(format!("lane-out-{number}"))
            .spawn(move || over(&self.outgoing.run(sender.as_mut())))?;
        Ok(())
    }
}
