//! Streams through rings as two processes use them, and what a hostile one can do.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_shm::{CAPACITY, Consumer, Rings, create, open};
use proptest::prelude::*;

fn pair(capacity: usize) -> (Rings, Rings) {
    let (fd, ours) = create(capacity).unwrap();
    (ours, open(&fd).unwrap())
}

fn byte(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

/// Sends pieces of these sizes one way while the same come back, and checks every byte.
fn echo(capacity: usize, writes: &[usize], reads: &[usize]) {
    let total: usize = writes.iter().sum();
    let (mut here, mut there) = pair(capacity);
    let echo = thread::spawn(move || {
        let mut buffer = vec![0; 5000];
        let mut left = total;
        while left > 0 {
            let n = there.consumer.read(&mut buffer, None).unwrap();
            there.producer.write(&buffer[..n]).unwrap();
            there.producer.tell();
            left -= n;
        }
        there
    });
    let mut producer = here.producer;
    let writes = writes.to_vec();
    let write = thread::spawn(move || {
        let mut at = 0;
        for len in writes {
            let bytes: Vec<u8> = (at..at + len).map(byte).collect();
            producer.write(&bytes).unwrap();
            producer.tell();
            at += len;
        }
        producer
    });
    let (mut at, mut sizes) = (0, reads.iter().cycle());
    while at < total {
        let mut buffer = vec![0; *sizes.next().unwrap()];
        let n = here.consumer.read(&mut buffer, None).unwrap();
        assert!(n > 0);
        for (i, got) in buffer[..n].iter().enumerate() {
            assert_eq!(*got, byte(at + i), "byte {}", at + i);
        }
        at += n;
    }
    echo.join().unwrap();
    write.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_arrive_in_order(
        writes in prop::collection::vec(0..20_000_usize, 1..40),
        reads in prop::collection::vec(1..9000_usize, 1..10),
    ) {
        echo(4096, &writes, &reads);
    }
}

#[test]
fn bulk_larger_than_the_ring() {
    echo(CAPACITY, &[3 * CAPACITY + 17, 1, CAPACITY], &[1 << 20]);
}

#[test]
fn sleepers_are_woken() {
    let (mut here, mut there) = pair(4096);
    let ping = thread::spawn(move || {
        for _ in 0..20 {
            let mut got = [0; 8];
            assert_eq!(there.consumer.read(&mut got, None).unwrap(), 8);
            // Longer than anybody looks before sleeping.
            thread::sleep(Duration::from_millis(2));
            there.producer.write(&got).unwrap();
            there.producer.tell();
        }
    });
    for i in 0..20_u64 {
        thread::sleep(Duration::from_millis(1));
        here.producer.write(&i.to_le_bytes()).unwrap();
        here.producer.tell();
        let mut got = [0; 8];
        assert_eq!(here.consumer.read(&mut got, None).unwrap(), 8);
        assert_eq!(u64::from_le_bytes(got), i);
    }
    ping.join().unwrap();
}

#[test]
fn a_read_waits_no_longer_than_it_may() {
    let (mut here, _there) = pair(4096);
    let error = here
        .consumer
        .read(&mut [0; 4], Some(Duration::from_millis(5)))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(!here.consumer.available().unwrap());
}

#[test]
fn the_end_wakes_both_directions_and_loses_nothing() {
    let (mut here, mut there) = pair(4096);
    there.producer.write(b"last words").unwrap();
    there.producer.tell();
    let ender = here.ender.clone();
    let mut producer = here.producer;
    let blocked = thread::spawn(move || producer.write(&[0; 10_000]));
    thread::sleep(Duration::from_millis(20));
    ender.end();
    let error = blocked.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let mut got = [0; 64];
    assert!(here.consumer.available().unwrap());
    assert_eq!(here.consumer.read(&mut got, None).unwrap(), 10);
    assert_eq!(&got[..10], b"last words");
    assert_eq!(here.consumer.read(&mut got, None).unwrap(), 0);
}

#[test]
fn the_end_wakes_a_sleeping_reader() {
    let (here, _there) = pair(4096);
    let (ender, mut consumer) = (here.ender, here.consumer);
    let reader = thread::spawn(move || consumer.read(&mut [0; 4], None));
    thread::sleep(Duration::from_millis(20));
    ender.end();
    assert_eq!(reader.join().unwrap().unwrap(), 0);
}

#[test]
fn only_sealed_rings_are_opened() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let refused = |len: u64, seals: SealFlags| {
        let fd = memfd_create("other", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&fd, len).unwrap();
        fcntl_add_seals(&fd, seals).unwrap();
        assert_eq!(
            open(&fd).unwrap_err().kind(),
            io::ErrorKind::InvalidData,
            "{len} {seals:?}"
        );
    };
    let good = 2 * (4096 + 4096);
    refused(good, SealFlags::GROW);
    for wrong in [0, 1, 100, 8192, good - 2, good + 2, 2 * (4096 + 5000)] {
        refused(wrong, SealFlags::SHRINK);
    }
    assert!(create(5000).is_err() && create(1).is_err());
}

