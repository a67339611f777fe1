//! Options of the PTX compiler: its logs.

use std::ffi::{c_char, c_void};

use super::error::{ERROR_INVALID_VALUE, Result};
use super::ffi;
use crate::engine::CompileError;

/// `CUjit_option`.
mod option {
    pub(super) const WALL_TIME: u32 = 2;
    pub(super) const INFO_LOG: u32 = 3;
    pub(super) const INFO_LOG_SIZE: u32 = 4;
    pub(super) const ERROR_LOG: u32 = 5;
    pub(super) const ERROR_LOG_SIZE: u32 = 6;
    pub(super) const LAST: u32 = 34;
}

/// The options that mean something to this device; the others tune code for GPUs.
#[derive(Default)]
pub(super) struct Options {
    values: *mut *mut c_void,
    error_log: Option<(*mut c_char, usize)>,
    info_log: Option<(*mut c_char, usize)>,
    error_log_size: Option<usize>,
    info_log_size: Option<usize>,
    wall_time: Option<usize>,
}

// SAFETY: the addresses are those that the caller promised to keep for as long as the options are used; they are written to only inside calls that use them.
unsafe impl Send for Options {}
// SAFETY: as above; nothing is changed by way of a shared reference but the caller's memory.
unsafe impl Sync for Options {}

impl Options {
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for unknown options or missing arrays.
    pub(super) fn read(count: u32, names: *mut u32, values: *mut *mut c_void) -> Result<Self> {
        let names = ffi::get_slice(names, count as usize)?;
        let given = ffi::get_slice(values, count as usize)?;
        let mut options = Self {
            values,
            ..Self::default()
        };
        let find = |wanted: u32| names.iter().position(|&name| name == wanted);
        if names.iter().any(|&name| name > option::LAST) {
            return Err(ERROR_INVALID_VALUE);
        }
        options.error_log_size = find(option::ERROR_LOG_SIZE);
        options.info_log_size = find(option::INFO_LOG_SIZE);
        options.wall_time = find(option::WALL_TIME);
        let log = |buffer: u32, size: Option<usize>| -> Option<(*mut c_char, usize)> {
            // Sizes are passed as values in place of pointers, of which 32 bits count.
            Some((
                given[find(buffer)?].cast(),
                given[size?].addr() & 0xffff_ffff,
            ))
        };
        options.error_log = log(option::ERROR_LOG, options.error_log_size);
        options.info_log = log(option::INFO_LOG, options.info_log_size);
        Ok(options)
    }

    fn set(&self, index: Option<usize>, value: usize) {
        if let Some(index) = index {
            // SAFETY: the index lies in the caller's array of option values, which CUDA's contract makes writable.
            unsafe {
                self.values
                    .add(index)
                    .write(std::ptr::without_provenance_mut(value))
            };
        }
    }

    fn write_log(&self, log: Option<(*mut c_char, usize)>, size: Option<usize>, text: &str) {
        let Some((buffer, capacity)) = log else {
            return;
        };
        if ffi::put_string(buffer, capacity, text).is_ok() {
            self.set(size, text.len().min(capacity - 1));
        }
    }

    /// Fills the logs after compilation.
    pub(super) fn report(&self, failure: Option<&CompileError>) {
        self.say(&failure.map_or_else(String::new, describe));
    }

    /// Fills the logs; `text` says what is wrong.
    pub(super) fn say(&self, text: &str) {
        self.write_log(self.info_log, self.info_log_size, "");
        self.write_log(self.error_log, self.error_log_size, text);
        self.set(self.wall_time, 0);
    }
}

/// A compile error as one line.
pub(super) fn describe(failure: &CompileError) -> String {
    if failure.line == 0 {
        format!("PTX: {}\n", failure.message)
    } else {
        format!(
            "PTX line {}: {}: {}\n",
            failure.line, failure.message, failure.text
        )
    }
}
