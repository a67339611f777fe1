//! Copies of all kinds arrive byte for byte, and nothing outside the session's memory is touched.

use super::*;
use crate::errors::*;

#[test]
fn bytes_come_back_as_they_went() {
    let client = Client::new();
    // Below, at and above the staging block, and above what is copied ahead.
    for len in [1usize, 63, 4096, (4 << 20) - 1, 4 << 20, (20 << 20) + 77] {
        let bytes = pattern(len, len as u64);
        client.write(client.device + 256, &bytes);
        assert!(
            client.read(client.device + 256, len as u64) == bytes,
            "{len}"
        );
    }
}

#[test]
fn boxes_keep_their_gaps() {
    let client = Client::new();
    for (pitch, slice, width, height, depth) in [
        (64u64, 640, 50, 7, 1),
        (64, 640, 50, 10, 3),
        (64, 704, 50, 7, 3),
        (64, 651, 50, 10, 3),
        (0, 128, 33, 1, 5),
    ] {
        let plane = Plane {
            address: client.device,
            pitch,
            slice,
        };
        let extent = Extent {
            width,
            height,
            depth,
        };
        client
            .call(Memset {
                stream: 0,
                dst: Plane {
                    address: client.device,
                    ..Plane::default()
                },
                element: 1,
                value: 0xee,
                width: 4096,
                height: 1,
            })
            .unwrap();
        let packed = pattern((width * height * depth) as usize, pitch + slice);
        let copy = Copy {
            kind: COPY_FROM_BULK,
            stream: 0,
            dst: plane.clone(),
            src: Plane::default(),
            extent: extent.clone(),
        };
        client.call_bulk(copy, packed.clone()).unwrap();
        assert_eq!(client.read_box(plane, extent), packed);
        let all = client.read(client.device, 4096);
        let mut expected = vec![0xee; 4096];
        let mut from = packed.chunks(width as usize);
        for z in 0..depth {
            for y in 0..height {
                let at = (z * slice + y * pitch) as usize;
                expected[at..at + width as usize].copy_from_slice(from.next().unwrap());
            }
        }
        assert_eq!(all, expected, "{pitch} {slice} {width} {height} {depth}");
    }
}

#[test]
fn wide_rows_larger_than_staging() {
    let client = Client::new();
    let (width, pitch) = (5u64 << 20, 6u64 << 20);
    let plane = Plane {
        address: client.device,
        pitch,
        slice: 0,
    };
    let extent = Extent {
        width,
        height: 3,
        depth: 1,
    };
    let packed = pattern((width * 3) as usize, 9);
    let copy = Copy {
        kind: COPY_FROM_BULK,
        stream: 0,
        dst: plane.clone(),
        src: Plane::default(),
        extent: extent.clone(),
    };
    client.call_bulk(copy, packed.clone()).unwrap();
    assert!(client.read_box(plane, extent) == packed);
}

#[test]
fn device_to_device() {
    let client = Client::new();
    let bytes = pattern(10_000, 3);
    client.write(client.device, &bytes);
    client.cast(linear(
        COPY_ON_DEVICE,
        0,
        client.device + (1 << 20),
        client.device,
        10_000,
    ));
    assert_eq!(client.read(client.device + (1 << 20), 10_000), bytes);
}

#[test]
fn memsets_of_all_elements() {
    let client = Client::new();
    client.write(client.device, &[0; 1024]);
    for (element, value, at) in [
        (1u8, 0x5au32, 0u64),
        (2, 0xbeef, 256),
        (4, 0xdead_beef, 512),
    ] {
        client.cast(Memset {
            stream: 0,
            dst: Plane {
                address: client.device + at,
                pitch: 32,
                slice: 0,
            },
            element,
            value,
            width: 3,
            height: 2,
        });
        let got = client.read(client.device + at, 64);
        let one = value.to_le_bytes()[..element as usize].repeat(3);
        assert_eq!(got[..one.len()], one);
        assert_eq!(got[32..32 + one.len()], one);
        assert!(got[one.len()..32].iter().all(|b| *b == 0));
    }
}

