//! A `properties.json`.
#![no_main]

use std::path::Path;

use gvirtus_wire::config::Properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A token_file could name any file; none is read here.
    if !text.contains("token_file") {
        let _ = Properties::parse(Path::new("properties.json"), text);
    }
});
