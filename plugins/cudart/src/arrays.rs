//! Arrays and mipmapped arrays.
//!
//! What may be asked for, the driver judges: its errors are the client's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    ArrayCreate, ArrayDestroy, ArrayPlane, ArrayRequirements, ArrayShape, ArraySparse,
    MipmapCreate, MipmapDestroy, MipmapLevel, SparseProperties,
};
use gvirtus_wire::api::types::{
    CUDA_ARRAY_MEMORY_REQUIREMENTS, CUDA_ARRAY_SPARSE_PROPERTIES, CUDA_ARRAY3D_DESCRIPTOR,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_HANDLE, Result};
use crate::session::Session;

/// What keeps an array's memory.
enum Owner {
    Itself,
    /// It is a level.
    Mipmap(#[expect(dead_code, reason = "kept alive")] Arc<Mipmap>),
    /// It is a plane.
    Array(#[expect(dead_code, reason = "kept alive")] Arc<Array>),
}

/// An array of the client.
pub(crate) struct Array {
    pub(crate) raw: Handle,
    pub(crate) context: Arc<Context>,
    owner: Owner,
}

impl Drop for Array {
    fn drop(&mut self) {
        if matches!(self.owner, Owner::Itself) && self.context.alive.load(Ordering::Acquire) {
            let _ = cu!(self.context.driver, cuArrayDestroy(self.raw.ptr()));
        }
    }
}

/// A mipmapped array of the client.
pub(crate) struct Mipmap {
    pub(crate) raw: Handle,
    pub(crate) context: Arc<Context>,
}

impl Drop for Mipmap {
    fn drop(&mut self) {
        if self.context.alive.load(Ordering::Acquire) {
            let _ = cu!(self.context.driver, cuMipmappedArrayDestroy(self.raw.ptr()));
        }
    }
}

fn descriptor(shape: &ArrayShape) -> CUDA_ARRAY3D_DESCRIPTOR {
    CUDA_ARRAY3D_DESCRIPTOR {
        Width: shape.width as usize,
        Height: shape.height as usize,
        Depth: shape.depth as usize,
        Format: shape.format,
        NumChannels: shape.channels,
        Flags: shape.flags,
    }
}

impl Handler<ArrayCreate> for Session {
    fn handle(&self, header: &Header, command: ArrayCreate) -> Result<Answer<()>> {
        self.arrays.vacant(command.array)?;
        let made = self.enter(header).and_then(|context| {
            let wanted = descriptor(&command.shape);
            let mut raw = std::ptr::null_mut();
            cu!(
                self.driver,
                cuArray3DCreate_v2(&raw mut raw, &raw const wanted)
            )?;
            Ok(Arc::new(Array {
                raw: Handle::of(raw),
                context,
                owner: Owner::Itself,
            }))
        });
        self.arrays.store(command.array, made).map(Answer::Now)
    }
}

impl Handler<ArrayDestroy> for Session {
    fn handle(&self, header: &Header, command: ArrayDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        drop(self.arrays.remove(command.array)?);
        Ok(Answer::Now(()))
    }
}

impl Handler<ArrayPlane> for Session {
    fn handle(&self, header: &Header, command: ArrayPlane) -> Result<Answer<ArrayShape>> {
        self.arrays.vacant(command.made)?;
        let whole = self.arrays.get(command.array)?;
        self.enter(header)?;
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuArrayGetPlane(&raw mut raw, whole.raw.ptr(), command.plane)
        )?;
        let mut is = descriptor(&ArrayShape::default());
        cu!(self.driver, cuArray3DGetDescriptor_v2(&raw mut is, raw))?;
        let context = Arc::clone(&whole.context);
        let plane = Array {
            raw: Handle::of(raw),
            context,
            owner: Owner::Array(whole),
        };
        self.arrays.store(command.made, Ok(Arc::new(plane)))?;
        Ok(Answer::Now(ArrayShape {
            width: is.Width as u64,
            height: is.Height as u64,
            depth: is.Depth as u64,
            format: is.Format,
            channels: is.NumChannels,
            flags: is.Flags,
        }))
    }
}

impl Handler<MipmapCreate> for Session {
    fn handle(&self, header: &Header, command: MipmapCreate) -> Result<Answer<()>> {
        self.mipmaps.vacant(command.mipmap)?;
        let made = self.enter(header).and_then(|context| {
            let wanted = descriptor(&command.shape);
            let mut raw = std::ptr::null_mut();
            cu!(
                self.driver,
                cuMipmappedArrayCreate(&raw mut raw, &raw const wanted, command.levels)
            )?;
            Ok(Arc::new(Mipmap {
                raw: Handle::of(raw),
                context,
            }))
        });
        self.mipmaps.store(command.mipmap, made).map(Answer::Now)
    }
}

impl Handler<MipmapLevel> for Session {
    fn handle(&self, header: &Header, command: MipmapLevel) -> Result<Answer<()>> {
        self.arrays.vacant(command.array)?;
        let made = self.mipmaps.get(command.mipmap).and_then(|mipmap| {
            self.enter(header)?;
            let mut raw = std::ptr::null_mut();
            cu!(
                self.driver,
                cuMipmappedArrayGetLevel(&raw mut raw, mipmap.raw.ptr(), command.level)
            )?;
            Ok(Arc::new(Array {
                raw: Handle::of(raw),
                context: Arc::clone(&mipmap.context),
                owner: Owner::Mipmap(mipmap),
            }))
        });
        self.arrays.store(command.array, made).map(Answer::Now)
    }
}

impl Handler<MipmapDestroy> for Session {
    fn handle(&self, header: &Header, command: MipmapDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        drop(self.mipmaps.remove(command.mipmap)?);
        Ok(Answer::Now(()))
    }
}

impl Handler<ArrayRequirements> for Session {
    fn handle(&self, header: &Header, command: ArrayRequirements) -> Result<Answer<(u64, u64)>> {
        self.enter(header)?;
        let mut device = 0;
        cu!(
            self.driver,
            cuDeviceGet(
                &raw mut device,
                i32::try_from(command.device).map_err(|_| ERROR_INVALID_HANDLE)?
            )
        )?;
        let mut are = CUDA_ARRAY_MEMORY_REQUIREMENTS {
            size: 0,
            alignment: 0,
            reserved: [0; 4],
        };
        let to = &raw mut are;
        if command.mipmapped {
            let raw = self.mipmaps.get(command.array)?.raw.ptr();
            cu!(
                self.driver,
                cuMipmappedArrayGetMemoryRequirements(to, raw, device)
            )?;
        } else {
            let raw = self.arrays.get(command.array)?.raw.ptr();
            cu!(self.driver, cuArrayGetMemoryRequirements(to, raw, device))?;
        }
        Ok(Answer::Now((are.size as u64, are.alignment as u64)))
    }
}

impl Handler<ArraySparse> for Session {
    fn handle(&self, header: &Header, command: ArraySparse) -> Result<Answer<SparseProperties>> {
        self.enter(header)?;
        let mut has = CUDA_ARRAY_SPARSE_PROPERTIES {
            tileExtent: [0; 3],
            miptailFirstLevel: 0,
            miptailSize: 0,
            flags: 0,
            reserved: [0; 4],
        };
        let to = &raw mut has;
        if command.mipmapped {
            let raw = self.mipmaps.get(command.array)?.raw.ptr();
            cu!(self.driver, cuMipmappedArrayGetSparseProperties(to, raw))?;
        } else {
            let raw = self.arrays.get(command.array)?.raw.ptr();
            cu!(self.driver, cuArrayGetSparseProperties(to, raw))?;
        }
        Ok(Answer::Now(SparseProperties {
            tile: has.tileExtent,
            first_tail_level: has.miptailFirstLevel,
            tail_size: has.miptailSize,
            flags: has.flags,
        }))
    }
}
