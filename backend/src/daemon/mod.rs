//! The daemon: listens, admits, and hands each session to a worker process. It never touches CUDA.
//!
//! # Layout
//! * here: start, stop, what is checked first.
//! * `admission`: from an accepted connection to a worker that serves it.
//! * `pool`: workers kept warm. `process`: one worker process as the daemon sees it.
//! * `status`: what `gvirtus status` shows.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use gvirtus_wire::communicator::{self, Connection, Listener};
use gvirtus_wire::config::{DeviceChoice, Properties};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::{exit, plugins};

mod admission;
mod pool;
mod process;
mod status;

use admission::Daemon;

/// Why the daemon does not run, and the exit code.
pub(crate) struct Stop {
    pub(crate) code: u8,
    pub(crate) message: String,
}

/// What workers are told, found out once.
struct Provisions {
    /// Name and library of each plugin.
    plugins: Vec<(String, PathBuf)>,
    /// Plugins that have no library.
    missing: Vec<String>,
    /// For their `create`.
    config: Value,
    /// Set in a worker's environment.
    environment: Vec<(&'static str, String)>,
}

/// Checks what can be checked without listening.
pub(crate) fn check(properties: &Properties) -> Result<(), Stop> {
    provisions(properties)?;
    secure(properties)
}

/// What the configuration names and is not there, though the daemon can do without.
pub(crate) fn doubts(properties: &Properties) -> Vec<String> {
    let plugins = properties
        .plugins_dir
        .iter()
        .map(|dir| ("plugins_dir", dir));
    let libraries = properties
        .library_dirs
        .iter()
        .map(|dir| ("library_dirs", dir));
    plugins
        .chain(libraries)
        .filter(|(_, dir)| !dir.is_dir())
        .map(|(key, dir)| {
            let file = properties.file.display();
            format!(
                "{file}: {key}: {} is no directory; we look elsewhere",
                dir.display()
            )
        })
        .collect()
}

/// Serves until told to stop.
pub(crate) fn run(properties: Properties) -> Result<(), Stop> {
    let provisions = provisions(&properties)?;
    for name in &provisions.missing {
        tracing::warn!(
            "plugin {name} is not there; its calls will be \"not supported\" (looked in {})",
            paths(&plugins::directories(&properties))
        );
    }
    secure(&properties)?;
    more_descriptors();
    let listeners = properties
        .endpoints
        .iter()
        .map(|endpoint| {
            communicator::listen(endpoint).map_err(|e| Stop {
                code: exit::LISTEN,
                message: format!("cannot listen on {endpoint}: {e}{}", hint(&e)),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| internal(&e))?;
    let result = runtime.block_on(serve(properties, provisions, listeners));
    // Threads in a handshake are left behind.
    runtime.shutdown_background();
    result
}

fn hint(e: &std::io::Error) -> &'static str {
    match e.kind() {
        // What the path of a socket has against it says itself what is wrong.
        _ if e.raw_os_error().is_none() => "",
        std::io::ErrorKind::AddrInUse => {
            "; another backend runs there: stop it, or choose another port or path"
        }
        std::io::ErrorKind::AddrNotAvailable => "; this host has no such address",
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 and foreign directories need privileges"
        }
        _ => "",
    }
}

fn internal(e: &std::io::Error) -> Stop {
    Stop {
        code: exit::INTERNAL,
        message: e.to_string(),
    }
}

fn paths(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

/// Many sessions need many descriptors; the soft limit is often 1024.
fn more_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit of open files stays as it is: {e}");
    }
}

fn provisions(properties: &Properties) -> Result<Provisions, Stop> {
    let directories = plugins::directories(properties);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &properties.plugins {
        match plugins::find(&directories, name) {
            Some(path) => found.push((name.clone(), path)),
            None => missing.push(name.clone()),
        }
    }
    if missing.iter().any(|name| name == "cudart") {
        return Err(Stop {
            code: exit::PLUGIN,
            message: format!(
                "plugin cudart (libgvirtus_plugin_cudart.so) is not in any of {}; set plugins_dir or GVIRTUS_HOME",
                paths(&directories)
            ),
        });
    }
    if let DeviceChoice::Library(library) = &properties.device
        && !library.is_file()
    {
        return Err(Stop {
            code: exit::CONFIG,
            message: format!(
                "{}: device is {:?}, and there is no such file; accepted: \"auto\", \"cuda\", \"cpu\", or the path of a library with the driver API",
                properties.file.display(),
                library.display().to_string()
            ),
        });
    }
    let mut environment = Vec::new();
    if let Some(devices) = properties.cpu.devices {
        environment.push(("GVIRTUS_CPU_DEVICES", devices.to_string()));
    }
    if let Some(memory) = properties.cpu.memory {
        environment.push(("GVIRTUS_CPU_MEMORY", memory.to_string()));
    }
    Ok(Provisions {
        plugins: found,
        missing,
        config: json!({
            "device": properties.device.as_text(),
            "cpu_library": plugins::cpu_library().map(|p| p.display().to_string()),
            "plugins_dir": properties.plugins_dir.as_ref().map(|p| p.display().to_string()),
            "library_dirs": properties.library_dirs.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
            "cpu": {"devices": properties.cpu.devices, "memory": properties.cpu.memory},
            "module_cache": module_cache(properties),
            "launch_threads": properties.launch_threads,
            "launch_chains": properties.launch_chains,
        }),
        environment,
    })
}

/// Where workers keep images of modules; null for nowhere.
fn module_cache(properties: &Properties) -> Value {
    let cache = &properties.module_cache;
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let users = || {
        // systemd's comes first: a service of its own has no home.
        let known = absolute("CACHE_DIRECTORY")
            .or_else(|| absolute("XDG_CACHE_HOME"))
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        known.map(|path| path.join("gvirtus/modules"))
    };
    match cache.dir.clone().or_else(users) {
        Some(dir) if cache.bytes > 0 => json!({"dir": dir, "bytes": cache.bytes}),
        _ => Value::Null,
    }
}

/// Whoever reaches the daemon may run code on the GPU: beyond this host that takes credentials, or a decision in so many words.
fn secure(properties: &Properties) -> Result<(), Stop> {
    if !properties.tenants.is_empty() {
        return Ok(());
    }
    for endpoint in &properties.endpoints {
        let local = communicator::is_local(endpoint).map_err(|e| Stop {
            code: exit::LISTEN,
            message: format!("cannot listen on {endpoint}: {e}"),
        })?;
        if local {
            continue;
        }
        if !properties.allow_unauthenticated_remote {
            return Err(Stop {
                code: exit::INSECURE,
                message: format!(
                    "{endpoint} can be reached from other hosts, and anybody there could use the GPU: configure tenants with token_file in {}, \
                     listen on 127.0.0.1, or set \"allow_unauthenticated_remote\": true if that is what you want",
                    properties.file.display()
                ),
            });
        }
        tracing::warn!(
            "{endpoint}: anybody who reaches it may use the GPU (allow_unauthenticated_remote)"
        );
    }
    Ok(())
}

async fn serve(
    properties: Properties,
    provisions: Provisions,
    listeners: Vec<Box<dyn Listener>>,
) -> Result<(), Stop> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| internal(&e))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| internal(&e))?;
    let listeners: Vec<Arc<dyn Listener>> = listeners.into_iter().map(Arc::from).collect();
    let drain_timeout = properties.drain_timeout;
    let daemon = Daemon::new(
        properties,
        provisions,
        listeners.iter().map(|l| l.address()).collect(),
    );
    daemon.pool.refill();

    let (accepted, mut connections) = mpsc::channel(64);
    for listener in &listeners {
        let (listener, accepted) = (Arc::clone(listener), accepted.clone());
        thread::Builder::new()
            .name("accept".into())
            .spawn(move || accept(listener.as_ref(), &accepted))
            .map_err(|e| internal(&e))?;
    }
    drop(accepted);
    for listener in &listeners {
        let address = listener.address();
        println!("gvirtus-backend listening on {address}");
        tracing::info!("listening on {address}");
    }

    loop {
        tokio::select! {
            Some(connection) = connections.recv() => admission::spawn(&daemon, connection),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }

    daemon.stopping.store(true, Ordering::Release);
    listeners.iter().for_each(|l| l.close());
    daemon.pool.close();
    let sessions = daemon.sessions.lock().len();
    if sessions > 0 {
        tracing::info!("stopping; {sessions} session(s) may go on for up to {drain_timeout:?}");
    }
    let give_up = Instant::now() + drain_timeout;
    while !daemon.sessions.lock().is_empty() && Instant::now() < give_up {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let left = daemon.sessions.lock().len();
    if left > 0 {
        tracing::warn!("stopped; {left} session(s) were cut off");
    } else {
        tracing::info!("stopped");
    }
    Ok(())
}

fn accept(listener: &dyn Listener, accepted: &mpsc::Sender<Connection>) {
    loop {
        match listener.accept() {
            Ok(connection) => {
                if accepted.blocking_send(connection).is_err() {
                    return;
                }
            }
            Err(e) if accepted.is_closed() || e.kind() == std::io::ErrorKind::NotConnected => {
                return;
            }
            Err(e) => {
                // Out of descriptors, most likely: sessions that end give some back.
                tracing::warn!("accept on {}: {e}", listener.address());
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
