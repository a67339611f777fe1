//! JIT options (`CUjit_option`) as programs pass them to module, library and link functions: two arrays, numbers and values cast to pointers.

use std::ffi::c_void;
use std::time::Duration;

use gvirtus_wire::api::types::error;

use crate::driver::Result;

const WALL_TIME: u32 = 2;
const INFO_LOG_BUFFER: u32 = 3;
const INFO_LOG_BUFFER_SIZE: u32 = 4;
const ERROR_LOG_BUFFER: u32 = 5;
const ERROR_LOG_BUFFER_SIZE: u32 = 6;
const TARGET_FROM_CONTEXT: u32 = 8;
const GLOBAL_SYMBOLS: std::ops::RangeInclusive<u32> = 17..=19;
const LTO_NAMES: std::ops::RangeInclusive<u32> = 25..=28;
/// Threads that compile or load: the box's affair.
const THREADS: std::ops::RangeInclusive<u32> = 34..=35;
/// One past the last option of CUDA 13.
const COUNT: u32 = 36;

/// A program's options.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Those that change code: number and value, for the worker.
    pub(crate) forwarded: Vec<(u32, u64)>,
    /// Where the program wants logs and times.
    outputs: Outputs,
}

#[derive(Debug, Default)]
struct Outputs {
    wall_time: Option<*mut *mut c_void>,
    info: Log,
    error: Log,
}

#[derive(Debug, Default)]
struct Log {
    buffer: Option<*mut u8>,
    /// Bytes, and where the bytes used are reported.
    size: Option<(usize, *mut *mut c_void)>,
}

impl Options {
    /// Reads the arrays.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for an unknown option or null arrays, `CUDA_ERROR_NOT_SUPPORTED` for addresses of host variables.
    ///
    /// # Safety
    /// The arrays have `count` elements if they are not null, and what options point to is as CUDA asks.
    pub(crate) unsafe fn read(
        count: u32,
        numbers: *const u32,
        values: *mut *mut c_void,
    ) -> Result<Self> {
        let mut options = Self::default();
        if count == 0 {
            return Ok(options);
        }
        if numbers.is_null() || values.is_null() {
            return Err(error::ERROR_INVALID_VALUE);
        }
        let outputs = &mut options.outputs;
        for i in 0..count as usize {
            // SAFETY: inside the arrays.
            let (number, place) = unsafe { (numbers.add(i).read_unaligned(), values.add(i)) };
            // SAFETY: inside the array.
            let value = unsafe { place.read_unaligned() };
            match number {
                WALL_TIME => outputs.wall_time = Some(place),
                INFO_LOG_BUFFER => outputs.info.buffer = Some(value.cast()),
                INFO_LOG_BUFFER_SIZE => outputs.info.size = Some((value as u32 as usize, place)),
                ERROR_LOG_BUFFER => outputs.error.buffer = Some(value.cast()),
                ERROR_LOG_BUFFER_SIZE => outputs.error.size = Some((value as u32 as usize, place)),
                // The worker compiles for the context's device anyway.
                TARGET_FROM_CONTEXT => {}
                number if GLOBAL_SYMBOLS.contains(&number) => {
                    crate::log::unsupported("CU_JIT_GLOBAL_SYMBOL_NAMES");
                    return Err(error::ERROR_NOT_SUPPORTED);
                }
                number if LTO_NAMES.contains(&number) || THREADS.contains(&number) => {}
                number if number < COUNT => {
                    options.forwarded.push((number, u64::from(value as u32)))
                }
                _ => return Err(error::ERROR_INVALID_VALUE),
            }
        }
        Ok(options)
    }

    /// Whether the program wants to hear what the compiler says.
    pub(crate) fn has_outputs(&self) -> bool {
        let outputs = &self.outputs;
        outputs.wall_time.is_some()
            || outputs.info.buffer.is_some()
            || outputs.error.buffer.is_some()
    }

    /// Gives the program its logs and times.
    ///
    /// # Safety
    /// The arrays and buffers are still the program's, as in [`read`](Self::read).
    pub(crate) unsafe fn answer(&self, info: &str, error: &str, time: Duration) {
        let outputs = &self.outputs;
        if let Some(place) = outputs.wall_time {
            // A float in the low four bytes, milliseconds.
            // SAFETY: inside the values' array.
            unsafe {
                place
                    .cast::<f32>()
                    .write_unaligned(time.as_secs_f32() * 1e3)
            };
        }
        // SAFETY: by this function's contract.
        unsafe {
            outputs.info.write(info);
            outputs.error.write(error);
        }
    }
}

impl Log {
    /// # Safety
    /// The buffer has the size that the program said.
    unsafe fn write(&self, text: &str) {
        let (Some(buffer), Some((size, used))) = (self.buffer, self.size) else {
            return;
        };
        if buffer.is_null() || size == 0 {
            return;
        }
        let n = text.len().min(size - 1);
        // SAFETY: `n + 1 <= size` bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, n);
            buffer.add(n).write(0);
            used.write_unaligned(std::ptr::without_provenance_mut(n));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_numbers() {
        let mut buffer = [0xffu8; 8];
        let numbers = [
            INFO_LOG_BUFFER,
            INFO_LOG_BUFFER_SIZE,
            7,
            TARGET_FROM_CONTEXT,
            WALL_TIME,
        ];
        let mut values: [*mut c_void; 5] = [
            buffer.as_mut_ptr().cast(),
            std::ptr::without_provenance_mut(8),
            std::ptr::without_provenance_mut(3),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        ];
        // SAFETY: arrays of five, a buffer of eight.
        unsafe {
            let options = Options::read(5, numbers.as_ptr(), values.as_mut_ptr()).unwrap();
            assert_eq!(options.forwarded, [(7, 3)]);
            options.answer("a long message", "", Duration::from_millis(2));
        }
        assert_eq!(&buffer, b"a long \0");
        assert_eq!(values[1] as usize, 7);
        assert_eq!(f32::from_bits(values[4] as u32), 2.0);
    }

    #[test]
    fn refusals() {
        let mut value = std::ptr::null_mut();
        // SAFETY: arrays of one, or null.
        unsafe {
            let unknown = Options::read(1, &99, &raw mut value);
            assert_eq!(unknown.unwrap_err(), error::ERROR_INVALID_VALUE);
            let symbols = Options::read(1, &17, &raw mut value);
            assert_eq!(symbols.unwrap_err(), error::ERROR_NOT_SUPPORTED);
            let null = Options::read(1, std::ptr::null(), &raw mut value);
            assert_eq!(null.unwrap_err(), error::ERROR_INVALID_VALUE);
            assert!(Options::read(0, std::ptr::null(), std::ptr::null_mut()).is_ok());
        }
    }
}
