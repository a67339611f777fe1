//! The driver's context: cuBLAS takes the current one, or the primary one of the first device, as the runtime does.

use gvirtus_frontend_link::driver;
use gvirtus_wire::api::types::error;

use crate::Status;
use crate::status::{NOT_INITIALIZED, of_driver};

/// Sees to it that a context is current on this thread.
pub(crate) fn ensure() -> Result<(), Status> {
    let driver = driver().ok_or(NOT_INITIALIZED)?;
    let mut context = std::ptr::null_mut();
    // SAFETY: the addresses are those of locals.
    let status = unsafe {
        match (driver.cuCtxGetCurrent)(&raw mut context) {
            error::SUCCESS if !context.is_null() => error::SUCCESS,
            _ => match (driver.cuInit)(0) {
                error::SUCCESS => match (driver.cuDevicePrimaryCtxRetain)(&raw mut context, 0) {
                    error::SUCCESS => (driver.cuCtxSetCurrent)(context),
                    failed => failed,
                },
                failed => failed,
            },
        }
    };
    match status {
        error::SUCCESS => Ok(()),
        failed => Err(of_driver(failed)),
    }
}
