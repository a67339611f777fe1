//! A library's functions as its calls need them: what follows from a declaration, and where the library has the function, found once.

use std::ffi::{CStr, CString, c_void};
use std::sync::OnceLock;

use gvirtus_wire::api::library::{Function, Mode};
use rustc_hash::FxHashMap;

use crate::Description;
use crate::plain::{Step, steps};

/// A function that clients may call.
pub(crate) struct Known {
    pub(crate) function: &'static Function,
    address: OnceLock<usize>,
    pub(crate) takes_handle: bool,
    /// Numbers of objects are among its arguments.
    pub(crate) refers: bool,
    /// Descriptors travel with it by their values.
    pub(crate) has_descriptors: bool,
    /// The GPU writes results, on the host or the device.
    pub(crate) has_results: bool,
    /// The library goes on reading what it is given.
    pub(crate) keeps: bool,
    /// How a plain call's words become arguments.
    pub(crate) steps: Option<Box<[Step]>>,
    /// It sets its handle's stream.
    pub(crate) sets_stream: bool,
}

impl Known {
    fn new(function: &'static Function, description: &Description) -> Self {
        let has = |which: fn(Mode) -> bool| function.parameters.iter().any(|p| which(p.mode));
        let set_stream = description.set_stream.map(CStr::to_bytes);
        Self {
            function,
            address: OnceLock::new(),
            takes_handle: has(|mode| mode == Mode::Handle),
            refers: has(|mode| {
                matches!(
                    mode,
                    Mode::Object(_)
                        | Mode::Fill(_)
                        | Mode::Attributes(..)
                        | Mode::AttributesOut(..)
                )
            }),
            has_descriptors: has(|mode| matches!(mode, Mode::Opaque(_))),
            has_results: has(|mode| matches!(mode, Mode::Result(_))),
            keeps: has(|mode| matches!(mode, Mode::Bytes(_))),
            steps: steps(function),
            sets_stream: set_stream == Some(function.name.as_bytes()),
        }
    }

    /// Where the library has it, by `find` at first: the library stays loaded.
    pub(crate) fn address(
        &self,
        find: impl FnOnce(&CStr) -> Option<*const c_void>,
    ) -> Option<*const c_void> {
        if let Some(known) = self.address.get() {
            return Some(*known as *const c_void);
        }
        let address = find(&CString::new(self.function.name).ok()?)?;
        let _ = self.address.set(address as usize);
        Some(address)
    }
}

/// The functions that clients may call, by their ids. The keys are ours: nobody can make them collide.
pub(crate) fn functions(description: &Description) -> FxHashMap<u32, Known> {
    let forwarded = description.functions.iter().filter(|f| f.is_forwarded());
    forwarded
        .map(|function| (function.id(), Known::new(function, description)))
        .collect()
}
