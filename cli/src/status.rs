//! `gvirtus status`: what a backend does.

use std::path::PathBuf;

use clap::Args;
use gvirtus_wire::handshake;
use serde_json::Value;

use crate::{exit, exit_code, settings};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the backend's JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn status(arguments: &Arguments) -> u8 {
    let settings = match settings(arguments.config.as_deref()) {
        Ok(settings) => settings,
        Err(e) => {
            eprintln!("gvirtus: {e}");
            return exit::CONFIG;
        }
    };
    let json = match handshake::status(&settings) {
        Ok(json) => json,
        Err(e) => {
            eprintln!("gvirtus: {e}");
            return exit_code(&e);
        }
    };
    match serde_json::from_str::<Value>(&json) {
        Ok(status) if arguments.json => println!("{status:#}"),
        Ok(status) => print!("{}", table(&settings.endpoint.to_string(), &status)),
        Err(e) => {
            eprintln!("gvirtus: the backend's answer is no JSON: {e}");
            return exit::VERSION;
        }
    }
    0
}

/// The state in words.
fn table(endpoint: &str, status: &Value) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<10} {text}");
    };
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    line(
        "backend",
        format!(
            "{endpoint}, release {}, up {}{}",
            text(&status["version"]),
            duration(&status["seconds"]),
            if status["stopping"] == true {
                ", stopping"
            } else {
                ""
            }
        ),
    );
    let device = &status["device"];
    let names: Vec<String> = list(&device["names"]).iter().map(text).collect();
    let names = if names.is_empty() {
        "not known yet".to_owned()
    } else {
        names.join(", ")
    };
    line(
        "device",
        format!("{names} (configured: {})", text(&device["configured"])),
    );
    if let Some(failure) = device["failure"].as_str() {
        line("", format!("FAILED: {failure}"));
    }
    for plugin in list(&status["plugins"]) {
        let detail = plugin["detail"]
            .as_str()
            .map(|d| format!(": {d}"))
            .unwrap_or_default();
        line(
            "plugin",
            format!(
                "{} {}{detail}",
                text(&plugin["name"]),
                text(&plugin["state"])
            ),
        );
    }
    let warm = list(&status["warm_workers"]);
    let ready = warm.iter().filter(|w| w["ready"] == true).count();
    line("warm", format!("{ready} of {} worker(s) ready", warm.len()));
    let sessions = list(&status["sessions"]);
    line(
        "sessions",
        format!(
            "{} of {}; {} so far, {} connection(s) turned away",
            sessions.len(),
            text(&status["max_sessions"]),
            text(&status["sessions_so_far"]),
            text(&status["refused_so_far"])
        ),
    );
    for session in sessions {
        let counters = &session["counters"];
        let tenant = session["tenant"]
            .as_str()
            .map(|t| format!(" tenant {t}"))
            .unwrap_or_default();
        line(
            &format!("  {}", text(&session["id"])),
            format!(
                "{} (pid {} on {}){tenant}, {}, worker {}, {} commands, {} in, {} out",
                // A program may call itself anything, also something that moves the cursor.
                text(&session["program"]).escape_debug(),
                text(&session["pid"]),
                text(&session["host"]).escape_debug(),
                duration(&session["seconds"]),
                text(&session["worker"]),
                counters["frames"].as_u64().unwrap_or(0),
                bytes(&counters["bytes_in"]),
                bytes(&counters["bytes_out"]),
            ),
        );
    }
    out
}

fn duration(seconds: &Value) -> String {
    let seconds = seconds.as_f64().unwrap_or(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn bytes(n: &Value) -> String {
    let n = n.as_u64().unwrap_or(0);
    match n {
        0..10_240 => format!("{n} B"),
        10_240..10_485_760 => format!("{} KiB", n >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", n >> 20),
        _ => format!("{} GiB", n >> 30),
    }
}
