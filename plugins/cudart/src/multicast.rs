//! Multicast objects. The driver knows whether the devices have what they need, and checks sizes and offsets.

use gvirtus_wire::api::core::{
    MulticastAddDevice, MulticastBind, MulticastCreate, MulticastGranularity, MulticastProperties,
    MulticastUnbind,
};
use gvirtus_wire::api::types::CUmulticastObjectProp;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::cu;
use crate::errors::{ERROR_INVALID_VALUE, Result};
use crate::session::Session;

fn narrow(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| ERROR_INVALID_VALUE)
}

fn properties(given: &MulticastProperties) -> Result<CUmulticastObjectProp> {
    Ok(CUmulticastObjectProp {
        numDevices: given.devices,
        size: narrow(given.size)?,
        handleTypes: given.handle_types,
        flags: given.flags,
    })
}

impl Session {
    /// The driver's handle of a multicast object or of physical memory: it tells which of the two it is given.
    fn raw_piece(&self, piece: u32) -> Result<u64> {
        let found = self.physical.find(piece);
        found.map(|(raw, ..)| raw).ok_or(ERROR_INVALID_VALUE)
    }
}

impl Handler<MulticastCreate> for Session {
    fn handle(&self, header: &Header, command: MulticastCreate) -> Result<Answer<()>> {
        self.enter(header)?;
        self.raw_device(command.device)?;
        if self.physical.find(command.object).is_some() {
            return Err(ERROR_INVALID_VALUE);
        }
        let wanted = properties(&command.properties)?;
        let mut raw = 0;
        cu!(
            self.driver,
            cuMulticastCreate(&raw mut raw, &raw const wanted)
        )?;
        let size = command.properties.size;
        self.physical
            .add(command.object, raw, command.device, size)
            .inspect_err(|_| {
                let _ = cu!(self.driver, cuMemRelease(raw));
            })
            .map(Answer::Now)
    }
}

impl Handler<MulticastAddDevice> for Session {
    fn handle(&self, header: &Header, command: MulticastAddDevice) -> Result<Answer<()>> {
        self.enter(header)?;
        let device = self.raw_device(command.device)?;
        let object = self.raw_piece(command.object)?;
        cu!(self.driver, cuMulticastAddDevice(object, device)).map(Answer::Now)
    }
}

impl Handler<MulticastBind> for Session {
    fn handle(&self, header: &Header, command: MulticastBind) -> Result<Answer<()>> {
        self.enter(header)?;
        let object = self.raw_piece(command.object)?;
        let [offset, size] = [narrow(command.offset)?, narrow(command.size)?];
        if command.piece != 0 {
            let piece = self.raw_piece(command.piece)?;
            let from = narrow(command.memory)?;
            return cu!(
                self.driver,
                cuMulticastBindMem(object, offset, piece, from, size, command.flags)
            )
            .map(Answer::Now);
        }
        self.memory
            .owner(command.memory, command.size)
            .ok_or(ERROR_INVALID_VALUE)?;
        cu!(
            self.driver,
            cuMulticastBindAddr(object, offset, command.memory, size, command.flags)
        )
        .map(Answer::Now)
    }
}

impl Handler<MulticastUnbind> for Session {
    fn handle(&self, header: &Header, command: MulticastUnbind) -> Result<Answer<()>> {
        self.enter(header)?;
        let device = self.raw_device(command.device)?;
        let object = self.raw_piece(command.object)?;
        let [offset, size] = [narrow(command.offset)?, narrow(command.size)?];
        cu!(self.driver, cuMulticastUnbind(object, device, offset, size)).map(Answer::Now)
    }
}

impl Handler<MulticastGranularity> for Session {
    fn handle(&self, header: &Header, command: MulticastGranularity) -> Result<Answer<u64>> {
        self.enter(header)?;
        let of = properties(&command.properties)?;
        let mut step = 0;
        cu!(
            self.driver,
            cuMulticastGetGranularity(&raw mut step, &raw const of, command.option)
        )?;
        Ok(Answer::Now(step as u64))
    }
}
