//! Expected codes are what an H100's driver returned for the same calls.

use std::ptr::null_mut;

use gvirtus_wire::api::types::{CUlaunchAttribute, CUstreamAttrValue};

use super::*;

/// `(int, double *, char)`: 17 bytes.
const PARAMS: &[(u32, u32)] = &[(0, 4), (8, 8), (16, 1)];

fn geometry(grid: [u32; 3], block: [u32; 3], shared: u32) -> Geometry {
    Geometry {
        grid,
        block,
        shared,
    }
}

#[test]
fn geometry_as_the_driver_checks_it() {
    let function = Function::for_test(PARAMS, &[(0, 1024), (1, 0), (4, 8), (8, 49152)]);
    let check = |grid, block, shared| geometry(grid, block, shared).check(&function);
    let one = [1, 1, 1];
    assert_eq!(check(one, one, 49152), Ok(()));
    assert_eq!(check([2_147_483_647, 65535, 65535], [16, 1, 64], 0), Ok(()));
    for (grid, block, shared) in [
        ([0, 1, 1], one, 0),
        (one, [0, 1, 1], 0),
        (one, [1025, 1, 1], 0),
        (one, [1, 1, 65], 0),
        ([1, 65536, 1], one, 0),
        ([1 << 31, 1, 1], one, 0),
        (one, [1024, 2, 1], 0),
        (one, [32, 33, 1], 0),
        (one, one, 49153),
        (one, one, 1 << 31),
    ] {
        let refused = check(grid, block, shared);
        assert_eq!(
            refused,
            Err(error::ERROR_INVALID_VALUE),
            "{grid:?} {block:?} {shared}"
        );
    }
}

#[test]
fn launch_bounds_and_registers_are_told_apart() {
    let wide = geometry([1, 1, 1], [256, 1, 1], 0);
    let bounded = Function::for_test(&[], &[(0, 128), (4, 10)]);
    assert_eq!(wide.check(&bounded), Err(error::ERROR_INVALID_VALUE));
    let widest = geometry([1, 1, 1], [1024, 1, 1], 0);
    let heavy = Function::for_test(&[], &[(0, 384), (4, 160)]);
    assert_eq!(
        widest.check(&heavy),
        Err(error::ERROR_LAUNCH_OUT_OF_RESOURCES)
    );
}

#[test]
fn parameters_by_pointer() {
    let function = Function::for_test(PARAMS, &[]);
    let (mut a, mut b, mut c) = (0x0102_0304_u32, 0x1122_3344_5566_7788_u64, 9_u8);
    let mut pointers: [*mut c_void; 3] = [
        (&raw mut a).cast(),
        (&raw mut b).cast(),
        (&raw mut c).cast(),
    ];
    // SAFETY: a pointer for every parameter, or null.
    let (packed, missing) = unsafe {
        (
            pack(&function, pointers.as_mut_ptr(), null_mut()).unwrap(),
            pack(&function, null_mut(), null_mut()),
        )
    };
    assert_eq!(packed[0..4], a.to_le_bytes());
    assert_eq!(packed[4..8], [0; 4]);
    assert_eq!(packed[8..16], b.to_le_bytes());
    assert_eq!(packed[16..], [9]);
    assert!(!packed.spilled());
    assert_eq!(missing, Err(error::ERROR_INVALID_VALUE));
    pointers[1] = null_mut();
    // SAFETY: as above; a null pointer is refused.
    let null = unsafe { pack(&function, pointers.as_mut_ptr(), null_mut()) };
    assert_eq!(null, Err(error::ERROR_INVALID_VALUE));
    let none = Function::for_test(&[], &[]);
    // SAFETY: no parameters.
    let nothing = unsafe { pack(&none, null_mut(), null_mut()) };
    assert!(nothing.unwrap().is_empty());
}

