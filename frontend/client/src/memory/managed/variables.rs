//! Managed variables of modules: memory at addresses of the box's driver. Several may share a page, here and there.

use gvirtus_wire::api::types::{CUresult, error};

use super::advice::Advice;
use super::pages::{Access, MESSAGE, Memory as _, PAGE, Pages};
use super::window::Window;
use super::{Attached, Failure, Piece, fault, with};
use crate::session::Session;

/// A module's managed variable: memory of the driver's at an address of its choosing, which must be free here.
///
/// # Errors
/// `CUDA_ERROR_OUT_OF_MEMORY` if it is not.
pub(crate) fn add_variable(address: u64, size: u64, device: u32) -> Result<(), CUresult> {
    let page = PAGE as u64;
    let end = address
        .checked_add(size)
        .and_then(|end| end.checked_next_multiple_of(page))
        .ok_or(error::ERROR_INVALID_VALUE)?;
    with(|state| {
        let mut at = address & !(page - 1);
        while at < end {
            if state.find(at).is_none() {
                let next = state.pieces.range(at..end).next().map_or(end, |(a, _)| *a);
                let len = (next - at) as usize;
                let window = Window::new(at, len, false, Access::None).map_err(|why| {
                    log!(
                        Error,
                        "a managed variable of the box lies at {address:#x}, where the program has something else: {why}"
                    );
                    error::ERROR_OUT_OF_MEMORY
                })?;
                state.insert(Piece {
                    address: at,
                    len,
                    device,
                    pages: Pages::away(len / PAGE),
                    window,
                    spans: Vec::new(),
                    attached: Attached::Global,
                    named: false,
                    kept: false,
                    since: Vec::new(),
                    advice: Advice::default(),
                });
            }
            let Some(piece) = state.find(at) else { break };
            let (start, stop) = (piece.address, piece.address + piece.len as u64);
            piece.add_span(
                (address.max(start) - start) as usize
                    ..((address + size).min(stop) - start) as usize,
            );
            at = stop;
        }
        Ok::<(), CUresult>(())
    })?;
    fault::install();
    Ok(())
}

/// A library's variable whose context is about to be reset, when no work is running: natively it is the library's, not the context's, and keeps what it holds. All of it comes here, the
/// program's to touch meanwhile, until [`add_variable`] finds it there.
pub(crate) fn keep_variable(session: &Session, address: u64, size: u64) {
    with(|state| {
        let end = address + size;
        let mut at = address;
        while at < end {
            let Some(piece) = state.find(at) else { return };
            let (start, device) = (piece.address, piece.device);
            at = start + piece.len as u64;
            if state.lane(session, device).is_err() {
                return;
            }
            let (Some(lane), Some(piece)) =
                (state.lanes.get_mut(&device), state.pieces.get_mut(&start))
            else {
                return;
            };
            let mut fetch =
                |at: usize, into: &mut [u8]| Ok(lane.fetch(session, start + at as u64, into)?);
            let brought = piece.pages.bring_all::<Failure>(
                &mut piece.window,
                &piece.spans,
                false,
                &mut fetch,
            );
            match brought {
                Ok(()) => {
                    piece.kept = true;
                    piece.since = Vec::new();
                    state.here.insert(start);
                }
                Err(Failure(status)) => log!(
                    Error,
                    "the managed variable at {address:#x} cannot be brought from the GPU box before the reset (CUDA error {status}): it has its first value afterwards"
                ),
            }
        }
        state.count_busy();
    });
}

/// The GPU has a variable again that was kept, with its first value: what it holds here goes there, to the same address or another.
pub(crate) fn renew_variable(session: &Session, from: u64, to: u64, size: u64) {
    with(|state| {
        let Some(piece) = state.find(from).filter(|piece| piece.kept) else {
            return;
        };
        let device = piece.device;
        let sent = state.lane(session, device).and_then(|lane| {
            // SAFETY: all of what is kept is here, mapped for as long as the piece lives, which the lock keeps.
            let bytes = unsafe { std::slice::from_raw_parts(from as *const u8, size as usize) };
            let mut parts = (to..).step_by(MESSAGE).zip(bytes.chunks(MESSAGE));
            parts.try_for_each(|(at, part)| lane.send(session, at, part))
        });
        if let Err(status) = sent {
            log!(
                Error,
                "the managed variable at {to:#x} cannot be sent to the GPU box (CUDA error {status})"
            );
        }
    });
}

/// A variable that was kept and renewed is shared again where it lies at the same address; else the program keeps the memory, and nobody else is given it.
pub(crate) fn share_variable(address: u64, size: u64, same: bool) {
    with(|state| {
        let Some(piece) = state.find(address).filter(|piece| piece.kept) else {
            return;
        };
        if same {
            piece.kept = false;
            piece.window.remember(0, piece.len);
            return;
        }
        let (start, from) = (piece.address, (address - piece.address) as usize);
        piece
            .spans
            .retain(|span| span.start != from || span.len() > size as usize);
        if piece.spans.is_empty() {
            // What it is mapped by stays for good.
            std::mem::forget(state.remove(start));
        }
    });
}

/// The variable's module is unloaded.
pub(crate) fn remove_variable(address: u64, size: u64) {
    with(|state| {
        let end = address + size;
        let touched: Vec<u64> = state
            .pieces
            .range(..end)
            .rev()
            .take_while(|(_, p)| p.address + p.len as u64 > address)
            .map(|(a, _)| *a)
            .collect();
        for at in touched {
            let Some(piece) = state.pieces.get_mut(&at) else {
                continue;
            };
            let (from, to) = (
                (address.max(at) - at) as usize,
                (end.min(at + piece.len as u64) - at) as usize,
            );
            piece.spans.retain(|s| !(s.start >= from && s.end <= to));
            if piece.spans.is_empty() {
                state.remove(at);
            }
        }
    });
}
