//! What cuBLAS refuses at once, as far as its documentation says so for every function alike: the rest is refused by the box's library, and told later.

use std::sync::LazyLock;

use gvirtus_wire::api::library::{CUBLAS, Function, Mode};
use rustc_hash::FxHashMap;

/// Whether an argument is such that cuBLAS returns `CUBLAS_STATUS_INVALID_VALUE`.
#[must_use]
pub fn refused(function: &Function, arguments: &[u64]) -> bool {
    wrong(function, arguments).is_some()
}

/// The place of the first argument that cuBLAS refuses so.
#[must_use]
pub fn wrong(function: &Function, arguments: &[u64]) -> Option<usize> {
    let checks = &nature(function)?.checks;
    let value = |at: usize| arguments.get(at).map(|argument| argument.cast_signed());
    let refuses = |(at, check): &&(usize, Check)| {
        let Some(value) = value(*at) else {
            return false;
        };
        match *check {
            Check::NotNegative => value < 0,
            Check::NotZero => value == 0,
            Check::UpTo(most) => !(0..=most).contains(&value),
            Check::Leading(rows) => rows
                .number(function, arguments)
                .is_some_and(|rows| value < rows.max(1)),
        }
    };
    checks.iter().find(refuses).map(|(at, _)| *at)
}

/// What is looked at in the arguments of a function, found once.
pub(crate) struct Nature {
    /// The library may lack some of its types or algorithms.
    pub(crate) has_variants: bool,
    /// Places of what tells them apart.
    pub(crate) variants: Box<[usize]>,
    /// In the order of the parameters.
    checks: Box<[(usize, Check)]>,
}

#[derive(Clone, Copy)]
enum Check {
    NotNegative,
    NotZero,
    UpTo(i64),
    Leading(Rows),
}

/// How many rows a matrix has.
#[derive(Clone, Copy)]
enum Rows {
    /// As a parameter says.
    Of(usize),
    /// As one of two says, by a transposition.
    Turned {
        by: usize,
        plain: usize,
        other: usize,
    },
    /// By the rule of the function for a leading dimension; see [`rows`].
    ByRule(&'static str),
}

impl Rows {
    fn number(self, function: &Function, arguments: &[u64]) -> Option<i64> {
        let value = |at: usize| arguments.get(at).map(|argument| argument.cast_signed());
        match self {
            Self::Of(at) => value(at),
            Self::Turned { by, plain, other } => {
                let turned = !matches!(value(by)?, 0 | 3);
                value(if turned { other } else { plain })
            }
            Self::ByRule(leading) => {
                let number = |name: &str| value(place(function, name)?);
                rows(function, leading, &number)
            }
        }
    }
}

/// The place of a parameter that is passed by value.
fn place(function: &Function, name: &str) -> Option<usize> {
    let of_that_name = |p: &gvirtus_wire::api::library::Parameter| {
        p.name == name && matches!(p.mode, Mode::I32 | Mode::I64)
    };
    function.parameters.iter().position(of_that_name)
}

/// A function's nature; none of one that is not cuBLAS's.
pub(crate) fn nature(function: &Function) -> Option<&'static Nature> {
    static ALL: LazyLock<FxHashMap<u32, Nature>> = LazyLock::new(|| {
        let all = CUBLAS
            .iter()
            .map(|function| (function.id(), Nature::of(function)));
        all.collect()
    });
    ALL.get(&function.id())
}

impl Nature {
    fn of(function: &'static Function) -> Self {
        let types = function.parameters.iter().any(|p| p.mode == Mode::Kind);
        let each = function.parameters.iter().enumerate();
        let variants = each
            .filter(|(_, p)| p.mode == Mode::Kind || p.name.starts_with("trans"))
            .map(|(at, _)| at);
        Self {
            // Grouped products take their scalars from the host alone, and the product of bytes is there for few of its arguments.
            has_variants: types
                || function.name.contains("Grouped")
                || function.name.contains("Uint8gemm"),
            variants: variants.collect(),
            checks: Self::checks(function),
        }
    }

    fn checks(function: &'static Function) -> Box<[(usize, Check)]> {
        // Who waits for the library's answer gets its own, with what it says in `info`.
        if function.class == "Sync" {
            return Box::default();
        }
        let there = |name: &str| place(function, name).is_some();
        // As it is in cuBLAS 13: sizes below 0 are nothing to do, and the rest is not looked at.
        let lax = GEMV.contains(&operation(function));
        // Functions on vectors return success for nothing to do.
        let vectors_only = !there("m") && !there("uplo") && !there("trans");
        // Some functions also take a vector of one element for any length.
        let any_step = vectors_only || function.name.contains("dgmm");
        let product = function.name.contains("gemm") || function.name.contains("Gemm");
        // The shapes of the matrix products follow from the transpositions.
        let turned = |by: &str, plain: &str, other: &str| {
            Some(Rows::Turned {
                by: place(function, by)?,
                plain: place(function, plain)?,
                other: place(function, other)?,
            })
        };
        let check = |(at, parameter): (usize, &'static gvirtus_wire::api::library::Parameter)| {
            if !matches!(parameter.mode, Mode::I32 | Mode::I64) {
                return None;
            }
            let check = match parameter.name {
                "m" | "n" | "incx" | "incy" | "trans" if lax => return None,
                "m" | "n" | "k" | "kl" | "ku" | "batchCount" | "batchSize" | "group_count"
                | "nrhs"
                    if !vectors_only =>
                {
                    Check::NotNegative
                }
                "incx" | "incy" if !any_step => Check::NotZero,
                "uplo" => Check::UpTo(2),
                "diag" | "side" => Check::UpTo(1),
                "trans" | "transa" | "transb" => Check::UpTo(3),
                name @ ("lda" | "ldb" | "ldc") => Check::Leading(match (product, name) {
                    (true, "lda") => turned("transa", "m", "k")?,
                    (true, "ldb") => turned("transb", "k", "n")?,
                    (true, _) => Rows::Of(place(function, "m")?),
                    (false, name) => Rows::ByRule(name),
                }),
                _ => return None,
            };
            Some((at, check))
        };
        let each = function.parameters.iter().enumerate();
        each.filter_map(check).collect()
    }
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
