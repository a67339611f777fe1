//! The file of results. One line per form: its name, a hash for each 64 tuples, and the results of the first tuples (of all, if there is a tolerance).

use std::collections::HashMap;
use std::fmt::Write;

use crate::TUPLES;
use crate::device::Answer;
use crate::operands::Kind;
use crate::table::{Form, Tolerance};

/// Tuples that share a hash.
const BLOCK: usize = 64;
/// Tuples whose results are recorded in full.
const SHOWN: usize = 32;
/// The same for forms with a tolerance: half of the tuples.
const SHOWN_CLOSE: usize = 512;

/// FNV-1a, folded to 32 bits.
fn hash(words: impl Iterator<Item = u64>) -> u32 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    for word in words {
        for byte in word.to_le_bytes() {
            h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    (h ^ h >> 32) as u32
}

fn results_of(form: &Form, answer: &[u64], tuple: usize) -> Vec<u64> {
    (0..form.results.len())
        .map(|k| answer[k * TUPLES + tuple])
        .collect()
}

fn hashes(form: &Form, answer: &[u64]) -> String {
    let mut out = String::new();
    for start in (0..TUPLES).step_by(BLOCK) {
        let h = hash((start..start + BLOCK).flat_map(|t| results_of(form, answer, t)));
        let _ = write!(out, "{h:08x}");
    }
    out
}

fn shown(form: &Form) -> usize {
    match form.tolerance {
        Tolerance::Exact => SHOWN / form.results.len().max(1),
        Tolerance::Close { .. } => SHOWN_CLOSE,
    }
}

fn values(form: &Form, answer: &[u64]) -> String {
    let each: Vec<String> = (0..shown(form))
        .flat_map(|t| results_of(form, answer, t))
        .map(|v| format!("{v:x}"))
        .collect();
    each.join(" ")
}

/// The file's text.
pub fn write(device: &str, forms: &[Form], answers: &[Answer]) -> String {
    let mut out = format!("# {device}\n");
    for (form, answer) in forms.iter().zip(answers) {
        let _ = match answer {
            Ok(a) => match form.tolerance {
                Tolerance::Exact => writeln!(
                    out,
                    "{}\t{}\t{}",
                    form.name(),
                    hashes(form, a),
                    values(form, a)
                ),
                Tolerance::Close { .. } => writeln!(out, "{}\t~\t{}", form.name(), values(form, a)),
            },
            Err(_) => writeln!(out, "{}\trefused", form.name()),
        };
    }
    out
}

/// One recorded form.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// The device did not accept it.
    Refused,
    /// Hashes (or `~`) and values.
    Results(String, Vec<u64>),
}

/// Reads a file: forms by name.
///
/// # Errors
/// The line that could not be read.
pub fn read(text: &str) -> Result<HashMap<String, Recorded>, String> {
    let mut all = HashMap::new();
    for line in text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
    {
        let mut columns = line.split('\t');
        let (Some(name), Some(hashes)) = (columns.next(), columns.next()) else {
            return Err(format!("not a record: {line}"));
        };
        let recorded = if hashes == "refused" {
            Recorded::Refused
        } else {
            let values = columns
                .next()
                .unwrap_or("")
                .split_whitespace()
                .map(|v| u64::from_str_radix(v, 16))
                .collect::<Result<Vec<u64>, _>>()
                .map_err(|e| format!("{e}: {name}"))?;
            Recorded::Results(hashes.to_owned(), values)
        };
        all.insert(name.to_owned(), recorded);
    }
    Ok(all)
}

fn as_float(kind: &Kind, bits: u64) -> Option<f64> {
    let narrow = |exponent: u32, mantissa: u32| {
        let bits = bits & 0xffff;
        let e = bits >> mantissa & ((1 << exponent) - 1);
        let m = (bits & ((1 << mantissa) - 1)) as f64 / f64::from(1u32 << mantissa);
        let bias = (1i32 << (exponent - 1)) - 1;
        let magnitude = if e == (1 << exponent) - 1 {
            if m == 0.0 { f64::INFINITY } else { f64::NAN }
        } else if e == 0 {
            m * 2f64.powi(1 - bias)
        } else {
            (1.0 + m) * 2f64.powi(e as i32 - bias)
        };
        if bits >> 15 & 1 != 0 {
            -magnitude
        } else {
            magnitude
        }
    };
    Some(match kind.name() {
        "f32" => f64::from(f32::from_bits(bits as u32)),
        "f64" => f64::from_bits(bits),
        "f16" => narrow(5, 10),
        "bf16" => narrow(8, 7),
        _ => return None,
    })
}

