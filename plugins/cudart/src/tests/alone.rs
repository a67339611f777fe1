//! What would disturb other tests of the process runs in a process of its own.

use super::kernels::{PTX, add, function, u32s};
use super::*;
use crate::errors::*;

/// Runs an ignored test in a child process.
pub(super) fn in_a_child(name: &str) {
    let me = std::env::current_exe().unwrap();
    let output = std::process::Command::new(me)
        .args(["--ignored", "--exact", "--nocapture", name])
        .env("GVIRTUS_TEST_CPU_LIBRARY", cpu_library())
        .env("GVIRTUS_CPU_DEVICES", "2")
        .env("GVIRTUS_CPU_MEMORY", "1G")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn two_devices() {
    in_a_child("tests::alone::two_devices_child");
}

#[test]
#[ignore = "started by `two_devices`"]
fn two_devices_child() {
    let mut client = Client::new();
    let base = client.device + 0x400_0000_0000;
    let reserved = client.call(ReserveRange {
        device: 1,
        base,
        size: 1 << 30,
        grant: 32 << 20,
    });
    if reserved == Err(ERROR_INVALID_DEVICE) {
        return;
    }
    reserved.unwrap();
    let bytes = pattern(6 << 20, 2);
    client.write(client.device, &bytes);
    // Between devices, straight and in boxes, before either context was ever used for the other.
    client
        .call(linear(COPY_ON_DEVICE, 0, base, client.device, 6 << 20))
        .unwrap();
    client.context = 1;
    assert!(client.read(base, 6 << 20) == bytes);
    let boxed = |dst, src| Copy {
        kind: COPY_ON_DEVICE,
        stream: 0,
        dst: Plane {
            address: dst,
            pitch: 512,
            slice: 0,
        },
        src: Plane {
            address: src,
            pitch: 1024,
            slice: 0,
        },
        extent: Extent {
            width: 300,
            height: 20,
            depth: 1,
        },
    };
    client.context = 0;
    client.call(boxed(base + (8 << 20), client.device)).unwrap();
    client.context = 1;
    let rows = client.read(base + (8 << 20), 512 * 20);
    for y in 0..20 {
        assert_eq!(
            rows[y * 512..y * 512 + 300],
            bytes[y * 1024..y * 1024 + 300]
        );
    }
    let info = client.load(1, PTX).unwrap();
    let add_one = |client: &Client, pointer| {
        client.call(add(function(&info, "add").function, 0, pointer, 1, 100))
    };
    // A kernel on the second device works on the first one's memory once that is allowed, also on what is granted later.
    match client.call(PeerAccess {
        device: 0,
        enable: true,
    }) {
        Err(ERROR_PEER_ACCESS_UNSUPPORTED) => return,
        enabled => enabled.unwrap(),
    }
    assert_eq!(
        client.call(PeerAccess {
            device: 0,
            enable: true
        }),
        Err(ERROR_PEER_ACCESS_ALREADY_ENABLED)
    );
    let later = client.device + GRANT;
    client
        .call(MemGrant {
            device: 0,
            address: later,
            size: 2 << 20,
        })
        .unwrap();
    for pointer in [client.device, later] {
        client.context = 0;
        client.write(pointer, &[0; 400]);
        client.context = 1;
        add_one(&client, pointer).unwrap();
        client.context = 0;
        assert_eq!(u32s(&client.read(pointer, 400)), [1; 100]);
    }
    client.context = 1;
    client
        .call(PeerAccess {
            device: 0,
            enable: false,
        })
        .unwrap();
    assert_eq!(
        client.call(PeerAccess {
            device: 0,
            enable: false
        }),
        Err(ERROR_PEER_ACCESS_NOT_ENABLED)
    );
}

#[test]
fn reset() {
    in_a_child("tests::alone::reset_child");
}

#[test]
fn device_output() {
    in_a_child("tests::alone::device_output_child");
}

#[test]
fn events_serve_where_words_do_not() {
    let me = std::env::current_exe().unwrap();
    for tests in ["tests::ordering", "tests::graphs", "tests::errors"] {
        let output = std::process::Command::new(&me)
            .args([tests, "--test-threads=1"])
            .env("GVIRTUS_TEST_CPU_LIBRARY", cpu_library())
            .env("GVIRTUS_TEST_EVENTS", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
#[ignore = "started by `reset`"]
fn reset_child() {
    let client = Client::new();
    let info = client.load(1, PTX).unwrap();
    client.cast(StreamCreate {
        stream: 1,
        flags: 0,
        priority: 0,
    });
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 4096,
            flags: 0,
        })
        .unwrap();
    client.write(client.device, b"before");
    client.call(ContextReset { device: 0 }).unwrap();
    assert_eq!(
        client.call(StreamSynchronize { stream: 1 }),
        Err(ERROR_INVALID_HANDLE)
    );
    assert_eq!(
        client.call(linear(COPY_TO_REPLY, 0, 0, client.device, 6)),
        Err(ERROR_INVALID_VALUE)
    );
    assert!(
        client
            .call(add(function(&info, "add").function, 0, client.device, 1, 1))
            .is_err()
    );
    // The ranges are still the client's.
    client
        .call(MemGrant {
            device: 0,
            address: client.device,
            size: 2 << 20,
        })
        .unwrap();
    client
        .call(HostAlloc {
            address: client.pinned,
            size: 4096,
            flags: 0,
        })
        .unwrap();
    let info = client.load(1, PTX).unwrap();
    client.write(client.device, &[0; 40]);
    client
        .call(add(
            function(&info, "add").function,
            0,
            client.device,
            4,
            10,
        ))
        .unwrap();
    assert_eq!(u32s(&client.read(client.device, 40)), [4; 10]);
}

const PRINTS: &str = r"
.version 7.0
.target sm_70
.address_size 64

.extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 arguments);
.global .align 1 .b8 text[11] = {110, 117, 109, 98, 101, 114, 32, 37, 100, 10, 0};

.visible .entry say(.param .u32 number)
{
    .local .align 8 .b8 arguments[8];
    .reg .b32 %r<3>;
    .reg .b64 %d<4>;
    ld.param.u32 %r0, [number];
    mov.u64 %d0, arguments;
    cvta.local.u64 %d1, %d0;
    st.local.u32 [%d0], %r0;
    mov.u64 %d2, text;
    cvta.global.u64 %d3, %d2;
    {
        .param .b64 p0;
        .param .b64 p1;
        .param .b32 q;
        st.param.b64 [p0], %d3;
        st.param.b64 [p1], %d1;
        call.uni (q), vprintf, (p0, p1);
        ld.param.b32 %r1, [q];
    }
    ret;
}
";

#[test]
#[ignore = "started by `device_output`"]
fn device_output_child() {
    let client = Client::start_session(true);
    let info = client.load(1, PRINTS).unwrap();
    for number in [12u32, 13] {
        let mut params = gvirtus_wire::codec::Params::new();
        params.extend_from_slice(&number.to_le_bytes());
        client.cast(Launch {
            function: function(&info, "say").function,
            stream: 0,
            grid: [1, 1, 1],
            block: [1, 1, 1],
            shared: 0,
            params,
            attributes: Vec::new(),
        });
        let waiting = client.begin(ContextSynchronize {}, Vec::new());
        let sequence = waiting.sequence;
        waiting.wait().unwrap();
        let frames = client.frames();
        let reply = frames
            .iter()
            .position(|f| f.header.opcode == REPLY && f.header.sequence == sequence)
            .unwrap();
        let text: Vec<u8> = frames[..reply]
            .iter()
            .filter(|f| f.header.opcode == OUTPUT && f.decode::<Output>().stream == 1)
            .flat_map(|f| f.bulk.clone())
            .collect();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with(&format!("number {number}\n")), "{text:?}");
    }
}
