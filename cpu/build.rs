//! Link options of `libgvirtus_cpu.so`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The process may hold another library with the same symbols (a `libcuda.so.1`): ours refer to our own.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    // Worker threads run in it: it cannot be unloaded.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
