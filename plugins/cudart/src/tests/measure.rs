//! What the plugin itself costs: run by hand with `--ignored --nocapture measure`.

use super::kernels::{PTX, add, function};
use super::*;

fn frame<C: Command>(command: &C, flags: u16, bulk: u64) -> (Header, Vec<u8>) {
    let mut payload = Vec::new();
    command.encode(&mut payload);
    let header = Header {
        len: payload.len() as u32,
        opcode: C::OPCODE,
        flags,
        bulk,
        ..Header::default()
    };
    (header, payload)
}

fn timed(what: &str, rounds: u64, unit: f64, mut run: impl FnMut(u64)) {
    run(0);
    let began = Instant::now();
    for n in 1..=rounds {
        run(n);
    }
    let each = began.elapsed().as_secs_f64() / rounds as f64;
    if unit > 0.0 {
        println!("{what}: {:.2} GB/s", unit / each / 1e9);
    } else {
        println!("{what}: {:.2} us", each * 1e6);
    }
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let client = Client::new();
    let info = client.load(1, PTX).unwrap();
    let kernel = function(&info, "add").function;
    client.cast(StreamCreate {
        stream: 1,
        flags: 1,
        priority: 0,
    });
    let sequence = std::cell::Cell::new(1000u64);
    let go = |(mut header, payload): (Header, Vec<u8>), bulk: Arc<Vec<u8>>| {
        sequence.set(sequence.get() + 1);
        header.sequence = sequence.get();
        client.inline(&header, &payload, bulk);
    };
    let sync = || {
        go(
            frame(&StreamSynchronize { stream: 1 }, FLAG_WANTS_REPLY, 0),
            Arc::default(),
        );
    };
    for (what, count) in [("launch, one block", 1), ("launch, 1024 blocks", 65536)] {
        timed(what, 20, 0.0, |_| {
            for _ in 0..500 {
                go(
                    frame(&add(kernel, 1, client.device, 1, count), 0, 0),
                    Arc::default(),
                );
            }
            sync();
        });
        println!("   (of 500 launches and a synchronisation)");
    }
    timed("launch and synchronise", 2000, 0.0, |_| {
        go(
            frame(&add(kernel, 1, client.device, 1, 1), 0, 0),
            Arc::default(),
        );
        sync();
    });
    timed("64 bytes to the client", 2000, 0.0, |_| {
        let copy = linear(COPY_TO_REPLY, 1, 0, client.device, 64);
        go(frame(&copy, FLAG_WANTS_REPLY, 0), Arc::default());
    });
    timed("64 bytes to the device, no reply", 2000, 0.0, |_| {
        let copy = linear(COPY_FROM_BULK, 1, client.device, 0, 64);
        go(frame(&copy, 0, 64), Arc::new(vec![1; 64]));
    });
    sync();
    timed("64 bytes to the device, with reply", 2000, 0.0, |_| {
        let copy = linear(COPY_FROM_BULK, 1, client.device, 0, 64);
        go(frame(&copy, FLAG_WANTS_REPLY, 64), Arc::new(vec![1; 64]));
    });
    client.forget_frames();
    client.discard_bulk();
    client
        .call(MemGrant {
            device: 0,
            address: client.device + GRANT,
            size: 256 << 20,
        })
        .unwrap();
    for mib in [1u64, 8, 256] {
        let len = mib << 20;
        let bytes = Arc::new(vec![3u8; len as usize]);
        timed(&format!("{mib} MiB to the device"), 20, len as f64, |_| {
            let copy = linear(COPY_FROM_BULK, 1, client.device, 0, len);
            go(frame(&copy, FLAG_WANTS_REPLY, len), Arc::clone(&bytes));
        });
        timed(&format!("{mib} MiB to the client"), 20, len as f64, |_| {
            let copy = linear(COPY_TO_REPLY, 1, 0, client.device, len);
            go(frame(&copy, FLAG_WANTS_REPLY, 0), Arc::default());
            client.forget_frames();
        });
    }
    let mut n = 0;
    timed("grant and release of 2 MiB", 200, 0.0, |_| {
        n += 1;
        let address = client.device + GRANT + (256 << 20);
        go(
            frame(
                &MemGrant {
                    device: 0,
                    address,
                    size: 2 << 20,
                },
                FLAG_WANTS_REPLY,
                0,
            ),
            Arc::default(),
        );
        go(
            frame(&MemRelease { device: 0, address }, 0, 0),
            Arc::default(),
        );
    });
    let len = 32u64 << 20;
    let address = client.pinned;
    timed("pinning and freeing of 32 MiB", 20, 0.0, |_| {
        go(
            frame(
                &HostAlloc {
                    address,
                    size: len,
                    flags: 0,
                },
                FLAG_WANTS_REPLY,
                0,
            ),
            Arc::default(),
        );
        go(
            frame(&HostFree { address }, FLAG_WANTS_REPLY, 0),
            Arc::default(),
        );
    });
    go(
        frame(
            &HostAlloc {
                address,
                size: len,
                flags: 0,
            },
            FLAG_WANTS_REPLY,
            0,
        ),
        Arc::default(),
    );
    timed("32 MiB to pinned memory", 20, len as f64, |_| {
        let copy = linear(COPY_TO_SHADOW, 1, address, client.device, len);
        go(frame(&copy, 0, 0), Arc::default());
        sync();
    });
}
