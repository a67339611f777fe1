//! Tensor maps: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TENSOR__MEMORY.html>.
//!
//! What is in a descriptor only the box's driver knows: it is asked, once for the same question. Frameworks encode the same few descriptors before every launch.
#![allow(non_snake_case, reason = "CUDA's names")]
#![allow(clippy::too_many_arguments, reason = "parameters are CUDA's")]

use std::collections::HashMap;
use std::ffi::c_void;

use gvirtus_wire::api::core::{TensorMapEncode, TensorMapReplaceAddress};
use gvirtus_wire::api::types::error;
use gvirtus_wire::command::Command;
use parking_lot::Mutex;

use crate::driver::{Result, context, session};
use crate::memory::ledger;

/// [`TensorMapEncode::form`].
const TILED: u8 = 0;
const IM2COL: u8 = 1;
const IM2COL_WIDE: u8 = 2;

/// Ranks that each form takes.
const RANKS: std::ops::RangeInclusive<u32> = 1..=5;
const IM2COL_RANKS: std::ops::RangeInclusive<u32> = 3..=5;
/// `CUtensorMap` must be aligned to so many bytes.
const ALIGNMENT: usize = 64;
/// So many answers are kept.
const MOST_KEPT: usize = 4096;

/// A `CUtensorMap`.
type Map = [u8; 128];

/// A context's number, and what was asked in it as it is encoded.
type Question = (u32, Vec<u8>);

/// The box's answers.
static KEPT: Mutex<Option<HashMap<Question, Map>>> = Mutex::new(None);

/// A context is gone; its number may come to mean another device.
pub(crate) fn forget_context(context: u32) {
    if let Some(kept) = &mut *KEPT.lock() {
        kept.retain(|(of, _), _| *of != context);
    }
}

/// Asks the box, unless it has answered the same before.
fn ask<C: Command<Reply = Vec<u8>>>(command: &C) -> Result<Map> {
    let session = session()?;
    let context = context::current()?.id;
    session.check(context)?;
    let mut question = C::OPCODE.to_le_bytes().to_vec();
    command.encode(&mut question);
    let key = (context, question);
    if let Some(map) = KEPT.lock().as_ref().and_then(|kept| kept.get(&key)) {
        return Ok(*map);
    }
    let map = session.call(context, command)?;
    let map = Map::try_from(map).map_err(|_| error::ERROR_UNKNOWN)?;
    let mut kept = KEPT.lock();
    let kept = kept.get_or_insert_default();
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
    kept.insert(key, map);
    Ok(map)
}

/// # Safety
/// `to` is null or valid for a write of a descriptor.
unsafe fn write(to: *mut c_void, map: Map) -> Result<()> {
    check(to)?;
    // SAFETY: not null; the caller's descriptor has 128 bytes.
    unsafe { to.cast::<Map>().write(map) };
    Ok(())
}

fn check(map: *mut c_void) -> Result<()> {
    if map.is_null() || !map.addr().is_multiple_of(ALIGNMENT) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    Ok(())
}

