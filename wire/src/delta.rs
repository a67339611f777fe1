//! Changes of a piece of memory since both ends last agreed on it, byte by byte.
//!
//! Each end keeps a *twin*: the bytes as last exchanged. What differs from the twin was changed here, and only that is sent, so that the two ends may change
//! neighbouring bytes at the same time, as processor and GPU may in memory that they share.
//!
//! A delta is a sequence of lines, each of 64 bytes of memory: the line's number (`u32`), a mask of its changed bytes (`u64`, lowest bit first), and those bytes.

use crate::codec::{DecodeError, Reader};

/// Bytes of memory in a line.
pub const LINE: usize = 64;
/// Memory is compared in pieces of this size first.
const BLOCK: usize = 4096;
/// Bytes of a line's head: number and mask.
pub const HEAD: usize = 12;
/// The largest piece of memory that line numbers reach.
pub const LONGEST: u64 = (LINE as u64) << 32;

/// Appends to `delta` what differs between `now` and `twin`, and makes the twin equal. Stops once it has appended `most` bytes (not 0) or more; returns where it stopped, which is
/// `now.len()` at the end. Begin at 0, or where the last call stopped.
///
/// # Panics
/// If the slices differ in length, or `from` is neither a multiple of 4096 nor the end.
pub fn collect(
    now: &[u8],
    twin: &mut [u8],
    from: usize,
    most: usize,
    delta: &mut Vec<u8>,
) -> usize {
    assert_eq!(now.len(), twin.len(), "a twin has its memory's size");
    assert!(
        from.is_multiple_of(BLOCK) || from == now.len(),
        "collected by blocks"
    );
    let (mut at, before) = (from, delta.len());
    while at < now.len() && delta.len() - before < most {
        let end = (at + BLOCK).min(now.len());
        let (new, old) = (&now[at..end], &mut twin[at..end]);
        if new != &*old {
            for (i, (new, old)) in new.chunks(LINE).zip(old.chunks_mut(LINE)).enumerate() {
                line((at / LINE + i) as u32, new, old, delta);
            }
        }
        at = end;
    }
    at
}

fn line(number: u32, new: &[u8], old: &mut [u8], delta: &mut Vec<u8>) {
    // The memory may change while it is read: what is sent and what the twin becomes must be the same bytes.
    let mut copy = [0; LINE];
    let copy = &mut copy[..new.len()];
    copy.copy_from_slice(new);
    let mask = copy
        .iter()
        .zip(&*old)
        .enumerate()
        .fold(0u64, |mask, (i, (new, old))| {
            mask | u64::from(new != old) << i
        });
    if mask == 0 {
        return;
    }
    delta.extend_from_slice(&number.to_le_bytes());
    delta.extend_from_slice(&mask.to_le_bytes());
    if mask == u64::MAX {
        delta.extend_from_slice(copy);
    } else {
        delta.extend(
            copy.iter()
                .enumerate()
                .filter(|(i, _)| mask >> i & 1 == 1)
                .map(|(_, byte)| *byte),
        );
    }
    old.copy_from_slice(copy);
}

