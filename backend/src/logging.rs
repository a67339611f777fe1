//! The log: standard error, `GVIRTUS_LOGLEVEL`, `GVIRTUS_LOGFORMAT`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use rustix::io::fcntl_dupfd_cloexec;
use tracing::level_filters::LevelFilter;

/// A duplicate of standard error that programs started by us do not inherit: plugins take over descriptors 1 and 2 of a worker for what devices print.
pub(crate) fn standard_error() -> Option<File> {
    fcntl_dupfd_cloexec(std::io::stderr(), 3)
        .ok()
        .map(File::from)
}

/// A log that may have lost its reader. What cannot be written is dropped: the subscriber would complain of it on standard error, which is gone, too, and panic over that
/// with the log locked, so that a worker without a daemon would hang instead of ending.
struct Unheard<W>(W);

impl<W: Write> Write for Unheard<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Starts logging to `file`; without one nothing is logged.
pub(crate) fn init(file: Option<File>) {
    let Some(file) = file else { return };
    let setting = std::env::var("GVIRTUS_LOGLEVEL").unwrap_or_default();
    let level = level(&setting);
    let builder = tracing_subscriber::fmt()
        .with_writer(Mutex::new(Unheard(file)))
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .with_target(false)
        .with_ansi(false);
    let format = std::env::var("GVIRTUS_LOGFORMAT").unwrap_or_default();
    // A second start (tests) keeps the first.
    let _ = if format == "json" {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if !matches!(format.as_str(), "" | "text" | "json") {
        tracing::warn!("GVIRTUS_LOGFORMAT={format:?} is not understood; accepted: json, text");
    }
    if level.is_none() {
        tracing::warn!(
            "GVIRTUS_LOGLEVEL={setting:?} is not understood; accepted: trace, debug, info, warn, error, fatal, off, or 0, 10000, 20000, 30000, 40000, 50000, 60000"
        );
    }
}

/// A level by name or by GVirtuS's number: messages of that number and above are written.
fn level(setting: &str) -> Option<LevelFilter> {
    let setting = setting.trim().to_ascii_lowercase();
    Some(match setting.as_str() {
        "" => LevelFilter::INFO,
        "all" | "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        "off" | "none" => LevelFilter::OFF,
        number => match number.parse::<u32>().ok()? {
            ..10000 => LevelFilter::TRACE,
            10000..20000 => LevelFilter::DEBUG,
            20000..30000 => LevelFilter::INFO,
            30000..40000 => LevelFilter::WARN,
            40000..60000 => LevelFilter::ERROR,
            60000.. => LevelFilter::OFF,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_a_reader_is_no_error() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut log = Unheard(writer);
        log.write_all(b"nobody hears this").expect("dropped");
        log.flush().expect("nothing to do");
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(level("DEBUG"), Some(LevelFilter::DEBUG));
        assert_eq!(level("0"), Some(LevelFilter::TRACE));
        assert_eq!(level("10000"), Some(LevelFilter::DEBUG));
        assert_eq!(level("20000"), Some(LevelFilter::INFO));
        assert_eq!(level("50000"), Some(LevelFilter::ERROR));
        assert_eq!(level("60000"), Some(LevelFilter::OFF));
        assert_eq!(level(""), Some(LevelFilter::INFO));
        assert_eq!(level("loud"), None);
    }
}
