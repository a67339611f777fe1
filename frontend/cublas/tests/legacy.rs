//! Every function before handles, from the program's arguments to the call of its second version: what arrives is what was passed, and what is told comes back.
#![allow(
    non_snake_case,
    clippy::undocumented_unsafe_blocks,
    clippy::too_many_arguments,
    reason = "the test plays program and library under cuBLAS's names"
)]

#[path = "../../../tests/property/record.rs"]
mod property;

use std::cell::RefCell;
use std::ffi::{c_char, c_void};

use gvirtus_cublas_core::legacy::{Translated, translate};
use gvirtus_wire::api::library::{Function, Mode, Size};
use gvirtus_wire::api::types::{cuComplex, cuDoubleComplex};

/// What reaches the library in place of cuBLAS.
mod exports {
    use super::*;
    use std::ffi::CStr;

    pub(super) const LIBRARY: &CStr = c"legacy";
    pub(super) const INTERNAL_ERROR: i32 = 14;

    /// Keeps the call with what its addresses lead to, changes what it may change, and gives a result.
    pub(super) unsafe fn legacy(function: &Function, arguments: &[u64], result: *mut c_void) {
        let call = translate(function, arguments, result as u64).unwrap();
        let words = call.function.parameters.iter().zip(&call.arguments);
        let values = words.map(|(parameter, word)| match parameter.mode {
            Mode::Scalar(Size::Fixed(n)) | Mode::InOut(Size::Fixed(n)) => {
                unsafe { std::slice::from_raw_parts(*word as *const u8, n) }.to_vec()
            }
            Mode::Result(Size::Fixed(n)) => {
                let told = RESULT[..n].to_vec();
                unsafe {
                    std::ptr::copy_nonoverlapping(told.as_ptr(), *word as *mut u8, n);
                }
                told
            }
            _ => word.to_le_bytes().to_vec(),
        });
        let values = values.collect();
        SEEN.set(Some((call, values)));
    }
}

/// What results consist of.
const RESULT: [u8; 16] = [
    0x11, 0x22, 0x33, 0x41, 5, 6, 7, 0x40, 9, 10, 11, 12, 13, 14, 15, 0x3f,
];

type Seen = (Translated, Vec<Vec<u8>>);

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// An argument, and what has to arrive of it.
trait Sample {
    fn sample(parameter: &str, number: u32) -> (Self, Vec<u8>)
    where
        Self: Sized;
}

impl Sample for i32 {
    fn sample(_: &str, number: u32) -> (Self, Vec<u8>) {
        let value = -1000 - number.cast_signed();
        (value, i64::from(value).to_le_bytes().to_vec())
    }
}

impl Sample for c_char {
    fn sample(parameter: &str, number: u32) -> (Self, Vec<u8>) {
        let letters = match parameter {
            "uplo" | "diag" => b"Uu",
            "side" => b"Rr",
            _ => b"Tt",
        };
        let letter = letters[number as usize % 2].cast_signed();
        (letter, 1u64.to_le_bytes().to_vec())
    }
}

impl Sample for f32 {
    fn sample(_: &str, number: u32) -> (Self, Vec<u8>) {
        let value = 1.25 + number as f32;
        (value, value.to_le_bytes().to_vec())
    }
}

impl Sample for f64 {
    fn sample(_: &str, number: u32) -> (Self, Vec<u8>) {
        let value = -2.75 - f64::from(number);
        (value, value.to_le_bytes().to_vec())
    }
}

impl Sample for cuComplex {
    fn sample(parameter: &str, number: u32) -> (Self, Vec<u8>) {
        let ((x, mut bytes), (y, more)) = (
            f32::sample(parameter, number),
            f32::sample(parameter, number + 100),
        );
        bytes.extend(more);
        (Self { x, y }, bytes)
    }
}

impl Sample for cuDoubleComplex {
    fn sample(parameter: &str, number: u32) -> (Self, Vec<u8>) {
        let ((x, mut bytes), (y, more)) = (
            f64::sample(parameter, number),
            f64::sample(parameter, number + 100),
        );
        bytes.extend(more);
        (Self { x, y }, bytes)
    }
}

impl Sample for *mut c_void {
    fn sample(_: &str, number: u32) -> (Self, Vec<u8>) {
        // On the host where the second version reads there, and the address itself where it does not.
        let memory: Vec<u8> = (0..48).map(|i| i + number as u8).collect();
        (memory.clone().leak().as_mut_ptr().cast(), memory)
    }
}

/// What a function returned, as bytes.
trait Told {
    fn told(&self) -> Vec<u8>;
}

macro_rules! told { ($($t:ty)*) => { $(
    impl Told for $t {
        fn told(&self) -> Vec<u8> {
            self.to_le_bytes().to_vec()
        }
    }
)* } }
told! { i32 f32 f64 }

