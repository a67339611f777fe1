//! Words in pinned memory that streams write their progress to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::driver::{Driver, Handle, cu};
use crate::errors::{ERROR_UNKNOWN, Result};
use crate::pinned::Block;

/// Bytes of one registered block of words.
const BLOCK: usize = 64 << 10;
/// Words lie a cache line apart: the GPU writes one while we read its neighbour.
const STRIDE: usize = 64;

/// One word.
#[derive(Debug)]
pub(crate) struct Word {
    start: usize,
    /// Where the device writes.
    pub(crate) device: u64,
}

impl Word {
    /// What the device has written last.
    #[inline]
    pub(crate) fn value(&self) -> u64 {
        // SAFETY: the block stays mapped for the life of the process, the address is aligned, and the device writes whole words.
        unsafe { &*(self.start as *const AtomicU64) }.load(Ordering::Acquire)
    }
}

/// The words of one context.
pub(crate) struct Words {
    driver: &'static Driver,
    free: Mutex<Vec<Word>>,
    /// Whether the driver can write them.
    usable: AtomicBool,
}

impl Words {
    pub(crate) fn new(driver: &'static Driver) -> Self {
        Self {
            driver,
            free: Mutex::new(Vec::new()),
            usable: AtomicBool::new(false),
        }
    }

    /// Whether progress is written to words, or events serve instead.
    pub(crate) fn usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// Writes one word on an idle stream: older drivers, some devices and the CPU device may not be able to.
    pub(crate) fn try_out(&self, stream: Handle) -> Result<()> {
        let word = self.take()?;
        self.write(stream, &word, 1)?;
        cu!(self.driver, cuStreamSynchronize(stream.ptr()))?;
        if word.value() != 1 {
            return Err(ERROR_UNKNOWN);
        }
        self.usable.store(true, Ordering::Relaxed);
        self.give_back(word);
        Ok(())
    }

    /// Enqueues the write of a value.
    #[inline]
    pub(crate) fn write(&self, stream: Handle, word: &Word, value: u64) -> Result<()> {
        if self.driver.cuStreamWriteValue64_v2.is_some() {
            cu!(
                self.driver,
                cuStreamWriteValue64_v2(stream.ptr(), word.device, value, 0)
            )
        } else {
            cu!(
                self.driver,
                cuStreamWriteValue64(stream.ptr(), word.device, value, 0)
            )
        }
    }

    /// A word that nobody uses; it keeps the value that was last written to it. The context must be current.
    pub(crate) fn take(&self) -> Result<Word> {
        let mut free = self.free.lock();
        if let Some(word) = free.pop() {
            return Ok(word);
        }
        // Registering does not wait for the GPU, and words are taken when streams are created: holding the lock is no hazard.
        let block = Block::new(self.driver, BLOCK)?;
        for offset in (0..BLOCK).step_by(STRIDE) {
            free.push(Word {
                start: block.start + offset,
                device: block.device + offset as u64,
            });
        }
        // The block itself is never released: a word may be looked at for as long as the process lives.
        free.pop().ok_or(ERROR_UNKNOWN)
    }

    /// Gives a word back after its last write has completed.
    pub(crate) fn give_back(&self, word: Word) {
        self.free.lock().push(word);
    }
}
