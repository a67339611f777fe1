//! The runtime's proof that it talks to the driver: both compute a keyed digest of what they see, and the runtime compares.
//!
//! The digest is HMAC (RFC 2104) with MD2 (RFC 1319) over the driver's version, the number that the runtime sends, process and thread, the addresses of two tables and of
//! this function, the time that the runtime sends, and UUID and PCI address of each device. So it can be computed nowhere but in the program's own process.

use std::ffi::c_void;

use gvirtus_wire::api::types::CUresult;
use md2::{Digest, Md2};

use super::{slot, tables};
use crate::driver::device::{self, attr};
use crate::driver::{Result, init, put, session};

/// The key.
const KEY: [u8; 16] = [
    0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52, 0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f,
];

/// Where the number that the runtime sends ends in 0 or 1, the answer depends on nothing else.
const FIXED: [[u64; 2]; 2] = [
    [0x3341_181c_03cb_675c, 0x8ed3_83aa_1f4c_d1e8],
    [0x1841_181c_03cb_675c, 0x8ed3_83aa_1f4c_d1e8],
];

/// HMAC-MD2. The key is as long as a block of MD2.
fn digest(message: &[u8]) -> [u64; 2] {
    let keyed = |pad: u8, message: &[u8]| {
        let digest = Md2::new().chain_update(KEY.map(|byte| byte ^ pad));
        digest.chain_update(message).finalize()
    };
    let inner = keyed(0x36, message);
    let outer: [u8; 16] = keyed(0x5c, &inner).into();
    let (low, high) = outer.split_at(8);
    let word = |half: &[u8]| {
        half.iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    [word(low), word(high)]
}

/// What the runtime and the driver both see.
fn message(number: u32, seconds: u64) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    let thread = {
        // SAFETY: no preconditions.
        let thread = unsafe { libc::pthread_self() };
        // The lower half, as the runtime has it.
        thread as u32
    };
    message.extend(init::version()?.to_ne_bytes());
    message.extend(number.to_ne_bytes());
    message.extend(std::process::id().to_ne_bytes());
    message.extend(thread.to_ne_bytes());
    for address in [
        tables::CUDART_INTERFACE.as_ptr().cast::<c_void>(),
        tables::INTEGRITY_CHECK.as_ptr().cast(),
        check as *const c_void,
    ] {
        message.extend(address.addr().to_ne_bytes());
    }
    message.extend(seconds.to_ne_bytes());
    for (ordinal, device) in (0..).zip(&session()?.snapshot.devices) {
        message.extend(device.uuid);
        for attribute in [attr::PCI_DOMAIN_ID, attr::PCI_BUS_ID, attr::PCI_DEVICE_ID] {
            let value = device::attribute(ordinal, attribute).unwrap_or(0);
            message.extend(value.to_ne_bytes());
        }
    }
    Ok(message)
}

/// The digest for a number and a time of the runtime's.
pub(super) unsafe extern "C" fn check(
    number: u32,
    seconds: u64,
    result: *mut [u64; 2],
) -> CUresult {
    slot("integrity check", || {
        let answer = match FIXED.get(number as usize % 10) {
            Some(fixed) => *fixed,
            None => digest(&message(number, seconds)?),
        };
        // SAFETY: the caller's pointer.
        unsafe { put(result, answer) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_answers() {
        for (number, expected) in [(13_000, FIXED[0]), (12_081, FIXED[1])] {
            let mut result = [0; 2];
            // SAFETY: the result is ours.
            assert_eq!(unsafe { check(number, 5, &raw mut result) }, 0);
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn every_bit_counts() {
        let one = digest(b"what both see");
        assert_eq!(one, digest(b"what both see"));
        assert_ne!(one, digest(b"what both sef"));
        assert_ne!(one, digest(b""));
    }
}
