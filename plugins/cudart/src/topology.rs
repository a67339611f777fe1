//! How a device's multiprocessors lie: cuBLASLt and cuDNN count by it how many clusters run at once, and choose their kernels. It is in no public function; the driver has a
//! private table for it, whose two slots that are used here take what those libraries give them.

use std::ffi::c_void;

use gvirtus_wire::api::core::GpcsOfTpcs;
use gvirtus_wire::api::types::{CUresult, CUuuid};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::cu;
use crate::errors::{ERROR_NOT_SUPPORTED, Result};
use crate::session::Session;

static TABLE: CUuuid = CUuuid {
    bytes: 0x1734_dc26_800d_4745_8726_c0f1_e7dd_8bca_u128.to_be_bytes(),
};
/// Words of the table that are used: the first is its size in bytes, these are functions.
const GET: usize = 4;
const RELEASE: usize = 13;
/// `CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT`.
const MULTIPROCESSORS: u32 = 16;
/// Of a TPC.
const MULTIPROCESSORS_EACH: usize = 2;

/// A byte for each TPC, and what they belong to.
type Get = unsafe extern "C" fn(*mut *const u8, *mut *mut c_void) -> CUresult;
type Release = unsafe extern "C" fn(*const u8, *mut c_void) -> CUresult;

impl Handler<GpcsOfTpcs> for Session {
    fn handle(&self, header: &Header, _: GpcsOfTpcs) -> Result<Answer<Vec<u8>>> {
        let context = self.enter(header)?;
        let device = self.raw_device(context.device)?;
        let mut count = 0;
        cu!(
            self.driver,
            cuDeviceGetAttribute(&raw mut count, MULTIPROCESSORS, device)
        )?;
        let count = usize::try_from(count).unwrap_or(0) / MULTIPROCESSORS_EACH;
        let mut table = std::ptr::null();
        cu!(
            self.driver,
            cuGetExportTable(&raw mut table, &raw const TABLE)
        )
        .map_err(|_| ERROR_NOT_SUPPORTED)?;
        let table = table.cast::<usize>();
        // SAFETY: the driver's table, whose first word is its size.
        if table.is_null() || unsafe { table.read() } < (RELEASE + 1) * size_of::<usize>() {
            return Err(ERROR_NOT_SUPPORTED);
        }
        // SAFETY: words of the table, which are functions of these types in every driver that has it.
        let (get, release) = unsafe {
            (
                std::mem::transmute::<usize, Option<Get>>(table.add(GET).read()),
                std::mem::transmute::<usize, Option<Release>>(table.add(RELEASE).read()),
            )
        };
        let (Some(get), Some(release)) = (get, release) else {
            return Err(ERROR_NOT_SUPPORTED);
        };
        let (mut bytes, mut owner) = (std::ptr::null(), std::ptr::null_mut());
        // SAFETY: places for the results.
        let status = unsafe { get(&raw mut bytes, &raw mut owner) };
        if status != 0 || bytes.is_null() {
            return Err(ERROR_NOT_SUPPORTED);
        }
        // SAFETY: a byte for each TPC, until they are released with what they came with.
        let gpcs = unsafe {
            let gpcs = std::slice::from_raw_parts(bytes, count).to_vec();
            release(bytes, owner);
            gpcs
        };
        Ok(Answer::Now(gpcs))
    }
}
