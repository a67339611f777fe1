//! Linking at run time.

use super::kernels::PTX;
use super::*;
use crate::errors::*;
use gvirtus_wire::api::core::{
    ContextCreate, ContextDestroy, LinkAdd, LinkComplete, LinkCreate, LinkDestroy, LinkRead,
};

const INPUT_PTX: u32 = 1;

fn create(client: &Client, link: u32) -> Result<()> {
    client.call(LinkCreate {
        link,
        options: vec![(12, 1)],
    })
}

fn add(client: &Client, link: u32, kind: u32, input: &str) -> Result<JitReport> {
    let command = LinkAdd {
        link,
        kind,
        name: "input".into(),
        options: Vec::new(),
    };
    client.call_bulk(command, input.as_bytes().to_vec())
}

#[test]
fn an_image_is_made_and_loaded() {
    let client = Client::new();
    create(&client, 1).unwrap();
    assert_eq!(add(&client, 1, INPUT_PTX, PTX).unwrap().status, 0);
    let made = client.call(LinkComplete { link: 1 }).unwrap();
    assert_eq!(
        (made.report.status, made.size),
        (0, made.image.len() as u64)
    );
    let read = |offset| client.call(LinkRead { link: 1, offset });
    assert_eq!(read(10).unwrap(), made.image[10..]);
    assert!(read(made.size).unwrap().is_empty());
    assert_eq!(read(made.size + 1), Err(ERROR_INVALID_VALUE));
    assert_eq!(read(u64::MAX), Err(ERROR_INVALID_VALUE));
    let text = String::from_utf8(made.image).unwrap();
    let info = client.load(1, text.trim_end_matches('\0')).unwrap();
    assert_eq!(info.report.status, 0);
    client.call(LinkDestroy { link: 1 }).unwrap();
    assert_eq!(read(0), Err(ERROR_INVALID_HANDLE));
    assert_eq!(add(&client, 1, INPUT_PTX, PTX), Err(ERROR_INVALID_HANDLE));
    // Its number is free again, and ending it twice harms nobody.
    client.call(LinkDestroy { link: 1 }).unwrap();
    create(&client, 1).unwrap();
}

#[test]
fn failures_come_with_logs() {
    let client = Client::new();
    create(&client, 1).unwrap();
    let report = add(&client, 1, INPUT_PTX, &PTX.replace("setp", "sept")).unwrap();
    assert_eq!(report.status, ERROR_INVALID_PTX);
    assert!(report.error_log.contains("sept"), "{}", report.error_log);
    add(&client, 1, INPUT_PTX, PTX).unwrap();
    add(&client, 1, INPUT_PTX, PTX).unwrap();
    let report = client.call(LinkComplete { link: 1 }).unwrap().report;
    assert_ne!(report.status, 0, "the same kernel twice");
    assert!(report.error_log.contains("defined"), "{}", report.error_log);
    let report = client.load(1, &PTX.replace("setp", "sept")).unwrap().report;
    assert_eq!(report.status, ERROR_INVALID_PTX);
    assert!(report.error_log.contains("sept"), "{}", report.error_log);
}

#[test]
fn what_a_client_may_not_say() {
    let client = Client::new();
    assert_eq!(create(&client, 0), Err(ERROR_INVALID_VALUE));
    assert_eq!(create(&client, u32::MAX), Err(ERROR_INVALID_VALUE));
    create(&client, 1).unwrap();
    assert_eq!(create(&client, 1), Err(ERROR_INVALID_VALUE));
    // An address.
    let options = vec![(3, 0x1000)];
    let refused = client.call(LinkCreate { link: 2, options });
    assert_eq!(refused, Err(ERROR_INVALID_VALUE));
    assert_eq!(add(&client, 1, 6, PTX), Err(ERROR_INVALID_VALUE));
    // Machine code that claims to be longer than it is.
    let mut cubin = "\x7fELF".to_owned();
    cubin.push_str(&"\x01".repeat(60));
    assert_eq!(add(&client, 1, 0, &cubin), Err(ERROR_INVALID_IMAGE));
    assert_eq!(add(&client, 1, 0, ""), Err(ERROR_INVALID_IMAGE));
}

#[test]
fn a_link_goes_with_its_context() {
    let mut client = Client::new();
    client
        .call(ContextCreate {
            context: 300,
            device: 0,
            flags: 0,
        })
        .unwrap();
    client.context = 300;
    create(&client, 1).unwrap();
    client.context = 0;
    client.call(ContextDestroy { context: 300 }).unwrap();
    assert_eq!(add(&client, 1, INPUT_PTX, PTX), Err(ERROR_INVALID_HANDLE));
    client.call(LinkDestroy { link: 1 }).unwrap();
}
