//! The client's side of the handshake.

use std::io;
use std::time::Duration;

use super::error::{HandshakeError, Reason};
use super::message::{
    Auth, Challenge, Deadline, Hello, Identity, Kind, PREAMBLE, Sealed, Verdict, decode, encode,
    invalid, parse_preamble, preamble, send,
};
use super::{ENVIRONMENT, OLDEST_VERSION, VERSION, commands, negotiate};
use crate::auth::{self, Nonce, Role, Transcript};
use crate::communicator::{self, Connection};
use crate::config::{self, Tenant};

/// What a client brings along.
#[derive(Debug, Clone)]
pub struct ClientParams {
    /// The endpoint, for messages.
    pub endpoint: String,
    /// Who we are.
    pub identity: Option<Tenant>,
    /// Opcode and revision of every command that we know.
    pub commands: Vec<(u16, u16)>,
    /// Variables for the worker, from [`ENVIRONMENT`].
    pub environment: Vec<(String, String)>,
    /// Whether we would go on over shared memory.
    pub shared_memory: bool,
    /// How long what listens there may take for its first words.
    pub greeting_timeout: Duration,
    /// How long the whole handshake may take; a cold worker start falls into it.
    pub timeout: Duration,
}

impl ClientParams {
    /// This process, with these settings.
    #[must_use]
    pub fn new(config: &config::Client) -> Self {
        Self {
            endpoint: config.endpoint.to_string(),
            identity: config.identity.clone(),
            commands: commands(),
            environment: ENVIRONMENT
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
                .collect(),
            // Distance is emulated around the socket.
            shared_memory: config.endpoint.protocol == communicator::shm::PROTOCOL
                && config.emulation.is_none(),
            greeting_timeout: config.handshake_timeout,
            timeout: config.session_timeout,
        }
    }
}

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The backend's number for it.
    pub session: u64,
    /// What resuming it will take.
    pub resume_token: Nonce,
    /// Opcode and revision of the commands that both ends know; others are not supported.
    pub commands: Vec<(u16, u16)>,
    /// Whether the worker passes shared memory over the socket next.
    pub shared_memory: bool,
    /// The most lanes that may join the session, 0 for none.
    pub lanes: u8,
    /// What joining takes.
    pub lane_token: Nonce,
}

/// Connects and begins a session. The worker's [`SNAPSHOT`](crate::api::core::SNAPSHOT) comes next on the connection.
///
/// # Errors
/// [`HandshakeError`], with the CUDA status for the program.
pub fn open(config: &config::Client) -> Result<(Connection, Admitted), HandshakeError> {
    let mut connection = connect(config)?;
    let params = ClientParams::new(config);
    let admitted = client(&mut connection, &params)?;
    if admitted.shared_memory {
        connection =
            communicator::shm::take(connection, params.timeout).map_err(|e| broken(&params, e))?;
    }
    Ok((connection, admitted))
}

/// Asks a backend for its state, JSON.
///
/// # Errors
/// [`HandshakeError`].
pub fn status(config: &config::Client) -> Result<String, HandshakeError> {
    let mut connection = connect(config)?;
    let params = ClientParams::new(config);
    match converse(&mut connection, &params, Kind::Status)? {
        Verdict::Status { json } => Ok(json),
        _ => Err(broken(&params, invalid("an answer that was not asked for"))),
    }
}

/// Opens lane `number` of `of` for a session that was [admitted](open).
///
/// # Errors
/// [`HandshakeError`].
pub fn lane(
    config: &config::Client,
    admitted: &Admitted,
    number: u8,
    of: u8,
) -> Result<Connection, HandshakeError> {
    let mut connection = connect(config)?;
    let params = ClientParams {
        commands: Vec::new(),
        environment: Vec::new(),
        shared_memory: false,
        ..ClientParams::new(config)
    };
    let kind = Kind::Lane {
        session: admitted.session,
        token: admitted.lane_token,
        number,
        of,
    };
    match converse(&mut connection, &params, kind)? {
        Verdict::Joined => Ok(connection),
        _ => Err(broken(&params, invalid("an answer that was not asked for"))),
    }
}

fn connect(config: &config::Client) -> Result<Connection, HandshakeError> {
    communicator::connect(
        &config.endpoint,
        config.connect_timeout,
        config.emulation.as_ref(),
    )
    .map_err(|source| HandshakeError::Connect {
        endpoint: config.endpoint.to_string(),
        source,
    })
}

