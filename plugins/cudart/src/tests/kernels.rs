//! Modules, kernels, globals, contexts and the snapshot.

use super::*;
use crate::errors::*;

pub(super) const PTX: &str = r"
.version 7.0
.target sm_70
.address_size 64

.global .align 4 .u32 counter = 5;

.visible .entry add(.param .u64 pointer, .param .u32 amount, .param .u32 count)
{
    .reg .pred %p;
    .reg .b32 %r<8>;
    .reg .b64 %d<4>;
    ld.param.u64 %d0, [pointer];
    ld.param.u32 %r0, [amount];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p, %r5, %r1;
    @%p bra DONE;
    cvta.to.global.u64 %d1, %d0;
    mul.wide.u32 %d2, %r5, 4;
    add.s64 %d3, %d1, %d2;
    ld.global.u32 %r6, [%d3];
    add.u32 %r7, %r6, %r0;
    st.global.u32 [%d3], %r7;
DONE:
    ret;
}

.visible .entry fault()
{
    .reg .b32 %r<2>;
    .reg .b64 %d<2>;
    mov.u64 %d0, 64;
    mov.u32 %r0, 1;
    st.global.u32 [%d0], %r0;
    ret;
}
";

pub(super) fn function(info: &ModuleInfo, name: &str) -> FunctionInfo {
    info.functions
        .iter()
        .find(|f| f.name == name)
        .unwrap_or_else(|| panic!("{name} in {info:?}"))
        .clone()
}

pub(super) fn add(function: u32, stream: u32, pointer: u64, amount: u32, count: u32) -> Launch {
    let mut params = gvirtus_wire::codec::Params::new();
    params.extend_from_slice(&pointer.to_le_bytes());
    params.extend_from_slice(&amount.to_le_bytes());
    params.extend_from_slice(&count.to_le_bytes());
    Launch {
        function,
        stream,
        grid: [count.div_ceil(64), 1, 1],
        block: [64, 1, 1],
        shared: 0,
        params,
        attributes: Vec::new(),
    }
}

pub(super) fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
        .collect()
}

#[test]
fn a_kernel_runs() {
    let client = Client::new();
    let info = client.load(1, PTX).unwrap();
    assert!(info.complete);
    assert_eq!(info.count, 2);
    let kernel = function(&info, "add");
    assert_eq!(kernel.params, [(0, 8), (8, 4), (12, 4)]);
    assert!(kernel.attributes.iter().any(|(a, v)| *a == 0 && *v >= 64));
    client.write(client.device, &[0; 4000]);
    let sequence = client.cast(add(kernel.function, 0, client.device, 7, 1000));
    client.idle();
    client.progress(0, sequence);
    assert_eq!(u32s(&client.read(client.device, 4000)), [7; 1000]);
    // The same kernel by name has the same id.
    let again = client
        .call(GetFunction {
            module: 1,
            name: "add".into(),
        })
        .unwrap();
    assert_eq!(again, kernel);
    // With attributes, and with a reply.
    let mut launch = add(kernel.function, 0, client.device, 1, 1000);
    let mut cooperative = [0; 64];
    cooperative[0] = 1;
    launch.attributes.push((2, cooperative));
    client.call(launch).unwrap();
    assert_eq!(u32s(&client.read(client.device, 4000)), [8; 1000]);
    assert!(
        client
            .call(Occupancy {
                query: 0,
                function: kernel.function,
                block: [64, 1, 1],
                ..Occupancy::default()
            })
            .unwrap()
            > 0
    );
    client.call(ModuleUnload { module: 1 }).unwrap();
    client.cast(add(kernel.function, 0, client.device, 1, 1000));
    let error: AsyncError = client.wait_for(|f| f.header.opcode == ASYNC_ERROR).decode();
    assert_eq!(error.status, ERROR_INVALID_HANDLE);
    assert!(!error.sticky);
    assert_eq!(error.thread, 7);
}

#[test]
fn globals_are_the_sessions_memory() {
    let client = Client::new();
    client.load(1, PTX).unwrap();
    let global = client
        .call(GlobalInfo {
            module: 1,
            name: "counter".into(),
        })
        .unwrap();
    assert_eq!(global.size, 4);
    assert_eq!(u32s(&client.read(global.address, 4)), [5]);
    client.write(global.address, &9u32.to_le_bytes());
    assert_eq!(u32s(&client.read(global.address, 4)), [9]);
    assert_eq!(
        client.call(GlobalInfo {
            module: 1,
            name: "nothing".into()
        }),
        Err(ERROR_NOT_FOUND)
    );
    client.call(ModuleUnload { module: 1 }).unwrap();
    assert_eq!(
        client.call(linear(COPY_TO_REPLY, 0, 0, global.address, 4)),
        Err(ERROR_INVALID_VALUE)
    );
}

