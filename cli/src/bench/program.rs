//! What a program costs: its run time with and without us, at emulated distances, and where the time goes.

use std::fmt::Write as _;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use gvirtus_wire::communicator::emulate::{self, Emulation};
use serde_json::{Value, json};

use super::report::{self, median, shown};
use super::subject::{self, Installation, Subject, Way};
use super::{Arguments, Refusal, child, suite};
use crate::exit;

/// Functions shown; the rest is in the JSON.
const FUNCTIONS: usize = 15;

/// A distance, and as the command line wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distance {
    text: String,
    rtt: Duration,
}

/// Reads `100us`, for the command line.
pub(super) fn parse_distance(text: &str) -> Result<Distance, String> {
    let emulation = Emulation::from_str(&format!("rtt={text}")).map_err(|e| e.to_string())?;
    if emulation.rate.is_some() {
        return Err("only a time".to_owned());
    }
    Ok(Distance {
        text: text.to_owned(),
        rtt: emulation.rtt,
    })
}

/// One line of the report: a subject at a distance.
struct Case<'a> {
    subject: &'a Subject,
    /// Nothing natively.
    distance: Option<&'a Distance>,
    /// Seconds.
    times: Vec<f64>,
    /// What the program itself says, for each `--metric`.
    metrics: Vec<Vec<f64>>,
    /// `GVIRTUS_STATS` of a run that is not among the times.
    stats: Value,
}

