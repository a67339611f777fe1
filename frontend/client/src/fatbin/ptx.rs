//! What we need to know of PTX text: whether it is any, and which kernels it has.

/// The text after white space and comments.
fn skip(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let end = if text.starts_with(b"//") {
            text.iter().position(|b| *b == b'\n')
        } else if text.starts_with(b"/*") {
            text.windows(2)
                .skip(2)
                .position(|w| w == b"*/")
                .map(|at| at + 4)
        } else {
            return text;
        };
        text = end.and_then(|end| text.get(end..)).unwrap_or_default();
    }
}

/// Whether text can be PTX: its first statement is a directive.
#[must_use]
pub fn looks_like(text: &[u8]) -> bool {
    skip(text).starts_with(b".")
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%')
}

/// Names of the kernels (`.entry`) in PTX, each once, in the order of the text.
#[must_use]
pub fn kernel_names(text: &[u8]) -> Vec<String> {
    const ENTRY: &[u8] = b".entry";
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with(b"//") || rest.starts_with(b"/*") {
            rest = skip(rest);
        } else if rest[0] == b'"' {
            let end = rest[1..].iter().position(|b| *b == b'"');
            rest = end.map_or(&[][..], |end| &rest[end + 2..]);
        } else if rest.starts_with(ENTRY) && !rest.get(ENTRY.len()).copied().is_some_and(is_name) {
            rest = skip(&rest[ENTRY.len()..]);
            let end = rest.iter().position(|b| !is_name(*b)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if let Ok(name) = std::str::from_utf8(name)
                && !name.is_empty()
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
            rest = after;
        } else {
            rest = &rest[1..];
        }
    }
    names
}
