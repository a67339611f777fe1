//! Messages on standard error, chosen by `GVIRTUS_LOGLEVEL`: a name (`off`, `error`, `warn`, `info`, `debug`, `trace`) or log4cplus' number
//! (`60000` off, `40000` error, `30000` warn, `20000` info, `10000` debug, `0` trace), as GVirtuS has always taken it.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as the user probably wants it.
    Warn = 2,
    /// What a user may want to know once.
    Info = 3,
    /// What a developer wants to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// The environment has not been read yet.
const UNREAD: u8 = 0xff;
static LEVEL: AtomicU8 = AtomicU8::new(UNREAD);

/// What `GVIRTUS_LOGLEVEL` means: the highest level that is written, 0 for none; `None` if it means nothing.
fn parse(text: &str) -> Option<u8> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(match number {
            60000.. => 0,
            40000.. => Level::Error as u8,
            30000.. => Level::Warn as u8,
            20000.. => Level::Info as u8,
            10000.. => Level::Debug as u8,
            0.. => Level::Trace as u8,
            _ => return None,
        });
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "off" | "none" => 0,
        "fatal" | "error" => Level::Error as u8,
        "warn" | "warning" => Level::Warn as u8,
        "info" => Level::Info as u8,
        "debug" => Level::Debug as u8,
        "trace" | "all" => Level::Trace as u8,
        _ => return None,
    })
}

#[cold]
fn read_environment() -> u8 {
    let default = Level::Warn as u8;
    let level = match std::env::var("GVIRTUS_LOGLEVEL") {
        Ok(text) if text.trim().is_empty() => default,
        Ok(text) => parse(&text).unwrap_or_else(|| {
            LEVEL.store(default, Ordering::Relaxed);
            write(
                Level::Warn,
                format_args!(
                    "GVIRTUS_LOGLEVEL={text} means nothing; off, error, warn, info, debug, trace and the numbers 60000 to 0 do"
                ),
            );
            default
        }),
        Err(_) => default,
    };
    LEVEL.store(level, Ordering::Relaxed);
    level
}

/// Whether messages of a level are written.
#[inline]
pub(crate) fn enabled(level: Level) -> bool {
    let mut highest = LEVEL.load(Ordering::Relaxed);
    if highest == UNREAD {
        highest = read_environment();
    }
    level as u8 <= highest
}

/// Writes one line. Use `log!`, which asks [`enabled`] first.
#[cold]
pub(crate) fn write(level: Level, message: fmt::Arguments<'_>) {
    use std::io::Write;
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let line = format!("gvirtus[{}] {name}: {message}\n", std::process::id());
    // A program may have closed its standard error; there is nowhere else to say so.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether this is the first time that a symbol is named: what is not supported is said once, not at every call.
pub(crate) fn first_time(symbol: &str) -> bool {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut seen = SEEN.lock();
    let seen = seen.get_or_insert_with(HashSet::new);
    !seen.contains(symbol) && seen.insert(symbol.to_owned())
}

/// Says once that a function does not exist here.
#[cold]
pub(crate) fn unsupported(symbol: &str) {
    if enabled(Level::Warn) && first_time(symbol) {
        write(
            Level::Warn,
            format_args!("{symbol} is not supported; the program gets CUDA_ERROR_NOT_SUPPORTED"),
        );
    }
}

/// `log!(Warn, "format {}", x)`: a message on standard error if `GVIRTUS_LOGLEVEL` asks for it.
macro_rules! log {
    ($level:ident, $($text:tt)*) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, format_args!($($text)*));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(parse("60000"), Some(0));
        assert_eq!(parse("40000"), Some(1));
        assert_eq!(parse("35000"), Some(2));
        assert_eq!(parse("20000"), Some(3));
        assert_eq!(parse("10000"), Some(4));
        assert_eq!(parse("0"), Some(5));
        assert_eq!(parse(" WARN "), Some(2));
        assert_eq!(parse("Debug"), Some(4));
        assert_eq!(parse("loud"), None);
        assert_eq!(parse("-1"), None);
    }

    #[test]
    fn a_symbol_is_named_once() {
        assert!(first_time("cuSomething"));
        assert!(!first_time("cuSomething"));
        assert!(first_time("cuSomethingElse"));
    }
}
