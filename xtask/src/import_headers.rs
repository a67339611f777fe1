//! Makes a library's declaration table out of the vendor's header, the symbols that its libraries export, and rules of ours (`xtask/data/<library>.rules`): names, types and
//! modes, nothing else. Run on a newer release it shows what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::symbols::{Exports, bare};

/// One function of a header.
#[derive(Debug)]
struct Prototype {
    returns: String,
    /// C type and name.
    parameters: Vec<(String, String)>,
}

/// A library's rules, in order.
#[derive(Debug, Default)]
struct Rules {
    classes: Vec<(String, String)>,
    groups: Vec<(String, String)>,
    types: Vec<(String, String)>,
    parameters: Vec<(String, String, String)>,
    /// Further forms of a function, which travel and which no program calls: name, class and parameters.
    also: Vec<(String, String, String)>,
    /// Functions that are what the headers say in one major version alone.
    only: BTreeMap<String, u32>,
    /// What no header declares and NVIDIA's other libraries call: class and parameters.
    private: BTreeMap<String, (String, String)>,
}

/// A major version and its symbol list, as the command line gives them.
pub fn list(text: &str) -> Result<(u32, PathBuf)> {
    let (major, path) = text
        .split_once('=')
        .context("a list is given as MAJOR=FILE")?;
    Ok((major.parse()?, PathBuf::from(path)))
}

/// Writes the table `<library>_api!` of the functions in `headers` to `out`. `exports` are lists of symbols, one for each major version.
pub fn import(
    library: &str,
    headers: &[PathBuf],
    exports: &[(u32, PathBuf)],
    rules: &Path,
    out: &Path,
) -> Result<()> {
    let rules = Rules::read(rules)?;
    let mut prototypes = BTreeMap::new();
    for header in headers {
        let text = std::fs::read_to_string(header)
            .with_context(|| format!("cannot read {}", header.display()))?;
        // cuBLASLt's header has cuBLAS's mark, and cuFFTW's cuFFT's.
        let short = library.strip_suffix("lt").or(library.strip_suffix('w'));
        let mark = short.unwrap_or(library).to_uppercase();
        for (name, prototype) in parse(&text, &mark) {
            prototypes.entry(name).or_insert(prototype);
        }
    }
    let mut majors: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (major, list) in exports {
        let names: BTreeSet<String> = Exports::of_list(list)?
            .iter()
            .map(|symbol| bare(symbol).to_owned())
            .collect();
        for name in names {
            majors.entry(name).or_default().push(*major);
        }
        for majors in majors.values_mut() {
            majors.sort_unstable();
        }
    }
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, majors) in &majors {
        let (declared_in, other): (Vec<u32>, Vec<u32>) = match rules.only.get(name) {
            Some(major) => majors.iter().partition(|of| *of == major),
            None => (majors.clone(), Vec::new()),
        };
        let text = |majors: Vec<u32>| {
            let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
            majors.join(" ")
        };
        let group = find(&rules.groups, name).unwrap_or("Functions");
        let (class, parameters) = match prototypes.get(name) {
            None => rules.private.get(name).map_or(
                ("undeclared".to_owned(), String::new()),
                |(class, parameters)| (class.clone(), parameters.clone()),
            ),
            Some(prototype) => match prototypes.get(&format!("{name}_v2")) {
                Some(second)
                    if !prototype.returns.contains("Status")
                        && !has_handle(prototype)
                        && has_handle(second) =>
                {
                    rules.declare_legacy(name, prototype, second)?
                }
                _ => {
                    let (class, parameters) = rules.declare(name, prototype)?;
                    (class.to_owned(), parameters)
                }
            },
        };
        let rows = groups.entry(group).or_default();
        // Before the one that programs call, which is the last of its name.
        for (_, class, parameters) in rules.also.iter().filter(|(of, ..)| of == name) {
            rows.push(format!("        {class} [] fn {name}({parameters});"));
        }
        rows.push(format!(
            "        {class} [{}] fn {name}({parameters});",
            text(declared_in)
        ));
        if !other.is_empty() {
            rows.push(format!("        undeclared [{}] fn {name}();", text(other)));
        }
    }
    for name in prototypes.keys().filter(|name| !majors.contains_key(*name)) {
        println!("import-headers: {name} is declared, but no library exports it");
    }
    let mut text = format!(
        "//! {library}'s functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/{library}.rules`.\n\n\
         /// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).\n\
         #[macro_export]\n#[rustfmt::skip]\nmacro_rules! {library}_api {{\n    ($($then:tt)+) => {{ $($then)+! {{\n",
    );
    for (group, rows) in &groups {
        writeln!(text, "        group {group:?} {{")?;
        for row in rows {
            writeln!(text, "    {row}")?;
        }
        text.push_str("        }\n");
    }
    text.push_str("    } };\n}\n");
    std::fs::write(out, text)?;
    println!(
        "import-headers: {} functions in {}",
        majors.len(),
        out.display()
    );
    Ok(())
}

