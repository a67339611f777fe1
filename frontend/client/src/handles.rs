//! Tables behind the opaque handles that programs hold.
//!
//! A handle looks like a pointer (48 bits, never null) but is a kind, a generation and an index, and is never dereferenced: garbage, a handle of another kind and one
//! that was destroyed are all recognised, even if its place in the table has been taken since.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::RwLock;

const INDEX_BITS: u32 = 22;
const GENERATION_BITS: u32 = 14;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
/// Handles are multiples of 16, as pointers from an allocator are.
const ALIGN_BITS: u32 = 4;
const KIND_SHIFT: u32 = ALIGN_BITS + INDEX_BITS + GENERATION_BITS;

/// What a handle stands for. The numbers end up in the handles' upper bits, so that a dump shows what is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `CUcontext`
    Context = 0x41,
    /// `CUmodule`
    Module = 0x42,
    /// `CUfunction`
    Function = 0x43,
    /// `CUlibrary`
    Library = 0x44,
    /// `CUkernel`
    Kernel = 0x45,
    /// `CUlinkState`
    Link = 0x46,
    /// `CUgraph`
    Graph = 0x47,
    /// `CUgraphExec`
    GraphExec = 0x48,
    /// `CUarray`
    Array = 0x49,
    /// `CUmipmappedArray`
    Mipmap = 0x4a,
    /// `CUtexref`
    TextureReference = 0x4f,
    /// `CUgraphNode`
    GraphNode = 0x4b,
    /// `CUuserObject`
    UserObject = 0x4c,
    /// `CUgreenCtx`
    GreenContext = 0x4d,
    /// `CUdevResourceDesc`
    ResourceDescriptor = 0x4e,
    /// `CUsurfref`
    SurfaceReference = 0x50,
}

/// The kind in a handle's upper bits, whatever it is.
#[inline]
pub(crate) fn kind_of(handle: *mut c_void) -> u8 {
    // Cannot truncate anything that a handle of ours has: its upper bits are checked when it is looked up.
    (handle as usize >> KIND_SHIFT) as u8
}

/// Whether a handle of ours, of whatever kind, could have that value.
pub(crate) fn is_ours(handle: *mut c_void) -> bool {
    let kinds = Kind::Context as usize..=Kind::SurfaceReference as usize;
    kinds.contains(&(handle as usize >> KIND_SHIFT))
}

/// Counts what is taken out of any table, and other changes that make void what was found before.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// As long as this stays the same, handles stand for what they stood for.
#[inline]
pub(crate) fn epoch() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

/// Something that a handle stood for is gone.
pub(crate) fn changed() {
    CHANGES.fetch_add(1, Ordering::Release);
}

struct Slot<T> {
    generation: u32,
    value: Option<Arc<T>>,
}

struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

/// One kind's objects.
pub(crate) struct Table<T> {
    kind: Kind,
    slots: RwLock<Slots<T>>,
}

