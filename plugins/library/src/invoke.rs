//! A call of a C function whose parameters are known at run time only.
//!
//! Both C calling conventions that this runs on (System V x86-64, AAPCS64) pass integers and pointers in one sequence of registers and then of 8-byte slots, and the first
//! eight floating-point values in another: so a function may be called with all its integers as 64-bit words, and eight floating-point registers filled.

use std::ffi::c_void;

use gvirtus_wire::api::library::{Mode, Parameter};

/// The most integers and pointers of a function: as many as [`arities`](crate::arities) goes to.
const MOST: usize = 42;
/// The most floating-point values: as many as there are registers for.
const MOST_FLOATS: usize = 8;

/// Calls a function that returns an `int`. `None` if it has more parameters than are provided for.
///
/// # Safety
/// `address` is that of a C function with these parameters, and the words are what it takes: values, floating-point values as their bits, addresses of live memory.
#[must_use]
pub unsafe fn invoke(
    address: *const c_void,
    parameters: &[Parameter],
    words: &[u64],
) -> Option<i32> {
    let mut registers = Registers::default();
    for (parameter, &word) in parameters.iter().zip(words) {
        let fits = match parameter.mode {
            Mode::F32 | Mode::F64 => registers.float(word),
            _ => registers.integer(word),
        };
        if !fits {
            return None;
        }
    }
    // SAFETY: by this function's contract.
    unsafe { registers.call(address) }
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            integers: [0; MOST],
            count: 0,
            floats: [0.0; MOST_FLOATS],
            float: 0,
        }
    }
}

/// The arguments of a call as the calling convention sorts them.
pub(crate) struct Registers {
    integers: [u64; MOST],
    count: usize,
    floats: [f64; MOST_FLOATS],
    float: usize,
}

impl Registers {
    /// None at all.
    pub(crate) fn clear(&mut self) {
        (self.count, self.float) = (0, 0);
    }

    /// Whether there is room for so many of either kind.
    pub(crate) fn fit(integers: usize, floats: usize) -> bool {
        integers <= MOST && floats <= MOST_FLOATS
    }

    /// How many integers and pointers there are by now.
    #[inline]
    pub(crate) fn integers(&self) -> usize {
        self.count
    }

    /// Another word in place of an integer.
    #[inline]
    pub(crate) fn set(&mut self, place: usize, word: u64) {
        if let Some(integer) = self.integers.get_mut(place) {
            *integer = word;
        }
    }

    /// The next integer or pointer; false if there is no room for it.
    #[inline]
    pub(crate) fn integer(&mut self, word: u64) -> bool {
        let place = self.integers.get_mut(self.count);
        self.count += 1;
        place.map(|place| *place = word).is_some()
    }

    /// The next floating-point value by its bits: a `float` is the low half of its register.
    #[inline]
    pub(crate) fn float(&mut self, bits: u64) -> bool {
        let place = self.floats.get_mut(self.float);
        self.float += 1;
        place.map(|place| *place = f64::from_bits(bits)).is_some()
    }

    /// Calls a function that returns an `int`.
    ///
    /// # Safety
    /// As [`invoke`].
    #[inline]
    pub(crate) unsafe fn call(&self, address: *const c_void) -> Option<i32> {
        let integers = self.integers.get(..self.count)?;
        // SAFETY: by this function's contract, and the module's reasoning.
        unsafe { call(address, integers, self.floats) }
    }
}

/// Invokes a macro with lists of names behind what it is given: none, one, and so on to as many as functions of the libraries have integers and pointers.
#[doc(hidden)]
#[macro_export]
macro_rules! arities {
    ($callback:ident { $($head:tt)* }) => {
        $crate::arities! { @next $callback { $($head)* () } ()
            a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19 a20 a21 a22 a23 a24 a25 a26 a27 a28 a29 a30 a31 a32 a33 a34 a35 a36 a37 a38 a39 a40 a41
        }
    };
    (@next $callback:ident { $($lists:tt)* } ($($name:ident)*) $next:ident $($rest:ident)*) => {
        $crate::arities! { @next $callback { $($lists)* ($($name)* $next) } ($($name)* $next) $($rest)* }
    };
    (@next $callback:ident { $($lists:tt)* } ($($name:ident)*)) => {
        $callback! { $($lists)* }
    };
}

macro_rules! calls { ($address:ident $integers:ident $f:ident: $(($($i:ident)*))*) => {
    match *$integers {
        $([$($i),*] => {
            // SAFETY: by the function's contract.
            let function: extern "C" fn($(calls!(@word $i),)* f64, f64, f64, f64, f64, f64, f64, f64) -> i32 = unsafe { std::mem::transmute($address) };
            Some(function($($i,)* $f[0], $f[1], $f[2], $f[3], $f[4], $f[5], $f[6], $f[7]))
        })*
        _ => None,
    }
};
(@word $i:ident) => { u64 } }

/// # Safety
/// As [`invoke`].
unsafe fn call(address: *const c_void, integers: &[u64], f: [f64; MOST_FLOATS]) -> Option<i32> {
    crate::arities!(calls { address integers f: })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn many(
        a: i32,
        x: f32,
        b: u64,
        y: f64,
        c: i32,
        d: i32,
        e: i64,
        f: i32,
        g: u8,
        h: i32,
    ) -> i32 {
        assert_eq!((a, b, c, d, e, f, g, h), (-1, u64::MAX, 3, 4, -5, 6, 7, -8));
        assert_eq!((x, y), (1.5, -2.25));
        42
    }

    #[test]
    fn integers_and_floats_arrive() {
        let modes = [
            Mode::I32,
            Mode::F32,
            Mode::Device,
            Mode::F64,
            Mode::I32,
            Mode::I32,
            Mode::I64,
            Mode::I32,
            Mode::I32,
            Mode::I32,
        ];
        let parameters = modes.map(|mode| Parameter { name: "p", mode });
        let words = [
            (-1i64).cast_unsigned(),
            u64::from(1.5f32.to_bits()),
            u64::MAX,
            (-2.25f64).to_bits(),
            3,
            4,
            (-5i64).cast_unsigned(),
            6,
            7,
            (-8i64).cast_unsigned(),
        ];
        // SAFETY: the function has these parameters.
        let result = unsafe { invoke(many as *const c_void, &parameters, &words) };
        assert_eq!(result, Some(42));
    }
}
