//! A daemon as a process, and a client that speaks frames to its worker.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::{self, REPLY, SNAPSHOT, Snapshot};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::command::Command as WireCommand;
use gvirtus_wire::communicator::{self, Connection};
use gvirtus_wire::config::Endpoint;
use gvirtus_wire::frame::{FLAG_WANTS_REPLY, HEADER_LEN, Header};
use gvirtus_wire::handshake::{self, Admitted, ClientParams, HandshakeError};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Daemon {
    pub(crate) process: Child,
    pub(crate) endpoint: Endpoint,
    pub(crate) log: Arc<Mutex<String>>,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn fake_plugin() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.parent().unwrap().parent().unwrap();
    target.join("examples/libfake_plugin.so")
}

/// A directory with the fake plugin and a configuration: `keys` go beside the endpoint.
pub(crate) fn directory(endpoint: &str, keys: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plugins")).unwrap();
    std::os::unix::fs::symlink(
        fake_plugin(),
        dir.path().join("plugins/libgvirtus_plugin_cudart.so"),
    )
    .unwrap();
    let config = format!(
        r#"{{"communicator": [{{"endpoint": {endpoint}, "plugins": ["cudart"]}}], "plugins_dir": "plugins" {keys}}}"#
    );
    std::fs::write(dir.path().join("properties.json"), config).unwrap();
    dir
}

pub(crate) const TCP: &str = r#"{"protocol": "tcp", "server_address": "127.0.0.1", "port": "0"}"#;

pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gvirtus-backend"));
    command
        .arg(dir.join("properties.json"))
        .env("GVIRTUS_LOGLEVEL", "debug")
        .env_remove("CUDA_VISIBLE_DEVICES");
    command
}

impl Daemon {
    pub(crate) fn start(endpoint: &str, keys: &str) -> Self {
        let dir = directory(endpoint, keys);
        let mut process = command(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, sink) = (process.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let address = ready
            .trim_end()
            .strip_prefix("gvirtus-backend listening on ")
            .unwrap_or_else(|| panic!("{ready:?}: {}", log.lock().unwrap()));
        let endpoint = address.replacen(' ', "://", 1).parse().unwrap();
        Self {
            process,
            endpoint,
            log,
            dir,
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), || {
            self.log().contains(text)
        });
    }

    pub(crate) fn connect(&self) -> Connection {
        communicator::connect(&self.endpoint, PATIENCE, None).unwrap()
    }

    pub(crate) fn open(&self) -> Session {
        self.try_open(&params()).unwrap()
    }

    pub(crate) fn try_open(&self, params: &ClientParams) -> Result<Session, HandshakeError> {
        let mut connection = self.connect();
        let admitted = handshake::client(&mut connection, params)?;
        let mut session = Session {
            connection,
            admitted,
            sequence: 0,
            snapshot: Snapshot::default(),
        };
        let (header, payload, _) = session.receive();
        assert_eq!(header.opcode, SNAPSHOT);
        session.snapshot = decode_all(&payload).unwrap();
        Ok(session)
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&handshake::status(&self.client()).unwrap()).unwrap()
    }

    /// A client's settings.
    pub(crate) fn client(&self) -> gvirtus_wire::config::Client {
        gvirtus_wire::config::Client {
            file: None,
            endpoint: self.endpoint.clone(),
            identity: None,
            connect_timeout: PATIENCE,
            handshake_timeout: PATIENCE,
            session_timeout: PATIENCE,
            lanes: 0,
            concurrent_managed_access: false,
            emulation: None,
            warnings: vec![],
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

pub(crate) fn wait(process: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "it does not exit");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Whether a process runs; a zombie does not.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

pub(crate) fn params() -> ClientParams {
    ClientParams {
        endpoint: "the test's daemon".into(),
        identity: None,
        commands: handshake::commands(),
        environment: vec![],
        shared_memory: false,
        greeting_timeout: PATIENCE,
        timeout: PATIENCE,
    }
}

pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) admitted: Admitted,
    pub(crate) sequence: u64,
    pub(crate) snapshot: Snapshot,
}

impl Session {
    pub(crate) fn send<C: WireCommand>(&mut self, command: &C, flags: u16, bulk: &[u8]) -> u64 {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        self.send_raw(C::OPCODE, flags, &payload, bulk)
    }

    pub(crate) fn send_raw(&mut self, opcode: u16, flags: u16, payload: &[u8], bulk: &[u8]) -> u64 {
        self.sequence += 1;
        let header = Header {
            len: payload.len() as u32,
            opcode,
            flags,
            sequence: self.sequence,
            thread: 7,
            bulk: bulk.len() as u64,
            ..Header::default()
        };
        let message = [&header.to_bytes()[..], payload, bulk].concat();
        self.connection.sender.send(&message).unwrap();
        self.sequence
    }

    pub(crate) fn receive(&mut self) -> (Header, Vec<u8>, Vec<u8>) {
        let receiver = &mut self.connection.receiver;
        receiver.set_timeout(Some(PATIENCE)).unwrap();
        let mut header = [0; HEADER_LEN];
        receiver.read_exact(&mut header).unwrap();
        let header = Header::from_bytes(&header).unwrap();
        let mut payload = vec![0; header.len as usize];
        receiver.read_exact(&mut payload).unwrap();
        let mut bulk = vec![0; header.bulk as usize];
        receiver.read_exact(&mut bulk).unwrap();
        (header, payload, bulk)
    }

    pub(crate) fn ping(&mut self) {
        let sequence = self.send(&core::Ping {}, FLAG_WANTS_REPLY, &[]);
        let (header, ..) = self.receive();
        assert_eq!(
            (header.opcode, header.sequence, header.context),
            (REPLY, sequence, 0)
        );
        assert_ne!(header.trace, 0, "the worker's clock");
    }

    pub(crate) fn ended(&mut self) -> bool {
        self.connection
            .receiver
            .set_timeout(Some(PATIENCE))
            .unwrap();
        let mut rest = [0; 4096];
        loop {
            match self.connection.receiver.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    pub(crate) fn copy(width: u64) -> core::Copy {
        core::Copy {
            extent: core::Extent {
                width,
                height: 1,
                depth: 1,
            },
            ..core::Copy::default()
        }
    }
}

pub(crate) fn refused(endpoint: &str, keys: &str) -> (i32, String) {
    let dir = directory(endpoint, keys);
    run_to_end(command(dir.path()))
}

pub(crate) fn run_to_end(mut command: Command) -> (i32, String) {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // A program that was copied just now is "busy" while a child that another test forks meanwhile has its descriptor, until that child has executed.
    let busy = |spawned: &std::io::Result<std::process::Child>| matches!(spawned, Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy);
    let mut spawned = command.spawn();
    for _ in 0..100 {
        if !busy(&spawned) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        spawned = command.spawn();
    }
    let mut process = spawned.unwrap();
    let mut text = String::new();
    let code = wait(&mut process).code().unwrap();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    (code, text)
}