/// Calls `run` with each run of changed bytes: where it begins, and the bytes.
///
/// # Errors
/// A delta that ends early, or that reaches beyond `size` bytes of memory. What came before has been passed to `run`.
pub fn runs(delta: &[u8], size: u64, mut run: impl FnMut(u64, &[u8])) -> Result<(), DecodeError> {
    let mut reader = Reader::new(delta);
    while reader.remaining() > 0 {
        let head = reader.take(HEAD)?;
        let (number, mask) = head.split_at(4);
        let start = u64::from(number.try_into().map_or(0, u32::from_le_bytes)) * LINE as u64;
        let mut mask = mask.try_into().map_or(0, u64::from_le_bytes);
        let mut bytes = reader.take(mask.count_ones() as usize)?;
        let end = start + u64::from(u64::BITS - mask.leading_zeros());
        if mask == 0 || end > size {
            return Err(DecodeError::Invalid("change of memory"));
        }
        let mut at = start;
        while mask != 0 {
            let gap = mask.trailing_zeros();
            mask >>= gap;
            let len = mask.trailing_ones();
            let (now, rest) = bytes.split_at(len as usize);
            run(at + u64::from(gap), now);
            bytes = rest;
            at += u64::from(gap + len);
            mask = mask.checked_shr(len).unwrap_or(0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(delta: &[u8], memory: &mut [u8]) -> Result<(), DecodeError> {
        let size = memory.len() as u64;
        runs(delta, size, |at, bytes| {
            memory[at as usize..at as usize + bytes.len()].copy_from_slice(bytes)
        })
    }

    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    #[test]
    fn both_ends_agree_after_any_changes_of_either() {
        let mut seed = 0x9e37_79b9;
        for size in [1, 63, 64, 65, 4095, 4096, 10_000, 50_001] {
            let (mut a, mut b) = (vec![0u8; size], vec![0u8; size]);
            let (mut twin_a, mut twin_b) = (a.clone(), b.clone());
            for round in 0..60 {
                // Each end changes bytes of its own: even offsets here, odd ones there.
                for _ in 0..noise(&mut seed) % 300 {
                    let at = noise(&mut seed) as usize % size;
                    a[at & !1] = noise(&mut seed) as u8;
                    if at | 1 < size {
                        b[at | 1] = noise(&mut seed) as u8;
                    }
                }
                if round % 7 == 0 {
                    let from = noise(&mut seed) as usize % size;
                    for (i, byte) in a
                        .iter_mut()
                        .enumerate()
                        .skip(from)
                        .filter(|(i, _)| i % 2 == 0)
                    {
                        *byte = i as u8;
                    }
                }
                let (mut to_b, mut to_a, mut at) = (Vec::new(), Vec::new(), 0);
                while at < size {
                    at = collect(&a, &mut twin_a, at, 500, &mut to_b);
                }
                assert_eq!(collect(&b, &mut twin_b, 0, usize::MAX, &mut to_a), size);
                for (delta, memory, twin) in
                    [(&to_b, &mut b, &mut twin_b), (&to_a, &mut a, &mut twin_a)]
                {
                    apply(delta, memory).unwrap();
                    apply(delta, twin).unwrap();
                }
                assert_eq!(a, b);
                assert_eq!(twin_a, twin_b);
                assert_eq!(a, twin_a);
            }
        }
    }

    #[test]
    fn unchanged_memory_costs_nothing() {
        let memory = vec![7; 20_000];
        let mut twin = memory.clone();
        let mut delta = Vec::new();
        assert_eq!(
            collect(&memory, &mut twin, 0, usize::MAX, &mut delta),
            memory.len()
        );
        assert!(delta.is_empty());
    }

    #[test]
    fn hostile_deltas_are_refused() {
        let mut seed = 77;
        let (mut refused, mut memory) = (0, vec![0u8; 1000]);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..noise(&mut seed) % 120)
                .map(|_| (noise(&mut seed) >> 60) as u8)
                .collect();
            refused += u32::from(apply(&bytes, &mut memory).is_err());
        }
        assert!(refused > 10_000);
        let beyond = [&15u32.to_le_bytes()[..], &(1u64 << 40).to_le_bytes(), &[1]].concat();
        assert_eq!(
            apply(&beyond, &mut memory),
            Err(DecodeError::Invalid("change of memory"))
        );
        let last = [&15u32.to_le_bytes()[..], &(1u64 << 39).to_le_bytes(), &[1]].concat();
        assert_eq!(apply(&last, &mut memory), Ok(()));
        assert_eq!(memory[999], 1);
        assert!(apply(&last[..5], &mut memory).is_err());
        assert!(apply(&last[..12], &mut memory).is_err());
    }
}