#[test]
fn images_are_checked() {
    let client = Client::new();
    let status = client.call_bulk(
        ModuleLoad {
            module: 1,
            hash: [1; 32],
            options: Vec::new(),
            known: 0,
        },
        PTX.as_bytes().to_vec(),
    );
    assert_eq!(status.unwrap_err(), ERROR_INVALID_IMAGE);
    let refused = client.load(1, "this is no PTX").unwrap();
    assert_ne!(refused.report.status, 0);
    assert!(refused.functions.is_empty());
    // A number that the driver would take for a pointer.
    use sha2::{Digest, Sha256};
    let status = client.call_bulk(
        ModuleLoad {
            module: 1,
            hash: Sha256::digest(PTX.as_bytes()).into(),
            options: vec![(17, 0x1234)],
            known: 0,
        },
        PTX.as_bytes().to_vec(),
    );
    assert_eq!(status.unwrap_err(), ERROR_INVALID_VALUE);
    client.load(1, PTX).unwrap();
    assert_eq!(client.load(1, PTX).unwrap_err(), ERROR_INVALID_VALUE);
}

#[test]
fn an_image_that_is_kept_need_not_be_sent() {
    use sha2::{Digest, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("modules");
    let settings = serde_json::json!({"module_cache": {"dir": kept, "bytes": 4 << 20}});
    let large = format!("{PTX}\n//{}\n", "x".repeat(300 << 10));
    let hash: [u8; 32] = Sha256::digest(large.as_bytes()).into();
    let named = |client: &Client, module, known| {
        client.call(ModuleLoad {
            module,
            hash,
            options: Vec::new(),
            known,
        })
    };
    let len = large.len() as u64;
    {
        let client = Client::with(&settings);
        assert_eq!(named(&client, 1, len).unwrap().image, IMAGE_MISSING);
        assert_eq!(client.load(1, &large).unwrap().image, IMAGE_THERE);
        assert_eq!(named(&client, 2, len).unwrap().image, IMAGE_THERE);
        assert_eq!(named(&client, 3, u64::MAX), Err(ERROR_OUT_OF_MEMORY));
    }
    let client = Client::with(&settings);
    let info = named(&client, 1, len).unwrap();
    assert_eq!(info.image, IMAGE_THERE);
    let add_kernel = function(&info, "add").function;
    client.write(client.device, &[0; 256]);
    client.cast(add(add_kernel, 0, client.device, 7, 64));
    assert_eq!(u32s(&client.read(client.device, 256)), [7; 64]);
    // Another tenant knows the hash and is told nothing.
    let other = Client::with(&settings);
    *other.fake.identity.lock() = b"somebody else".to_vec();
    assert_eq!(named(&other, 1, len).unwrap().image, IMAGE_MISSING);
    // A file that is not what it was.
    let file = kept.join("everybody").read_dir().unwrap().next().unwrap();
    let path = file.unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(named(&client, 2, len).unwrap().image, IMAGE_MISSING);
    assert!(!path.exists());
    assert_eq!(client.load(2, &large).unwrap().image, IMAGE_THERE);
    assert!(path.exists());
    // Nothing is kept where nothing is said.
    assert_eq!(
        named(&Client::new(), 1, len).unwrap().image,
        IMAGES_NOT_KEPT
    );
}

#[test]
fn short_parameter_blocks_are_refused() {
    let client = Client::new();
    let info = client.load(1, PTX).unwrap();
    let mut launch = add(function(&info, "add").function, 0, client.device, 1, 10);
    launch.params.truncate(15);
    assert_eq!(client.call(launch), Err(ERROR_INVALID_VALUE));
}

#[test]
fn contexts_are_made_and_destroyed() {
    let mut client = Client::new();
    client
        .call(ContextCreate {
            context: 300,
            device: 0,
            flags: 0,
        })
        .unwrap();
    client.context = 300;
    let info = client.load(1, PTX).unwrap();
    client.cast(StreamCreate {
        stream: 4,
        flags: 1,
        priority: 0,
    });
    client.write(client.device, &[0; 40]);
    client.cast(add(
        function(&info, "add").function,
        4,
        client.device,
        3,
        10,
    ));
    client.call(ContextSynchronize {}).unwrap();
    assert_eq!(u32s(&client.read(client.device, 40)), [3; 10]);
    client.call(ContextDestroy { context: 300 }).unwrap();
    assert_eq!(
        client.call(StreamSynchronize { stream: 4 }),
        Err(ERROR_INVALID_CONTEXT)
    );
    client.context = 0;
    assert_eq!(
        client.call(StreamSynchronize { stream: 4 }),
        Err(ERROR_INVALID_HANDLE)
    );
    client.write(client.device, b"alive");
    assert_eq!(client.read(client.device, 5), b"alive");
}

#[test]
fn the_snapshot_describes_the_device() {
    unsafe extern "C" fn sink(into: *mut c_void, at: *const u8, len: usize) {
        unsafe { (*into.cast::<Vec<u8>>()).extend(bytes(at, len)) };
    }
    let client = Client::new();
    let mut encoded: Vec<u8> = Vec::new();
    unsafe { (crate::TABLE.0.snapshot)(client.state(), sink, (&raw mut encoded).cast()) };
    let snapshot: Snapshot = decode_all(&encoded).unwrap();
    assert!(snapshot.driver_version >= 12000);
    let device = &snapshot.devices[0];
    assert!(!device.name.is_empty() && device.total_memory > 0);
    assert!(device.attributes.len() > 50);
    assert!(!device.limits.is_empty());
    assert_eq!(device.peers.len(), snapshot.devices.len());
    assert_eq!(device.granularity, 2 << 20);
}
