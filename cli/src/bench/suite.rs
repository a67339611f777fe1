//! The measurements without a program, by turns over all subjects.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::emulate::{self, Emulation};
use gvirtus_wire::config::Endpoint;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::report::Report;
use super::subject::{Installation, Subject};
use super::{Arguments, Refusal, backend, child, plot, raw, report, subject};
use crate::exit;

/// What `--only` may name. The first three are parts of `gvirtus-bench suite`.
pub(super) const PARTS: [&str; 5] = ["calls", "bulk", "together", "processes", "raw"];
const PROCESSES: usize = 8;
const LAUNCHES: u32 = 50_000;
/// Divides repetitions with `--quick`.
const HURRY: u32 = 20;

pub(super) fn run(arguments: &Arguments) -> Result<(), Refusal> {
    let installation = Installation::find()?;
    let program = installation.program("gvirtus-bench")?;
    let subjects = subject::find(arguments, &installation)?;
    let mut bench = Bench {
        arguments,
        installation,
        program,
        report: Report::new(subjects.iter().map(|s| s.name.clone()).collect()),
        complaints: Vec::new(),
    };
    for round in 1..=arguments.rounds() {
        for (index, subject) in subjects.iter().enumerate() {
            eprintln!(
                "gvirtus: round {round} of {}: {}",
                arguments.rounds(),
                subject.name
            );
            bench.measure(index, subject)?;
        }
    }
    bench.finish(&subjects)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    installation: Installation,
    program: PathBuf,
    report: Report,
    complaints: Vec<String>,
}

