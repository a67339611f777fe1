//! The arithmetic of one memory pool: what it holds, what is used, what has been freed in stream order and is still in use.
//!
//! `W` stands for work that a free waits for; the pool proper uses streams and command numbers, the tests use numbers.

use std::collections::BTreeMap;

use super::blocks::Blocks;

/// Allocations are multiples of this, and begin at such.
pub(super) const UNIT: u64 = 512;

/// Freed, but not before that work is complete.
#[derive(Debug)]
struct Pending<W> {
    address: u64,
    size: u64,
    /// The stream that the free was ordered on: what comes later there may have the memory at once.
    owner: u64,
    work: Vec<W>,
}

/// A pool's memory.
#[derive(Debug)]
pub(super) struct PoolLedger<W> {
    /// Runs of device memory that the pool holds: start to size.
    chunks: BTreeMap<u64, u64>,
    free: Blocks,
    pending: Vec<Pending<W>>,
    pub(super) reserved: u64,
    pub(super) reserved_high: u64,
    pub(super) used: u64,
    pub(super) used_high: u64,
}

impl<W> Default for PoolLedger<W> {
    fn default() -> Self {
        Self {
            chunks: BTreeMap::new(),
            free: Blocks::default(),
            pending: Vec::new(),
            reserved: 0,
            reserved_high: 0,
            used: 0,
            used_high: 0,
        }
    }
}

impl<W> PoolLedger<W> {
    /// Bytes that an allocation of `size` bytes takes.
    pub(super) fn rounded(size: u64) -> u64 {
        size.next_multiple_of(UNIT)
    }

    /// Allocates `size` bytes (rounded already) for work on the stream `owner`: memory that was freed on that stream first, then what is free for all.
    pub(super) fn take(&mut self, size: u64, owner: u64) -> Option<u64> {
        let fits = |(_, p): &(usize, &Pending<W>)| p.owner == owner && p.size >= size;
        let best = self
            .pending
            .iter()
            .enumerate()
            .filter(fits)
            .min_by_key(|(_, p)| p.size)
            .map(|(index, _)| index);
        let address = match best {
            Some(index) => {
                let pending = &mut self.pending[index];
                let address = pending.address;
                pending.address += size;
                pending.size -= size;
                if pending.size == 0 {
                    self.pending.swap_remove(index);
                }
                address
            }
            None => self.free.take(size, UNIT)?,
        };
        self.used += size;
        self.used_high = self.used_high.max(self.used);
        Some(address)
    }

    /// Frees an allocation once `work` is complete.
    pub(super) fn give(&mut self, address: u64, size: u64, owner: u64, work: Vec<W>) {
        self.used -= size;
        if work.is_empty() {
            self.free.give(address, size);
        } else {
            self.pending.push(Pending {
                address,
                size,
                owner,
                work,
            });
        }
    }

    /// Makes free what waits for nothing more: `done` says what is complete.
    pub(super) fn collect(&mut self, done: impl Fn(&W) -> bool) {
        let free = &mut self.free;
        self.pending.retain_mut(|pending| {
            pending.work.retain(|work| !done(work));
            if pending.work.is_empty() {
                free.give(pending.address, pending.size);
            }
            !pending.work.is_empty()
        });
    }

    /// What the freed memory still waits for.
    pub(super) fn waits(&self) -> impl Iterator<Item = &W> {
        self.pending.iter().flat_map(|pending| &pending.work)
    }

    /// What it holds: start and size of each chunk.
    pub(super) fn chunks(&self) -> Vec<(u64, u64)> {
        self.chunks.iter().map(|(a, s)| (*a, *s)).collect()
    }

    /// The pool gets more memory.
    pub(super) fn grow(&mut self, address: u64, size: u64) {
        self.chunks.insert(address, size);
        self.free.give(address, size);
        self.reserved += size;
        self.reserved_high = self.reserved_high.max(self.reserved);
    }

