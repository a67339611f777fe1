//! `GVIRTUS_STATS`: what each function cost. `1` prints a table on standard error when the process ends, `json:/path` writes the same to a file.
//!
//! Costs are booked on the *outermost* API function of the calling thread: if `libcudart` calls the driver functions in here, it is `cudaMalloc` that pays. The
//! client core tells [`round_trip`] and [`sent`] what a call waited for; with everything off, a call pays one relaxed load.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gvirtus_wire::api::Class;
use gvirtus_wire::api::frontend_table::{Counter, ENABLED_STATS, ENABLED_TRACE};
use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

use crate::trace;

static ENABLED: AtomicU32 = AtomicU32::new(0);
/// By function's name, round trips that load modules or ask about functions: they happen once per program, not per step.
static SETUP_ROUND_TRIPS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
/// Where traffic goes that no API function of the program asked for (answers of callback threads, progress).
static BACKGROUND: Counter = Counter::new(c"libgvirtus", c"(background)", Class::Async);
/// Counters that were used at least once.
static USED: Mutex<Vec<&'static Counter>> = Mutex::new(Vec::new());
/// Where the report goes, if there is to be one.
static REPORT: Mutex<Option<Report>> = Mutex::new(None);

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Report {
    Table,
    Json(String),
}

thread_local! {
    /// The outermost API function that this thread is in, null if it is in none. Used by functions that are never inlined: where link-time optimisation took one of them to another unit of the crate, the linker met a
    /// reference to this that did not say that it is the thread's.
    static CURRENT: Cell<*const Counter> = const { Cell::new(std::ptr::null()) };
}

/// What a driver function may return to its wrapper.
pub(crate) trait Status {
    /// As the program gets it.
    fn status(self) -> CUresult;
}
impl Status for CUresult {
    #[inline]
    fn status(self) -> CUresult {
        self
    }
}
impl Status for Result<(), CUresult> {
    #[inline]
    fn status(self) -> CUresult {
        match self {
            Ok(()) => error::SUCCESS,
            Err(status) => status,
        }
    }
}

/// Bit beside [`ENABLED_STATS`] and [`ENABLED_TRACE`]: calls that fail are logged for the program.
const ENABLED_LOG: u32 = 4;

/// From now on, calls that fail are logged for the program.
pub(crate) fn log_errors() {
    ENABLED.fetch_or(ENABLED_LOG, Relaxed);
}

/// Runs the body of an API function: a panic becomes `CUDA_ERROR_UNKNOWN`, the call is counted and traced if that is on.
#[inline]
pub(crate) fn guarded<R: Status>(counter: &'static Counter, body: impl FnOnce() -> R) -> CUresult {
    let result = if ENABLED.load(Relaxed) != 0 {
        instrumented(counter, || caught(counter, body))
    } else {
        caught(counter, body)
    };
    crate::memory::managed::observed();
    result
}

#[inline]
fn caught<R: Status>(counter: &'static Counter, body: impl FnOnce() -> R) -> CUresult {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(result) => result.status(),
        Err(_) => {
            log!(
                Error,
                "a bug in {}: it panicked; the program gets CUDA_ERROR_UNKNOWN",
                name(counter)
            );
            error::ERROR_UNKNOWN
        }
    }
}

#[cold]
fn instrumented(counter: &'static Counter, body: impl FnOnce() -> CUresult) -> CUresult {
    // SAFETY: a static counter lives as long as the process.
    let outer = unsafe { enter(counter) };
    let began = Instant::now();
    let result = body();
    if ENABLED.load(Relaxed) & ENABLED_TRACE != 0 {
        trace::call("libcuda", name(counter), result, began, !outer.is_null());
    }
    // SAFETY: what `enter` returned.
    unsafe { leave(outer) };
    let failed = result != error::SUCCESS && result != error::ERROR_NOT_READY;
    if failed && ENABLED.load(Relaxed) & ENABLED_LOG != 0 {
        crate::driver::error_log::failed(name(counter), result);
    }
    result
}

/// See [`FrontendTable::enter`](gvirtus_wire::api::frontend_table::FrontendTable::enter). A function that another one calls is not the program's call and counts nothing.
///
/// # Safety
/// `counter` is null or lives as long as the process.
#[inline(never)]
pub(crate) unsafe extern "C" fn enter(counter: *const Counter) -> *const Counter {
    let outer = CURRENT.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: null or alive by this function's contract.
    if let Some(counter) = unsafe { counter.as_ref::<'static>() }
        && outer.is_null()
    {
        let _ = CURRENT.try_with(|current| current.set(counter));
        if counter.calls.fetch_add(1, Relaxed) == 0 {
            USED.lock().push(counter);
        }
    }
    outer
}

/// See [`FrontendTable::leave`](gvirtus_wire::api::frontend_table::FrontendTable::leave).
///
/// # Safety
/// `previous` is what `enter` returned.
#[inline(never)]
pub(crate) unsafe extern "C" fn leave(previous: *const Counter) {
    let _ = CURRENT.try_with(|current| current.set(previous));
}

/// The counter to book on: the outermost function's, or the one for what nobody asked for.
#[inline(never)]
fn current() -> &'static Counter {
    let current = CURRENT.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: `enter` put it there, and its counters live as long as the process.
    unsafe { current.as_ref() }.unwrap_or(&BACKGROUND)
}