#[test]
fn parameters_packed_by_the_program() {
    let function = Function::for_test(PARAMS, &[]);
    let mut buffer = [7_u8; 64];
    for (given, expected) in [
        (0, Err(error::ERROR_INVALID_VALUE)),
        (8, Ok(8)),
        (16, Ok(16)),
        (17, Ok(17)),
        (20, Err(error::ERROR_LAUNCH_OUT_OF_RESOURCES)),
        (4096, Err(error::ERROR_LAUNCH_OUT_OF_RESOURCES)),
    ] {
        let mut size: usize = given;
        let mut extra: [*mut c_void; 5] = [
            std::ptr::without_provenance_mut(EXTRA_BUFFER_POINTER),
            buffer.as_mut_ptr().cast(),
            std::ptr::without_provenance_mut(EXTRA_BUFFER_SIZE),
            (&raw mut size).cast(),
            null_mut(),
        ];
        // SAFETY: the array is as CUDA documents it; sizes beyond the buffer are refused before it is read.
        let packed = unsafe { pack(&function, null_mut(), extra.as_mut_ptr()) };
        let filled = packed.map(|bytes| {
            assert_eq!(bytes.len(), 17);
            bytes.iter().filter(|b| **b == 7).count()
        });
        assert_eq!(filled, expected, "{given}");
    }
    let mut unknown: [*mut c_void; 3] =
        [std::ptr::without_provenance_mut(7), null_mut(), null_mut()];
    let mut empty: [*mut c_void; 1] = [null_mut()];
    let none = Function::for_test(&[], &[]);
    // SAFETY: arrays with an end mark.
    unsafe {
        let refused = Err(error::ERROR_INVALID_VALUE);
        assert_eq!(pack(&function, null_mut(), unknown.as_mut_ptr()), refused);
        assert_eq!(pack(&function, null_mut(), empty.as_mut_ptr()), refused);
        assert_eq!(
            pack(&function, empty.as_mut_ptr(), empty.as_mut_ptr()),
            refused
        );
        assert!(pack(&none, null_mut(), empty.as_mut_ptr()).is_ok());
    }
}

fn read(attributes: &mut [(u32, [u64; 8])]) -> Result<Attributes> {
    let mut all: Vec<CUlaunchAttribute> = attributes
        .iter()
        .map(|(id, words)| CUlaunchAttribute {
            id: *id,
            pad: [0; 4],
            value: CUstreamAttrValue { words: *words },
        })
        .collect();
    let config = CUlaunchConfig {
        gridDimX: 4,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 32,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: 0,
        hStream: null_mut(),
        attrs: all.as_mut_ptr(),
        numAttrs: u32::try_from(all.len()).unwrap(),
    };
    // SAFETY: the array is as long as the configuration says.
    unsafe { Attributes::read(&config) }
}

#[test]
fn attributes_as_the_driver_takes_them() {
    for id in [0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 13, 14, 16] {
        assert!(read(&mut [(id, [0; 8])]).is_ok(), "{id}");
    }
    for (id, status) in [
        (3, error::ERROR_INVALID_VALUE),
        (7, error::ERROR_INVALID_HANDLE),
        (12, error::ERROR_INVALID_HANDLE),
        (15, error::ERROR_INVALID_VALUE),
        (17, error::ERROR_INVALID_VALUE),
        (99, error::ERROR_INVALID_VALUE),
    ] {
        assert_eq!(read(&mut [(id, [0; 8])]).unwrap_err(), status, "{id}");
    }
    // Nothing but yes or no, and no handle yet.
    let asked = |wanted, handle| read(&mut [(13, [wanted, handle, 0, 0, 0, 0, 0, 0])]);
    let updatable = asked(1, 0).unwrap();
    assert!(updatable.updatable.is_some_and(|(wanted, _)| wanted));
    assert!(updatable.list.is_empty());
    for (wanted, handle) in [(2, 0), (1, 16), (0xffff_ffff, 0)] {
        assert_eq!(
            asked(wanted, handle).unwrap_err(),
            error::ERROR_INVALID_VALUE
        );
    }
    let all = read(&mut [(8, [0xffff_ffff, 0, 0, 0, 0, 0, 0, 0]), (0, [1; 8])]).unwrap();
    assert_eq!(all.list.len(), 1);
    assert_eq!(all.list[0].0, 8);
    assert_eq!(all.list[0].1[..8], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
}

#[test]
fn clusters_divide_the_grid_and_are_portable() {
    let cluster = |x: u64, grid: u32, large: i32| {
        let function = Function::for_test(&[], &[(14, large)]);
        let attributes = read(&mut [(4, [1 << 32 | x, 1, 0, 0, 0, 0, 0, 0])]).unwrap();
        attributes.check(&function, &geometry([grid, 1, 1], [32, 1, 1], 0))
    };
    assert_eq!(cluster(3, 4, 0), Err(error::ERROR_INVALID_CLUSTER_SIZE));
    assert_eq!(cluster(9, 9, 0), Err(error::ERROR_INVALID_CLUSTER_SIZE));
    assert_eq!(cluster(1, 4, 0), Ok(()));
    assert!(read(&mut [(4, [0; 8])]).unwrap().cluster.is_none());
}
