//! Memory pools: device memory that is allocated and freed in stream order, without asking the worker.
//!
//! A pool takes runs of the device's granted memory and hands out parts of them. A free waits for nobody: the range goes into quarantine until the work that was issued
//! before it is complete; later work of the same stream may have it at once. Since granted memory is mapped as a whole, neither needs a command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use gvirtus_wire::api::core::MemAccess;
use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::{Mutex, RwLock};

use super::device;
use super::ledger::{self, Entry, Kind};
use super::pool_ledger::PoolLedger;
use crate::session::Session;
use crate::streams::{self, Stream};

/// Pools grow by at least this, as natively.
const CHUNK: u64 = 32 << 20;
const GRANULE: u64 = 2 << 20;
/// Upper part of a pool's handle: no address of a program looks like it.
const TAG: u64 = 0x504f_0000_0000_0000;

/// Work that a free waits for: a stream and the number of a command on it.
type Work = (Arc<Stream>, u64);

/// A pool.
pub(crate) struct Pool {
    /// What the program holds.
    pub(crate) handle: u64,
    pub(crate) device: u32,
    /// The device's own, which cannot be destroyed.
    pub(crate) default: bool,
    /// Other programs may import it.
    pub(crate) exportable: bool,
    /// It is another program's.
    pub(crate) imported: bool,
    /// The token that stands for it in other programs, or in its own.
    pub(crate) token: Mutex<Option<[u8; 32]>>,
    /// Other devices that may use its memory, with their flags.
    pub(crate) access: Mutex<BTreeMap<u32, u32>>,
    /// The most bytes that it may hold.
    most: u64,
    /// `CU_MEMPOOL_ATTR_REUSE_*`, which allow and do not oblige.
    pub(crate) reuse: [AtomicI32; 3],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    destroyed: bool,
    threshold: u64,
    ledger: PoolLedger<Work>,
}

static POOLS: RwLock<Vec<Arc<Pool>>> = RwLock::new(Vec::new());
/// Pools and deferred frees: synchronization looks at them only if there are any.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Memory of `cuMemAlloc` that was freed in stream order.
static DEFERRED: Mutex<Vec<(Entry, Vec<Work>)>> = Mutex::new(Vec::new());
/// The pool that each device allocates from, by ordinal, where it is not the default one.
static CURRENT: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

/// Figures of a pool, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) threshold: u64,
    pub(crate) reserved: u64,
    pub(crate) reserved_high: u64,
    pub(crate) used: u64,
    pub(crate) used_high: u64,
}

/// Makes a pool of a device's memory. `most` is 0 for no limit of its own.
pub(crate) fn create(device: u32, default: bool, most: u64) -> Arc<Pool> {
    make(device, default, most, false, None)
}

/// [`create`] for a pool that other programs may import.
pub(crate) fn create_exportable(device: u32, most: u64) -> Arc<Pool> {
    make(device, false, most, true, None)
}

/// A pool of another program, of memory of a device of this session.
pub(crate) fn import(device: u32, token: [u8; 32]) -> Arc<Pool> {
    make(device, false, 0, false, Some(token))
}

fn make(
    device: u32,
    default: bool,
    most: u64,
    exportable: bool,
    token: Option<[u8; 32]>,
) -> Arc<Pool> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let pool = Arc::new(Pool {
        handle: TAG | NEXT.fetch_add(1, Ordering::Relaxed) << 4,
        device,
        default,
        exportable,
        imported: token.is_some(),
        token: Mutex::new(token),
        access: Mutex::default(),
        most: if most == 0 { u64::MAX } else { most },
        reuse: [const { AtomicI32::new(1) }; 3],
        state: Mutex::default(),
    });
    POOLS.write().push(Arc::clone(&pool));
    COUNT.fetch_add(1, Ordering::AcqRel);
    pool
}

/// The pool with that handle, destroyed or not.
fn any(handle: u64) -> Option<Arc<Pool>> {
    POOLS.read().iter().find(|p| p.handle == handle).cloned()
}

/// The pool that a program means.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for anything that is not a live pool.
pub(crate) fn by_handle(handle: u64) -> Result<Arc<Pool>, CUresult> {
    any(handle)
        .filter(|pool| !pool.state.lock().destroyed)
        .ok_or(error::ERROR_INVALID_VALUE)
}

/// A device's own pool.
pub(crate) fn default_of(device: u32) -> Arc<Pool> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock();
    let known = POOLS
        .read()
        .iter()
        .find(|p| p.default && p.device == device)
        .cloned();
    known.unwrap_or_else(|| create(device, true, 0))
}

/// The pool that `cuMemAllocAsync` uses for a device.
pub(crate) fn current_of(device: u32) -> Arc<Pool> {
    let set = CURRENT
        .lock()
        .iter()
        .find(|(d, _)| *d == device)
        .map(|c| c.1);
    set.and_then(|handle| by_handle(handle).ok())
        .unwrap_or_else(|| default_of(device))
}

