//! Links several PTX texts to one: names that a text keeps to itself are made different, weak definitions are taken once.

use std::collections::{HashMap, HashSet};

/// Who may see a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linkage {
    Own,
    Visible,
    External,
    /// `.weak` and `.common`.
    Weak,
}

/// A directive at the outermost level.
#[derive(Debug)]
struct Part<'a> {
    text: &'a str,
    /// Name of the variable or function, if it is one.
    symbol: Option<(&'a str, Linkage)>,
    /// Whether it is more than a declaration.
    defines: bool,
}

fn word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'%' | b'.') || b >= 0x80
}

/// Length of a comment or string at the start of `text`; 0 if there is none.
fn skipped(text: &str) -> usize {
    let end = |from: usize, what: &str| {
        text[from..]
            .find(what)
            .map_or(text.len(), |n| from + n + what.len())
    };
    if text.starts_with("//") {
        end(2, "\n")
    } else if text.starts_with("/*") {
        end(2, "*/")
    } else if text.starts_with('"') {
        end(1, "\"")
    } else {
        0
    }
}

/// The words of a text with their places, without comments and strings; other characters one by one.
fn words(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut at, mut out) = (0, Vec::new());
    while at < bytes.len() {
        let skip = skipped(&text[at..]);
        if skip > 0 {
            at += skip;
            continue;
        }
        let from = at;
        while at < bytes.len() && word_byte(bytes[at]) {
            at += 1;
        }
        if at == from {
            at += 1;
            if bytes[from].is_ascii_whitespace() {
                continue;
            }
        }
        out.push((from, &text[from..at]));
    }
    out
}

/// Cuts a text at its outermost directives.
fn parts(text: &str) -> Vec<Part<'_>> {
    let words = words(text);
    let (mut k, mut out) = (0, Vec::new());
    while k < words.len() {
        let first = k;
        let (start, word) = words[k];
        let line_end = || text[start..].find('\n').map_or(text.len(), |n| start + n);
        if matches!(
            word,
            ".version" | ".target" | ".address_size" | ".file" | ".loc"
        ) {
            let end = line_end();
            while k < words.len() && words[k].0 < end {
                k += 1;
            }
            out.push(Part {
                text: &text[start..end],
                symbol: None,
                defines: false,
            });
            continue;
        }
        // Up to `;`, or to the brace that closes a body.
        let (mut depth, mut body) = (0i32, false);
        let mut end = text.len();
        while k < words.len() {
            let (at, w) = words[k];
            k += 1;
            match w {
                ".func" | ".entry" | ".section" if depth == 0 => body = true,
                "{" | "(" => depth += 1,
                "}" | ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (w == ";" || (w == "}" && body)) {
                end = at + 1;
                break;
            }
        }
        let inner = &words[first..k];
        out.push(Part {
            text: &text[start..end],
            symbol: symbol(inner),
            defines: defines(inner),
        });
    }
    out
}

fn has(words: &[(usize, &str)], word: &str) -> bool {
    words.iter().any(|(_, w)| *w == word)
}

/// What a directive declares.
fn symbol<'a>(words: &[(usize, &'a str)]) -> Option<(&'a str, Linkage)> {
    let kind = words
        .iter()
        .position(|(_, w)| matches!(*w, ".func" | ".entry" | ".global" | ".const" | ".shared"))?;
    let linkage = match () {
        () if has(&words[..kind], ".extern") => Linkage::External,
        () if has(&words[..kind], ".weak") || has(&words[..kind], ".common") => Linkage::Weak,
        () if has(&words[..kind], ".visible") => Linkage::Visible,
        () => Linkage::Own,
    };
    // The name is the first word outside of parentheses that is neither a directive nor a number.
    let mut depth = 0;
    for (_, word) in &words[kind + 1..] {
        match *word {
            "(" => depth += 1,
            ")" => depth -= 1,
            w if depth == 0
                && w.starts_with(|c: char| c.is_ascii_alphabetic() || "_$%".contains(c)) =>
            {
                return Some((w, linkage));
            }
            _ => {}
        }
    }
    None
}

