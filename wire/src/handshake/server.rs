//! The backend's side of the handshake.

use std::time::Duration;

use super::error::{Reason, ServerError};
use super::message::{
    Auth, Challenge, Deadline, Hello, Identity, Kind, PREAMBLE, Sealed, Verdict, decode, encode,
    parse_preamble, preamble, send,
};
use super::{OLDEST_VERSION, VERSION, negotiate};
use crate::auth::{self, Nonce, Role, Transcript};
use crate::communicator::{Connection, shm};
use crate::config::{Tenant, Token};

/// What a backend goes by.
#[derive(Debug, Clone)]
pub struct ServerParams<'a> {
    /// Who may use it; empty: anybody who can connect.
    pub tenants: &'a [Tenant],
    /// Opcode and revision of every command that it knows.
    pub commands: &'a [(u16, u16)],
    /// How long a client may take to say who it is.
    pub timeout: Duration,
}

/// A client that has said who it is and proven it, and waits for a verdict.
#[derive(Debug)]
pub struct Request {
    /// What it said.
    pub hello: Hello,
    /// Whose session it is; `None` where there are no tenants.
    pub tenant: Option<String>,
    /// Commands that both ends know.
    pub commands: Vec<(u16, u16)>,
    transcript: Transcript,
    token: Option<Token>,
}

/// What lets lanes join a session, and each of them once.
#[derive(Debug, Clone)]
pub struct LaneDoor {
    token: Nonce,
    lanes: u8,
    joined: u64,
}

impl LaneDoor {
    /// For at most so many lanes.
    #[must_use]
    pub fn new(lanes: u8) -> Self {
        Self {
            token: auth::nonce(),
            lanes: lanes.min(crate::lanes::MOST as u8),
            joined: 0,
        }
    }

    /// Whether one who knows `token` may be lane `number` of `of`: that number is then taken.
    pub fn admit(&mut self, token: &Nonce, number: u8, of: u8) -> bool {
        // The same time whatever the token.
        let differs = token
            .iter()
            .zip(&self.token)
            .fold(0, |all, (a, b)| all | (a ^ b));
        if std::hint::black_box(differs) != 0 || of > self.lanes || number >= of {
            return false;
        }
        let bit = 1 << number;
        let free = self.joined & bit == 0;
        self.joined |= bit;
        free
    }
}

/// Hears a client out. A client that is not admitted has been told why when this returns an error.
///
/// # Errors
/// [`ServerError`], for the log.
pub fn server(
    connection: &mut Connection,
    params: &ServerParams<'_>,
) -> Result<Request, ServerError> {
    let deadline = Deadline::after(params.timeout);
    let mut transcript = Transcript::default();

    let mut theirs = [0; PREAMBLE];
    deadline.read_exact(connection.receiver.as_mut(), &mut theirs)?;
    let (newest, oldest) = parse_preamble(&theirs).ok_or(ServerError::NotAClient)?;
    let Some(version) = negotiate((OLDEST_VERSION, VERSION), (oldest, newest)) else {
        connection.sender.send(&preamble(0, VERSION))?;
        return Err(ServerError::Version { oldest, newest });
    };
    let body = deadline.read_message(connection.receiver.as_mut())?;
    transcript.add(&theirs);
    transcript.add(&body);

    let ours = preamble(version, VERSION);
    let challenge = encode(&Challenge {
        nonce: auth::nonce(),
        auth_required: !params.tenants.is_empty(),
    })?;
    transcript.add(&ours);
    transcript.add(&challenge);
    send(connection.sender.as_mut(), &ours, &challenge)?;

    let answer = deadline.read_message(connection.receiver.as_mut())?;
    let parsed = decode::<Hello>(&body)
        .map_err(|e| e.to_string())
        .and_then(|hello| hello.check().map(|()| hello))
        .and_then(|hello| Ok((hello, decode::<Auth>(&answer).map_err(|e| e.to_string())?)));
    let (hello, auth) = match parsed {
        Ok(parsed) => parsed,
        Err(what) => {
            refuse(
                connection,
                Reason::Malformed,
                "a handshake message is malformed",
            )?;
            return Err(ServerError::Malformed(what));
        }
    };

    let mut token = None;
    if !params.tenants.is_empty() {
        let known = params
            .tenants
            .iter()
            .find(|t| Some(&t.name) == hello.tenant.as_ref());
        // A name that nobody has costs the same work as a wrong token, and is answered alike.
        let decoy = Token::new(auth::nonce());
        let expected = known.map_or(&decoy, |t| &t.token);
        let proven = auth
            .proof
            .is_some_and(|proof| transcript.verify(Role::Client, expected, &proof));
        if !proven || known.is_none() {
            refuse(
                connection,
                Reason::Auth,
                "unknown tenant or wrong token; compare token_file on both ends",
            )?;
            return Err(ServerError::Auth(hello.tenant.unwrap_or_default()));
        }
        token = Some(expected.clone());
    }
    transcript.add(&answer);

    if let Identity::Resume { .. } = hello.identity {
        refuse(
            connection,
            Reason::NoSuchSession,
            "sessions cannot be resumed by this release; start the program again",
        )?;
        return Err(ServerError::Malformed(
            "it wants to resume a session".into(),
        ));
    }
    connection.receiver.set_timeout(None)?;
    Ok(Request {
        commands: params
            .commands
            .iter()
            .filter(|c| hello.commands.contains(c))
            .copied()
            .collect(),
        tenant: token.as_ref().and(hello.tenant.clone()),
        hello,
        transcript,
        token,
    })
}

