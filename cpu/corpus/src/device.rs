//! Runs forms on a device, through the driver API.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use crate::TUPLES;
use crate::kernel;
use crate::table::Form;

type Status = c_int;
type Handle = *mut c_void;

macro_rules! functions {
    ($($field:ident $symbol:literal ($($t:ty),*);)*) => {
        /// The driver functions that are used.
        #[derive(Clone, Copy)]
        pub struct Driver { $($field: unsafe extern "C" fn($($t),*) -> Status),* }

        impl Driver {
            /// A driver whose symbols `find` knows.
            ///
            /// # Errors
            /// The symbol that is missing.
            ///
            /// # Safety
            /// The addresses must be those of CUDA's driver functions.
            pub unsafe fn new(mut find: impl FnMut(&str) -> Option<*const c_void>) -> Result<Driver, String> {
                $(
                    let address = find($symbol).filter(|a| !a.is_null()).ok_or(concat!("no ", $symbol))?;
                    // SAFETY: the caller's promise; the types are those of CUDA's documentation.
                    let $field = unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($t),*) -> Status>(address) };
                )*
                Ok(Driver { $($field),* })
            }
        }
    };
}

functions! {
    init "cuInit" (c_uint);
    device_get "cuDeviceGet" (*mut c_int, c_int);
    device_name "cuDeviceGetName" (*mut c_char, c_int, c_int);
    driver_version "cuDriverGetVersion" (*mut c_int);
    primary_retain "cuDevicePrimaryCtxRetain" (*mut Handle, c_int);
    context_set "cuCtxSetCurrent" (Handle);
    context_synchronize "cuCtxSynchronize" ();
    allocate "cuMemAlloc_v2" (*mut u64, usize);
    free "cuMemFree_v2" (u64);
    upload "cuMemcpyHtoD_v2" (u64, *const c_void, usize);
    download "cuMemcpyDtoH_v2" (*mut c_void, u64, usize);
    clear "cuMemsetD8_v2" (u64, u8, usize);
    load "cuModuleLoadDataEx" (*mut Handle, *const c_void, c_uint, *mut c_int, *mut *mut c_void);
    unload "cuModuleUnload" (Handle);
    function "cuModuleGetFunction" (*mut Handle, Handle, *const c_char);
    launch "cuLaunchKernel" (Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void);
}

/// What a device answered for a form: a word per result and tuple, result by result; or why there is none.
pub type Answer = Result<Vec<u64>, String>;

/// A device that is ready.
pub struct Device {
    driver: Driver,
    /// Name and version of the driver.
    pub name: String,
}

const GROUP: usize = 48;
const JIT_ERROR_LOG: c_int = 5;
const JIT_ERROR_LOG_BYTES: c_int = 6;

fn check(what: &str, status: Status) -> Result<(), String> {
    if status == 0 {
        Ok(())
    } else {
        Err(format!("{what}: error {status}"))
    }
}

// SAFETY of all calls: pointers go to live variables of the types that CUDA's documentation names, handles come from the driver.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one comment for all calls"
)]
impl Device {
    /// The first device of the driver.
    ///
    /// # Errors
    /// The call that failed.
    pub fn open(driver: Driver) -> Result<Device, String> {
        let (mut device, mut version, mut context) = (0, 0, null_mut());
        let mut name = [0u8; 128];
        unsafe {
            check("cuInit", (driver.init)(0))?;
            check("cuDeviceGet", (driver.device_get)(&mut device, 0))?;
            check(
                "cuDeviceGetName",
                (driver.device_name)(name.as_mut_ptr().cast(), 127, device),
            )?;
            check("cuDriverGetVersion", (driver.driver_version)(&mut version))?;
            check(
                "cuDevicePrimaryCtxRetain",
                (driver.primary_retain)(&mut context, device),
            )?;
            check("cuCtxSetCurrent", (driver.context_set)(context))?;
        }
        let name = String::from_utf8_lossy(&name)
            .trim_end_matches('\0')
            .to_owned();
        Ok(Device {
            driver,
            name: format!("{name}, driver {version}"),
        })
    }

    /// Runs forms; as many answers.
    ///
    /// # Errors
    /// When the device is of no more use: a kernel failed.
    pub fn run(&self, forms: &[Form]) -> Result<Vec<Answer>, String> {
        let mut answers = Vec::with_capacity(forms.len());
        for group in forms.chunks(GROUP) {
            match self.load(&kernel::module(group.iter())) {
                Ok(module) => {
                    for (k, form) in group.iter().enumerate() {
                        answers.push(Ok(self.run_one(module, &format!("k{k}"), form)?));
                    }
                    unsafe { (self.driver.unload)(module) };
                }
                // One of them is not accepted: which?
                Err(_) => {
                    for form in group {
                        answers.push(match self.load(&kernel::module(std::iter::once(form))) {
                            Ok(module) => {
                                let answer = self.run_one(module, "k0", form)?;
                                unsafe { (self.driver.unload)(module) };
                                Ok(answer)
                            }
                            Err(why) => Err(why),
                        });
                    }
                }
            }
        }
        Ok(answers)
    }

    fn load(&self, text: &str) -> Result<Handle, String> {
        let text = CString::new(text).map_err(|e| e.to_string())?;
        let mut module = null_mut();
        let mut log = vec![0u8; 4096];
        let mut options = [JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
        let status = unsafe {
            (self.driver.load)(
                &mut module,
                text.as_ptr().cast(),
                2,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        check("cuModuleLoadDataEx", status).map_err(|e| {
            let log = String::from_utf8_lossy(&log);
            format!(
                "{e}: {}",
                log.trim_end_matches('\0')
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        })?;
        Ok(module)
    }

    fn run_one(&self, module: Handle, name: &str, form: &Form) -> Result<Vec<u64>, String> {
        let d = &self.driver;
        let inputs = kernel::inputs(form);
        let mut results = vec![0u64; form.results.len() * TUPLES];
        let (in_bytes, out_bytes) = (inputs.len().max(1) * 8, results.len() * 8);
        let (mut from, mut to, mut function) = (0u64, 0u64, null_mut());
        let name = CString::new(name).map_err(|e| e.to_string())?;
        unsafe {
            check("cuMemAlloc", (d.allocate)(&mut from, in_bytes))?;
            check("cuMemAlloc", (d.allocate)(&mut to, out_bytes))?;
            check(
                "cuMemcpyHtoD",
                (d.upload)(from, inputs.as_ptr().cast(), inputs.len() * 8),
            )?;
            check("cuMemsetD8", (d.clear)(to, 0, out_bytes))?;
            check(
                "cuModuleGetFunction",
                (d.function)(&mut function, module, name.as_ptr()),
            )?;
            let mut arguments = [(&raw mut from).cast::<c_void>(), (&raw mut to).cast()];
            let status = (d.launch)(
                function,
                TUPLES as u32 / 128,
                1,
                1,
                128,
                1,
                1,
                0,
                null_mut(),
                arguments.as_mut_ptr(),
                null_mut(),
            );
            check(&format!("cuLaunchKernel of `{}`", form.text), status)?;
            check(
                &format!("kernel of `{}`", form.text),
                (d.context_synchronize)(),
            )?;
            check(
                "cuMemcpyDtoH",
                (d.download)(results.as_mut_ptr().cast(), to, out_bytes),
            )?;
            (d.free)(from);
            (d.free)(to);
        }
        Ok(results)
    }
}
