//! Free-list arithmetic: handing out parts of address ranges, and merging what comes back.

use std::collections::BTreeMap;

/// Free runs by address, merged with their neighbours.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    free: BTreeMap<u64, u64>,
    total: u64,
}

impl Blocks {
    /// Bytes free in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Takes `size` bytes at a multiple of `align` (a power of two): the smallest run that fits, so that large runs stay whole.
    pub(crate) fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        let fits = |(&start, &len): (&u64, &u64)| {
            let at = start.next_multiple_of(align);
            (at - start)
                .checked_add(size)
                .is_some_and(|need| need <= len)
                .then_some((len, start, at))
        };
        let (len, start, at) = self.free.iter().filter_map(fits).min()?;
        self.free.remove(&start);
        if at > start {
            self.free.insert(start, at - start);
        }
        let end = start + len;
        if at + size < end {
            self.free.insert(at + size, end - at - size);
        }
        self.total -= size;
        Some(at)
    }

    /// Gives `size` bytes at `address` back (or adds new ones); returns the run that they are now part of.
    pub(crate) fn give(&mut self, address: u64, size: u64) -> (u64, u64) {
        let (mut start, mut end) = (address, address + size);
        if let Some((&before, &len)) = self.free.range(..address).next_back()
            && before + len == address
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(len) = self.free.remove(&end) {
            end += len;
        }
        self.free.insert(start, end - start);
        self.total += size;
        (start, end - start)
    }

    /// Whether all of a range is free.
    pub(crate) fn is_free(&self, address: u64, size: u64) -> bool {
        self.free
            .range(..=address)
            .next_back()
            .is_some_and(|(&s, &l)| s + l >= address + size)
    }

    /// Takes exactly this range, which must be free.
    pub(crate) fn carve(&mut self, address: u64, size: u64) -> bool {
        if !self.is_free(address, size) {
            return false;
        }
        let Some((&start, &len)) = self.free.range(..=address).next_back() else {
            return false;
        };
        self.free.remove(&start);
        if start < address {
            self.free.insert(start, address - start);
        }
        let end = address + size;
        if end < start + len {
            self.free.insert(end, start + len - end);
        }
        self.total -= size;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_overlaps_and_everything_comes_back(ops in prop::collection::vec((1_u64..5000, 0_u32..12, any::<bool>()), 1..200)) {
            let mut blocks = Blocks::default();
            blocks.give(1 << 20, 1 << 20);
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (size, align, free) in ops {
                if free && !held.is_empty() {
                    let (at, size) = held.swap_remove(size as usize % held.len());
                    blocks.give(at, size);
                } else if let Some(at) = blocks.take(size, 1 << align) {
                    prop_assert_eq!(at % (1 << align), 0);
                    prop_assert!(at >= 1 << 20 && at + size <= 2 << 20);
                    prop_assert!(held.iter().all(|&(a, s)| at + size <= a || a + s <= at));
                    held.push((at, size));
                }
                prop_assert_eq!(blocks.total() + held.iter().map(|h| h.1).sum::<u64>(), 1 << 20);
            }
            for (at, size) in held {
                blocks.give(at, size);
            }
            prop_assert!(blocks.carve(1 << 20, 1 << 20));
        }
    }
}
