//! `on_demand`: a program that does what it is told, line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::backend::Backend;
use crate::{compiled, program};

/// The program, ready.
#[derive(Debug)]
pub struct OnDemand {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl OnDemand {
    /// Starts it on a backend; `change` may change its environment.
    pub fn start(backend: &Backend, change: impl FnOnce(&mut Command)) -> Self {
        let path = compiled("on_demand", 13).expect("the fixture compiles");
        let mut command = program::command(&path, backend.client_config());
        change(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Sessions are lost here on purpose, and say so.
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let program = Self {
            input: child.stdin.take().expect("piped"),
            lines,
            child,
        };
        assert_eq!(program.answer(program::TIME_LIMIT), "ready");
        program
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("fits")
    }

    /// Tells it to do something.
    pub fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").expect("it listens");
    }

    /// Its next line; fails the test if that takes longer.
    pub fn answer(&self, within: Duration) -> String {
        self.lines
            .recv_timeout(within)
            .unwrap_or_else(|e| panic!("no answer within {within:?}: {e}"))
    }

    /// Tells it to do something, and hears how that went.
    pub fn ask(&mut self, what: &str, within: Duration) -> String {
        self.tell(what);
        self.answer(within)
    }

    /// Ends it.
    pub fn finish(mut self) -> ExitStatus {
        drop(self.input);
        self.child.wait().expect("the program ends")
    }
}
