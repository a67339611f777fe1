//! gvirtus: run, doctor, status

fn main() {}
