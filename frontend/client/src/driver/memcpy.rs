//! Copies: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>.
//!
//! Every copy is a box between two planes (those that the program describes as boxes are in `memcpy_box`). What each side is, the ledger decides, as unified addressing does natively. Where the bytes of a host source come from:
//!
//! * pageable memory, or pinned memory at rest: taken now, they travel with the command;
//! * pinned memory that both ends share: it is there already;
//! * pinned memory that the GPU is writing to: the worker's shadow has what counts;
//! * pinned memory while a host function is outstanding, or in a capture: the worker asks when the copy executes.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    COPY_FROM_BULK, COPY_FROM_PULL, COPY_FROM_SHADOW, COPY_ON_DEVICE, COPY_TO_REPLY,
    COPY_TO_SHADOW, Copy, CopyArray, Extent, Plane,
};
use gvirtus_wire::api::types::{CUcontext, CUdeviceptr, CUstream, error};
use gvirtus_wire::command::Command;

use crate::capture;
use crate::driver::array::Array;
use crate::driver::context::Context;
use crate::driver::{Result, context, memcpy_box, session};
use crate::graph::record;
use crate::graph::work::Work;
use crate::memory::{ledger, managed, mapped, staging, writes};
use crate::session::Session;
use crate::session::inbox::{self, gather, rows};
use crate::streams::{self, Stream};
use crate::taken;

/// Synchronous copies to the device of so many bytes return when the bytes are taken, see [`taken`].
const TAKEN_AT_ONCE: u64 = 4 << 20;

/// What a caller says of a side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Host,
    Device,
    Unified,
}

/// What a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    Device,
    /// Pinned, and the worker's shadow of it is another piece of memory.
    Pinned,
    /// Pinned, and the worker has the same memory.
    Shared,
    Pageable,
}

#[derive(Clone)]
pub(super) struct Side {
    pub(super) said: Said,
    /// In an array the address is a number as [`ARRAY_ROW`](gvirtus_wire::api::core::ARRAY_ROW) says.
    pub(super) plane: Plane,
    pub(super) array: Option<Arc<Array>>,
}

impl Side {
    pub(super) fn linear(said: Said, address: u64) -> Self {
        Self {
            said,
            plane: Plane {
                address,
                pitch: 0,
                slice: 0,
            },
            array: None,
        }
    }

    pub(super) fn array_id(&self) -> u32 {
        self.array.as_ref().map_or(0, |array| array.id)
    }

    /// What the side is; `CUDA_ERROR_INVALID_VALUE` if it is null, or claims to be the device's and is not, or sticks out of its allocation.
    pub(super) fn is(&self, extent: &Extent) -> Result<Is> {
        if self.array.is_some() {
            // Whoever made the side has checked that the box lies in the array.
            return Ok(Is::Device);
        }
        let size = ledger::span(&self.plane, extent).ok_or(error::ERROR_INVALID_VALUE)?;
        if self.plane.address == 0 || self.plane.address.checked_add(size).is_none() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let Some(entry) = ledger::find(self.plane.address) else {
            return if self.said == Said::Device {
                Err(error::ERROR_INVALID_VALUE)
            } else {
                Ok(Is::Pageable)
            };
        };
        let inside = self.plane.address + size <= entry.end();
        match (entry.is_device(), inside) {
            (_, false) if entry.is_device() || self.said == Said::Device => {
                Err(error::ERROR_INVALID_VALUE)
            }
            // Part of it is not pinned: then none of it is treated so.
            (_, false) => Ok(Is::Pageable),
            (true, true) => Ok(Is::Device),
            (false, true) if entry.has_shadow() => Ok(Is::Pinned),
            (false, true) => Ok(Is::Shared),
        }
    }
}

/// Whether the caller waits for the copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    No,
    /// No, and whoever might notice does: see [`taken`].
    Taken,
}

struct Job<'a> {
    session: &'static Session,
    context: &'a Context,
    stream: &'a Arc<Stream>,
    dst: &'a Plane,
    src: &'a Plane,
    dst_array: u32,
    src_array: u32,
    extent: &'a Extent,
}

