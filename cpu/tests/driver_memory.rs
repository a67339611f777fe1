//! Device memory, pinned memory, copies, fills, virtual memory management.
#![allow(
    missing_docs,
    clippy::macro_metavars_in_unsafe,
    reason = "a test, whose calls go to C functions"
)]

mod driver_common;

use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};

use driver_common::*;

const MIB: usize = 1 << 20;

/// Tests that look at free memory must not run beside others.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn free_memory() -> usize {
    let (mut free, mut total) = (0, 0);
    ok!(cuMemGetInfo_v2(&mut free, &mut total));
    assert_eq!(total, 256 * MIB);
    free
}

#[test]
fn copies_arrive() {
    let _one = alone();
    let _context = OwnContext::new();
    let (a, b) = (alloc(4096), alloc(4096));
    let data: Vec<u32> = (0..1024).collect();
    upload(a, &data);
    ok!(cuMemcpyDtoD_v2(b, a, 4096));
    assert_eq!(download::<u32>(b, 1024), data);
    ok!(cuMemcpyDtoD_v2(b, a + 2048, 1024));
    ok!(cuMemsetD32_v2(b + 1024, 7, 256));
    let found = download::<u32>(b, 512);
    assert_eq!(&found[..256], &data[512..768]);
    assert!(found[256..].iter().all(|&word| word == 7));
    // Unified copies find out what the addresses are.
    let mut out = vec![0_u32; 1024];
    ok!(cuMemcpy(out.as_mut_ptr() as u64, a, 4096));
    assert_eq!(out, data);
    ok!(cuMemFree_v2(a));
    ok!(cuMemFree_v2(b));
    ok!(cuMemFree_v2(0));
}

