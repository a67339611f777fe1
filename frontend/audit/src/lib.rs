//! `libgvirtus_audit.so`: an auditor of the dynamic loader (`rtld-audit(7)`), by which the libraries beside it are taken wherever a program would find NVIDIA's.
//!
//! `LD_LIBRARY_PATH` cannot do that for every program. A library's RPATH comes before it (PyTorch's wheels lead to `site-packages/nvidia` by theirs), and who opens a library by its full path
//! (PyTorch, CuPy and JAX look through `site-packages` themselves) asks no search path at all. The loader asks its auditors before either, under the name that was asked for.
//!
//! `gvirtus run --level library` names it in `LD_AUDIT`, so it is in every process that the program starts. It knows nothing of CUDA, opens no connection, and is told apart from the
//! program's own libraries by the loader: it has a C library of its own.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, c_char, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The interface's version that glibc has had since 2.35; [`la_objsearch`] is the same in version 1.
const VERSION: c_uint = 2;
/// `LA_SER_ORIG`: the name is what the program, or a library's needs, asked for.
const AS_ASKED: c_uint = 1;

/// Our libraries by the name that programs ask for.
#[derive(Debug, Default)]
struct Libraries(BTreeMap<Vec<u8>, CString>);

impl Libraries {
    /// Those in a directory: everything called `lib….so.…`, which our own parts (`libgvirtus.so`) are not.
    fn of(directory: &Path) -> Self {
        let mut libraries = BTreeMap::new();
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if is_versioned(name.as_bytes())
                && let Ok(path) = CString::new(entry.path().as_os_str().as_bytes())
            {
                libraries.insert(name.as_bytes().to_owned(), path);
            }
        }
        Self(libraries)
    }

    /// Ours for what is asked for: a name or a path. `libcublas.so.13.1.0.3` is `libcublas.so.13`.
    fn instead_of(&self, asked: &[u8]) -> Option<&CStr> {
        let mut name = asked.rsplit(|byte| *byte == b'/').next()?;
        while is_versioned(name) {
            if let Some(ours) = self.0.get(name) {
                return Some(ours);
            }
            let end = name.iter().rposition(|byte| *byte == b'.')?;
            name = &name[..end];
        }
        None
    }
}

/// Whether a file name is `lib….so.` and something.
fn is_versioned(name: &[u8]) -> bool {
    name.starts_with(b"lib") && name.windows(4).any(|window| window == b".so.")
}

/// Those beside this library.
fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| home().map(|home| Libraries::of(&home)).unwrap_or_default())
}

/// The directory that this library was loaded from.
fn home() -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let here = la_version as extern "C" fn(c_uint) -> c_uint as *const libc::c_void;
    // SAFETY: the address is of this library, and `found` outlives the call.
    if unsafe { libc::dladdr(here, &raw mut found) } == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dladdr` succeeded: the name is a C string that stays while this library is loaded.
    let file = unsafe { CStr::from_ptr(found.dli_fname) };
    let file = Path::new(OsStr::from_bytes(file.to_bytes()));
    file.parent().map(Path::to_owned)
}

/// The loader's first question: which version of the interface is spoken here. Zero would send us away.
#[unsafe(no_mangle)]
pub extern "C" fn la_version(version: c_uint) -> c_uint {
    version.min(VERSION)
}

/// The loader looks for a library: the path that it shall take, or the name that it came with.
///
/// # Safety
/// `name` is a C string that stays while the call lasts, as the loader promises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn la_objsearch(
    name: *const c_char,
    _cookie: *mut usize,
    flag: c_uint,
) -> *mut c_char {
    if flag == AS_ASKED && !name.is_null() {
        // SAFETY: the caller's promise.
        let asked = unsafe { CStr::from_ptr(name) };
        if let Some(ours) = libraries().instead_of(asked.to_bytes()) {
            return ours.as_ptr().cast_mut();
        }
    }
    name.cast_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_longer_versions_lead_to_ours() {
        let home = tempfile::tempdir().unwrap();
        for name in [
            "libcublas.so.13",
            "libcuda.so.1",
            "libgvirtus.so",
            "README.so.1",
        ] {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        let libraries = Libraries::of(home.path());
        let found = |asked: &str| {
            let path = libraries.instead_of(asked.as_bytes())?;
            Some(
                Path::new(path.to_str().unwrap())
                    .strip_prefix(home.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            )
        };
        for asked in [
            "libcublas.so.13",
            "/site-packages/nvidia/cu13/lib/libcublas.so.13",
            "/usr/local/cuda/lib64/libcublas.so.13.1.0.3",
        ] {
            assert_eq!(found(asked).as_deref(), Some("libcublas.so.13"), "{asked}");
        }
        assert_eq!(found("libcuda.so.1").as_deref(), Some("libcuda.so.1"));
        for asked in [
            "libcublas.so.12",
            "libcublas.so",
            "libcublasLt.so.13",
            "libcublas.so.130",
            "libgvirtus.so",
            "README.so.1",
            "libc.so.6",
            "",
            "/",
        ] {
            assert_eq!(found(asked), None, "{asked}");
        }
    }
}