/// # Safety
/// Host sides must be memory of the program, readable or writable as CUDA asks of the caller.
pub(super) unsafe fn copy(
    stream: CUstream,
    wait: Wait,
    dst: &Side,
    src: &Side,
    extent: Extent,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    let stream = streams::resolve(session, &context, stream)?;
    session.check(stream.context)?;
    if extent.width == 0 || extent.height == 0 || extent.depth == 0 {
        return Ok(());
    }
    let (to, from) = (dst.is(&extent)?, src.is(&extent)?);
    capture::enqueue_allowed(&stream)?;
    let captured = capture::of(&stream);
    let of_host = |side| side != Is::Device;
    let record = || {
        record::on(&stream, || {
            let to = (dst, of_host(to));
            let described = memcpy_box::described(to, (src, of_host(from)), &extent);
            Work::copy(described, context::handle(&context) as usize)
        });
    };
    if let Some(capture) = &captured {
        if wait == Wait::Yes {
            capture.invalidate();
            return Err(error::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if to == Is::Pageable || from == Is::Pageable || (of_host(to) && of_host(from)) {
            // The client has a part in such a node: it is made when the graph is replayed.
            capture.mirrored.store(false, Ordering::Release);
            record();
            return Ok(());
        }
    }
    let (dst_size, src_size) = (
        ledger::span(&dst.plane, &extent).ok_or(error::ERROR_INVALID_VALUE)?,
        ledger::span(&src.plane, &extent).ok_or(error::ERROR_INVALID_VALUE)?,
    );
    // Parts of a box that are not copied keep what the program has written there: all of the span is sent before.
    let before = |side: &Side, size, write| match side.array {
        Some(_) => Ok(None),
        None => managed::before_range(session, &stream, side.plane.address, size, write),
    };
    let written = before(dst, dst_size, true)?;
    let read = before(src, src_size, false)?;
    let job = Job {
        session,
        context: &context,
        stream: &stream,
        dst: &dst.plane,
        src: &src.plane,
        dst_array: dst.array_id(),
        src_array: src.array_id(),
        extent: &extent,
    };
    // SAFETY: the caller's contract.
    let issued = unsafe {
        match (to, from) {
            (Is::Device, Is::Device) => {
                job.post(COPY_ON_DEVICE, &[])?;
                let must = |side: &Side| ledger::is_synchronous(side.plane.address);
                let managed = written.is_some() || read.is_some();
                if wait == Wait::Yes && (managed || must(dst) || must(src)) {
                    return crate::driver::stream::cuStreamSynchronize(streams::handle(job.stream));
                }
                Ok(())
            }
            (Is::Device, Is::Shared) => job.shared(wait, COPY_FROM_SHADOW),
            (Is::Shared, Is::Device) => job.shared(wait, COPY_TO_SHADOW),
            (Is::Device, host) => job.to_device(wait, host == Is::Pinned, captured.is_some()),
            (host, Is::Device) => job.to_host(wait, host == Is::Pinned),
            (_, _) => job.on_host(),
        }
    };
    issued?;
    if captured.is_some() {
        record();
    }
    Ok(())
}

impl Job<'_> {
    fn command(&self, kind: u8) -> Copy {
        Copy {
            kind,
            stream: self.stream.id,
            dst: self.dst.clone(),
            src: self.src.clone(),
            extent: self.extent.clone(),
        }
    }

    /// With an array on a side; `None` without.
    fn array_command(&self, kind: u8) -> Option<CopyArray> {
        (self.dst_array != 0 || self.src_array != 0).then(|| CopyArray {
            kind,
            stream: self.stream.id,
            dst_array: self.dst_array,
            src_array: self.src_array,
            dst: self.dst.clone(),
            src: self.src.clone(),
            extent: self.extent.clone(),
        })
    }

    fn post(&self, kind: u8, bulk: &[IoSlice<'_>]) -> Result<u64> {
        match self.array_command(kind) {
            Some(command) => self.stream.post(self.session, &command, bulk),
            None => self.stream.post(self.session, &self.command(kind), bulk),
        }
    }

    /// Issues the copy and waits until it is complete.
    fn call(&self, kind: u8, bulk: &[IoSlice<'_>]) -> Result<()> {
        match self.array_command(kind) {
            Some(command) => self.call_command(&command, bulk),
            None => self.call_command(&self.command(kind), bulk),
        }
        .map(drop)
    }

    fn call_command<C: Command<Reply = ()>>(
        &self,
        command: &C,
        bulk: &[IoSlice<'_>],
    ) -> Result<u64> {
        let mut sequence = 0;
        self.session
            .call_bulk(self.stream.context, command, bulk, |s| sequence = s)?;
        streams::synchronized(self.stream, sequence);
        Ok(sequence)
    }

    /// Tries a copy in one piece, of so many bytes at least, through memory that both ends share; whether all of it was done. What is left over can be done by other means again from
    /// the beginning: the bytes are the same.
    ///
    /// # Safety
    /// The host's side is readable or writable.
    unsafe fn staged(&self, smallest: usize, wait: Wait, kind: u8) -> Result<bool> {
        let len = inbox::packed(self.extent) as usize;
        let linear = |plane| rows(plane, self.extent).nth(1).is_none();
        let waited_for = wait == Wait::Yes && kind == COPY_FROM_SHADOW;
        if len < smallest
            || self.dst_array != 0
            || self.src_array != 0
            || !linear(self.dst)
            || !linear(self.src)
        {
            return Ok(false);
        }
        let part = |plane: &Plane, offset| Plane {
            address: plane.address + offset,
            pitch: 0,
            slice: 0,
        };
        let slot = |address| Plane {
            address,
            pitch: 0,
            slice: 0,
        };
        let post = |offset, address, n| {
            let (dst, src) = if kind == COPY_FROM_SHADOW {
                (part(self.dst, offset), slot(address))
            } else {
                (slot(address), part(self.src, offset))
            };
            let command = Copy {
                kind,
                stream: self.stream.id,
                dst,
                src,
                extent: line(n as usize),
            };
            if waited_for && offset + n == len as u64 {
                return self.call_command(&command, &[]);
            }
            let sequence = self.stream.post(self.session, &command, &[])?;
            if wait == Wait::Taken {
                taken::add(self.stream, sequence);
            }
            self.session.kick();
            Ok(sequence)
        };
        // SAFETY: this function's contract; a side in one piece has all its bytes from its address on.
        let done = unsafe {
            if kind == COPY_FROM_SHADOW {
                let from = self.src.address;
                let part = if len < staging::SMALLEST {
                    staging::PART
                } else {
                    staging::SLOT
                };
                let (session, context) = (self.session, self.context);
                staging::to_device(session, context, self.stream, from, len, part, post)
            } else {
                let to = self.dst.address;
                staging::to_host(self.session, self.context, self.stream, to, len, post)
            }
        }?;
        Ok(done == len)
    }

    /// To or from memory that the worker has, too: no bytes travel.
    fn shared(&self, wait: Wait, kind: u8) -> Result<()> {
        if wait == Wait::No {
            return self.post(kind, &[]).map(drop);
        }
        self.call(kind, &[])
    }

    /// # Safety
    /// The source is readable.
    unsafe fn to_device(&self, wait: Wait, pinned: bool, captured: bool) -> Result<()> {
        let size = ledger::span(self.src, self.extent).ok_or(error::ERROR_INVALID_VALUE)?;
        // A synchronous copy from pageable memory waits for the stream, natively, and then for nothing more: its bytes are taken. It need not wait for others of its kind.
        let synchronous = wait == Wait::Yes && !pinned;
        let taken = synchronous
            && size <= TAKEN_AT_ONCE
            && streams::work_before(self.stream)
                .iter()
                .all(|(s, _)| taken::are_all(s));
        let wait = if taken { Wait::Taken } else { wait };
        let smallest = if synchronous {
            staging::SMALLEST_SYNCHRONOUS
        } else {
            staging::SMALLEST
        };
        // SAFETY: this function's contract.
        if !pinned && unsafe { self.staged(smallest, wait, COPY_FROM_SHADOW)? } {
            return Ok(());
        }
        let kind = match pinned {
            true if captured => COPY_FROM_PULL,
            true if writes::in_flight(self.src.address, size) => COPY_FROM_SHADOW,
            true if self.session.callbacks.outstanding() => COPY_FROM_PULL,
            _ => COPY_FROM_BULK,
        };
        if kind == COPY_FROM_SHADOW {
            mapped::refresh(self.session, self.stream, self.src.address)?;
        }
        let bulk: Vec<IoSlice<'_>> = if kind == COPY_FROM_BULK {
            // SAFETY: this function's contract; the bytes are on their way or copied when `post` or `call` returns.
            unsafe { gather(self.src, self.extent) }
        } else {
            Vec::new()
        };
        if wait == Wait::No && pinned && kind == COPY_FROM_BULK {
            // The program may not change it before the copy is complete: it is read while the program goes on.
            return match self.array_command(kind) {
                Some(command) => self.stream.post_staying(self.session, &command, &bulk),
                None => self
                    .stream
                    .post_staying(self.session, &self.command(kind), &bulk),
            }
            .map(drop);
        }
        if wait != Wait::Yes {
            let sequence = self.post(kind, &bulk)?;
            if taken {
                taken::add(self.stream, sequence);
            }
            return Ok(());
        }
        self.call(kind, &bulk)
    }

    /// # Safety
    /// The destination is writable.
    unsafe fn to_host(&self, wait: Wait, pinned: bool) -> Result<()> {
        if wait == Wait::No && pinned {
            let size = ledger::span(self.dst, self.extent).ok_or(error::ERROR_INVALID_VALUE)?;
            self.session.want_lanes(inbox::packed(self.extent));
            let sequence = self.post(COPY_TO_SHADOW, &[])?;
            if capture::of(self.stream).is_none() {
                writes::add(self.dst.address, size, self.stream, sequence);
            }
            return Ok(());
        }
        // SAFETY: this function's contract.
        if !pinned && unsafe { self.staged(staging::SMALLEST, wait, COPY_TO_SHADOW)? } {
            return Ok(());
        }
        // Natively an async copy to pageable memory waits too.
        let (plane, extent) = (self.dst.clone(), self.extent.clone());
        let context = self.stream.context;
        let mut sequence = 0;
        // SAFETY: this function's contract.
        unsafe {
            match self.array_command(COPY_TO_REPLY) {
                Some(command) => self
                    .session
                    .call_into(context, &command, plane, extent, |s| sequence = s),
                None => self.session.call_into(
                    context,
                    &self.command(COPY_TO_REPLY),
                    plane,
                    extent,
                    |s| sequence = s,
                ),
            }?
        };
        streams::synchronized(self.stream, sequence);
        Ok(())
    }

    /// Host to host: in stream order, then here.
    ///
    /// # Safety
    /// The source is readable and the destination writable.
    unsafe fn on_host(&self) -> Result<()> {
        crate::driver::stream::cuStreamSynchronize(streams::handle(self.stream))?;
        for ((to, len), (from, _)) in
            unmerged(self.dst, self.extent).zip(unmerged(self.src, self.extent))
        {
            // SAFETY: this function's contract; overlapping rows are moved, not copied.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, len) };
        }
        Ok(())
    }
}

/// Row by row, so that two planes of different pitch go in step.
pub(crate) fn unmerged(plane: &Plane, extent: &Extent) -> impl Iterator<Item = (u64, usize)> {
    let (plane, extent) = (plane.clone(), extent.clone());
    (0..extent.depth)
        .flat_map(move |z| (0..extent.height).map(move |y| (z, y)))
        .map(move |(z, y)| {
            (
                plane.address + z * plane.slice + y * plane.pitch,
                extent.width as usize,
            )
        })
}

pub(super) fn line(bytes: usize) -> Extent {
    Extent {
        width: bytes as u64,
        height: 1,
        depth: 1,
    }
}

/// Copies bytes that lie one behind the other, to and from what each address is said to be.
///
/// # Safety
/// As for [`copy`].
#[inline]
unsafe fn linear(
    stream: CUstream,
    wait: Wait,
    dst: (Said, u64),
    src: (Said, u64),
    bytes: usize,
) -> Result<()> {
    let (to, from) = (Side::linear(dst.0, dst.1), Side::linear(src.0, src.1));
    // SAFETY: this function's contract.
    unsafe { copy(stream, wait, &to, &from, line(bytes)) }
}

/// Unified addresses; waits.
pub(crate) unsafe fn cuMemcpy(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            std::ptr::null_mut(),
            Wait::Yes,
            (Said::Unified, dst),
            (Said::Unified, src),
            bytes,
        )
    }
}

/// Unified addresses, on a stream.
pub(crate) unsafe fn cuMemcpyAsync(
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            stream,
            Wait::No,
            (Said::Unified, dst),
            (Said::Unified, src),
            bytes,
        )
    }
}

