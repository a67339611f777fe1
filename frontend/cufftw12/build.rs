//! Gives the library NVIDIA's name, and each export NVIDIA's version node (the name itself): programs are linked against `fftw_execute@libcufftw.so.12`.
//!
//! GNU ld alone does so: with lld, symbols silently have no version.

fn main() {
    for argument in [
        "-fuse-ld=bfd",
        "-Wl,-soname,libcufftw.so.12",
        "-Wl,--default-symver",
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
