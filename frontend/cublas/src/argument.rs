//! What cuBLAS refuses at once, as far as its documentation says so for every function alike: the rest is refused by the box's library, and told later.

use gvirtus_wire::api::library::{Function, Mode};

/// Whether an argument is such that cuBLAS returns `CUBLAS_STATUS_INVALID_VALUE`.
#[must_use]
pub fn refused(function: &Function, arguments: &[u64]) -> bool {
    wrong(function, arguments).is_some()
}

/// The place of the first argument that cuBLAS refuses so.
#[must_use]
pub fn wrong(function: &Function, arguments: &[u64]) -> Option<usize> {
    // Who waits for the library's answer gets its own, with what it says in `info`.
    if function.class == "Sync" {
        return None;
    }
    let by_value = |mode: Mode| matches!(mode, Mode::I32 | Mode::I64);
    let number = |name: &str| {
        function
            .parameters
            .iter()
            .zip(arguments)
            .find(|(p, _)| p.name == name && by_value(p.mode))
            .map(|(_, a)| a.cast_signed())
    };
    // Functions on vectors return success for nothing to do.
    let vectors_only =
        number("m").is_none() && number("uplo").is_none() && number("trans").is_none();
    // Some functions also take a vector of one element for any length.
    let any_step = vectors_only || function.name.contains("dgmm");
    let product = function.name.contains("gemm") || function.name.contains("Gemm");
    // The shapes of the matrix products follow from the transpositions.
    let turned = |name: &str, plain: &str, other: &str| {
        number(name).and_then(|t| number(if t == 0 || t == 3 { plain } else { other }))
    };
    let narrow =
        |leading: i64, rows: Option<i64>| product && rows.is_some_and(|rows| leading < rows.max(1));
    function
        .parameters
        .iter()
        .zip(arguments)
        .position(|(parameter, argument)| {
            let value = argument.cast_signed();
            by_value(parameter.mode)
                && match parameter.name {
                    "m" | "n" | "k" | "kl" | "ku" | "batchCount" | "batchSize" | "group_count"
                    | "nrhs" => !vectors_only && value < 0,
                    "incx" | "incy" => !any_step && value == 0,
                    "uplo" => !(0..=2).contains(&value),
                    "diag" | "side" => !(0..=1).contains(&value),
                    "trans" | "transa" | "transb" => !(0..=3).contains(&value),
                    "lda" => narrow(value, turned("transa", "m", "k")),
                    "ldb" => narrow(value, turned("transb", "k", "n")),
                    "ldc" => narrow(value, number("m")),
                    _ => false,
                }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvirtus_wire::api::library::CUBLAS;

    fn sgemm(change: &[(&str, i64)]) -> bool {
        let function = CUBLAS.iter().find(|f| f.name == "cublasSgemm_v2").unwrap();
        let arguments: Vec<u64> = function
            .parameters
            .iter()
            .map(|p| {
                let given = change.iter().find(|(name, _)| *name == p.name);
                let usual = match p.name {
                    "transa" | "transb" => 0,
                    _ => 8,
                };
                given.map_or(usual, |(_, value)| *value).cast_unsigned()
            })
            .collect();
        refused(function, &arguments)
    }

    #[test]
    fn products_are_checked() {
        assert!(!sgemm(&[]));
        assert!(!sgemm(&[("m", 0)]));
        assert!(sgemm(&[("k", -1)]));
        assert!(sgemm(&[("transa", 7)]));
        assert!(sgemm(&[("lda", 7)]));
        assert!(!sgemm(&[("lda", 7), ("transa", 1), ("k", 7)]));
        assert!(sgemm(&[("ldc", 0), ("m", 0)]));
    }
}
