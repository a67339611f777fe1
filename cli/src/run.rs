//! `gvirtus run`: sets the loader up and becomes the program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::level::{self, Choice, Level, Wish};
use crate::{home, settings};

const OURS: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration for the program instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of our libraries the program gets
    #[arg(long, value_enum, default_value = "auto")]
    level: Wish,
    /// Say what is set up, and why
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Arguments {
    /// As if the command line said so.
    pub(crate) fn new(program: &[OsString], config: &Path, level: Wish) -> Self {
        Self {
            config: Some(config.to_owned()),
            level,
            verbose: false,
            program: program.to_owned(),
        }
    }
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

/// The program, set up but not started.
pub(crate) fn prepare(arguments: &Arguments) -> Result<Command, String> {
    let libraries = home::libraries()?;
    // A configuration that is wrong is better said now than by the first CUDA call.
    let settings = settings(arguments.config.as_deref()).map_err(|e| e.to_string())?;
    for warning in &settings.warnings {
        eprintln!("gvirtus: {warning}");
    }
    let before = std::env::var_os("LD_LIBRARY_PATH");
    let choice = choose(arguments, &libraries, before.as_deref().unwrap_or_default())?;
    let ours = match choice.level {
        Level::Library => libraries.clone(),
        Level::Driver => driver_libraries(&libraries)?,
    };
    let path = search_path(&ours, before);
    let mut command = Command::new(&arguments.program[0]);
    command
        .args(&arguments.program[1..])
        .env("LD_LIBRARY_PATH", &path);
    let auditors = match choice.level {
        Level::Library => Some(auditors(&libraries, std::env::var_os("LD_AUDIT"))?),
        Level::Driver => None,
    };
    if let Some(auditors) = &auditors {
        command.env("LD_AUDIT", auditors);
    }
    if let Some(file) = &settings.file {
        let file = std::path::absolute(file).map_err(|e| format!("{}: {e}", file.display()))?;
        command.env("GVIRTUS_CONFIG", &file);
        if arguments.verbose {
            eprintln!("gvirtus: GVIRTUS_CONFIG={}", file.display());
        }
    }
    for warning in &choice.warnings {
        eprintln!("gvirtus: {warning}");
    }
    if arguments.verbose {
        eprintln!("gvirtus: level {}", choice.level);
        for reason in &choice.reasons {
            eprintln!("gvirtus:   {reason}");
        }
        eprintln!("gvirtus: LD_LIBRARY_PATH={}", path.to_string_lossy());
        if let Some(auditors) = &auditors {
            eprintln!("gvirtus: LD_AUDIT={}", auditors.to_string_lossy());
        }
        eprintln!("gvirtus: backend {}", settings.endpoint);
        if let Some(emulation) = settings.emulation {
            eprintln!("gvirtus: emulated distance {emulation}");
        }
    }
    Ok(command)
}

fn choose(arguments: &Arguments, ours: &Path, before: &OsStr) -> Result<Choice, String> {
    let asked = |level| Choice {
        level,
        reasons: vec!["as asked for".to_owned()],
        warnings: Vec::new(),
    };
    match arguments.level {
        Wish::Driver => Ok(asked(Level::Driver)),
        Wish::Library => Ok(asked(Level::Library)),
        Wish::Auto => {
            // What a program around us has set up for its own use is not the host's.
            let others: Vec<_> = std::env::split_paths(before)
                .filter(|dir| !dir.starts_with(ours))
                .collect();
            let others =
                std::env::join_paths(others).map_err(|e| format!("LD_LIBRARY_PATH: {e}"))?;
            level::choose(&arguments.program[0], ours, &others)
        }
    }
}

/// The directory with the driver's libraries alone.
pub(crate) fn driver_libraries(libraries: &Path) -> Result<PathBuf, String> {
    let driver = libraries.join("driver");
    if driver.join("libcuda.so.1").is_file() {
        Ok(driver)
    } else {
        Err(format!(
            "{} lacks libcuda.so.1: the installation is not complete",
            driver.display()
        ))
    }
}

/// The loader's auditors: ours, by which our libraries come before those that an RPATH or a full path leads to, and whichever there were.
fn auditors(libraries: &Path, before: Option<OsString>) -> Result<OsString, String> {
    let ours = libraries.join("libgvirtus_audit.so");
    if !ours.is_file() {
        return Err(format!(
            "{} is not there: the installation is not complete",
            ours.display()
        ));
    }
    // In a list of auditors a colon cannot be written otherwise.
    if ours.as_os_str().as_encoded_bytes().contains(&b':') {
        return Err(format!(
            "{}: the loader takes the colon for the end of the path; install GVirtuS elsewhere",
            ours.display()
        ));
    }
    Ok(search_path(&ours, before))
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
