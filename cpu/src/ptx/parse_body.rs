//! Parses the body of a function and resolves its names: registers, local variables and labels obey the scopes of `{ }`.

use std::collections::HashMap;

use super::ast::{Body, Instruction, Operand, Statement, Variable};
use super::lexer::{Tok, error_at};
use super::parser::{Parse, Parser};
use super::types::{Space, Ty};

/// Deepest nesting of `{ }` that is accepted.
const MAX_DEPTH: usize = 200;

#[derive(Default)]
struct Scope<'a> {
    id: usize,
    registers: HashMap<&'a str, u32>,
    /// `%r<93>`: type and count by prefix.
    families: HashMap<&'a str, (Ty, u64)>,
    variables: HashMap<&'a str, u32>,
}

/// A label or table that was named before its scope was read to the end.
struct Pending<'a> {
    name: &'a str,
    scope: usize,
    line: u32,
}

struct BodyParser<'a, 'p> {
    parser: &'p mut Parser<'a>,
    body: Body<'a>,
    scopes: Vec<Scope<'a>>,
    /// Parent of each scope ever opened.
    parents: Vec<usize>,
    labels: HashMap<(usize, &'a str), u32>,
    tables: HashMap<(usize, &'a str), u32>,
    pending_labels: Vec<Pending<'a>>,
    pending_tables: Vec<Pending<'a>>,
    table_targets: Vec<Vec<u32>>,
}

impl<'a> Parser<'a> {
    /// Reads a body, the opening brace already read.
    pub(crate) fn body(&mut self) -> Parse<Body<'a>> {
        let mut body = BodyParser {
            parser: self,
            body: Body::default(),
            scopes: vec![Scope::default()],
            parents: vec![usize::MAX],
            labels: HashMap::new(),
            tables: HashMap::new(),
            pending_labels: Vec::new(),
            pending_tables: Vec::new(),
            table_targets: Vec::new(),
        };
        body.statements()?;
        body.resolve()
    }
}

impl<'a> BodyParser<'a, '_> {
    fn scope(&mut self) -> &mut Scope<'a> {
        self.scopes.last_mut().expect("one scope at least")
    }

    fn statements(&mut self) -> Parse<()> {
        loop {
            let line = self.parser.line();
            match self.parser.next()? {
                Tok::Punct(b'{') => {
                    if self.scopes.len() >= MAX_DEPTH {
                        return self.parser.error("scopes nested too deeply");
                    }
                    let id = self.parents.len();
                    let parent = self.scope().id;
                    self.parents.push(parent);
                    self.scopes.push(Scope {
                        id,
                        ..Scope::default()
                    });
                }
                Tok::Punct(b'}') => {
                    if self.scopes.len() == 1 {
                        return Ok(());
                    }
                    self.scopes.pop();
                }
                Tok::Punct(b';') => {}
                Tok::Punct(b'@') => {
                    let negated = self.parser.eat(b'!');
                    let name = self.parser.word()?;
                    let Some(register) = self.register(name) else {
                        return self.parser.error(format!("`{name}` is not a register"));
                    };
                    let op = self.parser.word()?;
                    self.instruction(line, Some((register, negated)), op)?;
                }
                Tok::Word(word) if word.starts_with('.') => self.directive(word)?,
                Tok::Word(word) if self.parser.eat(b':') => self.label(word)?,
                Tok::Word(word) => self.instruction(line, None, word)?,
                _ => return Err(error_at(self.parser.source, line, "expected a statement")),
            }
        }
    }

    fn directive(&mut self, word: &'a str) -> Parse<()> {
        match word {
            ".reg" => self.registers(),
            ".local" | ".shared" | ".param" | ".global" | ".const" => {
                let space = Space::parse(&word[1..]).expect("a space");
                if matches!(space, Space::Global | Space::Const) {
                    return self
                        .parser
                        .error("variables of this space must stand at module scope");
                }
                let mut variables: Vec<Variable<'a>> = Vec::new();
                self.parser.variables(space, false, &mut variables)?;
                for variable in variables {
                    let index = self.body.variables.len() as u32;
                    self.scope().variables.insert(variable.name, index);
                    self.body.variables.push(variable);
                }
                Ok(())
            }
            ".loc" | ".file" => {
                self.parser.skip_line();
                Ok(())
            }
            ".pragma" => self.parser.skip_past(b';'),
            _ => self.parser.error(format!("`{word}` is not supported here")),
        }
    }

    fn registers(&mut self) -> Parse<()> {
        let word = self.parser.word()?;
        let Some(ty) = word.strip_prefix('.').and_then(Ty::parse) else {
            return self
                .parser
                .error(format!("registers of type `{word}` are not supported"));
        };
        loop {
            let name = self.parser.word()?;
            if self.parser.eat(b'<') {
                let count = self.parser.int()?;
                self.parser.expect(b'>')?;
                self.scope()
                    .families
                    .insert(name, (ty, count.max(0) as u64));
            } else {
                let id = self.body.registers.len() as u32;
                self.body.registers.push(ty);
                self.scope().registers.insert(name, id);
            }
            if self.parser.eat(b';') {
                return Ok(());
            }
            self.parser.expect(b',')?;
        }
    }

    /// The register called `name`, made on first use if it belongs to a family.
    fn register(&mut self, name: &'a str) -> Option<u32> {
        let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &name[prefix.len()..];
        let number = if number.len() > 1 && number.starts_with('0') {
            None
        } else {
            number.parse::<u64>().ok()
        };
        for scope in self.scopes.iter_mut().rev() {
            if let Some(&id) = scope.registers.get(name) {
                return Some(id);
            }
            if let (Some(number), Some(&(ty, count))) = (number, scope.families.get(prefix))
                && number < count
            {
                let id = self.body.registers.len() as u32;
                self.body.registers.push(ty);
                scope.registers.insert(name, id);
                return Some(id);
            }
        }
        None
    }

    /// A part of a register.
    fn piece(&mut self, name: &'a str) -> Option<(u32, u8)> {
        let (register, piece) = name.rsplit_once('.')?;
        let piece = ["b0", "b1", "b2", "b3", "h0", "h1"]
            .iter()
            .position(|p| *p == piece)?;
        Some((self.register(register)?, piece as u8))
    }

    fn label(&mut self, name: &'a str) -> Parse<()> {
        let scope = self.scope().id;
        match self.parser.peek() {
            Some(Tok::Word(".callprototype" | ".calltargets")) => self.parser.skip_past(b';'),
            Some(Tok::Word(".branchtargets")) => {
                self.parser.next()?;
                let mut targets = Vec::new();
                loop {
                    let line = self.parser.line();
                    let target = self.parser.word()?;
                    targets.push(self.pending_labels.len() as u32);
                    self.pending_labels.push(Pending {
                        name: target,
                        scope,
                        line,
                    });
                    if self.parser.eat(b';') {
                        break;
                    }
                    self.parser.expect(b',')?;
                }
                self.tables
                    .insert((scope, name), self.table_targets.len() as u32);
                self.table_targets.push(targets);
                Ok(())
            }
            _ => {
                let id = self.body.labels;
                if self.labels.insert((scope, name), id).is_some() {
                    return self
                        .parser
                        .error(format!("label `{name}` is defined twice"));
                }
                self.body.labels += 1;
                self.body.statements.push(Statement::Label(id));
                Ok(())
            }
        }
    }

    fn instruction(&mut self, line: u32, guard: Option<(u32, bool)>, op: &'a str) -> Parse<()> {
        let mut operands = Vec::new();
        let branch = op == "bra" || op.starts_with("bra.");
        let table = op.starts_with("brx");
        if !self.parser.eat(b';') {
            loop {
                let operand_line = self.parser.line();
                let scope = self.scope().id;
                let pending = |name| Pending {
                    name,
                    scope,
                    line: operand_line,
                };
                if branch {
                    let name = self.parser.word()?;
                    operands.push(Operand::Label(self.pending_labels.len() as u32));
                    self.pending_labels.push(pending(name));
                } else if table && operands.len() == 1 {
                    let name = self.parser.word()?;
                    operands.push(Operand::Table(self.pending_tables.len() as u32));
                    self.pending_tables.push(pending(name));
                } else {
                    operands.push(self.operand(0)?);
                }
                if self.parser.eat(b';') {
                    break;
                }
                self.parser.expect(b',')?;
            }
        }
        self.body
            .statements
            .push(Statement::Instruction(Instruction {
                line,
                guard,
                op,
                operands,
            }));
        Ok(())
    }

    fn offset(&mut self) -> Parse<i64> {
        if self.parser.eat(b'+') || self.parser.peek() == Some(Tok::Punct(b'-')) {
            self.parser.int()
        } else {
            Ok(0)
        }
    }

    fn operand(&mut self, depth: u32) -> Parse<Operand<'a>> {
        if depth > 8 {
            return self.parser.error("operand nested too deeply");
        }
        let first = match self.parser.next()? {
            Tok::Word("_") => Operand::Sink,
            Tok::Word("WARP_SZ") => Operand::Int(32),
            Tok::Word(name) => {
                if let Some(id) = self.register(name) {
                    Operand::Reg(id)
                } else if let Some(&id) =
                    self.scopes.iter().rev().find_map(|s| s.variables.get(name))
                {
                    Operand::Local(id, self.offset()?)
                } else if let Some((id, piece)) = self.piece(name) {
                    Operand::Piece(id, piece)
                } else {
                    Operand::Name(name, self.offset()?)
                }
            }
            Tok::Int(value) => Operand::Int(value),
            Tok::F32(bits) => Operand::F32(bits),
            Tok::F64(bits) => Operand::F64(bits),
            Tok::Punct(b'-') => match self.parser.next()? {
                Tok::Int(value) => Operand::Int(value.wrapping_neg()),
                Tok::F32(bits) => Operand::F32(bits ^ 0x8000_0000),
                Tok::F64(bits) => Operand::F64(bits ^ (1 << 63)),
                _ => return self.parser.error("expected a number after `-`"),
            },
            Tok::Punct(b'!') => Operand::Not(Box::new(self.operand(depth + 1)?)),
            Tok::Punct(b'[') => {
                let base = self.operand(depth + 1)?;
                let (base, offset) = match base {
                    Operand::Local(id, offset) => (Operand::Local(id, 0), offset),
                    Operand::Name(name, offset) => (Operand::Name(name, 0), offset),
                    Operand::Reg(_) => (base, self.offset()?),
                    Operand::Int(value) => (Operand::Int(value), 0),
                    _ => return self.parser.error("not an address"),
                };
                if self.parser.eat(b',') {
                    let place = match self.operand(depth + 1)? {
                        Operand::Vector(items) => items,
                        single => vec![single],
                    };
                    self.parser.expect(b']')?;
                    return Ok(Operand::Image(Box::new(base), place));
                }
                self.parser.expect(b']')?;
                Operand::Address(Box::new(base), offset)
            }
            Tok::Punct(open @ (b'{' | b'(')) => {
                let close = if open == b'{' { b'}' } else { b')' };
                let mut items = Vec::new();
                if !self.parser.eat(close) {
                    loop {
                        items.push(self.operand(depth + 1)?);
                        if self.parser.eat(close) {
                            break;
                        }
                        self.parser.expect(b',')?;
                    }
                }
                Operand::Vector(items)
            }
            _ => return self.parser.error("not an operand"),
        };
        if depth == 0 && self.parser.eat(b'|') {
            return Ok(Operand::Pair(
                Box::new(first),
                Box::new(self.operand(depth + 1)?),
            ));
        }
        Ok(first)
    }

    /// Finds what each pending name means in its scope or those around it.
    fn resolve(mut self) -> Parse<Body<'a>> {
        let source = self.parser.source;
        let parents = &self.parents;
        let find = |map: &HashMap<(usize, &'a str), u32>, pending: &Pending<'a>| {
            let mut scope = pending.scope;
            loop {
                if let Some(&id) = map.get(&(scope, pending.name)) {
                    return Ok(id);
                }
                scope = parents[scope];
                if scope == usize::MAX {
                    return Err(error_at(
                        source,
                        pending.line,
                        format!("label `{}` is not defined", pending.name),
                    ));
                }
            }
        };
        let labels = self
            .pending_labels
            .iter()
            .map(|p| find(&self.labels, p))
            .collect::<Parse<Vec<u32>>>()?;
        let tables = self
            .pending_tables
            .iter()
            .map(|p| find(&self.tables, p))
            .collect::<Parse<Vec<u32>>>()?;
        for statement in &mut self.body.statements {
            let Statement::Instruction(instruction) = statement else {
                continue;
            };
            for operand in &mut instruction.operands {
                match operand {
                    Operand::Label(id) => *id = labels[*id as usize],
                    Operand::Table(id) => *id = tables[*id as usize],
                    _ => {}
                }
            }
        }
        self.body.tables = self
            .table_targets
            .iter()
            .map(|t| t.iter().map(|&id| labels[id as usize]).collect())
            .collect();
        Ok(self.body)
    }
}
