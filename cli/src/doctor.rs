//! `gvirtus doctor`: looks at everything between a program and its GPU.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use gvirtus_wire::api::core::{Ping, REPLY, SNAPSHOT, Snapshot};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::Command;
use gvirtus_wire::communicator::Connection;
use gvirtus_wire::config;
use gvirtus_wire::frame::{FLAG_WANTS_REPLY, HEADER_LEN, Header};
use gvirtus_wire::handshake::{self, Admitted};

use crate::{exit, exit_code, home, loader, run, settings};

/// How often the round trip is measured; the least counts.
const PINGS: u64 = 20;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A program or library: say which CUDA libraries it would load
    program: Option<PathBuf>,
}

/// Collects the findings; the first that is wrong gives the exit code.
#[derive(Default)]
struct Findings {
    code: u8,
}

impl Findings {
    fn good(&self, what: impl Display) {
        println!("ok     {what}");
    }

    fn note(&self, what: impl Display) {
        println!("note   {what}");
    }

    fn wrong(&mut self, code: u8, what: impl Display) {
        println!("WRONG  {what}");
        if self.code == 0 {
            self.code = code;
        }
    }
}

pub(crate) fn doctor(arguments: &Arguments) -> u8 {
    let mut findings = Findings::default();
    let libraries = match home::libraries() {
        Ok(dir) => {
            findings.good(format_args!("libraries: {}", dir.display()));
            Some(dir)
        }
        Err(why) => {
            findings.wrong(exit::LOADER, why);
            None
        }
    };
    match settings(arguments.config.as_deref()) {
        Ok(settings) => backend(&settings, &mut findings),
        Err(e) => findings.wrong(exit::CONFIG, e),
    }
    if let (Some(libraries), Some(program)) = (&libraries, &arguments.program) {
        loading(program, libraries, &mut findings);
    }
    findings.code
}

fn backend(settings: &config::Client, findings: &mut Findings) {
    match &settings.file {
        Some(file) => findings.good(format_args!("configuration: {}", file.display())),
        None => findings.good("configuration: GVIRTUS_ENDPOINT alone"),
    }
    for warning in &settings.warnings {
        findings.note(warning);
    }
    match &settings.identity {
        Some(identity) => findings.note(format_args!("tenant: {}", identity.name)),
        None => findings.note("tenant: none (no token configured)"),
    }
    if let Some(emulation) = &settings.emulation {
        findings.note(format_args!("emulated distance: {emulation}"));
    }
    let start = Instant::now();
    let (mut connection, admitted) = match handshake::open(settings) {
        Ok(opened) => opened,
        Err(e) => return findings.wrong(exit_code(&e), e),
    };
    findings.good(format_args!(
        "backend: {} admits us, session {} after {:.1?}",
        settings.endpoint,
        admitted.session,
        start.elapsed()
    ));
    let ours = handshake::commands();
    let common = admitted.commands.len();
    if common == ours.len() {
        findings.good(format_args!(
            "versions: protocol {}, all {common} commands in common",
            handshake::VERSION
        ));
    } else {
        findings.note(format_args!(
            "versions: {common} of {} commands in common; the others are \"not supported\": install the same release on both ends",
            ours.len()
        ));
    }
    match try_session(&mut connection, &admitted) {
        Ok((snapshot, round_trip)) => session(&snapshot, round_trip, findings),
        Err(e) => findings.wrong(
            exit::UNREACHABLE,
            format_args!("the worker broke off: {e}; the backend's log says why"),
        ),
    }
    drop(connection);
    match handshake::status(settings) {
        Ok(json) => plugins(&json, findings),
        Err(e) => findings.wrong(exit_code(&e), e),
    }
}

fn session(snapshot: &Snapshot, round_trip: Duration, findings: &mut Findings) {
    findings.good(format_args!("round trip: {round_trip:.1?}"));
    for device in &snapshot.devices {
        let memory = device.total_memory as f64 / f64::from(1 << 30);
        findings.good(format_args!("device: {} ({memory:.1} GiB)", device.name));
    }
    if snapshot.devices.is_empty() {
        findings.wrong(exit::REFUSED, "the backend has no device for us");
    }
    findings.note(format_args!(
        "driver API: {}.{}{}",
        snapshot.driver_version / 1000,
        snapshot.driver_version % 1000 / 10,
        if snapshot.ptx_only {
            ", in software: there is no GPU"
        } else {
            ""
        }
    ));
}

