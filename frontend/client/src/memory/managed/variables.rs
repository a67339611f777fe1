//! Managed variables of modules: memory at addresses of the box's driver. Several may share a page, here and there.

use gvirtus_wire::api::types::{CUresult, error};

use super::advice::Advice;
use super::pages::{Access, PAGE, Pages};
use super::window::Window;
use super::{Attached, Piece, fault, with};

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
