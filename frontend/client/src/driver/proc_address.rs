//! Entry points by name: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DRIVER__ENTRY__POINT.html>.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

use gvirtus_wire::api::types::error;

use crate::driver::{Result, init, put, put_if};
use crate::exports::{self, Export};
use crate::per_thread;

/// `CU_GET_PROC_ADDRESS_LEGACY_STREAM` and `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`.
const KNOWN_FLAGS: u64 = 1 | PER_THREAD;
const PER_THREAD: u64 = 2;

/// `CUdriverProcAddressQueryResult`.
const FOUND: u32 = 0;
const SYMBOL_NOT_FOUND: u32 = 1;
const VERSION_NOT_SUFFICIENT: u32 = 2;

/// The name without `_v2` and the like.
fn base(name: &str) -> &str {
    match name.rsplit_once("_v") {
        Some((base, version))
            if version.bytes().all(|b| b.is_ascii_digit()) && !version.is_empty() =>
        {
            base
        }
        _ => name,
    }
}

/// Functions by base name, the oldest ABI first.
fn by_base() -> &'static HashMap<&'static str, Vec<&'static Export>> {
    static INDEX: OnceLock<HashMap<&'static str, Vec<&'static Export>>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index: HashMap<&'static str, Vec<&'static Export>> = HashMap::new();
        for export in exports::all() {
            index.entry(base(export.name)).or_default().push(export);
        }
        for versions in index.values_mut() {
            versions.sort_by_key(|export| export.since);
        }
        index
    })
}

/// The newest ABI of a base name that a program of CUDA `version` knows; the status where there is none.
fn look_up(name: &str, version: i32, flags: u64) -> std::result::Result<&'static Export, u32> {
    let versions = by_base().get(name).ok_or(SYMBOL_NOT_FOUND)?;
    let newest = versions.iter().rev().find(|export| export.since <= version);
    let newest = newest.copied().ok_or(VERSION_NOT_SUFFICIENT)?;
    if flags & PER_THREAD != 0 {
        return Ok(per_thread::find(newest.name).unwrap_or(newest));
    }
    Ok(newest)
}

/// The four-argument form of CUDA 11: what is not there is `CUDA_ERROR_NOT_FOUND`.
pub(crate) unsafe fn cuGetProcAddress(
    symbol: *const c_char,
    pfn: *mut *mut c_void,
    cudaVersion: i32,
    flags: u64,
) -> Result<()> {
    let mut found = std::ptr::null_mut();
    if pfn.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's symbol, and a place for the result.
    unsafe {
        cuGetProcAddress_v2(
            symbol,
            &raw mut found,
            cudaVersion,
            flags,
            std::ptr::null_mut(),
        )?
    };
    if found.is_null() {
        return Err(error::ERROR_NOT_FOUND);
    }
    // SAFETY: not null, and the caller's.
    unsafe { put(pfn, found) }
}

/// A missing symbol is a success with a null pointer, and the status says why. A version above the driver's is refused, a negative one means the newest.
pub(crate) unsafe fn cuGetProcAddress_v2(
    symbol: *const c_char,
    pfn: *mut *mut c_void,
    cudaVersion: i32,
    flags: u64,
    symbolStatus: *mut u32,
) -> Result<()> {
    if symbol.is_null() || pfn.is_null() || flags & !KNOWN_FLAGS != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let driver = init::version()?;
    if cudaVersion > driver {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let version = if cudaVersion < 0 { driver } else { cudaVersion };
    // SAFETY: not null, and a C string by CUDA's contract.
    let name = unsafe { CStr::from_ptr(symbol) };
    let found = name
        .to_str()
        .map_err(|_| SYMBOL_NOT_FOUND)
        .and_then(|name| look_up(name, version, flags));
    let (address, status) = match found {
        Ok(export) => (export.address.cast_mut(), FOUND),
        Err(status) => {
            log!(
                Debug,
                "cuGetProcAddress: {} of CUDA {cudaVersion} is not here (status {status})",
                name.to_string_lossy()
            );
            (std::ptr::null_mut(), status)
        }
    };
    // SAFETY: `pfn` is not null, the status may be.
    unsafe {
        put_if(pfn, address);
        put_if(symbolStatus, status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(symbol: &str, version: i32) -> std::result::Result<&'static str, u32> {
        look_up(symbol, version, 0).map(|export| export.name)
    }

    #[test]
    fn the_version_chooses() {
        assert_eq!(name("cuCtxCreate", 4000), Ok("cuCtxCreate_v2"));
        assert_eq!(name("cuCtxCreate", 12000), Ok("cuCtxCreate_v3"));
        assert_eq!(name("cuCtxCreate", 12050), Ok("cuCtxCreate_v4"));
        assert_eq!(name("cuCtxGetDevice", 12080), Ok("cuCtxGetDevice"));
        assert_eq!(name("cuCtxGetDevice", 13000), Ok("cuCtxGetDevice_v2"));
        assert_eq!(name("cuGetProcAddress", 11030), Ok("cuGetProcAddress"));
        assert_eq!(name("cuGetProcAddress", 12000), Ok("cuGetProcAddress_v2"));
        assert_eq!(name("cuLaunchKernel", 3020), Err(VERSION_NOT_SUFFICIENT));
        assert_eq!(name("cuMemAlloc_v2", 12000), Err(SYMBOL_NOT_FOUND));
        assert_eq!(name("cuNothing", 12000), Err(SYMBOL_NOT_FOUND));
    }

    #[test]
    fn only_versions_are_cut_off() {
        assert_eq!(base("cuMemAlloc_v2"), "cuMemAlloc");
        assert_eq!(base("cuStreamGetCaptureInfo_v3"), "cuStreamGetCaptureInfo");
        assert_eq!(base("cuInit"), "cuInit");
        assert_eq!(base("cuFoo_vector"), "cuFoo_vector");
        assert_eq!(base("cuFoo_v"), "cuFoo_v");
    }
}
