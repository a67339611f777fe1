//! What stands around the body of every exported function: counters, trace, and a stop for panics.

use crate::session::{hooks, session};
use gvirtus_wire::api::frontend_table::{Counter, ENABLED_TRACE, FrontendTable};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// Runs the body of an exported function: counts it if the user asked for that, and returns `panicked` if it panics, which is said on standard error.
///
/// `trace` makes the text of the call for the trace; it runs only when a trace is being written. `asks` says that the function may load the session's library: what runs
/// while the program is still being loaded must not.
#[inline]
pub fn guard<R: Copy + std::fmt::Debug>(
    asks: bool,
    counter: &'static Counter,
    panicked: R,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> R,
) -> R {
    if asks {
        session();
    }
    if let Some(table) = hooks() {
        // SAFETY: `enabled` is never null and lives as long as the table.
        let enabled = unsafe { (*table.enabled).load(Ordering::Relaxed) };
        if enabled != 0 {
            return counted(table, enabled, counter, panicked, trace, body);
        }
    } else if !asks {
        before(counter);
    }
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(panicked)
}

/// Functions that were called before the session's library was there, and with it the statistics: what registers a program's code runs while the program is being loaded.
static BEFORE: Mutex<Vec<&'static Counter>> = Mutex::new(Vec::new());

#[cold]
fn before(counter: &'static Counter) {
    BEFORE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(counter);
}

/// Counts the calls that came before the statistics were there.
fn count_those_before(table: &FrontendTable) {
    let early = std::mem::take(&mut *BEFORE.lock().unwrap_or_else(PoisonError::into_inner));
    for counter in early {
        // SAFETY: counters are statics, and `leave` is given what `enter` returned.
        unsafe { (table.leave)((table.enter)(counter)) };
    }
}

#[cold]
fn counted<R: Copy + std::fmt::Debug>(
    table: &FrontendTable,
    enabled: u32,
    counter: &'static Counter,
    panicked: R,
    trace: impl FnOnce() -> String,
    body: impl FnOnce() -> R,
) -> R {
    count_those_before(table);
    // SAFETY: the counter is a static.
    let previous = unsafe { (table.enter)(counter) };
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or(panicked);
    // SAFETY: `previous` is what `enter` returned.
    unsafe { (table.leave)(previous) };
    if enabled & ENABLED_TRACE != 0 {
        let text = catch_unwind(AssertUnwindSafe(|| {
            CString::new(format!("{} = {result:?}", trace())).unwrap_or_default()
        }))
        .unwrap_or_default();
        // SAFETY: `text` is NUL-terminated and outlives the call.
        unsafe { (table.trace)(text.as_ptr()) };
    }
    result
}

/// Says once per process that a function that the program calls is not supported. A trailing NUL in `name` is left out.
#[cold]
pub fn unsupported(name: &'static str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let name = name.trim_end_matches('\0');
    if SAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(name)
    {
        eprintln!("GVirtuS: {name} is not supported");
    }
}