impl Bench<'_> {
    fn wants(&self, part: &str) -> bool {
        self.arguments.only.is_empty() || self.arguments.only.iter().any(|only| only == part)
    }

    fn hurry(&self) -> u32 {
        if self.arguments.quick { HURRY } else { 1 }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.arguments.limit)
    }

    fn complain(&mut self, subject: &Subject, what: &str, why: &str) {
        let complaint = format!("{}, {what}: {why}", subject.name);
        eprintln!("gvirtus: {complaint}");
        self.complaints.push(complaint);
    }

    fn measure(&mut self, index: usize, subject: &Subject) -> Result<(), Refusal> {
        let parts: Vec<&str> = PARTS[..3]
            .iter()
            .copied()
            .filter(|p| self.wants(p))
            .collect();
        if !parts.is_empty() {
            let mut command = subject.driver_program(&self.installation, &self.program)?;
            command.args(["suite", "--only", &parts.join(",")]);
            command.args(["--largest", &self.arguments.largest().to_string()]);
            command.args(["--hurry", &self.hurry().to_string()]);
            let outcome = child::run(&mut command, self.limit()).map_err(Refusal::setup)?;
            // What it measured before it failed counts.
            for line in outcome.stdout.lines() {
                if let Err(why) = self.report.take(index, line) {
                    self.complain(subject, "suite", &why);
                }
            }
            if let Some(why) = outcome.failure() {
                self.complain(subject, "suite", &why);
            }
        }
        if self.wants("processes") {
            let launches = (LAUNCHES / self.hurry()).max(1);
            match fleet(
                subject,
                &self.installation,
                &self.program,
                launches,
                self.limit(),
            )? {
                Ok(rate) => self.report.put(
                    index,
                    "processes_8",
                    "eight processes, launches drained, all together",
                    "/s",
                    true,
                    rate,
                ),
                Err(why) => self.complain(subject, "eight processes", &why),
            }
        }
        if self.wants("raw")
            && let Some(endpoint) = self.raw_endpoint(subject)
        {
            match self.raw(&endpoint, subject.is_ours()) {
                Ok(rates) => self.put_raw(index, rates),
                Err(why) => self.complain(subject, "raw transport", &why),
            }
        }
        Ok(())
    }

    /// Where the raw transport's other end is, or what it is to listen on.
    fn raw_endpoint(&self, subject: &Subject) -> Option<Endpoint> {
        let endpoint = subject.endpoint.as_ref()?;
        if subject.is_ours() {
            Some(endpoint.clone())
        } else {
            self.arguments.raw.clone()
        }
    }

    fn raw(&self, endpoint: &Endpoint, ours: bool) -> Result<raw::Rates, String> {
        let emulation = emulation()?;
        // Far away, a ping takes as long as it takes.
        let pings = if emulation.is_some() {
            200
        } else {
            5000 / self.hurry()
        };
        let bytes = (2 << 30) / u64::from(self.hurry());
        let measure = |endpoint: &Endpoint| {
            raw::measure(endpoint, emulation.as_ref(), pings, bytes).map_err(|e| e.to_string())
        };
        if !ours {
            return measure(endpoint);
        }
        // Distance is emulated around sockets, for sessions too.
        let protocol = match endpoint.protocol.as_str() {
            "shm" if emulation.is_some() => "unix",
            protocol => protocol,
        };
        let echo = Echo::start(protocol)?;
        measure(&echo.endpoint)
    }

    fn put_raw(&mut self, index: usize, rates: raw::Rates) {
        for (id, what, time) in [
            (
                "raw_ping",
                "raw transport, ping-pong of 64 bytes",
                rates.ping,
            ),
            (
                "raw_ping_spinning",
                "raw transport, ping-pong, both ends spinning",
                rates.spinning_ping,
            ),
        ] {
            self.report
                .put(index, id, what, "us", false, time.as_secs_f64() * 1e6);
        }
        for (id, what, rate) in [
            (
                "raw_up",
                "raw transport, one stream to the backend",
                rates.up,
            ),
            (
                "raw_down",
                "raw transport, one stream from the backend",
                rates.down,
            ),
        ] {
            self.report.put(index, id, what, "GB/s", true, rate / 1e9);
        }
        let Some(lanes) = rates.lanes else {
            return;
        };
        for (id, to, memory, rate) in [
            ("raw_lanes_up", "to", "256 MiB", lanes.up),
            ("raw_lanes_down", "from", "256 MiB", lanes.down),
            ("raw_lanes_up_cached", "to", "in cache", lanes.cached_up),
            (
                "raw_lanes_down_cached",
                "from",
                "in cache",
                lanes.cached_down,
            ),
        ] {
            let what = format!(
                "raw transport, {} streams {to} the backend, {memory}",
                lanes.count
            );
            self.report.put(index, id, &what, "GB/s", true, rate / 1e9);
        }
    }

    fn finish(self, subjects: &[Subject]) -> Result<(), Refusal> {
        println!("{}", heading(subjects, self.arguments));
        print!("{}", self.report.table());
        let failed = |why| Refusal(exit::FAILED, why);
        if let Some(file) = &self.arguments.json {
            let about = about(subjects, self.arguments, &self.complaints);
            report::write(file, &self.report.json(about)).map_err(failed)?;
        }
        if let Some(directory) = &self.arguments.plots {
            for file in plot::draw(&self.report, directory).map_err(failed)? {
                println!("{}", file.display());
            }
        }
        match self.complaints.as_slice() {
            [] => Ok(()),
            complaints => Err(failed(format!(
                "{} measurement(s) failed; the table lacks them",
                complaints.len()
            ))),
        }
    }
}

/// The distance that the caller's environment emulates.
fn emulation() -> Result<Option<Emulation>, String> {
    match std::env::var(emulate::VARIABLE) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .map(Some)
            .map_err(|e: emulate::EmulationError| e.to_string()),
        _ => Ok(None),
    }
}

/// What the figures hold for, in a line.
pub(super) fn heading(subjects: &[Subject], arguments: &Arguments) -> String {
    let device = subjects
        .last()
        .and_then(|subject| subject.device["device"].as_str())
        .unwrap_or("no device");
    let emulated = std::env::var(emulate::VARIABLE)
        .ok()
        .filter(|_| arguments.program.is_empty())
        .map(|distance| format!(", emulated distance {distance}"))
        .unwrap_or_default();
    format!(
        "{device}; medians of {} round(s), everybody by turns{emulated}",
        arguments.rounds()
    )
}

