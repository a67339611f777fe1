//! A frame: header, then the payload of the command that it names. What decodes encodes to the same bytes.
#![no_main]

use gvirtus_wire::api::core::{Snapshot, reencode};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::frame::{HEADER_LEN, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = decode_all::<Snapshot>(data);
    let Some((header, payload)) = data.split_first_chunk::<HEADER_LEN>() else {
        return;
    };
    let Ok(header) = Header::from_bytes(header) else {
        return;
    };
    if let Ok(again) = reencode(header.opcode, payload) {
        assert_eq!(again, payload);
    }
});
