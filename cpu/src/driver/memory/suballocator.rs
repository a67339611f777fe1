//! First-fit allocation inside one range: small allocations share 2 MiB slabs, kernels' `malloc` has its heap.

use std::collections::BTreeMap;

/// Offsets and sizes are multiples of `unit`.
pub(in crate::driver) struct Suballocator {
    unit: u64,
    size: u64,
    /// Free runs: offset to length, never adjacent.
    free: BTreeMap<u64, u64>,
    /// Live pieces: offset to length.
    used: BTreeMap<u64, u64>,
}

impl Suballocator {
    pub(in crate::driver) fn new(size: u64, unit: u64) -> Self {
        Self {
            unit,
            size,
            free: BTreeMap::from([(0, size)]),
            used: BTreeMap::new(),
        }
    }

    /// The offset of a free piece of at least `size` bytes.
    pub(in crate::driver) fn allocate(&mut self, size: u64) -> Option<u64> {
        let size = size.max(1).checked_next_multiple_of(self.unit)?;
        let (&offset, &length) = self.free.iter().find(|(_, length)| **length >= size)?;
        self.free.remove(&offset);
        if length > size {
            self.free.insert(offset + size, length - size);
        }
        self.used.insert(offset, size);
        Some(offset)
    }

    /// Frees the piece at `offset`; false if there is none.
    pub(in crate::driver) fn free(&mut self, offset: u64) -> bool {
        let Some(size) = self.used.remove(&offset) else {
            return false;
        };
        let (mut offset, mut size) = (offset, size);
        if let Some((&before, &length)) = self.free.range(..offset).next_back()
            && before + length == offset
        {
            self.free.remove(&before);
            (offset, size) = (before, size + length);
        }
        if let Some(after) = self.free.remove(&(offset + size)) {
            size += after;
        }
        self.free.insert(offset, size);
        true
    }

    pub(in crate::driver) fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    pub(in crate::driver) fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::Suballocator;

    #[test]
    fn freed_neighbours_join_and_double_free_is_refused() {
        let mut heap = Suballocator::new(4096, 512);
        let a = heap.allocate(1).unwrap();
        let b = heap.allocate(513).unwrap();
        let c = heap.allocate(2560).unwrap();
        assert_eq!((a, b, c), (0, 512, 1536));
        assert_eq!(heap.allocate(1), None);
        assert!(heap.free(a) && heap.free(c) && heap.free(b));
        assert!(!heap.free(b));
        assert!(heap.is_empty());
        assert_eq!(heap.allocate(4096), Some(0));
    }
}
