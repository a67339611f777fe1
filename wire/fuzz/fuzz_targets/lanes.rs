//! A lane's bytes, against payloads that have places and one that has none.
#![no_main]

use std::io;
use std::time::Duration;

use gvirtus_wire::communicator::Receiver;
use gvirtus_wire::lanes::{ChunkHeader, HEADER_LEN, Incoming};
use libfuzzer_sys::fuzz_target;

struct Bytes<'a>(&'a [u8]);

impl Receiver for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = into.len().min(self.0.len());
        into[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }

    fn available(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    // What names a payload that is yet to come would wait for it.
    let mut at = 0;
    while let Some(header) = data.get(at..at + HEADER_LEN) {
        match ChunkHeader::from_bytes(header.try_into().unwrap()) {
            Ok(header) if header.payload >= 3 => return,
            Ok(header) => at += HEADER_LEN + header.len as usize,
            Err(_) => break,
        }
    }
    let incoming = Incoming::default();
    let sizes = [64, 5000, 300];
    let payloads = sizes.map(|len| incoming.announce(len));
    for (payload, len) in payloads.iter().zip(sizes).take(2) {
        assert!(payload.place(vec![0; len as usize].leak()));
    }
    payloads[2].abandon();
    let _ = incoming.run(&mut Bytes(data));
    payloads.iter().for_each(|payload| payload.abandon());
});