/// The same for machines.
pub(super) fn about(subjects: &[Subject], arguments: &Arguments, complaints: &[String]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|s| {
            json!({
                "name": s.name,
                "endpoint": s.endpoint.as_ref().map(ToString::to_string),
                "device": s.device,
            })
        })
        .collect();
    json!({
        "gvirtus": env!("CARGO_PKG_VERSION"),
        "rounds": arguments.rounds(),
        "quick": arguments.quick,
        "processors": thread::available_parallelism().map_or(0, usize::from),
        "emulated": std::env::var(emulate::VARIABLE).ok(),
        "subjects": subjects,
        "failures": complaints,
    })
}

/// The raw transport's other end, in a process of its own as a worker is; ends when dropped.
struct Echo {
    child: Child,
    endpoint: Endpoint,
    /// Has the socket.
    _directory: TempDir,
}

impl Echo {
    fn start(protocol: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let endpoint = backend::local(protocol, directory.path())?;
        let mut child = child::leashed()?
            .args(["--echo", &endpoint.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let stdout = child.stdout.take();
        let mut echo = Self {
            child,
            endpoint,
            _directory: directory,
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|e| e.to_string())?;
        }
        if line.is_empty() {
            return Err("the other end does not listen".to_owned());
        }
        if echo.endpoint.path.is_none() {
            echo.endpoint.port = line
                .trim()
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .ok_or_else(|| format!("the other end said {line:?}"))?;
        }
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Launches per second of several processes together. The outer error is of the set-up, the inner one of what was measured.
fn fleet(
    subject: &Subject,
    installation: &Installation,
    program: &std::path::Path,
    launches: u32,
    limit: Duration,
) -> Result<Result<f64, String>, Refusal> {
    let mut members = Vec::with_capacity(PROCESSES);
    let (say, said) = mpsc::channel::<(usize, Option<String>)>();
    for number in 0..PROCESSES {
        let mut command = subject.driver_program(installation, program)?;
        command.args(["fleet", &launches.to_string()]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command
            .spawn()
            .map_err(|e| Refusal::setup(format!("{}: {e}", program.display())))?;
        let stdout = child.stdout.take();
        let say = say.clone();
        thread::spawn(move || {
            let lines = stdout.map(|stdout| BufReader::new(stdout).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if say.send((number, Some(line))).is_err() {
                    return;
                }
            }
            let _ = say.send((number, None));
        });
        members.push(child);
    }
    let deadline = Instant::now() + limit;
    let rate = conduct(&mut members, &said, launches, deadline);
    for member in &mut members {
        // Those that are done are no processes any more, and it does them nothing.
        let _ = member.kill();
        let _ = member.wait();
    }
    Ok(rate)
}

fn conduct(
    members: &mut [Child],
    said: &mpsc::Receiver<(usize, Option<String>)>,
    launches: u32,
    deadline: Instant,
) -> Result<f64, String> {
    let next = || {
        let left = deadline.saturating_duration_since(Instant::now());
        said.recv_timeout(left)
            .map_err(|_| "they did not end in time".to_owned())
    };
    for _ in 0..members.len() {
        match next()? {
            (_, Some(line)) if line == "ready" => {}
            (number, _) => return Err(format!("process {number} did not get ready")),
        }
    }
    for member in members.iter_mut() {
        let stdin = member.stdin.as_mut().ok_or("no standard input")?;
        stdin.write_all(b"go\n").map_err(|e| e.to_string())?;
    }
    let mut seconds = vec![None; members.len()];
    while seconds.contains(&None) {
        let (number, line) = next()?;
        match (line, seconds[number]) {
            (Some(line), _) => {
                let value: Value = serde_json::from_str(&line).unwrap_or_default();
                let took = value["seconds"].as_f64();
                seconds[number] =
                    Some(took.ok_or_else(|| format!("process {number} said {line:?}"))?);
            }
            (None, Some(_)) => {}
            (None, None) => return Err(format!("process {number} ended early")),
        }
    }
    let slowest = seconds.iter().flatten().copied().fold(0.0, f64::max);
    Ok(f64::from(launches) * members.len() as f64 / slowest.max(1e-9))
}
