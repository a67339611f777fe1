//! What the calls of a program's step cost on the client, in instructions: times vary from machine to machine and run to run, these counts hardly do.
//!
//! `gvirtus-bench steps` runs under valgrind against the CPU device, and what happens inside one API function is counted, on the thread that calls it. The libraries are those
//! that are shipped (release), and the transport is `shm`, where counts are nearly the same in every run: over sockets, threads meet at locks more often. The slope between a short and a long run
//! leaves out what happens once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::home::Profile;
use crate::{demo, sh};

/// Steps of the short and the long run; each makes [`CALLS`] of every call.
const STEPS: (u32, u32) = (2, 6);
/// Runs of each, of which the cheapest counts: what threads do to one another only adds, and short runs are often free of it. As many as it takes to agree with the record.
const REPEATS: std::ops::RangeInclusive<usize> = 2..=6;
const CALLS: u32 = 100;
/// The functions, by the names that programs link to.
const FUNCTIONS: &[&str] = &[
    "cuLaunchKernel",
    "cuEventRecord",
    "cuMemsetD8Async",
    "cuMemcpyHtoDAsync_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
];
/// By how much a count may exceed the record, in percent: processors choose among variants of `memcpy`, and threads meet at locks.
const TOLERANCE: f64 = 5.0;

/// `tests/instructions.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Instructions per call.
    functions: BTreeMap<String, f64>,
}

fn record_file() -> PathBuf {
    sh::root().join("tests/instructions.json")
}

/// Whether there is a valgrind.
#[must_use]
pub fn possible() -> bool {
    sh::which("valgrind").is_some()
}

/// Counts, prints, and fails if a function costs more than its record says; writes the record anew if asked to. `home` has the backend and the program.
pub fn check(home: &Path, record: bool) -> Result<()> {
    if !possible() {
        bail!("valgrind is not installed");
    }
    let directory = sh::target_dir().join("instructions");
    let libraries = shipped(&directory)?;
    let socket = directory.join("socket");
    let properties = json!({
        "communicator": [{"endpoint": {"protocol": "shm", "path": socket}, "plugins": ["cudart"]}],
        "secure_application": false,
        "device": "cpu",
    });
    let _backend = demo::start_backend(home, &directory, &properties)?;
    let config = directory.join("client.json");
    std::fs::write(&config, properties.to_string())?;

    let expected = if record {
        Record::default()
    } else {
        let text = std::fs::read_to_string(record_file())
            .context("tests/instructions.json; `cargo xtask instructions --record` makes it")?;
        serde_json::from_str(&text).context("tests/instructions.json")?
    };
    let program = home.join("bin/gvirtus-bench");
    let mut counts = BTreeMap::new();
    for function in FUNCTIONS {
        let run = |steps| collected(&program, &libraries, &config, function, steps);
        let count = per_call(function, expected.functions.get(*function), run)?;
        counts.insert((*function).to_owned(), count);
    }
    for (function, count) in &counts {
        println!("{function:<24} {count:>8.1} instructions");
    }
    if record {
        let text = serde_json::to_string_pretty(&Record { functions: counts })?;
        return std::fs::write(record_file(), text + "\n").context("cannot write the record");
    }
    for function in cheaper(&expected, &counts) {
        println!(
            "{function} is cheaper than its record: `cargo xtask instructions --record` holds that"
        );
    }
    let wrong = grown(&expected, &counts);
    if !wrong.is_empty() {
        bail!(
            "{}; if that is meant, run `cargo xtask instructions --record` and say why in the commit",
            wrong.join("; ")
        );
    }
    Ok(())
}

/// Instructions per call: from a short and a long run, of each the cheapest of several.
fn per_call(
    function: &str,
    expected: Option<&f64>,
    mut run: impl FnMut(u32) -> Result<u64>,
) -> Result<f64> {
    let (mut short, mut long) = (u64::MAX, u64::MAX);
    let calls = f64::from((STEPS.1 - STEPS.0) * CALLS);
    for runs in 1..=*REPEATS.end() {
        short = short.min(run(STEPS.0)?);
        long = long.min(run(STEPS.1)?);
        let count = long.saturating_sub(short) as f64 / calls;
        let agrees = expected.is_some_and(|was| (count / was - 1.0).abs() * 100.0 <= TOLERANCE);
        if agrees && runs >= *REPEATS.start() {
            break;
        }
    }
    if long <= short {
        bail!(
            "{function} was not called: {short} instructions in a short run, {long} in a long one"
        );
    }
    Ok(((long - short) as f64 / calls * 10.0).round() / 10.0)
}

