//! Gives the library NVIDIA's name. Its symbols have no versions, as NVIDIA's have none.

fn main() {
    for argument in [
        "-fuse-ld=bfd",
        "-Wl,-soname,libnvidia-ml.so.1",
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