impl Rules {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut rules = Self::default();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut rest = line;
            let mut word = || {
                rest = rest.trim_start();
                let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
                rest = after;
                word.to_owned()
            };
            let (kind, first) = (word(), word());
            match kind.as_str() {
                "class" => rules.classes.push((first, rest.trim().to_owned())),
                "group" => rules.groups.push((first, rest.trim().to_owned())),
                "type" => rules.types.push((first, rest.trim().to_owned())),
                "param" => {
                    let name = word();
                    rules.parameters.push((first, name, rest.trim().to_owned()));
                }
                "also" => {
                    let class = word();
                    rules.also.push((first, class, rest.trim().to_owned()));
                }
                "only" => {
                    rules.only.insert(first, rest.trim().parse()?);
                }
                // For STATUS.md.
                "reason" => {}
                "private" => {
                    let class = word();
                    rules.private.insert(first, (class, rest.trim().to_owned()));
                }
                other => bail!("{}: {other:?} is no rule: {line}", path.display()),
            }
        }
        Ok(rules)
    }

    /// Class and parameters of a declaration.
    fn declare(&self, name: &str, prototype: &Prototype) -> Result<(&str, String)> {
        let class = find(&self.classes, name).unwrap_or("async");
        // Functions without a handle to go by are done by hand, or not at all.
        let handle = prototype
            .parameters
            .first()
            .is_some_and(|(c_type, _)| is_handle(c_type) || c_type == "cudaStream_t");
        let status =
            prototype.returns.contains("Status_t") || prototype.returns.ends_with("Result");
        let handle = handle || find(&self.classes, name) == Some("sync");
        let parameters = prototype.parameters.iter();
        let parameters = parameters.filter(|(_, parameter)| parameter != "void");
        if class == "unsupported" || (class == "async" && !(handle && status)) {
            return Ok(("unsupported", String::new()));
        }
        let mut declared = Vec::new();
        for (c_type, parameter) in parameters {
            let mode = self
                .mode(name, c_type, parameter)
                .with_context(|| format!("{name}: {c_type} {parameter}"))?;
            let safe = match parameter.as_str() {
                "type" => "type_",
                "in" => "in_",
                "trait" => "trait_",
                other => other,
            };
            declared.push(format!("{safe}: {mode}"));
        }
        Ok((class, declared.join(", ")))
    }

    /// Class and parameters of a function before handles, which is made of the one of its second version: its pointers are what those of the other are.
    fn declare_legacy(
        &self,
        name: &str,
        first: &Prototype,
        second: &Prototype,
    ) -> Result<(String, String)> {
        let behind_handle = second.parameters[1..].iter();
        let mut declared = Vec::new();
        let mut on_host = false;
        for ((c_type, parameter), (_, as_second)) in first.parameters.iter().zip(behind_handle) {
            let mode = match c_type.as_str() {
                "char" => "letter".to_owned(),
                "cuComplex" => "c32".to_owned(),
                "cuDoubleComplex" => "c64".to_owned(),
                _ => self.mode(&format!("{name}_v2"), c_type, as_second)?,
            };
            on_host |= mode.starts_with("inout");
            declared.push(format!("{parameter}: {mode}"));
        }
        let class = match first.returns.rsplit(' ').next().unwrap_or_default() {
            "void" if on_host => "legacy_host",
            "void" => "legacy",
            "int" => "legacy_i32",
            "float" => "legacy_f32",
            "double" => "legacy_f64",
            "cuComplex" => "legacy_c32",
            "cuDoubleComplex" => "legacy_c64",
            other => bail!("{name} returns {other}"),
        };
        Ok((class.to_owned(), declared.join(", ")))
    }

    fn mode(&self, function: &str, c_type: &str, parameter: &str) -> Result<String> {
        let rule = self
            .parameters
            .iter()
            .find(|(f, p, _)| fits(f, function) && fits(p, parameter));
        if let Some(pointee) = c_type.strip_suffix('*') {
            let Some((_, _, mode)) = rule else {
                return Ok("dev".to_owned());
            };
            if !mode.contains('#') {
                return Ok(mode.clone());
            }
            let size = size_of_type(pointee).context("its size is not known")?;
            return Ok(if mode.contains("5#") {
                mode.replace("5#", &(5 * size).to_string())
            } else {
                mode.replace('#', &size.to_string())
            });
        }
        let plain = c_type.strip_prefix("const ").unwrap_or(c_type);
        if let Some(mode) = find(&self.types, plain) {
            // A descriptor is a pointer in disguise: the call may fill it.
            let filled = rule.filter(|(_, _, filled)| filled.starts_with("fill("));
            let filled = filled.filter(|_| mode.starts_with("object("));
            return Ok(filled.map_or(mode, |(_, _, filled)| filled).to_owned());
        }
        Ok(match c_type {
            _ if is_handle(c_type) => "handle",
            "cudaStream_t" => "stream",
            "int64_t"
            | "size_t"
            | "long long"
            | "long long int"
            | "const long long int"
            | "unsigned long long" => "i64",
            "float" => "f32",
            "double" => "f64",
            "cublasLogCallback" => "dev",
            // An enumeration, or a number.
            _ => "i32",
        }
        .to_owned())
    }
}

