//! What sessions share, and with whom.

use super::*;
use crate::errors::*;

/// Two sessions, each of a tenant.
fn two(first: &str, second: &str) -> (Client, Client) {
    let (one, other) = (Client::new(), Client::new());
    *one.fake.identity.lock() = first.as_bytes().to_vec();
    *other.fake.identity.lock() = second.as_bytes().to_vec();
    (one, other)
}

fn export(client: &Client, address: u64, size: u64) -> [u8; 32] {
    client.call(IpcExportMemory { address, size }).unwrap()
}

#[test]
fn memory_of_several_grants_is_one_range_elsewhere() {
    let (one, other) = two("a", "a");
    // A second grant behind the first: the allocation begins in one and ends in the other.
    let second = one.device + GRANT;
    one.call(MemGrant {
        device: 0,
        address: second,
        size: 4 << 20,
    })
    .unwrap();
    let (address, size) = (second - 1000, 3000u64);
    let bytes = pattern(size as usize, 7);
    one.write(address, &bytes);
    let token = export(&one, address, size);
    assert_eq!(token, export(&one, address, size), "the same handle");
    let shared = other.call(IpcLook { token }).unwrap();
    assert!(!shared.pool);
    assert_eq!(shared.parts, [GRANT, 4 << 20]);
    assert_eq!((shared.offset, shared.size), (GRANT - 1000, size));
    other
        .call(IpcTake {
            token,
            first_piece: 50,
        })
        .unwrap();
    let base = other.device + (1 << 30);
    let mut at = base;
    for (piece, size) in (50..).zip(shared.parts) {
        other.call(PhysicalMap { piece, address: at }).unwrap();
        other
            .call(PhysicalAccess {
                address: at,
                size,
                device: 0,
                flags: 3,
            })
            .unwrap();
        at += size;
    }
    let seen = base + shared.offset;
    assert!(other.read(seen, size) == bytes);
    let changed = pattern(size as usize, 9);
    other.write(seen, &changed);
    assert!(one.read(address, size) == changed);
    // Taken is taken: it has to be looked at again.
    assert_eq!(
        other.call(IpcTake {
            token,
            first_piece: 60
        }),
        Err(ERROR_INVALID_HANDLE)
    );
    // Released memory is not exported any more, and stays where it is in use.
    one.cast(MemRelease {
        device: 0,
        address: second,
    });
    assert_eq!(
        other.call(IpcLook { token }).map(|_| ()),
        Err(ERROR_INVALID_HANDLE)
    );
    assert!(other.read(seen, size) == changed);
}

#[test]
fn tokens_are_for_the_tenant_and_cannot_be_guessed() {
    let (one, other) = two("a", "b");
    let token = export(&one, one.device, 512);
    let refused = |token| other.call(IpcLook { token }).map(|_| ());
    assert_eq!(refused(token), Err(ERROR_INVALID_HANDLE));
    *other.fake.identity.lock() = b"a".to_vec();
    assert_eq!(refused(token), Ok(()));
    for at in 0..32 {
        let mut forged = token;
        forged[at] ^= 1;
        assert_eq!(refused(forged), Err(ERROR_INVALID_HANDLE));
    }
    // Memory that is no grant, or ends outside.
    for (address, size) in [
        (one.device + GRANT - 100, 200),
        (one.pinned, 100),
        (8, 8),
        (u64::MAX - 4, 8),
    ] {
        assert_eq!(
            one.call(IpcExportMemory { address, size }),
            Err(ERROR_INVALID_VALUE)
        );
    }
}

#[test]
fn an_event_is_complete_when_the_other_session_has_recorded_it() {
    let (one, other) = two("", "");
    let plain = one.call(EventCreate { event: 1, flags: 2 });
    assert_eq!(plain, Ok(()));
    assert_eq!(
        one.call(IpcExportEvent { event: 1 }),
        Err(ERROR_INVALID_VALUE)
    );
    one.call(EventCreate { event: 2, flags: 6 }).unwrap();
    let token = one.call(IpcExportEvent { event: 2 }).unwrap();
    // An event is no memory.
    assert_eq!(
        other.call(IpcLook { token }).map(|_| ()),
        Err(ERROR_INVALID_HANDLE)
    );
    // In one process the CPU device refuses, as drivers do: the tests with two programs go on from here.
    let imported = other.call(IpcImportEvent { event: 9, token });
    assert!(imported == Ok(()) || imported == Err(ERROR_NOT_SUPPORTED));
    one.call(EventRecord {
        event: 2,
        stream: 0,
        flags: 0,
    })
    .unwrap();
    one.call(EventSynchronize { event: 2 }).unwrap();
    assert_eq!(one.call(EventQuery { event: 2 }), Ok(()));
}
