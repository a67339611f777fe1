//! Where the bytes lie that a call's pointers to host memory lead to.

use gvirtus_wire::api::library::{Argument, Function, Mode};
use smallvec::SmallVec;

use crate::results::BLOCK;

/// So many words of 16 bytes lie in the call itself: those of scalars.
const IN_PLACE: usize = 8;

/// Memory for what a call's pointers to host memory lead to, aligned for everything.
pub(crate) struct Buffers {
    memory: SmallVec<[u128; IN_PLACE]>,
    /// Where each parameter's bytes begin, in the memory or in a block of pinned memory.
    offsets: SmallVec<[usize; 24]>,
    /// All of it is not more than a block.
    pub(crate) fits_block: bool,
}

impl Buffers {
    /// Room for what the arguments lead to, at an address that stays if the library `keeps` it; `None` if there is not so much memory.
    pub(crate) fn of(function: &Function, arguments: &[Argument], keeps: bool) -> Option<Self> {
        let mut offsets = SmallVec::with_capacity(function.parameters.len());
        let mut end = 0;
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            offsets.push(end);
            if let Argument::Host { length, .. } = argument {
                end += match parameter.mode {
                    // The library writes its address.
                    Mode::Table(_) => 16,
                    _ => length.next_multiple_of(16),
                };
            }
        }
        let mut memory = SmallVec::<[u128; IN_PLACE]>::new();
        let least = if keeps { IN_PLACE + 1 } else { 0 };
        memory.try_reserve_exact(least.max(end / 16)).ok()?;
        memory.resize(end / 16, 0u128);
        for (argument, &offset) in arguments.iter().zip(&offsets) {
            if let Argument::Host { read, .. } = argument {
                // Each begins with a word.
                for (word, part) in memory[offset / 16..].iter_mut().zip(read.chunks(16)) {
                    let mut bytes = [0; 16];
                    bytes[..part.len()].copy_from_slice(part);
                    *word = u128::from_ne_bytes(bytes);
                }
            }
        }
        Some(Self {
            memory,
            offsets,
            fits_block: end <= BLOCK,
        })
    }

    /// Fills a block with what the call reads, and zeros where it writes.
    pub(crate) fn lay_out(&self, block: usize) -> usize {
        // SAFETY: all parameters fit a block (`fits_block`), which is nobody else's until it is given back.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.memory.as_ptr(),
                block as *mut u128,
                self.memory.len(),
            );
        }
        block
    }

    /// The arguments as the library takes them.
    pub(crate) fn words(
        &mut self,
        function: &Function,
        arguments: &[Argument],
        handle: usize,
        stream: usize,
        block: Option<usize>,
    ) -> SmallVec<[u64; 24]> {
        let base = block.unwrap_or(self.memory.as_mut_ptr() as usize);
        function
            .parameters
            .iter()
            .zip(arguments)
            .zip(&self.offsets)
            .map(
                |((parameter, argument), offset)| match (parameter.mode, argument) {
                    (Mode::Handle, _) => handle as u64,
                    (Mode::Stream, _) => stream as u64,
                    (_, Argument::Word(word)) => *word,
                    (_, Argument::Host { .. }) => (base + offset) as u64,
                },
            )
            .collect()
    }

    /// What the call has written.
    pub(crate) fn written(
        &self,
        function: &Function,
        host_scalars: bool,
        arguments: &[Argument],
        block: Option<usize>,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for ((parameter, argument), &offset) in
            function.parameters.iter().zip(arguments).zip(&self.offsets)
        {
            let Argument::Host { length, .. } = argument else {
                continue;
            };
            if !parameter.mode.is_written() || !parameter.mode.on_host(host_scalars) {
                continue;
            }
            let base = block.unwrap_or(self.memory.as_ptr() as usize);
            let mut from = (base + offset) as *const u8;
            if matches!(parameter.mode, Mode::Table(_)) {
                // SAFETY: the call has written an address here.
                from = unsafe { from.cast::<*const u8>().read() };
                if from.is_null() {
                    continue;
                }
            }
            // SAFETY: there is room for all parameters, in a block if it `fits_block`; the work that writes to it is done. A table of the library's lives as long as
            // the library, and is as long as it documents.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(from, *length) });
        }
        out
    }
}
