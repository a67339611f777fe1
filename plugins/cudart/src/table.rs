//! Dense tables of what the client names by number.

use parking_lot::{Mutex, RwLock};

use crate::errors::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result, Status,
};

/// The highest id that a client may mint: bounds what a table may grow to.
const MOST_IDS: u32 = 1 << 20;

#[derive(Clone)]
enum Slot<T> {
    Empty,
    /// The create command failed with this status; every use gets it.
    Poisoned(Status),
    Live(T),
}

/// A table from ids to shared objects. Its lock is never held while the driver is called.
pub(crate) struct Table<T> {
    slots: RwLock<Vec<Slot<T>>>,
    /// Ids that the worker minted and that are free again.
    recycled: Mutex<Vec<u32>>,
}

impl<T: Clone> Table<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: RwLock::new(Vec::new()),
            recycled: Mutex::new(Vec::new()),
        }
    }

    /// The object of an id, or the status that its creation failed with.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Result<T> {
        match self.slots.read().get(id as usize) {
            Some(Slot::Live(value)) => Ok(value.clone()),
            Some(Slot::Poisoned(status)) => Err(*status),
            Some(Slot::Empty) | None => Err(ERROR_INVALID_HANDLE),
        }
    }

    /// Whether an id may be given to a new object.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for 0, an id beyond the limit, or one in use.
    pub(crate) fn vacant(&self, id: u32) -> Result<()> {
        if id == 0 || id >= MOST_IDS {
            return Err(ERROR_INVALID_VALUE);
        }
        match self.slots.read().get(id as usize) {
            Some(Slot::Live(_)) => Err(ERROR_INVALID_VALUE),
            _ => Ok(()),
        }
    }

    /// Stores a new object, or poisons the id with the status that its creation failed with.
    pub(crate) fn store(&self, id: u32, made: Result<T>) -> Result<()> {
        self.vacant(id)?;
        let (slot, answer) = match made {
            Ok(value) => (Slot::Live(value), Ok(())),
            Err(status) => (Slot::Poisoned(status), Err(status)),
        };
        let mut slots = self.slots.write();
        let at = id as usize;
        if slots.len() <= at {
            slots.resize_with(at + 1, || Slot::Empty);
        }
        slots[at] = slot;
        answer
    }

    /// Takes an object out of the table.
    pub(crate) fn remove(&self, id: u32) -> Result<T> {
        let mut slots = self.slots.write();
        let slot = slots.get_mut(id as usize).ok_or(ERROR_INVALID_HANDLE)?;
        match std::mem::replace(slot, Slot::Empty) {
            Slot::Live(value) => Ok(value),
            Slot::Poisoned(status) => Err(status),
            Slot::Empty => Err(ERROR_INVALID_HANDLE),
        }
    }

    /// Stores under a free id, for ids that the worker mints.
    pub(crate) fn mint(&self, value: T) -> Result<u32> {
        let recycled = self.recycled.lock().pop();
        let mut slots = self.slots.write();
        if let Some(id) = recycled
            && let Some(slot) = slots.get_mut(id as usize)
        {
            *slot = Slot::Live(value);
            return Ok(id);
        }
        if slots.is_empty() {
            slots.push(Slot::Empty);
        }
        if slots.len() >= MOST_IDS as usize {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let id = u32::try_from(slots.len()).map_err(|_| ERROR_OUT_OF_MEMORY)?;
        slots.push(Slot::Live(value));
        Ok(id)
    }

    /// Takes out what was stored under a minted id.
    pub(crate) fn unmint(&self, id: u32) {
        if self.remove(id).is_ok() {
            self.recycled.lock().push(id);
        }
    }

    /// Every object.
    pub(crate) fn all(&self) -> Vec<T> {
        let live = |slot: &Slot<T>| match slot {
            Slot::Live(value) => Some(value.clone()),
            _ => None,
        };
        self.slots.read().iter().filter_map(live).collect()
    }

    /// Takes out every object that `which` is true of.
    pub(crate) fn drain(&self, which: impl Fn(&T) -> bool) -> Vec<T> {
        let mut out = Vec::new();
        for slot in self.slots.write().iter_mut() {
            if matches!(slot, Slot::Live(value) if which(value))
                && let Slot::Live(value) = std::mem::replace(slot, Slot::Empty)
            {
                out.push(value);
            }
        }
        out
    }
}
