//! Values that libraries keep with a context, by key: the runtime has its own state there. They go with the context, and their destructors are called then.

use std::collections::HashMap;
use std::ffi::c_void;

use gvirtus_wire::api::types::{CUcontext, CUresult, error};
use parking_lot::Mutex;

use super::slot;
use crate::driver::context;
use crate::driver::{Result, put};

/// Called with context, key and value when the context goes.
type Destructor = unsafe extern "C" fn(CUcontext, *mut c_void, *mut c_void);

struct Value {
    value: usize,
    destructor: Option<Destructor>,
}

/// By context's handle and key.
type Values = HashMap<(usize, usize), Value>;
static VALUES: Mutex<Option<Values>> = Mutex::new(None);

fn with<R>(f: impl FnOnce(&mut Values) -> R) -> R {
    f(VALUES.lock().get_or_insert_with(HashMap::new))
}

/// Null means the current context. An inactive primary context may have values.
fn resolve(handle: CUcontext) -> Result<usize> {
    let context = if handle.is_null() {
        context::current()?
    } else {
        context::by_handle(handle)?
    };
    Ok(context::handle(&context).addr())
}

/// Keeps a value, in place of an earlier one of that key.
pub(super) unsafe extern "C" fn put_value(
    handle: CUcontext,
    key: *mut c_void,
    value: *mut c_void,
    destructor: Option<Destructor>,
) -> CUresult {
    slot("context_storage put", || {
        let context = resolve(handle)?;
        let value = Value {
            value: value.expose_provenance(),
            destructor,
        };
        with(|values| values.insert((context, key.addr()), value));
        Ok(())
    })
}

/// Forgets a value without calling its destructor.
pub(super) unsafe extern "C" fn delete(handle: CUcontext, key: *mut c_void) -> CUresult {
    slot("context_storage delete", || {
        let context = resolve(handle)?;
        with(|values| values.remove(&(context, key.addr())));
        Ok(())
    })
}

/// The value of a key, `CUDA_ERROR_INVALID_HANDLE` if there is none.
pub(super) unsafe extern "C" fn get(
    value: *mut *mut c_void,
    handle: CUcontext,
    key: *mut c_void,
) -> CUresult {
    slot("context_storage get", || {
        let context = resolve(handle)?;
        let found = with(|values| values.get(&(context, key.addr())).map(|v| v.value));
        let found = found.ok_or(error::ERROR_INVALID_HANDLE)?;
        // SAFETY: the caller's pointer.
        unsafe { put(value, std::ptr::with_exposed_provenance_mut(found)) }
    })
}

/// A context goes: so do its values, their owners being told.
pub(crate) fn forget_context(handle: CUcontext) {
    let gone: Vec<(usize, Value)> = with(|values| {
        let of_context = values.extract_if(|key, _| key.0 == handle.addr());
        of_context.map(|(key, value)| (key.1, value)).collect()
    });
    for (key, value) in gone {
        if let Some(destructor) = value.destructor {
            // SAFETY: the owner of the value registered it for this call; no lock is held.
            unsafe {
                destructor(
                    handle,
                    std::ptr::with_exposed_provenance_mut(key),
                    std::ptr::with_exposed_provenance_mut(value.value),
                );
            }
        }
    }
}
