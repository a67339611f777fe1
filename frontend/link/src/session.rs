//! Finds and loads `libgvirtus.so`, once per process and only when a function of a frontend is called.

use gvirtus_wire::api::frontend_table::{
    DriverProc, FRONTEND_TABLE_VERSION, FrontendTable, FrontendTableProc,
};
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The loaded library.
#[derive(Debug)]
pub struct Session {
    handle: usize,
    driver_proc: Option<DriverProc>,
}

static SESSION: OnceLock<Option<Session>> = OnceLock::new();

/// The hooks of the loaded library; null until it is loaded, or when it has none.
static HOOKS: AtomicPtr<FrontendTable> = AtomicPtr::new(std::ptr::null_mut());

/// The client core's hooks, if it is loaded and has any.
#[inline]
#[must_use]
pub fn hooks() -> Option<&'static FrontendTable> {
    // SAFETY: the table lives as long as the process (the contract of `gvirtus_frontend_table`).
    unsafe { HOOKS.load(Ordering::Acquire).as_ref() }
}

/// The session's library, loaded at the first call; `None` when it cannot be loaded, which is said once on standard error.
#[inline]
pub fn session() -> Option<&'static Session> {
    SESSION.get_or_init(load).as_ref()
}

/// Makes these functions the process's client core, unless it has one or has looked for one: so tests see what a frontend sends. Whether they are it now.
///
/// # Safety
/// `driver_proc` gives null or functions of the types that `cuda_api!` declares, and `table` keeps the contract of [`FrontendTable`].
#[must_use]
pub unsafe fn stand_in(driver_proc: DriverProc, table: &'static FrontendTable) -> bool {
    let mut taken = false;
    SESSION.get_or_init(|| {
        taken = true;
        HOOKS.store(std::ptr::from_ref(table).cast_mut(), Ordering::Release);
        Some(Session {
            handle: 0,
            driver_proc: Some(driver_proc),
        })
    });
    taken
}

impl Session {
    /// The address of a driver function by its exported name, or null.
    #[must_use]
    pub fn driver_proc(&self, name: &CStr) -> *mut c_void {
        match self.driver_proc {
            // SAFETY: `name` is NUL-terminated, which is all that the function asks for.
            Some(proc) => unsafe { proc(name.as_ptr()) },
            // SAFETY: the handle came from dlopen and is never closed.
            None => unsafe { libc::dlsym(self.handle as *mut c_void, name.as_ptr()) },
        }
    }
}

fn load() -> Option<Session> {
    let named = std::env::var_os("GVIRTUS_LIB").filter(|file| !file.is_empty());
    let candidates = match &named {
        Some(file) => vec![PathBuf::from(file)],
        None => beside_us("libgvirtus.so"),
    };
    let mut reason = String::from("the frontend library's own path is unknown");
    for file in &candidates {
        match open(file) {
            Ok(session) => return Some(session),
            Err(error) => reason = error,
        }
    }
    let named = if named.is_some() {
        " (GVIRTUS_LIB)"
    } else {
        ""
    };
    eprintln!("gvirtus error: cannot load the client core{named}: {reason}");
    None
}

/// A file in the directory that the frontend was loaded from, and where that file really lies if it is a link.
pub(crate) fn beside_us(name: &str) -> Vec<PathBuf> {
    // SAFETY: an all-zero Dl_info is valid, and dladdr fills it for the address of a function of this library.
    let file = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let found = libc::dladdr(load as fn() -> Option<Session> as *const c_void, &mut info);
        if found == 0 || info.dli_fname.is_null() {
            return Vec::new();
        }
        PathBuf::from(std::ffi::OsStr::from_bytes(
            CStr::from_ptr(info.dli_fname).to_bytes(),
        ))
    };
    let mut files = vec![file.with_file_name(name)];
    if let Ok(real) = file.canonicalize() {
        files.push(real.with_file_name(name));
    }
    files.dedup();
    files
}

fn open(file: &Path) -> Result<Session, String> {
    let name = CString::new(file.as_os_str().as_bytes())
        .map_err(|_| String::from("a path with a NUL byte"))?;
    // SAFETY: `name` is NUL-terminated; the library's constructors are ours (or a CUDA driver's, as the user asked).
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        // SAFETY: dlerror returns null or a NUL-terminated message that stays until the next dl call of this thread.
        return Err(unsafe {
            let message = libc::dlerror();
            if message.is_null() {
                file.display().to_string()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            }
        });
    }
    // SAFETY: the symbols have these types wherever they exist (`gvirtus_wire::api::frontend_table`).
    let (driver_proc, table) = unsafe {
        (
            std::mem::transmute::<*mut c_void, Option<DriverProc>>(symbol(
                handle,
                c"gvirtus_driver_proc",
            )),
            std::mem::transmute::<*mut c_void, Option<FrontendTableProc>>(symbol(
                handle,
                c"gvirtus_frontend_table",
            )),
        )
    };
    if let Some(table) = table {
        // SAFETY: the function takes any version and returns null for those it lacks.
        HOOKS.store(
            unsafe { table(FRONTEND_TABLE_VERSION) }.cast_mut(),
            Ordering::Release,
        );
    }
    Ok(Session {
        handle: handle as usize,
        driver_proc,
    })
}

/// The address of a symbol of a loaded library, or null.
fn symbol(handle: *mut c_void, name: &CStr) -> *mut c_void {
    let name: *const c_char = name.as_ptr();
    // SAFETY: `handle` came from dlopen and is never closed; `name` is NUL-terminated.
    unsafe { libc::dlsym(handle, name) }
}