/// Makes a pool the one that `cuMemAllocAsync` uses for its device.
pub(crate) fn set_current(pool: &Pool) {
    let mut current = CURRENT.lock();
    current.retain(|(device, _)| *device != pool.device);
    current.push((pool.device, pool.handle));
}

/// Allocates `size` bytes (not 0) for work on a stream.
///
/// # Errors
/// `CUDA_ERROR_OUT_OF_MEMORY`, also where the pool's own limit is reached.
pub(crate) fn allocate(
    session: &Session,
    pool: &Pool,
    stream: &Stream,
    size: u64,
) -> Result<u64, CUresult> {
    if size > 1 << 46 {
        return Err(error::ERROR_OUT_OF_MEMORY);
    }
    let bytes = PoolLedger::<Work>::rounded(size);
    let address = match pool.take(bytes, stream) {
        Some(address) => address,
        None => pool.take_more(session, stream, bytes)?,
    };
    ledger::insert(Entry {
        address,
        size,
        kind: Kind::Pooled { pool: pool.handle },
        device: pool.device,
        context: crate::driver::context::home(stream.context),
        flags: 0,
    });
    Ok(address)
}

/// Frees what [`allocate`] made, whose ledger entry the caller has taken out: behind the work on a stream, or now.
pub(crate) fn free(session: &Session, pool: u64, entry: &Entry, behind: Option<&Arc<Stream>>) {
    let Some(pool) = any(pool) else { return };
    let owner = behind.map_or(0, |stream| stream.number);
    let work = behind.map(streams::work_before).unwrap_or_default();
    let bytes = PoolLedger::<Work>::rounded(entry.size);
    pool.state
        .lock()
        .ledger
        .give(entry.address, bytes, owner, work);
    pool.bury(session);
}

/// Frees memory of `cuMemAlloc`, whose ledger entry the caller has taken out, behind the work on a stream.
pub(crate) fn free_device(session: &Session, entry: Entry, behind: &Arc<Stream>) {
    let work = streams::work_before(behind);
    if work.is_empty() {
        device::free(session, &entry);
    } else {
        DEFERRED.lock().push((entry, work));
        COUNT.fetch_add(1, Ordering::AcqRel);
    }
}

/// Frees of memory of `cuMemAlloc` whose work is complete.
fn collect_deferred(session: &Session) {
    let mut done = Vec::new();
    DEFERRED.lock().retain(|(entry, work)| {
        let over = work.iter().all(passed);
        if over {
            done.push(*entry);
        }
        !over
    });
    COUNT.fetch_sub(done.len(), Ordering::AcqRel);
    for entry in done {
        device::free(session, &entry);
    }
}

/// A program has waited for work: pools give back what they hold beyond their thresholds.
#[inline]
pub(crate) fn synchronized(session: &Session) {
    if COUNT.load(Ordering::Acquire) > 0 {
        collect_deferred(session);
        let pools = POOLS.read().clone();
        for pool in pools {
            pool.trim(session, None);
        }
    }
}

/// A device was reset: its pools are empty, and those that the program made are gone.
pub(crate) fn reset_device(device: u32) {
    let mut deferred = DEFERRED.lock();
    let before = deferred.len();
    deferred.retain(|(entry, _)| entry.device != device);
    COUNT.fetch_sub(before - deferred.len(), Ordering::AcqRel);
    drop(deferred);
    CURRENT.lock().retain(|(d, _)| *d != device);
    for pool in POOLS.read().iter().filter(|p| p.device == device) {
        let mut state = pool.state.lock();
        state.ledger = PoolLedger::default();
        state.threshold = 0;
        state.destroyed = !pool.default;
    }
    let gone = |p: &Arc<Pool>| p.device == device && !p.default;
    let mut pools = POOLS.write();
    let before = pools.len();
    pools.retain(|p| !gone(p));
    COUNT.fetch_sub(before - pools.len(), Ordering::AcqRel);
}

/// A created context is gone, and its work with it: nothing is freed behind it any more.
pub(crate) fn forget_context(session: &Session, context: u32) {
    for (entry, work) in DEFERRED.lock().iter_mut() {
        work.retain(|(stream, _)| stream.context != context);
        if entry.context == context {
            // The context cannot carry a command any more; the device's primary one can.
            entry.context = entry.device;
        }
    }
    let pools = POOLS.read().clone();
    for pool in pools {
        pool.state.lock().ledger.collect(|(stream, sequence)| {
            stream.context == context || stream.has_passed(*sequence)
        });
        pool.bury(session);
    }
}

impl Pool {
    /// Lets another device use the pool's memory, what there is and what comes.
    ///
    /// # Errors
    /// What the box says.
    pub(crate) fn allow(&self, session: &Session, device: u32, flags: u32) -> Result<(), CUresult> {
        self.access.lock().insert(device, flags);
        let chunks = self.state.lock().ledger.chunks();
        for (address, size) in chunks {
            self.share(session, address, size, device)?;
        }
        Ok(())
    }