/// Host to device; waits.
pub(crate) unsafe fn cuMemcpyHtoD_v2(
    dst: CUdeviceptr,
    src: *const c_void,
    bytes: usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            std::ptr::null_mut(),
            Wait::Yes,
            (Said::Device, dst),
            (Said::Host, src as u64),
            bytes,
        )
    }
}

/// Host to device, on a stream. The source is the program's again at once if it is pageable.
pub(crate) unsafe fn cuMemcpyHtoDAsync_v2(
    dst: CUdeviceptr,
    src: *const c_void,
    bytes: usize,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            stream,
            Wait::No,
            (Said::Device, dst),
            (Said::Host, src as u64),
            bytes,
        )
    }
}

/// Device to host; waits.
pub(crate) unsafe fn cuMemcpyDtoH_v2(
    dst: *mut c_void,
    src: CUdeviceptr,
    bytes: usize,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            std::ptr::null_mut(),
            Wait::Yes,
            (Said::Host, dst as u64),
            (Said::Device, src),
            bytes,
        )
    }
}

/// Device to host, on a stream; waits if the destination is pageable.
pub(crate) unsafe fn cuMemcpyDtoHAsync_v2(
    dst: *mut c_void,
    src: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: the caller's pointers.
    unsafe {
        linear(
            stream,
            Wait::No,
            (Said::Host, dst as u64),
            (Said::Device, src),
            bytes,
        )
    }
}