/// The address as the box knows it. Pinned memory may lie elsewhere there, and an address inside a descriptor is not seen at launches.
fn device_address(address: *mut c_void) -> Result<u64> {
    let address = address as u64;
    if ledger::find(address).is_some_and(|entry| !entry.is_device()) {
        crate::log::unsupported("cuTensorMapEncode (pinned host memory)");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    Ok(address)
}

/// The first `n` elements of a program's array.
///
/// # Safety
/// `from` is null or has so many elements.
unsafe fn list<T: Copy>(from: *const T, n: u32) -> Result<Vec<T>> {
    if n > 0 && from.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null unless empty; the elements are the caller's.
    Ok((0..n as usize)
        .map(|i| unsafe { from.add(i).read_unaligned() })
        .collect())
}

/// A descriptor for boxes of a tensor.
pub(crate) unsafe fn cuTensorMapEncodeTiled(
    tensorMap: *mut c_void,
    tensorDataType: u32,
    tensorRank: u32,
    globalAddress: *mut c_void,
    globalDim: *const u64,
    globalStrides: *const u64,
    boxDim: *const u32,
    elementStrides: *const u32,
    interleave: u32,
    swizzle: u32,
    l2Promotion: u32,
    oobFill: u32,
) -> Result<()> {
    session()?;
    check(tensorMap)?;
    if !RANKS.contains(&tensorRank) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: arrays of the caller, of the documented lengths.
    let command = unsafe {
        TensorMapEncode {
            form: TILED,
            data_type: tensorDataType,
            address: device_address(globalAddress)?,
            dimensions: list(globalDim, tensorRank)?,
            strides: list(globalStrides, tensorRank - 1)?,
            tile: list(boxDim, tensorRank)?,
            element_strides: list(elementStrides, tensorRank)?,
            interleave,
            swizzle,
            promotion: l2Promotion,
            fill: oobFill,
            ..TensorMapEncode::default()
        }
    };
    // SAFETY: the caller's descriptor.
    unsafe { write(tensorMap, ask(&command)?) }
}

/// A descriptor for columns of an image's pixels.
pub(crate) unsafe fn cuTensorMapEncodeIm2col(
    tensorMap: *mut c_void,
    tensorDataType: u32,
    tensorRank: u32,
    globalAddress: *mut c_void,
    globalDim: *const u64,
    globalStrides: *const u64,
    pixelBoxLowerCorner: *const i32,
    pixelBoxUpperCorner: *const i32,
    channelsPerPixel: u32,
    pixelsPerColumn: u32,
    elementStrides: *const u32,
    interleave: u32,
    swizzle: u32,
    l2Promotion: u32,
    oobFill: u32,
) -> Result<()> {
    session()?;
    check(tensorMap)?;
    if !IM2COL_RANKS.contains(&tensorRank) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: arrays of the caller, of the documented lengths: corners have one value per spatial dimension.
    let command = unsafe {
        let lower = list(pixelBoxLowerCorner, tensorRank - 2)?;
        let upper = list(pixelBoxUpperCorner, tensorRank - 2)?;
        TensorMapEncode {
            form: IM2COL,
            data_type: tensorDataType,
            address: device_address(globalAddress)?,
            dimensions: list(globalDim, tensorRank)?,
            strides: list(globalStrides, tensorRank - 1)?,
            corners: lower.into_iter().zip(upper).collect(),
            channels: channelsPerPixel,
            pixels: pixelsPerColumn,
            element_strides: list(elementStrides, tensorRank)?,
            interleave,
            swizzle,
            promotion: l2Promotion,
            fill: oobFill,
            ..TensorMapEncode::default()
        }
    };
    // SAFETY: the caller's descriptor.
    unsafe { write(tensorMap, ask(&command)?) }
}

/// A descriptor for columns of pixels, bounded in the width alone.
pub(crate) unsafe fn cuTensorMapEncodeIm2colWide(
    tensorMap: *mut c_void,
    tensorDataType: u32,
    tensorRank: u32,
    globalAddress: *mut c_void,
    globalDim: *const u64,
    globalStrides: *const u64,
    pixelBoxLowerCornerWidth: i32,
    pixelBoxUpperCornerWidth: i32,
    channelsPerPixel: u32,
    pixelsPerColumn: u32,
    elementStrides: *const u32,
    interleave: u32,
    mode: u32,
    swizzle: u32,
    l2Promotion: u32,
    oobFill: u32,
) -> Result<()> {
    session()?;
    check(tensorMap)?;
    if !IM2COL_RANKS.contains(&tensorRank) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: arrays of the caller, of the documented lengths.
    let command = unsafe {
        TensorMapEncode {
            form: IM2COL_WIDE,
            data_type: tensorDataType,
            address: device_address(globalAddress)?,
            dimensions: list(globalDim, tensorRank)?,
            strides: list(globalStrides, tensorRank - 1)?,
            corners: vec![(pixelBoxLowerCornerWidth, pixelBoxUpperCornerWidth)],
            channels: channelsPerPixel,
            pixels: pixelsPerColumn,
            element_strides: list(elementStrides, tensorRank)?,
            interleave,
            mode,
            swizzle,
            promotion: l2Promotion,
            fill: oobFill,
            ..TensorMapEncode::default()
        }
    };
    // SAFETY: the caller's descriptor.
    unsafe { write(tensorMap, ask(&command)?) }
}

/// The same descriptor for a tensor elsewhere.
pub(crate) unsafe fn cuTensorMapReplaceAddress(
    tensorMap: *mut c_void,
    globalAddress: *mut c_void,
) -> Result<()> {
    session()?;
    check(tensorMap)?;
    // SAFETY: not null; the caller's descriptor has 128 bytes.
    let map = unsafe { tensorMap.cast::<Map>().read() };
    let command = TensorMapReplaceAddress {
        map: map.to_vec(),
        address: device_address(globalAddress)?,
    };
    // SAFETY: the caller's descriptor.
    unsafe { write(tensorMap, ask(&command)?) }
}
