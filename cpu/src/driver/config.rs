//! Settings from the environment.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `GVIRTUS_CPU_DEVICES` | number of devices, 1 to 16 | 1 |
//! | `GVIRTUS_CPU_MEMORY` | memory of each device in bytes (suffixes `K`, `M`, `G`) | half of the host's, at most 8 GiB |
//! | `GVIRTUS_CPU_THREADS` | host threads that run kernels; also the number of multiprocessors | the host's cores |
//! | `GVIRTUS_CPU_LIMIT` | most seconds that a kernel may run; then it ends with `CUDA_ERROR_LAUNCH_TIMEOUT` | none |
//! | `GVIRTUS_CPU_JIT` | when kernels become machine code: `never`, `auto` (when they run often), `always`; read by [`crate::ptx`] | `auto` |
//! | `GVIRTUS_CPU_FAULTS` | `0`: do not say on standard error where a kernel faulted | on |

use std::env;
use std::thread::available_parallelism;
use std::time::Duration;

use super::memory::GRANULE;

/// The settings of this process, read once at `cuInit`.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) devices: usize,
    /// Bytes per device, a multiple of [`GRANULE`].
    pub(super) memory: u64,
    pub(super) threads: usize,
    pub(super) report_faults: bool,
    /// How long a kernel may run.
    pub(super) limit: Option<Duration>,
}

impl Config {
    pub(super) fn from_environment() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let memory =
            number("GVIRTUS_CPU_MEMORY").unwrap_or_else(|| (host_memory() / 2).min(8 << 30));
        Self {
            devices: number("GVIRTUS_CPU_DEVICES").map_or(1, |count| count.clamp(1, 16) as usize),
            memory: (memory / GRANULE).max(16) * GRANULE,
            threads: number("GVIRTUS_CPU_THREADS")
                .map_or(cores, |count| count.clamp(1, 1024) as usize),
            // A fault ends the context: worth a line.
            limit: number("GVIRTUS_CPU_LIMIT")
                .filter(|&seconds| seconds != 0)
                .map(Duration::from_secs),
            report_faults: number("GVIRTUS_CPU_FAULTS").is_none_or(|value| value != 0),
        }
    }
}

/// A whole number with an optional binary suffix; what cannot be read is reported and ignored.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = parse_number(&text);
    if parsed.is_none() {
        eprintln!(
            "gvirtus-cpu: {name}={text}: expected a whole number, optionally with suffix K, M or G; ignored"
        );
    }
    parsed
}

fn parse_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let shift = match text.bytes().last()?.to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn host_memory() -> u64 {
    // SAFETY: plain queries of constants.
    let (pages, size) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    u64::try_from(pages)
        .unwrap_or(0)
        .saturating_mul(u64::try_from(size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn suffixes_are_binary_and_overflow_is_refused() {
        assert_eq!(parse_number("64M"), Some(64 << 20));
        assert_eq!(parse_number(" 3g "), Some(3 << 30));
        assert_eq!(parse_number("17"), Some(17));
        assert_eq!(parse_number("G"), None);
        assert_eq!(parse_number("99999999999G"), None);
    }
}