impl Told for () {
    fn told(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Told for cuComplex {
    fn told(&self) -> Vec<u8> {
        [self.x.told(), self.y.told()].concat()
    }
}

impl Told for cuDoubleComplex {
    fn told(&self) -> Vec<u8> {
        [self.x.told(), self.y.told()].concat()
    }
}

macro_rules! rows { ($(group $group:literal { $($class:ident [$($major:tt)*] fn $name:ident($($p:ident: $mode:ident $(($($argument:tt)+))?),*);)* })*) => {
    $($( row! { $class $name($($p: $mode $(($($argument)+))?),*) } )*)*

    fn all() -> Vec<fn() -> &'static str> {
        let mut all: Vec<fn() -> &'static str> = Vec::new();
        $($( test! { all $class $name($($p: $mode),*) } )*)*
        all
    }
} }
macro_rules! row {
    (legacy $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy $($row)* } };
    (legacy_host $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_host $($row)* } };
    (legacy_i32 $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_i32 $($row)* } };
    (legacy_f32 $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_f32 $($row)* } };
    (legacy_f64 $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_f64 $($row)* } };
    (legacy_c32 $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_c32 $($row)* } };
    (legacy_c64 $($row:tt)*) => { gvirtus_frontend_link::export_function! { crate legacy_c64 $($row)* } };
    ($($other:tt)*) => {};
}
macro_rules! test {
    ($all:ident legacy $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_host $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_i32 $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_f32 $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_f64 $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_c32 $($row:tt)*) => { test! { @ $all $($row)* } };
    ($all:ident legacy_c64 $($row:tt)*) => { test! { @ $all $($row)* } };
    (@ $all:ident $name:ident($($p:ident: $mode:ident),*)) => {
        $all.push(|| {
            let mut number = 0;
            $(
                number += 1;
                let $p = <gvirtus_wire::library_type!($mode) as Sample>::sample(stringify!($p), number);
            )*
            let _ = number;
            let pointers = [$(pointer(&$p.0)),*];
            let told = unsafe { $name($($p.0),*) }.told();
            check(stringify!($name), &[$($p.1),*], &pointers, &told);
            stringify!($name)
        });
    };
    ($($other:tt)*) => {};
}

/// The address that a pointer is.
fn pointer<T: std::any::Any + Copy>(value: &T) -> Option<u64> {
    let any: &dyn std::any::Any = value;
    any.downcast_ref::<*mut c_void>().map(|at| *at as u64)
}

fn check(name: &str, passed: &[Vec<u8>], pointers: &[Option<u64>], told: &[u8]) {
    let (call, values) = SEEN
        .take()
        .unwrap_or_else(|| panic!("{name} is not called"));
    assert_eq!(call.function.name, format!("{name}_v2"));
    assert_eq!(values.len(), call.function.parameters.len(), "{name}");
    assert_eq!(values[0], [0; 8], "{name}: the handle comes later");
    let mut result = None;
    for (i, parameter) in call.function.parameters.iter().enumerate().skip(1) {
        let what = format!("{name} {}", parameter.name);
        let at_same = |other: &str| {
            let mut parameters = call.function.parameters.iter();
            &values[parameters.position(|p| p.name == other).unwrap()]
        };
        match (parameter.mode, passed.get(i - 1)) {
            (Mode::Scalar(Size::Fixed(n)) | Mode::InOut(Size::Fixed(n)), Some(passed)) => {
                assert_eq!(values[i], passed[..n], "{what}");
            }
            (Mode::I32, Some(passed)) => assert_eq!(&values[i], passed, "{what}"),
            (Mode::Device, Some(_)) => {
                let address = pointers[i - 1].unwrap();
                assert_eq!(values[i], address.to_le_bytes(), "{what}");
            }
            (Mode::Result(_), None) => result = Some(values[i].clone()),
            (_, None) if parameter.name == "C" => assert_eq!(&values[i], at_same("B"), "{what}"),
            (_, None) if parameter.name == "ldc" => {
                assert_eq!(&values[i], at_same("ldb"), "{what}");
            }
            (mode, _) => panic!("{what}: {mode:?}"),
        }
    }
    assert_eq!(
        result.unwrap_or_default(),
        told,
        "{name} returns its result"
    );
}

gvirtus_wire::cublas_api!(rows);

#[test]
fn every_function_before_handles() {
    let names: Vec<&str> = all().into_iter().map(|function| function()).collect();
    assert!(names.len() > 140);
    property::record("cublas_legacy", names);
}

/// A letter that stands for nothing is the parameter that the program gets told, counted from 1.
#[test]
fn letters() {
    use gvirtus_wire::api::library::CUBLAS;
    let gemm = CUBLAS.iter().find(|f| f.name == "cublasSgemm").unwrap();
    let with = |a: u8, b: u8| {
        let mut arguments = vec![0; gemm.parameters.len()];
        (arguments[0], arguments[1]) = (u64::from(a), u64::from(b));
        translate(gemm, &arguments, 0).map(|call| (call.arguments[1], call.arguments[2]))
    };
    assert_eq!(with(b'N', b't'), Ok((0, 1)));
    assert_eq!(with(b'c', b'C'), Ok((2, 2)));
    assert_eq!(with(b'X', b'N'), Err(1));
    assert_eq!(with(b'N', 0), Err(2));
}
