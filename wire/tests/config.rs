//! `properties.json`: what is read, and what is said about what is not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gvirtus_wire::config::{Cpu, DeviceChoice, Endpoint, Properties};

fn parse(text: &str) -> Result<Properties, String> {
    Properties::parse(Path::new("/etc/gvirtus/properties.json"), text).map_err(|e| e.to_string())
}

/// The message without the file's name.
fn message(text: &str) -> String {
    let message = parse(text).unwrap_err();
    message
        .strip_prefix("/etc/gvirtus/properties.json:")
        .unwrap_or_else(|| panic!("{message}"))
        .to_owned()
}

fn with(keys: &str) -> String {
    format!(
        r#"{{"communicator":[{{"endpoint":{{"protocol":"tcp","server_address":"h","port":1}}}}],{keys}}}"#
    )
}

#[test]
fn gvirtus_files_new_and_old_are_read_as_they_are() {
    let new = r#"{"communicator":[{"endpoint":{"suite":"tcp/ip","protocol":"tcp","server_address":"127.0.0.1","port":"9999"},
        "plugins":["cudart","cublas","cudnn","curand","cufft"]}], "secure_application":false}"#;
    let old = r#"{
        "communicator": {
            "endpoint": {
                "suite": "tcp/ip",
                "protocol": "oldtcp",   // the first communicator
                "server_address": "127.0.0.1",
                "port": "9999"
            },
            "plugins": ["cudart", "cudadr", "cufft", "nvrtc"],
        }
    }"#;
    let new = parse(new).unwrap();
    assert_eq!(new.endpoints[0].to_string(), "tcp://127.0.0.1:9999");
    assert_eq!(
        new.plugins,
        ["cudart", "cublas", "cudnn", "curand", "cufft"]
    );
    assert_eq!(new.warnings, [""; 0]);
    let old = parse(old).unwrap();
    assert_eq!(old.endpoints, new.endpoints);
    assert_eq!(old.plugins, ["cudart", "cufft"]);
    assert_eq!(
        old.warnings,
        [
            "/etc/gvirtus/properties.json:9:54: plugin \"nvrtc\" is not one of ours and is left out; accepted: cudart, nvml, cublas, cudnn, curand, cufft"
        ]
    );
}

