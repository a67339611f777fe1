//! `cuGetProcAddress`: the device's own exports, by base name and CUDA version.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DRIVER__ENTRY__POINT.html>.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

use super::error::{ERROR_INVALID_VALUE, ERROR_NOT_FOUND, Result};
use super::exports::{EXPORTS, Export};
use super::ffi;

/// `CUdriverProcAddressQueryResult`.
const FOUND: u32 = 0;
const SYMBOL_NOT_FOUND: u32 = 1;
const VERSION_NOT_SUFFICIENT: u32 = 2;
/// `CU_GET_PROC_ADDRESS_LEGACY_STREAM`, `…_PER_THREAD_DEFAULT_STREAM`.
const FLAGS: u64 = 3;

/// A symbol without `_v2`, `_v3` ….
fn base_name(symbol: &str) -> &str {
    match symbol.rsplit_once("_v") {
        Some((base, digits))
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            base
        }
        _ => symbol,
    }
}

/// The exports of each base name.
fn by_name() -> &'static HashMap<&'static str, Vec<&'static Export>> {
    static NAMES: OnceLock<HashMap<&'static str, Vec<&'static Export>>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names: HashMap<_, Vec<_>> = HashMap::new();
        for export in EXPORTS {
            names
                .entry(base_name(export.name))
                .or_default()
                .push(export);
        }
        names
    })
}

/// The newest export of a base name that a program of this CUDA version may use.
fn find(symbol: &str, version: i32) -> std::result::Result<&'static Export, u32> {
    let candidates = by_name().get(symbol).ok_or(SYMBOL_NOT_FOUND)?;
    candidates
        .iter()
        .filter(|export| export.since <= version)
        .max_by_key(|export| export.since)
        .copied()
        .ok_or(VERSION_NOT_SUFFICIENT)
}

pub(super) fn cuGetProcAddress(
    symbol: *const c_char,
    pfn: *mut *mut c_void,
    cudaVersion: i32,
    flags: u64,
) -> Result {
    cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, std::ptr::null_mut())
}

pub(super) fn cuGetProcAddress_v2(
    symbol: *const c_char,
    pfn: *mut *mut c_void,
    cudaVersion: i32,
    flags: u64,
    symbolStatus: *mut u32,
) -> Result {
    let name = ffi::get_string(symbol)?;
    if pfn.is_null() || flags & !FLAGS != 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    match find(&name, cudaVersion) {
        Ok(export) => {
            ffi::put_optional(symbolStatus, FOUND);
            ffi::put(pfn, export.address.cast_mut())
        }
        Err(status) => {
            ffi::put(pfn, std::ptr::null_mut())?;
            if symbolStatus.is_null() {
                return Err(ERROR_NOT_FOUND);
            }
            // With a place for the reason, the call itself succeeds only in saying it.
            ffi::put(symbolStatus, status)?;
            if status == SYMBOL_NOT_FOUND {
                Err(ERROR_NOT_FOUND)
            } else {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_selects_the_interface() {
        assert_eq!(find("cuCtxCreate", 11000).unwrap().name, "cuCtxCreate_v2");
        assert_eq!(find("cuCtxCreate", 13000).unwrap().name, "cuCtxCreate_v4");
        assert_eq!(
            find("cuGetProcAddress", 11080).unwrap().name,
            "cuGetProcAddress"
        );
        assert_eq!(
            find("cuGetProcAddress", 12000).unwrap().name,
            "cuGetProcAddress_v2"
        );
        assert_eq!(
            find("cuCtxSynchronize", 12090).unwrap().name,
            "cuCtxSynchronize"
        );
        assert_eq!(
            find("cuCtxSynchronize", 13000).unwrap().name,
            "cuCtxSynchronize_v2"
        );
        assert_eq!(find("cuMemAlloc", 3010).err(), Some(VERSION_NOT_SUFFICIENT));
        assert_eq!(find("cuNoSuchThing", 13000).err(), Some(SYMBOL_NOT_FOUND));
    }
}
