//! What the build scripts of `libcudnn_graph.so.9`, `libcudnn_ops.so.9` … have in common: programs may be linked to these parts of cuDNN instead of `libcudnn.so.9`. Their functions
//! are those of the list `frontend/cudnn/symbols/libcudnn_<part>.so.9.txt`, and jump to `libcudnn.so.9`.

use std::fmt::Write as _;
use std::path::PathBuf;

/// `CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED`.
const LOADING_FAILED: i32 = 1008;

/// Gives the library NVIDIA's name and each export NVIDIA's version node, and writes the exports to `$OUT_DIR/exports.rs`.
///
/// # Panics
/// If the list cannot be read or the exports cannot be written: the build ends.
pub fn build(part: &str) {
    let soname = format!("libcudnn_{part}.so.9");
    for argument in [
        "-fuse-ld=bfd",
        &format!("-Wl,-soname,{soname}"),
        "-Wl,--default-symver",
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    let list = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../cudnn/symbols")
        .join(format!("{soname}.txt"));
    println!("cargo:rerun-if-changed={}", list.display());
    println!("cargo:rerun-if-changed=build.rs");
    let text = std::fs::read_to_string(&list).expect("the list can be read");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('@').next())
        .collect();
    let mut exports = format!(
        "gvirtus_frontend_link::part! {{ \"libcudnn.so.9\" {} {LOADING_FAILED};\n",
        names.len()
    );
    for (at, name) in names.iter().enumerate() {
        let _ = writeln!(exports, "    {at} {name} c\"{name}\"");
    }
    exports.push_str("}\n");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("exports.rs");
    std::fs::write(out, exports).expect("the exports can be written");
}
