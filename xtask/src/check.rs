//! Everything that must hold before a change goes in: `cargo xtask test`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::home::{self, Profile};
use crate::{abi_check, instructions, sh, status, toolchain};

/// A check that was made: its name, how long it took, and what was wrong.
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    fn check(&mut self, name: &'static str, check: impl FnOnce() -> Result<()>) -> bool {
        println!("\n=== {name}");
        let began = Instant::now();
        let error = check().err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            println!("!!! {name}: {error}");
        }
        let fine = error.is_none();
        self.outcomes.push(Outcome {
            name,
            took: began.elapsed(),
            error,
        });
        fine
    }
}

/// Runs every check, says at the end which of them failed, and lets the end-to-end tests' own summary come last.
pub fn test() -> Result<()> {
    let mut report = Report {
        outcomes: Vec::new(),
    };
    report.check("format", || {
        sh::run(sh::cargo().args(["fmt", "--all", "--check"]))
    });
    report.check("clippy", || {
        sh::run(sh::cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    report.check("documentation", || {
        sh::run(
            sh::cargo()
                .args([
                    "doc",
                    "--quiet",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                ])
                // Private items are documented here, so links to them lead somewhere.
                .env(
                    "RUSTDOCFLAGS",
                    "-D warnings -A rustdoc::private-intra-doc-links",
                ),
        )
    });
    report.check("source rules", source_rules);
    report.check("STATUS.md", || status::status(true));
    let toolkits = report.check("CUDA compilers", || {
        toolchain::Toolkit::find(13)?;
        toolchain::Toolkit::find(12)?;
        Ok(())
    });
    let mut installed = None;
    let mut skipped = Vec::new();
    report.check("build", || {
        // All of it, tests too: with another selection, dependencies have other features, and are built once more.
        let build = || sh::run(cargo_for_all("build").arg("--quiet").arg("--all-targets"));
        installed = Some(home::install_home_by(Profile::Dev, build)?);
        Ok(())
    });
    if let Some(home) = &installed {
        report.check("exports", || abi_check::check(&home.join("lib"), true));
        if instructions::possible() {
            report.check("instruction counts", || instructions::check(home, false));
        } else {
            skipped.push("instruction counts: valgrind is not installed");
        }
    }
    // Among them the decoders against random and mutated frames.
    report.check("tests of each crate", || {
        // All of them, also behind one that fails.
        let mut tests = cargo_for_all("test");
        tests.args(["--no-fail-fast", "--exclude", "gvirtus-tests"]);
        if let Some(home) = &installed {
            // Else the plugin's tests would build another one.
            tests.env(
                "GVIRTUS_TEST_CPU_LIBRARY",
                home.join("lib/libgvirtus_cpu.so"),
            );
        }
        sh::run(&mut tests)
    });
    // By itself the CPU device compiles only what runs often, which in tests is next to nothing.
    report.check("CPU device, compiled", || {
        let mut tests = cargo_for_all("test");
        tests.arg("--no-fail-fast").env("GVIRTUS_CPU_JIT", "always");
        for package in ["cpu", "cpu/corpus"] {
            select(&mut tests, package)?;
        }
        sh::run(&mut tests)
    });
    match &installed {
        Some(home) if toolkits => {
            report.check("end-to-end tests", || end_to_end(home));
        }
        _ => {
            report.check("end-to-end tests", || {
                bail!("not run: what they need failed above")
            });
        }
    }

    let failed: Vec<&Outcome> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.error.is_some())
        .collect();
    // Standard error, so that the last lines of standard output are those of cargo test.
    for outcome in &report.outcomes {
        let word = if outcome.error.is_some() {
            "FAILED"
        } else {
            "ok"
        };
        eprintln!(
            "{:<24} {word:<7} {:>6.1} s",
            outcome.name,
            outcome.took.as_secs_f64()
        );
    }
    for what in skipped {
        eprintln!("NOT CHECKED {what}");
    }
    if !failed.is_empty() {
        let names: Vec<_> = failed.iter().map(|outcome| outcome.name).collect();
        bail!(
            "{} of {} checks failed: {}",
            failed.len(),
            report.outcomes.len(),
            names.join(", ")
        );
    }
    Ok(())
}

fn end_to_end(home: &Path) -> Result<()> {
    // Each test has a backend, a worker and a program of its own, so two at a time fill two cores.
    let threads = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(2, 6);
    let mut tests = cargo_for_all("test");
    tests.arg("--no-fail-fast").env("GVIRTUS_TEST_HOME", home);
    select(&mut tests, "tests")?;
    sh::run(tests.arg("--").arg(format!("--test-threads={threads}")))
}

/// A command of cargo for the whole workspace.
fn cargo_for_all(command: &str) -> std::process::Command {
    let mut cargo = sh::cargo();
    cargo.args([command, "--workspace"]);
    cargo
}

/// Selects the integration tests of a package.
fn select(tests: &mut std::process::Command, package: &str) -> Result<()> {
    let directory = sh::root().join(package).join("tests");
    for file in std::fs::read_dir(&directory)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = file.file_stem()
        {
            tests.arg("--test").arg(name);
        }
    }
    Ok(())
}

/// Rules that no tool knows: file lengths, no leftovers of work in progress, no variable that is documented nowhere.
fn source_rules() -> Result<()> {
    const LONGEST: usize = 1000;
    let root = sh::root();
    let documentation: String = ["README.md", "CONTRIBUTING.md"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(root.join(file)).ok())
        .collect();
    let mut git = std::process::Command::new("git");
    let listed = sh::output(git.current_dir(&root).args(["ls-files", "*.rs"]))?;
    let mut wrong = Vec::new();
    for file in listed.lines() {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        // Tables are as long as the API is.
        if text.lines().count() > LONGEST && !file.starts_with("wire/src/api/") {
            wrong.push(format!("{file} has more than {LONGEST} lines"));
        }
        for leftover in [
            concat!("todo", "!("),
            concat!("unimplemented", "!("),
            concat!("dbg", "!("),
        ] {
            if text.contains(leftover) {
                wrong.push(format!("{file} contains {leftover}"));
            }
        }
        for variable in variables(&text) {
            if !documentation.contains(&format!("`{variable}")) {
                wrong.push(format!("{file} reads {variable}, of which neither README.md nor CONTRIBUTING.md says what it is"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

/// The environment variables of ours that a source names in whole strings.
fn variables(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').filter(|text| {
        text.strip_prefix("GVIRTUS_").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn variables_are_found_by_their_names() {
        let source = "var(\"GVIRTUS_HOME\"), \"GVIRTUS_\", \"no GVIRTUS_LIB\", \"GVIRTUS_STATS=1\"";
        assert_eq!(variables(source).collect::<Vec<_>>(), ["GVIRTUS_HOME"]);
    }
}
