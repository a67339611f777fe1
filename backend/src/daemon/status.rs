//! The daemon's state, as `gvirtus status` shows it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use gvirtus_wire::handshake::{self, LaneDoor, Request};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::admission::Daemon;
use super::process::Worker;
use crate::control::{Counters, MAX_MESSAGE, SessionInfo};

/// A session, as far as the daemon knows it.
pub(super) struct Session {
    tenant: Option<String>,
    host: String,
    pid: u32,
    program: String,
    peer: String,
    since: Instant,
    /// 0 while it waits for a worker.
    pub(super) worker: u32,
    pub(super) counters: Option<Arc<Mutex<Counters>>>,
    /// Once its worker has it: what lets lanes in, and where they go.
    pub(super) lanes: Option<(LaneDoor, Weak<Worker>)>,
}

impl Session {
    /// Whose it is, where there are tenants.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl Session {
    pub(super) fn new(request: &Request, peer: &str) -> Self {
        Self {
            tenant: request.tenant.clone(),
            host: request.hello.host.clone(),
            pid: request.hello.pid,
            program: request.hello.program.clone(),
            peer: peer.to_owned(),
            since: Instant::now(),
            worker: 0,
            counters: None,
            lanes: None,
        }
    }
}

/// The sessions that session `number` may know of: those of its tenant that have a worker, as many as a message holds.
pub(super) fn known_to(sessions: &BTreeMap<u64, Session>, number: u64) -> Vec<SessionInfo> {
    let Some(asking) = sessions.get(&number) else {
        return Vec::new();
    };
    let mut room = MAX_MESSAGE / 2;
    sessions
        .values()
        .filter(|s| s.tenant == asking.tenant && s.worker != 0)
        .map(|s| SessionInfo {
            worker: s.worker,
            pid: s.pid,
            host: s.host.clone(),
            program: s.program.clone(),
        })
        .take_while(|s| {
            // Characters may be escaped, to six bytes each.
            let size = 100 + 6 * (s.host.len() + s.program.len());
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .collect()
}

/// One line about a client, for logs. What it says of itself is quoted: it may say anything.
pub(super) fn describe(request: &Request, peer: &str) -> String {
    format!(
        "{:?} (pid {} on {:?}, from {peer}{})",
        request.hello.program,
        request.hello.pid,
        request.hello.host,
        match &request.tenant {
            Some(tenant) => format!(", tenant {tenant:?}"),
            None => String::new(),
        }
    )
}

/// The state of the daemon.
pub(super) fn json(daemon: &Daemon) -> Value {
    let latest = daemon.pool.latest();
    let ready = latest.ready.as_deref();
    let provisions = daemon.pool.provisions();
    let missing = provisions
        .missing
        .iter()
        .map(|name| json!({"name": name, "state": "missing"}));
    let plugins: Vec<Value> = provisions
        .plugins
        .iter()
        .map(|(name, path)| {
            let failed = ready.and_then(|r| r.failed_plugins.iter().find(|(n, _)| n == name));
            let state = match (failed, ready) {
                (Some(_), _) => "failed",
                (None, Some(_)) => "loaded",
                (None, None) => "unknown",
            };
            json!({"name": name, "state": state, "path": path, "detail": failed.map(|(_, why)| why)})
        })
        .chain(missing)
        .collect();
    let sessions: Vec<Value> = daemon
        .sessions
        .lock()
        .iter()
        .map(|(number, s)| {
            let counters = s.counters.as_ref().map(|c| *c.lock());
            json!({
                "id": number,
                "tenant": s.tenant,
                "host": s.host,
                "pid": s.pid,
                "program": s.program,
                "peer": s.peer,
                "seconds": s.since.elapsed().as_secs_f64(),
                "worker": s.worker,
                "counters": counters,
            })
        })
        .collect();
    let warm = daemon.pool.warm();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": handshake::VERSION,
        "pid": std::process::id(),
        "seconds": daemon.started.elapsed().as_secs_f64(),
        "listening": daemon.listening,
        "stopping": daemon.stopping.load(Ordering::Acquire),
        "device": {
            "configured": daemon.properties.device.as_text(),
            "kind": ready.map(|r| if r.cpu { "cpu" } else { "cuda" }),
            "names": ready.map(|r| r.devices.clone()),
            "driver_version": ready.map(|r| r.driver_version),
            "failure": latest.failure,
        },
        "plugins": plugins,
        "warm_workers": warm.iter().map(|(pid, ready)| json!({"pid": pid, "ready": ready})).collect::<Vec<_>>(),
        "sessions": sessions,
        "max_sessions": daemon.properties.max_sessions,
        "sessions_so_far": daemon.next_session.load(Ordering::Relaxed) - 1,
        "refused_so_far": daemon.refused.load(Ordering::Relaxed),
    })
}
