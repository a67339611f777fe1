//! What the client's programs see of the devices, taken once when a session starts.

use std::ffi::CStr;

use gvirtus_wire::api::core::{Device, Snapshot};
use gvirtus_wire::api::types::CUuuid;

use crate::driver::cu;
use crate::errors::Result;
use crate::memory::GRANULARITY;
use crate::session::Session;

/// `CUdevice_attribute` numbers that are asked for: those that the driver does not know are left out.
const ATTRIBUTES: std::ops::RangeInclusive<u32> = 1..=150;
/// `CUlimit` numbers.
const LIMITS: std::ops::RangeInclusive<u32> = 0..=9;
/// `CUdevice_P2PAttribute` numbers.
const PEER_ATTRIBUTES: [u32; 4] = [1, 2, 3, 4];

/// What only a context can tell.
#[derive(Clone)]
struct OfContext {
    limits: Vec<(u32, u64)>,
    stream_priorities: (i32, i32),
}

impl Session {
    /// All devices.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let mut driver_version = 0;
        cu!(self.driver, cuDriverGetVersion(&raw mut driver_version))?;
        let mut loading_mode = 0;
        // A driver before 11.7 loads eagerly: mode 1.
        if cu!(self.driver, cuModuleGetLoadingMode(&raw mut loading_mode)).is_err() {
            loading_mode = 1;
        }
        let mut devices: Vec<Device> = Vec::with_capacity(self.devices as usize);
        for ordinal in 0..self.devices {
            let device = self.device(ordinal, &devices)?;
            devices.push(device);
        }
        Ok(Snapshot {
            driver_version,
            ptx_only: self.cpu,
            loading_mode: i32::try_from(loading_mode).unwrap_or(1),
            devices,
            worker: std::process::id(),
        })
    }

    fn device(&self, ordinal: u32, earlier: &[Device]) -> Result<Device> {
        let driver = self.driver;
        let raw = self.raw_device(ordinal)?;
        let mut name = [0u8; 256];
        cu!(
            driver,
            cuDeviceGetName(name.as_mut_ptr().cast(), name.len() as i32, raw)
        )?;
        let name = CStr::from_bytes_until_nul(&name)
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut uuid = CUuuid { bytes: [0; 16] };
        if driver.cuDeviceGetUuid_v2.is_some() {
            cu!(driver, cuDeviceGetUuid_v2(&raw mut uuid, raw))?;
        } else {
            cu!(driver, cuDeviceGetUuid(&raw mut uuid, raw))?;
        }
        let mut total = 0;
        cu!(driver, cuDeviceTotalMem_v2(&raw mut total, raw))?;
        let attributes: Vec<(u32, i32)> = ATTRIBUTES
            .filter_map(|attribute| {
                let mut value = 0;
                cu!(driver, cuDeviceGetAttribute(&raw mut value, attribute, raw))
                    .ok()
                    .map(|()| (attribute, value))
            })
            .collect();
        let OfContext {
            limits,
            stream_priorities,
        } = self.of_context(ordinal, &name, total as u64, earlier)?;
        let peers = (0..self.devices)
            .map(|other| self.peer(raw, ordinal, other))
            .collect::<Result<_>>()?;
        Ok(Device {
            name,
            uuid: uuid.bytes,
            total_memory: total as u64,
            attributes,
            limits,
            stream_priorities,
            granularity: GRANULARITY,
            peers,
        })
    }

    /// A context costs hundreds of milliseconds and megabytes, so one is not made for every device: devices of the same model have the same defaults.
    fn of_context(
        &self,
        ordinal: u32,
        name: &str,
        total: u64,
        earlier: &[Device],
    ) -> Result<OfContext> {
        if let Some(same) = earlier
            .iter()
            .find(|d| d.name == name && d.total_memory == total)
        {
            return Ok(OfContext {
                limits: same.limits.clone(),
                stream_priorities: same.stream_priorities,
            });
        }
        self.context(ordinal)?.make_current()?;
        let limits = LIMITS
            .filter_map(|limit| {
                let mut value = 0;
                cu!(self.driver, cuCtxGetLimit(&raw mut value, limit))
                    .ok()
                    .map(|()| (limit, value as u64))
            })
            .collect();
        let (mut lowest, mut greatest) = (0, 0);
        cu!(
            self.driver,
            cuCtxGetStreamPriorityRange(&raw mut lowest, &raw mut greatest)
        )?;
        Ok(OfContext {
            limits,
            stream_priorities: (lowest, greatest),
        })
    }

    fn peer(&self, raw: i32, ordinal: u32, other: u32) -> Result<[u8; 4]> {
        if ordinal == other {
            return Ok([0; 4]);
        }
        let towards = self.raw_device(other)?;
        Ok(PEER_ATTRIBUTES.map(|attribute| {
            let mut value = 0;
            match cu!(
                self.driver,
                cuDeviceGetP2PAttribute(&raw mut value, attribute, raw, towards)
            ) {
                Ok(()) => u8::try_from(value).unwrap_or(0),
                Err(_) => 0,
            }
        }))
    }
}