#[test]
fn shadows_of_pinned_memory() {
    let client = Client::new();
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 20,
            flags: 0,
        })
        .unwrap();
    let bytes = pattern(5000, 1);
    client.write(client.device, &bytes);
    let sequence = client.cast(linear(
        COPY_TO_SHADOW,
        0,
        client.pinned + 100,
        client.device,
        5000,
    ));
    client.progress(0, sequence);
    let frames = client.frames();
    let data = frames
        .iter()
        .position(|f| f.header.opcode == HOST_DATA)
        .expect("the bytes are sent");
    let told = frames
        .iter()
        .position(|f| f.header.opcode == PROGRESS && f.decode::<Progress>().sequence >= sequence)
        .unwrap();
    assert!(
        data < told,
        "the bytes come before what says that they are there"
    );
    assert_eq!(frames[data].bulk, bytes);
    assert_eq!(
        frames[data].decode::<HostData>().plane.address,
        client.pinned + 100
    );
    // And back from the shadow.
    client
        .call(linear(
            COPY_FROM_SHADOW,
            0,
            client.device + 8192,
            client.pinned + 100,
            5000,
        ))
        .unwrap();
    assert_eq!(client.read(client.device + 8192, 5000), bytes);
    client
        .call(HostFree {
            address: client.pinned,
        })
        .unwrap();
    assert_eq!(
        client.call(linear(
            COPY_FROM_SHADOW,
            0,
            client.device,
            client.pinned,
            16
        )),
        Err(ERROR_INVALID_VALUE)
    );
    // The addresses can be used again.
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 4096,
            flags: 0,
        })
        .unwrap();
}

#[test]
fn strided_copies_to_pinned_memory_are_packed() {
    let client = Client::new();
    let address = 0x5f00_0000_0000 + (client.pinned & 0xffff_ffff);
    let reply = client
        .call(HostRegister {
            address,
            size: 1 << 16,
            flags: 0,
        })
        .unwrap();
    assert_ne!(reply.shadow, 0);
    let bytes = pattern(4096, 5);
    client.write(client.device, &bytes);
    let extent = Extent {
        width: 10,
        height: 4,
        depth: 1,
    };
    let copy = Copy {
        kind: COPY_TO_SHADOW,
        stream: 0,
        dst: Plane {
            address: address + 8,
            pitch: 64,
            slice: 0,
        },
        src: Plane {
            address: client.device,
            pitch: 100,
            slice: 0,
        },
        extent,
    };
    client.call(copy).unwrap();
    let data = client.wait_for(|f| f.header.opcode == HOST_DATA);
    let expected: Vec<u8> = (0..4)
        .flat_map(|y| bytes[y * 100..y * 100 + 10].to_vec())
        .collect();
    assert_eq!(data.bulk, expected);
    client.call(HostUnregister { address }).unwrap();
    assert_eq!(
        client.call(HostUnregister { address }),
        Err(ERROR_HOST_MEMORY_NOT_REGISTERED)
    );
}

#[test]
fn pulled_memory_is_taken_when_the_copy_executes() {
    let client = Client::new();
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 1 << 16,
            flags: 0,
        })
        .unwrap();
    let sequence = client.cast(linear(
        COPY_FROM_PULL,
        0,
        client.device,
        client.pinned + 16,
        1000,
    ));
    let request: PullRequest = client
        .wait_for(|f| f.header.opcode == PULL_REQUEST)
        .decode();
    assert_eq!(request.plane.address, client.pinned + 16);
    let bytes = pattern(1000, 77);
    client.cast_bulk(PullData { id: request.id }, bytes.clone());
    client.idle();
    client.progress(0, sequence);
    assert_eq!(client.read(client.device, 1000), bytes);
}

