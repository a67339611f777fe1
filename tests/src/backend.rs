//! A backend of one's own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// How long a backend may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// How client and backend talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Over a port of the loopback interface.
    Tcp,
    /// Over a socket in the file system.
    Unix,
    /// Through shared memory that such a socket sets up.
    Shm,
}

/// A running `gvirtus-backend` on the CPU device; ends when dropped.
#[derive(Debug)]
pub struct Backend {
    child: Child,
    endpoint: String,
    client_config: PathBuf,
    log: PathBuf,
    directory: tempfile::TempDir,
}

impl Backend {
    /// Starts one that listens as told, on a port or socket of its own.
    pub fn start(transport: Transport) -> Result<Backend> {
        Backend::start_with(transport, &json!({}))
    }

    /// Starts one whose `properties.json` has these further keys.
    pub fn start_with(transport: Transport, further: &Value) -> Result<Backend> {
        Backend::start_in(transport, further, &[])
    }

    /// As [`Backend::start_with`], with further environment.
    pub fn start_in(
        transport: Transport,
        further: &Value,
        environment: &[(&str, &str)],
    ) -> Result<Backend> {
        let directory = tempfile::tempdir()?;
        let mut properties = properties(transport, directory.path(), "0");
        merge(&mut properties, further);
        let config = directory.path().join("properties.json");
        std::fs::write(&config, properties.to_string())?;

        let log = directory.path().join("backend.log");
        let mut child = command(&config)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("cannot start gvirtus-backend")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let endpoint = match wait_until_listening(stdout) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.context(std::fs::read_to_string(&log).unwrap_or_default()));
            }
        };

        // What a user would write on the client's machine.
        let client_config = directory.path().join("client.json");
        let port = endpoint.rsplit(':').next().unwrap_or("0");
        let mut client = self::properties(transport, directory.path(), port);
        if let Some(identity) = further.get("identity") {
            client["identity"] = identity.clone();
        }
        std::fs::write(&client_config, client.to_string())?;
        Ok(Backend {
            child,
            endpoint,
            client_config,
            log,
            directory,
        })
    }

    /// The configuration for clients.
    pub fn client_config(&self) -> &Path {
        &self.client_config
    }

    /// Where it says that it listens: `127.0.0.1:40123` or a path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A directory that lives as long as the backend.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The daemon's process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The processes below the daemon: its workers.
    pub fn workers(&self) -> Vec<i32> {
        descendants(self.pid())
    }

    /// Whether the daemon runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop, as `systemd` would, and waits for its end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        signal(self.pid(), libc::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "the backend did not stop within {PATIENCE:?}\n{}",
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let workers = self.workers();
        if self.is_running() {
            signal(self.pid(), libc::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(5);
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            // Workers whose daemon was killed; they were its children a moment ago.
            for worker in workers {
                signal(worker, libc::SIGKILL);
            }
        }
        if std::thread::panicking() {
            eprintln!(
                "-- log of the backend at {}\n{}",
                self.endpoint,
                tail(&self.log())
            );
        }
    }
}

/// The program `gvirtus-backend` with that configuration, as a process group of its own so that a terminal's Ctrl-C stays ours.
pub fn command(config: &Path) -> Command {
    let mut command = Command::new(crate::installation().join("bin/gvirtus-backend"));
    command
        .arg(config)
        .env_remove("GVIRTUS_CONFIG")
        .env_remove("GVIRTUS_EMULATE")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// A configuration for the CPU device; port "0" is any free one.
pub fn properties(transport: Transport, directory: &Path, port: &str) -> Value {
    let endpoint = match transport {
        Transport::Tcp => json!({
            "suite": "tcp/ip", "protocol": "tcp", "server_address": "127.0.0.1", "port": port
        }),
        Transport::Unix | Transport::Shm => json!({
            "protocol": if transport == Transport::Shm { "shm" } else { "unix" }, "path": directory.join("gvirtus.sock")
        }),
    };
    json!({
        "communicator": [{"endpoint": endpoint, "plugins": ["cudart", "nvml", "cublas", "cudnn", "cufft", "curand"]}],
        "secure_application": false,
        "device": "cpu",
        "module_cache": {"dir": directory.join("modules")},
    })
}

fn merge(into: &mut Value, further: &Value) {
    if let (Some(into), Some(further)) = (into.as_object_mut(), further.as_object()) {
        for (key, value) in further {
            if key != "identity" {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads the backend's standard output until it says where it listens; goes on reading so that it never blocks.
fn wait_until_listening(stdout: impl Read + Send + 'static) -> Result<String> {
    let (found, endpoint) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("gvirtus-backend listening on ") {
                // "tcp 127.0.0.1:9999" or "unix /path"
                let _ = found.send(rest.split_once(' ').map(|(_, address)| address.to_owned()));
            }
        }
    });
    match endpoint.recv_timeout(PATIENCE) {
        Ok(Some(endpoint)) => Ok(endpoint),
        Ok(None) => bail!("the backend's line about where it listens has no address"),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            bail!("the backend does not listen after {PATIENCE:?}")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(anyhow!("the backend ended before it listened"))
        }
    }
}

/// Every process below this one.
pub fn descendants(of: i32) -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let pid: i32 = pid;
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // After the command in parentheses: state, parent.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let mut fields = rest.split_whitespace();
        let state = fields.next();
        let parent: Option<i32> = fields.next().and_then(|field| field.parse().ok());
        if let (Some(parent), true) = (parent, state != Some("Z")) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![of];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, theirs)| *theirs == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: `kill` touches no memory of ours.
    unsafe { libc::kill(pid, signal) };
}

/// The end of a long text.
pub fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(6000);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