#[test]
fn bad_addresses_are_refused() {
    let _one = alone();
    let _context = OwnContext::new();
    let a = alloc(1024);
    let mut host = [0_u8; 4096];
    let out = host.as_mut_ptr().cast();
    assert_eq!(cu!(cuMemcpyDtoH_v2(out, a, 4096)), ERROR_INVALID_VALUE);
    assert_eq!(
        cu!(cuMemcpyDtoH_v2(out, 0xdead_0000, 16)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(cu!(cuMemcpyDtoH_v2(out, 0, 16)), ERROR_INVALID_VALUE);
    assert_eq!(
        cu!(cuMemcpyDtoH_v2(out, u64::MAX - 8, 16)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(cu!(cuMemcpyDtoH_v2(null_mut(), a, 16)), ERROR_INVALID_VALUE);
    assert_eq!(cu!(cuMemcpy(a, 0x10_0000_0000, 16)), ERROR_INVALID_VALUE);
    assert_eq!(cu!(cuMemsetD8_v2(a + 1020, 1, 8)), ERROR_INVALID_VALUE);
    assert_eq!(cu!(cuMemsetD32_v2(a + 2, 1, 8)), ERROR_INVALID_VALUE);
    assert_eq!(cu!(cuMemFree_v2(a + 512)), ERROR_INVALID_VALUE);
    ok!(cuMemFree_v2(a));
    assert_eq!(cu!(cuMemFree_v2(a)), ERROR_INVALID_VALUE);
    let mut address = 0;
    assert_eq!(cu!(cuMemAlloc_v2(&mut address, 0)), ERROR_INVALID_VALUE);
    ok!(cuMemcpyDtoH_v2(out, 0, 0));
}

#[test]
fn running_out_is_exact() {
    let _one = alone();
    let _context = OwnContext::new();
    let free = free_memory();
    let mut address = 0;
    assert_eq!(
        cu!(cuMemAlloc_v2(&mut address, free + 1)),
        ERROR_OUT_OF_MEMORY
    );
    let a = alloc(free);
    assert_eq!(free_memory(), 0);
    assert_eq!(cu!(cuMemAlloc_v2(&mut address, 1)), ERROR_OUT_OF_MEMORY);
    ok!(cuMemFree_v2(a));
    assert_eq!(free_memory(), free);
    // In pieces, with holes between them: the next large piece is made of several runs.
    let pieces: Vec<u64> = (0..16).map(|_| alloc(4 * MIB)).collect();
    pieces
        .iter()
        .step_by(2)
        .for_each(|&piece| ok!(cuMemFree_v2(piece)));
    let rest = alloc(free_memory());
    upload(rest + (free - 32 * MIB - 4) as u64, &[0x1234_u32]);
    assert_eq!(
        download::<u32>(rest + (free - 32 * MIB - 4) as u64, 1),
        [0x1234]
    );
}

#[test]
fn small_allocations_share_granules() {
    let _one = alone();
    let _context = OwnContext::new();
    let before = free_memory();
    let pieces: Vec<u64> = (0..100).map(|_| alloc(1000)).collect();
    assert_eq!(before - free_memory(), 2 * MIB);
    let (mut base, mut size) = (0, 0);
    ok!(cuMemGetAddressRange_v2(
        &mut base,
        &mut size,
        pieces[7] + 99
    ));
    assert_eq!((base, size), (pieces[7], 1000));
    assert!(pieces.iter().all(|piece| piece % 256 == 0));
    pieces.iter().for_each(|&piece| ok!(cuMemFree_v2(piece)));
    assert_eq!(free_memory(), before);
}

#[test]
fn destroying_a_context_frees_its_memory() {
    let _one = alone();
    let _own = OwnContext::new();
    let before = free_memory();
    let other = OwnContext::new();
    alloc(8 * MIB);
    alloc(64);
    assert!(free_memory() < before);
    drop(other);
    assert_eq!(free_memory(), before);
}

#[test]
fn pitched_and_three_dimensional_copies() {
    let _one = alone();
    let _context = OwnContext::new();
    let (mut address, mut pitch) = (0, 0);
    ok!(cuMemAllocPitch_v2(&mut address, &mut pitch, 100, 8, 4));
    assert_eq!(pitch % 256, 0);
    ok!(cuMemsetD2D8_v2(address, pitch, 0xff, 100, 8));
    let source: Vec<u8> = (0..32 * 4).collect();
    // SAFETY: plain numbers and pointers; null is right for what is not used.
    let mut copy: CUDA_MEMCPY2D = unsafe { std::mem::zeroed() };
    (copy.srcMemoryType, copy.srcHost, copy.srcPitch) = (1, source.as_ptr().cast(), 32);
    (
        copy.dstMemoryType,
        copy.dstDevice,
        copy.dstPitch,
        copy.dstXInBytes,
        copy.dstY,
    ) = (2, address, pitch, 10, 2);
    (copy.WidthInBytes, copy.Height) = (32, 4);
    ok!(cuMemcpy2D_v2(&copy));
    for row in 0..8 {
        let found = download::<u8>(address + (row * pitch) as u64, 100);
        let filled = (2..6).contains(&row);
        for (x, &byte) in found.iter().enumerate() {
            let expected = if filled && (10..42).contains(&x) {
                source[(row - 2) * 32 + x - 10]
            } else {
                0xff
            };
            assert_eq!(byte, expected, "row {row}, byte {x}");
        }
    }
    (copy.dstY, copy.Height) = (6, 4);
    assert_eq!(cu!(cuMemcpy2D_v2(&copy)), ERROR_INVALID_VALUE);

    let volume: Vec<u8> = (0..3 * 4 * 5).collect();
    let linear = alloc(volume.len());
    upload(linear, &volume);
    let mut out = [0_u8; 2 * 2 * 2];
    // SAFETY: as above.
    let mut copy: CUDA_MEMCPY3D = unsafe { std::mem::zeroed() };
    (
        copy.srcMemoryType,
        copy.srcDevice,
        copy.srcPitch,
        copy.srcHeight,
    ) = (2, linear, 3, 4);
    (copy.srcXInBytes, copy.srcY, copy.srcZ) = (1, 2, 3);
    (
        copy.dstMemoryType,
        copy.dstHost,
        copy.dstPitch,
        copy.dstHeight,
    ) = (1, out.as_mut_ptr().cast(), 2, 2);
    (copy.WidthInBytes, copy.Height, copy.Depth) = (2, 2, 2);
    ok!(cuMemcpy3D_v2(&copy));
    let expected: Vec<u8> = (3..5)
        .flat_map(|z| (2..4).flat_map(move |y| (1..3).map(move |x| (z * 12 + y * 3 + x) as u8)))
        .collect();
    assert_eq!(out.to_vec(), expected);
    copy.srcMemoryType = 3;
    assert_eq!(cu!(cuMemcpy3D_v2(&copy)), ERROR_INVALID_HANDLE, "no array");
}

#[test]
fn pinned_and_registered_memory() {
    let _one = alone();
    let _context = OwnContext::new();
    let pinned = pinned::<u32>(1024);
    let at = pinned.as_mut_ptr();
    let (mut device, mut flags, mut sort) = (0, 0, 0_u32);
    ok!(cuMemHostGetDevicePointer_v2(&mut device, at.cast(), 0));
    assert_eq!(device, at as u64);
    ok!(cuMemHostGetFlags(&mut flags, at.cast()));
    assert_eq!(flags & 2, 2);
    ok!(cuPointerGetAttribute(
        (&raw mut sort).cast(),
        2,
        at as u64 + 8
    ));
    assert_eq!(sort, 1);
    ok!(cuMemsetD32_v2(device, 5, 1024));
    assert!(pinned.iter().all(|&word| word == 5));
    ok!(cuMemFreeHost(at.cast()));
    assert_eq!(cu!(cuMemFreeHost(at.cast())), ERROR_INVALID_VALUE);

    let mut own = vec![0_u8; 64 << 10];
    let start = own.as_mut_ptr();
    ok!(cuMemHostRegister_v2(start.cast(), own.len(), 0));
    assert_eq!(
        cu!(cuMemHostRegister_v2(start.cast(), own.len(), 0)),
        ERROR_HOST_MEMORY_ALREADY_REGISTERED
    );
    ok!(cuMemHostUnregister(start.cast()));
    assert_eq!(
        cu!(cuMemHostUnregister(start.cast())),
        ERROR_HOST_MEMORY_NOT_REGISTERED
    );
    assert_eq!(
        cu!(cuMemHostRegister_v2(0x10_0000 as _, 4096, 0)),
        ERROR_INVALID_VALUE
    );
}

fn properties() -> CUmemAllocationProp {
    // SAFETY: plain numbers and a pointer that may be null.
    let mut properties: CUmemAllocationProp = unsafe { std::mem::zeroed() };
    properties.type_ = 1;
    properties.location = CUmemLocation { type_: 1, id: 0 };
    properties
}

#[test]
fn virtual_memory_management() {
    let _one = alone();
    let _context = OwnContext::new();
    let before = free_memory();
    let size = 4 * MIB;
    let (mut granularity, mut range, mut handle) = (0, 0, 0);
    ok!(cuMemGetAllocationGranularity(
        &mut granularity,
        &properties(),
        0
    ));
    assert_eq!(granularity, 2 * MIB);
    let wanted = 0x6000_0000_0000;
    ok!(cuMemAddressReserve(&mut range, 16 * MIB, 0, wanted, 0));
    assert_eq!(range, wanted);
    assert_eq!(
        cu!(cuMemCreate(&mut handle, 1 << 12, &properties(), 0)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuMemCreate(&mut handle, 300 * MIB, &properties(), 0)),
        ERROR_OUT_OF_MEMORY
    );
    ok!(cuMemCreate(&mut handle, size, &properties(), 0));
    assert_eq!(before - free_memory(), size);

    let word = 0x5a5a_5a5a_u32;
    let copy = |to: u64| cu!(cuMemcpyHtoD_v2(to, (&raw const word).cast(), 4));
    assert_eq!(copy(range), ERROR_INVALID_VALUE, "reserved is not mapped");
    ok!(cuMemMap(range, size, 0, handle, 0));
    assert_eq!(copy(range), ERROR_INVALID_VALUE, "mapped is not accessible");
    let access = CUmemAccessDesc {
        location: CUmemLocation { type_: 1, id: 0 },
        flags: 3,
    };
    ok!(cuMemSetAccess(range, size, &access, 1));
    assert_eq!(copy(range + size as u64 - 4), 0);
    assert_eq!(copy(range + size as u64 - 2), ERROR_INVALID_VALUE);
    assert_eq!(
        cu!(cuMemMap(range, size, 0, handle, 0)),
        ERROR_INVALID_VALUE,
        "mapped already"
    );
    assert_eq!(
        cu!(cuMemMap(range + 32 * MIB as u64, size, 0, handle, 0)),
        ERROR_INVALID_VALUE,
        "not reserved"
    );

    // The same memory at a second address; a copy may cross the border of two mappings.
    ok!(cuMemMap(range + size as u64, size, 0, handle, 0));
    ok!(cuMemSetAccess(range, 2 * size, &access, 1));
    assert_eq!(download::<u32>(range + 2 * size as u64 - 4, 1), [word]);
    ok!(cuMemsetD8_v2(range + size as u64 - 16, 9, 32));
    assert_eq!(download::<u8>(range, 1), [9]);

    let mut again = 0;
    ok!(cuMemRetainAllocationHandle(
        &mut again,
        std::ptr::with_exposed_provenance_mut(range as usize)
    ));
    assert_eq!(again, handle);
    let mut flags = 0;
    ok!(cuMemGetAccess(&mut flags, &access.location, range));
    assert_eq!(flags, 3);
    ok!(cuMemRelease(handle));
    ok!(cuMemRelease(handle));
    assert_eq!(cu!(cuMemRelease(handle)), ERROR_INVALID_VALUE);
    assert_eq!(before - free_memory(), size, "mappings keep the memory");
    assert_eq!(
        cu!(cuMemAddressFree(range, 16 * MIB)),
        ERROR_INVALID_VALUE,
        "still mapped"
    );
    assert_eq!(
        cu!(cuMemUnmap(range, MIB)),
        ERROR_INVALID_VALUE,
        "a part of a mapping"
    );
    ok!(cuMemUnmap(range, 2 * size));
    assert_eq!(free_memory(), before);
    assert_eq!(copy(range), ERROR_INVALID_VALUE);
    ok!(cuMemAddressFree(range, 16 * MIB));
}

#[test]
fn unmapping_under_queued_work_is_a_fault_of_the_context_alone() {
    let _one = alone();
    let _own = OwnContext::new();
    let other = OwnContext::new();
    let (mut range, mut handle) = (0, 0);
    ok!(cuMemAddressReserve(&mut range, 2 * MIB, 0, 0, 0));
    ok!(cuMemCreate(&mut handle, 2 * MIB, &properties(), 0));
    ok!(cuMemMap(range, 2 * MIB, 0, handle, 0));
    let access = CUmemAccessDesc {
        location: CUmemLocation { type_: 1, id: 0 },
        flags: 3,
    };
    ok!(cuMemSetAccess(range, 2 * MIB, &access, 1));
    let stream = stream(1);
    let gate = Gate::close(stream);
    ok!(cuMemsetD8Async(range, 1, 2 * MIB, stream));
    ok!(cuMemUnmap(range, 2 * MIB));
    gate.open();
    assert_eq!(cu!(cuStreamSynchronize(stream)), ERROR_ILLEGAL_ADDRESS);
    let mut address = 0;
    assert_eq!(
        cu!(cuMemAlloc_v2(&mut address, 64)),
        ERROR_ILLEGAL_ADDRESS,
        "sticky"
    );
    ok!(cuMemRelease(handle));
    drop(other);
    alloc(64);
}
