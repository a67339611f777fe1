//! The daemon on the GPU box and its worker processes

fn main() {}
