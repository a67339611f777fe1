//! The qualifiers of an opcode, taken one by one so that none is overlooked.

use super::Step;
use crate::ptx::alu::rounding::Round;
use crate::ptx::types::Ty;

/// An opcode cut at its dots.
#[derive(Clone)]
pub(crate) struct Quals<'a> {
    /// What stands before the first dot.
    pub(crate) base: &'a str,
    items: [Option<&'a str>; 12],
    count: usize,
    too_many: bool,
}

impl<'a> Quals<'a> {
    pub(crate) fn new(op: &'a str) -> Quals<'a> {
        let mut parts = op.split('.');
        let base = parts.next().unwrap_or("");
        let mut quals = Quals {
            base,
            items: [None; 12],
            count: 0,
            too_many: false,
        };
        for part in parts {
            if quals.count < quals.items.len() {
                quals.items[quals.count] = Some(part);
                quals.count += 1;
            } else {
                quals.too_many = true;
            }
        }
        quals
    }

    /// Whether a qualifier is there; it is used up.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        match self.items.iter_mut().find(|item| **item == Some(word)) {
            Some(item) => {
                *item = None;
                true
            }
            None => false,
        }
    }

    /// The first of `words` that is there, by index.
    pub(crate) fn one_of(&mut self, words: &[&str]) -> Option<usize> {
        words.iter().position(|word| self.take(word))
    }

    /// Looks without taking.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.items.contains(&Some(word))
    }

    /// The first qualifier left for which `f` answers.
    pub(crate) fn find<T>(&mut self, f: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        for item in &mut self.items {
            if let Some(found) = item.and_then(&f) {
                *item = None;
                return Some(found);
            }
        }
        None
    }

    /// The first type that is left.
    pub(crate) fn ty(&mut self) -> Step<Ty> {
        self.find(Ty::parse)
            .ok_or_else(|| "no type that is supported".to_owned())
    }

    /// A rounding mode, nearest if none.
    pub(crate) fn round(&mut self) -> Round {
        match self.one_of(&["rn", "rz", "rm", "rp"]) {
            Some(1) => Round::Zero,
            Some(2) => Round::Down,
            Some(3) => Round::Up,
            _ => Round::Nearest,
        }
    }

    /// An error if anything was not used.
    pub(crate) fn finish(&self) -> Step<()> {
        match self.items.iter().flatten().next() {
            Some(left) => Err(format!("`.{left}` is not supported in this instruction")),
            None if self.too_many => Err("too many qualifiers".into()),
            None => Ok(()),
        }
    }
}

/// Checks the number of operands.
pub(crate) fn arity<T>(operands: &[T], range: std::ops::RangeInclusive<usize>) -> Step<()> {
    if range.contains(&operands.len()) {
        Ok(())
    } else {
        Err(format!(
            "{} operands instead of {}",
            operands.len(),
            range.start()
        ))
    }
}