/// Whether two results are near enough.
fn close(kind: &Kind, a: u64, b: u64, ulps: u64, absolute: f64) -> bool {
    match kind.name() {
        "f16x2" | "bf16x2" => {
            let half = Kind::parse(if kind.name() == "f16x2" {
                "f16"
            } else {
                "bf16"
            })
            .unwrap_or(*kind);
            return close(&half, a & 0xffff, b & 0xffff, ulps, absolute)
                && close(&half, a >> 16, b >> 16, ulps, absolute);
        }
        _ => {}
    }
    let (Some(x), Some(y)) = (as_float(kind, a), as_float(kind, b)) else {
        return a == b;
    };
    if a == b || (x.is_nan() && y.is_nan()) {
        return true;
    }
    if (x - y).abs() <= absolute {
        return true;
    }
    // Bits of numbers of one sign are in order.
    x.is_sign_negative() == y.is_sign_negative()
        && x.is_finite() == y.is_finite()
        && a.abs_diff(b) <= ulps
}

/// A difference, in words.
fn describe(form: &Form, tuple: usize, expected: &[u64], found: &[u64]) -> String {
    let hex = |v: &[u64]| {
        v.iter()
            .map(|v| format!("{v:x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let operands: Vec<u64> = form
        .operands
        .iter()
        .enumerate()
        .map(|(k, kind)| kind.value(k, tuple))
        .collect();
    format!(
        "tuple {tuple} ({}): recorded {}, found {}",
        hex(&operands),
        hex(expected),
        hex(found)
    )
}

/// Compares an answer with what is recorded; what differs, in words.
pub fn compare(form: &Form, recorded: &Recorded, answer: &Answer) -> Option<String> {
    let (known, expected) = match (recorded, answer) {
        // That something is accepted which the device does not have is no fault.
        (Recorded::Refused, _) => return None,
        (Recorded::Results(..), Err(why)) => return Some(why.clone()),
        (Recorded::Results(hashes, values), Ok(_)) => (hashes, values),
    };
    let answer = answer.as_ref().ok()?;
    let width = form.results.len();
    for (tuple, expected) in expected.chunks(width.max(1)).enumerate() {
        let found = results_of(form, answer, tuple);
        let same = match form.tolerance {
            Tolerance::Exact => found == expected,
            Tolerance::Close { ulps, absolute } => form
                .results
                .iter()
                .enumerate()
                .all(|(k, kind)| close(kind, expected[k], found[k], ulps, absolute)),
        };
        if !same {
            return Some(describe(form, tuple, expected, &found));
        }
    }
    let found = hashes(form, answer);
    if form.tolerance != Tolerance::Exact || found == *known {
        return None;
    }
    let block = (0..TUPLES / BLOCK)
        .find(|k| known.get(k * 8..k * 8 + 8) != found.get(k * 8..k * 8 + 8))
        .unwrap_or(0);
    Some(format!(
        "tuples {} to {} differ",
        block * BLOCK,
        block * BLOCK + BLOCK - 1
    ))
}

/// All results of all forms, compressed: what is needed to see what exactly differs.
pub fn write_full(forms: &[Form], answers: &[Answer]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (form, answer) in forms.iter().zip(answers) {
        let words: &[u64] = answer.as_deref().unwrap_or(&[]);
        bytes.extend(name_hash(form).to_le_bytes());
        bytes.extend((words.len() as u64).to_le_bytes());
        bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }
    lz4_flex::compress_prepend_size(&bytes)
}

/// What forms are known by in a full record.
pub fn name_hash(form: &Form) -> u64 {
    u64::from(hash(form.name().bytes().map(u64::from))) << 32
        | u64::from(hash(form.name().bytes().rev().map(u64::from)))
}

/// Reads what [`write_full`] wrote: results by [`name_hash`].
///
/// # Errors
/// When the bytes are not such a file.
pub fn read_full(bytes: &[u8]) -> Result<HashMap<u64, Vec<u64>>, String> {
    let bytes = lz4_flex::decompress_size_prepended(bytes).map_err(|e| e.to_string())?;
    let mut words = bytes
        .chunks_exact(8)
        .map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default()));
    let mut all = HashMap::new();
    while let (Some(name), Some(count)) = (words.next(), words.next()) {
        all.insert(name, words.by_ref().take(count as usize).collect());
    }
    Ok(all)
}

/// Compares all tuples of an answer with those of a full record: number of differences and the first ones, in words.
pub fn compare_full(
    form: &Form,
    recorded: &[u64],
    answer: &[u64],
    most: usize,
) -> (usize, Vec<String>) {
    let (mut count, mut words) = (0, Vec::new());
    if recorded.len() != answer.len() {
        return (0, words);
    }
    for tuple in 0..TUPLES {
        let (expected, found) = (
            results_of(form, recorded, tuple),
            results_of(form, answer, tuple),
        );
        let same = match form.tolerance {
            Tolerance::Exact => found == expected,
            Tolerance::Close { ulps, absolute } => form
                .results
                .iter()
                .enumerate()
                .all(|(k, kind)| close(kind, expected[k], found[k], ulps, absolute)),
        };
        if !same {
            count += 1;
            if words.len() < most {
                words.push(describe(form, tuple, &expected, &found));
            }
        }
    }
    (count, words)
}