/// Device to device; does not wait, as natively, unless managed memory is involved, or memory of which the program wants it.
pub(crate) unsafe fn cuMemcpyDtoD_v2(
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
) -> Result<()> {
    let must_wait = |at| managed::touches(at, bytes as u64) || ledger::is_synchronous(at);
    let wait = if must_wait(dst) || must_wait(src) {
        Wait::Yes
    } else {
        Wait::No
    };
    // SAFETY: both sides are the device's, or pinned memory of the program.
    unsafe {
        linear(
            std::ptr::null_mut(),
            wait,
            (Said::Device, dst),
            (Said::Device, src),
            bytes,
        )
    }
}

/// Device to device, on a stream.
pub(crate) unsafe fn cuMemcpyDtoDAsync_v2(
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Result<()> {
    // SAFETY: both sides are the device's, or pinned memory of the program.
    unsafe {
        linear(
            stream,
            Wait::No,
            (Said::Device, dst),
            (Said::Device, src),
            bytes,
        )
    }
}

/// Between devices; does not wait, as natively.
pub(crate) unsafe fn cuMemcpyPeer(
    dst: CUdeviceptr,
    dst_context: CUcontext,
    src: CUdeviceptr,
    src_context: CUcontext,
    bytes: usize,
) -> Result<()> {
    // SAFETY: as below.
    unsafe {
        cuMemcpyPeerAsync(
            dst,
            dst_context,
            src,
            src_context,
            bytes,
            std::ptr::null_mut(),
        )
    }
}

/// Between devices, on a stream. The addresses say which devices; the contexts must exist.
pub(crate) unsafe fn cuMemcpyPeerAsync(
    dst: CUdeviceptr,
    dst_context: CUcontext,
    src: CUdeviceptr,
    src_context: CUcontext,
    bytes: usize,
    stream: CUstream,
) -> Result<()> {
    context::by_handle(dst_context)?;
    context::by_handle(src_context)?;
    // SAFETY: both sides are the device's.
    unsafe { cuMemcpyDtoDAsync_v2(dst, src, bytes, stream) }
}