impl<T> Table<T> {
    /// An empty table.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            slots: RwLock::new(Slots {
                slots: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    /// Puts what `make` returns into the table; `make` is told the handle. `None` if the table is full.
    pub(crate) fn insert(&self, make: impl FnOnce(*mut c_void) -> T) -> Option<Arc<T>> {
        let mut table = self.slots.write();
        let index = match table.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(table.slots.len()).ok()?;
                if index >> INDEX_BITS != 0 {
                    return None;
                }
                table.slots.push(Slot {
                    generation: 0,
                    value: None,
                });
                index
            }
        };
        let kind = self.kind;
        let slot = &mut table.slots[index as usize];
        let value = Arc::new(make(encode(kind, slot.generation, index)));
        slot.value = Some(Arc::clone(&value));
        Some(value)
    }

    /// The object behind a handle; `None` for anything that is not a live handle of this table.
    #[inline]
    pub(crate) fn get(&self, handle: *mut c_void) -> Option<Arc<T>> {
        let (generation, index) = decode(self.kind, handle)?;
        let table = self.slots.read();
        let slot = table.slots.get(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        slot.value.clone()
    }

    /// Takes an object out of the table. Its handle is dead from here on.
    pub(crate) fn remove(&self, handle: *mut c_void) -> Option<Arc<T>> {
        let (generation, index) = decode(self.kind, handle)?;
        let mut table = self.slots.write();
        let slot = table.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        table.free.push(index);
        changed();
        Some(value)
    }

    /// The first object that `wanted` says yes to.
    pub(crate) fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.slots
            .read()
            .slots
            .iter()
            .find_map(|slot| slot.value.as_ref().filter(|v| wanted(v)).cloned())
    }

    /// Every object.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.slots
            .read()
            .slots
            .iter()
            .filter_map(|slot| slot.value.clone())
            .collect()
    }

    /// Puts in what `make` returns, unless it fails; `make` is told the handle and a dense number (from 1) that is unique in the table, and may take its time: the
    /// table is not locked meanwhile.
    ///
    /// # Errors
    /// What `make` returns; `CUDA_ERROR_OUT_OF_MEMORY` if the table is full.
    pub(crate) fn try_insert(
        &self,
        make: impl FnOnce(*mut c_void, u32) -> Result<T, CUresult>,
    ) -> Result<Arc<T>, CUresult> {
        let (index, handle) = {
            let mut table = self.slots.write();
            let index = match table.free.pop() {
                Some(index) => index,
                None => {
                    let index = table.slots.len() as u32;
                    if index >> INDEX_BITS != 0 {
                        return Err(error::ERROR_OUT_OF_MEMORY);
                    }
                    table.slots.push(Slot {
                        generation: 0,
                        value: None,
                    });
                    index
                }
            };
            (
                index,
                encode(self.kind, table.slots[index as usize].generation, index),
            )
        };
        let made = make(handle, index + 1).map(Arc::new);
        let mut table = self.slots.write();
        match &made {
            Ok(value) => table.slots[index as usize].value = Some(Arc::clone(value)),
            Err(_) => table.free.push(index),
        }
        made
    }

    /// Takes an object out; `told` runs before its number can be used again.
    ///
    /// # Errors
    /// What `told` returns; `CUDA_ERROR_INVALID_VALUE` for a dead handle.
    pub(crate) fn remove_with(
        &self,
        handle: *mut c_void,
        told: impl FnOnce() -> Result<(), CUresult>,
    ) -> Result<(), CUresult> {
        let (generation, index) = decode(self.kind, handle).ok_or(error::ERROR_INVALID_VALUE)?;
        let mut table = self.slots.write();
        let slot = table
            .slots
            .get_mut(index as usize)
            .filter(|s| s.generation == generation && s.value.is_some());
        let slot = slot.ok_or(error::ERROR_INVALID_VALUE)?;
        slot.value = None;
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        table.free.push(index);
        changed();
        told()
    }

    /// Runs `f` on every object.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&T)) {
        for slot in &self.slots.read().slots {
            if let Some(value) = &slot.value {
                f(value);
            }
        }
    }

    /// Takes out every object that `gone` says yes to.
    pub(crate) fn remove_if(&self, gone: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut table = self.slots.write();
        let table = &mut *table;
        let mut removed = Vec::new();
        for (index, slot) in (0u32..).zip(&mut table.slots) {
            if slot.value.as_deref().is_some_and(&gone) {
                removed.extend(slot.value.take());
                slot.generation = (slot.generation + 1) & GENERATION_MASK;
                table.free.push(index);
                changed();
            }
        }
        removed
    }
}

fn encode(kind: Kind, generation: u32, index: u32) -> *mut c_void {
    let bits = (kind as usize) << KIND_SHIFT
        | (generation as usize) << (INDEX_BITS + ALIGN_BITS)
        | (index as usize) << ALIGN_BITS;
    std::ptr::without_provenance_mut(bits)
}

#[inline]
fn decode(kind: Kind, handle: *mut c_void) -> Option<(u32, u32)> {
    let bits = handle as usize;
    if bits >> KIND_SHIFT != kind as usize || bits & ((1 << ALIGN_BITS) - 1) != 0 {
        return None;
    }
    let index = (bits >> ALIGN_BITS) as u32 & ((1 << INDEX_BITS) - 1);
    let generation = (bits >> (ALIGN_BITS + INDEX_BITS)) as u32 & GENERATION_MASK;
    Some((generation, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_recognised() {
        let table: Table<*mut c_void> = Table::new(Kind::Module);
        let first = *table.insert(|h| h).unwrap();
        let second = *table.insert(|h| h).unwrap();
        assert_ne!(first, second);
        assert!(!first.is_null() && (first as usize) < 1 << 47);
        assert_eq!(kind_of(first), Kind::Module as u8);
        assert!(table.get(first).is_some());
        assert!(table.get(std::ptr::null_mut()).is_none());
        for garbage in [
            1usize,
            0xdead_beef,
            usize::MAX,
            first as usize + 1,
            first as usize ^ 1 << 47,
        ] {
            assert!(
                table
                    .get(std::ptr::without_provenance_mut(garbage))
                    .is_none()
            );
        }
        assert!(table.remove(first).is_some());
        assert!(table.remove(first).is_none());
        let third = *table.insert(|h| h).unwrap();
        assert!(
            table.get(first).is_none(),
            "its place is taken, the old handle stays dead"
        );
        assert!(table.get(third).is_some());
        assert_eq!(table.remove_if(|&h| h == second).len(), 1);
        assert!(table.get(second).is_none());
    }

    #[test]
    fn a_handle_of_another_kind_is_not_one() {
        let modules: Table<*mut c_void> = Table::new(Kind::Module);
        let kernels: Table<*mut c_void> = Table::new(Kind::Kernel);
        let module = *modules.insert(|h| h).unwrap();
        kernels.insert(|h| h).unwrap();
        assert!(kernels.get(module).is_none());
    }
}
