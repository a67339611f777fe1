//! Arrays: boxes in them arrive byte for byte, and what does not lie inside, or is no array, is refused.

use super::*;
use crate::errors::*;

/// Integers of 32 bits.
const SIGNED_INT32: u32 = 0x0a;
/// `CUresourcetype`.
const LINEAR: u32 = 2;

pub(super) fn shape(width: u64, height: u64, depth: u64) -> ArrayShape {
    ArrayShape {
        width,
        height,
        depth,
        format: SIGNED_INT32,
        channels: 1,
        flags: 0,
    }
}

/// A box in an array.
fn inside(x: u64, y: u64, z: u64) -> Plane {
    Plane {
        address: z << ARRAY_SLICE | y << ARRAY_ROW | x,
        pitch: 1 << ARRAY_ROW,
        slice: 1 << ARRAY_SLICE,
    }
}

fn extent(width: u64, height: u64, depth: u64) -> Extent {
    Extent {
        width,
        height,
        depth,
    }
}

fn write(array: u32, dst: Plane, extent: Extent) -> CopyArray {
    CopyArray {
        kind: COPY_FROM_BULK,
        dst_array: array,
        dst,
        extent,
        ..CopyArray::default()
    }
}

fn read(array: u32, src: Plane, extent: Extent) -> CopyArray {
    CopyArray {
        kind: COPY_TO_REPLY,
        src_array: array,
        src,
        extent,
        ..CopyArray::default()
    }
}

#[test]
fn boxes_in_arrays_come_back_as_they_went() {
    let client = Client::new();
    for (id, (array, begin, size)) in (1..).zip([
        ((64, 0, 0), (16, 0, 0), (100, 1, 1)),
        ((64, 20, 0), (0, 0, 0), (256, 20, 1)),
        ((64, 20, 0), (8, 3, 0), (40, 9, 1)),
        ((16, 9, 7), (4, 2, 1), (40, 5, 6)),
        // One row of every slice: its rows are slices.
        ((16, 9, 7), (4, 2, 1), (40, 1, 6)),
        ((16, 9, 7), (4, 2, 1), (4, 1, 1)),
        // More than one piece of staging memory.
        ((1024, 1024, 3), (0, 0, 0), (4096, 1024, 3)),
    ]) {
        let (w, h, d) = array;
        client
            .call(ArrayCreate {
                array: id,
                shape: shape(w, h, d),
            })
            .unwrap();
        let all = extent(4 * w, h.max(1), d.max(1));
        let background = vec![0xee; (all.width * all.height * all.depth) as usize];
        client
            .call_bulk(write(id, inside(0, 0, 0), all.clone()), background.clone())
            .unwrap();
        let size = extent(size.0, size.1, size.2);
        let bytes = pattern((size.width * size.height * size.depth) as usize, id.into());
        let place = inside(begin.0, begin.1, begin.2);
        client
            .call_bulk(write(id, place.clone(), size.clone()), bytes.clone())
            .unwrap();
        let (_, back) = client
            .begin(read(id, place.clone(), size.clone()), Vec::new())
            .wait_with_bulk()
            .unwrap();
        assert!(back == bytes, "{array:?}");
        let mut expected = background;
        let mut from = bytes.chunks(size.width as usize);
        for z in begin.2..begin.2 + size.depth {
            for y in begin.1..begin.1 + size.height {
                let at = ((z * all.height + y) * all.width + begin.0) as usize;
                expected[at..at + size.width as usize].copy_from_slice(from.next().unwrap());
            }
        }
        // By way of device memory, whose rows lie elsewhere.
        let plane = Plane {
            address: client.device,
            pitch: all.width,
            slice: all.width * all.height,
        };
        client
            .call(CopyArray {
                kind: COPY_ON_DEVICE,
                src_array: id,
                dst: plane,
                src: inside(0, 0, 0),
                extent: all,
                ..CopyArray::default()
            })
            .unwrap();
        assert!(client.read(client.device, expected.len() as u64) == expected);
        client.call(ArrayDestroy { array: id }).unwrap();
        assert_eq!(
            client.call(read(id, place, size)),
            Err(ERROR_INVALID_HANDLE)
        );
    }
}

