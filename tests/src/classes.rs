//! What a function's class promises: `local` and `async` ones wait for nobody.
//!
//! The classes are the tables' word, and STATUS.md repeats it; here programs are held to it. What one call in many waits for, by its arguments or the first time, is listed with its reason. What a
//! single fixture does to a function that otherwise never waits stands in that fixture: `// waits: PATTERN …`.

use serde_json::Value;
use xtask::fixtures::Fixture;
use xtask::import_headers::fits;

use crate::program::Stats;

/// Why functions may wait all the same, and which; `*` stands for anything.
const REASONS: &[(&str, &[&str])] = &[
    (
        "memory that the program may change, or has to find changed, as soon as the call returns",
        &["cudaMemcpy*Async*", "cuMemcpy*Async*"],
    ),
    (
        "memory of the box comes in runs that serve many calls, and each run is asked for",
        &["cudaMalloc*", "cuMemAlloc*", "cu*HostGetDevicePointer*"],
    ),
    (
        "a number that the program finds in its own memory",
        &["cublas*dot*", "cublasI*", "cublas*nrm2*", "cublas*asum*"],
    ),
    (
        "the first call learns which library the box has",
        &[
            "cublasCreate_v2",
            "cublasInit",
            "cublasLtCreate",
            "cublasXtDeviceSelect",
            "cudnnCreate",
            "cufftGetVersion",
            "curandGetVersion",
            "nvmlInit*",
        ],
    ),
    (
        "whether the library can do it is asked once for each kind of arguments",
        &[
            "cublasLtMatmul",
            "cublasLtMatrixTransform",
            "cublas*Ex",
            "cufftExec*",
            "cufftXtExec*",
            "curandGenerate*",
        ],
    ),
    (
        "which process is meant is known where it runs",
        &["nvmlSystemGetProcessName"],
    ),
    ("the client's own threads", &["(background)"]),
];

/// Functions that waited for a reply though their class says that they do not, as text for messages. Loading modules and asking about functions is not counted.
pub fn broken(stats: &Stats, fixture: &Fixture) -> Vec<String> {
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
    let rows = stats.0["functions"].as_array().into_iter().flatten();
    rows.filter(|row| {
        matches!(
            row["class"].as_str(),
            Some("local" | "async" | "unsupported")
        )
    })
    .filter(|row| number(row, "round_trips") > number(row, "setup_round_trips"))
    .filter(|row| {
        let name = row["name"].as_str().unwrap_or_default();
        let mut reasons = REASONS.iter().flat_map(|(_, patterns)| *patterns);
        !reasons.any(|pattern| fits(pattern, name))
            && !fixture.waits.iter().any(|pattern| fits(pattern, name))
    })
    .map(Value::to_string)
    .collect()
}
