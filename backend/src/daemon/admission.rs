//! From an accepted connection to a worker that serves it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use gvirtus_wire::auth::{self, Nonce};
use gvirtus_wire::communicator::{self, Connection};
use gvirtus_wire::config::Properties;
use gvirtus_wire::handshake::{
    self, Kind, LaneDoor, Reason, Request, ServerError, ServerParams, commands,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Provisions;
use super::pool::Pool;
use super::process::{Environment, Worker, exited};
use super::status::{self, Session};
use crate::control::ToWorker;

/// Connections in their handshake at once. More are closed at once: an attacker who holds all of them is rid of after `handshake_timeout`.
const MAX_HANDSHAKES: usize = 256;

/// What the daemon's tasks share.
pub(super) struct Daemon {
    pub(super) properties: Properties,
    pub(super) listening: Vec<String>,
    pub(super) pool: Pool,
    pub(super) sessions: Mutex<BTreeMap<u64, Session>>,
    pub(super) stopping: AtomicBool,
    pub(super) started: Instant,
    /// Sessions so far, and their next number.
    pub(super) next_session: AtomicU64,
    /// Connections turned away so far.
    pub(super) refused: AtomicU64,
    handshakes: Arc<Semaphore>,
    commands: Vec<(u16, u16)>,
}

impl Daemon {
    pub(super) fn new(
        properties: Properties,
        provisions: Provisions,
        listening: Vec<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool: Pool::new(
                provisions,
                properties.warm_workers,
                properties.worker_timeout,
            ),
            properties,
            listening,
            sessions: Mutex::default(),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            next_session: AtomicU64::new(1),
            refused: AtomicU64::new(0),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            commands: commands(),
        })
    }
}

/// Takes care of a connection from its handshake to the end of its session.
pub(super) fn spawn(daemon: &Arc<Daemon>, connection: Connection) {
    let Ok(permit) = Arc::clone(&daemon.handshakes).try_acquire_owned() else {
        tracing::warn!("{}: too many handshakes at once", connection.peer);
        daemon.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let daemon = Arc::clone(daemon);
    tokio::spawn(async move {
        let peer = connection.peer.clone();
        let for_thread = Arc::clone(&daemon);
        let heard = spawn_blocking(move || for_thread.hear(connection)).await;
        drop(permit);
        let outcome = match heard {
            Ok(Ok((connection, request))) => daemon.answer(connection, request).await,
            Ok(Err(e)) => Err(e),
            // A panic in there is a fault of ours, and this connection's alone.
            Err(e) => Err(ServerError::Io(std::io::Error::other(e))),
        };
        // Whether or not its worker was used.
        daemon.pool.refill();
        if let Err(e) = outcome {
            daemon.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("{peer}: not admitted: {e}");
        }
    });
}

impl Daemon {
    fn hear(&self, mut connection: Connection) -> Result<(Connection, Request), ServerError> {
        let params = ServerParams {
            tenants: &self.properties.tenants,
            commands: &self.commands,
            timeout: self.properties.handshake_timeout,
        };
        let request = handshake::server(&mut connection, &params)?;
        Ok((connection, request))
    }

    async fn answer(
        self: &Arc<Self>,
        connection: Connection,
        request: Request,
    ) -> Result<(), ServerError> {
        match request.kind() {
            Kind::Status => {
                let json = status::json(self).to_string();
                blocking(connection, move |c| request.status(c, json)).await?;
                Ok(())
            }
            Kind::Session => self.session(connection, request).await,
            Kind::Lane {
                session,
                token,
                number,
                of,
            } => {
                let worker = self.door(&request, session, &token, number, of);
                let Some(worker) = worker else {
                    let message = "no such session, or not this lane";
                    return refuse(connection, request, Reason::NoSuchSession, message).await;
                };
                let message = ToWorker::Lane {
                    protocol: connection.protocol.to_owned(),
                    of,
                };
                // First the verdict: what follows it is the worker's.
                let connection = blocking(connection, |c| request.join(c)).await?;
                worker.assign(&message, &connection.into_fds()?).await?;
                Ok(())
            }
        }
    }

    async fn session(
        self: &Arc<Self>,
        connection: Connection,
        request: Request,
    ) -> Result<(), ServerError> {
        if self.stopping.load(Ordering::Acquire) {
            return refuse(connection, request, Reason::Stopping, "it is about to stop").await;
        }
        let Some(place) = self.reserve(&connection, &request) else {
            let max = self.properties.max_sessions;
            let message = format!("all {max} sessions are taken (max_sessions); try again later");
            return refuse(connection, request, Reason::Busy, &message).await;
        };
        let environment = environment(&request.hello.environment, |name| std::env::var(name).ok());
        let worker = match self.pool.take(environment).await {
            Ok(worker) => worker,
            Err(why) => {
                let message = format!("its device is not usable: {why}");
                return refuse(connection, request, Reason::Unavailable, &message).await;
            }
        };
        let client = status::describe(&request, &connection.peer);
        let shared_memory = request.shared_memory(&connection);
        let has_lanes = !shared_memory
            && communicator::by_protocol(connection.protocol).is_some_and(|c| c.has_lanes());
        let door = LaneDoor::new(if has_lanes { self.properties.lanes } else { 0 });
        let message = ToWorker::Session {
            session: place.number,
            protocol: connection.protocol.to_owned(),
            client: client.clone(),
            opcodes: request.commands.iter().map(|(opcode, _)| *opcode).collect(),
            shared_memory,
            tenant: request.tenant.clone(),
            lanes: has_lanes && self.properties.lanes > 0,
        };
        let number = place.number;
        let offered = door.clone();
        let connection = blocking(connection, move |c| {
            request.admit(c, number, auth::nonce(), &offered)
        })
        .await?;
        let worker = Arc::new(worker);
        if let Some(session) = self.sessions.lock().get_mut(&number) {
            session.worker = worker.pid;
            session.counters = Some(Arc::clone(&worker.counters));
            // A client that does as it should opens lanes when it has heard of its worker.
            session.lanes = Some((door, Arc::downgrade(&worker)));
        }
        worker.assign(&message, &connection.into_fds()?).await?;
        tracing::info!("session {number}: {client}, worker {}", worker.pid);
        tokio::spawn(Arc::clone(self).until_end(worker, place, client));
        Ok(())
    }

    /// The worker that a lane may join.
    fn door(
        &self,
        request: &Request,
        session: u64,
        token: &Nonce,
        number: u8,
        of: u8,
    ) -> Option<Arc<Worker>> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(&session)?;
        let same_tenant = session.tenant() == request.tenant.as_deref();
        let (door, worker) = session.lanes.as_mut()?;
        (same_tenant && door.admit(token, number, of))
            .then(|| worker.upgrade())
            .flatten()
    }

    /// A place among the sessions, given back when dropped; `None` if there is none.
    fn reserve(self: &Arc<Self>, connection: &Connection, request: &Request) -> Option<Place> {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.properties.max_sessions {
            return None;
        }
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        sessions.insert(number, Session::new(request, &connection.peer));
        Some(Place {
            daemon: Arc::clone(self),
            number,
        })
    }

    async fn until_end(self: Arc<Self>, worker: Arc<Worker>, place: Place, client: String) {
        let number = place.number;
        let end = exited(worker.state.clone());
        tokio::pin!(end);
        let (how, abnormal) = loop {
            tokio::select! {
                end = &mut end => break end,
                () = worker.asks.notified() => {
                    let known = status::known_to(&self.sessions.lock(), number);
                    if let Err(e) = worker.tell(&ToWorker::Sessions(known)).await {
                        tracing::debug!("session {number}: its worker does not listen: {e}");
                    }
                }
            }
        };
        if abnormal {
            tracing::error!("session {number}: {client}: worker {} {how}", worker.pid);
        } else {
            tracing::info!("session {number}: worker {} {how}", worker.pid);
        }
    }
}

