//! Several copies by one call: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
//!
//! CUDA leaves open in which order the copies of a batch run; here each is a copy on the stream, one behind the other. A batch is checked as a whole before its first copy is issued.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "CUDA's signatures")]

use std::ffi::c_void;

use gvirtus_wire::api::types::{
    CUDA_MEMCPY3D, CUarray, CUdeviceptr, CUmemLocation, CUstream, error,
};

use crate::capture;
use crate::driver::array::{self, element_bytes};
use crate::driver::memcpy::cuMemcpyAsync;
use crate::driver::memcpy_box::cuMemcpy3DAsync_v2;
use crate::driver::stream::cuStreamSynchronize;
use crate::driver::{Result, context, put_if, session};
use crate::memory::ledger;
use crate::streams;

/// `CUmemcpyAttributes`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    order: u32,
    source: CUmemLocation,
    destination: CUmemLocation,
    flags: u32,
}

/// `CU_MEMCPY_SRC_ACCESS_ORDER_*`.
const ORDER_STREAM: u32 = 1;
const ORDER_DURING_CALL: u32 = 2;
const ORDER_ANY: u32 = 3;
/// `CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE`, a hint.
const FLAGS: u32 = 1;

/// `CUmemcpy3DOperand`; what `words` are, `kind` says. A pointer: address, row length and layer height in elements (0 for tight), a hint. An array: its handle, offset.
#[repr(C)]
#[derive(Clone, Copy)]
struct Operand {
    kind: u32,
    words: [usize; 4],
}

/// `CU_MEMCPY_OPERAND_TYPE_*`.
const OPERAND_POINTER: u32 = 1;
const OPERAND_ARRAY: u32 = 2;

/// `CUDA_MEMCPY3D_BATCH_OP`.
#[repr(C)]
#[derive(Clone, Copy)]
struct BoxCopy {
    src: Operand,
    dst: Operand,
    extent: [usize; 3],
    order: u32,
    flags: u32,
}

/// `CU_MEMORYTYPE_*`.
const MEMORYTYPE_ARRAY: u32 = 3;
const MEMORYTYPE_UNIFIED: u32 = 4;

/// No copy in particular is wrong.
const NONE_IN_PARTICULAR: usize = usize::MAX;