/// What has become cheaper.
fn cheaper<'a>(
    record: &'a Record,
    counts: &'a BTreeMap<String, f64>,
) -> impl Iterator<Item = &'a str> {
    counts.iter().filter_map(|(function, count)| {
        let was = record.functions.get(function)?;
        (*count < was * (1.0 - TOLERANCE / 100.0)).then_some(function.as_str())
    })
}

/// What has become more expensive, or cannot be compared.
fn grown(record: &Record, counts: &BTreeMap<String, f64>) -> Vec<String> {
    let mut wrong: Vec<String> = counts
        .iter()
        .filter_map(|(function, count)| match record.functions.get(function) {
            None => Some(format!("{function} is not in the record")),
            Some(was) => {
                let percent = (count / was - 1.0) * 100.0;
                (percent > TOLERANCE).then(|| {
                    format!("{function} takes {count:.1} instructions, the record says {was:.1} ({percent:+.1} %)")
                })
            }
        })
        .collect();
    wrong.extend(
        record
            .functions
            .keys()
            .filter(|function| !counts.contains_key(*function))
            .map(|function| format!("{function} is in the record and not counted")),
    );
    wrong
}

/// Builds the client's libraries as they are shipped and lays out those that a program of the driver API loads; returns their directory.
fn shipped(directory: &Path) -> Result<PathBuf> {
    let mut cargo = sh::cargo();
    cargo.args(["build", "--quiet", "--release"]);
    cargo.args([
        "--package",
        "gvirtus-client",
        "--package",
        "gvirtus-frontend-cuda",
    ]);
    sh::run(&mut cargo)?;
    let built = sh::target_dir().join(Profile::Release.directory());
    let libraries = directory.join("lib");
    sh::install(
        &built.join("libgvirtus.so"),
        &libraries.join("libgvirtus.so"),
    )?;
    sh::install(&built.join("libcuda.so"), &libraries.join("libcuda.so.1"))?;
    Ok(libraries)
}

/// Instructions inside a function over a whole run.
fn collected(
    program: &Path,
    libraries: &Path,
    config: &Path,
    function: &str,
    steps: u32,
) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={function}"))
        .arg(program)
        .args(["steps", &steps.to_string()]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GVIRTUS_") {
            command.env_remove(name);
        }
    }
    let output = command
        .env("LD_LIBRARY_PATH", libraries)
        .env("GVIRTUS_CONFIG", config)
        .output()
        .context("cannot start valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{text}",
            sh::describe(&command),
            output.status
        );
    }
    number(&text).ok_or_else(|| anyhow!("valgrind said no count:\n{text}"))
}

/// The number in `==1234== Collected : 736745`.
fn number(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says() {
        assert_eq!(
            number("==1== Events : Ir\n==1== Collected : 736745\n"),
            Some(736_745)
        );
        assert_eq!(number("==1== Collected : many"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn runs_go_on_until_they_agree_with_the_record() {
        let measure = |expected: Option<&f64>, noise: &[u64]| {
            let mut runs = 0;
            let count = per_call("f", expected, |steps| {
                runs += 1;
                Ok(u64::from(steps * CALLS) * 10 + noise.get(runs - 1).copied().unwrap_or(0))
            });
            (count.unwrap(), runs)
        };
        assert_eq!(measure(Some(&10.0), &[]), (10.0, 4));
        // Noise in the long runs, then in the short ones.
        assert_eq!(measure(Some(&10.0), &[0, 900, 0, 900]), (10.0, 6));
        assert_eq!(measure(Some(&10.0), &[900, 0, 900, 0]), (10.0, 6));
        assert_eq!(measure(Some(&20.0), &[]), (10.0, 12), "another figure");
        assert_eq!(measure(None, &[]), (10.0, 12), "no record");
    }

    #[test]
    fn growth_is_seen() {
        let map = |pairs: &[(&str, f64)]| {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect::<BTreeMap<_, _>>()
        };
        let record = Record {
            functions: map(&[
                ("same", 1000.0),
                ("grown", 1000.0),
                ("gone", 1.0),
                ("less", 1000.0),
            ]),
        };
        let counts = map(&[
            ("same", 1010.0),
            ("grown", 1060.0),
            ("new", 5.0),
            ("less", 900.0),
        ]);
        let wrong = grown(&record, &counts);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("grown takes 1060.0"), "{wrong:?}");
        assert!(wrong[1].contains("new is not in the record"), "{wrong:?}");
        assert!(wrong[2].contains("gone"), "{wrong:?}");
        assert_eq!(cheaper(&record, &counts).collect::<Vec<_>>(), ["less"]);
    }
}
