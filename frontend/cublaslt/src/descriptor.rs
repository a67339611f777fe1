//! Layouts, matmul and transform descriptors, preferences: their values lie in the program's structure, one behind the other, so that a copy of the structure is a descriptor, too.
//! Sizes are checked as cuBLASLt checks them; values it takes as they are.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;

use gvirtus_cublas_core::status::{ALLOC_FAILED, INVALID_VALUE, NOT_SUPPORTED, SUCCESS};
use gvirtus_wire::api::opaque::{Attribute, HEAD, Kind, LAYOUT, Values};

use crate::Status;
use crate::handle::LT_OF_BOX;

/// The structure's first bytes: its kind, and in the last one how many words it has.
fn head(kind: &Kind, room: usize) -> [u8; HEAD] {
    let mut head = kind.head();
    head[HEAD - 1] = u8::try_from(room / 8).unwrap_or(u8::MAX);
    head
}

/// A program's structure.
struct Structure {
    kind: &'static Kind,
    at: *mut u8,
    room: usize,
}

impl Structure {
    /// The structure that a program means.
    ///
    /// # Safety
    /// `at` is null or leads to a structure of this kind.
    unsafe fn of(kind: &'static Kind, at: *mut c_void) -> Option<Self> {
        if at.is_null() {
            return None;
        }
        let at = at.cast::<u8>();
        // SAFETY: by this function's contract; a structure is longer than its head.
        let found = unsafe { at.cast::<[u8; HEAD]>().read_unaligned() };
        let room = usize::from(found[HEAD - 1]) * 8;
        (found == head(kind, room)).then_some(Self { kind, at, room })
    }

    /// An attribute that this structure has, and its place.
    fn find(&self, id: i32) -> Option<(&'static Attribute, *mut u8)> {
        let (attribute, at) = self.kind.find(id, LT_OF_BOX.major())?;
        (at + attribute.size <= self.room).then(|| (attribute, self.at.wrapping_add(at)))
    }

    /// The same, if the box's library is new enough to have it: a program is refused what that refuses.
    fn find_there(&self, id: i32) -> Option<(&'static Attribute, *mut u8)> {
        let found = self.find(id)?;
        let since = i32::try_from(found.0.since).unwrap_or(i32::MAX);
        // Where nobody can say, a later call will.
        let there = since == 0 || LT_OF_BOX.info().map_or(true, |info| info.version >= since);
        there.then_some(found)
    }
}

/// `CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT`.
const BATCH_COUNT: i32 = 5;
/// `CUBLASLT_MATRIX_LAYOUT_BATCH_MODE`, the one attribute whose value is looked at.
const BATCH_MODE: i32 = 8;
/// `CUBLASLT_BATCH_MODE_GROUPED`.
const GROUPED: i32 = 2;
/// `CUBLASLT_GROUPED_MATRIX_LAYOUT_ROWS_ARRAY`; behind it those of columns and of leading dimensions.
const ROWS_ARRAY: i32 = 9;

/// Makes a layout one of a group of matrices, whose shapes lie on the device.
///
/// # Safety
/// `at` is a layout.
unsafe fn group(at: *mut c_void, count: i32, arrays: [*mut c_void; 3]) -> Status {
    let mut attributes = vec![
        (BATCH_COUNT, i64::from(count)),
        (BATCH_MODE, i64::from(GROUPED)),
    ];
    attributes.extend((ROWS_ARRAY..).zip(arrays.map(|array| array as i64)));
    // SAFETY: by this function's contract.
    let structure = unsafe { Structure::of(&LAYOUT, at) };
    for (id, value) in attributes {
        // A library that is too old for it has no such function.
        let Some((attribute, place)) = structure.as_ref().and_then(|s| s.find_there(id)) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the attribute lies inside the structure.
        unsafe {
            std::ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), place, attribute.size);
        }
    }
    SUCCESS
}

/// A new layout of a group. <https://docs.nvidia.com/cuda/cublas/#cublasltgroupedmatrixlayoutcreate>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cublasLtGroupedMatrixLayoutCreate(
    out: *mut c_void,
    data_type: i32,
    count: i32,
    rows: *mut c_void,
    columns: *mut c_void,
    leading: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract; what is made is a layout.
    unsafe {
        match create(&LAYOUT, out, &[i64::from(data_type), 0, 0, 0]) {
            SUCCESS => {}
            failed => return failed,
        }
        let at = out.cast::<*mut c_void>().read_unaligned();
        let status = group(at, count, [rows, columns, leading]);
        if status != SUCCESS {
            destroy(&LAYOUT, at);
            out.cast::<*mut c_void>()
                .write_unaligned(std::ptr::null_mut());
        }
        status
    }
}

