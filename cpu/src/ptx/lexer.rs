//! Cuts PTX text into tokens.

use crate::engine::CompileError;

/// One token of PTX text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tok<'a> {
    /// An identifier, directive, opcode with its qualifiers, or register.
    Word(&'a str),
    /// An integer literal.
    Int(u64),
    /// A single-precision literal (bits).
    F32(u32),
    /// A double-precision literal (bits).
    F64(u64),
    /// A quoted string, without the quotes.
    Str(&'a str),
    /// Any other character.
    Punct(u8),
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    pub(crate) line: u32,
}

/// An error on `line` of `source`.
pub(crate) fn error_at(source: &str, line: u32, message: impl Into<String>) -> CompileError {
    let text = match line {
        0 => "",
        n => source.lines().nth(n as usize - 1).unwrap_or(""),
    };
    CompileError {
        line,
        text: text.trim().to_owned(),
        message: message.into(),
    }
}

fn word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'%' | b'.') || b >= 0x80
}

/// All tokens of `source`.
pub(crate) fn tokenize(source: &str) -> Result<Vec<Token<'_>>, CompileError> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::with_capacity(bytes.len() / 4);
    let mut line = 1u32;
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        match b {
            b'\n' => {
                line += 1;
                i += 1;
            }
            b' ' | b'\t' | b'\r' | 0x0c | 0x0b => i += 1,
            b'/' if bytes.get(i + 1) == Some(&b'/') => {
                i += bytes[i..]
                    .iter()
                    .position(|&c| c == b'\n')
                    .unwrap_or(bytes.len() - i);
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                let start = line;
                i += 2;
                loop {
                    match (bytes.get(i), bytes.get(i + 1)) {
                        (Some(b'*'), Some(b'/')) => break,
                        (Some(b'\n'), _) => line += 1,
                        (Some(_), _) => {}
                        (None, _) => return Err(error_at(source, start, "comment without end")),
                    }
                    i += 1;
                }
                i += 2;
            }
            b'"' => {
                let from = i + 1;
                let Some(len) = bytes[from..].iter().position(|&c| c == b'"') else {
                    return Err(error_at(source, line, "string without end"));
                };
                tokens.push(Token {
                    tok: Tok::Str(&source[from..from + len]),
                    line,
                });
                line += bytes[from..from + len]
                    .iter()
                    .filter(|&&c| c == b'\n')
                    .count() as u32;
                i = from + len + 1;
            }
            b'0'..=b'9' => {
                let (tok, len) = number(&source[i..])
                    .ok_or_else(|| error_at(source, line, "malformed number"))?;
                tokens.push(Token { tok, line });
                i += len;
            }
            _ if word_byte(b) => {
                let from = i;
                loop {
                    match bytes.get(i) {
                        // Directives may stand without a space between them: `.reg.b16`.
                        Some(b'.') if b == b'.' && i > from => break,
                        Some(&c) if word_byte(c) => i += 1,
                        // `.shared::cta` and its like are one word.
                        Some(b':')
                            if bytes.get(i + 1) == Some(&b':')
                                && bytes.get(i + 2).is_some_and(|&c| word_byte(c)) =>
                        {
                            i += 2
                        }
                        _ => break,
                    }
                }
                tokens.push(Token {
                    tok: Tok::Word(&source[from..i]),
                    line,
                });
            }
            _ => {
                tokens.push(Token {
                    tok: Tok::Punct(b),
                    line,
                });
                i += 1;
            }
        }
    }
    Ok(tokens)
}

/// The number at the start of `text` and its length in bytes.
fn number(text: &str) -> Option<(Tok<'_>, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize, ok: fn(u8) -> bool| {
        from + bytes[from..].iter().take_while(|&&c| ok(c)).count()
    };
    let hex = |c: u8| c.is_ascii_hexdigit();
    let suffixed = |end: usize| {
        if bytes.get(end) == Some(&b'U') {
            end + 1
        } else {
            end
        }
    };
    if bytes[0] == b'0' {
        match bytes.get(1) {
            Some(b'f' | b'F') => {
                let end = digits(2, hex);
                return (end == 10).then(|| {
                    Some((
                        Tok::F32(u32::from_str_radix(text.get(2..end)?, 16).ok()?),
                        end,
                    ))
                })?;
            }
            Some(b'd' | b'D') => {
                let end = digits(2, hex);
                return (end == 18).then(|| {
                    Some((
                        Tok::F64(u64::from_str_radix(text.get(2..end)?, 16).ok()?),
                        end,
                    ))
                })?;
            }
            Some(b'x' | b'X') => {
                let end = digits(2, hex);
                return Some((
                    Tok::Int(u64::from_str_radix(text.get(2..end)?, 16).ok()?),
                    suffixed(end),
                ));
            }
            Some(b'b' | b'B') => {
                let end = digits(2, |c| c == b'0' || c == b'1');
                return Some((
                    Tok::Int(u64::from_str_radix(text.get(2..end)?, 2).ok()?),
                    suffixed(end),
                ));
            }
            _ => {}
        }
    }
    let decimal = |c: u8| c.is_ascii_digit();
    let mut end = digits(0, decimal);
    let mut float = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_none_or(|c| !c.is_ascii_alphabetic())
    {
        float = true;
        end = digits(end + 1, decimal);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let after = digits((end + 1 + sign).min(bytes.len()), decimal);
        if after > end + 1 + sign {
            float = true;
            end = after;
        }
    }
    if float {
        return Some((Tok::F64(text[..end].parse::<f64>().ok()?.to_bits()), end));
    }
    let radix = if bytes[0] == b'0' && end > 1 { 8 } else { 10 };
    Some((
        Tok::Int(u64::from_str_radix(&text[..end], radix).ok()?),
        suffixed(end),
    ))
}