/// Reads the worker's snapshot and measures round trips.
fn try_session(
    connection: &mut Connection,
    admitted: &Admitted,
) -> Result<(Snapshot, Duration), String> {
    let io = |e: std::io::Error| e.to_string();
    connection
        .receiver
        .set_timeout(Some(Duration::from_secs(60)))
        .map_err(io)?;
    let (header, payload) = receive(connection)?;
    if header.opcode != SNAPSHOT {
        return Err(format!("it began with frame {:#06x}", header.opcode));
    }
    let snapshot = decode_all(&payload).map_err(|e| format!("its snapshot: {e}"))?;
    let mut least = Duration::MAX;
    if admitted.commands.iter().any(|(op, _)| *op == Ping::OPCODE) {
        for sequence in 1..=PINGS {
            let ping = Header {
                opcode: Ping::OPCODE,
                flags: FLAG_WANTS_REPLY,
                sequence,
                thread: 1,
                ..Header::default()
            };
            let start = Instant::now();
            connection.sender.send(&ping.to_bytes()).map_err(io)?;
            while receive(connection)?.0.opcode != REPLY {}
            least = least.min(start.elapsed());
        }
    }
    Ok((snapshot, least))
}

fn receive(connection: &mut Connection) -> Result<(Header, Vec<u8>), String> {
    let io = |e: std::io::Error| e.to_string();
    let mut bytes = [0; HEADER_LEN];
    connection.receiver.read_exact(&mut bytes).map_err(io)?;
    let header = Header::from_bytes(&bytes).map_err(|e| e.to_string())?;
    if header.bulk > 1 << 20 {
        return Err("bulk that nobody asked for".into());
    }
    let mut payload = vec![0; header.len as usize];
    connection.receiver.read_exact(&mut payload).map_err(io)?;
    let mut bulk = vec![0; header.bulk as usize];
    connection.receiver.read_exact(&mut bulk).map_err(io)?;
    Ok((header, payload))
}

fn plugins(json: &str, findings: &mut Findings) {
    let status: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let version = status["version"].as_str().unwrap_or("?");
    if version == env!("CARGO_PKG_VERSION") {
        findings.good(format_args!("release: {version} on both ends"));
    } else {
        findings.note(format_args!(
            "release: {version} there, {} here",
            env!("CARGO_PKG_VERSION")
        ));
    }
    for plugin in status["plugins"].as_array().into_iter().flatten() {
        let name = plugin["name"].as_str().unwrap_or("?");
        let state = plugin["state"].as_str().unwrap_or("?");
        match plugin["detail"].as_str() {
            Some(detail) => findings.note(format_args!("plugin {name}: {state}: {detail}")),
            None if state == "loaded" => findings.good(format_args!("plugin {name}: {state}")),
            None => findings.note(format_args!("plugin {name}: {state}")),
        }
    }
}

fn loading(program: &Path, ours: &Path, findings: &mut Findings) {
    let path = run::search_path(ours, std::env::var_os("LD_LIBRARY_PATH"));
    let report = match loader::inspect(program, &path) {
        Ok(report) => report,
        Err(e) => return findings.wrong(exit::LOADER, e),
    };
    for object in &report.static_runtime {
        findings.note(format_args!(
            "{} has the CUDA runtime linked in: it reaches us through libcuda.so.1 (nvcc --cudart=shared lets it use our runtime)",
            object.display()
        ));
    }
    for library in &report.libraries {
        let by = library.by.file_name().unwrap_or_default().to_string_lossy();
        match &library.path {
            Some(path) if path.starts_with(ours) => {
                findings.good(format_args!(
                    "{} (for {by}): {}",
                    library.name,
                    path.display()
                ));
            }
            Some(path) if library.by_rpath => findings.wrong(
                exit::LOADER,
                format_args!(
                    "{} (for {by}): {} comes first, by the RPATH of {}; LD_PRELOAD={} beats it",
                    library.name,
                    path.display(),
                    library.by.display(),
                    ours.join(&library.name).display()
                ),
            ),
            Some(path) => findings.note(format_args!(
                "{} (for {by}): {}: not ours, its calls go to libcuda.so.1",
                library.name,
                path.display()
            )),
            None => findings.wrong(
                exit::LOADER,
                format_args!(
                    "{} (for {by}): not found, and we do not have it",
                    library.name
                ),
            ),
        }
    }
    if report.libraries.is_empty() && report.static_runtime.is_empty() {
        findings.note(format_args!(
            "{}: no CUDA library by name; it may load some at run time",
            program.display()
        ));
    }
}