/// Whether anybody counts: what it takes to count (times, sums) is worth asking first.
#[inline]
pub(crate) fn enabled() -> bool {
    ENABLED.load(Relaxed) & ENABLED_STATS != 0
}

/// The session waited for a reply on behalf of this thread's call. `bytes_out` counts what [`sent`] has not been told of. A `setup` round trip (module load, function
/// information) is counted as a round trip like any other, and once more on its own.
#[cold]
pub(crate) fn round_trip(blocked: Duration, bytes_out: u64, bytes_in: u64, setup: bool) {
    if enabled() {
        let counter = current();
        counter.round_trips.fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(blocked.as_nanos()).unwrap_or(u64::MAX);
        counter.blocked_ns.fetch_add(nanoseconds, Relaxed);
        counter.bytes_out.fetch_add(bytes_out, Relaxed);
        counter.bytes_in.fetch_add(bytes_in, Relaxed);
        if setup {
            *SETUP_ROUND_TRIPS.lock().entry(name(counter)).or_default() += 1;
        }
    }
}

/// The session sent a frame that nobody waits for.
#[cold]
pub(crate) fn sent(bytes: u64) {
    if enabled() {
        current().bytes_out.fetch_add(bytes, Relaxed);
    }
}

/// The flags that frontend libraries look at before they call a hook.
pub(crate) const fn enabled_flags() -> *const AtomicU32 {
    &raw const ENABLED
}

/// Reads the environment, once. Everybody who gets at a function of ours comes through here first.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let mut flags = 0;
        let stats = std::env::var("GVIRTUS_STATS").unwrap_or_default();
        if let Some(report) = parse(&stats) {
            *REPORT.lock() = Some(report);
            flags |= ENABLED_STATS;
            PROCESS.store(std::process::id(), Relaxed);
            // SAFETY: the function lives as long as the process (the library is never unloaded).
            if unsafe { libc::atexit(at_exit) } != 0 {
                log!(
                    Warn,
                    "GVIRTUS_STATS: no report will be written, atexit failed"
                );
            }
        } else if !matches!(stats.trim(), "" | "0") {
            log!(
                Warn,
                "GVIRTUS_STATS={stats} means nothing; 1 and json:/path do"
            );
        }
        if let Ok(path) = std::env::var("GVIRTUS_TRACE")
            && !path.is_empty()
            && trace::open(&path)
        {
            flags |= ENABLED_TRACE;
        }
        ENABLED.store(flags, Relaxed);
    });
}

fn parse(text: &str) -> Option<Report> {
    let text = text.trim();
    match text {
        "1" => Some(Report::Table),
        _ => match text.strip_prefix("json:") {
            Some(path) if !path.is_empty() => Some(Report::Json(path.to_owned())),
            _ => None,
        },
    }
}

/// The process that the report is of: a forked child has inherited the numbers, not the right to print them.
static PROCESS: AtomicU32 = AtomicU32::new(0);

extern "C" fn at_exit() {
    if PROCESS.load(Relaxed) != std::process::id() {
        return;
    }
    let _ = std::panic::catch_unwind(|| {
        let rows = rows();
        match REPORT.lock().clone() {
            None => {}
            Some(Report::Table) => {
                use std::io::Write;
                let _ = std::io::stderr().write_all(table(&rows).as_bytes());
            }
            Some(Report::Json(path)) => {
                if let Err(why) = std::fs::write(&path, json(&rows)) {
                    log!(Error, "GVIRTUS_STATS: cannot write {path}: {why}");
                }
            }
        }
    });
}

/// One function's line of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    name: String,
    class: &'static str,
    calls: u64,
    round_trips: u64,
    setup_round_trips: u64,
    blocked_ns: u64,
    bytes_out: u64,
    bytes_in: u64,
}

/// What was used, the most blocked first.
fn rows() -> Vec<Row> {
    let mut counters = USED.lock().clone();
    if BACKGROUND.bytes_out.load(Relaxed) + BACKGROUND.round_trips.load(Relaxed) > 0 {
        counters.push(&BACKGROUND);
    }
    let mut rows: Vec<Row> = counters.into_iter().map(row).collect();
    rows.sort_by(|a, b| (b.blocked_ns, b.calls, &a.name).cmp(&(a.blocked_ns, a.calls, &b.name)));
    rows
}

fn row(counter: &'static Counter) -> Row {
    let class = match counter.class {
        0 => Class::Local,
        1 => Class::Async,
        2 => Class::Sync,
        3 => Class::ImplicitSync,
        _ => Class::Unsupported,
    };
    Row {
        name: name(counter).to_owned(),
        class: class.keyword(),
        calls: counter.calls.load(Relaxed),
        round_trips: counter.round_trips.load(Relaxed),
        setup_round_trips: SETUP_ROUND_TRIPS
            .lock()
            .get(name(counter))
            .copied()
            .unwrap_or(0),
        blocked_ns: counter.blocked_ns.load(Relaxed),
        bytes_out: counter.bytes_out.load(Relaxed),
        bytes_in: counter.bytes_in.load(Relaxed),
    }
}