impl Case<'_> {
    fn name(&self) -> String {
        match self.distance {
            None => self.subject.name.clone(),
            Some(distance) if distance.rtt.is_zero() => self.subject.name.clone(),
            Some(distance) => format!("{} + {}", self.subject.name, distance.text),
        }
    }

    fn command(
        &self,
        arguments: &Arguments,
        installation: &Installation,
    ) -> Result<Command, Refusal> {
        let mut command =
            self.subject
                .program(installation, &arguments.program, arguments.level)?;
        match self.distance {
            Some(distance) if !distance.rtt.is_zero() => {
                command.env(emulate::VARIABLE, format!("rtt={}", distance.text));
            }
            _ => {
                command.env_remove(emulate::VARIABLE);
            }
        }
        Ok(command)
    }

    fn total(&self, key: &str) -> Option<f64> {
        self.stats["totals"][key].as_f64()
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Refusal> {
    let installation = Installation::find()?;
    let subjects = subject::find(arguments, &installation)?;
    let mut cases = Vec::new();
    for subject in &subjects {
        let distances: Vec<Option<&Distance>> = match subject.way {
            Way::Native => vec![None],
            Way::Through { .. } => arguments.rtt.iter().map(Some).collect(),
        };
        cases.extend(distances.into_iter().map(|distance| Case {
            subject,
            distance,
            times: Vec::new(),
            metrics: vec![Vec::new(); arguments.metric.len()],
            stats: Value::Null,
        }));
    }
    let shown = subject::shown(&arguments.program);
    let limit = Duration::from_secs(arguments.limit);
    let failed = |name: &str, why: &str| Refusal(exit::FAILED, format!("{shown}, {name}: {why}"));
    for round in 1..=arguments.rounds() {
        for case in &mut cases {
            eprintln!(
                "gvirtus: round {round} of {}: {}",
                arguments.rounds(),
                case.name()
            );
            let mut command = case.command(arguments, &installation)?;
            let outcome = child::run(&mut command, limit).map_err(Refusal::setup)?;
            if let Some(why) = outcome.failure() {
                return Err(failed(&case.name(), &why));
            }
            case.times.push(outcome.elapsed.as_secs_f64());
            for (values, text) in case.metrics.iter_mut().zip(&arguments.metric) {
                values.extend(metric(&outcome.stdout, text));
            }
            if let Some(text) = case
                .metrics
                .iter()
                .zip(&arguments.metric)
                .find_map(|(values, text)| values.is_empty().then_some(text))
            {
                let why = format!("no number stands behind {text:?} in its output");
                return Err(failed(&case.name(), &why));
            }
        }
    }
    // Counting costs a little, so the runs that are counted are others than those that are timed.
    let directory = tempfile::tempdir().map_err(|e| Refusal::setup(e.to_string()))?;
    for (number, case) in cases.iter_mut().enumerate() {
        if case.distance.is_none() {
            continue;
        }
        let file = directory.path().join(format!("{number}.json"));
        let mut command = case.command(arguments, &installation)?;
        command.env("GVIRTUS_STATS", format!("json:{}", file.display()));
        let outcome = child::run(&mut command, limit).map_err(Refusal::setup)?;
        if let Some(why) = outcome.failure() {
            return Err(failed(&case.name(), &why));
        }
        case.stats = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or_else(|| {
                failed(
                    &case.name(),
                    "it left no statistics: it makes no CUDA call, or loads other libraries than ours (gvirtus doctor says which)",
                )
            })?;
    }
    println!("{shown} on {}", suite::heading(&subjects, arguments));
    print!("{}", table(&cases, &arguments.metric));
    for subject in subject::through(&subjects) {
        let of: Vec<&Case<'_>> = cases
            .iter()
            .filter(|case| case.subject.name == subject.name)
            .collect();
        print!("\n{}", functions(&of));
    }
    if let Some(file) = &arguments.json {
        report::write(file, &as_json(&cases, &subjects, arguments))
            .map_err(|why| Refusal(exit::FAILED, why))?;
    }
    Ok(())
}

/// Run times, what they are of the native one, and round trips as counted and as the clock sees them.
fn table(cases: &[Case<'_>], metrics: &[String]) -> String {
    let native = cases
        .iter()
        .find(|case| case.distance.is_none())
        .and_then(|case| median(&case.times));
    let mut out = format!(
        "{:<24} {:>10} {:>10} {:>10} {:>12} {:>12} {:>14}",
        "run", "seconds", "of native", "calls", "round trips", "blocked s", "by the clock"
    );
    for text in metrics {
        let _ = write!(out, " {text:>16} {:>10}", "of native");
    }
    out.push('\n');
    for case in cases {
        let seconds = median(&case.times);
        let ratio = seconds.zip(native).map(|(ours, theirs)| ours / theirs);
        let _ = write!(
            out,
            "{:<24} {:>10} {:>10} {:>10} {:>12} {:>12} {:>14}",
            case.name(),
            shown(seconds),
            ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}")),
            count(case.total("calls")),
            count(case.total("round_trips")),
            shown(case.total("blocked_ns").map(|ns| ns / 1e9)),
            by_clock(case, cases).map_or_else(|| "-".to_owned(), |n| format!("{n:.1}")),
        );
        for (index, values) in case.metrics.iter().enumerate() {
            let ours = median(values);
            let native = cases
                .iter()
                .find(|case| case.distance.is_none())
                .and_then(|case| median(case.metrics.get(index)?));
            let ratio = ours.zip(native).map(|(ours, theirs)| ours / theirs);
            let _ = write!(
                out,
                " {:>16} {:>10}",
                shown(ours),
                ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}")),
            );
        }
        out.push('\n');
    }
    out.push_str(
        "by the clock: how much longer a run takes than at the nearest emulated distance, in round trips; the session's set-up included\n",
    );
    out
}

/// The first number that stands on one line behind a text, units and punctuation between them skipped.
fn metric(output: &str, text: &str) -> Option<f64> {
    output
        .lines()
        .filter_map(|line| line.split_once(text))
        .find_map(|(_, behind)| first_number(behind))
}

fn first_number(behind: &str) -> Option<f64> {
    let start = behind.find(|c: char| c.is_ascii_digit())?;
    let negative = behind[..start].ends_with('-');
    let number = &behind[start..];
    let end = number
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+')))
        .unwrap_or(number.len());
    // "3.5." at the end of a sentence, "4e" of a word: the longest part that is a number.
    let value: f64 = (1..=end).rev().find_map(|end| number[..end].parse().ok())?;
    Some(if negative { -value } else { value })
}

