//! Who is measured: a native run, or runs through a backend.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gvirtus_wire::config::Endpoint;
use serde_json::Value;

use super::backend::Backend;
use super::{Arguments, Refusal, child};
use crate::level::Wish;
use crate::{exit, home, run, settings};

/// Settings of the caller that belong to other backends than one of ours.
const OTHERS: &[&str] = &[
    "GVIRTUS_ENDPOINT",
    "GVIRTUS_TENANT",
    "GVIRTUS_TOKEN",
    "GVIRTUS_TOKEN_FILE",
];

/// Where GVirtuS is installed, as far as this command needs it.
pub(super) struct Installation {
    libraries: PathBuf,
    programs: PathBuf,
}

impl Installation {
    pub(super) fn find() -> Result<Self, Refusal> {
        let libraries = home::libraries().map_err(Refusal::setup)?;
        let programs = libraries.join("../bin");
        Ok(Self {
            libraries,
            programs,
        })
    }

    /// A program of ours.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, Refusal> {
        let path = self.programs.join(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(Refusal::setup(format!(
                "{} is not there: the installation is not complete",
                path.display()
            )))
        }
    }

    /// `LD_LIBRARY_PATH` without us.
    fn native_path(&self) -> OsString {
        let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let others: Vec<_> = std::env::split_paths(&before)
            .filter(|dir| {
                let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
                !dir.starts_with(&self.libraries)
            })
            .collect();
        // They came from such a list.
        std::env::join_paths(others).unwrap_or_default()
    }
}

/// How a program gets at its GPU.
pub(super) enum Way {
    /// Without us.
    Native,
    /// Through a backend, with this configuration.
    Through { config: PathBuf },
}

/// One column of the report.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) way: Way,
    pub(super) endpoint: Option<Endpoint>,
    /// What `gvirtus-bench probe` said.
    pub(super) device: Value,
    /// Kept running.
    backend: Option<Backend>,
}

impl Subject {
    /// Whether the backend is one that we have started on this host.
    pub(super) fn is_ours(&self) -> bool {
        self.backend.is_some()
    }

    /// A program of the driver API, set up but not started.
    pub(super) fn driver_program(
        &self,
        installation: &Installation,
        program: &Path,
    ) -> Result<Command, Refusal> {
        self.program(
            installation,
            &[program.as_os_str().to_owned()],
            Wish::Driver,
        )
    }

    /// Any program, set up but not started.
    pub(super) fn program(
        &self,
        installation: &Installation,
        program: &[OsString],
        level: Wish,
    ) -> Result<Command, Refusal> {
        let mut command = match &self.way {
            Way::Native => {
                let mut command = Command::new(&program[0]);
                command
                    .args(&program[1..])
                    .env("LD_LIBRARY_PATH", installation.native_path());
                for (name, _) in std::env::vars_os() {
                    if name.to_string_lossy().starts_with("GVIRTUS_") {
                        command.env_remove(name);
                    }
                }
                command
            }
            Way::Through { config } => run::prepare(&run::Arguments::new(program, config, level))
                .map_err(Refusal::setup)?,
        };
        for name in ["GVIRTUS_STATS", "GVIRTUS_TRACE"] {
            command.env_remove(name);
        }
        if self.is_ours() {
            for name in OTHERS {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Asks for the device. What is no GPU of its own is no native run.
    fn probe(&mut self, installation: &Installation, limit: Duration) -> Result<(), Refusal> {
        let mut command =
            self.driver_program(installation, &installation.program("gvirtus-bench")?)?;
        let outcome = child::run(command.arg("probe"), limit).map_err(Refusal::setup)?;
        if let Some(why) = outcome.failure() {
            return Err(Refusal(exit::UNREACHABLE, format!("{}: {why}", self.name)));
        }
        self.device = serde_json::from_str(&outcome.stdout)
            .map_err(|e| Refusal::setup(format!("gvirtus-bench probe: {e}")))?;
        if matches!(self.way, Way::Native) && self.device["gvirtus"] == true {
            return Err(Refusal::setup(
                "this host's libcuda.so.1 is GVirtuS's own".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Everybody who is to be measured, the native run first. Says on standard error who is not, and why.
pub(super) fn find(
    arguments: &Arguments,
    installation: &Installation,
) -> Result<Vec<Subject>, Refusal> {
    let limit = Duration::from_secs(arguments.limit);
    let mut subjects = Vec::new();
    if !arguments.no_native {
        let mut native = Subject {
            name: "native".to_owned(),
            way: Way::Native,
            endpoint: None,
            device: Value::Null,
            backend: None,
        };
        match native.probe(installation, limit) {
            Ok(()) => subjects.push(native),
            Err(Refusal(_, why)) => {
                eprintln!("gvirtus: no native run: {}", first_line(&why));
            }
        }
    }
    let mut through = if arguments.transports.is_empty() {
        vec![configured(arguments)?]
    } else {
        arguments
            .transports
            .iter()
            .map(|protocol| ours(arguments, installation, protocol))
            .collect::<Result<_, _>>()?
    };
    for subject in &mut through {
        subject.probe(installation, limit)?;
    }
    subjects.extend(through);
    Ok(subjects)
}

fn configured(arguments: &Arguments) -> Result<Subject, Refusal> {
    let settings = settings(arguments.config.as_deref()).map_err(|e| {
        Refusal::setup(format!(
            "{e}\n(--transports tcp,shm starts backends on this host and needs no configuration)"
        ))
    })?;
    let Some(config) = settings.file.clone() else {
        return Err(Refusal::setup(
            "GVIRTUS_ENDPOINT alone will not do: name a configuration by --config",
        ));
    };
    Ok(Subject {
        name: settings.endpoint.protocol.clone(),
        way: Way::Through { config },
        endpoint: Some(settings.endpoint),
        device: Value::Null,
        backend: None,
    })
}

fn ours(
    arguments: &Arguments,
    installation: &Installation,
    protocol: &str,
) -> Result<Subject, Refusal> {
    let program = installation.program("gvirtus-backend")?;
    let backend = Backend::start(&program, protocol, &arguments.device).map_err(Refusal::setup)?;
    Ok(Subject {
        name: backend.endpoint().protocol.clone(),
        way: Way::Through {
            config: backend.config(),
        },
        endpoint: Some(backend.endpoint().clone()),
        device: Value::Null,
        backend: Some(backend),
    })
}

fn first_line(text: &str) -> &str {
    // The complaint itself stands behind how the process ended.
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or(text)
}

/// The column of a program that is not native: what comparisons start from.
pub(super) fn through(subjects: &[Subject]) -> impl Iterator<Item = &Subject> {
    subjects
        .iter()
        .filter(|subject| matches!(subject.way, Way::Through { .. }))
}

/// As text for messages.
pub(super) fn shown(program: &[OsString]) -> String {
    program
        .iter()
        .map(|part| OsStr::to_string_lossy(part))
        .collect::<Vec<_>>()
        .join(" ")
}
