//! Shows the whole path at work: a backend, a real CUDA program compiled by nvcc, and where it ran.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::home::{self, Profile};
use crate::toolchain::Toolkit;
use crate::{fixtures, sh};

/// The program that is shown unless another is named.
const PROGRAM: &str = "matrix_product";

/// A daemon that stops when this is dropped, or when we die.
pub(crate) struct Backend {
    child: Child,
    address: String,
}

impl Drop for Backend {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        if pid > 0 && matches!(self.child.try_wait(), Ok(None)) {
            // SAFETY: `kill` touches no memory of ours, and the child is not reaped yet, so the id is still its.
            unsafe { libc::kill(pid, libc::SIGTERM) };
            for _ in 0..200 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Builds, starts a backend on the best device, compiles a fixture and runs it through the frontends.
pub fn demo(program: Option<&str>, profile: Profile) -> Result<()> {
    let toolkit = Toolkit::find(13)?;
    eprintln!("building (the first time takes minutes)");
    let home = home::install_home(profile)?;
    let directory = sh::target_dir().join("demo");
    sh::mkdir(&directory)?;

    let name = program.unwrap_or(PROGRAM);
    let all = fixtures::all()?;
    let fixture = all
        .get(name)
        .ok_or_else(|| anyhow!("there is no tests/fixtures/{name}.cu"))?;
    let binary = fixtures::build(fixture, &toolkit, &home, "", &[])?;
    println!(
        "compiled tests/fixtures/{name}.cu with {}",
        toolkit.nvcc.display()
    );

    let backend = start_backend(&home, &directory, &properties("0"))?;
    println!("a backend listens on {}", backend.address);
    let config = directory.join("client.json");
    std::fs::write(
        &config,
        properties(backend.address.rsplit(':').next().unwrap_or("0")).to_string(),
    )?;

    let stats = directory.join("stats.json");
    sh::remove(&stats)?;
    println!("$ gvirtus run -- {name}");
    let status = Command::new(home.join("bin/gvirtus"))
        .arg("run")
        .arg("--config")
        .arg(&config)
        .arg("--")
        .arg(&binary)
        .env("GVIRTUS_STATS", format!("json:{}", stats.display()))
        .status()
        .context("cannot start gvirtus")?;
    let device = device_name(&home, &config);
    drop(backend);
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    println!("{}", summary(name, &stats, device.as_deref())?);
    Ok(())
}

/// One line: where it ran and what it cost.
fn summary(name: &str, stats: &Path, device: Option<&str>) -> Result<String> {
    let text = std::fs::read_to_string(stats)
        .context("the program left no statistics: did it load our libraries?")?;
    let stats: Value = serde_json::from_str(&text)?;
    let totals = &stats["totals"];
    let number = |key: &str| totals[key].as_u64().unwrap_or(0);
    let setup = number("setup_round_trips");
    Ok(format!(
        "{name} ran on {}: {} CUDA calls, {} round trips and {setup} to set up",
        device.unwrap_or("the backend's device"),
        number("calls"),
        number("round_trips").saturating_sub(setup),
    ))
}

/// The device's name, as `gvirtus doctor` finds it.
fn device_name(home: &Path, config: &Path) -> Option<String> {
    let output = Command::new(home.join("bin/gvirtus"))
        .args(["doctor", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find(|line| line.to_ascii_lowercase().contains("device"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn properties(port: &str) -> Value {
    json!({
        "communicator": [{
            "endpoint": {"suite": "tcp/ip", "protocol": "tcp", "server_address": "127.0.0.1", "port": port},
            "plugins": ["cudart", "nvml", "cublas", "cudnn", "cufft", "curand"],
        }],
        "secure_application": false,
        "device": "auto",
    })
}

/// Starts one with these properties; its configuration and its log lie in `directory`.
pub(crate) fn start_backend(home: &Path, directory: &Path, properties: &Value) -> Result<Backend> {
    let config = directory.join("backend.json");
    std::fs::write(&config, properties.to_string())?;
    let log = directory.join("backend.log");
    let mut command = Command::new(home.join("bin/gvirtus-backend"));
    command
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?);
    // Ctrl-C ends us without destructors; the daemon then gets the signal that asks it to stop.
    // SAFETY: between fork and exec only `prctl` is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    let mut child = command.spawn().context("cannot start gvirtus-backend")?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let mut backend = Backend {
        child,
        address: String::new(),
    };
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("gvirtus-backend listening on ") {
                let _ = found.send(rest.to_owned());
            }
        }
    });
    let line = address.recv_timeout(Duration::from_secs(60)).map_err(|_| {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        anyhow!("the backend did not start:\n{log}")
    })?;
    line.split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .clone_into(&mut backend.address);
    Ok(backend)
}