#[test]
fn our_keys() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), " secret\n").unwrap();
    let text = r#"{
        "communicator": [
            {"endpoint": {"protocol": "unix", "path": "run/gvirtus"}},
            {"endpoint": {"protocol": "tcp", "server_address": "::1", "port": 0}}
        ],
        "device": "cpu", "cpu": {"devices": 2, "memory": "4GiB"},
        "tenants": [{"name": "a", "token_file": "token"}, {"name": "b", "token": "other"}],
        "tenant": "b",
        "allow_unauthenticated_remote": true, "warm_workers": 0, "plugins_dir": "/p", "max_sessions": 3,
        "lanes": 7, "concurrent_managed_access": true, "launch_threads": 3, "module_cache": {"dir": "images", "bytes": "1GiB"},
        "connect_timeout": 0.5, "drain_timeout": 5
    }"#;
    let p = Properties::parse(&dir.path().join("properties.json"), text).unwrap();
    assert_eq!(p.endpoints[0].path, Some(dir.path().join("run/gvirtus")));
    assert_eq!(p.endpoints[1].to_string(), "tcp://[::1]:0");
    assert_eq!(p.device, DeviceChoice::Cpu);
    assert_eq!(
        p.cpu,
        Cpu {
            devices: Some(2),
            memory: Some(4 << 30)
        }
    );
    assert_eq!(p.tenants[0].token.bytes(), b"secret");
    assert_eq!(p.identity.unwrap(), p.tenants[1]);
    assert_eq!((p.warm_workers, p.max_sessions, p.lanes), (0, 3, 7));
    assert!(p.concurrent_managed_access);
    assert_eq!(p.launch_threads, Some(3));
    assert_eq!(p.module_cache.dir, Some(dir.path().join("images")));
    assert_eq!(p.module_cache.bytes, 1 << 30);
    let none = parse(&with(r#""module_cache": false"#)).unwrap();
    assert_eq!(none.module_cache.bytes, 0);
    let usual = parse(&with(r#""module_cache": true"#)).unwrap();
    assert_eq!((usual.module_cache.bytes, usual.lanes), (4 << 30, 8));
    for wrong in [
        r#""lanes": 17"#,
        r#""launch_threads": -1"#,
        r#""module_cache": {"bytes": 0}"#,
    ] {
        assert!(parse(&with(wrong)).is_err());
    }
    assert_eq!(p.plugins_dir, Some(PathBuf::from("/p")));
    assert_eq!(p.connect_timeout, Duration::from_millis(500));
    assert!(
        !format!("{:?}", p.tenants).contains("secret"),
        "tokens are not printed"
    );
}

#[test]
fn the_only_tenant_is_the_client_too() {
    let p = parse(&with(r#""tenants": [{"name": "a", "token": "t"}]"#)).unwrap();
    assert_eq!(p.identity.unwrap().name, "a");
    let two = r#""tenants": [{"name": "a", "token": "t"}, {"name": "b", "token": "u"}]"#;
    assert_eq!(parse(&with(two)).unwrap().identity, None);
}

#[test]
fn unknown_keys_are_reported_and_ignored() {
    let p = parse(&with("\n \"colour\": 3")).unwrap();
    assert_eq!(p.warnings.len(), 1);
    assert!(
        p.warnings[0].starts_with(
            "/etc/gvirtus/properties.json:2:2: key \"colour\" is unknown and ignored; accepted: communicator,"
        ),
        "{}",
        p.warnings[0]
    );
}

#[test]
fn auto_is_shared_memory_here_and_tcp_elsewhere() {
    let text = r#"{"communicator": [{"endpoint": {
        "protocol": "auto", "path": "/run/gvirtus.sock", "server_address": "box", "port": "9999"}}]}"#;
    let both: Vec<String> = parse(text)
        .unwrap()
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(both, ["shm:///run/gvirtus.sock", "tcp://box:9999"]);
    let none = r#"{"communicator": [{"endpoint": {"protocol": "auto", "server_address": "box", "port": "9999"}}]}"#;
    let error = parse(none).unwrap_err().to_string();
    assert!(error.contains("endpoint.path is missing"), "{error}");
}

#[test]
fn messages() {
    let golden: &[(&str, &str)] = &[
        ("", "1:1: a value is missing: found the end of the file"),
        (
            "{\n  \"a\" 1}",
            "2:7: ':' must follow the key \"a\", not '1'",
        ),
        (
            "{\"a\": 1 \"b\": 2}",
            "1:9: ',' or '}' must stand here, not '\"'",
        ),
        (
            "{'a': 1}",
            "1:2: a key in double quotes or '}' must stand here, not '\\''",
        ),
        (
            "{\"a\": tcp}",
            "1:7: tcp is not understood; text needs double quotes",
        ),
        ("{\"a\": \"x\n\"}", "1:7: this text has no closing quote"),
        (
            "{\"a\": 1, \"a\": 2}",
            "1:10: key \"a\" stands here a second time",
        ),
        ("{\"a\": 1-2}", "1:7: 1-2 is no number"),
        ("{} x", "1:4: 'x' after the end of the configuration"),
        (
            "[]",
            "1:1: the configuration is a list; accepted: an object",
        ),
        (
            "{}",
            "1:1: communicator is missing; accepted: a list of {\"endpoint\": {…}, \"plugins\": […]}",
        ),
        (
            "{\"communicator\": [{}]}",
            "1:19: endpoint is missing; accepted: {\"protocol\": …, \"server_address\": …, \"port\": …}",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {\"protocol\": \"tpc\"}}]}",
            "1:45: endpoint.protocol \"tpc\" is unknown; accepted: tcp, unix, shm, auto",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {\"protocol\": \"tcp\", \"server_address\": \"h\"}}]}",
            "1:32: endpoint.port is missing; accepted: for tcp 0 to 65535",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {\"protocol\": \"tcp\", \"port\": \"99999\"}}]}",
            "1:60: endpoint.port is \"99999\"; accepted: 0 to 65535",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {\"protocol\": \"unix\"}}]}",
            "1:32: endpoint.path is missing; accepted: for shm and unix the path of a socket, as \"/run/gvirtus.sock\"",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {}}]}",
            "1:32: endpoint.protocol is missing; accepted: tcp, unix, shm, auto",
        ),
        (
            "{\"communicator\": [{\"endpoint\": {\"server_address\": \"\"}}]}",
            "1:51: endpoint.server_address is \"\"; accepted: a host's name or address",
        ),
    ];
    for (text, expected) in golden {
        assert_eq!(&message(text), expected, "for {text}");
    }
    let at = with("").len() - 1;
    let golden: &[(&str, &str)] = &[
        (
            r#""secure_application": true"#,
            "secure_application is true, but TLS is not available yet; accepted: false (and a network that you trust, or a tunnel)",
        ),
        (
            r#""device": "cudda""#,
            "device is \"cudda\"; accepted: \"auto\", \"cuda\", \"cpu\", or the path of a library with the driver API",
        ),
        (
            r#""warm_workers": 1.5"#,
            "warm_workers is 1.5; accepted: 0 to 64",
        ),
        (
            r#""max_sessions": 0"#,
            "max_sessions is 0; accepted: 1 to 4096",
        ),
        (
            r#""cpu": 3"#,
            "cpu is 3; accepted: {\"devices\": 1, \"memory\": \"8GiB\"}",
        ),
        (
            r#""module_cache": "x""#,
            "module_cache is \"x\"; accepted: false, or {\"dir\": …, \"bytes\": \"4GiB\"}",
        ),
        (
            r#""library_dirs": 3"#,
            "library_dirs is 3; accepted: a path, or a list of paths",
        ),
        (
            r#""drain_timeout": "x""#,
            "drain_timeout is \"x\"; accepted: seconds, 0.001 to 86400",
        ),
        (
            r#""cpu": {"memory": "4 bananas"}"#,
            "cpu.memory is \"4 bananas\"; accepted: bytes, or text as \"4GiB\"",
        ),
        (
            r#""tenants": [{"name": "a"}]"#,
            "a tenant needs \"name\", and \"token\" or \"token_file\"",
        ),
        (
            r#""tenants": [{"name": "a", "token_file": "none"}]"#,
            "token_file /etc/gvirtus/none: No such file or directory (os error 2)",
        ),
        (
            r#""tenants": [{"name": "a", "token": "t"}, {"name": "a", "token": "u"}]"#,
            "tenant \"a\" stands here a second time",
        ),
    ];
    for (keys, expected) in golden {
        let found = message(&with(keys));
        let (place, text) = found.split_once(": ").unwrap();
        assert_eq!(&text, expected);
        let column: usize = place.strip_prefix("1:").unwrap().parse().unwrap();
        assert!(column > at, "{place} for {keys}");
    }
}

#[test]
fn garbage_of_any_kind_is_an_error_and_no_panic() {
    let whole = with(
        r#""tenants": [{"name": "ä\u00e4\ud83d\ude00", "token": "t"}], "cpu": {"memory": "4GiB"} // end
"#,
    );
    assert!(parse(&whole).is_ok());
    for (i, _) in whole.char_indices() {
        let _ = parse(&whole[..i]);
        let _ = parse(&whole[i..]);
        for c in ['{', '"', '\\', '\u{0}', 'é'] {
            let _ = parse(&format!("{}{c}{}", &whole[..i], &whole[i..]));
        }
    }
    assert!(message(&"[".repeat(100_000)).contains("nested too deeply"));
    let _ = parse(r#"{"a": "\ud800\u0041"}"#);
}

#[test]
fn endpoints_in_the_environments_form() {
    for good in [
        "tcp://127.0.0.1:9999",
        "tcp://[::1]:1",
        "tcp://host.example:65535",
        "unix:///run/g",
    ] {
        let endpoint: Endpoint = good.parse().unwrap();
        assert_eq!(endpoint.to_string(), good);
    }
    assert_eq!(
        "oldtcp://h:1".parse::<Endpoint>().unwrap().to_string(),
        "tcp://h:1"
    );
    for (bad, says) in [
        ("", "accepted: tcp://host:port"),
        ("host:1", "accepted: tcp://host:port"),
        ("tcp://host", "accepted: tcp://host:port"),
        ("tcp://host:70000", "accepted: tcp://host:port"),
        ("tcp://:1", "accepted: tcp://host:port"),
        ("unix://relative:1", "unix:///path"),
        (
            "quic://h:1",
            "protocol \"quic\" is unknown; accepted: tcp, unix, shm",
        ),
    ] {
        let error = bad.parse::<Endpoint>().unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}
