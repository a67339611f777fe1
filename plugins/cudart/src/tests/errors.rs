//! Failures are told to the one who can do something about them.

use super::kernels::{PTX, function};
use super::*;
use crate::errors::*;

#[test]
fn a_failed_create_poisons_its_number() {
    let client = Client::new();
    let sequence = client.cast(StreamCreate {
        stream: 9,
        flags: 0xffff,
        priority: 0,
    });
    let error: AsyncError = client.wait_for(|f| f.header.opcode == ASYNC_ERROR).decode();
    assert_eq!(
        (error.sequence, error.status),
        (sequence, ERROR_INVALID_VALUE)
    );
    assert_eq!(
        client.call(StreamSynchronize { stream: 9 }),
        Err(ERROR_INVALID_VALUE)
    );
    assert_eq!(
        client.call(StreamSynchronize { stream: 10 }),
        Err(ERROR_INVALID_HANDLE)
    );
    for stream in [0, u32::MAX, 1 << 20] {
        assert_eq!(
            client.call(StreamCreate {
                stream,
                flags: 0,
                priority: 0
            }),
            Err(ERROR_INVALID_VALUE)
        );
    }
}

#[test]
fn a_fault_is_pushed_and_stays() {
    // A GPU's fault takes all contexts of the process along.
    super::alone::in_a_child("tests::errors::fault");
}

#[test]
#[ignore = "started by `a_fault_is_pushed_and_stays`"]
fn fault() {
    let mut client = Client::new();
    client
        .call(ContextCreate {
            context: 256,
            device: 0,
            flags: 0,
        })
        .unwrap();
    client.context = 256;
    let info = client.load(1, PTX).unwrap();
    let sequence = client.cast(Launch {
        function: function(&info, "fault").function,
        stream: 0,
        grid: [1, 1, 1],
        block: [1, 1, 1],
        shared: 0,
        params: gvirtus_wire::codec::Params::new(),
        attributes: Vec::new(),
    });
    client.idle();
    let error: AsyncError = client.wait_for(|f| f.header.opcode == ASYNC_ERROR).decode();
    assert!(error.sticky);
    assert_eq!(error.context, 256);
    assert_eq!(error.status, ERROR_ILLEGAL_ADDRESS);
    // Nobody waits for what will never complete.
    client.progress(0, sequence);
    assert_eq!(
        client.call(ContextSynchronize {}),
        Err(ERROR_ILLEGAL_ADDRESS)
    );
    client.cast(linear(
        COPY_ON_DEVICE,
        0,
        client.device,
        client.device + 64,
        8,
    ));
    let _ = client.call(ContextSynchronize {});
    let pushed = client
        .frames()
        .iter()
        .filter(|f| f.header.opcode == ASYNC_ERROR && f.decode::<AsyncError>().sticky)
        .count();
    assert_eq!(pushed, 1, "told once");
}

#[test]
fn a_payload_that_is_no_command_ends_the_session() {
    let client = Client::new();
    let header = Header {
        len: 3,
        opcode: 0x0150,
        ..Header::default()
    };
    client.frame(header, vec![1, 2, 3], Vec::new());
    assert!(client.failure().unwrap().contains("Launch"));
}

#[test]
fn unknown_contexts_and_devices() {
    let mut client = Client::new();
    assert_eq!(
        client.call(MemInfo { device: 77 }),
        Err(ERROR_INVALID_DEVICE)
    );
    for context in [100, 255, 256, 4000, u32::MAX] {
        client.context = context;
        assert_eq!(
            client.call(ContextSynchronize {}),
            Err(ERROR_INVALID_CONTEXT)
        );
    }
    client.context = 0;
    assert_eq!(
        client.call(ContextDestroy { context: 0 }),
        Err(ERROR_INVALID_CONTEXT)
    );
    client.call(Ping {}).unwrap();
}
