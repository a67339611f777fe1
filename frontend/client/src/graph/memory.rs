//! Memory of allocation nodes: granted when the node is made, at an address that stays the same for as long as the graph or what was instantiated from it lives.
//!
//! Between two launches it is *allocated* or not, by what the launches' nodes and the program's own frees say; that decides what a launch or a free may do, as natively.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use gvirtus_wire::api::types::{CUmemAccessDesc, error};
use parking_lot::Mutex;

use super::work::Work;
use super::{Edge, Nodes};
use crate::driver::Result;
use crate::driver::context::Context;
use crate::memory::{device, ledger};
use crate::session::Session;
use crate::streams;

/// Physical memory is counted in units of this, as natively.
const UNIT: u64 = 2 << 20;

/// Memory of an allocation node.
pub(crate) struct Memory {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) device: u32,
    /// `CUmemPoolProps` as the program gave them.
    pub(crate) properties: [u64; 11],
    pub(crate) access: Vec<CUmemAccessDesc>,
    allocated: AtomicBool,
    launched: AtomicBool,
}

/// By address.
static ALL: Mutex<BTreeMap<u64, Weak<Memory>>> = Mutex::new(BTreeMap::new());
/// Of graphs that are gone; to be given back when nothing runs that may use it.
static RETIRED: Mutex<Vec<ledger::Entry>> = Mutex::new(Vec::new());
/// The highest use so far, by device: used, reserved.
static HIGH: Mutex<BTreeMap<u32, [u64; 2]>> = Mutex::new(BTreeMap::new());

/// `CUgraphMem_attribute`: bytes in use by graphs, and reserved for them; now and at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    pub(crate) high: [u64; 2],
}

impl Memory {
    /// Memory for a new node.
    ///
    /// # Errors
    /// `CUDA_ERROR_OUT_OF_MEMORY`.
    pub(crate) fn new(
        session: &Session,
        context: &Context,
        device: u32,
        size: u64,
        properties: [u64; 11],
        access: Vec<CUmemAccessDesc>,
    ) -> Result<Arc<Self>> {
        reclaim(session);
        let address = device::allocate(session, device, context.id, size)?;
        let memory = Arc::new(Self {
            address,
            size,
            device,
            properties,
            access,
            allocated: AtomicBool::new(false),
            launched: AtomicBool::new(false),
        });
        ALL.lock().insert(address, Arc::downgrade(&memory));
        Ok(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        ALL.lock().remove(&self.address);
        // What is allocated stays until the program frees it, as any other memory.
        if !self.allocated.load(Ordering::Acquire)
            && let Some(entry) = ledger::remove(self.address)
        {
            RETIRED.lock().push(entry);
        }
    }
}

fn find(address: u64) -> Option<Arc<Memory>> {
    ALL.lock().get(&address).and_then(Weak::upgrade)
}

/// All that is there. The list is not locked when they are let go of: the last who does takes the memory out of it.
fn all() -> Vec<Arc<Memory>> {
    let all = ALL.lock();
    all.values().filter_map(Weak::upgrade).collect()
}

/// Whether an allocation node has that address.
pub(crate) fn is(address: u64) -> bool {
    find(address).is_some()
}

/// The program frees memory by itself: `None` if it is not a graph's.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if it is not allocated now.
pub(crate) fn free(address: u64) -> Option<Result<()>> {
    let memory = find(address)?;
    Some(if memory.allocated.swap(false, Ordering::AcqRel) {
        Ok(())
    } else {
        Err(error::ERROR_INVALID_VALUE)
    })
}

/// Memory of a graph that a new allocation node may have, too: as large, and free before it, by what it comes `after`.
pub(crate) fn reusable(
    nodes: &Nodes,
    after: &[Edge],
    device: u32,
    size: u64,
) -> Option<Arc<Memory>> {
    let mut before: HashSet<usize> = HashSet::new();
    let mut open: Vec<usize> = after.iter().map(|edge| edge.from).collect();
    while let Some(handle) = open.pop() {
        if before.insert(handle) {
            let node = nodes.get(handle)?;
            open.extend(node.after.iter().map(|edge| edge.from));
        }
    }
    // By address: how many nodes allocate it, and how many free it before.
    let mut balance: BTreeMap<u64, (Option<Arc<Memory>>, usize, usize)> = BTreeMap::new();
    for node in &nodes.list {
        match &node.work {
            Work::Allocate(memory) => {
                let entry = balance.entry(memory.address).or_default();
                entry.0 = Some(Arc::clone(memory));
                entry.1 += 1;
            }
            Work::Free(address) if before.contains(&node.handle) => {
                balance.entry(*address).or_default().2 += 1;
            }
            _ => {}
        }
    }
    balance
        .into_values()
        .filter(|(_, allocated, freed)| allocated == freed)
        .find_map(|(memory, ..)| memory.filter(|m| m.device == device && m.size == size))
}

/// What an executable graph allocates and frees.
#[derive(Default)]
pub(crate) struct Effects {
    allocates: Vec<Arc<Memory>>,
    frees: Vec<u64>,
}

impl Effects {
    pub(crate) fn of(nodes: &Nodes) -> Self {
        let mut effects = Self::default();
        nodes.for_each(&mut |node| match &node.work {
            Work::Allocate(memory) => effects.allocates.push(Arc::clone(memory)),
            Work::Free(address) => effects.frees.push(*address),
            _ => {}
        });
        effects
    }

