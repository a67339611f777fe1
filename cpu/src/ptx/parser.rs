//! Parses PTX text: module scope. Bodies of functions are in [`super::parse_body`].

use super::ast::{Function, Init, Module, Param, Variable};
use super::lexer::{Tok, Token, error_at, tokenize};
use super::types::{Space, Ty};
use crate::engine::{CompileError, Reference};

/// Result of a parsing step.
pub(crate) type Parse<T> = Result<T, CompileError>;

/// Largest variable or parameter that is believed, bytes.
const MAX_OBJECT: u64 = 1 << 40;

/// What stands before the name of a variable or a parameter.
struct ObjectType {
    /// 0: natural.
    align: u32,
    ty: Ty,
    vector: u32,
    managed: bool,
    reference: Option<Reference>,
}

/// Parses a module.
pub(crate) fn parse(source: &str) -> Parse<Module<'_>> {
    let tokens = tokenize(source)?;
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
    };
    parser.module()
}

/// A cursor over the tokens.
pub(crate) struct Parser<'a> {
    pub(crate) source: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn peek(&self) -> Option<Tok<'a>> {
        self.tokens.get(self.at).map(|t| t.tok)
    }

    /// Line of the next token (of the last one at the end).
    pub(crate) fn line(&self) -> u32 {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(0, |t| t.line)
    }

    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Parse<T> {
        Err(error_at(self.source, self.line(), message))
    }

    pub(crate) fn next(&mut self) -> Parse<Tok<'a>> {
        let Some(tok) = self.peek() else {
            return self.error("unexpected end of the text");
        };
        self.at += 1;
        Ok(tok)
    }

    pub(crate) fn eat(&mut self, punct: u8) -> bool {
        let found = self.peek() == Some(Tok::Punct(punct));
        self.at += usize::from(found);
        found
    }

    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Tok::Word(word));
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, punct: u8) -> Parse<()> {
        if self.eat(punct) {
            Ok(())
        } else {
            self.error(format!("expected `{}`", punct as char))
        }
    }

    pub(crate) fn word(&mut self) -> Parse<&'a str> {
        match self.peek() {
            Some(Tok::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.error("expected a name"),
        }
    }

    /// An integer with an optional sign.
    pub(crate) fn int(&mut self) -> Parse<i64> {
        let negative = self.eat(b'-');
        match self.peek() {
            Some(Tok::Int(value)) => {
                self.at += 1;
                Ok(if negative {
                    (value as i64).wrapping_neg()
                } else {
                    value as i64
                })
            }
            _ => self.error("expected an integer"),
        }
    }

    fn small(&mut self, what: &str, max: i64) -> Parse<u32> {
        let value = self.int()?;
        if (0..=max).contains(&value) {
            Ok(value as u32)
        } else {
            self.error(format!("{what} out of range"))
        }
    }

    /// Skips the rest of the line of the token before the cursor.
    pub(crate) fn skip_line(&mut self) {
        let line = self.tokens[self.at - 1].line;
        while self.tokens.get(self.at).is_some_and(|t| t.line == line) {
            self.at += 1;
        }
    }

    pub(crate) fn skip_past(&mut self, punct: u8) -> Parse<()> {
        while self.next()? != Tok::Punct(punct) {}
        Ok(())
    }

    fn skip_braces(&mut self) -> Parse<()> {
        let mut depth = 0usize;
        loop {
            match self.next()? {
                Tok::Punct(b'{') => depth += 1,
                Tok::Punct(b'}') if depth <= 1 => return Ok(()),
                Tok::Punct(b'}') => depth -= 1,
                _ => {}
            }
        }
    }

    fn module(&mut self) -> Parse<Module<'a>> {
        let mut module = Module::default();
        while self.peek().is_some() {
            let external = self.linkage()?;
            let Tok::Word(word) = self.next()? else {
                self.at -= 1;
                return self.error("expected a directive");
            };
            match word {
                ".version" => match self.next()? {
                    Tok::F64(bits) => module.version = (f64::from_bits(bits) * 10.0).round() as u32,
                    _ => return self.error("expected a version"),
                },
                ".target" => self.target(&mut module)?,
                ".address_size" => {
                    if self.int()? != 64 {
                        return self.error("only 64-bit addresses are supported");
                    }
                }
                ".file" => self.skip_line(),
                ".section" => self.skip_braces()?,
                ".pragma" | ".alias" => {
                    if word == ".alias" {
                        return self.error("`.alias` is not supported");
                    }
                    self.skip_past(b';')?;
                }
                ".global" | ".const" | ".shared" => {
                    let space = Space::parse(&word[1..]).expect("a space");
                    self.variables(space, external, &mut module.variables)?;
                }
                ".entry" | ".func" => {
                    let function = self.function(word == ".entry")?;
                    // A definition replaces its declaration.
                    match module
                        .functions
                        .iter_mut()
                        .find(|f| f.name == function.name)
                    {
                        Some(old) if old.body.is_none() => *old = function,
                        Some(_) if function.body.is_none() => {}
                        Some(_) => {
                            return self.error(format!("`{}` is defined twice", function.name));
                        }
                        None => module.functions.push(function),
                    }
                }
                _ => {
                    self.at -= 1;
                    return self.error(format!("`{word}` is not supported here"));
                }
            }
        }
        if module.version == 0 || module.target == 0 {
            return Err(error_at(self.source, 0, "no `.version` or no `.target`"));
        }
        Ok(module)
    }

    /// Reads linkage directives; whether `.extern` is among them.
    fn linkage(&mut self) -> Parse<bool> {
        let mut external = false;
        loop {
            match self.peek() {
                Some(Tok::Word(".extern")) => external = true,
                Some(Tok::Word(".visible" | ".weak" | ".common")) => {}
                _ => return Ok(external),
            }
            self.at += 1;
        }
    }

    fn target(&mut self, module: &mut Module<'a>) -> Parse<()> {
        loop {
            let word = self.word()?;
            if let Some(number) = word.strip_prefix("sm_") {
                let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                match digits.parse() {
                    Ok(target) => module.target = target,
                    Err(_) => return self.error("expected a target like sm_75"),
                }
            }
            if !self.eat(b',') {
                return Ok(());
            }
        }
    }

    /// Reads `[.align n] [.attribute(…)] .type` in any order.
    fn object_type(&mut self) -> Parse<ObjectType> {
        let (mut align, mut vector, mut managed) = (0, 1, false);
        loop {
            let word = self.word()?;
            match word {
                ".align" => {
                    align = self.small("alignment", 1 << 20)?;
                    if !align.is_power_of_two() {
                        return self.error("alignment is not a power of two");
                    }
                }
                ".attribute" => {
                    let from = self.at;
                    self.skip_past(b')')?;
                    managed |= self.tokens[from..self.at]
                        .iter()
                        .any(|token| token.tok == Tok::Word(".managed"));
                }
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                ".ptr" => {}
                _ => {
                    // Texture and surface references are opaque; what names them is 64 bits.
                    let reference = match word {
                        ".texref" => Some(Reference::Texture),
                        ".surfref" => Some(Reference::Surface),
                        ".samplerref" => Some(Reference::Sampler),
                        _ => None,
                    };
                    let ty = match reference {
                        Some(_) => Some(Ty::B64),
                        None => word.strip_prefix('.').and_then(Ty::parse),
                    };
                    let Some(ty) = ty else {
                        self.at -= 1;
                        return self.error(format!("`{word}` is not a type that is supported"));
                    };
                    return Ok(ObjectType {
                        align,
                        ty,
                        vector,
                        managed,
                        reference,
                    });
                }
            }
        }
    }

    /// Reads `[n][m]…`: number of elements, and whether a dimension was left open.
    fn dimensions(&mut self) -> Parse<(u64, bool, u64)> {
        let (mut count, mut open, mut row) = (1u64, false, 0);
        let mut first = true;
        while self.eat(b'[') {
            if self.eat(b']') {
                open = true;
            } else {
                let n = self.int()?;
                if n < 0 {
                    return self.error("negative size");
                }
                let Some(product) = count.checked_mul(n as u64).filter(|&c| c <= MAX_OBJECT) else {
                    return self.error("object too large");
                };
                count = product;
                if !first {
                    row = row.max(1) * n as u64;
                }
                self.expect(b']')?;
            }
            first = false;
        }
        Ok((count, open, row))
    }

    /// Reads `.align 4 .b8 name[16] = …, name2;` after the space.
    pub(crate) fn variables(
        &mut self,
        space: Space,
        external: bool,
        out: &mut Vec<Variable<'a>>,
    ) -> Parse<()> {
        let ObjectType {
            align,
            ty,
            vector,
            managed,
            reference,
        } = self.object_type()?;
        if ty == Ty::Pred {
            return self.error("a predicate cannot be a variable in memory");
        }
        let element = ty.size() * vector;
        loop {
            let line = self.line();
            let name = self.word()?;
            let (mut count, unsized_array, _) = self.dimensions()?;
            let mut init = Vec::new();
            if self.eat(b'=') {
                self.initialiser(&mut init, 0)?;
                if unsized_array {
                    count *= init.len() as u64;
                }
                if init.len() as u64 > count * u64::from(vector) {
                    return self.error("too many initialisers");
                }
            } else if unsized_array {
                count = 0;
            }
            let size = count * u64::from(element);
            if size > MAX_OBJECT {
                return self.error("object too large");
            }
            let align = if align == 0 {
                element.next_power_of_two()
            } else {
                align
            };
            out.push(Variable {
                name,
                space,
                ty,
                align,
                size,
                external,
                unsized_array,
                managed,
                reference,
                init,
                line,
            });
            if self.eat(b';') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn initialiser(&mut self, out: &mut Vec<Init<'a>>, depth: u32) -> Parse<()> {
        if depth > 8 {
            return self.error("initialiser nested too deeply");
        }
        if self.eat(b'{') {
            // Rows shorter than their dimension do not come from nvcc, which writes flat byte arrays: refuse nothing, fill in order.
            while !self.eat(b'}') {
                self.initialiser(out, depth + 1)?;
                if !self.eat(b',') {
                    self.expect(b'}')?;
                    break;
                }
            }
            return Ok(());
        }
        let negative = self.eat(b'-');
        let init = match self.next()? {
            Tok::Int(value) if self.peek() == Some(Tok::Punct(b'(')) => {
                // `0xFF00(symbol)`: one byte of an address.
                let shift = value.trailing_zeros();
                if value == 0 || value >> shift != 0xff {
                    return self.error("only masks of one byte are supported");
                }
                self.expect(b'(')?;
                let init = match self.address_init()? {
                    Init::Address { symbol, offset, .. } => Init::Address {
                        symbol,
                        offset,
                        shift,
                    },
                    other => other,
                };
                self.expect(b')')?;
                init
            }
            Tok::Int(value) => Init::Bits(if negative {
                value.wrapping_neg()
            } else {
                value
            }),
            Tok::F32(bits) => Init::F32(if negative { bits ^ 0x8000_0000 } else { bits }),
            Tok::F64(bits) => Init::F64(if negative { bits ^ (1 << 63) } else { bits }),
            Tok::Word(_) if !negative => {
                self.at -= 1;
                self.address_init()?
            }
            _ => return self.error("expected an initial value"),
        };
        out.push(init);
        Ok(())
    }

    fn address_init(&mut self) -> Parse<Init<'a>> {
        let mut symbol = self.word()?;
        let generic = symbol == "generic" && self.eat(b'(');
        if generic {
            symbol = self.word()?;
            self.expect(b')')?;
        }
        let mut offset = 0;
        if self.eat(b'+') || self.peek() == Some(Tok::Punct(b'-')) {
            offset = self.int()?;
        }
        Ok(Init::Address {
            symbol,
            offset,
            shift: 0,
        })
    }

    fn params(&mut self) -> Parse<Vec<Param<'a>>> {
        let mut params = Vec::new();
        self.expect(b'(')?;
        if self.eat(b')') {
            return Ok(params);
        }
        loop {
            let word = self.word()?;
            if word != ".param" {
                return self.error(format!("parameters in `{word}` are not supported"));
            }
            let ObjectType {
                mut align,
                ty,
                vector,
                ..
            } = self.object_type()?;
            // Attributes of a pointer: `.ptr .global .align 8`.
            while let Some(Tok::Word(word)) = self.peek() {
                match word {
                    ".ptr" | ".global" | ".const" | ".shared" | ".local" | ".texref"
                    | ".surfref" | ".samplerref" => self.at += 1,
                    ".align" => {
                        self.at += 1;
                        let _ = self.small("alignment", 1 << 20)?;
                    }
                    _ => break,
                }
            }
            let name = self.word()?;
            let (count, open, _) = self.dimensions()?;
            if open {
                return self.error("parameters without a size are not supported");
            }
            let size = count * u64::from(ty.size() * vector);
            if size > 32764 {
                return self.error("parameter too large");
            }
            if align == 0 {
                align = (ty.size() * vector).next_power_of_two();
            }
            params.push(Param {
                name,
                size: size as u32,
                align,
            });
            if self.eat(b')') {
                return Ok(params);
            }
            self.expect(b',')?;
        }
    }

    fn function(&mut self, entry: bool) -> Parse<Function<'a>> {
        let line = self.line();
        while self.eat_word(".attribute") {
            self.skip_past(b')')?;
        }
        let returns = if self.peek() == Some(Tok::Punct(b'(')) {
            self.params()?
        } else {
            Vec::new()
        };
        let name = self.word()?;
        let params = if self.peek() == Some(Tok::Punct(b'(')) {
            self.params()?
        } else {
            Vec::new()
        };
        let mut function = Function {
            name,
            entry,
            params,
            returns,
            max_threads: None,
            required: None,
            cluster: None,
            body: None,
            line,
        };
        loop {
            match self.next()? {
                Tok::Punct(b';') => return Ok(function),
                Tok::Punct(b'{') => {
                    function.body = Some(self.body()?);
                    return Ok(function);
                }
                Tok::Word(directive @ (".maxntid" | ".reqntid")) => {
                    let mut dims = [1u32; 3];
                    dims[0] = self.small("size of a block", 1 << 31)?;
                    for dim in &mut dims[1..] {
                        if self.eat(b',') {
                            *dim = self.small("size of a block", 1 << 31)?;
                        }
                    }
                    if directive == ".reqntid" {
                        function.required = Some(dims);
                    }
                    function.max_threads =
                        Some(dims.iter().fold(1, |p: u32, &d| p.saturating_mul(d)));
                }
                // Hints for the register allocator and the scheduler.
                Tok::Word(".minnctapersm" | ".maxnctapersm" | ".maxnreg" | ".maxclusterrank") => {
                    let _ = self.int()?;
                }
                Tok::Word(".noreturn" | ".abi_preserve" | ".abi_preserve_control" | ".unique") => {}
                Tok::Word(".pragma") => self.skip_past(b';')?,
                Tok::Word(".reqnctapercluster") => {
                    let mut dims = [1u32; 3];
                    dims[0] = self.small("size of a cluster", 1 << 16)?;
                    for dim in &mut dims[1..] {
                        if self.eat(b',') {
                            *dim = self.small("size of a cluster", 1 << 16)?;
                        }
                    }
                    function.cluster = Some(dims);
                }
                // Clusters come with the launch, which says so.
                Tok::Word(".explicitcluster") => {}
                Tok::Word(".blocksareclusters") => {
                    return self.error("grids that are counted in clusters are not supported");
                }
                _ => {
                    self.at -= 1;
                    return self.error("not understood in the head of a function");
                }
            }
        }
    }
}