    /// Gives up whole runs that are free, until no more than `keep` bytes are held or none is free; returns their starts and sizes.
    pub(super) fn trim(&mut self, keep: u64) -> Vec<(u64, u64)> {
        let mut gone = Vec::new();
        let idle: Vec<(u64, u64)> = self
            .chunks
            .iter()
            .map(|(&address, &size)| (address, size))
            .filter(|&(address, size)| self.free.is_free(address, size))
            .collect();
        for (address, size) in idle.into_iter().rev() {
            if self.reserved.saturating_sub(size) >= keep && self.free.carve(address, size) {
                self.chunks.remove(&address);
                self.reserved -= size;
                gone.push((address, size));
            }
        }
        gone
    }

    /// Whether nothing is used or about to be free.
    pub(super) fn is_idle(&self) -> bool {
        self.used == 0 && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Allocate { size: u64, owner: u64 },
        Free { which: usize, owner: u64 },
        Complete { steps: u64 },
        Trim { keep: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (1_u64..100_000, 0_u64..3).prop_map(|(size, owner)| Op::Allocate { size, owner }),
            3 => (any::<usize>(), 0_u64..3).prop_map(|(which, owner)| Op::Free { which, owner }),
            1 => (1_u64..20).prop_map(|steps| Op::Complete { steps }),
            1 => (0_u64..4_000_000).prop_map(|keep| Op::Trim { keep }),
        ]
    }

    proptest! {
        /// Allocations never overlap one another, nor what another stream has freed and not finished with; the figures add up; all memory comes back.
        #[test]
        fn streams_do_not_get_each_others_memory(ops in prop::collection::vec(op(), 1..300)) {
            const CHUNK: u64 = 1 << 20;
            let mut pool = PoolLedger::<u64>::default();
            let (mut next, mut now, mut done) = (1_u64 << 32, 0_u64, 0_u64);
            let mut live: Vec<(u64, u64)> = Vec::new();
            let mut freed: Vec<(u64, u64, u64, u64)> = Vec::new();
            for op in ops {
                now += 1;
                match op {
                    Op::Allocate { size, owner } => {
                        let size = PoolLedger::<u64>::rounded(size);
                        let address = pool.take(size, owner).unwrap_or_else(|| {
                            pool.grow(next, CHUNK);
                            next += CHUNK + UNIT;
                            pool.take(size, owner).expect("a new run fits")
                        });
                        let end = address + size;
                        prop_assert!(live.iter().all(|&(a, s)| end <= a || a + s <= address));
                        prop_assert!(freed.iter().all(|&(a, s, by, until)| end <= a || a + s <= address || by == owner || until <= done));
                        live.push((address, size));
                        // What it took of a pending range stays its own: the model forgets that part.
                        freed.retain(|&(a, s, by, _)| by != owner || end <= a || a + s <= address);
                    }
                    Op::Free { which, owner } if !live.is_empty() => {
                        let (address, size) = live.swap_remove(which % live.len());
                        pool.give(address, size, owner, vec![now]);
                        freed.push((address, size, owner, now));
                    }
                    Op::Free { .. } => {}
                    Op::Complete { steps } => {
                        done = (done + steps).min(now);
                        pool.collect(|&until| until <= done);
                    }
                    Op::Trim { keep } => {
                        let before = pool.reserved;
                        let gone = pool.trim(keep);
                        prop_assert_eq!(before - pool.reserved, gone.iter().map(|g| g.1).sum::<u64>());
                        prop_assert!(gone.is_empty() || pool.reserved >= keep);
                        prop_assert!(gone.iter().all(|&(a, s)| live.iter().all(|&(l, ls)| a + s <= l || l + ls <= a)));
                    }
                }
                prop_assert_eq!(pool.used, live.iter().map(|l| l.1).sum::<u64>());
                prop_assert!(pool.used <= pool.reserved && pool.used <= pool.used_high && pool.reserved <= pool.reserved_high);
            }
            for (address, size) in live {
                pool.give(address, size, 0, Vec::new());
            }
            pool.collect(|_| true);
            prop_assert!(pool.is_idle());
            pool.trim(0);
            prop_assert_eq!(pool.reserved, 0);
        }
    }
}
