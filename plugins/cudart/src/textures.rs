//! Texture and surface objects.

use std::collections::HashSet;

use gvirtus_wire::api::core::{
    Resource, SurfaceCreate, SurfaceDestroy, TextureCreate, TextureDestroy, TextureLinearWidth,
};
use gvirtus_wire::api::types::{CUDA_RESOURCE_DESC, CUDA_RESOURCE_VIEW_DESC, CUDA_TEXTURE_DESC};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_DEVICE, ERROR_INVALID_VALUE, Result};
use crate::session::Session;

/// `CUresourcetype`.
pub(crate) const ARRAY: u32 = 0;
pub(crate) const MIPMAPPED_ARRAY: u32 = 1;
pub(crate) const LINEAR: u32 = 2;
pub(crate) const PITCH_2D: u32 = 3;
/// No element has more bytes.
const LARGEST_ELEMENT: u64 = 16;

/// The objects that the client has, by context and the driver's handle.
#[derive(Default)]
pub(crate) struct Objects {
    textures: Mutex<HashSet<(u32, u64)>>,
    surfaces: Mutex<HashSet<(u32, u64)>>,
}

impl Objects {
    /// A context is gone, and its objects with it.
    pub(crate) fn forget_context(&self, context: u32) {
        for objects in [&self.textures, &self.surfaces] {
            objects.lock().retain(|(of, _)| *of != context);
        }
    }
}

impl Session {
    /// A resource as the driver takes it. Memory must be the session's own.
    pub(crate) fn resource(&self, given: &Resource) -> Result<CUDA_RESOURCE_DESC> {
        let mut res = [0; 16];
        match given.kind {
            ARRAY => res[0] = self.arrays.get(given.array)?.raw.0 as u64,
            MIPMAPPED_ARRAY => res[0] = self.mipmaps.get(given.array)?.raw.0 as u64,
            LINEAR | PITCH_2D => {
                let bytes = if given.kind == LINEAR {
                    Some(given.width)
                } else {
                    // Rows lie `pitch` bytes apart; the driver refuses rows that are longer.
                    given
                        .height
                        .checked_sub(1)
                        .and_then(|rows| rows.checked_mul(given.pitch))
                        .zip(given.width.checked_mul(element(given)))
                        .and_then(|(before, last)| before.checked_add(last))
                };
                let bytes = bytes.ok_or(ERROR_INVALID_VALUE)?;
                self.memory
                    .owner(given.address, bytes)
                    .ok_or(ERROR_INVALID_VALUE)?;
                res[0] = given.address;
                res[1] = u64::from(given.format) | u64::from(given.channels) << 32;
                res[2] = given.width;
                if given.kind == PITCH_2D {
                    (res[3], res[4]) = (given.height, given.pitch);
                }
            }
            _ => return Err(ERROR_INVALID_VALUE),
        }
        Ok(CUDA_RESOURCE_DESC {
            resType: given.kind,
            res,
            flags: given.flags,
        })
    }
}

/// Bytes of an element of memory; for formats that memory does not take, the most that any has.
fn element(given: &Resource) -> u64 {
    let channel = match given.format {
        0x01 | 0x08 => 1,
        0x02 | 0x09 | 0x10 => 2,
        0x03 | 0x0a | 0x20 => 4,
        _ => return LARGEST_ELEMENT,
    };
    channel * u64::from(given.channels)
}

impl Handler<TextureCreate> for Session {
    fn handle(&self, header: &Header, command: TextureCreate) -> Result<Answer<u64>> {
        self.enter(header)?;
        let resource = self.resource(&command.resource)?;
        let texture = CUDA_TEXTURE_DESC::from(&command.texture);
        let view = command.view.map(|view| CUDA_RESOURCE_VIEW_DESC {
            format: view.format,
            width: view.width as usize,
            height: view.height as usize,
            depth: view.depth as usize,
            firstMipmapLevel: view.levels.0,
            lastMipmapLevel: view.levels.1,
            firstLayer: view.layers.0,
            lastLayer: view.layers.1,
            reserved: [0; 16],
        });
        let view = view.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let mut made = 0;
        cu!(
            self.driver,
            cuTexObjectCreate(&raw mut made, &raw const resource, &raw const texture, view)
        )?;
        self.objects.textures.lock().insert((header.context, made));
        Ok(Answer::Now(made))
    }
}

impl Handler<TextureDestroy> for Session {
    fn handle(&self, header: &Header, command: TextureDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        let key = (header.context, command.texture);
        if !self.objects.textures.lock().remove(&key) {
            return Err(ERROR_INVALID_VALUE);
        }
        cu!(self.driver, cuTexObjectDestroy(command.texture)).map(Answer::Now)
    }
}

impl Handler<SurfaceCreate> for Session {
    fn handle(&self, header: &Header, command: SurfaceCreate) -> Result<Answer<u64>> {
        self.enter(header)?;
        let resource = self.resource(&Resource {
            kind: ARRAY,
            array: command.array,
            ..Resource::default()
        })?;
        let mut made = 0;
        cu!(
            self.driver,
            cuSurfObjectCreate(&raw mut made, &raw const resource)
        )?;
        self.objects.surfaces.lock().insert((header.context, made));
        Ok(Answer::Now(made))
    }
}

impl Handler<SurfaceDestroy> for Session {
    fn handle(&self, header: &Header, command: SurfaceDestroy) -> Result<Answer<()>> {
        self.enter(header)?;
        let key = (header.context, command.surface);
        if !self.objects.surfaces.lock().remove(&key) {
            return Err(ERROR_INVALID_VALUE);
        }
        cu!(self.driver, cuSurfObjectDestroy(command.surface)).map(Answer::Now)
    }
}

impl Handler<TextureLinearWidth> for Session {
    fn handle(&self, _: &Header, command: TextureLinearWidth) -> Result<Answer<u64>> {
        let ordinal = i32::try_from(command.device).map_err(|_| ERROR_INVALID_DEVICE)?;
        let mut device = 0;
        cu!(self.driver, cuDeviceGet(&raw mut device, ordinal))?;
        let mut width = 0;
        cu!(
            self.driver,
            cuDeviceGetTexture1DLinearMaxWidth(
                &raw mut width,
                command.format,
                command.channels,
                device
            )
        )?;
        Ok(Answer::Now(width as u64))
    }
}
