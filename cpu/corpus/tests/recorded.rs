//! The CPU device answers every form of every instruction as the recorded GPU does.

use std::collections::BTreeSet;
use std::path::Path;

use gvirtus_cpu::driver::exports::EXPORTS;
use gvirtus_ptx_corpus::device::{Device, Driver};
use gvirtus_ptx_corpus::{forms, record};

#[test]
fn names_are_different() {
    let forms = forms().unwrap();
    let names: BTreeSet<String> = forms.iter().map(|f| f.name()).collect();
    assert_eq!(names.len(), forms.len());
}

/// `known.txt`: forms that differ, one per line, each with its reason behind a tab.
fn known() -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/known.txt"))
            .unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| {
            l.split_once('\t')
                .expect("a form, a tab and a reason")
                .0
                .to_owned()
        })
        .collect()
}

#[test]
fn the_cpu_device_answers_as_the_gpu_did() {
    // SAFETY: the addresses are those of the driver's functions.
    let driver =
        unsafe { Driver::new(|name| EXPORTS.iter().find(|e| e.name == name).map(|e| e.address)) }
            .unwrap();
    let device = Device::open(driver).unwrap();
    let forms = forms().unwrap();
    let answers = device.run(&forms).unwrap();
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/h100.txt"))
            .unwrap();
    let recorded = record::read(&text).unwrap();
    let known = known();
    let (mut wrong, mut same, mut missing) = (Vec::new(), 0, 0);
    for (form, answer) in forms.iter().zip(&answers) {
        let Some(result) = recorded.get(&form.name()) else {
            missing += 1;
            continue;
        };
        match (
            record::compare(form, result, answer),
            known.contains(&form.name()),
        ) {
            (Some(difference), false) => wrong.push(format!("{}: {difference}", form.name())),
            (None, true) => wrong.push(format!(
                "{}: listed as known to differ, but does not",
                form.name()
            )),
            (None, false) => same += 1,
            (Some(_), true) => {}
        }
    }
    println!(
        "{same} forms as recorded, {} known to differ, {missing} not recorded",
        known.len()
    );
    assert!(
        wrong.is_empty(),
        "{} forms differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
