//! What devices can do beyond attributes, and the log of calls that failed.

use crate::context::device_at;
use crate::forward::forward;
use gvirtus_wire::api::cudart_types::{cudaAsyncCallbackHandle_t, cudaLogsCallbackHandle};
use std::ffi::{c_char, c_void};

forward! {
    /// Which operations on the program's memory are atomic.
    fn cudaDeviceGetHostAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, device: i32)
        => cuDeviceGetHostAtomicCapabilities(capabilities, operations, count, device_at(device)?.handle);
    /// Which operations on another device's memory are atomic.
    fn cudaDeviceGetP2PAtomicCapabilities(capabilities: *mut u32, operations: *const u32, count: u32, srcDevice: i32, dstDevice: i32)
        => cuDeviceGetP2PAtomicCapabilities(capabilities, operations, count, device_at(srcDevice)?.handle, device_at(dstDevice)?.handle);
    /// Asks to be told when a device takes memory away.
    fn cudaDeviceRegisterAsyncNotification(device: i32, callbackFunc: *mut c_void, userData: *mut c_void, callback: *mut cudaAsyncCallbackHandle_t)
        => cuDeviceRegisterAsyncNotification(device_at(device)?.handle, callbackFunc, userData, callback);
    /// Ends that.
    fn cudaDeviceUnregisterAsyncNotification(device: i32, callback: cudaAsyncCallbackHandle_t)
        => cuDeviceUnregisterAsyncNotification(device_at(device)?.handle, callback);
    /// Has a function called with every error.
    fn cudaLogsRegisterCallback(callbackFunc: *mut c_void, userData: *mut c_void, callback_out: *mut cudaLogsCallbackHandle)
        => cuLogsRegisterCallback(callbackFunc, userData, callback_out);
    /// Ends that.
    fn cudaLogsUnregisterCallback(callback: cudaLogsCallbackHandle) => cuLogsUnregisterCallback(callback);
    /// The end of the log.
    fn cudaLogsCurrent(iterator_out: *mut u32, flags: u32) => cuLogsCurrent(iterator_out, flags);
    /// Writes the log to a file.
    fn cudaLogsDumpToFile(iterator: *mut u32, pathToFile: *const c_char, flags: u32) => cuLogsDumpToFile(iterator, pathToFile, flags);
    /// Writes the log to memory.
    fn cudaLogsDumpToMemory(iterator: *mut u32, buffer: *mut c_char, size: *mut usize, flags: u32)
        => cuLogsDumpToMemory(iterator, buffer, size, flags);
}