#[test]
fn memory_of_the_worker_is_out_of_reach() {
    let client = Client::new();
    let secret = [42u8; 4096];
    let address = secret.as_ptr() as u64;
    for copy in [
        linear(COPY_TO_REPLY, 0, 0, address, 4096),
        linear(COPY_ON_DEVICE, 0, client.device, address, 4096),
        linear(COPY_ON_DEVICE, 0, address, client.device, 4096),
        linear(COPY_FROM_SHADOW, 0, client.device, address, 4096),
        linear(COPY_FROM_PULL, 0, client.device, address, 4096),
        linear(COPY_TO_SHADOW, 0, address, client.device, 4096),
        linear(COPY_TO_REPLY, 0, 0, client.device + GRANT - 8, 16),
        linear(COPY_TO_REPLY, 0, 0, client.device, u64::MAX),
        linear(COPY_ON_DEVICE, 0, client.device, u64::MAX - 4, 8),
        linear(9, 0, client.device, client.device, 8),
    ] {
        assert_eq!(
            client.call(copy.clone()),
            Err(ERROR_INVALID_VALUE),
            "{copy:?}"
        );
    }
    assert_eq!(
        client.call_bulk(linear(COPY_FROM_BULK, 0, address, 0, 8), vec![0; 8]),
        Err(ERROR_INVALID_VALUE)
    );
    assert_eq!(
        client.call_bulk(linear(COPY_FROM_BULK, 0, client.device, 0, 8), vec![0; 9]),
        Err(ERROR_INVALID_VALUE)
    );
    assert_eq!(
        client.call(Memset {
            stream: 0,
            dst: Plane {
                address,
                ..Plane::default()
            },
            element: 1,
            value: 0,
            width: 4096,
            height: 1
        }),
        Err(ERROR_INVALID_VALUE)
    );
    assert_eq!(secret, [42; 4096]);
    // The session is none the worse for it.
    client.write(client.device, b"fine");
    assert_eq!(client.read(client.device, 4), b"fine");
}

#[test]
fn grants_adjoin_and_go() {
    let client = Client::new();
    let next = client.device + GRANT;
    client
        .call(MemGrant {
            device: 0,
            address: next,
            size: 2 << 20,
        })
        .unwrap();
    let bytes = pattern(4096, 8);
    client.write(next - 2048, &bytes);
    assert_eq!(client.read(next - 2048, 4096), bytes);
    for bad in [
        MemGrant {
            device: 0,
            address: next,
            size: 2 << 20,
        },
        MemGrant {
            device: 0,
            address: next + (2 << 20),
            size: 1,
        },
        MemGrant {
            device: 0,
            address: 0x1000_0000_0000,
            size: 2 << 20,
        },
        MemGrant {
            device: 0,
            address: next + (2 << 20),
            size: 8 << 30,
        },
    ] {
        assert_eq!(client.call(bad), Err(ERROR_INVALID_VALUE));
    }
    client.cast(MemRelease {
        device: 0,
        address: next,
    });
    assert_eq!(
        client.call(linear(COPY_TO_REPLY, 0, 0, next, 16)),
        Err(ERROR_INVALID_VALUE)
    );
    let info = client.call(MemInfo { device: 0 }).unwrap();
    assert!(info.free <= info.total && info.total > 0);
}

#[test]
fn more_memory_than_there_is_is_out_of_memory() {
    let client = Client::new();
    let total = client.call(MemInfo { device: 0 }).unwrap().total;
    let base = client.device + (0x800_0000_0000);
    let size = (total + (1 << 30)).next_multiple_of(2 << 20);
    client
        .call(ReserveRange {
            device: 0,
            base,
            size,
            grant: 0,
        })
        .unwrap();
    assert_eq!(
        client.call(MemGrant {
            device: 0,
            address: base,
            size
        }),
        Err(ERROR_OUT_OF_MEMORY)
    );
}

#[test]
fn long_copies_to_pinned_memory_come_in_pieces() {
    let client = Client::new();
    let len = (20u64 << 20) + 5;
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 24 << 20,
            flags: 0,
        })
        .unwrap();
    let bytes = pattern(len as usize, 12);
    client.write(client.device, &bytes);
    client
        .call(linear(
            COPY_TO_SHADOW,
            0,
            client.pinned + 64,
            client.device,
            len,
        ))
        .unwrap();
    let mut got = vec![0; len as usize];
    let mut total = 0;
    for frame in client.frames() {
        if frame.header.opcode == HOST_DATA {
            let at = (frame.decode::<HostData>().plane.address - client.pinned - 64) as usize;
            got[at..at + frame.bulk.len()].copy_from_slice(&frame.bulk);
            total += frame.bulk.len();
        }
    }
    assert_eq!(total, len as usize);
    assert!(got == bytes);
}
