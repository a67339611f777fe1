//! Links `libgvirtus.so` under its own SONAME and keeps it loaded: frontends hold pointers into it until the process ends.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-fuse-ld=bfd",
        "-Wl,-soname,libgvirtus.so",
        "-Wl,-Bsymbolic",
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