/// Begins a session on a fresh connection.
///
/// # Errors
/// [`HandshakeError`], with the CUDA status for the program.
pub fn client(
    connection: &mut Connection,
    params: &ClientParams,
) -> Result<Admitted, HandshakeError> {
    match converse(connection, params, Kind::Session)? {
        Verdict::Admitted {
            session,
            resume_token,
            commands,
            shared_memory,
            lanes,
            lane_token,
        } => Ok(Admitted {
            session,
            resume_token,
            commands,
            shared_memory,
            lanes,
            lane_token,
        }),
        _ => Err(broken(params, invalid("an answer that was not asked for"))),
    }
}

fn broken(params: &ClientParams, source: io::Error) -> HandshakeError {
    HandshakeError::Io {
        endpoint: params.endpoint.clone(),
        source,
    }
}

/// The whole exchange, up to a verdict that is no refusal and that the backend has vouched for.
fn converse(
    connection: &mut Connection,
    params: &ClientParams,
    kind: Kind,
) -> Result<Verdict, HandshakeError> {
    let io = |e| broken(params, e);
    let deadline = Deadline::after(params.timeout);
    let receiver = connection.receiver.as_mut();
    let sender = connection.sender.as_mut();
    let mut transcript = Transcript::default();

    let ours = preamble(VERSION, OLDEST_VERSION);
    let hello = encode(&Hello {
        kind,
        commands: params.commands.clone(),
        identity: Identity::New,
        tenant: params.identity.as_ref().map(|i| i.name.clone()),
        nonce: auth::nonce(),
        host: host_name(),
        pid: std::process::id(),
        program: program(),
        environment: params.environment.clone(),
        shared_memory: params.shared_memory,
    })
    .map_err(io)?;
    transcript.add(&ours);
    transcript.add(&hello);
    send(sender, &ours, &hello).map_err(io)?;

    let mut theirs = [0; PREAMBLE];
    Deadline::after(params.greeting_timeout.min(params.timeout))
        .read_exact(receiver, &mut theirs)
        .map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => HandshakeError::Silent {
                endpoint: params.endpoint.clone(),
                patience: params.greeting_timeout,
            },
            _ => io(e),
        })?;
    let Some((chosen, newest)) = parse_preamble(&theirs) else {
        return Err(HandshakeError::NotABackend {
            endpoint: params.endpoint.clone(),
        });
    };
    if negotiate((OLDEST_VERSION, VERSION), (chosen, chosen)) != Some(chosen) {
        return Err(HandshakeError::Version {
            endpoint: params.endpoint.clone(),
            backend: newest,
            client: VERSION,
        });
    }
    let body = deadline.read_message(receiver).map_err(io)?;
    let challenge: Challenge = decode(&body).map_err(|e| io(invalid(e)))?;
    if challenge.auth_required && params.identity.is_none() {
        return Err(HandshakeError::NoToken {
            endpoint: params.endpoint.clone(),
        });
    }
    transcript.add(&theirs);
    transcript.add(&body);

    let token = params.identity.as_ref().map(|i| &i.token);
    let auth = encode(&Auth {
        proof: token.map(|token| transcript.prove(Role::Client, token)),
    })
    .map_err(io)?;
    transcript.add(&auth);
    send(sender, &[], &auth).map_err(io)?;

    let body = deadline.read_message(receiver).map_err(io)?;
    let sealed: Sealed = decode(&body).map_err(|e| io(invalid(e)))?;
    let verdict: Verdict = decode(&sealed.verdict).map_err(|e| io(invalid(e)))?;
    if let Verdict::Refused { reason, message } = verdict {
        return Err(HandshakeError::Refused {
            endpoint: params.endpoint.clone(),
            reason: Reason::of(reason),
            message,
        });
    }
    if let Some(identity) = &params.identity {
        transcript.add(&sealed.verdict);
        let proven = sealed
            .proof
            .is_some_and(|proof| transcript.verify(Role::Backend, &identity.token, &proof));
        if !proven {
            return Err(HandshakeError::BackendNotProven {
                endpoint: params.endpoint.clone(),
                tenant: identity.name.clone(),
            });
        }
    }
    receiver.set_timeout(None).map_err(io)?;
    Ok(verdict)
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.to_string_lossy().chars().take(1024).collect()
}