#[test]
fn a_hostile_end_gets_an_error_and_nothing_else() {
    // The layout is part of what two ends agree on: tail at 0, head at 128, of ring 0 (what the creator writes) and, a page on, of ring 1.
    for (offset, value) in [(4096, u64::MAX), (4096, 4097), (4096 + 8, u64::MAX)] {
        let (fd, mut here) = create(4096).unwrap();
        let wrote = rustix::io::pwrite(fd.as_fd(), &value.to_le_bytes(), offset).unwrap();
        assert_eq!(wrote, 8);
        let got = here
            .consumer
            .read(&mut [0; 4], Some(Duration::from_millis(1)));
        let expected = if offset == 4096 {
            io::ErrorKind::InvalidData
        } else {
            io::ErrorKind::WouldBlock
        };
        assert_eq!(got.unwrap_err().kind(), expected);
    }
    for head in [u64::MAX, 5000, 4097] {
        let (fd, mut here) = create(4096).unwrap();
        here.producer.write(&[1; 4096]).unwrap();
        here.producer.tell();
        rustix::io::pwrite(fd.as_fd(), &head.to_le_bytes(), 128).unwrap();
        let error = here.producer.write(&[1; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    // Going back is noticed, too.
    let (fd, mut here) = create(4096).unwrap();
    let mut there = open(&fd).unwrap();
    there.producer.write(&[1; 100]).unwrap();
    there.producer.tell();
    assert_eq!(here.consumer.read(&mut [0; 100], None).unwrap(), 100);
    rustix::io::pwrite(fd.as_fd(), &50_u64.to_le_bytes(), 4096).unwrap();
    let error = here.consumer.read(&mut [0; 4], None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// A consumer, and how many bytes were read from it.
type Shared = Mutex<(Consumer, usize)>;

fn read_what_is_there((consumer, at): &mut (Consumer, usize)) {
    let mut buffer = [0; 64];
    while consumer.available().unwrap() {
        let n = consumer.read(&mut buffer, None).unwrap();
        if n == 0 {
            return;
        }
        for (i, got) in buffer[..n].iter().enumerate() {
            assert_eq!(*got, byte(*at + i), "byte {}", *at + i);
        }
        *at += n;
    }
}

/// While one thread looks out and others read in its place now and then, somebody reads every byte, also when the others have gone.
#[test]
fn what_comes_is_read_by_whoever_has_the_duty() {
    const MESSAGES: usize = 30_000;
    const BYTES: usize = 24;
    let (here, mut there) = pair(4096);
    let lookout = here.consumer.lookout();
    let shared = Arc::new(Shared::new((here.consumer, 0)));
    let over = Arc::new(AtomicBool::new(false));

    let (by_lookout, until) = (Arc::clone(&shared), Arc::clone(&over));
    let looking = lookout.clone();
    let attends = thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            if looking.is_needed() && !looking.is_relieved() {
                if let Ok(mut shared) = by_lookout.try_lock() {
                    read_what_is_there(&mut shared);
                }
            } else {
                looking.rest();
            }
        }
    });
    let others: Vec<_> = (1..=2)
        .map(|number: usize| {
            let (shared, lookout, over) = (Arc::clone(&shared), lookout.clone(), Arc::clone(&over));
            thread::spawn(move || {
                let mut round = number;
                while !over.load(Ordering::Relaxed) {
                    if let Ok(mut shared) = shared.try_lock() {
                        lookout.relieve();
                        for _ in 0..round % 50 {
                            read_what_is_there(&mut shared);
                            std::hint::spin_loop();
                        }
                        if round.is_multiple_of(7) && shared.1 < MESSAGES / 2 * BYTES {
                            // As one who waits in the middle of a frame; another byte comes.
                            let mut one = [0];
                            assert_eq!(shared.0.read(&mut one, None).unwrap(), 1);
                            assert_eq!(one[0], byte(shared.1));
                            shared.1 += 1;
                        }
                        let half = shared.1 > MESSAGES * BYTES / 2;
                        lookout.resume();
                        if half {
                            return;
                        }
                    }
                    round = round.wrapping_mul(31).wrapping_add(number);
                    if round.is_multiple_of(5) {
                        thread::sleep(Duration::from_micros(round as u64 % 200));
                    }
                }
            })
        })
        .collect();

    let began = Instant::now();
    for message in 0..MESSAGES {
        let from = message * BYTES;
        let bytes: Vec<u8> = (from..from + BYTES).map(byte).collect();
        there.producer.write(&bytes).unwrap();
        there.producer.tell();
        match message % 100 {
            0 => thread::sleep(Duration::from_micros(300)),
            50 => thread::yield_now(),
            _ => (0..message % 64).for_each(|_| std::hint::spin_loop()),
        }
    }
    while shared.lock().unwrap().1 < MESSAGES * BYTES {
        assert!(began.elapsed() < Duration::from_secs(60), "bytes lie there");
        thread::sleep(Duration::from_millis(1));
    }
    over.store(true, Ordering::Relaxed);
    here.ender.end();
    attends.join().unwrap();
    for other in others {
        other.join().unwrap();
    }
}