fn defines(words: &[(usize, &str)]) -> bool {
    if has(words, ".func") || has(words, ".entry") {
        has(words, "{")
    } else {
        !has(words, ".extern")
    }
}

/// The text with some words replaced.
fn renamed(text: &str, names: &HashMap<&str, String>) -> String {
    if names.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (at, word) in words(text) {
        if let Some(new) = names.get(word) {
            out += &text[done..at];
            out += new;
            done = at + word.len();
        }
    }
    out + &text[done..]
}

/// One text of several.
///
/// # Errors
/// A symbol that is defined twice.
pub(crate) fn join(sources: &[String]) -> Result<String, String> {
    if let [single] = sources {
        return Ok(single.clone());
    }
    let all: Vec<Vec<Part<'_>>> = sources.iter().map(|s| parts(s)).collect();
    // How many texts know a name.
    let mut known: HashMap<&str, usize> = HashMap::new();
    for text in &all {
        let names: HashSet<&str> = text.iter().filter_map(|p| Some(p.symbol?.0)).collect();
        for name in names {
            *known.entry(name).or_default() += 1;
        }
    }
    let (mut strong, mut weak) = (HashSet::new(), HashSet::new());
    for part in all.iter().flatten().filter(|p| p.defines) {
        if let Some((name, Linkage::Visible)) = part.symbol
            && !strong.insert(name)
        {
            return Err(format!("`{name}` is defined in several texts"));
        }
    }
    let (mut head, mut out) = (Vec::new(), String::new());
    for (number, text) in all.iter().enumerate() {
        let own: HashMap<&str, String> = text
            .iter()
            .filter_map(|p| p.symbol)
            .filter(|(name, linkage)| {
                *linkage == Linkage::Own && known.get(name).is_some_and(|&n| n > 1)
            })
            .map(|(name, _)| (name, format!("{name}$text{number}")))
            .collect();
        for part in text {
            if [".version", ".target", ".address_size"]
                .iter()
                .any(|w| part.text.starts_with(w))
            {
                head.push(part.text);
                continue;
            }
            if let Some((name, Linkage::Weak)) = part.symbol
                && part.defines
                && (strong.contains(name) || !weak.insert(name))
            {
                continue;
            }
            out += &renamed(part.text, &own);
            out.push('\n');
        }
    }
    // The highest version and target come last and count.
    head.sort_by_key(|line| {
        let number: String = line.chars().filter(|c| c.is_ascii_digit()).collect();
        number.parse::<u64>().unwrap_or(0)
    });
    let line = |word: &str| {
        head.iter()
            .rev()
            .find(|l| l.starts_with(word))
            .copied()
            .unwrap_or("")
    };
    Ok(format!(
        "{}\n{}\n{}\n{out}",
        line(".version"),
        line(".target"),
        line(".address_size")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

    fn text(body: &str) -> String {
        format!("{HEAD}{body}")
    }

    #[test]
    fn texts_use_what_others_define_and_keep_their_own() {
        let a = text(
            "// .visible .func none\n.extern .func (.param .b32 r) twice(.param .b32 x);\n.global .align 4 .u32 own = 1;\n\
             .visible .entry k(.param .u64 p) { .reg .b64 %a; ld.param.u64 %a, [p]; mov.u64 %a, own; ret; }\n",
        );
        let b = text(
            ".global .align 4 .b8 own[4] = {1, 2, 3, 4};\n.weak .func w() { ret; }\n\
             .visible .func (.param .b32 r) twice(.param .b32 x) { .reg .b64 %a; mov.u64 %a, own; ret; }\n",
        );
        let c = text(".weak .func w() { ret; }\n");
        let joined = join(&[a, b.clone(), c]).unwrap();
        assert_eq!(joined.matches("func w()").count(), 1, "{joined}");
        assert!(
            joined.contains("own$text0") && joined.contains("own$text1"),
            "{joined}"
        );
        assert_eq!(joined.matches(".version").count(), 1);
        crate::ptx::compile(&joined).unwrap_or_else(|e| panic!("{e:?}\n{joined}"));
        assert!(join(&[b.clone(), b]).is_err(), "`twice` is there twice");
    }
}
