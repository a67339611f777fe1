//! What was measured: medians, a table, JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

/// One figure of one or several sizes: a row of the report.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) more_is_better: bool,
    /// Bytes moved, where the figure depends on it.
    pub(super) size: Option<u64>,
    /// What each subject measured, in the subjects' order.
    values: Vec<Vec<f64>>,
}

impl Row {
    /// The middle of what a subject measured.
    pub(super) fn median(&self, subject: usize) -> Option<f64> {
        median(self.values.get(subject)?)
    }

    /// The median as the table shows it, with a mark if the rounds disagree.
    fn shown(&self, subject: usize) -> String {
        let text = shown(self.median(subject));
        let values = self.values.get(subject).map_or(&[][..], Vec::as_slice);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        match self.median(subject) {
            Some(median) if high - low > SPREAD * median => format!("{text}~"),
            // A blank in the mark's place keeps the points below one another.
            _ => format!("{text} "),
        }
    }
}

/// Rounds that differ by more than this share of their median deserve a mark.
const SPREAD: f64 = 0.25;

/// The middle; of an even number the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// All figures of all subjects.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) subjects: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(subjects: Vec<String>) -> Self {
        Self {
            subjects,
            rows: Vec::new(),
        }
    }

    /// Takes a line of `gvirtus-bench`.
    pub(super) fn take(&mut self, subject: usize, line: &str) -> Result<(), String> {
        let wrong = || format!("gvirtus-bench said {line:?}");
        let figure: Value = serde_json::from_str(line).map_err(|_| wrong())?;
        let text = |key: &str| figure[key].as_str().ok_or_else(wrong);
        let new = Row {
            id: text("id")?.to_owned(),
            what: text("what")?.to_owned(),
            unit: text("unit")?.to_owned(),
            more_is_better: figure["more_is_better"].as_bool().ok_or_else(wrong)?,
            size: figure["size"].as_u64(),
            values: Vec::new(),
        };
        let value = figure["value"].as_f64().ok_or_else(wrong)?;
        self.add(subject, new, value);
        Ok(())
    }

    /// Takes a figure of our own.
    pub(super) fn put(
        &mut self,
        subject: usize,
        id: &str,
        what: &str,
        unit: &str,
        more_is_better: bool,
        value: f64,
    ) {
        let new = Row {
            id: id.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            more_is_better,
            size: None,
            values: Vec::new(),
        };
        self.add(subject, new, value);
    }

    fn add(&mut self, subject: usize, new: Row, value: f64) {
        let known = self
            .rows
            .iter()
            .position(|row| row.id == new.id && row.size == new.size);
        let at = known.unwrap_or_else(|| {
            self.rows.push(new);
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.values.resize(self.subjects.len(), Vec::new());
        row.values[subject].push(value);
    }

    /// Medians side by side, and each transport's share of the native figure where there is one.
    pub(super) fn table(&self) -> String {
        let native = self.subjects.iter().position(|name| name == "native");
        let mut out = format!("{:<60} {:>5}", "figure", "unit");
        for name in &self.subjects {
            let _ = write!(out, " {name:>11}");
        }
        if native.is_some() {
            for name in self.subjects.iter().filter(|name| *name != "native") {
                let _ = write!(out, " {:>13}", format!("{name}/native"));
            }
        }
        out.push('\n');
        for row in &self.rows {
            let what = match row.size {
                Some(size) => format!("{}, {}", row.what, bytes(size)),
                None => row.what.clone(),
            };
            let _ = write!(out, "{what:<60} {:>5}", row.unit);
            for subject in 0..self.subjects.len() {
                let _ = write!(out, " {:>11}", row.shown(subject));
            }
            if let Some(native) = native {
                for subject in (0..self.subjects.len()).filter(|subject| *subject != native) {
                    let ratio = match (row.median(subject), row.median(native)) {
                        (Some(ours), Some(theirs)) if theirs != 0.0 => {
                            format!("{:.2}", ours / theirs)
                        }
                        _ => "-".to_owned(),
                    };
                    let _ = write!(out, " {ratio:>13}");
                }
            }
            out.push('\n');
        }
        if out.contains('~') {
            out.push_str("~ the rounds differ by more than a quarter: the machine was not quiet, or the figure has two modes; all values are in the JSON\n");
        }
        out
    }

    /// Everything that was measured, single values included.
    pub(super) fn json(&self, about: Value) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut values = Map::new();
                let mut medians = Map::new();
                for (subject, name) in self.subjects.iter().enumerate() {
                    let Some(measured) = row.values.get(subject).filter(|v| !v.is_empty()) else {
                        continue;
                    };
                    values.insert(name.clone(), json!(measured));
                    medians.insert(name.clone(), json!(median(measured)));
                }
                let mut out = json!({
                    "id": row.id, "what": row.what, "unit": row.unit, "more_is_better": row.more_is_better,
                    "median": medians, "values": values,
                });
                if let Some(size) = row.size {
                    out["size"] = size.into();
                }
                out
            })
            .collect();
        json!({"about": about, "subjects": self.subjects, "figures": rows})
    }
}

/// Writes JSON to a file, or says why not.
pub(super) fn write(file: &Path, value: &Value) -> Result<(), String> {
    std::fs::write(file, format!("{value:#}\n")).map_err(|e| format!("{}: {e}", file.display()))
}

/// Three or four digits that matter.
pub(super) fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(v) if v.abs() >= 1000.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 100.0 => format!("{v:.1}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.2}"),
        Some(v) => format!("{v:.3}"),
    }
}

/// `4 KiB` and the like.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", size >> 20),
        _ => format!("{} GiB", size >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn figures_become_rows() {
        let mut report = Report::new(vec!["native".into(), "tcp".into()]);
        let line = |value: f64| {
            json!({"id": "copy", "what": "a copy", "unit": "GB/s", "more_is_better": true, "size": 4096, "value": value})
                .to_string()
        };
        for value in [1.0, 3.0, 2.0] {
            report.take(0, &line(value)).expect("a figure");
        }
        report.take(1, &line(1.0)).expect("a figure");
        report.put(1, "raw", "raw", "us", false, 20.0);
        let table = report.table();
        assert!(table.contains("tcp/native"), "{table}");
        let copy = table
            .lines()
            .find(|line| line.contains("a copy, 4 KiB"))
            .expect("a row");
        assert!(copy.contains("2.000~") && copy.ends_with("0.50"), "{table}");
        assert!(copy.contains("1.000 "), "{table}");
        let raw = table
            .lines()
            .find(|line| line.starts_with("raw"))
            .expect("a row");
        assert!(raw.trim_end().ends_with('-'), "{table}");
        let json = report.json(Value::Null);
        assert_eq!(json["figures"][0]["median"]["native"], 2.0);
        assert_eq!(json["figures"][0]["values"]["native"][1], 3.0);
        assert_eq!(json["figures"][1]["median"]["native"], Value::Null);
        assert!(report.take(0, "nonsense").is_err());
        assert!(report.take(0, "{\"id\": 3}").is_err());
    }
}
