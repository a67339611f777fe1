//! Builds, demonstrates, tests and packs the project

fn main() {}
