//! The tables of forms.
//!
//! A line is `variables :: results <- operands [~tolerance] :: text`. A variable is `NAME=alternative|alternative|…`, or `A/B=a1/b1|a2/b2|…` for several that go together; the
//! line stands for all combinations, with `$NAME` replaced everywhere. An alternative `@SET` stands for those of an earlier line `set SET = …`. Results and operands are *kinds*
//! (see [`crate::operands::Kind`]). In the text, results are `%d`, `%d1`, `%d2`…; operands are `%a`, `%b`, `%c`, `%e`, and from the fifth on `%s4`, `%s5`…
//! A line that ends in `\` goes on in the next one. `#` begins a comment.

use crate::operands::Kind;

/// How far a result may be from the recorded one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Not at all.
    Exact,
    /// By this many units in the last place, or by this absolute difference.
    Close {
        /// Units in the last place.
        ulps: u64,
        /// Absolute difference.
        absolute: f64,
    },
}

/// One form: an instruction with all its qualifiers, or a few that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// What the kernel does; also the name of the form.
    pub text: String,
    /// Kinds of the results.
    pub results: Vec<Kind>,
    /// Kinds of the operands.
    pub operands: Vec<Kind>,
    /// For instructions that are approximations.
    pub tolerance: Tolerance,
}

impl Form {
    /// What the form is called in the file of results: its text and the kinds of results and operands.
    pub fn name(&self) -> String {
        let names = |kinds: &[Kind]| kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(" ");
        format!(
            "{} [{} <- {}]",
            self.text,
            names(&self.results),
            names(&self.operands)
        )
    }
}

/// Reads a table.
///
/// # Errors
/// What is wrong, with the number of the line.
pub fn parse(text: &str) -> Result<Vec<Form>, String> {
    let mut sets: Vec<(String, Vec<String>)> = Vec::new();
    let mut forms = Vec::new();
    let mut pending = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(part) = line.strip_suffix('\\') {
            pending += part;
            pending.push(' ');
            continue;
        }
        let line = std::mem::take(&mut pending) + line;
        if line.is_empty() {
            continue;
        }
        let fail = |what: &str| format!("line {}: {what}: {line}", number + 1);
        if let Some(set) = line.strip_prefix("set ") {
            let (name, items) = set.split_once('=').ok_or_else(|| fail("expected ="))?;
            sets.push((name.trim().to_owned(), alternatives(items, &sets)?));
            continue;
        }
        let parts: Vec<&str> = line.split("::").map(str::trim).collect();
        // The text may itself hold `::` (`shared::cta`).
        let [variables, kinds, ..] = parts[..] else {
            return Err(fail("expected three parts"));
        };
        let text = line.splitn(3, "::").nth(2).unwrap_or("").trim();
        if text.is_empty() {
            return Err(fail("no text"));
        }
        let mut combinations = vec![Vec::<(String, String)>::new()];
        for variable in variables.split_whitespace() {
            let (names, items) = variable.split_once('=').ok_or_else(|| fail("expected ="))?;
            let names: Vec<&str> = names.split('/').collect();
            let items = alternatives(items, &sets)?;
            combinations = combinations
                .into_iter()
                .flat_map(|before| {
                    let names = &names;
                    items.iter().map(move |item| {
                        let mut all = before.clone();
                        let values: Vec<&str> = item.split('/').collect();
                        for (k, name) in names.iter().enumerate() {
                            all.push((
                                (*name).to_owned(),
                                values.get(k).copied().unwrap_or("").to_owned(),
                            ));
                        }
                        all
                    })
                })
                .collect();
        }
        for bound in combinations {
            let put = |s: &str| substitute(s, &bound);
            let (results, operands) = {
                let kinds = put(kinds);
                let (r, o) = kinds.split_once("<-").ok_or_else(|| fail("expected <-"))?;
                (r.to_owned(), o.to_owned())
            };
            let mut tolerance = Tolerance::Exact;
            let mut read = |words: &str| -> Result<Vec<Kind>, String> {
                let mut kinds = Vec::new();
                for word in words.split_whitespace() {
                    if let Some(spec) = word.strip_prefix('~') {
                        let (ulps, absolute) = spec.split_once(',').unwrap_or((spec, "0"));
                        tolerance = Tolerance::Close {
                            ulps: ulps.parse().map_err(|_| fail("bad tolerance"))?,
                            absolute: absolute.parse().map_err(|_| fail("bad tolerance"))?,
                        };
                        continue;
                    }
                    let (word, count) = match word.split_once('*') {
                        Some((w, n)) => (w, n.parse().map_err(|_| fail("bad count"))?),
                        None => (word, 1usize),
                    };
                    let kind =
                        Kind::parse(word).ok_or_else(|| fail(&format!("unknown kind {word}")))?;
                    kinds.extend(std::iter::repeat_n(kind, count));
                }
                Ok(kinds)
            };
            let (results, operands) = (read(&results)?, read(&operands)?);
            let text = put(text).split_whitespace().collect::<Vec<_>>().join(" ");
            forms.push(Form {
                text,
                results,
                operands,
                tolerance,
            });
        }
    }
    Ok(forms)
}

fn alternatives(items: &str, sets: &[(String, Vec<String>)]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for item in items.trim().split('|') {
        match item.trim().strip_prefix('@') {
            Some(name) => {
                let (_, known) = sets
                    .iter()
                    .find(|(n, _)| n == name)
                    .ok_or_else(|| format!("no set {name}"))?;
                all.extend(known.iter().cloned());
            }
            None => all.push(item.trim().to_owned()),
        }
    }
    Ok(all)
}

/// Replaces `$NAME`, longest names first.
fn substitute(text: &str, bound: &[(String, String)]) -> String {
    let mut order: Vec<&(String, String)> = bound.iter().collect();
    order.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    order.into_iter().fold(text.to_owned(), |t, (name, value)| {
        t.replace(&format!("${name}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_for_all_combinations() {
        let forms =
            parse("set I = u32|s64\nT=@I M=|.cc :: $T <- $T*2 :: add$M.$T %d, %a, %b;").unwrap();
        let texts: Vec<&str> = forms.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "add.u32 %d, %a, %b;",
                "add.cc.u32 %d, %a, %b;",
                "add.s64 %d, %a, %b;",
                "add.cc.s64 %d, %a, %b;"
            ]
        );
        assert_eq!(forms[0].operands.len(), 2);
        assert!(parse("T=u32 :: $T <- nonsense :: x").is_err());
    }
}