fn has_handle(prototype: &Prototype) -> bool {
    let first = prototype.parameters.first();
    first.is_some_and(|(c_type, _)| is_handle(c_type))
}

fn is_handle(c_type: &str) -> bool {
    matches!(
        c_type,
        "cublasHandle_t"
            | "cublasLtHandle_t"
            | "curandGenerator_t"
            | "cufftHandle"
            | "cudnnHandle_t"
            | "const cudnnHandle_t"
    )
}

fn size_of_type(c_type: &str) -> Option<usize> {
    let name = c_type.replace("const", "");
    Some(match name.trim() {
        "__half" | "__nv_bfloat16" => 2,
        "int" | "unsigned int" | "unsigned" | "int32_t" | "uint32_t" | "float"
        | "cublasOperation_t" => 4,
        "int64_t" | "size_t" | "unsigned long long" | "double" | "cuComplex" | "void*" => 8,
        "cuDoubleComplex" => 16,
        // An enumeration.
        name if name.starts_with("cudnn") && name.ends_with("_t") => 4,
        _ => return None,
    })
}

/// What the first rule says that a name fits.
pub(crate) fn find<'a>(rules: &'a [(String, String)], name: &str) -> Option<&'a str> {
    rules
        .iter()
        .find(|(pattern, _)| fits(pattern, name))
        .map(|(_, value)| value.as_str())
}

/// Whether a name fits a pattern: `*` is anything, `[abc]` and `[a-z]` one character.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skip| {
            fits(
                std::str::from_utf8(rest).unwrap_or(""),
                std::str::from_utf8(&name[skip..]).unwrap_or("\0"),
            )
        }),
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|b| *b == b']') else {
                return false;
            };
            let (set, rest) = (&rest[..end], &rest[end + 1..]);
            let Some((first, name)) = name.split_first() else {
                return false;
            };
            let in_set = match set {
                [from, b'-', to] => (from..=to).contains(&first),
                set => set.contains(first),
            };
            in_set
                && fits(
                    std::str::from_utf8(rest).unwrap_or(""),
                    std::str::from_utf8(name).unwrap_or("\0"),
                )
        }
        [byte, rest @ ..] => {
            name.first() == Some(byte)
                && fits(
                    std::str::from_utf8(rest).unwrap_or(""),
                    std::str::from_utf8(&name[1..]).unwrap_or("\0"),
                )
        }
    }
}

