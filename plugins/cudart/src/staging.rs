//! Pinned memory through which copies from and to the client pass.
//!
//! Blocks of [`BLOCK`] bytes are cut into leases; a block returns to its pool when the last lease on it is dropped, which the progress of the stream that used it
//! causes. Taking a lease never waits for a stream that stands still: then the pool grows instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::driver::Driver;
use crate::errors::{ERROR_OUT_OF_MEMORY, Result};
use crate::pinned::Block;

/// Bytes of one block, and the most of one lease.
pub(crate) const BLOCK: usize = 4 << 20;
/// Up to here blocks are made without waiting, and kept.
const KEPT: usize = 128 << 20;
/// The most that one context may pin for copies in flight.
const MOST: usize = 16 << 30;
/// How long a block is waited for while others come free now and then.
const PATIENCE: Duration = Duration::from_millis(4);
/// Leases begin at multiples of this.
const ALIGN: usize = 256;

struct Pool {
    driver: &'static Driver,
    free: Mutex<Vec<Block>>,
    freed: Condvar,
    pinned: AtomicUsize,
    /// A wait has ended in vain and no block has come back since.
    stalled: AtomicBool,
    /// Blocks that are beyond what is kept, for the janitor.
    surplus: Mutex<Vec<Block>>,
}

/// A block that leases share.
pub(crate) struct Chunk {
    block: Option<Block>,
    pool: Arc<Pool>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        if block.len == BLOCK && self.pool.pinned.load(Ordering::Relaxed) <= KEPT {
            self.pool.free.lock().push(block);
        } else {
            self.pool.surplus.lock().push(block);
        }
        self.pool.stalled.store(false, Ordering::Relaxed);
        self.pool.freed.notify_one();
    }
}

/// A piece of pinned memory; the memory is reused when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Lease {
    _chunk: Arc<Chunk>,
    /// Where it lies in the worker.
    pub(crate) start: usize,
    /// Bytes.
    pub(crate) len: usize,
}

impl Lease {
    /// The bytes, once the copy into them has completed.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the lease keeps the block mapped, and its holder has synchronised with the copy that wrote it.
        unsafe { std::slice::from_raw_parts(self.start as *const u8, self.len) }
    }
}

/// The staging memory of one context.
pub(crate) struct Staging {
    pool: Arc<Pool>,
    current: Mutex<Option<(Arc<Chunk>, usize)>>,
}

impl Staging {
    pub(crate) fn new(driver: &'static Driver) -> Self {
        Self {
            pool: Arc::new(Pool {
                driver,
                free: Mutex::new(Vec::new()),
                freed: Condvar::new(),
                pinned: AtomicUsize::new(0),
                stalled: AtomicBool::new(false),
                surplus: Mutex::new(Vec::new()),
            }),
            current: Mutex::new(None),
        }
    }

    /// Takes `len` bytes (at most [`BLOCK`]). The context must be current.
    pub(crate) fn lease(&self, len: usize) -> Result<Lease> {
        debug_assert!(len <= BLOCK);
        if len <= BLOCK / 4 {
            let mut current = self.current.lock();
            if let Some((chunk, used)) = current.as_mut()
                && let Some(block) = &chunk.block
                && *used + len <= block.len
            {
                let start = block.start + *used;
                *used += len.next_multiple_of(ALIGN);
                return Ok(Lease {
                    _chunk: Arc::clone(chunk),
                    start,
                    len,
                });
            }
            // Dropped before another block is looked for: it may be the very block that comes free.
            *current = None;
        }
        let chunk = self.chunk()?;
        let start = chunk.block.as_ref().map_or(0, |b| b.start);
        if len <= BLOCK / 4 {
            *self.current.lock() = Some((Arc::clone(&chunk), len.next_multiple_of(ALIGN)));
        }
        Ok(Lease {
            _chunk: chunk,
            start,
            len,
        })
    }

    /// Takes memory of any size that a graph keeps for as long as it lives. The context must be current.
    pub(crate) fn dedicated(&self, len: usize) -> Result<Lease> {
        let whole = len.max(1).next_multiple_of(4096);
        let chunk = Arc::new(Chunk {
            block: Some(self.pin(whole)?),
            pool: Arc::clone(&self.pool),
        });
        let start = chunk.block.as_ref().map_or(0, |b| b.start);
        Ok(Lease {
            _chunk: chunk,
            start,
            len,
        })
    }

    fn pin(&self, len: usize) -> Result<Block> {
        let before = self.pool.pinned.fetch_add(len, Ordering::Relaxed);
        if before.saturating_add(len) > MOST {
            self.pool.pinned.fetch_sub(len, Ordering::Relaxed);
            return Err(ERROR_OUT_OF_MEMORY);
        }
        Block::new(self.pool.driver, len).inspect_err(|_| {
            self.pool.pinned.fetch_sub(len, Ordering::Relaxed);
        })
    }

    fn chunk(&self) -> Result<Arc<Chunk>> {
        let block = 'found: {
            let mut free = self.pool.free.lock();
            if let Some(block) = free.pop() {
                break 'found block;
            }
            if self.pool.pinned.load(Ordering::Relaxed) + BLOCK > KEPT
                && !self.pool.stalled.load(Ordering::Relaxed)
            {
                self.pool.freed.wait_for(&mut free, PATIENCE);
                if let Some(block) = free.pop().or_else(|| self.reusable_surplus()) {
                    break 'found block;
                }
                self.pool.stalled.store(true, Ordering::Relaxed);
            }
            drop(free);
            match self.reusable_surplus() {
                Some(block) => block,
                None => self.pin(BLOCK)?,
            }
        };
        Ok(Arc::new(Chunk {
            block: Some(block),
            pool: Arc::clone(&self.pool),
        }))
    }

    fn reusable_surplus(&self) -> Option<Block> {
        let mut surplus = self.pool.surplus.lock();
        let at = surplus.iter().position(|b| b.len == BLOCK)?;
        Some(surplus.swap_remove(at))
    }

    /// Gives everything back that no copy uses: the context is about to go.
    pub(crate) fn release_all(&self) {
        *self.current.lock() = None;
        let blocks = std::mem::take(&mut *self.pool.free.lock());
        self.pool.surplus.lock().extend(blocks);
        self.release_surplus(true);
    }

    /// Whether blocks wait for [`release_surplus`](Self::release_surplus).
    pub(crate) fn has_surplus(&self) -> bool {
        !self.pool.surplus.lock().is_empty()
    }

    /// Gives surplus blocks back to the system. May wait for the GPU: for the janitor's thread. The context must be current.
    pub(crate) fn release_surplus(&self, context_alive: bool) {
        let blocks = std::mem::take(&mut *self.pool.surplus.lock());
        for block in blocks {
            self.pool.pinned.fetch_sub(block.len, Ordering::Relaxed);
            block.release(self.pool.driver, context_alive);
        }
    }
}
