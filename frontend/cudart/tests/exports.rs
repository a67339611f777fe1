//! The table declares what NVIDIA's libraries export, no more and no less.

use std::collections::BTreeSet;

macro_rules! rows { ($(group $group:literal { $($class:ident [$($major:literal)*] fn $name:ident $(| $pt:ident)? ($($p:ident: $t:ty),*) $(-> $r:ty)?;)* })*) => {
    const ROWS: &[(&[u32], &str, Option<&str>)] = &[$($((&[$($major),*], stringify!($name), rows!(@variant $($pt)?)),)*)*];
}; (@variant) => { None }; (@variant $pt:ident) => { Some(stringify!($pt)) } }
gvirtus_wire::cudart_api!(rows);

fn check(major: u32, listed: &str) {
    let mut declared = BTreeSet::new();
    for (majors, name, variant) in ROWS {
        if majors.contains(&major) {
            for name in std::iter::once(name).chain(variant) {
                assert!(
                    declared.insert(*name),
                    "{name} is declared twice for CUDA {major}"
                );
            }
        }
    }
    let exported: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.split('@').next())
        .filter(|name| !name.is_empty())
        .collect();
    let missing: Vec<_> = exported.difference(&declared).collect();
    let invented: Vec<_> = declared.difference(&exported).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "CUDA {major}: missing {missing:?}, invented {invented:?}"
    );
}

#[test]
fn cuda_12() {
    check(12, include_str!("../symbols/libcudart.so.12.txt"));
}

#[test]
fn cuda_13() {
    check(13, include_str!("../symbols/libcudart.so.13.txt"));
}
