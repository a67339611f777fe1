//! Everything that `properties.json` may say, read and checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::json::{self, Node, Place, Value};
use super::{ConfigError, Endpoint, Token, unknown_protocol};
use crate::communicator;
use crate::lanes;

/// A protocol for both ends: programs of the same host through shared memory, others over the network.
const AUTO: &str = "auto";
const AUTO_MEANS: [&str; 2] = ["shm", "tcp"];
/// Lanes of a session where nothing else is said.
pub(super) const DEFAULT_LANES: u8 = 8;
/// Plugins that GVirtuS has or we have: known names are loaded if their library is there, unknown ones are reported.
const KNOWN_PLUGINS: &[&str] = &["cudart", "nvml", "cublas", "cudnn", "curand", "cufft"];
/// Names by which GVirtuS calls the driver level, which is `cudart` here.
const DRIVER_PLUGINS: &[&str] = &["cudadr", "cuda"];

/// Which device the workers use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The GPU if there is one, else the CPU device.
    #[default]
    Auto,
    /// The GPU's driver.
    Cuda,
    /// The CPU device.
    Cpu,
    /// A library that exports the driver API.
    Library(PathBuf),
}

impl DeviceChoice {
    /// As `properties.json` writes it.
    #[must_use]
    pub fn as_text(&self) -> String {
        match self {
            Self::Auto => "auto".into(),
            Self::Cuda => "cuda".into(),
            Self::Cpu => "cpu".into(),
            Self::Library(path) => path.display().to_string(),
        }
    }
}

/// What the CPU device pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    /// Number of devices.
    pub devices: Option<u32>,
    /// Memory per device, bytes.
    pub memory: Option<u64>,
}

/// Images of modules that a backend keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleCache {
    /// The directory; where users' caches are if it is not said.
    pub dir: Option<PathBuf>,
    /// The most bytes of all together; 0 for none.
    pub bytes: u64,
}

impl Default for ModuleCache {
    fn default() -> Self {
        Self {
            dir: None,
            bytes: 4 << 30,
        }
    }
}

/// One who may use the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Name.
    pub name: String,
    /// Shared secret.
    pub token: Token,
}

/// The content of a `properties.json`.
#[derive(Debug, Clone)]
pub struct Properties {
    /// The file.
    pub file: PathBuf,
    /// `communicator[].endpoint`, in order; at least one.
    pub endpoints: Vec<Endpoint>,
    /// `communicator[].plugins`, by our names, without duplicates; `cudart` is always among them.
    pub plugins: Vec<String>,
    /// `device`.
    pub device: DeviceChoice,
    /// `cpu`.
    pub cpu: Cpu,
    /// `tenants`: who may use the backend.
    pub tenants: Vec<Tenant>,
    /// `tenant` and `token` or `token_file`: who the client is.
    pub identity: Option<Tenant>,
    /// `allow_unauthenticated_remote`: listen beyond loopback without tenants.
    pub allow_unauthenticated_remote: bool,
    /// `warm_workers`: workers kept ready.
    pub warm_workers: usize,
    /// `lanes`: further connections of a session for large payloads; 0 for none.
    pub lanes: u8,
    /// `concurrent_managed_access`: a client says that processor and GPU may use managed memory at the same time.
    pub concurrent_managed_access: bool,
    /// `launch_threads`: how many threads of a worker issue launches where several threads of the program launch; as many as suit the machine if absent, none if below two.
    pub launch_threads: Option<usize>,
    /// `launch_chains`: whether launches that come faster than the driver takes them are issued together.
    pub launch_chains: bool,
    /// `module_cache`: where images of modules are kept for later sessions.
    pub module_cache: ModuleCache,
    /// `plugins_dir`: where plugins are looked for first.
    pub plugins_dir: Option<PathBuf>,
    /// `library_dirs`: where NVIDIA's libraries (cuBLAS, …) are looked for first.
    pub library_dirs: Vec<PathBuf>,
    /// `max_sessions`: more are refused as busy.
    pub max_sessions: usize,
    /// `connect_timeout`, seconds: how long a client tries to connect.
    pub connect_timeout: Duration,
    /// `handshake_timeout`, seconds: how long either side gives the other to say who it is.
    pub handshake_timeout: Duration,
    /// `worker_timeout`, seconds: how long a worker may take to make its device ready.
    pub worker_timeout: Duration,
    /// `drain_timeout`, seconds: how long a stopping daemon waits for sessions.
    pub drain_timeout: Duration,
    /// What was not understood and is ignored, each with file, line and column.
    pub warnings: Vec<String>,
}

