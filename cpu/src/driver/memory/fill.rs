//! `cuMemsetD8` and relatives. None of them waits for the fill, except for pinned host memory.

use std::sync::Arc;

use gvirtus_wire::api::types::CUstream;

use super::transfer::Fill;
use super::{Place, memory};
use crate::driver::context;
use crate::driver::error::{ERROR_INVALID_VALUE, Result};
use crate::driver::stream::{self, Stream};
use crate::driver::work::Work;

/// Checks a fill; says where it goes.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE`.
pub(in crate::driver) fn check(fill: &Fill) -> Result<Place> {
    let misaligned = !fill.address.is_multiple_of(fill.element)
        || (fill.height > 1 && !fill.pitch.is_multiple_of(fill.element));
    let narrow = fill.height > 1
        && fill
            .width
            .checked_mul(fill.element)
            .is_none_or(|width| fill.pitch < width);
    if misaligned || narrow {
        return Err(ERROR_INVALID_VALUE);
    }
    let bytes = fill.span().ok_or(ERROR_INVALID_VALUE)?;
    if bytes == 0 {
        return Ok(Place::Device);
    }
    match memory().classify(fill.address, bytes)? {
        Place::Pageable => Err(ERROR_INVALID_VALUE),
        place => Ok(place),
    }
}

fn issue(stream: &Arc<Stream>, fill: Fill, asynchronous: bool) -> Result {
    match check(&fill)? {
        _ if fill.width == 0 || fill.height == 0 => Ok(()),
        Place::Pinned if !asynchronous => stream.run(Work::Fill(fill)),
        _ => stream.enqueue(Work::Fill(fill)),
    }
}

fn fill_now(fill: Fill) -> Result {
    let context = context::current()?;
    issue(&context.legacy, fill, false)
}

fn fill_on(fill: Fill, stream: CUstream) -> Result {
    issue(&stream::resolve(stream)?, fill, true)
}

fn row(address: u64, value: u32, element: u64, count: usize) -> Fill {
    Fill {
        address,
        value,
        element,
        width: count as u64,
        height: 1,
        pitch: 0,
    }
}

fn rows(address: u64, pitch: usize, value: u32, element: u64, width: usize, height: usize) -> Fill {
    Fill {
        address,
        value,
        element,
        width: width as u64,
        height: height as u64,
        pitch: pitch as u64,
    }
}

pub(in crate::driver) fn cuMemsetD8_v2(dstDevice: u64, uc: u8, N: usize) -> Result {
    fill_now(row(dstDevice, uc.into(), 1, N))
}

pub(in crate::driver) fn cuMemsetD16_v2(dstDevice: u64, us: u16, N: usize) -> Result {
    fill_now(row(dstDevice, us.into(), 2, N))
}

pub(in crate::driver) fn cuMemsetD32_v2(dstDevice: u64, ui: u32, N: usize) -> Result {
    fill_now(row(dstDevice, ui, 4, N))
}

pub(in crate::driver) fn cuMemsetD2D8_v2(
    dstDevice: u64,
    dstPitch: usize,
    uc: u8,
    Width: usize,
    Height: usize,
) -> Result {
    fill_now(rows(dstDevice, dstPitch, uc.into(), 1, Width, Height))
}

pub(in crate::driver) fn cuMemsetD2D16_v2(
    dstDevice: u64,
    dstPitch: usize,
    us: u16,
    Width: usize,
    Height: usize,
) -> Result {
    fill_now(rows(dstDevice, dstPitch, us.into(), 2, Width, Height))
}

pub(in crate::driver) fn cuMemsetD2D32_v2(
    dstDevice: u64,
    dstPitch: usize,
    ui: u32,
    Width: usize,
    Height: usize,
) -> Result {
    fill_now(rows(dstDevice, dstPitch, ui, 4, Width, Height))
}

pub(in crate::driver) fn cuMemsetD8Async(
    dstDevice: u64,
    uc: u8,
    N: usize,
    hStream: CUstream,
) -> Result {
    fill_on(row(dstDevice, uc.into(), 1, N), hStream)
}

pub(in crate::driver) fn cuMemsetD16Async(
    dstDevice: u64,
    us: u16,
    N: usize,
    hStream: CUstream,
) -> Result {
    fill_on(row(dstDevice, us.into(), 2, N), hStream)
}

pub(in crate::driver) fn cuMemsetD32Async(
    dstDevice: u64,
    ui: u32,
    N: usize,
    hStream: CUstream,
) -> Result {
    fill_on(row(dstDevice, ui, 4, N), hStream)
}

pub(in crate::driver) fn cuMemsetD2D8Async(
    dstDevice: u64,
    dstPitch: usize,
    uc: u8,
    Width: usize,
    Height: usize,
    hStream: CUstream,
) -> Result {
    fill_on(
        rows(dstDevice, dstPitch, uc.into(), 1, Width, Height),
        hStream,
    )
}

pub(in crate::driver) fn cuMemsetD2D16Async(
    dstDevice: u64,
    dstPitch: usize,
    us: u16,
    Width: usize,
    Height: usize,
    hStream: CUstream,
) -> Result {
    fill_on(
        rows(dstDevice, dstPitch, us.into(), 2, Width, Height),
        hStream,
    )
}

pub(in crate::driver) fn cuMemsetD2D32Async(
    dstDevice: u64,
    dstPitch: usize,
    ui: u32,
    Width: usize,
    Height: usize,
    hStream: CUstream,
) -> Result {
    fill_on(rows(dstDevice, dstPitch, ui, 4, Width, Height), hStream)
}
