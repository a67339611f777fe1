//! CUDA statuses as Rust results.

pub(crate) use gvirtus_wire::api::types::error::*;

/// A CUDA status other than success.
pub(crate) type Status = i32;
/// What every call of the driver and every handler gives.
pub(crate) type Result<T> = std::result::Result<T, Status>;

/// Turns a driver's return value into a result.
#[inline]
pub(crate) fn check(status: i32) -> Result<()> {
    if status == SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}

/// The name that CUDA gives a status, or its number.
pub(crate) fn name(status: i32) -> String {
    NAMES
        .iter()
        .find(|(code, _)| *code == status)
        .map_or_else(|| format!("CUDA error {status}"), |(_, n)| (*n).to_owned())
}
