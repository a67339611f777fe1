//! Descriptors of the vendor's library, made of the values that arrive. Equal values get the same descriptor: a call only reads it.

use std::ffi::{CString, c_void};
use std::sync::Arc;

use gvirtus_wire::api::library::{Mode, Parameter};
use gvirtus_wire::api::opaque::{Kind, Values};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::invoke::invoke;

/// The most descriptors that are kept.
const MOST: usize = 1024;
/// Of [`LAYOUT`](gvirtus_wire::api::opaque::LAYOUT), all parameters of the calls made here are integers.
const PARAMETERS: [Parameter; 5] = [Parameter {
    name: "",
    mode: Mode::I64,
}; 5];

/// A descriptor of the vendor's library.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) at: usize,
    destroy: Option<usize>,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the library's own function for a descriptor that it made and that nobody has any more.
            let _ = unsafe {
                invoke(
                    destroy as *const c_void,
                    &PARAMETERS[..1],
                    &[self.at as u64],
                )
            };
        }
    }
}

/// Descriptors by their values.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Mutex<FxHashMap<Values, Arc<Descriptor>>>);

impl Descriptors {
    /// The descriptor of these values, which [are](Values::are) of that kind.
    ///
    /// # Errors
    /// The library's status, or `not_supported` if it lacks such descriptors.
    pub(crate) fn get(
        &self,
        kind: &'static Kind,
        values: &[u8],
        not_supported: i32,
        address: impl Fn(&str) -> Option<*const c_void>,
    ) -> Result<Arc<Descriptor>, i32> {
        let mut kept = self.0.lock();
        if let Some(descriptor) = kept.get(values) {
            return Ok(Arc::clone(descriptor));
        }
        let values = Values::of(kind, values).ok_or(not_supported)?;
        let function = |what: &str| address(&format!("cublasLt{}{what}", kind.name));
        let (create, set) = (
            function("Create").ok_or(not_supported)?,
            function("SetAttribute").ok_or(not_supported)?,
        );
        let mut at = 0usize;
        let mut words = vec![(&raw mut at) as u64];
        words.extend(
            kind.created_with
                .iter()
                .map(|id| values.number(kind, *id).cast_unsigned()),
        );
        let call = |function, words: &[u64]| {
            // SAFETY: the library's function with the parameters that NVIDIA documents: integers and addresses of live memory.
            match unsafe { invoke(function, &PARAMETERS[..words.len()], words) } {
                Some(0) => Ok(()),
                Some(status) => Err(status),
                None => Err(not_supported),
            }
        };
        call(create, &words)?;
        let descriptor = Descriptor {
            at,
            destroy: function("Destroy").map(|function| function as usize),
        };
        for (attribute, value) in values.changed(kind) {
            call(
                set,
                &[
                    at as u64,
                    i64::from(attribute.id).cast_unsigned(),
                    value.as_ptr() as u64,
                    value.len() as u64,
                ],
            )?;
        }
        if kept.len() >= MOST {
            // Those in use are held by their calls.
            kept.clear();
        }
        let descriptor = Arc::new(descriptor);
        kept.insert(values, Arc::clone(&descriptor));
        Ok(descriptor)
    }
}

/// A function's name for C.
pub(crate) fn c_name(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}
