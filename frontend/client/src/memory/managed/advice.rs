//! What a program has advised for parts of its managed memory. Nothing here depends on it; programs may ask for it again.

use std::collections::BTreeMap;

/// A place as CUDA names it: `CUmemLocationType` and the id.
pub(crate) type Place = (u32, i32);

/// What was advised for some bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advised {
    pub(crate) read_mostly: bool,
    pub(crate) preferred: Option<Place>,
    /// Devices (-1: the processor), rising.
    pub(crate) accessed_by: Vec<i32>,
    pub(crate) prefetched: Option<Place>,
}

/// Advice for a piece, by offset: what begins there holds until the next entry.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    parts: BTreeMap<u64, Advised>,
}

impl Advice {
    fn split(&mut self, at: u64) {
        let here = self
            .parts
            .range(..=at)
            .next_back()
            .map_or_else(Advised::default, |(_, advised)| advised.clone());
        self.parts.entry(at).or_insert(here);
    }

    /// Changes what is advised for `[from, to)`.
    pub(crate) fn change(&mut self, from: u64, to: u64, change: impl Fn(&mut Advised)) {
        self.split(from);
        self.split(to);
        self.parts.range_mut(from..to).for_each(|(_, a)| change(a));
        // Neighbours that have become alike are one.
        let mut before = Advised::default();
        self.parts.retain(|_, advised| {
            let keep = *advised != before;
            if keep {
                before = advised.clone();
            }
            keep
        });
    }

    /// What is advised for the parts of `[from, to)`.
    pub(crate) fn of(&self, from: u64, to: u64) -> Vec<Advised> {
        let first = self.parts.range(..=from).next_back();
        let first = first.map_or_else(Advised::default, |(_, advised)| advised.clone());
        let rest = self.parts.range(from + 1..to.max(from + 1));
        std::iter::once(first)
            .chain(rest.map(|(_, advised)| advised.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_holds_for_its_range_alone() {
        let mut advice = Advice::default();
        advice.change(100, 200, |a| a.read_mostly = true);
        advice.change(150, 300, |a| a.accessed_by.push(0));
        assert!(!advice.of(0, 100)[0].read_mostly);
        assert_eq!(advice.of(100, 150).len(), 1);
        assert!(advice.of(100, 150)[0].read_mostly);
        let both = advice.of(100, 250);
        assert_eq!(both.len(), 3);
        assert!(both[1].read_mostly && both[1].accessed_by == [0]);
        assert!(!both[2].read_mostly && both[2].accessed_by == [0]);
        advice.change(0, 400, |a| *a = Advised::default());
        assert_eq!(advice.of(0, 400), [Advised::default()]);
        assert!(advice.parts.is_empty());
    }
}
