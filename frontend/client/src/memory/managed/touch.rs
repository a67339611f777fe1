//! The program touches a page that it may not touch yet: what brings it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gvirtus_wire::api::types::error;

use super::pages::PAGE;
use super::{Failure, with};
use crate::session::Session;

/// How long a touch waits for work that is running and may change the memory.
const PATIENCE: Duration = Duration::from_secs(10);
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
    let (began, mut pause) = (Instant::now(), Duration::from_micros(20));
    while session.lost().is_ok() && running.iter().any(|(s, n)| !s.has_passed(*n)) {
        if began.elapsed() > PATIENCE {
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
        let running = piece.running();
        if running.is_empty() && !underway {
            piece.named = false;
        }
        let busy = underway || !running.is_empty();
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
                return false;
            }
        }
        if piece.pages.any_busy() {
            piece.since = if underway { Vec::new() } else { running };
        }
        state.here.insert(start);
        state.count_busy();
        true
    })
}
