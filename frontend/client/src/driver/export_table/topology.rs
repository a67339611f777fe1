//! How a device's multiprocessors lie: the box's driver is asked, once for each device.

use std::collections::HashMap;
use std::ffi::c_void;

use gvirtus_wire::api::core::GpcsOfTpcs;
use gvirtus_wire::api::types::CUresult;
use parking_lot::Mutex;

use super::slot;
use crate::driver::{context, put, session};

/// What was answered, by device; kept for good.
static KNOWN: Mutex<Option<HashMap<u32, &'static [u8]>>> = Mutex::new(None);

/// Which GPC each TPC of the current context's device is part of: a byte for each, and what they are released with.
pub(super) unsafe extern "C" fn gpcs_of_tpcs(
    bytes: *mut *const u8,
    owner: *mut *mut c_void,
) -> CUresult {
    slot("gpcs_of_tpcs", || {
        let context = context::current()?;
        let device = context.device;
        let known = KNOWN
            .lock()
            .as_ref()
            .and_then(|all| all.get(&device).copied());
        let gpcs = match known {
            Some(known) => known,
            None => {
                let answer = session()?.call(context.id, &GpcsOfTpcs {})?;
                let mut all = KNOWN.lock();
                let all = all.get_or_insert_default();
                *all.entry(device).or_insert_with(|| answer.leak())
            }
        };
        // SAFETY: the caller's pointers.
        unsafe {
            put(bytes, gpcs.as_ptr())?;
            put(owner, std::ptr::null_mut())
        }
    })
}

/// They are everybody's, and stay.
pub(super) unsafe extern "C" fn release(_: *const u8, _: *mut c_void) -> CUresult {
    slot("release", || Ok(()))
}