fn refuse(connection: &mut Connection, reason: Reason, message: &str) -> Result<(), ServerError> {
    let verdict = encode(&Verdict::Refused {
        reason: reason.code(),
        message: message.to_owned(),
    })?;
    let sealed = encode(&Sealed {
        verdict,
        proof: None,
    })?;
    send(connection.sender.as_mut(), &[], &sealed)?;
    Ok(())
}

impl Request {
    /// What the client wants.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.hello.kind
    }

    fn answer(mut self, connection: &mut Connection, verdict: &Verdict) -> Result<(), ServerError> {
        let verdict = encode(verdict)?;
        self.transcript.add(&verdict);
        let sealed = encode(&Sealed {
            proof: self
                .token
                .as_ref()
                .map(|token| self.transcript.prove(Role::Backend, token)),
            verdict,
        })?;
        send(connection.sender.as_mut(), &[], &sealed)?;
        Ok(())
    }

    /// Whether the session goes on over shared memory: the client asks for it, and the connection allows it.
    #[must_use]
    pub fn shared_memory(&self, connection: &Connection) -> bool {
        self.hello.shared_memory && shm::possible(connection)
    }

    /// Admits the client; the connection is then its worker's, who begins with [`shm::offer`] if the session goes on over [shared memory](Self::shared_memory).
    ///
    /// # Errors
    /// The connection's.
    pub fn admit(
        self,
        connection: &mut Connection,
        session: u64,
        resume_token: Nonce,
        door: &LaneDoor,
    ) -> Result<(), ServerError> {
        let verdict = Verdict::Admitted {
            session,
            resume_token,
            commands: self.commands.clone(),
            shared_memory: self.shared_memory(connection),
            lanes: door.lanes,
            lane_token: door.token,
        };
        self.answer(connection, &verdict)
    }

    /// Tells a lane that it is one; the connection is then the session's worker's.
    ///
    /// # Errors
    /// The connection's.
    pub fn join(self, connection: &mut Connection) -> Result<(), ServerError> {
        self.answer(connection, &Verdict::Joined)
    }

    /// Answers a question for the backend's state.
    ///
    /// # Errors
    /// The connection's.
    pub fn status(self, connection: &mut Connection, json: String) -> Result<(), ServerError> {
        self.answer(connection, &Verdict::Status { json })
    }

    /// Turns the client away.
    ///
    /// # Errors
    /// The connection's.
    pub fn refuse(
        self,
        connection: &mut Connection,
        reason: Reason,
        message: &str,
    ) -> Result<(), ServerError> {
        refuse(connection, reason, message)
    }
}
