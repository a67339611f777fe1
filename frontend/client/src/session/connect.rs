//! Opening the session: configuration, connection, handshake, the worker's snapshot.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gvirtus_wire::api::core::{SNAPSHOT, Snapshot};
use gvirtus_wire::api::types::{CUresult, error};
use gvirtus_wire::codec::decode_all;
use gvirtus_wire::communicator::shm::Descriptors;
use gvirtus_wire::config;
use gvirtus_wire::handshake;
use parking_lot::Mutex;

use super::desk::Desk;
use super::inbox::Inbox;
use super::lanes::Lanes;
use super::outbox::Outbox;
use super::{SESSION, Session};

/// After a failure, calls within this time get the same answer at once: programs ask several times while they start.
const RETRY: Duration = Duration::from_secs(1);

static LAST_FAILURE: Mutex<Option<(Instant, CUresult)>> = Mutex::new(None);

/// Opens the session, or says with which CUDA error that failed; the log says why.
#[cold]
pub(super) fn open() -> Result<&'static Session, CUresult> {
    // One thread connects, the others wait for it here.
    let mut last = LAST_FAILURE.lock();
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    if let Some((when, code)) = *last
        && when.elapsed() < RETRY
    {
        return Err(code);
    }
    let start = Instant::now();
    let result = connect();
    match &result {
        Ok(session) => {
            *last = None;
            if crate::stats::enabled() {
                // Hello and challenge, proof and verdict; the worker's snapshot follows unasked.
                crate::stats::round_trip(start.elapsed(), 0, 0, true);
                crate::stats::round_trip(Duration::ZERO, 0, 0, true);
            }
            log!(
                Info,
                "session open with {} after {:?}",
                session.endpoint,
                start.elapsed()
            );
        }
        Err((code, why)) => {
            *last = Some((Instant::now(), *code));
            log!(Error, "{why}");
        }
    }
    result.map_err(|(code, _)| code)
}

fn connect() -> Result<&'static Session, (CUresult, String)> {
    let settings = config::client(own_path().as_deref())
        .map_err(|e| (error::ERROR_SYSTEM_NOT_READY, e.to_string()))?;
    for warning in &settings.warnings {
        log!(Warn, "{warning}");
    }
    let endpoint = settings.endpoint.to_string();
    let (mut connection, admitted) =
        handshake::open(&settings).map_err(|e| (e.cuda_status(), e.to_string()))?;
    log!(
        Debug,
        "session {} admitted by {endpoint} over {}; {} commands in common",
        admitted.session,
        connection.protocol,
        admitted.commands.len()
    );
    let not_ready = |what: &str, e: &dyn std::fmt::Display| {
        (
            error::ERROR_SYSTEM_NOT_READY,
            format!("{endpoint}: {what}: {e}"),
        )
    };
    connection
        .receiver
        .set_timeout(Some(settings.session_timeout))
        .map_err(|e| not_ready("setting a timeout", &e))?;
    let closer = connection.closer.clone();
    if let Some(attendant) = connection.attendant() {
        super::thread("gvirtus-watch", attendant)
            .map_err(|e| not_ready("starting a thread", &e))?;
    }
    let descriptors = Descriptors::of(&connection);
    let (receiver, sender) = connection.split();
    let mut inbox = Inbox::new(receiver);
    let (header, payload) = inbox
        .next()
        .map_err(|e| not_ready("no worker answered", &e))?;
    if header.opcode != SNAPSHOT {
        return Err(not_ready(
            "the worker began with another message",
            &format_args!("{:#06x}", header.opcode),
        ));
    }
    let snapshot: Snapshot = decode_all(&payload)
        .map_err(|e| not_ready("the worker's description of its devices", &e))?;
    inbox
        .set_timeout(None)
        .map_err(|e| not_ready("clearing a timeout", &e))?;
    let concurrent_managed_access = settings.concurrent_managed_access;
    let (desk, inbox) = match inbox.lookout() {
        Some(lookout) => (Some(Desk::new(inbox, lookout)), None),
        None => (None, Some(inbox)),
    };
    let session = Session {
        snapshot,
        callbacks: super::Callbacks::default(),
        prints: AtomicBool::new(false),
        blocking: std::env::var("CUDA_LAUNCH_BLOCKING").is_ok_and(|v| v.trim() == "1"),
        concurrent_managed_access,
        errors: super::Errors::default(),
        outbox: Outbox::new(sender),
        pending: super::Pending::default(),
        desk,
        closer,
        lanes: Lanes::new(settings, admitted),
        descriptors,
        endpoint: endpoint.clone(),
    };
    Session::install(session, inbox).map_err(|e| not_ready("starting a thread", &e))
}

/// Where this library lies: a configuration may lie beside it.
fn own_path() -> Option<PathBuf> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is this function's own; on success the structure is filled and its name is a C string of the loader.
    let name = unsafe {
        if libc::dladdr(own_path as *const libc::c_void, info.as_mut_ptr()) == 0 {
            return None;
        }
        std::ffi::CStr::from_ptr(info.assume_init().dli_fname)
    };
    Some(PathBuf::from(name.to_str().ok()?))
}
