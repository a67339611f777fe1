//! Writes of the GPU to pinned host memory that are still in flight. While one is, the worker's shadow is what counts; afterwards the program's memory is.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::streams::Stream;

struct Write {
    start: u64,
    end: u64,
    stream: Arc<Stream>,
    sequence: u64,
}

impl Write {
    fn is_done(&self) -> bool {
        self.stream.has_passed(self.sequence)
    }
}

/// The list is looked through for what is done when it is twice as long as after the last time, and longer than this.
const FEW: usize = 16;

#[derive(Default)]
struct Writes {
    list: Vec<Write>,
    /// Length from which on it is looked through again.
    long: usize,
}

static WRITES: Mutex<Writes> = Mutex::new(Writes {
    list: Vec::new(),
    long: FEW,
});

impl Writes {
    fn forget_done(&mut self) {
        self.list.retain(|write| !write.is_done());
        self.long = FEW.max(2 * self.list.len());
    }

    /// What a later write to the same memory on the same stream replaces needs no place of its own: memory that every kernel may use is written by each launch.
    fn add(&mut self, write: Write) {
        let same = self.list.iter_mut().rev().take(FEW).find(|other| {
            (other.start, other.end) == (write.start, write.end)
                && Arc::ptr_eq(&other.stream, &write.stream)
        });
        match same {
            Some(same) => same.sequence = same.sequence.max(write.sequence),
            None => {
                if self.list.len() >= self.long {
                    self.forget_done();
                }
                self.list.push(write);
            }
        }
    }

    fn in_flight(&mut self, start: u64, size: u64) -> bool {
        if self.list.is_empty() {
            return false;
        }
        self.forget_done();
        self.list
            .iter()
            .any(|write| write.start < start + size && start < write.end)
    }
}

/// A copy to pinned memory was issued, or work that may write there.
pub(crate) fn add(start: u64, size: u64, stream: &Arc<Stream>, sequence: u64) {
    WRITES.lock().add(Write {
        start,
        end: start + size,
        stream: Arc::clone(stream),
        sequence,
    });
}

/// Whether a write to any part of a range is in flight.
pub(crate) fn in_flight(start: u64, size: u64) -> bool {
    WRITES.lock().in_flight(start, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(start: u64, stream: &Arc<Stream>, sequence: u64) -> Write {
        stream.pretend(sequence);
        Write {
            start,
            end: start + 64,
            stream: Arc::clone(stream),
            sequence,
        }
    }

    #[test]
    fn launches_that_may_use_the_same_memory_take_one_place() {
        let (one, two) = (Stream::for_test(), Stream::for_test());
        let mut writes = Writes::default();
        for sequence in 0..1000 {
            writes.add(write(0, &one, 3 * sequence + 1));
            writes.add(write(4096, &one, 3 * sequence + 1));
            writes.add(write(0, &two, 3 * sequence + 2));
        }
        assert_eq!(writes.list.len(), 3);
        assert!(writes.in_flight(60, 1));
        assert!(!writes.in_flight(64, 4032));
        // The last counts, and not the first.
        one.complete(2997);
        two.complete(2998);
        assert!(writes.in_flight(4096, 1) && writes.in_flight(0, 1));
        one.complete(2998);
        assert!(!writes.in_flight(4096, 1) && writes.in_flight(0, 1));
        two.complete(2999);
        assert!(!writes.in_flight(0, 1));
    }

    #[test]
    fn copies_that_are_done_make_room() {
        let stream = Stream::for_test();
        let mut writes = Writes::default();
        for sequence in 1..=10_000 {
            writes.add(write(64 * sequence, &stream, sequence));
            stream.complete(sequence.saturating_sub(100));
        }
        assert!(writes.list.len() <= 300, "{}", writes.list.len());
        assert!(writes.in_flight(64 * 9_950, 1));
        assert!(!writes.in_flight(64 * 9_900, 1));
    }
}