impl Properties {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] that names file, line and column.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Reads a text; `file` is for messages and the base of relative paths.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let root =
            json::parse(text).map_err(|(place, message)| ConfigError::at(file, place, message))?;
        let mut read = Read {
            file,
            warnings: Vec::new(),
        };
        let properties = read.properties(&root)?;
        Ok(Self {
            warnings: read.warnings,
            ..properties
        })
    }

    /// What a daemon would be without a file's content: the base that a file's keys change.
    fn defaults(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            endpoints: Vec::new(),
            plugins: vec!["cudart".into()],
            device: DeviceChoice::Auto,
            cpu: Cpu::default(),
            tenants: Vec::new(),
            identity: None,
            allow_unauthenticated_remote: false,
            warm_workers: 1,
            lanes: DEFAULT_LANES,
            concurrent_managed_access: false,
            launch_threads: None,
            launch_chains: true,
            module_cache: ModuleCache::default(),
            plugins_dir: None,
            library_dirs: Vec::new(),
            max_sessions: 64,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            worker_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            warnings: Vec::new(),
        }
    }
}

type Members = [(String, Place, Node)];

struct Read<'a> {
    file: &'a Path,
    warnings: Vec<String>,
}

impl Read<'_> {
    fn wrong(&self, place: Place, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.file, place, message)
    }

    fn unexpected(&self, key: &str, node: &Node, accepted: &str) -> ConfigError {
        self.wrong(
            node.place,
            format!("{key} is {}; accepted: {accepted}", node.value),
        )
    }

    fn warn(&mut self, place: Place, message: &str) {
        self.warnings.push(format!(
            "{}:{}:{}: {message}",
            self.file.display(),
            place.line,
            place.column
        ));
    }

    fn unknown_key(&mut self, place: Place, key: &str, accepted: &str) {
        self.warn(
            place,
            &format!("key {key:?} is unknown and ignored; accepted: {accepted}"),
        );
    }

    fn properties(&mut self, root: &Node) -> Result<Properties, ConfigError> {
        const KEYS: &str = "communicator, secure_application, device, cpu, tenants, tenant, token, token_file, allow_unauthenticated_remote, \
            warm_workers, lanes, concurrent_managed_access, launch_threads, launch_chains, module_cache, plugins_dir, library_dirs, max_sessions, connect_timeout, handshake_timeout, worker_timeout, drain_timeout";
        let mut out = Properties::defaults(self.file);
        let mut tenant = None;
        let mut token = None;
        for (key, place, node) in self.object("the configuration", root)? {
            match key.as_str() {
                "communicator" => self.communicators(node, &mut out)?,
                "secure_application" => {
                    if self.boolean(key, node)? {
                        return Err(self.wrong(
                            node.place,
                            "secure_application is true, but TLS is not available yet; accepted: false (and a network that you trust, or a tunnel)",
                        ));
                    }
                }
                "plugins" => self.plugins(node, &mut out)?,
                "device" => out.device = self.device(node)?,
                "cpu" => out.cpu = self.cpu(node)?,
                "tenants" => out.tenants = self.tenants(node)?,
                "tenant" => tenant = Some((node.place, self.text(key, node)?.to_owned())),
                "token" | "token_file" => token = Some(self.token(key, node)?),
                "allow_unauthenticated_remote" => {
                    out.allow_unauthenticated_remote = self.boolean(key, node)?;
                }
                "warm_workers" => out.warm_workers = self.count(key, node, 0..=64)?,
                "lanes" => out.lanes = self.count(key, node, 0..=lanes::MOST)? as u8,
                "concurrent_managed_access" => {
                    out.concurrent_managed_access = self.boolean(key, node)?;
                }
                "launch_threads" => out.launch_threads = Some(self.count(key, node, 0..=16)?),
                "launch_chains" => out.launch_chains = self.boolean(key, node)?,
                "module_cache" => out.module_cache = self.module_cache(node)?,
                "plugins_dir" => out.plugins_dir = Some(self.path(key, node)?),
                "library_dirs" => out.library_dirs = self.paths(key, node)?,
                "max_sessions" => out.max_sessions = self.count(key, node, 1..=4096)?,
                "connect_timeout" => out.connect_timeout = self.seconds(key, node)?,
                "handshake_timeout" => out.handshake_timeout = self.seconds(key, node)?,
                "worker_timeout" => out.worker_timeout = self.seconds(key, node)?,
                "drain_timeout" => out.drain_timeout = self.seconds(key, node)?,
                _ => self.unknown_key(*place, key, KEYS),
            }
        }
        out.identity = match (tenant, token) {
            (tenant, Some(token)) => Some(Tenant {
                name: tenant.map_or_else(|| "default".into(), |(_, name)| name),
                token,
            }),
            (Some((place, name)), None) => {
                // The same file may serve both ends: the client's token is then among the tenants.
                let known = out.tenants.iter().find(|t| t.name == name).cloned();
                if known.is_none() {
                    self.warn(
                        place,
                        &format!("tenant {name:?} has no token: set token_file"),
                    );
                }
                known
            }
            (None, None) => match out.tenants.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
        };
        if out.endpoints.is_empty() {
            return Err(self.wrong(
                root.place,
                "communicator is missing; accepted: a list of {\"endpoint\": {…}, \"plugins\": […]}",
            ));
        }
        Ok(out)
    }

    fn communicators(&mut self, node: &Node, out: &mut Properties) -> Result<(), ConfigError> {
        let one = std::slice::from_ref(node);
        let list = match &node.value {
            Value::List(list) => list.as_slice(),
            Value::Object(_) => one,
            _ => return Err(self.unexpected("communicator", node, "a list of objects")),
        };
        for item in list {
            let mut endpoints = None;
            for (key, place, node) in self.object("communicator", item)? {
                match key.as_str() {
                    "endpoint" => endpoints = Some(self.endpoint(node)?),
                    "plugins" => self.plugins(node, out)?,
                    _ => self.unknown_key(*place, key, "endpoint, plugins"),
                }
            }
            out.endpoints.extend(endpoints.ok_or_else(|| {
                self.wrong(
                    item.place,
                    "endpoint is missing; accepted: {\"protocol\": …, \"server_address\": …, \"port\": …}",
                )
            })?);
        }
        Ok(())
    }

    /// One endpoint, or both that `"auto"` stands for.
    fn endpoint(&mut self, node: &Node) -> Result<Vec<Endpoint>, ConfigError> {
        let (mut protocol, mut address, mut port, mut path) = (None, None, None, None);
        let members = self.object("endpoint", node)?;
        for (key, place, node) in members {
            match key.as_str() {
                "suite" => {
                    self.text("endpoint.suite", node)?;
                }
                "protocol" => {
                    let name = self.text("endpoint.protocol", node)?;
                    protocol = Some(match name {
                        AUTO => AUTO_MEANS.to_vec(),
                        name => {
                            let known = communicator::by_protocol(name).ok_or_else(|| {
                                self.wrong(
                                    node.place,
                                    format!("endpoint.{}, {AUTO}", unknown_protocol(name)),
                                )
                            })?;
                            vec![known.protocol()]
                        }
                    });
                }
                "server_address" => {
                    let text = self.text("endpoint.server_address", node)?;
                    if text.is_empty() {
                        let accepted = "a host's name or address";
                        return Err(self.unexpected("endpoint.server_address", node, accepted));
                    }
                    address = Some(text.to_owned());
                }
                "port" => port = Some(self.port(node)?),
                "path" => path = Some(self.path("endpoint.path", node)?),
                _ => self.unknown_key(*place, key, "suite, protocol, server_address, port, path"),
            }
        }
        let missing = |key: &str, accepted: &str| {
            self.wrong(
                node.place,
                format!("endpoint.{key} is missing; accepted: {accepted}"),
            )
        };
        let protocols = protocol.ok_or_else(|| {
            missing(
                "protocol",
                &format!("{}, {AUTO}", communicator::protocols().join(", ")),
            )
        })?;
        let names = protocols.len();
        let endpoint = |protocol: &str| {
            let known = communicator::by_protocol(protocol);
            if known.is_some_and(communicator::Communicator::by_path) {
                // GVirtuS has no key for a path; a server_address that is one will do.
                let from_address = address.clone().filter(|a| a.starts_with('/') && names == 1);
                let path = path.clone().or(from_address.map(PathBuf::from));
                return Ok(Endpoint {
                    path: Some(path.ok_or_else(|| {
                        missing(
                            "path",
                            "for shm and unix the path of a socket, as \"/run/gvirtus.sock\"",
                        )
                    })?),
                    protocol: protocol.to_owned(),
                    server_address: String::new(),
                    port: 0,
                });
            }
            Ok(Endpoint {
                protocol: protocol.to_owned(),
                server_address: address
                    .clone()
                    .ok_or_else(|| missing("server_address", "for tcp a host's name or address"))?,
                port: port.ok_or_else(|| missing("port", "for tcp 0 to 65535"))?,
                path: None,
            })
        };
        protocols.into_iter().map(endpoint).collect()
    }

    fn port(&self, node: &Node) -> Result<u16, ConfigError> {
        let port = match &node.value {
            Value::Text(text) => text.trim().parse().ok(),
            Value::Number(n) if n.fract() == 0.0 && (0.0..=65535.0).contains(n) => Some(*n as u16),
            _ => None,
        };
        port.ok_or_else(|| self.unexpected("endpoint.port", node, "0 to 65535"))
    }

    fn plugins(&mut self, node: &Node, out: &mut Properties) -> Result<(), ConfigError> {
        let Value::List(list) = &node.value else {
            return Err(self.unexpected("plugins", node, "a list of names"));
        };
        for item in list {
            let name = self.text("plugins[]", item)?;
            let name = if DRIVER_PLUGINS.contains(&name) {
                "cudart"
            } else {
                name
            };
            if !KNOWN_PLUGINS.contains(&name) {
                self.warn(
                    item.place,
                    &format!(
                        "plugin {name:?} is not one of ours and is left out; accepted: {}",
                        KNOWN_PLUGINS.join(", ")
                    ),
                );
            } else if !out.plugins.iter().any(|p| p == name) {
                out.plugins.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn device(&self, node: &Node) -> Result<DeviceChoice, ConfigError> {
        match self.text("device", node)? {
            "auto" => Ok(DeviceChoice::Auto),
            "cuda" | "gpu" => Ok(DeviceChoice::Cuda),
            "cpu" => Ok(DeviceChoice::Cpu),
            path if path.contains('/') => Ok(DeviceChoice::Library(self.path("device", node)?)),
            _ => Err(self.unexpected(
                "device",
                node,
                "\"auto\", \"cuda\", \"cpu\", or the path of a library with the driver API",
            )),
        }
    }

    fn cpu(&mut self, node: &Node) -> Result<Cpu, ConfigError> {
        let mut cpu = Cpu::default();
        let Value::Object(members) = &node.value else {
            return Err(self.unexpected("cpu", node, "{\"devices\": 1, \"memory\": \"8GiB\"}"));
        };
        for (key, place, node) in members {
            match key.as_str() {
                "devices" => {
                    cpu.devices = Some(self.count("cpu.devices", node, 1..=16)? as u32);
                }
                "memory" => cpu.memory = Some(self.bytes("cpu.memory", node)?),
                _ => self.unknown_key(*place, key, "devices, memory"),
            }
        }
        Ok(cpu)
    }

    fn module_cache(&mut self, node: &Node) -> Result<ModuleCache, ConfigError> {
        let mut cache = ModuleCache::default();
        if let Value::Bool(kept) = &node.value {
            cache.bytes *= u64::from(*kept);
            return Ok(cache);
        }
        let Value::Object(members) = &node.value else {
            let accepted = "false, or {\"dir\": …, \"bytes\": \"4GiB\"}";
            return Err(self.unexpected("module_cache", node, accepted));
        };
        for (key, place, node) in members {
            match key.as_str() {
                "dir" => cache.dir = Some(self.path("module_cache.dir", node)?),
                "bytes" => cache.bytes = self.bytes("module_cache.bytes", node)?,
                _ => self.unknown_key(*place, key, "dir, bytes"),
            }
        }
        Ok(cache)
    }

    fn tenants(&mut self, node: &Node) -> Result<Vec<Tenant>, ConfigError> {
        let Value::List(list) = &node.value else {
            return Err(self.unexpected(
                "tenants",
                node,
                "a list of {\"name\": …, \"token_file\": …}",
            ));
        };
        let mut tenants: Vec<Tenant> = Vec::new();
        for item in list {
            let (mut name, mut token) = (None, None);
            for (key, place, node) in self.object("tenants[]", item)? {
                match key.as_str() {
                    "name" => name = Some(self.text("tenants[].name", node)?.to_owned()),
                    "token" | "token_file" => token = Some(self.token(key, node)?),
                    _ => self.unknown_key(*place, key, "name, token, token_file"),
                }
            }
            let (Some(name), Some(token)) = (name, token) else {
                return Err(self.wrong(
                    item.place,
                    "a tenant needs \"name\", and \"token\" or \"token_file\"",
                ));
            };
            if tenants.iter().any(|t| t.name == name) {
                return Err(self.wrong(
                    item.place,
                    format!("tenant {name:?} stands here a second time"),
                ));
            }
            tenants.push(Tenant { name, token });
        }
        Ok(tenants)
    }

    fn token(&self, key: &str, node: &Node) -> Result<Token, ConfigError> {
        if key == "token" {
            let text = self.text(key, node)?.trim();
            if text.is_empty() {
                return Err(self.wrong(node.place, "token is empty"));
            }
            return Ok(Token::new(text));
        }
        let path = self.path(key, node)?;
        Token::read(&path)
            .map_err(|e| self.wrong(node.place, format!("token_file {}: {e}", path.display())))
    }

    fn object<'n>(&self, what: &str, node: &'n Node) -> Result<&'n Members, ConfigError> {
        match &node.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.unexpected(what, node, "an object")),
        }
    }

    fn text<'n>(&self, key: &str, node: &'n Node) -> Result<&'n str, ConfigError> {
        match &node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.unexpected(key, node, "text in double quotes")),
        }
    }

    fn boolean(&self, key: &str, node: &Node) -> Result<bool, ConfigError> {
        match &node.value {
            Value::Bool(b) => Ok(*b),
            Value::Text(t) if t == "true" || t == "false" => Ok(t == "true"),
            _ => Err(self.unexpected(key, node, "true, false")),
        }
    }

    fn count(
        &self,
        key: &str,
        node: &Node,
        accepted: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, ConfigError> {
        let n = match &node.value {
            Value::Number(n) if n.fract() == 0.0 && *n >= 0.0 => Some(*n as usize),
            Value::Text(t) => t.trim().parse().ok(),
            _ => None,
        };
        n.filter(|n| accepted.contains(n)).ok_or_else(|| {
            self.unexpected(
                key,
                node,
                &format!("{} to {}", accepted.start(), accepted.end()),
            )
        })
    }

    fn seconds(&self, key: &str, node: &Node) -> Result<Duration, ConfigError> {
        match &node.value {
            Value::Number(n) if (0.001..=86400.0).contains(n) => Ok(Duration::from_secs_f64(*n)),
            _ => Err(self.unexpected(key, node, "seconds, 0.001 to 86400")),
        }
    }

    fn bytes(&self, key: &str, node: &Node) -> Result<u64, ConfigError> {
        const UNITS: [(&str, u64); 7] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("", 1),
        ];
        let n = match &node.value {
            Value::Number(n) if n.fract() == 0.0 && *n > 0.0 && *n < 1e18 => Some(*n as u64),
            Value::Text(text) => UNITS
                .iter()
                .find_map(|(unit, factor)| Some((text.trim().strip_suffix(unit)?, factor)))
                .and_then(|(number, factor)| {
                    number.trim().parse::<u64>().ok()?.checked_mul(*factor)
                })
                .filter(|n| *n > 0),
            _ => None,
        };
        n.ok_or_else(|| self.unexpected(key, node, "bytes, or text as \"4GiB\""))
    }

    /// One path, or a list.
    fn paths(&self, key: &str, node: &Node) -> Result<Vec<PathBuf>, ConfigError> {
        match &node.value {
            Value::List(list) => list.iter().map(|item| self.path(key, item)).collect(),
            Value::Text(_) => self.path(key, node).map(|path| vec![path]),
            _ => Err(self.unexpected(key, node, "a path, or a list of paths")),
        }
    }

    /// A path; relative ones start at the file's directory.
    fn path(&self, key: &str, node: &Node) -> Result<PathBuf, ConfigError> {
        let text = self.text(key, node)?;
        if text.is_empty() {
            return Err(self.unexpected(key, node, "a path"));
        }
        Ok(match self.file.parent() {
            Some(base) => base.join(text),
            None => text.into(),
        })
    }
}
