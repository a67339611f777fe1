//! A backend of our own on this host, for one transport.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator;
use gvirtus_wire::config::{self, Endpoint};
use serde_json::json;
use tempfile::TempDir;

use super::child;

/// A GPU's first worker makes its context before the backend listens.
const PATIENCE: Duration = Duration::from_secs(120);
const READY: &str = "gvirtus-backend listening on ";

/// A running backend; ends when dropped.
pub(super) struct Backend {
    child: Child,
    endpoint: Endpoint,
    directory: TempDir,
}

impl Backend {
    pub(super) fn start(program: &Path, protocol: &str, device: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut endpoint = local(protocol, directory.path())?;
        let config = directory.path().join("backend.json");
        write(&config, &endpoint, device)?;
        let log = directory.path().join("backend.log");
        let output = std::fs::File::create(&log).map_err(|e| e.to_string())?;
        let mut child = child::leashed()?
            .arg("--")
            .arg(program)
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let address = address(&mut child);
        let mut backend = Self {
            child,
            endpoint: endpoint.clone(),
            directory,
        };
        let Some(address) = address else {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{} does not listen:\n{said}", program.display()));
        };
        if endpoint.path.is_none() {
            endpoint.port = address
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .ok_or_else(|| format!("the backend listens on {address:?}"))?;
        }
        write(&backend.config(), &endpoint, device)?;
        backend.endpoint = endpoint;
        Ok(backend)
    }

    /// The configuration for programs.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.path().join("client.json")
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(pid) = child::pid(&self.child) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An endpoint of this host that nobody else uses; a port is chosen by who listens.
pub(super) fn local(protocol: &str, directory: &Path) -> Result<Endpoint, String> {
    let known = communicator::by_protocol(protocol).ok_or_else(|| {
        format!(
            "there is no transport {protocol:?}; this build has {}",
            communicator::protocols().join(", ")
        )
    })?;
    Ok(Endpoint {
        protocol: known.protocol().to_owned(),
        server_address: if known.by_path() { "" } else { "127.0.0.1" }.to_owned(),
        port: 0,
        path: known.by_path().then(|| directory.join("socket")),
    })
}

fn write(file: &Path, endpoint: &Endpoint, device: &str) -> Result<(), String> {
    let mut at = json!({"protocol": endpoint.protocol});
    match &endpoint.path {
        Some(path) => at["path"] = json!(path),
        None => {
            at["server_address"] = endpoint.server_address.clone().into();
            at["port"] = endpoint.port.to_string().into();
        }
    }
    let mut properties =
        json!({"communicator": [{"endpoint": at, "plugins": ["cudart"]}], "device": device});
    // No trace is left, and nothing is there from before.
    properties["module_cache"] = json!({"dir": file.with_file_name("modules")});
    // As the programs that are measured will have it.
    properties["lanes"] = config::lanes().map_err(|e| e.to_string())?.into();
    std::fs::write(file, properties.to_string()).map_err(|e| format!("{}: {e}", file.display()))
}

/// What it says that it listens on; `None` if it ends or says nothing for too long.
fn address(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (found, address) = mpsc::channel();
    // Reads on after the line that matters, lest the pipe break.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix(READY) {
                let _ = found.send(rest.to_owned());
            }
        }
    });
    address.recv_timeout(PATIENCE).ok()
}
