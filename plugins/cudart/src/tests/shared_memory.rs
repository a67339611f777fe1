//! Pinned memory that client and worker share: nothing travels, and only memory that cannot vanish is mapped.

use std::os::fd::{AsFd, OwnedFd};

use gvirtus_wire::api::core::{
    COPY_FROM_SHADOW, COPY_TO_SHADOW, HostFree, HostShare, ReserveHostRange,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::{pread, pwrite};

use super::*;
use crate::errors::*;

const BASE: u64 = 0x2abc_0000_0000;
const SIZE: u64 = 64 << 10;

fn memory(size: u64, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, size).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

fn share(client: &Client, address: u64, fd: &OwnedFd, tag: u64) -> Result<()> {
    client.pass(tag, fd.as_fd().try_clone_to_owned().unwrap());
    client.call(HostShare {
        address,
        size: SIZE,
        tag,
    })
}

#[test]
fn the_shadow_is_the_clients_memory() {
    let client = Client::new();
    client
        .call(ReserveHostRange {
            base: BASE,
            size: 1 << 30,
        })
        .unwrap();
    let fd = memory(SIZE, SealFlags::SHRINK);
    share(&client, BASE, &fd, 7).unwrap();
    let bytes = pattern(4096, 3);
    pwrite(&fd, &bytes, 4096).unwrap();
    client
        .call(linear(
            COPY_FROM_SHADOW,
            0,
            client.device,
            BASE + 4096,
            4096,
        ))
        .unwrap();
    assert!(client.read(client.device, 4096) == bytes);
    client.forget_frames();
    let last = client.cast(linear(COPY_TO_SHADOW, 0, BASE + 8192, client.device, 4096));
    client.idle();
    client.progress(0, last);
    let mut got = vec![0; 4096];
    pread(&fd, &mut got, 8192).unwrap();
    assert!(got == bytes);
    let sent = client.frames();
    assert!(
        sent.iter().all(|f| f.header.opcode != HOST_DATA),
        "bytes were sent for memory that is shared"
    );
    client.call(HostFree { address: BASE }).unwrap();
    // Freed: not found, and the addresses can be had again.
    let gone = client.call(linear(COPY_FROM_SHADOW, 0, client.device, BASE, 16));
    assert_eq!(gone, Err(ERROR_INVALID_VALUE));
    share(&client, BASE, &fd, 8).unwrap();
}

#[test]
fn what_could_vanish_is_refused() {
    let client = Client::new();
    client
        .call(ReserveHostRange {
            base: BASE + (1 << 40),
            size: 1 << 30,
        })
        .unwrap();
    let at = BASE + (1 << 40);
    let unsealed = memory(SIZE, SealFlags::GROW);
    assert_eq!(share(&client, at, &unsealed, 1), Err(ERROR_INVALID_VALUE));
    let short = memory(SIZE - 4096, SealFlags::SHRINK);
    assert_eq!(share(&client, at, &short, 2), Err(ERROR_INVALID_VALUE));
    let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
    assert_eq!(share(&client, at, &file, 3), Err(ERROR_INVALID_VALUE));
    let good = memory(SIZE, SealFlags::SHRINK);
    assert_eq!(
        share(&client, BASE, &good, 4),
        Err(ERROR_INVALID_VALUE),
        "outside of the range"
    );
    assert_eq!(share(&client, at + 1, &good, 5), Err(ERROR_INVALID_VALUE));
    let never_passed = client.call(HostShare {
        address: at,
        size: SIZE,
        tag: 99,
    });
    assert_eq!(never_passed, Err(ERROR_NOT_SUPPORTED));
    share(&client, at, &good, 6).unwrap();
    assert_eq!(
        share(&client, at, &good, 7),
        Err(ERROR_INVALID_VALUE),
        "taken"
    );
}
