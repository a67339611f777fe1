//! `gvirtus run`: sets the loader up and becomes the program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::{home, settings};

const OURS: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration for the program instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what is set up
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

/// Does not return if all goes well.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    match prepare(arguments) {
        Ok(mut command) => {
            let error = command.exec();
            eprintln!(
                "gvirtus: {}: {error}",
                arguments.program[0].to_string_lossy()
            );
            match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            }
        }
        Err(why) => {
            eprintln!("gvirtus: {why}");
            OURS
        }
    }
}

fn prepare(arguments: &Arguments) -> Result<Command, String> {
    let libraries = home::libraries()?;
    // A configuration that is wrong is better said now than by the first CUDA call.
    let settings = settings(arguments.config.as_deref()).map_err(|e| e.to_string())?;
    for warning in &settings.warnings {
        eprintln!("gvirtus: {warning}");
    }
    let path = search_path(&libraries, std::env::var_os("LD_LIBRARY_PATH"));
    let mut command = Command::new(&arguments.program[0]);
    command
        .args(&arguments.program[1..])
        .env("LD_LIBRARY_PATH", &path);
    if let Some(file) = &settings.file {
        let file = std::path::absolute(file).map_err(|e| format!("{}: {e}", file.display()))?;
        command.env("GVIRTUS_CONFIG", &file);
        if arguments.verbose {
            eprintln!("gvirtus: GVIRTUS_CONFIG={}", file.display());
        }
    }
    if arguments.verbose {
        eprintln!("gvirtus: LD_LIBRARY_PATH={}", path.to_string_lossy());
        eprintln!("gvirtus: backend {}", settings.endpoint);
        if let Some(emulation) = settings.emulation {
            eprintln!("gvirtus: emulated distance {emulation}");
        }
    }
    Ok(command)
}

/// Our libraries first, then what was there.
pub(crate) fn search_path(ours: &Path, before: Option<OsString>) -> OsString {
    let mut path = ours.as_os_str().to_owned();
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        path.push(":");
        path.push(before);
    }
    path
}