#[test]
fn what_is_not_in_an_array_is_refused() {
    let client = Client::new();
    client
        .call(ArrayCreate {
            array: 1,
            shape: shape(16, 4, 3),
        })
        .unwrap();
    for (plane, size) in [
        (inside(4, 0, 0), extent(64, 1, 1)),
        (inside(0, 4, 0), extent(4, 1, 1)),
        (inside(0, 0, 3), extent(4, 1, 1)),
        (inside(0, 3, 0), extent(4, 2, 1)),
        (inside(0, 0, 2), extent(4, 1, 2)),
        (inside(1 << 31, 0, 0), extent(4, 1, 1)),
        (inside(0, 0xffff, 0xffff), extent(4, 1, 1)),
        // Rows that are no array's.
        (
            Plane {
                pitch: 64,
                ..inside(0, 0, 0)
            },
            extent(4, 2, 1),
        ),
        (inside(0, 0, 0xffff), extent(4, 1, 2)),
    ] {
        let bytes = vec![0; (size.width * size.height * size.depth) as usize];
        let refused = client.call_bulk(write(1, plane.clone(), size.clone()), bytes);
        assert_eq!(refused, Err(ERROR_INVALID_VALUE), "{plane:?} {size:?}");
        assert_eq!(client.call(read(1, plane, size)), Err(ERROR_INVALID_VALUE));
    }
    let no_array = read(9, inside(0, 0, 0), extent(4, 1, 1));
    assert_eq!(client.call(no_array), Err(ERROR_INVALID_HANDLE));
    let taken = ArrayCreate {
        array: 1,
        shape: shape(16, 4, 3),
    };
    assert_eq!(client.call(taken), Err(ERROR_INVALID_VALUE));
}

#[test]
fn textures_read_the_sessions_own_memory_alone() {
    let client = Client::new();
    let texture = |address, width| TextureCreate {
        resource: Resource {
            kind: LINEAR,
            address,
            format: SIGNED_INT32,
            channels: 1,
            width,
            ..Resource::default()
        },
        texture: TextureSettings {
            flags: 1,
            ..TextureSettings::default()
        },
        view: None,
    };
    let made = client.call(texture(client.device, 4096)).unwrap();
    let here = 0u64;
    for (address, width) in [
        (std::ptr::from_ref(&here) as u64 & !511, 8),
        (client.device, GRANT + 512),
        (0, 4096),
        (u64::MAX - 511, 4096),
    ] {
        assert_eq!(
            client.call(texture(address, width)),
            Err(ERROR_INVALID_VALUE)
        );
    }
    client.call(TextureDestroy { texture: made }).unwrap();
    for gone in [made, 0, u64::MAX] {
        let again = client.call(TextureDestroy { texture: gone });
        assert_eq!(again, Err(ERROR_INVALID_VALUE));
        let surface = client.call(SurfaceDestroy { surface: gone });
        assert_eq!(surface, Err(ERROR_INVALID_VALUE));
    }
}

#[test]
fn levels_live_as_long_as_somebody_names_them() {
    let client = Client::new();
    client
        .call(MipmapCreate {
            mipmap: 1,
            shape: shape(16, 16, 0),
            levels: 5,
        })
        .unwrap();
    for level in 0..5 {
        client
            .call(MipmapLevel {
                mipmap: 1,
                level,
                array: level + 1,
            })
            .unwrap();
        let side = 16 >> level;
        let bytes = pattern(4 * side * side, u64::from(level));
        let all = extent(4 * side as u64, side as u64, 1);
        client
            .call_bulk(
                write(level + 1, inside(0, 0, 0), all.clone()),
                bytes.clone(),
            )
            .unwrap();
        let (_, back) = client
            .begin(read(level + 1, inside(0, 0, 0), all), Vec::new())
            .wait_with_bulk()
            .unwrap();
        assert_eq!(back, bytes);
    }
    let beyond = MipmapLevel {
        mipmap: 1,
        level: 5,
        array: 7,
    };
    assert_eq!(client.call(beyond), Err(ERROR_INVALID_VALUE));
    // The client names the whole no more; a level that it still names is there.
    client.call(MipmapDestroy { mipmap: 1 }).unwrap();
    client
        .call(read(2, inside(0, 0, 0), extent(4, 1, 1)))
        .unwrap();
}