/// A new layout of a group in the program's memory.
///
/// # Safety
/// `at` is null or has `size` bytes.
pub unsafe fn cublasLtGroupedMatrixLayoutInit_internal(
    at: *mut c_void,
    size: i64,
    data_type: i32,
    count: i32,
    rows: *mut c_void,
    columns: *mut c_void,
    leading: *mut c_void,
) -> Status {
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    if !at.is_null() && room < LAYOUT.room(LT_OF_BOX.major()) {
        return ALLOC_FAILED;
    }
    // SAFETY: by this function's contract; what is made is a layout.
    unsafe {
        match init(&LAYOUT, at, room, &[i64::from(data_type), 0, 0, 0]) {
            SUCCESS => group(at, count, [rows, columns, leading]),
            failed => failed,
        }
    }
}

/// No descriptor fits less memory.
const SMALLEST: usize = 64;

/// Makes a descriptor in memory of `room` bytes.
///
/// # Safety
/// `at` has room for them.
unsafe fn init(kind: &'static Kind, at: *mut c_void, room: usize, created: &[i64]) -> Status {
    if at.is_null() {
        return INVALID_VALUE;
    }
    let major = LT_OF_BOX.major();
    let room = room.min(kind.room(major)) / 8 * 8;
    let at = at.cast::<u8>();
    if room < SMALLEST || kind.created_with.len() != created.len() {
        return ALLOC_FAILED;
    }
    // SAFETY: by this function's contract.
    let structure = unsafe {
        at.write_bytes(0, room);
        std::slice::from_raw_parts_mut(at, room)
    };
    structure[..HEAD].copy_from_slice(&head(kind, room));
    kind.put_new(major, created, structure);
    SUCCESS
}

fn memory(kind: &Kind) -> Option<Layout> {
    Layout::from_size_align(kind.room(LT_OF_BOX.major()), 16).ok()
}

/// # Safety
/// `out` is null or writable.
unsafe fn create(kind: &'static Kind, out: *mut c_void, created: &[i64]) -> Status {
    if out.is_null() {
        return INVALID_VALUE;
    }
    let Some(layout) = memory(kind) else {
        return ALLOC_FAILED;
    };
    // SAFETY: no structure is of size 0.
    let at = unsafe { alloc_zeroed(layout) };
    if at.is_null() {
        return ALLOC_FAILED;
    }
    // SAFETY: as long as the layout says; `out` is the program's.
    unsafe {
        let status = init(kind, at.cast(), layout.size(), created);
        out.cast::<*mut u8>().write_unaligned(at);
        status
    }
}

/// # Safety
/// `at` is null or was made by [`create`].
unsafe fn destroy(kind: &'static Kind, at: *mut c_void) -> Status {
    // SAFETY: by this function's contract.
    if let (Some(_), Some(layout)) = (unsafe { Structure::of(kind, at) }, memory(kind)) {
        // SAFETY: made with this layout; a second time is no longer a structure.
        unsafe {
            at.cast::<[u8; HEAD]>().write_unaligned([0; HEAD]);
            dealloc(at.cast(), layout);
        }
    }
    SUCCESS
}

/// # Safety
/// `at` is null or a structure, `buffer` null or `size` bytes.
unsafe fn set(
    kind: &'static Kind,
    at: *mut c_void,
    id: i32,
    buffer: *mut c_void,
    size: i64,
) -> Status {
    // SAFETY: by this function's contract.
    let structure = unsafe { Structure::of(kind, at) };
    let Some((attribute, place)) = structure.and_then(|s| s.find_there(id)) else {
        return INVALID_VALUE;
    };
    if buffer.is_null() || usize::try_from(size) != Ok(attribute.size) {
        return INVALID_VALUE;
    }
    if kind == &LAYOUT && id == BATCH_MODE && LT_OF_BOX.major() >= 13 {
        // SAFETY: of this attribute's size.
        let mode = unsafe { buffer.cast::<i32>().read_unaligned() };
        if !(0..i32::MAX).contains(&mode) {
            return INVALID_VALUE;
        }
    }
    // SAFETY: the buffer has as many bytes as the attribute, which lies inside the structure.
    unsafe { std::ptr::copy(buffer.cast::<u8>(), place, attribute.size) };
    SUCCESS
}

/// # Safety
/// `at` is null or a structure, `buffer` null or `size` bytes, `written` null or writable.
unsafe fn get(
    kind: &'static Kind,
    at: *mut c_void,
    id: i32,
    buffer: *mut c_void,
    size: i64,
    written: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    let structure = unsafe { Structure::of(kind, at) };
    let Some((attribute, place)) = structure.and_then(|s| s.find_there(id)) else {
        return INVALID_VALUE;
    };
    if size == 0 && written.is_null()
        || size != 0 && (buffer.is_null() || usize::try_from(size) != Ok(attribute.size))
    {
        return INVALID_VALUE;
    }
    // SAFETY: checked above; by this function's contract.
    unsafe {
        if size != 0 {
            std::ptr::copy(place, buffer.cast::<u8>(), attribute.size);
        }
        if !written.is_null() {
            written.cast::<usize>().write_unaligned(attribute.size);
        }
    }
    SUCCESS
}

