//! Processes that are measured: they end by themselves, or are ended.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A command of ours that ends when we end, however that happens: `gvirtus bench --leash`, to be followed by `--echo` or by a program.
pub(super) fn leashed() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.args(["bench", "--leash", &std::process::id().to_string()]);
    Ok(command)
}

/// The other side of [`leashed`]. The process that is started then calls no code between fork and exec, which would be unsafe.
pub(super) fn end_with_parent(parent: u32) -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(|e| e.to_string())?;
    // It may have ended before it could be watched.
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err("whoever started this is gone".to_owned())
    }
}

/// Becomes a program, which keeps the leash. Returns only if that fails.
pub(super) fn become_program(program: &[OsString]) -> String {
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    format!("{}: {error}", program[0].to_string_lossy())
}

/// What came of a process.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) stdout: String,
    stderr: String,
    status: Option<ExitStatus>,
    pub(super) elapsed: Duration,
}

impl Outcome {
    /// Nothing, or how it failed with the end of what it complained.
    pub(super) fn failure(&self) -> Option<String> {
        let how = match self.status {
            Some(status) if status.success() => return None,
            Some(status) => status.to_string(),
            None => format!("ended by us after {:.0} s", self.elapsed.as_secs_f64()),
        };
        let lines: Vec<&str> = self.stderr.lines().collect();
        let tail = &lines[lines.len().saturating_sub(5)..];
        Some(format!("{how}\n  {}", tail.join("\n  ")))
    }
}

/// Runs a command to its end or the limit.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<Outcome, String> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let (status, elapsed) = wait(&mut child, began, limit)?;
    Ok(Outcome {
        stdout: text(stdout),
        stderr: text(stderr),
        status,
        elapsed,
    })
}

/// Waits without polling, so that the time is exact: a thread of its own ends the process at the limit.
fn wait(
    child: &mut Child,
    began: Instant,
    limit: Duration,
) -> Result<(Option<ExitStatus>, Duration), String> {
    let pid = pid(child);
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = matches!(end.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
        if late {
            // Nobody has waited for it yet: the id is still its own.
            let _ =
                pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        late
    });
    let status = child.wait().map_err(|e| e.to_string())?;
    let elapsed = began.elapsed();
    drop(ended);
    let late = watchdog.join().unwrap_or(false);
    Ok(((!late).then_some(status), elapsed))
}

pub(super) fn pid(child: &Child) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Collects what is written, whether or not anybody wants it: a full pipe would stop the process.
pub(super) fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What could not be read is missing from a message at most.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn text(thread: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        let sh = |script: &str, limit| {
            run(Command::new("sh").args(["-c", script]), limit).expect("sh runs")
        };
        let fine = sh("echo yes", Duration::from_secs(30));
        assert_eq!((fine.stdout.as_str(), fine.failure()), ("yes\n", None));
        let failed = sh("echo no >&2; exit 3", Duration::from_secs(30));
        let why = failed.failure().expect("it failed");
        assert!(
            why.contains("exit status: 3") && why.contains("no"),
            "{why}"
        );
        let hung = sh("exec sleep 60", Duration::from_millis(200));
        assert!(
            hung.failure()
                .is_some_and(|why| why.contains("ended by us"))
        );
        assert!(hung.elapsed < Duration::from_secs(30));
    }
}