/// The prototypes of a header: `returns <LIBRARY>WINAPI name(parameters);` (or `API`).
fn parse(text: &str, library: &str) -> Vec<(String, Prototype)> {
    let text = without_comments(text);
    let marks = [format!("{library}WINAPI"), format!("{library}API")];
    let mut all = Vec::new();
    let mut rest = text.as_str();
    while let Some((at, mark)) = marks
        .iter()
        .filter_map(|mark| Some((rest.find(mark.as_str())?, mark)))
        .min()
    {
        let before = &rest[..at];
        let after = &rest[at + mark.len()..];
        rest = after;
        let returns = before
            .rsplit([';', '}', '{', '\n'])
            .find(|part| !part.trim().is_empty())
            .unwrap_or("")
            .trim()
            .to_owned();
        let (Some(open), Some(close)) = (after.find('('), after.find(')')) else {
            break;
        };
        let name = after[..open.min(after.len())].trim();
        let plain =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain || open > close || !after[close + 1..].trim_start().starts_with(';') {
            continue;
        }
        let parameters = after[open + 1..close]
            .split(',')
            .filter_map(parameter)
            .collect();
        all.push((
            name.to_owned(),
            Prototype {
                returns,
                parameters,
            },
        ));
    }
    all
}

/// C type and name; arrays are pointers.
fn parameter(text: &str) -> Option<(String, String)> {
    // Without what it is where C++ leaves it out.
    let text = text.split('=').next().unwrap_or(text);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (words, array) = match words.strip_suffix("[]") {
        Some(words) => (words.trim().to_owned(), true),
        None => (words, false),
    };
    let end = words.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (c_type, name) = words.split_at(end + 1);
    let mut c_type = c_type.trim().replace(" *", "*");
    if array {
        c_type.push('*');
    }
    Some((c_type, name.to_owned()))
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        out.push_str(&rest[..at]);
        out.push(' ');
        rest = match rest[at..].find("*/") {
            Some(end) => &rest[at + end + 2..],
            None => "",
        };
    }
    out.push_str(rest);
    out.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prototypes_are_read() {
        let header = "/* a */\n#define X\nxStatus_t XWINAPI\nxDo_v2(xHandle_t h, int64_t n, const float* const A[], // b\n  void *y);\ninline xStatus_t XWINAPI xNo(int a) { }";
        let all = parse(header, "X");
        assert_eq!(all.len(), 1);
        let (name, prototype) = &all[0];
        assert_eq!(name, "xDo_v2");
        assert_eq!(prototype.returns, "xStatus_t");
        let types: Vec<&str> = prototype
            .parameters
            .iter()
            .map(|(t, _)| t.as_str())
            .collect();
        assert_eq!(
            types,
            ["xHandle_t", "int64_t", "const float* const*", "void*"]
        );
    }

    #[test]
    fn patterns() {
        assert!(fits("cublas*rot_v2*", "cublasSrot_v2_64"));
        assert!(fits("cublas[SD]*", "cublasSrot"));
        assert!(!fits("cublas[SD]rot", "cublasCrot"));
        assert!(!fits("a*b", "abc"));
        assert!(fits("cudaMemcpy*Async*", "cudaMemcpy2DAsync_ptsz"));
        assert!(fits("cudaMemcpy*Async*", "cudaMemcpyAsync"));
        assert!(!fits("cudaMemcpy*Async*", "cudaMemcpy2D"));
        assert!(fits("cublas*Ex", "cublasGemmEx"));
        assert!(!fits("cublas*Ex", "cublasGemmEx_64"));
        assert!(fits("cudnnCreate", "cudnnCreate"));
        assert!(!fits("cudnnCreate", "cudnnCreateTensorDescriptor"));
        assert!(!fits("cublasI*", "cudaMalloc"));
    }
}
