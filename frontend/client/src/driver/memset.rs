//! Memsets: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>. Natively they return before the device is done, and so do these.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{Extent, Memset, Plane};
use gvirtus_wire::api::types::{CUdeviceptr, CUstream, error};

use crate::driver::{Result, context, session};
use crate::graph::record;
use crate::graph::work::Work;
use crate::memory::{ledger, managed};
use crate::session::inbox::rows;
use crate::{capture, streams};

struct Fill {
    address: u64,
    pitch: usize,
    element: u8,
    value: u32,
    width: usize,
    height: usize,
}

fn fill(stream: CUstream, fill: &Fill) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    session.check(stream.context)?;
    capture::enqueue_allowed(&stream)?;
    if fill.width == 0 || fill.height == 0 {
        return Ok(());
    }
    let element = usize::from(fill.element);
    let bytes = fill
        .width
        .checked_mul(element)
        .ok_or(error::ERROR_INVALID_VALUE)? as u64;
    let rows = fill.height as u64;
    let plane = Plane {
        address: fill.address,
        pitch: fill.pitch as u64,
        slice: 0,
    };
    let aligned = fill.address.is_multiple_of(element as u64)
        && (rows == 1 || fill.pitch.is_multiple_of(element));
    if !aligned || (rows > 1 && bytes > plane.pitch) {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let extent = Extent {
        width: bytes,
        height: rows,
        depth: 1,
    };
    let size = ledger::span(&plane, &extent).ok_or(error::ERROR_INVALID_VALUE)?;
    let entry = ledger::holds(fill.address, size).ok_or(error::ERROR_INVALID_VALUE)?;
    let node = || {
        Work::fill(crate::graph::work::Fill {
            address: fill.address,
            pitch: fill.pitch,
            value: fill.value,
            element: u32::from(fill.element),
            width: fill.width,
            height: fill.height,
            context: context::handle(&context) as usize,
        })
    };
    if !entry.is_device() {
        if let Some(capture) = capture::of(&stream) {
            // The client does it when the graph runs: it is made when the graph is replayed.
            capture.mirrored.store(false, Ordering::Release);
            capture.record(&stream, node());
            return Ok(());
        }
        return fill_here(&stream, fill, &plane, &extent);
    }
    let _underway = managed::before_range(session, &stream, fill.address, size, true)?;
    let command = Memset {
        stream: stream.id,
        dst: plane,
        element: fill.element,
        value: fill.value,
        width: fill.width as u64,
        height: rows,
    };
    stream.post(session, &command, &[])?;
    record::on(&stream, node);
    Ok(())
}

/// A function that is not asynchronous waits if it fills managed memory, or memory of which the program wants that.
fn wait_if_it_must(address: u64) -> Result<()> {
    if managed::touches(address, 1) || ledger::is_synchronous(address) {
        crate::driver::stream::cuStreamSynchronize(std::ptr::null_mut())?;
    }
    Ok(())
}

/// Pinned memory is the program's own: filled here, after what was issued on the stream. Natively such a memset is synchronous, too.
fn fill_here(stream: &streams::Stream, fill: &Fill, plane: &Plane, extent: &Extent) -> Result<()> {
    crate::driver::stream::cuStreamSynchronize(streams::handle(stream))?;
    let pattern = &fill.value.to_le_bytes()[..usize::from(fill.element)];
    for (address, len) in rows(plane, extent) {
        // SAFETY: the ledger says that the row lies in pinned memory of the program, which gave it to be filled.
        let row = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, len) };
        row.chunks_exact_mut(pattern.len())
            .for_each(|element| element.copy_from_slice(pattern));
    }
    Ok(())
}

macro_rules! linear { ($($name:ident $name_async:ident $element:literal $value:ty;)*) => { $(
    /// `count` elements, on the legacy default stream.
    pub(crate) fn $name(address: CUdeviceptr, value: $value, count: usize) -> Result<()> {
        $name_async(address, value, count, std::ptr::null_mut())?;
        wait_if_it_must(address)
    }
    /// `count` elements, on a stream.
    pub(crate) fn $name_async(address: CUdeviceptr, value: $value, count: usize, stream: CUstream) -> Result<()> {
        let value = u32::from(value);
        fill(stream, &Fill { address, pitch: 0, element: $element, value, width: count, height: 1 })
    }
)* } }
linear! {
    cuMemsetD8_v2 cuMemsetD8Async 1 u8;
    cuMemsetD16_v2 cuMemsetD16Async 2 u16;
    cuMemsetD32_v2 cuMemsetD32Async 4 u32;
}

macro_rules! pitched { ($($name:ident $name_async:ident $element:literal $value:ty;)*) => { $(
    /// `height` rows of `width` elements, on the legacy default stream.
    pub(crate) fn $name(address: CUdeviceptr, pitch: usize, value: $value, width: usize, height: usize) -> Result<()> {
        $name_async(address, pitch, value, width, height, std::ptr::null_mut())?;
        wait_if_it_must(address)
    }
    /// `height` rows of `width` elements, on a stream.
    pub(crate) fn $name_async(address: CUdeviceptr, pitch: usize, value: $value, width: usize, height: usize, stream: CUstream) -> Result<()> {
        let value = u32::from(value);
        fill(stream, &Fill { address, pitch, element: $element, value, width, height })
    }
)* } }
pitched! {
    cuMemsetD2D8_v2 cuMemsetD2D8Async 1 u8;
    cuMemsetD2D16_v2 cuMemsetD2D16Async 2 u16;
    cuMemsetD2D32_v2 cuMemsetD2D32Async 4 u32;
}
