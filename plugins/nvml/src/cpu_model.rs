//! What is known of the CPU device: names, addresses and memory, asked from its driver. Functions have NVML's own signatures, and are called as the library's are;
//! what is not here is not known, and "not supported".

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::sync::OnceLock;

use gvirtus_wire::api::nvml_call::{
    ERROR_INSUFFICIENT_SIZE, ERROR_INVALID_ARGUMENT, ERROR_NOT_FOUND, ERROR_UNINITIALIZED,
    ERROR_UNKNOWN, SUCCESS,
};
use gvirtus_wire::api::types::{CUcontext, CUdevice, CUresult, CUuuid};

/// `nvmlReturn_t`.
type Return = i32;
/// `nvmlDevice_t`: the ordinal and 1.
type Device = *mut c_void;

/// `CU_DEVICE_ATTRIBUTE_*`.
mod attribute {
    pub(super) const COMPUTE_MODE: u32 = 20;
    pub(super) const PCI_BUS_ID: u32 = 33;
    pub(super) const PCI_DEVICE_ID: u32 = 34;
    pub(super) const PCI_DOMAIN_ID: u32 = 50;
    pub(super) const CAPABILITY_MAJOR: u32 = 75;
    pub(super) const CAPABILITY_MINOR: u32 = 76;
}

macro_rules! driver { ($($name:ident($($t:ty),*);)*) => {
    /// The functions of the CPU device's driver that are asked.
    #[allow(non_snake_case, reason = "CUDA's names")]
    struct Driver {
        $($name: unsafe extern "C" fn($($t),*) -> CUresult,)*
        _library: libloading::Library,
    }

    impl Driver {
        fn load(path: &Path) -> Result<Self, libloading::Error> {
            // SAFETY: the worker names its own CPU device, which the core plugin may have loaded already.
            let library = unsafe { libloading::Library::new(path)? };
            Ok(Self {
                $($name: {
                    // SAFETY: the driver API's signature of this function.
                    *unsafe { library.get::<unsafe extern "C" fn($($t),*) -> CUresult>(concat!(stringify!($name), "\0").as_bytes())? }
                },)*
                _library: library,
            })
        }
    }
} }
driver! {
    cuInit(u32);
    cuDriverGetVersion(*mut i32);
    cuDeviceGetCount(*mut i32);
    cuDeviceGetName(*mut c_char, i32, CUdevice);
    cuDeviceGetUuid_v2(*mut CUuuid, CUdevice);
    cuDeviceGetAttribute(*mut i32, u32, CUdevice);
    cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
    cuDevicePrimaryCtxRelease_v2(CUdevice);
    cuCtxPushCurrent_v2(CUcontext);
    cuCtxPopCurrent_v2(*mut CUcontext);
    cuMemGetInfo_v2(*mut usize, *mut usize);
}

static DRIVER: OnceLock<Driver> = OnceLock::new();

/// Loads the CPU device.
///
/// # Errors
/// A sentence for the log.
pub(crate) fn start(library: &Path) -> Result<(), String> {
    let shown = library.display();
    let real = library
        .canonicalize()
        .map_err(|e| format!("{shown}: {e}"))?;
    if DRIVER.get().is_none() {
        let driver = Driver::load(&real).map_err(|e| format!("{shown}: {e}"))?;
        // SAFETY: `cuInit` takes a number.
        let status = unsafe { (driver.cuInit)(0) };
        if status != 0 {
            return Err(format!("{shown}: cuInit failed with {status}"));
        }
        let _ = DRIVER.set(driver);
    }
    Ok(())
}

fn driver() -> Result<&'static Driver, Return> {
    DRIVER.get().ok_or(ERROR_UNINITIALIZED)
}

fn check(status: CUresult) -> Result<(), Return> {
    if status == 0 {
        Ok(())
    } else {
        Err(ERROR_UNKNOWN)
    }
}

fn device_count() -> Result<u32, Return> {
    let mut count = 0;
    // SAFETY: the address of a local.
    check(unsafe { (driver()?.cuDeviceGetCount)(&raw mut count) })?;
    Ok(u32::try_from(count).unwrap_or(0))
}

fn ordinal(device: Device) -> Result<CUdevice, Return> {
    let at = (device as usize)
        .checked_sub(1)
        .ok_or(ERROR_INVALID_ARGUMENT)?;
    if at >= device_count()? as usize {
        return Err(ERROR_INVALID_ARGUMENT);
    }
    CUdevice::try_from(at).map_err(|_| ERROR_INVALID_ARGUMENT)
}

fn handle(index: u32) -> Result<Device, Return> {
    if index >= device_count()? {
        return Err(ERROR_INVALID_ARGUMENT);
    }
    Ok((index as usize + 1) as Device)
}

fn attribute(device: Device, which: u32) -> Result<i32, Return> {
    let mut value = 0;
    // SAFETY: the address of a local.
    check(unsafe { (driver()?.cuDeviceGetAttribute)(&raw mut value, which, ordinal(device)?) })?;
    Ok(value)
}

