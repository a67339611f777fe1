//! Options and logs of the JIT compiler and linker.

use std::ffi::c_void;

use gvirtus_wire::api::core::JitReport;

use crate::errors::{ERROR_INVALID_VALUE, Result};

/// Bytes of each log: verbose ones have a few lines for every kernel.
const LOG: usize = 256 << 10;
/// `CU_JIT_*` options whose value is a number; the others are pointers and cannot come from a client.
const NUMBERS: &[u32] = &[
    0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20, 21, 22, 23, 24, 29, 30, 31, 32, 33,
];
/// The most options of one call.
const MOST_OPTIONS: usize = 64;
const INFO_LOG: u32 = 3;
const INFO_LOG_SIZE: u32 = 4;
const ERROR_LOG: u32 = 5;
const ERROR_LOG_SIZE: u32 = 6;

/// Options and their values, as the arrays that the driver takes.
#[derive(Default)]
pub(crate) struct Options {
    options: Vec<u32>,
    values: Vec<*mut c_void>,
}

// SAFETY: the values are numbers, or addresses that their owner keeps.
unsafe impl Send for Options {}
// SAFETY: as above, and nothing is written through a shared reference.
unsafe impl Sync for Options {}

impl Options {
    /// Those of a client.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for options whose value is no number, or too many.
    pub(crate) fn new(wanted: &[(u32, u64)]) -> Result<Self> {
        let (options, values) = numbers(wanted)?.into_iter().unzip();
        Ok(Self { options, values })
    }

    /// Count, options, values: null for none.
    pub(crate) fn arrays(&mut self) -> (u32, *mut u32, *mut *mut c_void) {
        (
            self.options.len() as u32,
            pointer(&mut self.options),
            pointer(&mut self.values),
        )
    }
}

/// The options of something that is compiled, and the logs that the driver writes. It may look at them as long as what it made with them lives.
#[derive(Default)]
pub(crate) struct Jit {
    info_log: Vec<u8>,
    error_log: Vec<u8>,
    options: Options,
}

impl Jit {
    /// The client's options, and logs of our own.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for options whose value is no number, or too many.
    pub(crate) fn new(wanted: &[(u32, u64)]) -> Result<Self> {
        let mut jit = Self {
            info_log: vec![0; LOG],
            error_log: vec![0; LOG],
            options: Options::default(),
        };
        let logs = [
            (INFO_LOG, jit.info_log.as_mut_ptr().cast()),
            (INFO_LOG_SIZE, LOG as *mut c_void),
            (ERROR_LOG, jit.error_log.as_mut_ptr().cast()),
            (ERROR_LOG_SIZE, LOG as *mut c_void),
        ];
        for (option, value) in logs.into_iter().chain(numbers(wanted)?) {
            jit.options.options.push(option);
            jit.options.values.push(value);
        }
        Ok(jit)
    }

    /// Count, options, values.
    pub(crate) fn arrays(&mut self) -> (u32, *mut u32, *mut *mut c_void) {
        self.options.arrays()
    }

    /// What the client is told of an outcome.
    pub(crate) fn report(&self, outcome: Result<()>) -> JitReport {
        JitReport {
            status: outcome.err().unwrap_or(0),
            info_log: text(&self.info_log),
            error_log: text(&self.error_log),
        }
    }
}

/// The address of an array for the driver: null for an empty one.
fn pointer<T>(array: &mut [T]) -> *mut T {
    if array.is_empty() {
        std::ptr::null_mut()
    } else {
        array.as_mut_ptr()
    }
}

/// Options as the driver takes them.
pub(crate) fn numbers(wanted: &[(u32, u64)]) -> Result<Vec<(u32, *mut c_void)>> {
    let allowed =
        |(option, value): &(u32, u64)| NUMBERS.contains(option) && *value <= u64::from(u32::MAX);
    if wanted.len() > MOST_OPTIONS || !wanted.iter().all(allowed) {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(wanted
        .iter()
        .map(|(option, value)| (*option, *value as *mut c_void))
        .collect())
}

/// A log buffer's text.
fn text(log: &[u8]) -> String {
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).into_owned()
}
