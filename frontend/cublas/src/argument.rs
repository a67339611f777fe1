//! What cuBLAS refuses at once, as far as its documentation says so for every function alike: the rest is refused by the box's library, and told later.

use gvirtus_wire::api::library::{Function, Mode};

/// Whether an argument is such that cuBLAS returns `CUBLAS_STATUS_INVALID_VALUE`.
#[must_use]
pub fn refused(function: &Function, arguments: &[u64]) -> bool {
    // Who waits for the library's answer gets its own, with what it says in `info`.
    if function.class == "Sync" {
        return false;
    }
    let has_scalars_by_value = |mode: Mode| matches!(mode, Mode::I32 | Mode::I64);
    let number = |name: &str| {
        function
            .parameters
            .iter()
            .zip(arguments)
            .find(|(p, _)| p.name == name && has_scalars_by_value(p.mode))
            .map(|(_, a)| a.cast_signed())
    };
    let within = |name: &str, last: i64| number(name).is_none_or(|n| (0..=last).contains(&n));
    let not_negative = |name: &str| number(name).is_none_or(|n| n >= 0);
    // Functions on vectors return success for nothing to do.
    let vectors_only =
        number("m").is_none() && number("uplo").is_none() && number("trans").is_none();
    let dimensions = [
        "m",
        "n",
        "k",
        "kl",
        "ku",
        "batchCount",
        "batchSize",
        "group_count",
        "nrhs",
    ]
    .iter()
    .all(|name| not_negative(name));
    // Some functions also take a vector of one element for any length.
    let steps = function.name.contains("dgmm")
        || ["incx", "incy"].iter().all(|name| number(name) != Some(0));
    !(vectors_only || (dimensions && steps))
        || !within("uplo", 2)
        || !within("diag", 1)
        || !within("side", 1)
        || !["trans", "transa", "transb"]
            .iter()
            .all(|name| within(name, 3))
        || !leading(function, &number)
}

/// Leading dimensions of the matrix products, whose shapes follow from the transpositions.
fn leading(function: &Function, number: &impl Fn(&str) -> Option<i64>) -> bool {
    let at_least = |name: &str, rows: Option<i64>| match (number(name), rows) {
        (Some(leading), Some(rows)) => leading >= rows.max(1),
        _ => true,
    };
    let turned = |name: &str, plain: &str, other: &str| {
        number(name).and_then(|t| number(if t == 0 || t == 3 { plain } else { other }))
    };
    let product = function.name.contains("gemm") || function.name.contains("Gemm");
    !product
        || (at_least("lda", turned("transa", "m", "k"))
            && at_least("ldb", turned("transb", "k", "n"))
            && at_least("ldc", number("m")))
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
