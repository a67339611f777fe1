//! Reading and writing what a C caller hands in.
//!
//! Every exported function receives raw pointers under the contract of the CUDA driver API: a pointer is null or points to the object that the
//! documentation names. Null is checked here; the rest of the contract is the caller's, as it is with NVIDIA's driver. The exports are `unsafe fn`s and say so.

use std::ffi::{CStr, c_char};

use super::error::{ERROR_INVALID_VALUE, Result};

/// Writes an output; a null pointer is `CUDA_ERROR_INVALID_VALUE`.
pub(super) fn put<T>(out: *mut T, value: T) -> Result {
    if out.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the C contract makes it writable. Unaligned, since the pointer may stem from a packed structure.
    unsafe { out.write_unaligned(value) };
    Ok(())
}

/// Writes an output that the caller may leave out.
pub(super) fn put_optional<T>(out: *mut T, value: T) {
    if !out.is_null() {
        let _ = put(out, value);
    }
}

/// Reads an input; a null pointer is `CUDA_ERROR_INVALID_VALUE`.
pub(super) fn get<T: Copy>(input: *const T) -> Result<T> {
    if input.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the C contract makes it readable.
    Ok(unsafe { input.read_unaligned() })
}

/// Reads an array; null is only right for an empty one.
pub(super) fn get_slice<T: Copy>(input: *const T, count: usize) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if input.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the C contract makes `count` elements readable.
    Ok((0..count)
        .map(|index| unsafe { input.add(index).read_unaligned() })
        .collect())
}

/// Writes the elements of an array in order.
pub(super) fn put_slice<T: Copy>(out: *mut T, values: &[T]) -> Result {
    if values.is_empty() {
        return Ok(());
    }
    if out.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    for (index, value) in values.iter().enumerate() {
        // SAFETY: not null; the C contract makes as many elements writable.
        unsafe { out.add(index).write_unaligned(*value) };
    }
    Ok(())
}

/// A C string as bytes.
pub(super) fn get_string(input: *const c_char) -> Result<String> {
    if input.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the C contract makes it NUL-terminated.
    Ok(unsafe { CStr::from_ptr(input) }
        .to_string_lossy()
        .into_owned())
}

/// Fills a caller's character buffer, cut short if need be, always terminated.
pub(super) fn put_string(out: *mut c_char, capacity: usize, text: &str) -> Result {
    if out.is_null() || capacity == 0 {
        return Err(ERROR_INVALID_VALUE);
    }
    let length = text.len().min(capacity - 1);
    // SAFETY: not null; the C contract makes `capacity` bytes writable, and `length` is smaller.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), length);
        out.add(length).write(0);
    }
    Ok(())
}

/// Copies raw bytes out of the caller's memory.
pub(super) fn get_bytes(input: *const u8, count: usize) -> Result<Vec<u8>> {
    if count > 0 && input.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    let mut bytes = vec![0; count];
    if count > 0 {
        // SAFETY: not null; the C contract makes `count` bytes readable; the vector holds as many.
        unsafe { std::ptr::copy_nonoverlapping(input, bytes.as_mut_ptr(), count) };
    }
    Ok(bytes)
}