/// A batch needs a stream of the program's own, and cannot be captured.
fn stream_allowed(stream: CUstream) -> Result<()> {
    let session = session()?;
    let stream = streams::resolve(session, &*context::current()?, stream)?;
    if stream.id == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if capture::of(&stream).is_some() {
        return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    Ok(())
}

fn order_known(order: u32, flags: u32) -> Result<()> {
    if (ORDER_STREAM..=ORDER_ANY).contains(&order) && flags & !FLAGS == 0 {
        Ok(())
    } else {
        Err(error::ERROR_INVALID_VALUE)
    }
}

/// Whether the bytes at an address may still be read when the call has returned: pinned memory, which a transport may share with the box.
fn read_later(address: u64) -> bool {
    ledger::find(address).is_some_and(|entry| entry.kind == ledger::Kind::Pinned)
}

/// The elements of an array that a program gave.
///
/// # Safety
/// `from` is null or has so many elements.
unsafe fn read<T: Copy>(from: *const T, count: usize) -> Result<Vec<T>> {
    if from.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: as above; a program's array need not be aligned.
    Ok((0..count)
        .map(|i| unsafe { from.add(i).read_unaligned() })
        .collect())
}

/// Issues the copies; an error comes with the number of the copy that it is about.
///
/// # Safety
/// The arrays are as long as the counts say.
unsafe fn batch(
    dsts: *const CUdeviceptr,
    srcs: *const CUdeviceptr,
    sizes: *const usize,
    count: usize,
    attributes: *const Attributes,
    starts: *const usize,
    kinds: usize,
    stream: CUstream,
) -> std::result::Result<(), (i32, usize)> {
    let whole = |code| (code, NONE_IN_PARTICULAR);
    stream_allowed(stream).map_err(whole)?;
    if count == 0 || kinds == 0 || kinds > count {
        return Err(whole(error::ERROR_INVALID_VALUE));
    }
    // SAFETY: by this function's contract.
    let (dsts, srcs, sizes, attributes, starts) = unsafe {
        (
            read(dsts, count).map_err(whole)?,
            read(srcs, count).map_err(whole)?,
            read(sizes, count).map_err(whole)?,
            read(attributes, kinds).map_err(whole)?,
            read(starts, kinds).map_err(whole)?,
        )
    };
    if starts[0] != 0
        || starts.windows(2).any(|pair| pair[0] >= pair[1])
        || starts.iter().any(|start| *start >= count)
    {
        return Err(whole(error::ERROR_INVALID_VALUE));
    }
    for kind in &attributes {
        order_known(kind.order, kind.flags).map_err(whole)?;
    }
    for i in 0..count {
        let outside = |address: u64| {
            ledger::find(address).is_some() && ledger::holds(address, sizes[i] as u64).is_none()
        };
        if dsts[i] == 0 || srcs[i] == 0 || sizes[i] == 0 || outside(dsts[i]) || outside(srcs[i]) {
            return Err((error::ERROR_INVALID_VALUE, i));
        }
    }
    let mut wait = false;
    for i in 0..count {
        let kind = starts.partition_point(|start| *start <= i) - 1;
        wait |= attributes[kind].order == ORDER_DURING_CALL && read_later(srcs[i]);
        // SAFETY: the program's addresses.
        unsafe { cuMemcpyAsync(dsts[i], srcs[i], sizes[i], stream) }.map_err(|code| (code, i))?;
    }
    if wait {
        cuStreamSynchronize(stream).map_err(whole)?;
    }
    Ok(())
}

/// Copies ranges.
pub(crate) unsafe fn cuMemcpyBatchAsync_v2(
    dsts: *mut CUdeviceptr,
    srcs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    attrs: *mut c_void,
    attrsIdxs: *mut usize,
    numAttrs: usize,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's arrays.
    unsafe {
        batch(
            dsts,
            srcs,
            sizes,
            count,
            attrs.cast(),
            attrsIdxs,
            numAttrs,
            hStream,
        )
    }
    .map_err(|(code, _)| code)
}

/// CUDA 12's form, which says which copy was wrong.
pub(crate) unsafe fn cuMemcpyBatchAsync(
    dsts: *mut CUdeviceptr,
    srcs: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    attrs: *mut c_void,
    attrsIdxs: *mut usize,
    numAttrs: usize,
    failIdx: *mut usize,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's arrays and pointer.
    unsafe {
        batch(
            dsts,
            srcs,
            sizes,
            count,
            attrs.cast(),
            attrsIdxs,
            numAttrs,
            hStream,
        )
        .map_err(|(code, index)| {
            put_if(failIdx, index);
            code
        })
    }
}

/// An operand's array and the bytes of an element, if it is one.
fn array_of(operand: &Operand) -> Result<Option<u64>> {
    match operand.kind {
        OPERAND_POINTER => Ok(None),
        OPERAND_ARRAY => {
            let shape = &array::resolve(operand.words[0] as CUarray)?.shape;
            Ok(Some(element_bytes(shape.format, shape.channels)))
        }
        _ => Err(error::ERROR_INVALID_VALUE),
    }
}

/// A copy of a batch as the copy of a box that it is.
fn as_box(copy: &BoxCopy) -> Result<CUDA_MEMCPY3D> {
    order_known(copy.order, copy.flags)?;
    let [width, height, depth] = copy.extent;
    if width == 0 || height == 0 || depth == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let elements = (array_of(&copy.src)?, array_of(&copy.dst)?);
    if let (Some(src), Some(dst)) = elements
        && src != dst
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let element = elements.0.or(elements.1).unwrap_or(1) as usize;
    let bytes = |n: usize| n.checked_mul(element).ok_or(error::ERROR_INVALID_VALUE);
    // SAFETY: a structure of numbers and pointers, for which zero is a value.
    let mut made: CUDA_MEMCPY3D = unsafe { std::mem::zeroed() };
    made.WidthInBytes = bytes(width)?;
    made.Height = height;
    made.Depth = depth;
    let tight = |given: usize, least: usize| match given {
        0 => Ok(least),
        given if given >= least => Ok(given),
        _ => Err(error::ERROR_INVALID_VALUE),
    };
    let [first, second, third, fourth] = copy.src.words;
    if copy.src.kind == OPERAND_ARRAY {
        made.srcMemoryType = MEMORYTYPE_ARRAY;
        made.srcArray = first as CUarray;
        (made.srcXInBytes, made.srcY, made.srcZ) = (bytes(second)?, third, fourth);
    } else {
        made.srcMemoryType = MEMORYTYPE_UNIFIED;
        made.srcDevice = first as u64;
        made.srcPitch = bytes(tight(second, width)?)?;
        made.srcHeight = tight(third, height)?;
    }
    let [first, second, third, fourth] = copy.dst.words;
    if copy.dst.kind == OPERAND_ARRAY {
        made.dstMemoryType = MEMORYTYPE_ARRAY;
        made.dstArray = first as CUarray;
        (made.dstXInBytes, made.dstY, made.dstZ) = (bytes(second)?, third, fourth);
    } else {
        made.dstMemoryType = MEMORYTYPE_UNIFIED;
        made.dstDevice = first as u64;
        made.dstPitch = bytes(tight(second, width)?)?;
        made.dstHeight = tight(third, height)?;
    }
    if (made.srcMemoryType == MEMORYTYPE_UNIFIED && made.srcDevice == 0)
        || (made.dstMemoryType == MEMORYTYPE_UNIFIED && made.dstDevice == 0)
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(made)
}

/// Issues the copies; an error comes with the number of the copy that it is about.
///
/// # Safety
/// The array is as long as the count says.
unsafe fn batch_of_boxes(
    count: usize,
    list: *const BoxCopy,
    flags: u64,
    stream: CUstream,
) -> std::result::Result<(), (i32, usize)> {
    let whole = |code| (code, NONE_IN_PARTICULAR);
    stream_allowed(stream).map_err(whole)?;
    if count == 0 || flags != 0 {
        return Err(whole(error::ERROR_INVALID_VALUE));
    }
    // SAFETY: by this function's contract.
    let list = unsafe { read(list, count) }.map_err(whole)?;
    let boxes = list.iter().enumerate();
    let boxes = boxes
        .map(|(i, copy)| as_box(copy).map_err(|code| (code, i)))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut wait = false;
    for (i, (copy, made)) in list.iter().zip(&boxes).enumerate() {
        wait |= copy.order == ORDER_DURING_CALL
            && copy.src.kind == OPERAND_POINTER
            && read_later(copy.src.words[0] as u64);
        // SAFETY: the program's addresses.
        unsafe { cuMemcpy3DAsync_v2(made, stream) }.map_err(|code| (code, i))?;
    }
    if wait {
        cuStreamSynchronize(stream).map_err(whole)?;
    }
    Ok(())
}

/// Copies boxes.
pub(crate) unsafe fn cuMemcpy3DBatchAsync_v2(
    numOps: usize,
    opList: *mut c_void,
    flags: u64,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's array.
    unsafe { batch_of_boxes(numOps, opList.cast(), flags, hStream) }.map_err(|(code, _)| code)
}

/// CUDA 12's form, which says which copy was wrong.
pub(crate) unsafe fn cuMemcpy3DBatchAsync(
    numOps: usize,
    opList: *mut c_void,
    failIdx: *mut usize,
    flags: u64,
    hStream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's array and pointer.
    unsafe {
        batch_of_boxes(numOps, opList.cast(), flags, hStream).map_err(|(code, index)| {
            put_if(failIdx, index);
            code
        })
    }
}
