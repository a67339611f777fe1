//! User objects: things of the program that live as long as graphs that use them. <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html>
//! (`cuUserObjectCreate` and following).
#![allow(non_snake_case, reason = "CUDA's names")]

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use gvirtus_wire::api::types::{CUgraph, CUhostFn, CUuserObject, error};
use parking_lot::Mutex;

use crate::driver::{Result, put, session};
use crate::graph;
use crate::graph::work::UserData;
use crate::handles::{Kind, Table};
use crate::session::Session;
use crate::streams;

/// `CU_USER_OBJECT_NO_DESTRUCTOR_SYNC`, which must be given.
const NO_DESTRUCTOR_SYNC: u32 = 1;
/// `CU_GRAPH_USER_OBJECT_MOVE`.
const MOVE: u32 = 1;
/// How often it is looked whether the work that may use an object is complete.
const INTERVAL: Duration = Duration::from_millis(1);

struct UserObject {
    handle: usize,
    data: UserData,
    destroy: unsafe extern "C" fn(*mut c_void),
    references: Mutex<u32>,
}

static OBJECTS: Table<UserObject> = Table::new(Kind::UserObject);

fn resolve(object: CUuserObject) -> Result<Arc<UserObject>> {
    OBJECTS.get(object).ok_or(error::ERROR_INVALID_VALUE)
}

/// Makes an object that is destroyed by the program's function when nobody refers to it any more.
pub(crate) unsafe fn cuUserObjectCreate(
    out: *mut CUuserObject,
    data: *mut c_void,
    destroy: CUhostFn,
    references: u32,
    flags: u32,
) -> Result<()> {
    session()?;
    let destroy = destroy.ok_or(error::ERROR_INVALID_VALUE)?;
    if out.is_null()
        || references == 0
        || references > i32::MAX as u32
        || flags != NO_DESTRUCTOR_SYNC
    {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let object = OBJECTS
        .insert(|handle| UserObject {
            handle: handle as usize,
            data: UserData(data),
            destroy,
            references: Mutex::new(references),
        })
        .ok_or(error::ERROR_OUT_OF_MEMORY)?;
    // SAFETY: the caller's pointer.
    unsafe { put(out, object.handle as *mut c_void) }
}

/// More references.
pub(crate) fn cuUserObjectRetain(object: CUuserObject, count: u32) -> Result<()> {
    session()?;
    retain(object as usize, count)
}

/// More references to the object of that handle.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` for none, too many, or no object.
pub(crate) fn retain(object: usize, count: u32) -> Result<()> {
    let object = resolve(object as *mut c_void)?;
    let mut references = object.references.lock();
    *references = references
        .checked_add(count)
        .filter(|&sum| count > 0 && sum <= i32::MAX as u32)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    Ok(())
}

/// Fewer references; the last one's end is the object's.
pub(crate) fn cuUserObjectRelease(object: CUuserObject, count: u32) -> Result<()> {
    session()?;
    let known = resolve(object)?;
    if count == 0 || count > *known.references.lock() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    release(object as usize, count);
    Ok(())
}

/// Fewer references to the object of that handle.
pub(crate) fn release(object: usize, count: u32) {
    let Ok(object) = resolve(object as *mut c_void) else {
        return;
    };
    let mut references = object.references.lock();
    *references = references.saturating_sub(count);
    let over = *references == 0;
    drop(references);
    if over && OBJECTS.remove(object.handle as *mut c_void).is_some() {
        end(&object);
    }
}

/// Calls the program's function, once nothing runs that may use the object; never on the calling thread, as natively.
fn end(object: &UserObject) {
    let (destroy, data) = (object.destroy, object.data);
    let body = move || {
        let data = data;
        while let Some(session) = Session::existing().filter(|s| s.lost().is_ok()) {
            if streams::running().is_empty() {
                break;
            }
            session.kick();
            std::thread::sleep(INTERVAL);
        }
        // SAFETY: the program gave the function to be called with this argument.
        unsafe { destroy(data.0) };
    };
    if let Err(e) = crate::session::thread("gvirtus-user-object", body) {
        log!(Error, "a user object is not destroyed: no thread: {e}");
    }
}

/// A graph refers to an object from now on; what is instantiated from it, too.
pub(crate) fn cuGraphRetainUserObject(
    handle: CUgraph,
    object: CUuserObject,
    count: u32,
    flags: u32,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    let known = resolve(object)?;
    if count == 0 || flags & !MOVE != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if flags == MOVE {
        if count > *known.references.lock() {
            return Err(error::ERROR_INVALID_VALUE);
        }
    } else {
        retain(object as usize, count)?;
    }
    graph.objects.lock().push((object as usize, count));
    Ok(())
}

/// A graph does not refer to an object any more.
pub(crate) fn cuGraphReleaseUserObject(
    handle: CUgraph,
    object: CUuserObject,
    count: u32,
) -> Result<()> {
    session()?;
    let graph = graph::resolve(handle)?;
    resolve(object)?;
    let mut objects = graph.objects.lock();
    let of_object = |entry: &&(usize, u32)| entry.0 == object as usize;
    let held: u32 = objects.iter().filter(of_object).map(|entry| entry.1).sum();
    if count == 0 || count > held {
        return Err(error::ERROR_INVALID_VALUE);
    }
    objects.retain(|entry| entry.0 != object as usize);
    if held > count {
        objects.push((object as usize, held - count));
    }
    drop(objects);
    release(object as usize, count);
    Ok(())
}
