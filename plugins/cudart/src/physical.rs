//! Physical memory that the program manages by itself (`cuMemCreate`, `cuMemMap`), mapped inside the ranges that the client has reserved.

use std::collections::HashMap;

use gvirtus_wire::api::core::{
    PhysicalAccess, PhysicalCreate, PhysicalMap, PhysicalRelease, PhysicalUnmap,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::driver::{Driver, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result};
use crate::session::Session;

/// The most pieces of physical memory.
const MOST: usize = 1 << 20;

/// Physical memory.
#[derive(Clone, Copy)]
struct Piece {
    raw: u64,
    device: u32,
    size: u64,
}

/// What the program has created and not released, by the client's number.
#[derive(Default)]
pub(crate) struct Physical {
    pieces: Mutex<HashMap<u32, Piece>>,
}

impl Physical {
    /// The driver's handle, device and size of a piece.
    pub(crate) fn find(&self, piece: u32) -> Option<(u64, u32, u64)> {
        let pieces = self.pieces.lock();
        pieces.get(&piece).map(|p| (p.raw, p.device, p.size))
    }

    /// A piece that another session has created.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for a number in use.
    pub(crate) fn add(&self, piece: u32, raw: u64, device: u32, size: u64) -> Result<()> {
        let mut pieces = self.pieces.lock();
        if pieces.contains_key(&piece) {
            return Err(ERROR_INVALID_VALUE);
        }
        if pieces.len() >= MOST {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        pieces.insert(piece, Piece { raw, device, size });
        Ok(())
    }
}

impl Physical {
    /// Releases a piece that came to nothing.
    pub(crate) fn remove(&self, driver: &Driver, piece: u32) {
        if let Some(piece) = self.pieces.lock().remove(&piece) {
            let _ = cu!(driver, cuMemRelease(piece.raw));
        }
    }
}

impl Session {
    /// A device is about to be reset.
    pub(crate) fn release_physical(&self, device: u32) {
        let mut pieces = self.physical.pieces.lock();
        pieces.retain(|_, piece| {
            if piece.device == device {
                let _ = cu!(self.driver, cuMemRelease(piece.raw));
            }
            piece.device != device
        });
    }
}

impl Handler<PhysicalCreate> for Session {
    fn handle(&self, header: &Header, command: PhysicalCreate) -> Result<Answer<()>> {
        let PhysicalCreate {
            piece,
            device,
            size,
            usage,
        } = command;
        self.enter(header)?;
        let raw_device = self.raw_device(device)?;
        let bytes = usize::try_from(size).map_err(|_| ERROR_INVALID_VALUE)?;
        {
            let pieces = self.physical.pieces.lock();
            if size == 0 || pieces.contains_key(&piece) {
                return Err(ERROR_INVALID_VALUE);
            }
            if pieces.len() >= MOST {
                return Err(ERROR_OUT_OF_MEMORY);
            }
        }
        let usage = u16::try_from(usage).map_err(|_| ERROR_INVALID_VALUE)?;
        let raw = self.create_physical(raw_device, bytes, usage)?;
        self.physical
            .pieces
            .lock()
            .insert(piece, Piece { raw, device, size });
        Ok(Answer::Now(()))
    }
}

impl Handler<PhysicalRelease> for Session {
    fn handle(&self, _: &Header, command: PhysicalRelease) -> Result<Answer<()>> {
        let piece = self.physical.pieces.lock().remove(&command.piece);
        let piece = piece.ok_or(ERROR_INVALID_VALUE)?;
        // The driver keeps the memory while it is mapped.
        cu!(self.driver, cuMemRelease(piece.raw)).map(Answer::Now)
    }
}

impl Handler<PhysicalMap> for Session {
    fn handle(&self, header: &Header, command: PhysicalMap) -> Result<Answer<()>> {
        let PhysicalMap { piece, address } = command;
        self.enter(header)?;
        let piece = self
            .physical
            .pieces
            .lock()
            .get(&piece)
            .copied()
            .ok_or(ERROR_INVALID_VALUE)?;
        self.memory.check_free(address, piece.size)?;
        cu!(
            self.driver,
            cuMemMap(address, piece.size as usize, 0, piece.raw, 0)
        )?;
        self.memory.add_mapping(address, piece.size, piece.device);
        Ok(Answer::Now(()))
    }
}

impl Handler<PhysicalUnmap> for Session {
    fn handle(&self, header: &Header, command: PhysicalUnmap) -> Result<Answer<()>> {
        let PhysicalUnmap { address, size } = command;
        self.enter(header)?;
        if !self.memory.is_mapping(address, size) {
            return Err(ERROR_INVALID_VALUE);
        }
        cu!(self.driver, cuMemUnmap(address, size as usize))?;
        self.memory.remove_mapping(address);
        Ok(Answer::Now(()))
    }
}

impl Handler<PhysicalAccess> for Session {
    fn handle(&self, header: &Header, command: PhysicalAccess) -> Result<Answer<()>> {
        let PhysicalAccess {
            address,
            size,
            device,
            flags,
        } = command;
        self.enter(header)?;
        if !self.memory.is_mapping(address, size) {
            return Err(ERROR_INVALID_VALUE);
        }
        self.set_access_as(&[device], address, size as usize, flags)
            .map(Answer::Now)
    }
}
