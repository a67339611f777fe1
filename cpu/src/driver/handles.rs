//! Handle tables: what a caller passes as a handle is looked up, never dereferenced.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::error::Result;

/// A handle that no table has given out before. Handles of all kinds share one sequence, so that one of the wrong kind is never found.
pub(super) fn mint() -> usize {
    // Non-canonical-looking values far from any mapping and from CUDA's special stream handles 0, 1 and 2.
    static NEXT: AtomicUsize = AtomicUsize::new(0x00c0_da00_0000_1000);
    NEXT.fetch_add(0x40, Ordering::Relaxed)
}

/// A handle as C sees it.
pub(super) fn pointer(handle: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(handle)
}

/// The live objects of one kind.
pub(super) struct Table<T: ?Sized> {
    objects: RwLock<Option<HashMap<usize, Arc<T>>>>,
}

impl<T: ?Sized> Table<T> {
    /// An empty table, for a `static`.
    pub(super) const fn new() -> Self {
        Self {
            objects: RwLock::new(None),
        }
    }

    pub(super) fn insert(&self, handle: usize, object: Arc<T>) {
        self.objects
            .write()
            .get_or_insert_with(HashMap::new)
            .insert(handle, object);
    }

    pub(super) fn get(&self, handle: *mut c_void) -> Option<Arc<T>> {
        self.objects.read().as_ref()?.get(&handle.addr()).cloned()
    }

    pub(super) fn remove(&self, handle: *mut c_void) -> Option<Arc<T>> {
        self.objects.write().as_mut()?.remove(&handle.addr())
    }

    /// Some object for which `wanted` holds.
    pub(super) fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.objects
            .read()
            .as_ref()?
            .values()
            .find(|object| wanted(object))
            .cloned()
    }

    /// Does something with each object, in no order, until it fails. The table is locked meanwhile.
    pub(super) fn try_each(&self, f: impl FnMut(&T) -> Result) -> Result {
        let mut f = f;
        let objects = self.objects.read();
        objects
            .iter()
            .flat_map(HashMap::values)
            .try_for_each(|object| f(object))
    }

    /// Removes all objects for which `gone` holds.
    pub(super) fn remove_where(&self, gone: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut guard = self.objects.write();
        let Some(map) = guard.as_mut() else {
            return Vec::new();
        };
        let keys: Vec<usize> = map
            .iter()
            .filter(|(_, object)| gone(object))
            .map(|(key, _)| *key)
            .collect();
        keys.iter().filter_map(|key| map.remove(key)).collect()
    }
}