/// A session's place.
struct Place {
    daemon: Arc<Daemon>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.daemon.sessions.lock().remove(&self.number);
    }
}

/// Sends on a connection without holding up the daemon's threads.
async fn blocking(
    mut connection: Connection,
    f: impl FnOnce(&mut Connection) -> Result<(), ServerError> + Send + 'static,
) -> Result<Connection, ServerError> {
    spawn_blocking(move || f(&mut connection).map(|()| connection))
        .await
        .map_err(|e| ServerError::Io(std::io::Error::other(e)))?
}

async fn refuse(
    connection: Connection,
    request: Request,
    reason: Reason,
    message: &str,
) -> Result<(), ServerError> {
    let text = message.to_owned();
    blocking(connection, move |c| request.refuse(c, reason, &text)).await?;
    Err(ServerError::Io(std::io::Error::other(message.to_owned())))
}

/// The client's variables as its worker gets them: the administrator's come first, and visible devices are chosen among those that the daemon may use.
fn environment(
    client: &[(String, String)],
    daemon: impl Fn(&str) -> Option<String>,
) -> Environment {
    let mut out: Environment = client
        .iter()
        .filter_map(|(name, value)| match daemon(name) {
            Some(ours) if name == "CUDA_VISIBLE_DEVICES" => {
                Some((name.clone(), visible(&ours, value)))
            }
            Some(_) => None,
            None => Some((name.clone(), value.clone())),
        })
        .collect();
    out.sort();
    out
}

/// Devices that `theirs` chooses, by position or name, out of `ours`. As natively, the first that is not there ends the list.
fn visible(ours: &str, theirs: &str) -> String {
    let ours: Vec<&str> = ours.split(',').map(str::trim).collect();
    let chosen: Vec<&str> = theirs
        .split(',')
        .map(str::trim)
        .map_while(|one| match one.parse::<usize>() {
            Ok(position) => ours.get(position).copied(),
            Err(_) => ours.iter().copied().find(|o| *o == one && !one.is_empty()),
        })
        .collect();
    if chosen.is_empty() {
        // An empty list would mean "all" to some readers; -1 means none to the driver.
        "-1".into()
    } else {
        chosen.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_no_more_devices_than_the_daemon() {
        assert_eq!(visible("2,5,7", "1"), "5");
        assert_eq!(visible("2,5,7", "2,0"), "7,2");
        assert_eq!(visible("2,5,7", "0,3,1"), "2");
        assert_eq!(visible("2,5,7", "-1"), "-1");
        assert_eq!(visible("2,5,7", ""), "-1");
        assert_eq!(visible("GPU-a,GPU-b", "GPU-b"), "GPU-b");
        assert_eq!(visible("GPU-a,GPU-b", "GPU-c"), "-1");
    }

    #[test]
    fn the_administrators_variables_win() {
        let client = [
            ("CUDA_MODULE_LOADING".to_owned(), "LAZY".to_owned()),
            ("CUDA_VISIBLE_DEVICES".to_owned(), "0".to_owned()),
            ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()),
        ];
        let daemon = |name: &str| match name {
            "CUDA_MODULE_LOADING" => Some("EAGER".to_owned()),
            "CUDA_VISIBLE_DEVICES" => Some("3".to_owned()),
            _ => None,
        };
        assert_eq!(
            environment(&client, daemon),
            [
                ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()),
                ("CUDA_VISIBLE_DEVICES".to_owned(), "3".to_owned()),
            ]
        );
    }
}
