//! FFTW's functions, in double and single precision.

use std::ffi::c_void;

use crate::layout::{Dimension, Spread};
use crate::plan::{Kind, Request, make};

type Address = *mut c_void;

/// Extents of a program's array.
///
/// # Safety
/// `n` is null or has `rank` elements.
unsafe fn numbers(rank: i32, n: Address) -> Option<Vec<i64>> {
    if n.is_null() || !(1..=3).contains(&rank) {
        return None;
    }
    // SAFETY: by this function's contract.
    let number = |i: usize| i64::from(unsafe { n.cast::<i32>().add(i).read_unaligned() });
    Some((0..rank.unsigned_abs() as usize).map(number).collect())
}

/// A plan without gaps.
fn plain(
    kind: Kind,
    double: bool,
    n: Option<Vec<i64>>,
    (input, output): (Address, Address),
) -> Address {
    make(&Request {
        kind,
        double,
        n: n.unwrap_or_default(),
        batch: 1,
        input: None,
        output: None,
        data: (input as u64, output as u64),
    })
}

/// One side of FFTW's advanced interface: data, embedding array, stride, distance.
type Side = (Address, Address, i32, i32);

/// A plan of FFTW's advanced interface.
///
/// # Safety
/// The arrays have `rank` elements, or are null.
unsafe fn many(
    kind: Kind,
    double: bool,
    (rank, n, batch): (i32, Address, i32),
    input: Side,
    output: Side,
) -> Address {
    let spread = |(_, embed, stride, distance): Side| {
        Some(Spread {
            // SAFETY: by this function's contract. Without one it is the array of the transform.
            embed: unsafe { numbers(rank, embed) }.unwrap_or_default(),
            stride: i64::from(stride),
            distance: i64::from(distance),
        })
    };
    make(&Request {
        kind,
        double,
        // SAFETY: by this function's contract.
        n: unsafe { numbers(rank, n) }.unwrap_or_default(),
        batch: i64::from(batch),
        input: spread(input),
        output: spread(output),
        data: (input.0 as u64, output.0 as u64),
    })
}

/// Dimensions of FFTW's guru interface: three numbers each.
///
/// # Safety
/// There are `count`, of 64-bit or 32-bit numbers, or `at` is null.
unsafe fn dimensions<const WIDE: bool>(count: i32, at: Address) -> Option<Vec<Dimension>> {
    if !(0..=3).contains(&count) || at.is_null() && count > 0 {
        return None;
    }
    let number = |i: usize| {
        // SAFETY: by this function's contract.
        unsafe {
            if WIDE {
                at.cast::<i64>().add(i).read_unaligned()
            } else {
                i64::from(at.cast::<i32>().add(i).read_unaligned())
            }
        }
    };
    let dimension = |i: usize| Dimension {
        n: number(3 * i),
        input: number(3 * i + 1),
        output: number(3 * i + 2),
    };
    Some((0..count.unsigned_abs() as usize).map(dimension).collect())
}

/// A plan of FFTW's guru interface, with one dimension of batches.
///
/// # Safety
/// As [`dimensions`].
unsafe fn guru<const WIDE: bool>(
    kind: Kind,
    double: bool,
    (rank, dims): (i32, Address),
    (batch_rank, batch_dims): (i32, Address),
    (input, output): (Address, Address),
) -> Address {
    // SAFETY: by this function's contract.
    let all = unsafe {
        (
            dimensions::<WIDE>(rank, dims),
            dimensions::<WIDE>(batch_rank, batch_dims),
        )
    };
    let (Some(dims), Some(batch)) = all else {
        return std::ptr::null_mut();
    };
    // cuFFTW makes no plan without batches, nor of batches of several dimensions.
    let &[batch] = batch.as_slice() else {
        return std::ptr::null_mut();
    };
    let n: Vec<i64> = dims.iter().map(|d| d.n).collect();
    let strides = |which: fn(&Dimension) -> i64| dims.iter().map(which).collect::<Vec<_>>();
    let (Some(from), Some(to)) = (
        Spread::of_strides(&n, &strides(|d| d.input), batch.input),
        Spread::of_strides(&n, &strides(|d| d.output), batch.output),
    ) else {
        gvirtus_frontend_link::guard::unsupported(
            "cuFFTW: strides that are not those of an array in an array",
        );
        return std::ptr::null_mut();
    };
    make(&Request {
        kind,
        double,
        n,
        batch: batch.n,
        input: Some(from),
        output: Some(to),
        data: (input as u64, output as u64),
    })
}

