//! A CUDA program, run through the frontends.

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::backend::Backend;

/// How long a program may run before it counts as hung. The CPU device is slow, and the machine may be busy.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What came of a program.
#[derive(Debug)]
pub struct Outcome {
    /// What it printed.
    pub stdout: String,
    /// What it, or a frontend on its behalf, complained.
    pub stderr: String,
    /// How it ended; `None` if it hung and was killed.
    pub status: Option<ExitStatus>,
    /// What it cost, if it lived to say so.
    pub stats: Option<Stats>,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Outcome {
    /// Whether it ended by itself with code 0.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// The report of `GVIRTUS_STATS=json:…`.
#[derive(Debug, Clone)]
pub struct Stats(pub Value);

impl Stats {
    /// Round trips without those that set up: handshake, module load, function information.
    pub fn round_trips(&self) -> u64 {
        let total = |key: &str| self.0["totals"][key].as_u64().unwrap_or(0);
        total("round_trips").saturating_sub(total("setup_round_trips"))
    }

    /// Calls of a function.
    pub fn calls(&self, function: &str) -> u64 {
        self.row(function)["calls"].as_u64().unwrap_or(0)
    }

    /// Round trips of a function.
    pub fn round_trips_of(&self, function: &str) -> u64 {
        self.row(function)["round_trips"].as_u64().unwrap_or(0)
    }

    /// Functions with their round trips, as text for messages.
    pub fn summary(&self) -> String {
        let rows = self.0["functions"].as_array();
        let rows = rows
            .into_iter()
            .flatten()
            .filter(|row| row["round_trips"] != 0);
        let rows = rows.map(|row| format!("{} {}", row["name"], row["round_trips"]));
        rows.collect::<Vec<_>>().join(", ")
    }

    fn row(&self, function: &str) -> &Value {
        self.0["functions"]
            .as_array()
            .and_then(|rows| rows.iter().find(|row| row["name"] == function))
            .unwrap_or(&Value::Null)
    }
}

/// The environment in which a program finds our libraries and the backend, and nothing of NVIDIA's or of the caller's settings.
pub fn command(program: &Path, client_config: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("GVIRTUS_") || name.starts_with("CUDA_") {
            command.env_remove(name.as_ref());
        }
    }
    command
        .env("LD_LIBRARY_PATH", crate::installation().join("lib"))
        .env("GVIRTUS_CONFIG", client_config);
    command
}

/// Runs a program to its end.
pub fn run(program: &Path, backend: &Backend) -> Result<Outcome> {
    run_with(program, backend, |_| {})
}

/// Runs a program to its end, with further arguments or environment.
pub fn run_with(
    program: &Path,
    backend: &Backend,
    adapt: impl FnOnce(&mut Command),
) -> Result<Outcome> {
    let report = tempfile::NamedTempFile::new_in(backend.directory())?;
    let mut command = command(program, backend.client_config());
    command.env("GVIRTUS_STATS", format!("json:{}", report.path().display()));
    adapt(&mut command);
    let mut outcome = wait(&mut command)?;
    outcome.stats = std::fs::read_to_string(report.path())
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(Stats);
    Ok(outcome)
}

/// Runs a command to its end or to [`TIME_LIMIT`].
pub fn wait(command: &mut Command) -> Result<Outcome> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let stdout = collect(child.stdout.take().expect("standard output is piped"));
    let stderr = collect(child.stderr.take().expect("standard error is piped"));
    let mut status = None;
    while status.is_none() && began.elapsed() < TIME_LIMIT {
        status = child.try_wait()?;
        if status.is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned()
    };
    Ok(Outcome {
        stdout: text(stdout),
        stderr: text(stderr),
        status,
        stats: None,
        elapsed: began.elapsed(),
    })
}

fn collect(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}
