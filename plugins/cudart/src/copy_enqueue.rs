//! How a copy of a box is given to the driver: its ends, and which of the driver's functions takes it.

use gvirtus_wire::api::core::{ARRAY_ROW, ARRAY_SLICE, Extent, Plane};
use gvirtus_wire::api::types::{CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER};

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::session::Session;
use crate::shape::{Box3, Piece};

/// `CU_MEMORYTYPE_HOST`, `CU_MEMORYTYPE_DEVICE`, `CU_MEMORYTYPE_ARRAY`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;
const ARRAY: u32 = 3;

/// One end of a copy as the driver sees it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) address: u64,
    pub(crate) pitch: u64,
    pub(crate) slice: u64,
    /// Device ordinal, or `None` for memory of the worker (staging, shadows).
    pub(crate) device: Option<u32>,
    /// The driver's handle of an array, 0 for memory. The address is then a number as [`ARRAY_ROW`] says.
    pub(crate) array: Handle,
}

impl End {
    pub(crate) fn is_array(&self) -> bool {
        self.array != Handle(0)
    }

    /// Bytes, rows and slices before the box in an array; in memory the address says it all.
    fn begin(&self) -> [usize; 3] {
        if !self.is_array() {
            return [0; 3];
        }
        [
            self.address & ((1 << ARRAY_ROW) - 1),
            self.address >> ARRAY_ROW & ((1 << (ARRAY_SLICE - ARRAY_ROW)) - 1),
            self.address >> ARRAY_SLICE,
        ]
        .map(|n| n as usize)
    }

    fn memory_type(&self) -> u32 {
        if self.is_array() {
            ARRAY
        } else if self.device.is_some() {
            DEVICE
        } else {
            HOST
        }
    }

    fn host_pointer(&self) -> *mut std::ffi::c_void {
        if self.device.is_some() {
            std::ptr::null_mut()
        } else {
            self.address as *mut _
        }
    }

    fn device_pointer(&self) -> u64 {
        if self.device.is_some() && !self.is_array() {
            self.address
        } else {
            0
        }
    }
}

impl Session {
    /// Checks that a box of device memory is the session's own: with unified addressing the driver would take the worker's own memory too.
    pub(crate) fn device_end(&self, plane: &Plane, shape: &Box3, array: u32) -> Result<End> {
        if array != 0 {
            // Whether the box lies inside, the driver checks.
            let array = self.arrays.get(array)?;
            if plane.pitch != 1 << ARRAY_ROW || plane.slice != 1 << ARRAY_SLICE {
                return Err(ERROR_INVALID_VALUE);
            }
            return Ok(End {
                address: plane.address,
                pitch: plane.pitch,
                slice: plane.slice,
                device: Some(array.context.device),
                array: array.raw,
            });
        }
        let device = match self.memory.owner(plane.address, shape.span()) {
            Some(device) => device,
            None if self.host_memory.holds_shadow(plane.address, shape.span()) => {
                // Mapped pinned memory by its device address; it belongs to no device in particular.
                return Ok(End {
                    address: plane.address,
                    pitch: plane.pitch,
                    slice: plane.slice,
                    device: Some(u32::MAX),
                    array: Handle(0),
                });
            }
            None => return Err(ERROR_INVALID_VALUE),
        };
        Ok(End {
            address: plane.address,
            pitch: plane.pitch,
            slice: plane.slice,
            device: Some(device),
            array: Handle(0),
        })
    }

    /// Enqueues one copy of a box.
    pub(crate) fn enqueue(
        &self,
        stream: Handle,
        dst: End,
        src: End,
        extent: &Extent,
    ) -> Result<()> {
        let arrays = dst.is_array() || src.is_array();
        if extent.height == 1 && extent.depth > 1 && !arrays {
            // Slices of one row are rows.
            let rows = |end: End| End {
                pitch: end.slice,
                ..end
            };
            let flat = Extent {
                width: extent.width,
                height: extent.depth,
                depth: 1,
            };
            return self.enqueue(stream, rows(dst), rows(src), &flat);
        }
        let plane = |end: &End| Plane {
            address: end.address,
            pitch: end.pitch,
            slice: end.slice,
        };
        let to = Box3::new(&plane(&dst), extent)?;
        let from = Box3::new(&plane(&src), extent)?;
        if let (Some(bytes), Some(_), false) = (to.linear(), from.linear(), arrays) {
            return self.enqueue_linear(stream, dst, src, bytes);
        }
        // The driver counts slices in rows; where the distance is no multiple of the pitch, slice by slice.
        let in_rows = |end: &End| {
            if end.is_array() {
                return Some((0, 0));
            }
            let pitch = if end.pitch == 0 {
                extent.width
            } else {
                end.pitch
            };
            (extent.depth == 1 || end.slice.is_multiple_of(pitch)).then(|| {
                (
                    pitch,
                    if extent.depth == 1 {
                        extent.height
                    } else {
                        end.slice / pitch
                    },
                )
            })
        };
        if let (Some(to_rows), Some(from_rows)) = (in_rows(&dst), in_rows(&src)) {
            return self.enqueue_box(stream, (dst, to_rows), (src, from_rows), extent);
        }
        let flat = Extent {
            depth: 1,
            ..extent.clone()
        };
        for z in 0..extent.depth {
            let at = |end: End| End {
                address: end.address + z * end.slice,
                ..end
            };
            self.enqueue(stream, at(dst), at(src), &flat)?;
        }
        Ok(())
    }