macro_rules! precision { ($module:ident $double:literal $align:literal:
    $dft:ident $dft_1d:ident $dft_2d:ident $dft_3d:ident $r2c:ident $r2c_1d:ident $r2c_2d:ident $r2c_3d:ident $c2r:ident $c2r_1d:ident $c2r_2d:ident $c2r_3d:ident
    $many:ident $many_r2c:ident $many_c2r:ident $guru:ident $guru_r2c:ident $guru_c2r:ident $guru64:ident $guru64_r2c:ident $guru64_c2r:ident
    $execute:ident $execute_dft:ident $execute_r2c:ident $execute_c2r:ident $destroy:ident
    $malloc:ident $free:ident $export:ident $import:ident $print:ident $limit:ident $cost:ident $flops:ident $cleanup:ident
) => {
    /// The functions of one precision: <https://docs.nvidia.com/cuda/cufft/#fftw-interface-to-cufft>.
    ///
    /// # Safety
    /// Arrays of numbers have as many elements as the rank says, or are null; data are there when a plan is executed.
    #[allow(clippy::too_many_arguments, clippy::missing_safety_doc, missing_docs, reason = "FFTW's; the module says it")]
    pub mod $module {
        use super::*;
        use crate::plan::{destroy, execute};

        const DOUBLE: bool = $double;

        #[must_use]
        pub fn $dft_1d(n: i32, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            plain(Kind::Complex(sign), DOUBLE, Some(vec![n.into()]), (from, to))
        }
        #[must_use]
        pub fn $dft_2d(n0: i32, n1: i32, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            plain(Kind::Complex(sign), DOUBLE, Some(vec![n0.into(), n1.into()]), (from, to))
        }
        #[must_use]
        pub fn $dft_3d(n0: i32, n1: i32, n2: i32, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            plain(Kind::Complex(sign), DOUBLE, Some(vec![n0.into(), n1.into(), n2.into()]), (from, to))
        }
        pub unsafe fn $dft(rank: i32, n: Address, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            plain(Kind::Complex(sign), DOUBLE, unsafe { numbers(rank, n) }, (from, to))
        }
        precision! { @real Forward $r2c $r2c_1d $r2c_2d $r2c_3d $many_r2c $guru_r2c $guru64_r2c }
        precision! { @real Backward $c2r $c2r_1d $c2r_2d $c2r_3d $many_c2r $guru_c2r $guru64_c2r }

        pub unsafe fn $many(
            rank: i32, n: Address, batch: i32,
            from: Address, inembed: Address, istride: i32, idist: i32,
            to: Address, onembed: Address, ostride: i32, odist: i32,
            sign: i32, _flags: i32,
        ) -> Address {
            // SAFETY: by this function's contract.
            unsafe { many(Kind::Complex(sign), DOUBLE, (rank, n, batch), (from, inembed, istride, idist), (to, onembed, ostride, odist)) }
        }
        pub unsafe fn $guru(rank: i32, dims: Address, batch_rank: i32, batch_dims: Address, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            unsafe { guru::<false>(Kind::Complex(sign), DOUBLE, (rank, dims), (batch_rank, batch_dims), (from, to)) }
        }
        pub unsafe fn $guru64(rank: i32, dims: Address, batch_rank: i32, batch_dims: Address, from: Address, to: Address, sign: i32, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            unsafe { guru::<true>(Kind::Complex(sign), DOUBLE, (rank, dims), (batch_rank, batch_dims), (from, to)) }
        }

        pub fn $execute(plan: Address) {
            execute(plan, None);
        }
        pub fn $execute_dft(plan: Address, from: Address, to: Address) {
            execute(plan, Some((from, to)));
        }
        pub fn $execute_r2c(plan: Address, from: Address, to: Address) {
            execute(plan, Some((from, to)));
        }
        pub fn $execute_c2r(plan: Address, from: Address, to: Address) {
            execute(plan, Some((from, to)));
        }
        pub fn $destroy(plan: Address) {
            destroy(plan);
        }

        /// Memory of the host, aligned for a complex number.
        #[must_use]
        pub fn $malloc(bytes: i64) -> Address {
            let mut at = std::ptr::null_mut();
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            // SAFETY: the address is that of a local, and the alignment a power of two.
            match unsafe { libc::posix_memalign(&raw mut at, $align, bytes) } {
                0 => at,
                _ => std::ptr::null_mut(),
            }
        }
        pub unsafe fn $free(at: Address) {
            // SAFETY: null, or memory of the function above.
            unsafe { libc::free(at) }
        }

        /// There is no wisdom to keep.
        pub fn $export(_file: Address) {}
        #[must_use]
        pub fn $import(_file: Address) -> i32 {
            0
        }
        pub fn $print(_plan: Address) {}
        pub fn $limit(_seconds: f64) {}
        /// The same for every plan, as cuFFTW says.
        #[must_use]
        pub fn $cost(_plan: Address) -> f64 {
            1.0
        }
        pub unsafe fn $flops(_plan: Address, add: Address, multiply: Address, fused: Address) {
            if [add, multiply, fused].iter().any(|at| at.is_null()) {
                return;
            }
            for at in [add, multiply, fused] {
                // SAFETY: not null; the program has room for a number there.
                unsafe { at.cast::<f64>().write_unaligned(1.0) };
            }
        }
        pub fn $cleanup() {}
    }
};
(@real $kind:ident $plan:ident $plan_1d:ident $plan_2d:ident $plan_3d:ident $many:ident $guru:ident $guru64:ident) => {
        #[must_use]
        pub fn $plan_1d(n: i32, from: Address, to: Address, _flags: i32) -> Address {
            plain(Kind::$kind, DOUBLE, Some(vec![n.into()]), (from, to))
        }
        #[must_use]
        pub fn $plan_2d(n0: i32, n1: i32, from: Address, to: Address, _flags: i32) -> Address {
            plain(Kind::$kind, DOUBLE, Some(vec![n0.into(), n1.into()]), (from, to))
        }
        #[must_use]
        pub fn $plan_3d(n0: i32, n1: i32, n2: i32, from: Address, to: Address, _flags: i32) -> Address {
            plain(Kind::$kind, DOUBLE, Some(vec![n0.into(), n1.into(), n2.into()]), (from, to))
        }
        pub unsafe fn $plan(rank: i32, n: Address, from: Address, to: Address, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            plain(Kind::$kind, DOUBLE, unsafe { numbers(rank, n) }, (from, to))
        }
        pub unsafe fn $many(
            rank: i32, n: Address, batch: i32,
            from: Address, inembed: Address, istride: i32, idist: i32,
            to: Address, onembed: Address, ostride: i32, odist: i32,
            _flags: i32,
        ) -> Address {
            // SAFETY: by this function's contract.
            unsafe { many(Kind::$kind, DOUBLE, (rank, n, batch), (from, inembed, istride, idist), (to, onembed, ostride, odist)) }
        }
        pub unsafe fn $guru(rank: i32, dims: Address, batch_rank: i32, batch_dims: Address, from: Address, to: Address, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            unsafe { guru::<false>(Kind::$kind, DOUBLE, (rank, dims), (batch_rank, batch_dims), (from, to)) }
        }
        pub unsafe fn $guru64(rank: i32, dims: Address, batch_rank: i32, batch_dims: Address, from: Address, to: Address, _flags: i32) -> Address {
            // SAFETY: by this function's contract.
            unsafe { guru::<true>(Kind::$kind, DOUBLE, (rank, dims), (batch_rank, batch_dims), (from, to)) }
        }
} }

