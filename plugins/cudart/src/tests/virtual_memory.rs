//! What a hostile client gets that maps memory by itself.

use super::*;
use crate::errors::*;

const PIECE: u64 = 2 << 20;

#[test]
fn ranges_lengths_and_handles_of_a_hostile_client_are_refused() {
    let client = Client::new();
    let free = client.device + GRANT;
    let create = |piece, size| {
        client.call(PhysicalCreate {
            piece,
            device: 0,
            size,
            usage: 0,
        })
    };
    let map = |piece, address| client.call(PhysicalMap { piece, address });
    let access = |address, size, device| {
        client.call(PhysicalAccess {
            address,
            size,
            device,
            flags: 3,
        })
    };
    for size in [0, 1, PIECE + 4096, u64::MAX] {
        assert!(create(1, size).is_err());
    }
    create(1, 2 * PIECE).unwrap();
    assert_eq!(create(1, PIECE), Err(ERROR_INVALID_VALUE));
    assert_eq!(map(77, free), Err(ERROR_INVALID_VALUE));
    for address in [
        0,
        8,
        client.device,
        client.device + GRANT - PIECE,
        free + 4096,
        client.device + (4 << 30) - PIECE,
        u64::MAX - PIECE + 1,
    ] {
        assert_eq!(map(1, address), Err(ERROR_INVALID_VALUE));
    }
    map(1, free).unwrap();
    for address in [free, free + PIECE] {
        assert_eq!(map(1, address), Err(ERROR_INVALID_VALUE));
    }
    assert!(access(free, 2 * PIECE, 99).is_err());
    for (address, size) in [
        (free, PIECE),
        (free + PIECE, PIECE),
        (free, 4 * PIECE),
        (client.device, GRANT),
        (0, 0),
    ] {
        assert_eq!(access(address, size, 0), Err(ERROR_INVALID_VALUE));
        assert_eq!(
            client.call(PhysicalUnmap { address, size }),
            Err(ERROR_INVALID_VALUE)
        );
    }
    // A mapping is no grant, and a grant no mapping.
    assert_eq!(
        client.call(MemRelease {
            device: 0,
            address: free,
        }),
        Err(ERROR_INVALID_VALUE)
    );
    assert_eq!(
        client.call(MemGrant {
            device: 0,
            address: free + PIECE,
            size: PIECE,
        }),
        Err(ERROR_INVALID_VALUE)
    );
    // The handle goes, the mapping stays.
    access(free, 2 * PIECE, 0).unwrap();
    client.call(PhysicalRelease { piece: 1 }).unwrap();
    assert_eq!(
        client.call(PhysicalRelease { piece: 1 }),
        Err(ERROR_INVALID_VALUE)
    );
    let bytes = pattern(1 << 20, 4);
    client.write(free + (1 << 20), &bytes);
    assert_eq!(client.read(free + (1 << 20), 1 << 20), bytes);
    client
        .call(PhysicalUnmap {
            address: free,
            size: 2 * PIECE,
        })
        .unwrap();
    assert!(client.failure().is_none());
}

#[test]
fn sparse_arrays_are_given_what_the_session_has() {
    let client = Client::new();
    client
        .call(ArrayCreate {
            array: 1,
            shape: super::arrays::shape(64, 64, 0),
        })
        .unwrap();
    client
        .call(PhysicalCreate {
            piece: 1,
            device: 0,
            size: PIECE,
            usage: 0,
        })
        .unwrap();
    let map = |mappings| {
        client.call(ArrayMap {
            stream: 0,
            mappings,
        })
    };
    let good = ArrayMapping {
        array: 1,
        piece: 1,
        extent: [64, 64, 1],
        devices: 1,
        ..ArrayMapping::default()
    };
    assert_eq!(map(Vec::new()), Err(ERROR_INVALID_VALUE));
    assert_eq!(map(vec![good.clone(); 4097]), Err(ERROR_INVALID_VALUE));
    let no_array = ArrayMapping {
        array: 2,
        ..good.clone()
    };
    assert_eq!(map(vec![no_array]), Err(ERROR_INVALID_HANDLE));
    let no_mipmap = ArrayMapping {
        mipmapped: true,
        ..good.clone()
    };
    assert_eq!(map(vec![no_mipmap]), Err(ERROR_INVALID_HANDLE));
    let no_piece = ArrayMapping {
        piece: 2,
        ..good.clone()
    };
    assert_eq!(map(vec![no_piece]), Err(ERROR_INVALID_VALUE));
    // The array is not sparse, and the CPU device has none that are.
    assert!(map(vec![good]).is_err());
    for usage in [1 << 16, u32::MAX] {
        let strange = PhysicalCreate {
            piece: 9,
            device: 0,
            size: PIECE,
            usage,
        };
        assert_eq!(client.call(strange), Err(ERROR_INVALID_VALUE));
    }
}

#[test]
fn multicast_objects_are_given_what_the_session_has() {
    let client = Client::new();
    client
        .call(PhysicalCreate {
            piece: 1,
            device: 0,
            size: PIECE,
            usage: 0,
        })
        .unwrap();
    let properties = MulticastProperties {
        devices: 1,
        size: PIECE,
        ..MulticastProperties::default()
    };
    let create = |object, device| {
        client.call(MulticastCreate {
            object,
            device,
            properties: properties.clone(),
        })
    };
    assert_eq!(create(1, 0), Err(ERROR_INVALID_VALUE));
    assert!(create(2, 99).is_err());
    let bind = |object, piece, memory, size| {
        client.call(MulticastBind {
            object,
            offset: 0,
            piece,
            memory,
            size,
            flags: 0,
        })
    };
    assert_eq!(bind(9, 1, 0, PIECE), Err(ERROR_INVALID_VALUE));
    assert_eq!(bind(1, 9, 0, PIECE), Err(ERROR_INVALID_VALUE));
    let here = 0u64;
    let elsewhere = std::ptr::from_ref(&here) as u64;
    assert_eq!(bind(1, 0, elsewhere, 8), Err(ERROR_INVALID_VALUE));
    assert_eq!(bind(1, 0, u64::MAX, PIECE), Err(ERROR_INVALID_VALUE));
    let add = |object, device| client.call(MulticastAddDevice { object, device });
    assert_eq!(add(9, 0), Err(ERROR_INVALID_VALUE));
    assert!(add(1, 99).is_err());
    let unbind = MulticastUnbind {
        object: 9,
        device: 0,
        offset: 0,
        size: PIECE,
    };
    assert_eq!(client.call(unbind), Err(ERROR_INVALID_VALUE));
    // What is no multicast object is none for the driver either; the CPU device has none at all.
    assert!(add(1, 0).is_err());
    assert!(bind(1, 1, 0, PIECE).is_err());
}