fn totals(rows: &[Row]) -> Row {
    rows.iter().fold(
        Row {
            name: "total".to_owned(),
            ..Row::default()
        },
        |sum, row| Row {
            calls: sum.calls + row.calls,
            round_trips: sum.round_trips + row.round_trips,
            setup_round_trips: sum.setup_round_trips + row.setup_round_trips,
            blocked_ns: sum.blocked_ns + row.blocked_ns,
            bytes_out: sum.bytes_out + row.bytes_out,
            bytes_in: sum.bytes_in + row.bytes_in,
            ..sum
        },
    )
}

fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<44} {:<13} {:>10} {:>11} {:>12} {:>14} {:>14}\n",
        "function", "class", "calls", "round trips", "blocked ms", "bytes out", "bytes in"
    );
    let totals = totals(rows);
    for row in rows.iter().chain([&totals]) {
        let _ = writeln!(
            out,
            "{:<44} {:<13} {:>10} {:>11} {:>12.3} {:>14} {:>14}",
            row.name,
            row.class,
            row.calls,
            row.round_trips,
            row.blocked_ns as f64 / 1e6,
            row.bytes_out,
            row.bytes_in
        );
    }
    let _ = writeln!(
        out,
        "of the round trips, {} loaded modules or asked about functions",
        totals.setup_round_trips
    );
    out
}

fn json(rows: &[Row]) -> String {
    let fields = |row: &Row| {
        format!(
            "\"calls\":{},\"round_trips\":{},\"setup_round_trips\":{},\"blocked_ns\":{},\"bytes_out\":{},\"bytes_in\":{}",
            row.calls,
            row.round_trips,
            row.setup_round_trips,
            row.blocked_ns,
            row.bytes_out,
            row.bytes_in
        )
    };
    let functions: Vec<String> = rows
        .iter()
        // Names are identifiers (or "(background)"): nothing in them needs escaping.
        .map(|row| {
            format!(
                "{{\"name\":\"{}\",\"class\":\"{}\",{}}}",
                row.name,
                row.class,
                fields(row)
            )
        })
        .collect();
    format!(
        "{{\"totals\":{{{}}},\"functions\":[{}]}}\n",
        fields(&totals(rows)),
        functions.join(",")
    )
}

/// The counter's function.
fn name(counter: &'static Counter) -> &'static str {
    text(&counter.name)
}

fn text(of: &'static AtomicPtr<std::ffi::c_char>) -> &'static str {
    let pointer = of.load(Relaxed);
    if pointer.is_null() {
        return "?";
    }
    // SAFETY: a counter's names are static NUL-terminated strings.
    unsafe { std::ffi::CStr::from_ptr(pointer) }
        .to_str()
        .unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_understood() {
        assert_eq!(parse("1"), Some(Report::Table));
        assert_eq!(
            parse("json:/tmp/x"),
            Some(Report::Json("/tmp/x".to_owned()))
        );
        assert_eq!(parse("json:"), None);
        assert_eq!(parse("0"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn panics_stay_inside() {
        static COUNTER: Counter = Counter::new(c"libcuda", c"cuTest", Class::Local);
        let status = guarded(&COUNTER, || -> CUresult { panic!("on purpose") });
        assert_eq!(status, error::ERROR_UNKNOWN);
    }

    #[test]
    fn the_outermost_function_pays() {
        static OUTER: Counter = Counter::new(c"libcudart", c"cudaOuter", Class::Sync);
        static INNER: Counter = Counter::new(c"libcuda", c"cuInner", Class::Sync);
        ENABLED.store(ENABLED_STATS, Relaxed);
        // SAFETY: static counters; `leave` gets what `enter` returned.
        unsafe {
            let none = enter(&OUTER);
            assert!(none.is_null());
            let outer = enter(&INNER);
            assert!(std::ptr::eq(outer, &OUTER));
            round_trip(Duration::from_nanos(7), 3, 5, true);
            sent(10);
            leave(outer);
            round_trip(Duration::from_nanos(1), 0, 0, false);
            leave(none);
        }
        ENABLED.store(0, Relaxed);
        let outer = row(&OUTER);
        assert_eq!(
            (
                outer.calls,
                outer.round_trips,
                outer.blocked_ns,
                outer.bytes_out,
                outer.bytes_in
            ),
            (1, 2, 8, 13, 5)
        );
        assert_eq!(row(&INNER).calls, 0);
        let rows = rows();
        assert!(
            rows.iter()
                .any(|r| r.name == "cudaOuter" && r.class == "sync")
        );
        assert!(json(&rows).contains("\"name\":\"cudaOuter\""));
        assert!(table(&rows).contains("cudaOuter"));
    }
}