    fn enqueue_linear(&self, stream: Handle, dst: End, src: End, bytes: u64) -> Result<()> {
        let stream = stream.ptr();
        let n = bytes as usize;
        match (dst.device, src.device) {
            (Some(_), None) => cu!(
                self.driver,
                cuMemcpyHtoDAsync_v2(dst.address, src.host_pointer(), n, stream)
            ),
            (None, Some(_)) => cu!(
                self.driver,
                cuMemcpyDtoHAsync_v2(dst.host_pointer(), src.address, n, stream)
            ),
            (Some(to), Some(from)) if to != from && to != u32::MAX && from != u32::MAX => {
                let (to, from) = (self.primary(to)?, self.primary(from)?);
                cu!(
                    self.driver,
                    cuMemcpyPeerAsync(dst.address, to.ptr(), src.address, from.ptr(), n, stream)
                )
            }
            (Some(_), Some(_)) => cu!(
                self.driver,
                cuMemcpyDtoDAsync_v2(dst.address, src.address, n, stream)
            ),
            (None, None) => Err(ERROR_INVALID_VALUE),
        }
    }

    fn enqueue_box(
        &self,
        stream: Handle,
        (dst, (dst_pitch, dst_rows)): (End, (u64, u64)),
        (src, (src_pitch, src_rows)): (End, (u64, u64)),
        extent: &Extent,
    ) -> Result<()> {
        let (to_begin, from_begin) = (dst.begin(), src.begin());
        if let (Some(to), Some(from)) = (dst.device, src.device)
            && to != from
            && to != u32::MAX
            && from != u32::MAX
        {
            let peer = CUDA_MEMCPY3D_PEER {
                srcXInBytes: from_begin[0],
                srcY: from_begin[1],
                srcZ: from_begin[2],
                srcLOD: 0,
                srcMemoryType: src.memory_type(),
                srcHost: std::ptr::null(),
                srcDevice: src.device_pointer(),
                srcArray: src.array.ptr(),
                srcContext: self.primary(from)?.ptr(),
                srcPitch: src_pitch as usize,
                srcHeight: src_rows as usize,
                dstXInBytes: to_begin[0],
                dstY: to_begin[1],
                dstZ: to_begin[2],
                dstLOD: 0,
                dstMemoryType: dst.memory_type(),
                dstHost: std::ptr::null_mut(),
                dstDevice: dst.device_pointer(),
                dstArray: dst.array.ptr(),
                dstContext: self.primary(to)?.ptr(),
                dstPitch: dst_pitch as usize,
                dstHeight: dst_rows as usize,
                WidthInBytes: extent.width as usize,
                Height: extent.height as usize,
                Depth: extent.depth as usize,
            };
            return cu!(
                self.driver,
                cuMemcpy3DPeerAsync(&raw const peer, stream.ptr())
            );
        }
        let copy = CUDA_MEMCPY3D {
            srcXInBytes: from_begin[0],
            srcY: from_begin[1],
            srcZ: from_begin[2],
            srcLOD: 0,
            srcMemoryType: src.memory_type(),
            srcHost: src.host_pointer(),
            srcDevice: src.device_pointer(),
            srcArray: src.array.ptr(),
            reserved0: std::ptr::null_mut(),
            srcPitch: src_pitch as usize,
            srcHeight: src_rows as usize,
            dstXInBytes: to_begin[0],
            dstY: to_begin[1],
            dstZ: to_begin[2],
            dstLOD: 0,
            dstMemoryType: dst.memory_type(),
            dstHost: dst.host_pointer(),
            dstDevice: dst.device_pointer(),
            dstArray: dst.array.ptr(),
            reserved1: std::ptr::null_mut(),
            dstPitch: dst_pitch as usize,
            dstHeight: dst_rows as usize,
            WidthInBytes: extent.width as usize,
            Height: extent.height as usize,
            Depth: extent.depth as usize,
        };
        cu!(
            self.driver,
            cuMemcpy3DAsync_v2(&raw const copy, stream.ptr())
        )
    }

    /// Enqueues one piece between a box of device memory and packed staging memory.
    pub(crate) fn enqueue_piece(
        &self,
        stream: Handle,
        device: End,
        piece: &Piece,
        staging: u64,
        to_device: bool,
    ) -> Result<()> {
        let far = End {
            address: device.address + piece.offset,
            pitch: piece.pitch,
            slice: if device.is_array() { device.slice } else { 0 },
            ..device
        };
        let near = End {
            address: staging,
            pitch: piece.width,
            slice: piece.width,
            device: None,
            array: Handle(0),
        };
        // Rows of a box that is one row high are slices, and an array tells the two apart.
        let slices = device.is_array() && piece.rows > 1 && piece.pitch == device.slice;
        let (height, depth) = if slices {
            (1, piece.rows)
        } else {
            (piece.rows, 1)
        };
        let extent = Extent {
            width: piece.width,
            height,
            depth,
        };
        if to_device {
            self.enqueue(stream, far, near, &extent)
        } else {
            self.enqueue(stream, near, far, &extent)
        }
    }
}
