//! The commands as a script sees them: output and exit codes. What needs a backend is in the end-to-end tests.

use std::path::Path;
use std::process::{Command, Output};

fn gvirtus(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gvirtus"))
        .args(arguments)
        .env("GVIRTUS_HOME", home)
        .env_remove("GVIRTUS_CONFIG")
        .env_remove("GVIRTUS_ENDPOINT")
        .env("LD_LIBRARY_PATH", "/before")
        .output()
        .unwrap()
}

/// An installation with a configuration that names a port where nobody is.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for dir in ["lib/driver", "etc"] {
        std::fs::create_dir_all(home.path().join(dir)).unwrap();
    }
    for library in ["libgvirtus.so", "driver/libcuda.so.1"] {
        std::fs::write(home.path().join("lib").join(library), "").unwrap();
    }
    std::fs::write(
        home.path().join("etc/properties.json"),
        r#"{"communicator": [{"endpoint": {"protocol": "tcp", "server_address": "127.0.0.1", "port": "1"}}]}"#,
    )
    .unwrap();
    home
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn run_becomes_the_program() {
    let home = home();
    let output = gvirtus(
        home.path(),
        &[
            "run",
            "--level",
            "driver",
            "--",
            "sh",
            "-c",
            "echo $LD_LIBRARY_PATH; echo $GVIRTUS_CONFIG; exit 7",
        ],
    );
    assert_eq!(output.status.code(), Some(7));
    let home = home.path().canonicalize().unwrap();
    assert_eq!(
        text(&output.stdout),
        format!(
            "{0}/lib/driver:/before\n{0}/etc/properties.json\n",
            home.display()
        )
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn run_without_a_program_an_installation_or_a_configuration() {
    let home = home();
    let output = gvirtus(
        home.path(),
        &["run", "--level", "driver", "--", "there-is-no-such-program"],
    );
    assert_eq!(output.status.code(), Some(127));
    let output = gvirtus(
        home.path(),
        &["run", "--level", "driver", "--", "/etc/passwd"],
    );
    assert_eq!(output.status.code(), Some(126));
    let output = gvirtus(
        home.path(),
        &["run", "--config", "/no/such.json", "--", "true"],
    );
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("/no/such.json"));
    let output = gvirtus(home.path(), &["run", "--level", "library", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("libgvirtus_audit.so"));
    let output = gvirtus(Path::new("/nowhere"), &["run", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("libgvirtus.so is not in /nowhere/lib"));
}

#[test]
fn no_backend() {
    let home = home();
    for command in ["doctor", "status"] {
        let output = gvirtus(home.path(), &[command]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(all.contains("no backend at tcp://127.0.0.1:1"), "{all}");
    }
}

#[test]
fn a_configuration_that_is_wrong() {
    let home = home();
    std::fs::write(
        home.path().join("etc/properties.json"),
        "{\n  \"communicator\": 3\n}",
    )
    .unwrap();
    for (command, code) in [("doctor", 2), ("status", 2)] {
        let output = gvirtus(home.path(), &[command]);
        assert_eq!(output.status.code(), Some(code));
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(
            all.contains("properties.json:2:19: communicator is 3; accepted: a list of objects"),
            "{all}"
        );
    }
}
