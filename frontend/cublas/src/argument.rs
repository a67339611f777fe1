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
    // As it is in cuBLAS 13: sizes below 0 are nothing to do, and the rest is not looked at.
    let lax = GEMV.contains(&operation(function));
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
    let narrow = |name: &str, leading: i64| {
        let rows = match (product, name) {
            (true, "lda") => turned("transa", "m", "k"),
            (true, "ldb") => turned("transb", "k", "n"),
            (true, _) => number("m"),
            (false, _) => rows(function, name, &number),
        };
        rows.is_some_and(|rows| leading < rows.max(1))
    };
    function
        .parameters
        .iter()
        .zip(arguments)
        .position(|(parameter, argument)| {
            let value = argument.cast_signed();
            by_value(parameter.mode)
                && match parameter.name {
                    "m" | "n" | "incx" | "incy" | "trans" if lax => false,
                    "m" | "n" | "k" | "kl" | "ku" | "batchCount" | "batchSize" | "group_count"
                    | "nrhs" => !vectors_only && value < 0,
                    "incx" | "incy" => !any_step && value == 0,
                    "uplo" => !(0..=2).contains(&value),
                    "diag" | "side" => !(0..=1).contains(&value),
                    "trans" | "transa" | "transb" => !(0..=3).contains(&value),
                    "lda" | "ldb" | "ldc" => narrow(parameter.name, value),
                    _ => false,
                }
        })
}

/// Products of a matrix and a vector.
const GEMV: [&str; 3] = ["gemv", "gemvBatched", "gemvStridedBatched"];

/// What a function does: its name without the type and the version.
pub(crate) fn operation(function: &Function) -> &str {
    let name = function.name.strip_prefix("cublas").unwrap_or_default();
    let name = name.get(1..).unwrap_or_default();
    let name = name.strip_suffix("_64").unwrap_or(name);
    name.strip_suffix("_v2").unwrap_or(name)
}

/// How many rows the matrix with a leading dimension has, of functions that are no products of general matrices; `None` if it does not matter.
fn rows(function: &Function, leading: &str, number: &impl Fn(&str) -> Option<i64>) -> Option<i64> {
    let (m, n, k) = (number("m"), number("n"), number("k"));
    let square = || match number("side") {
        Some(0) => m,
        _ => n,
    };
    let plain = |name: &str| matches!(number(name), Some(0 | 3));
    match (operation(function), leading) {
        // Nothing to do comes first.
        (name, _) if GEMV.contains(&name) && (m <= Some(0) || n <= Some(0)) => None,
        ("symv" | "hemv", _) if n == Some(0) => None,
        ("gemv" | "gemvBatched" | "gemvStridedBatched" | "ger" | "geru" | "gerc" | "dgmm", _) => m,
        ("gbmv", _) => Some(number("kl")?.checked_add(number("ku")?)?.checked_add(1)?),
        ("symv" | "hemv" | "syr" | "her" | "syr2" | "her2" | "trmv" | "trsv", _) => n,
        ("sbmv" | "hbmv" | "tbmv" | "tbsv", _) => k?.checked_add(1),
        ("symm" | "hemm" | "trmm" | "trsm" | "trsmBatched", "lda") => square(),
        ("symm" | "hemm" | "trmm" | "trsm" | "trsmBatched", _) => m,
        ("syrk" | "herk" | "syr2k" | "her2k" | "syrkx" | "herkx", "lda" | "ldb") => {
            if plain("trans") { n } else { k }
        }
        ("syrk" | "herk" | "syr2k" | "her2k" | "syrkx" | "herkx", _) => n,
        ("geam", "lda") => {
            if plain("transa") {
                m
            } else {
                n
            }
        }
        ("geam", "ldb") => {
            if plain("transb") {
                m
            } else {
                n
            }
        }
        ("geam", _) => m,
        _ => None,
    }
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

    /// The smallest leading dimensions are taken, and those below refused, where matrices are not general.
    #[test]
    fn leading_dimensions() {
        let sizes = [("m", 6i64), ("n", 9), ("k", 12), ("kl", 2), ("ku", 3)];
        let refused_at = |name: &str, change: &[(&str, i64)]| {
            let function = CUBLAS.iter().find(|f| f.name == name).unwrap();
            let arguments = function.parameters.iter().map(|p| {
                let given = change
                    .iter()
                    .chain(&sizes)
                    .find(|(name, _)| *name == p.name);
                let usual =
                    i64::from(p.name.starts_with("inc")) + 64 * i64::from(p.name.starts_with("ld"));
                given.map_or(usual, |(_, value)| *value).cast_unsigned()
            });
            wrong(function, &arguments.collect::<Vec<u64>>())
        };
        for (name, leading, with, smallest) in [
            ("cublasSgemv_v2", "lda", &[("trans", 1)][..], 6),
            ("cublasDgbmv_v2", "lda", &[], 6),
            ("cublasCgerc_v2", "lda", &[], 6),
            ("cublasCher2_v2", "lda", &[], 9),
            ("cublasStbsv_v2", "lda", &[], 13),
            ("cublasZhemm_v2", "lda", &[("side", 1)], 9),
            ("cublasZhemm_v2", "ldb", &[("side", 1)], 6),
            ("cublasSsyr2k_v2", "ldb", &[("trans", 1)], 12),
            ("cublasSsyrkx", "ldc", &[("trans", 1)], 9),
            ("cublasStrmm_v2_64", "ldc", &[], 6),
            ("cublasStrsmBatched", "lda", &[("side", 1)], 9),
            ("cublasDgeam", "ldb", &[("transb", 2)], 9),
            ("cublasDdgmm", "lda", &[], 6),
            // Nothing to do, and a matrix for it.
            ("cublasSsyrk_v2", "lda", &[("n", 0), ("k", 0)], 1),
            ("cublasSgemv_v2", "lda", &[("n", 0)], 0),
            (
                "cublasSgemv_v2",
                "lda",
                &[("m", -1), ("trans", 9), ("incx", 0)],
                0,
            ),
            ("cublasChemv_v2", "lda", &[("n", 0)], 0),
        ] {
            let at = |value: i64| refused_at(name, &[with, &[(leading, value)]].concat());
            assert_eq!(at(smallest), None, "{name} {leading}");
            if smallest > 0 {
                let function = CUBLAS.iter().find(|f| f.name == name).unwrap();
                let place = function.parameters.iter().position(|p| p.name == leading);
                assert_eq!(at(smallest - 1), place, "{name} {leading}");
            }
        }
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