fn name(device: Device) -> Result<String, Return> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the buffer's length is handed over; the driver ends the name with a NUL.
    unsafe {
        check((driver()?.cuDeviceGetName)(
            name.as_mut_ptr(),
            256,
            ordinal(device)?,
        ))?;
        Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

fn uuid(device: Device) -> Result<String, Return> {
    let mut uuid = [0_u8; 16];
    // SAFETY: a UUID has 16 bytes.
    check(unsafe { (driver()?.cuDeviceGetUuid_v2)((&raw mut uuid).cast(), ordinal(device)?) })?;
    let mut text = String::from("GPU");
    for (i, byte) in uuid.iter().enumerate() {
        if [0, 4, 6, 8, 10].contains(&i) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

/// PCI domain, bus and device, as the driver API tells them.
fn pci(device: Device) -> Result<[u32; 3], Return> {
    let part = |which| attribute(device, which).map(i32::cast_unsigned);
    Ok([
        part(attribute::PCI_DOMAIN_ID)?,
        part(attribute::PCI_BUS_ID)?,
        part(attribute::PCI_DEVICE_ID)?,
    ])
}

/// Bytes free and in all.
fn memory(device: Device) -> Result<(u64, u64), Return> {
    let driver = driver()?;
    let ordinal = ordinal(device)?;
    let mut context: CUcontext = std::ptr::null_mut();
    let (mut free, mut total) = (0_usize, 0_usize);
    // SAFETY: addresses of locals; the thread's current context is what it was when this returns.
    unsafe {
        check((driver.cuDevicePrimaryCtxRetain)(&raw mut context, ordinal))?;
        let mut status = (driver.cuCtxPushCurrent_v2)(context);
        if status == 0 {
            status = (driver.cuMemGetInfo_v2)(&raw mut free, &raw mut total);
            (driver.cuCtxPopCurrent_v2)(&raw mut context);
        }
        (driver.cuDevicePrimaryCtxRelease_v2)(ordinal);
        check(status)?;
    }
    Ok((free as u64, total as u64))
}

fn result(of: Result<(), Return>) -> Return {
    of.err().unwrap_or(SUCCESS)
}

/// # Safety
/// `to` is writable for a `T`.
unsafe fn put<T>(to: *mut c_void, value: T) {
    // SAFETY: by this function's contract.
    unsafe { to.cast::<T>().write_unaligned(value) };
}

/// # Safety
/// `to` has `length` writable bytes.
unsafe fn put_text(to: *mut c_void, length: u32, text: &str) -> Result<(), Return> {
    if text.len() >= length as usize {
        return Err(ERROR_INSUFFICIENT_SIZE);
    }
    // SAFETY: text and NUL fit.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), text.len());
        to.cast::<u8>().add(text.len()).write(0);
    }
    Ok(())
}

/// # Safety
/// `name` is a C string.
unsafe fn find(name: *const c_void, is: impl Fn(&str, Device) -> bool) -> Result<Device, Return> {
    // SAFETY: by this function's contract.
    let name = unsafe { CStr::from_ptr(name.cast()) }
        .to_str()
        .map_err(|_| ERROR_NOT_FOUND)?;
    for index in 0..device_count()? {
        let device = handle(index)?;
        if is(name, device) {
            return Ok(device);
        }
    }
    Err(ERROR_NOT_FOUND)
}

macro_rules! model {
    ($($(#[$doc:meta])* fn $($name:ident)|+ ($($p:ident: $t:ty),*) $body:block)*) => {
        /// The address of a function, if it is known here.
        pub(crate) fn address(name: &str) -> Option<*const c_void> {
            $(if [$(stringify!($name)),+].contains(&name) {
                unsafe extern "C" fn function($($p: $t),*) -> Return {
                    result((|| {
                        // SAFETY: the caller has buffers as long as the function's declaration says.
                        #[allow(unused_unsafe, reason = "some functions only look")]
                        unsafe { $body }
                        #[allow(unreachable_code, reason = "some functions always fail")]
                        Ok(())
                    })())
                }
                return Some(function as *const c_void);
            })*
            None
        }
    };
}
model! {
    /// The release of GVirtuS: the CPU device has no other driver.
    fn nvmlSystemGetDriverVersion(to: *mut c_void, length: u32) {
        put_text(to, length, env!("CARGO_PKG_VERSION"))?;
    }
    fn nvmlSystemGetNVMLVersion(to: *mut c_void, length: u32) {
        put_text(to, length, env!("CARGO_PKG_VERSION"))?;
    }
    fn nvmlSystemGetCudaDriverVersion | nvmlSystemGetCudaDriverVersion_v2(to: *mut c_void) {
        check((driver()?.cuDriverGetVersion)(to.cast()))?;
    }
    fn nvmlDeviceGetCount | nvmlDeviceGetCount_v2(to: *mut c_void) {
        put(to, device_count()?);
    }
    fn nvmlDeviceGetHandleByIndex | nvmlDeviceGetHandleByIndex_v2(index: u32, to: *mut c_void) {
        put(to, handle(index)?);
    }
    fn nvmlDeviceGetHandleByUUID(name: *mut c_void, to: *mut c_void) {
        put(to, find(name, |name, device| uuid(device).is_ok_and(|uuid| uuid.eq_ignore_ascii_case(name)))?);
    }
    fn nvmlDeviceGetHandleByPciBusId | nvmlDeviceGetHandleByPciBusId_v2(name: *mut c_void, to: *mut c_void) {
        put(to, find(name, |name, device| parse_bus_id(name).is_some_and(|at| pci(device) == Ok(at)))?);
    }
    fn nvmlDeviceGetName(device: Device, to: *mut c_void, length: u32) {
        put_text(to, length, &name(device)?)?;
    }
    fn nvmlDeviceGetIndex(device: Device, to: *mut c_void) {
        put(to, ordinal(device)?);
    }
    fn nvmlDeviceGetUUID(device: Device, to: *mut c_void, length: u32) {
        put_text(to, length, &uuid(device)?)?;
    }
    fn nvmlDeviceGetPciInfo_v3(device: Device, to: *mut c_void) {
        let at = pci(device)?;
        // The device and subsystem ids, after these, stay 0.
        put(to.byte_add(16), at);
        put_text(to, 16, &format!("{:04X}:{:02X}:{:02X}.0", at[0], at[1], at[2]))?;
        put_text(to.byte_add(36), 32, &format!("{:08X}:{:02X}:{:02X}.0", at[0], at[1], at[2]))?;
    }
    fn nvmlDeviceGetMemoryInfo(device: Device, to: *mut c_void) {
        let (free, total) = memory(device)?;
        put(to, [total, free, total - free]);
    }
    fn nvmlDeviceGetMemoryInfo_v2(device: Device, to: *mut c_void) {
        let (free, total) = memory(device)?;
        put(to.byte_add(8), [total, 0, free, total - free]);
    }
    fn nvmlDeviceGetCudaComputeCapability(device: Device, major: *mut c_void, minor: *mut c_void) {
        put(major, attribute(device, attribute::CAPABILITY_MAJOR)?);
        put(minor, attribute(device, attribute::CAPABILITY_MINOR)?);
    }
    fn nvmlDeviceIsMigDeviceHandle(device: Device, to: *mut c_void) {
        ordinal(device)?;
        put(to, 0_u32);
    }
    fn nvmlDeviceGetComputeMode(device: Device, to: *mut c_void) {
        put(to, attribute(device, attribute::COMPUTE_MODE)?);
    }
    /// The device's memory is the process's, so what is used, this process uses.
    fn nvmlDeviceGetComputeRunningProcesses_v3 | nvmlDeviceGetComputeRunningProcesses_v2(device: Device, count: *mut c_void, to: *mut c_void) {
        let (free, total) = memory(device)?;
        let room = count.cast::<u32>().read_unaligned();
        let used = free < total;
        put(count, u32::from(used));
        if used && room == 0 {
            return Err(ERROR_INSUFFICIENT_SIZE);
        }
        if used {
            // No MIG instances.
            put(to, [u64::from(std::process::id()), total - free, u64::MAX]);
        }
    }
    fn nvmlDeviceGetGraphicsRunningProcesses_v3 | nvmlDeviceGetGraphicsRunningProcesses_v2 | nvmlDeviceGetMPSComputeRunningProcesses_v3 | nvmlDeviceGetMPSComputeRunningProcesses_v2(device: Device, count: *mut c_void, _to: *mut c_void) {
        ordinal(device)?;
        put(count, 0_u32);
    }
}

/// `domain:bus:device.function`, or without the domain; hexadecimal.
fn parse_bus_id(text: &str) -> Option<[u32; 3]> {
    let text = text.split('.').next()?;
    let mut parts = text
        .rsplit(':')
        .map(|part| u32::from_str_radix(part, 16).ok());
    let (device, bus) = (parts.next()??, parts.next()??);
    let domain = match parts.next() {
        Some(domain) => domain?,
        None => 0,
    };
    parts.next().is_none().then_some([domain, bus, device])
}

#[cfg(test)]
mod tests {
    use super::parse_bus_id;

    #[test]
    fn bus_ids() {
        assert_eq!(parse_bus_id("0000:3B:00.0"), Some([0, 0x3b, 0]));
        assert_eq!(parse_bus_id("00000001:3b:1F.0"), Some([1, 0x3b, 0x1f]));
        assert_eq!(parse_bus_id("3b:00"), Some([0, 0x3b, 0]));
        assert_eq!(parse_bus_id("3b"), None);
        assert_eq!(parse_bus_id(""), None);
        assert_eq!(parse_bus_id("1:2:3:4"), None);
        assert_eq!(parse_bus_id("g:0:0"), None);
    }
}