    /// A launch.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` if memory of an earlier launch was not freed, unless it is to be freed now.
    pub(crate) fn launch(&self, auto_free: bool) -> Result<()> {
        let still = |memory: &Arc<Memory>| memory.allocated.load(Ordering::Acquire);
        if !auto_free && self.allocates.iter().any(still) {
            return Err(error::ERROR_INVALID_VALUE);
        }
        for memory in &self.allocates {
            memory.launched.store(true, Ordering::Release);
            // Several nodes may have the same memory, one after the other.
            let same = |other: &&Arc<Memory>| Arc::ptr_eq(other, memory);
            let allocated = self.allocates.iter().filter(same).count();
            let freed = self.frees.iter().filter(|at| **at == memory.address);
            memory
                .allocated
                .store(allocated > freed.count(), Ordering::Release);
        }
        for &address in &self.frees {
            let own = |memory: &Arc<Memory>| memory.address == address;
            if !self.allocates.iter().any(own)
                && let Some(memory) = find(address)
            {
                memory.allocated.store(false, Ordering::Release);
            }
        }
        if let Some(first) = self.allocates.first() {
            usage(first.device);
        }
        Ok(())
    }
}

/// Gives back what gone graphs had, if nothing runs that may use it.
pub(crate) fn reclaim(session: &Session) {
    let mut retired = RETIRED.lock();
    if retired.is_empty() {
        return;
    }
    retired.retain(|entry| {
        let contexts = crate::driver::context::on_device(entry.device);
        let running = contexts.into_iter().any(streams::outstanding);
        if !running {
            device::free(session, entry);
        }
        running
    });
}

/// The program wants back what is not allocated: it counts again from the next launch that allocates it. The graph keeps its place, so the memory itself stays.
pub(crate) fn trim(session: &Session, device: u32) {
    reclaim(session);
    for memory in all() {
        if memory.device == device && !memory.allocated.load(Ordering::Acquire) {
            memory.launched.store(false, Ordering::Release);
        }
    }
}

/// What graphs use of a device's memory: that of nodes that have been launched, from then until it is free and trimmed.
pub(crate) fn usage(device: u32) -> Usage {
    let mut usage = Usage {
        used: 0,
        reserved: 0,
        high: [0; 2],
    };
    for memory in all() {
        if memory.device == device && memory.launched.load(Ordering::Acquire) {
            let size = memory.size.next_multiple_of(UNIT);
            usage.reserved += size;
            usage.used += size;
        }
    }
    let retired = RETIRED.lock();
    usage.reserved += retired
        .iter()
        .filter(|entry| entry.device == device)
        .map(|entry| entry.size.next_multiple_of(UNIT))
        .sum::<u64>();
    let mut highs = HIGH.lock();
    let high = highs.entry(device).or_default();
    high[0] = high[0].max(usage.used);
    high[1] = high[1].max(usage.reserved);
    usage.high = *high;
    usage
}

/// Begins to look for a new highest use: 0 of what is used, 1 of what is reserved.
pub(crate) fn reset_high(device: u32, which: usize) {
    if let Some(high) = HIGH.lock().entry(device).or_default().get_mut(which) {
        *high = 0;
    }
}