precision! { double true 16:
    fftw_plan_dft fftw_plan_dft_1d fftw_plan_dft_2d fftw_plan_dft_3d fftw_plan_dft_r2c fftw_plan_dft_r2c_1d fftw_plan_dft_r2c_2d fftw_plan_dft_r2c_3d
    fftw_plan_dft_c2r fftw_plan_dft_c2r_1d fftw_plan_dft_c2r_2d fftw_plan_dft_c2r_3d fftw_plan_many_dft fftw_plan_many_dft_r2c fftw_plan_many_dft_c2r
    fftw_plan_guru_dft fftw_plan_guru_dft_r2c fftw_plan_guru_dft_c2r fftw_plan_guru64_dft fftw_plan_guru64_dft_r2c fftw_plan_guru64_dft_c2r
    fftw_execute fftw_execute_dft fftw_execute_dft_r2c fftw_execute_dft_c2r fftw_destroy_plan
    fftw_malloc fftw_free fftw_export_wisdom_to_file fftw_import_wisdom_from_file fftw_print_plan fftw_set_timelimit fftw_cost fftw_flops fftw_cleanup
}
precision! { single false 8:
    fftwf_plan_dft fftwf_plan_dft_1d fftwf_plan_dft_2d fftwf_plan_dft_3d fftwf_plan_dft_r2c fftwf_plan_dft_r2c_1d fftwf_plan_dft_r2c_2d fftwf_plan_dft_r2c_3d
    fftwf_plan_dft_c2r fftwf_plan_dft_c2r_1d fftwf_plan_dft_c2r_2d fftwf_plan_dft_c2r_3d fftwf_plan_many_dft fftwf_plan_many_dft_r2c fftwf_plan_many_dft_c2r
    fftwf_plan_guru_dft fftwf_plan_guru_dft_r2c fftwf_plan_guru_dft_c2r fftwf_plan_guru64_dft fftwf_plan_guru64_dft_r2c fftwf_plan_guru64_dft_c2r
    fftwf_execute fftwf_execute_dft fftwf_execute_dft_r2c fftwf_execute_dft_c2r fftwf_destroy_plan
    fftwf_malloc fftwf_free fftwf_export_wisdom_to_file fftwf_import_wisdom_from_file fftwf_print_plan fftwf_set_timelimit fftwf_cost fftwf_flops fftwf_cleanup
}
