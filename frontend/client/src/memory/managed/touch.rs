//! The program touches a page that it may not touch yet: what brings it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use gvirtus_wire::api::types::error;

use super::pages::PAGE;
use super::{BUSY, Failure, observed_slowly, with};
use crate::session::Session;

/// How long a touch waits for work that is running and may change the memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a program that was told that it need not wait itself: more likely its kernel waits for what it is about to write.
const PATIENCE_CONCURRENT: Duration = Duration::from_secs(1);
/// How long such a program sees busy pages as they were.
const REFRESH: Duration = Duration::from_millis(5);
/// Work was seen to wait for the program, which waited for the work: nothing is waited for any more.
static IMPATIENT: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The thread runs a host function: the work behind it waits for that.
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread runs host functions.
pub(super) fn in_host_function() {
    IN_HOST_FUNCTION.set(true);
}

/// Waits until the work is done that is running now and may change what the program has touched: then it is as if the touch had come later, and nothing has to be merged. But
/// work may wait for this very thread, so not for ever.
fn wait_for_work(session: &Session, address: u64) {
    if IMPATIENT.load(Ordering::Relaxed) || IN_HOST_FUNCTION.get() {
        return;
    }
    let running = with(|state| state.find(address).map(|p| p.running()).unwrap_or_default());
    if running.is_empty() {
        return;
    }
    session.flush();
    let patience = if session.concurrent_managed_access {
        PATIENCE_CONCURRENT
    } else {
        PATIENCE
    };
    let (began, mut pause) = (Instant::now(), Duration::from_micros(20));
    while session.lost().is_ok() && running.iter().any(|(s, n)| !s.has_passed(*n)) {
        if began.elapsed() > patience {
            IMPATIENT.store(true, Ordering::Relaxed);
            log!(
                Warn,
                "the program touches managed memory while work is running that does not end: from now on it sees the memory as it is at that moment"
            );
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
}

/// Waits for busy pages, where the program was told that it may touch memory beside kernels.
static REFRESHER: OnceLock<Thread> = OnceLock::new();

/// There is managed memory. A program that was told that processor and GPU may use it at the same time may wait for what a running kernel writes, or let a kernel wait for it, without
/// any call: what it changes in busy pages is sent again and again, and it fetches them anew.
pub(super) fn refresh_busy_pages() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if Session::existing().is_none_or(|session| !session.concurrent_managed_access)
        || STARTED.swap(true, Ordering::Relaxed)
    {
        return;
    }
    let refresh = || {
        let _ = REFRESHER.set(std::thread::current());
        loop {
            if BUSY.load(Ordering::Acquire) == 0 {
                std::thread::park();
            } else {
                std::thread::sleep(REFRESH);
                observed_slowly(true);
            }
        }
    };
    if let Err(why) = crate::session::thread("gvirtus-managed", refresh) {
        log!(
            Warn,
            "managed memory that the program and running kernels use at the same time is exchanged at calls only: {why}"
        );
    }
}

/// The program has touched a page that it may not touch so. False if it is not ours.
pub(super) fn touched(address: u64, write: Option<bool>) -> bool {
    let Some(session) = Session::existing() else {
        return false;
    };
    wait_for_work(session, address);
    with(|state| {
        let underway = state.underway > 0;
        let Some(piece) = state.find(address) else {
            return false;
        };
        let device = piece.device;
        if state.lane(session, device).is_err() {
            return false;
        }
        let (Some(lane), Some((_, piece))) = (
            state.lanes.get_mut(&device),
            state.pieces.range_mut(..=address).next_back(),
        ) else {
            return false;
        };
        // Said before it is asked what is running: whoever learns that this has ended while the page is on its way comes to take it away again.
        BUSY.fetch_max(1, Ordering::AcqRel);
        let running = piece.running();
        if running.is_empty() && !underway {
            piece.named = false;
        }
        let busy = underway || !running.is_empty();
        let before = piece.pages.any_busy();
        let (start, page) = (piece.address, (address - piece.address) as usize / PAGE);
        let mut fetch =
            |at: usize, into: &mut [u8]| Ok(lane.fetch(session, start + at as u64, into)?);
        let brought = piece
            .pages
            .touch::<Failure>(
                &mut piece.window,
                &piece.spans,
                page,
                write,
                busy,
                &mut fetch,
            )
            .or_else(|failure| {
                if failure.0 == error::ERROR_OUT_OF_MEMORY {
                    piece
                        .pages
                        .bring_all(&mut piece.window, &piece.spans, busy, &mut fetch)
                } else {
                    Err(failure)
                }
            });
        if let Err(Failure(status)) = brought {
            log!(
                Error,
                "managed memory at {address:#x} cannot be brought from the GPU box (CUDA error {status}): the program sees what it held before"
            );
            if piece.pages.give_up(&mut piece.window, page).is_err() {
                state.count_busy();
                return false;
            }
        }
        if piece.pages.any_busy() {
            piece.fetched_beside((!underway).then_some(running), before);
        }
        state.here.insert(start);
        state.count_busy();
        if let Some(refresher) = REFRESHER.get() {
            refresher.unpark();
        }
        true
    })
}
