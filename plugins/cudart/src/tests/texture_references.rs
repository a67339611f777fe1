//! Texture and surface references of modules.

use super::arrays::shape;
use super::kernels::function;
use super::*;
use crate::errors::*;
use crate::textures::{ARRAY, LINEAR};

const TEXT: &str = r"
.version 7.0
.target sm_70
.address_size 64

.global .texref line;
.global .surfref sheet;

.visible .entry read(.param .u64 out)
{
    .reg .b32 %r<5>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd0, [out];
    mov.u32 %r0, 1;
    tex.1d.v4.s32.s32 {%r1, %r2, %r3, %r4}, [line, {%r0}];
    cvta.to.global.u64 %rd1, %rd0;
    st.global.u32 [%rd1], %r1;
    ret;
}
";
/// `CU_AD_FORMAT_SIGNED_INT32`.
const SIGNED_INT32: u32 = 0x0a;

fn find(name: &str, reference: u32) -> TextureReferenceFind {
    TextureReferenceFind {
        module: 1,
        name: name.to_owned(),
        reference,
    }
}

fn find_surface(name: &str, reference: u32) -> SurfaceReferenceFind {
    SurfaceReferenceFind {
        module: 1,
        name: name.to_owned(),
        reference,
    }
}

fn linear(address: u64, width: u64) -> TextureReferenceBind {
    TextureReferenceBind {
        reference: 1,
        resource: Resource {
            kind: LINEAR,
            address,
            width,
            ..Resource::default()
        },
    }
}

#[test]
fn references_read_what_is_bound_and_the_sessions_own_memory_alone() {
    let client = Client::new();
    let info = client.load(1, TEXT).unwrap();
    let read = function(&info, "read").function;
    let state = client.call(find("line", 1)).unwrap();
    for (name, status) in [
        ("nothing", ERROR_NOT_FOUND),
        ("read", ERROR_NOT_FOUND),
        ("sheet", ERROR_NOT_FOUND),
        ("li\0ne", ERROR_NOT_FOUND),
        ("", ERROR_NOT_FOUND),
    ] {
        assert_eq!(client.call(find(name, 2)), Err(status), "{name}");
    }
    assert_eq!(client.call(find("line", 1)), Err(ERROR_INVALID_VALUE));
    let set = TextureReferenceSet {
        reference: 1,
        what: REFERENCE_FORMAT,
        state: ReferenceState {
            format: SIGNED_INT32,
            channels: 1,
            ..state
        },
    };
    client.call(set.clone()).unwrap();
    client.call(linear(client.device, 64)).unwrap();
    let bytes: Vec<u8> = (0..16u32).flat_map(|n| (70 + n).to_le_bytes()).collect();
    client.write(client.device, &bytes);
    let mut params = gvirtus_wire::codec::Params::new();
    params.extend_from_slice(&(client.device + 4096).to_le_bytes());
    client
        .call(Launch {
            function: read,
            stream: 0,
            grid: [1; 3],
            block: [1; 3],
            shared: 0,
            params,
            attributes: Vec::new(),
        })
        .unwrap();
    assert_eq!(client.read(client.device + 4096, 4), 71u32.to_le_bytes());

    let here = 0u64;
    for (address, width) in [
        (std::ptr::from_ref(&here) as u64 & !511, 8),
        (client.device, GRANT + 512),
        (0, 4096),
        (u64::MAX - 511, 4096),
    ] {
        assert_eq!(
            client.call(linear(address, width)),
            Err(ERROR_INVALID_VALUE)
        );
    }
    let no_array = TextureReferenceBind {
        reference: 1,
        resource: Resource {
            kind: ARRAY,
            array: 9,
            ..Resource::default()
        },
    };
    assert_eq!(client.call(no_array), Err(ERROR_INVALID_HANDLE));
    let no_reference = TextureReferenceSet {
        reference: 7,
        ..set.clone()
    };
    assert_eq!(client.call(no_reference), Err(ERROR_INVALID_HANDLE));
    let no_format = TextureReferenceSet {
        state: ReferenceState {
            channels: u32::MAX,
            ..ReferenceState::default()
        },
        ..set
    };
    assert_eq!(client.call(no_format), Err(ERROR_INVALID_VALUE));
}

#[test]
fn references_go_with_their_module() {
    let client = Client::new();
    client.load(1, TEXT).unwrap();
    client.call(find("line", 1)).unwrap();
    client.call(find_surface("sheet", 1)).unwrap();
    let no_surface = client.call(find_surface("line", 2));
    assert_eq!(no_surface, Err(ERROR_NOT_FOUND));
    client
        .call(ArrayCreate {
            array: 1,
            shape: shape(16, 4, 0),
        })
        .unwrap();
    let bind = SurfaceReferenceBind {
        reference: 1,
        array: 1,
    };
    client.call(bind.clone()).unwrap();
    let no_array = SurfaceReferenceBind {
        array: 5,
        ..bind.clone()
    };
    assert_eq!(client.call(no_array), Err(ERROR_INVALID_HANDLE));
    client.call(ModuleUnload { module: 1 }).unwrap();
    assert_eq!(client.call(bind), Err(ERROR_INVALID_HANDLE));
    assert_eq!(
        client.call(linear(client.device, 64)),
        Err(ERROR_INVALID_HANDLE)
    );
    assert_eq!(client.call(find("line", 2)), Err(ERROR_INVALID_HANDLE));
}
