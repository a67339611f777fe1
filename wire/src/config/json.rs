//! JSON with `//` comments, every value with its place in the text: a message about a value can then say where it stands.

use std::fmt;

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 64;

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys in order, each with its own place.
    Object(Vec<(String, Place, Node)>),
}

/// How messages show a value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(t) => write!(f, "{t:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Node, (Place, String)> {
    let mut parser = Parser {
        rest: text.trim_start_matches('\u{feff}'),
        place: Place { line: 1, column: 1 },
    };
    let node = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(node),
        Some(c) => Err(parser.error(format!("{c:?} after the end of the configuration"))),
    }
}

struct Parser<'a> {
    rest: &'a str,
    place: Place,
}

type Parsed<T> = Result<T, (Place, String)>;

impl Parser<'_> {
    fn error(&self, message: impl Into<String>) -> (Place, String) {
        (self.place, message.into())
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.place.line += 1;
            self.place.column = 1;
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            if self.rest.starts_with("//") {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.next();
            } else {
                return;
            }
        }
    }

    fn found(&self) -> String {
        self.peek()
            .map_or("the end of the file".to_owned(), |c| format!("{c:?}"))
    }

    fn value(&mut self, depth: usize) -> Parsed<Node> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let place = self.place;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Text(self.text()?),
            Some(c) if c == '-' || c.is_ascii_digit() => self.number()?,
            Some(c) if c.is_ascii_alphabetic() => self.word()?,
            _ => return Err(self.error(format!("a value is missing: found {}", self.found()))),
        };
        Ok(Node { place, value })
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        let mut members: Vec<(String, Place, Node)> = Vec::new();
        self.next();
        loop {
            self.space();
            match self.peek() {
                Some('}') => break,
                Some('"') => {}
                _ => {
                    return Err(self.error(format!(
                        "a key in double quotes or '}}' must stand here, not {}",
                        self.found()
                    )));
                }
            }
            let place = self.place;
            let key = self.text()?;
            if members.iter().any(|(k, ..)| *k == key) {
                return Err((place, format!("key {key:?} stands here a second time")));
            }
            self.space();
            if self.peek() != Some(':') {
                return Err(self.error(format!(
                    "':' must follow the key {key:?}, not {}",
                    self.found()
                )));
            }
            self.next();
            let node = self.value(depth + 1)?;
            members.push((key, place, node));
            if !self.comma('}')? {
                break;
            }
        }
        self.next();
        Ok(Value::Object(members))
    }

    fn list(&mut self, depth: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        self.next();
        loop {
            self.space();
            if self.peek() == Some(']') {
                break;
            }
            items.push(self.value(depth + 1)?);
            if !self.comma(']')? {
                break;
            }
        }
        self.next();
        Ok(Value::List(items))
    }

    /// After an element: whether a comma came (a last one before the end is accepted); stands at the closing character otherwise.
    fn comma(&mut self, close: char) -> Parsed<bool> {
        self.space();
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(true)
            }
            Some(c) if c == close => Ok(false),
            _ => Err(self.error(format!(
                "',' or '{close}' must stand here, not {}",
                self.found()
            ))),
        }
    }

    fn text(&mut self) -> Parsed<String> {
        let begin = self.place;
        let unterminated = || (begin, "this text has no closing quote".to_owned());
        let mut out = String::new();
        self.next();
        loop {
            match self.next() {
                None | Some('\n') => return Err(unterminated()),
                Some('"') => return Ok(out),
                Some('\\') => out.push(match self.next().ok_or_else(unterminated)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    c @ ('"' | '\\' | '/') => c,
                    'u' => self.unicode()?,
                    c => return Err(self.error(format!("'\\{c}' is no escape of JSON"))),
                }),
                Some(c) => out.push(c),
            }
        }
    }

    fn unicode(&mut self) -> Parsed<char> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.rest.starts_with("\\u") {
            self.next();
            self.next();
            // Anything but a low surrogate leaves no character.
            match self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400) {
                Some(low) => 0x1_0000 + ((high - 0xd800) << 10) + low,
                None => high,
            }
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.error("this \\u escape is no character"))
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            code = code * 16
                + digit.ok_or_else(|| self.error("four hexadecimal digits must follow \\u"))?;
            self.next();
        }
        Ok(code)
    }

    fn number(&mut self) -> Parsed<Value> {
        let begin = self.place;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Value::Number(n)),
            _ => Err((begin, format!("{text} is no number"))),
        }
    }

    fn word(&mut self) -> Parsed<Value> {
        let begin = self.place;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        match text.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => Err((
                begin,
                format!("{text} is not understood; text needs double quotes"),
            )),
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek().filter(|c| accept(*c)) {
            out.push(c);
            self.next();
        }
        out
    }
}