/// Round trips as the slope of the fastest runs' time against the nearest emulated distance of the same subject. A run without emulation has other costs (over shm even another
/// transport: distance is emulated around sockets).
fn by_clock(case: &Case<'_>, cases: &[Case<'_>]) -> Option<f64> {
    let nearest = cases
        .iter()
        .filter(|other| other.subject.name == case.subject.name)
        .filter(|other| other.distance.is_some_and(|d| !d.rtt.is_zero()))
        .min_by_key(|other| other.distance.map(|d| d.rtt))?;
    let further = case.distance?.rtt.checked_sub(nearest.distance?.rtt)?;
    if further.is_zero() {
        return None;
    }
    // What else the machine does only adds, so the fastest runs are compared.
    let fastest = |case: &Case<'_>| case.times.iter().copied().min_by(f64::total_cmp);
    Some((fastest(case)? - fastest(nearest)?) / further.as_secs_f64())
}

/// Where the time goes: the functions of one subject that wait longest, at each distance.
fn functions(cases: &[&Case<'_>]) -> String {
    let Some(first) = cases.first() else {
        return String::new();
    };
    let mut out = format!(
        "{:<44} {:<13} {:>10} {:>12}",
        format!("through {}", first.subject.name),
        "class",
        "calls",
        "round trips"
    );
    for case in cases {
        let distance = case.distance.map_or("", |d| d.text.as_str());
        let _ = write!(out, " {:>14}", format!("ms at {distance}"));
    }
    out.push('\n');
    let rows = first.stats["functions"].as_array();
    let rows: Vec<&Value> = rows.into_iter().flatten().collect();
    // The furthest distance shows best what waits.
    let blocked = |case: &Case<'_>, name: &Value| {
        case.stats["functions"]
            .as_array()
            .and_then(|rows| rows.iter().find(|row| row["name"] == *name))
            .and_then(|row| row["blocked_ns"].as_f64())
    };
    let mut ordered: Vec<(f64, &Value)> = rows
        .iter()
        .map(|row| {
            let worst = cases.iter().filter_map(|case| blocked(case, &row["name"]));
            (worst.fold(0.0, f64::max), *row)
        })
        .collect();
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0));
    let waiting = ordered.iter().filter(|(worst, _)| *worst > 0.0).count();
    for (_, row) in ordered.iter().take(FUNCTIONS.min(waiting)) {
        let _ = write!(
            out,
            "{:<44} {:<13} {:>10} {:>12}",
            row["name"].as_str().unwrap_or("?"),
            row["class"].as_str().unwrap_or("?"),
            count(row["calls"].as_f64()),
            count(row["round_trips"].as_f64()),
        );
        for case in cases {
            let milliseconds = blocked(case, &row["name"]).map(|ns| ns / 1e6);
            let _ = write!(out, " {:>14}", shown(milliseconds));
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "{} function(s) were called, {waiting} of them waited; ms is the time blocked in round trips",
        rows.len()
    );
    out
}

fn count(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"))
}

fn as_json(cases: &[Case<'_>], subjects: &[Subject], arguments: &Arguments) -> Value {
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "name": case.name(),
                "subject": case.subject.name,
                "rtt_us": case.distance.map(|d| d.rtt.as_secs_f64() * 1e6),
                "seconds": median(&case.times),
                "times": case.times,
                "metrics": arguments.metric.iter().cloned().zip(case.metrics.iter().map(|v| json!(v))).collect::<serde_json::Map<_, _>>(),
                "round_trips_by_clock": by_clock(case, cases),
                "stats": case.stats,
            })
        })
        .collect();
    json!({
        "program": subject::shown(&arguments.program),
        "about": suite::about(subjects, arguments, &[]),
        "runs": cases,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics() {
        let output = "start\nstep: 20.25 ms.\nloss=-3.5e-2, end 7.";
        assert_eq!(metric(output, "step:"), Some(20.25));
        assert_eq!(metric(output, "loss"), Some(-0.035));
        assert_eq!(metric(output, "end"), Some(7.0));
        assert_eq!(metric(output, "nowhere"), None);
        assert_eq!(metric("words only\n7", "words"), None);
    }

    #[test]
    fn distances() {
        let distance = parse_distance("100us").expect("a time");
        assert_eq!(distance.rtt, Duration::from_micros(100));
        assert!(parse_distance("0us").expect("a time").rtt.is_zero());
        assert!(parse_distance("far").is_err());
        assert!(parse_distance("1ms,rate=1gbit").is_err());
    }
}
