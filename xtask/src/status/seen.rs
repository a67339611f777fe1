//! Where functions were seen to work: in the records of `tests/gpu/results` and of the property tests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::sh;

/// What a record calls the GPU where there is none.
const CPU_DEVICE: &str = "CPU device";

/// A run in which a program that calls the function gave the right results.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) date: String,
    pub(super) gpu: String,
    pub(super) driver: String,
}

/// By function: the latest run on a GPU, the latest on the CPU device, and the tests that try it with arguments of all kinds.
pub(super) struct Records {
    verified: BTreeMap<String, Seen>,
    cpu: BTreeMap<String, Seen>,
    /// By function: why the latest comparison on a GPU did not verify it.
    unverified: BTreeMap<String, (Seen, String)>,
    /// Functions that a machine with a GPU could not be compared with.
    incomparable: BTreeSet<String>,
    property: BTreeSet<String>,
    programs: BTreeMap<Programs, Outcomes>,
}

/// Which programs: the machine that they ran on, how many devices they were about, of which kind and at which level they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Programs {
    pub(super) gpu: String,
    pub(super) devices: u64,
    pub(super) kind: String,
    pub(super) level: String,
}

/// How many of them did what they do natively, differ for a reason that is on record, and differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcomes {
    pub(super) equal: usize,
    pub(super) expected: usize,
    pub(super) different: usize,
}

impl Records {
    /// Reads all records.
    pub(super) fn read() -> Result<Records> {
        let mut records = Records {
            verified: BTreeMap::new(),
            cpu: BTreeMap::new(),
            unverified: BTreeMap::new(),
            incomparable: BTreeSet::new(),
            property: BTreeSet::new(),
            programs: BTreeMap::new(),
        };
        for record in json_files("tests/gpu/results")? {
            for row in record["cases"].as_array().into_iter().flatten() {
                let field = |name: &str| row[name].as_str().unwrap_or("?").to_owned();
                let key = Programs {
                    gpu: record["gpu"].as_str().unwrap_or("?").to_owned(),
                    devices: row["devices"].as_u64().unwrap_or(1),
                    kind: field("kind"),
                    level: field("level"),
                };
                let outcomes = records.programs.entry(key).or_default();
                match row["outcome"].as_str() {
                    Some("equal") => outcomes.equal += 1,
                    Some("expected") => outcomes.expected += 1,
                    _ => outcomes.different += 1,
                }
            }
            for (name, run) in record["functions"].as_object().into_iter().flatten() {
                // A function has a date and a driver of its own where results accumulate.
                let field = |name: &str| {
                    let value = run[name].as_str().or(record[name].as_str());
                    value.unwrap_or("?").to_owned()
                };
                let run = Seen {
                    date: field("date"),
                    gpu: field("gpu"),
                    driver: field("driver"),
                };
                let map = if run.gpu == CPU_DEVICE {
                    &mut records.cpu
                } else {
                    &mut records.verified
                };
                let latest = map.entry(name.clone()).or_insert_with(|| run.clone());
                if run > *latest {
                    *latest = run;
                }
            }
        }
        for record in json_files("tests/gpu/results")? {
            let field = |name: &str| record[name].as_str().unwrap_or("?").to_owned();
            let incomparable = record["incomparable"].as_array().into_iter().flatten();
            let incomparable = incomparable.filter_map(|name| Some(name.as_str()?.to_owned()));
            records.incomparable.extend(incomparable);
            for (name, reason) in record["unverified"].as_object().into_iter().flatten() {
                let run = Seen {
                    date: field("date"),
                    gpu: field("gpu"),
                    driver: field("driver"),
                };
                let reason = (run, reason.as_str().unwrap_or("?").to_owned());
                let latest = records
                    .unverified
                    .entry(name.clone())
                    .or_insert_with(|| reason.clone());
                if reason > *latest {
                    *latest = reason;
                }
            }
        }
        for record in json_files("tests/property")? {
            let names = record["functions"].as_array().into_iter().flatten();
            records
                .property
                .extend(names.filter_map(|name| Some(name.as_str()?.to_owned())));
        }
        Ok(records)
    }

    /// The latest run on a GPU, of any of a function's names, that equalled the native one.
    pub(super) fn verified(&self, names: &[&str]) -> Option<Seen> {
        latest(&self.verified, names)
    }

    /// Why the latest comparison on a GPU did not verify a function that nothing else verified.
    pub(super) fn unverified(&self, names: &[&str]) -> Option<&str> {
        if self.verified(names).is_some() {
            return None;
        }
        let mut reasons = names.iter().filter_map(|name| self.unverified.get(*name));
        reasons.next().map(|(_, reason)| reason.as_str())
    }

    /// No machine has shown what a function does natively: its library lacks it there, or refuses it whatever it is given.
    pub(super) fn incomparable(&self, names: &[&str]) -> bool {
        self.verified(names).is_none() && names.iter().any(|name| self.incomparable.contains(*name))
    }

    /// The latest run on the CPU device, of any of a function's names, that was right.
    pub(super) fn cpu(&self, names: &[&str]) -> Option<Seen> {
        latest(&self.cpu, names)
    }

    /// What came of the programs that ran.
    pub(super) fn programs(&self) -> &BTreeMap<Programs, Outcomes> {
        &self.programs
    }

    /// Whether a property test calls it.
    pub(super) fn property_tested(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.property.contains(*name))
    }
}

fn latest(runs: &BTreeMap<String, Seen>, names: &[&str]) -> Option<Seen> {
    names
        .iter()
        .filter_map(|name| runs.get(*name))
        .max()
        .cloned()
}

/// The JSON files of a directory of the repository.
fn json_files(directory: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(sh::root().join(directory))
        .into_iter()
        .flatten()
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = std::fs::read_to_string(&path)?;
            let value = serde_json::from_str(&text)
                .with_context(|| format!("{} is not JSON", path.display()))?;
            found.push(value);
        }
    }
    Ok(found)
}