    fn share(
        &self,
        session: &Session,
        address: u64,
        size: u64,
        device: u32,
    ) -> Result<(), CUresult> {
        let command = MemAccess {
            address,
            size,
            device,
        };
        session.call(self.device, &command)
    }

    fn take(&self, bytes: u64, stream: &Stream) -> Option<u64> {
        let mut state = self.state.lock();
        state.ledger.collect(passed);
        state.ledger.take(bytes, stream.number)
    }

    /// More memory from the device, or what work that is waited for sets free.
    fn take_more(&self, session: &Session, stream: &Stream, bytes: u64) -> Result<u64, CUresult> {
        let need = bytes.next_multiple_of(GRANULE);
        let mut waited = false;
        loop {
            let room = self.most - self.state.lock().ledger.reserved.min(self.most);
            for size in [need.max(CHUNK.min(room)), need] {
                if size > room {
                    continue;
                }
                match device::take(session, self.device, self.device, size) {
                    Ok(address) => {
                        let devices: Vec<u32> = self.access.lock().keys().copied().collect();
                        for other in devices {
                            if let Err(status) = self.share(session, address, size, other) {
                                device::give_back(session, self.device, self.device, address, size);
                                return Err(status);
                            }
                        }
                        let mut state = self.state.lock();
                        state.ledger.grow(address, size);
                        if let Some(address) = state.ledger.take(bytes, stream.number) {
                            return Ok(address);
                        }
                    }
                    Err(error::ERROR_OUT_OF_MEMORY) => {}
                    Err(code) => return Err(code),
                }
            }
            if waited {
                return Err(error::ERROR_OUT_OF_MEMORY);
            }
            waited = true;
            self.wait(session)?;
            synchronized(session);
            if let Some(address) = self.take(bytes, stream) {
                return Ok(address);
            }
        }
    }

    /// Waits for the work that freed memory waits for, and gives back what it leaves idle.
    fn wait(&self, session: &Session) -> Result<(), CUresult> {
        let contexts: Vec<u32> = {
            let state = self.state.lock();
            let mut contexts: Vec<u32> = state.ledger.waits().map(|(s, _)| s.context).collect();
            contexts.sort_unstable();
            contexts.dedup();
            contexts
        };
        for context in contexts {
            if streams::outstanding(context) {
                crate::driver::context::synchronize(session, context)?;
            }
        }
        Ok(())
    }

    /// Gives idle memory back to the device until no more than `keep` bytes (or the threshold) are held.
    pub(crate) fn trim(&self, session: &Session, keep: Option<u64>) {
        let gone = {
            let mut state = self.state.lock();
            state.ledger.collect(passed);
            let keep = keep.unwrap_or(state.threshold);
            if state.ledger.reserved <= keep {
                Vec::new()
            } else {
                state.ledger.trim(keep)
            }
        };
        for (address, size) in gone {
            device::give_back(session, self.device, self.device, address, size);
        }
        self.bury(session);
    }

    /// No more is allocated from it; it is gone when all of its memory has come back.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for a device's own pool.
    pub(crate) fn destroy(&self, session: &Session) -> Result<(), CUresult> {
        if self.default {
            return Err(error::ERROR_INVALID_VALUE);
        }
        CURRENT.lock().retain(|(_, handle)| *handle != self.handle);
        self.state.lock().destroyed = true;
        self.bury(session);
        Ok(())
    }

    /// Takes a destroyed pool away that nothing uses any more.
    fn bury(&self, session: &Session) {
        let gone = {
            let mut state = self.state.lock();
            if !state.destroyed {
                return;
            }
            state.ledger.collect(passed);
            if !state.ledger.is_idle() {
                return;
            }
            state.ledger.trim(0)
        };
        for (address, size) in gone {
            device::give_back(session, self.device, self.device, address, size);
        }
        let mut pools = POOLS.write();
        let before = pools.len();
        pools.retain(|p| p.handle != self.handle);
        COUNT.fetch_sub(before - pools.len(), Ordering::AcqRel);
    }

    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        Figures {
            threshold: state.threshold,
            reserved: state.ledger.reserved,
            reserved_high: state.ledger.reserved_high,
            used: state.ledger.used,
            used_high: state.ledger.used_high,
        }
    }

    pub(crate) fn set_threshold(&self, bytes: u64) {
        self.state.lock().threshold = bytes;
    }

    /// High-water marks begin anew.
    pub(crate) fn reset_reserved_high(&self) {
        let ledger = &mut self.state.lock().ledger;
        ledger.reserved_high = ledger.reserved;
    }

    /// As [`reset_reserved_high`](Self::reset_reserved_high), for what is used.
    pub(crate) fn reset_used_high(&self) {
        let ledger = &mut self.state.lock().ledger;
        ledger.used_high = ledger.used;
    }
}

fn passed((stream, sequence): &Work) -> bool {
    stream.has_passed(*sequence)
}