/// The values of a program's descriptor; attributes that its version does not have are the default.
///
/// # Errors
/// `CUBLAS_STATUS_INVALID_VALUE`: there is none.
///
/// # Safety
/// `at` is null or leads to a structure of this kind.
pub(crate) unsafe fn values(kind: &'static Kind, at: u64) -> Result<Values, Status> {
    // SAFETY: by this function's contract.
    let structure = unsafe { Structure::of(kind, at as *mut c_void) }.ok_or(INVALID_VALUE)?;
    // SAFETY: it says how many bytes it has.
    let structure = unsafe { std::slice::from_raw_parts(structure.at, structure.room) };
    Ok(Values::read(kind, LT_OF_BOX.major(), structure))
}

macro_rules! kinds { ($($kind:ident: $create:ident $init:ident $destroy:ident $set:ident $get:ident ($($p:ident: $t:ty),*);)*) => {
    /// The functions of each kind: <https://docs.nvidia.com/cuda/cublas/#cublaslt-api-reference>.
    pub mod functions {
        use std::ffi::c_void;

        use gvirtus_wire::api::opaque::{$($kind),*};

        use crate::Status;

        $(
            /// A new descriptor.
            ///
            /// # Safety
            /// `out` is null or writable.
            pub unsafe fn $create(out: *mut c_void, $($p: $t),*) -> Status {
                // SAFETY: by this function's contract.
                unsafe { super::create(&$kind, out, &[$(i64::from($p)),*]) }
            }

            /// A new descriptor in the program's memory.
            ///
            /// # Safety
            /// `at` is null or has `size` bytes.
            pub unsafe fn $init(at: *mut c_void, size: i64, $($p: $t),*) -> Status {
                let room = usize::try_from(size).unwrap_or(usize::MAX);
                // SAFETY: by this function's contract.
                unsafe { super::init(&$kind, at, room, &[$(i64::from($p)),*]) }
            }

            /// Ends a descriptor.
            ///
            /// # Safety
            /// `at` is null or a descriptor of the create function's.
            pub unsafe fn $destroy(at: *mut c_void) -> Status {
                // SAFETY: by this function's contract.
                unsafe { super::destroy(&$kind, at) }
            }

            /// Sets an attribute.
            ///
            /// # Safety
            /// `at` is null or a descriptor, `buffer` null or `size` bytes.
            pub unsafe fn $set(at: *mut c_void, id: i32, buffer: *mut c_void, size: i64) -> Status {
                // SAFETY: by this function's contract.
                unsafe { super::set(&$kind, at, id, buffer, size) }
            }

            /// Tells an attribute.
            ///
            /// # Safety
            /// `at` is null or a descriptor, `buffer` null or `size` bytes, `written` null or writable.
            pub unsafe fn $get(at: *mut c_void, id: i32, buffer: *mut c_void, size: i64, written: *mut c_void) -> Status {
                // SAFETY: by this function's contract.
                unsafe { super::get(&$kind, at, id, buffer, size, written) }
            }
        )*
    }
} }
kinds! {
    LAYOUT: cublasLtMatrixLayoutCreate cublasLtMatrixLayoutInit_internal cublasLtMatrixLayoutDestroy cublasLtMatrixLayoutSetAttribute cublasLtMatrixLayoutGetAttribute
        (data_type: i32, rows: i64, columns: i64, leading: i64);
    MATMUL: cublasLtMatmulDescCreate cublasLtMatmulDescInit_internal cublasLtMatmulDescDestroy cublasLtMatmulDescSetAttribute cublasLtMatmulDescGetAttribute
        (compute_type: i32, scale_type: i32);
    TRANSFORM: cublasLtMatrixTransformDescCreate cublasLtMatrixTransformDescInit_internal cublasLtMatrixTransformDescDestroy
        cublasLtMatrixTransformDescSetAttribute cublasLtMatrixTransformDescGetAttribute
        (scale_type: i32);
    PREFERENCE: cublasLtMatmulPreferenceCreate cublasLtMatmulPreferenceInit_internal cublasLtMatmulPreferenceDestroy cublasLtMatmulPreferenceSetAttribute
        cublasLtMatmulPreferenceGetAttribute ();
    EMULATION: cublasLtEmulationDescCreate cublasLtEmulationDescInit_internal cublasLtEmulationDescDestroy cublasLtEmulationDescSetAttribute
        cublasLtEmulationDescGetAttribute ();
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::undocumented_unsafe_blocks,
        reason = "the test plays the program: its pointers are of live locals"
    )]
    use super::functions::*;
    use super::*;
    use gvirtus_wire::api::opaque::MATMUL;

    #[test]
    fn attributes_are_kept_and_sizes_checked() {
        LT_OF_BOX.set_major(13);
        let mut words = [0u64; 32];
        let at = words.as_mut_ptr().cast::<c_void>();
        let mut value = 1i32;
        let buffer = (&raw mut value).cast::<c_void>();
        let mut written = 0usize;
        let size = (&raw mut written).cast::<c_void>();
        let null = std::ptr::null_mut();
        unsafe {
            assert_eq!(
                cublasLtMatmulDescSetAttribute(at, 3, buffer, 4),
                INVALID_VALUE
            );
            assert_eq!(cublasLtMatmulDescInit_internal(at, 8, 68, 0), ALLOC_FAILED);
            assert_eq!(cublasLtMatmulDescInit_internal(at, 256, 68, 0), SUCCESS);
            assert_eq!(cublasLtMatmulDescSetAttribute(at, 3, buffer, 4), SUCCESS);
            for (id, size) in [(3, 8), (3, 2), (9, 4), (27, 4), (-1, 4), (64, 4)] {
                assert_eq!(
                    cublasLtMatmulDescSetAttribute(at, id, buffer, size),
                    INVALID_VALUE
                );
            }
            assert_eq!(
                cublasLtMatmulDescSetAttribute(at, 3, null, 4),
                INVALID_VALUE
            );
            // A copy is the same descriptor.
            let mut copy = words;
            let copy = copy.as_mut_ptr().cast();
            value = 0;
            assert_eq!(
                cublasLtMatmulDescGetAttribute(copy, 3, buffer, 4, null),
                SUCCESS
            );
            assert_eq!(value, 1);
            assert_eq!(
                cublasLtMatmulDescGetAttribute(copy, 0, buffer, 4, size),
                SUCCESS
            );
            assert_eq!((value, written), (68, 4));
            assert_eq!(
                cublasLtMatmulDescGetAttribute(copy, 8, null, 0, size),
                SUCCESS
            );
            assert_eq!(written, 8);
            assert_eq!(
                cublasLtMatmulDescGetAttribute(copy, 8, null, 0, null),
                INVALID_VALUE
            );
            assert_eq!(
                cublasLtMatmulDescGetAttribute(copy, 8, buffer, 4, size),
                INVALID_VALUE
            );
            assert_eq!(
                cublasLtMatrixLayoutGetAttribute(copy, 0, buffer, 4, size),
                INVALID_VALUE
            );
            let values = values(&MATMUL, copy as u64).unwrap();
            assert_eq!(
                (
                    values.number(&MATMUL, 0),
                    values.number(&MATMUL, 3),
                    values.number(&MATMUL, 41)
                ),
                (68, 1, 32768)
            );
        }
    }

    /// A layout of a group is one with the attributes that a program could set itself.
    #[test]
    fn groups() {
        LT_OF_BOX.set_major(13);
        let mut words = [0u64; 14];
        let at = words.as_mut_ptr().cast::<c_void>();
        let array = |n: usize| n as *mut c_void;
        let (rows, columns, leading) = (array(0x100), array(0x200), array(0x300));
        unsafe {
            let made = |at, size| {
                cublasLtGroupedMatrixLayoutInit_internal(at, size, 2, 7, rows, columns, leading)
            };
            assert_eq!(made(at, 111), ALLOC_FAILED);
            assert_eq!(made(std::ptr::null_mut(), 112), INVALID_VALUE);
            assert_eq!(made(at, 112), SUCCESS);
            let values = values(&LAYOUT, at as u64).unwrap();
            let told = [0, 2, 3, 4, 5, 8, 9, 10, 11].map(|id| values.number(&LAYOUT, id));
            assert_eq!(told, [2, 0, 0, 0, 7, 2, 0x100, 0x200, 0x300]);
        }
    }

    #[test]
    fn descriptors_are_made_and_ended() {
        LT_OF_BOX.set_major(13);
        let mut at: *mut c_void = std::ptr::null_mut();
        unsafe {
            let out = (&raw mut at).cast();
            assert_eq!(cublasLtMatrixLayoutCreate(out, 2, 30, 20, 32), SUCCESS);
            let mut rows = 0u64;
            let buffer = (&raw mut rows).cast();
            let null = std::ptr::null_mut();
            assert_eq!(
                cublasLtMatrixLayoutGetAttribute(at, 2, buffer, 8, null),
                SUCCESS
            );
            assert_eq!(rows, 30);
            assert_eq!(cublasLtMatrixLayoutDestroy(at), SUCCESS);
            assert_eq!(cublasLtMatrixLayoutDestroy(null), SUCCESS);
            assert_eq!(cublasLtMatmulPreferenceCreate(null), INVALID_VALUE);
        }
    }
}
