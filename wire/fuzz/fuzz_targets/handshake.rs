//! A handshake message of any kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = gvirtus_wire::handshake::decode_any(data);
});
