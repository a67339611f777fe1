//! What nvcc's generated code registers while a program is being loaded: fat binaries, kernels, variables.
//!
//! Nothing is sent then. A fat binary becomes a module of a context when one of its kernels or variables is first used there, or of a library if it has managed variables; the
//! driver picks the image that suits the device. A kernel's driver function is looked up once per context and kept beside the kernel, so that a launch costs two look-ups without a
//! lock held by others.
//!
//! What is registered stays allocated for the life of the process: pointers to kernels are handed out (`cudaGetKernel`).

use crate::context::{cu, current, is_primary, narrow, outside_captures, unless_found};
use crate::error::{
    INVALID_DEVICE_FUNCTION, INVALID_KERNEL_IMAGE, INVALID_RESOURCE_HANDLE, INVALID_SYMBOL,
    NO_KERNEL_IMAGE_FOR_DEVICE, Result,
};
use gvirtus_wire::api::types::{
    CUcontext, CUdeviceptr, CUfunction, CUkernel, CUlibrary, CUlinkState, CUmodule,
};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// What a context is known by: its handle, and for contexts that are no device's primary one the driver's number too, since handles of destroyed contexts come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContextKey(usize, u64);

impl ContextKey {
    fn of(context: CUcontext) -> Self {
        if is_primary(context) {
            return Self(context as usize, 0);
        }
        let mut id = 0;
        // A driver without numbers (before CUDA 12) leaves 0.
        let _ = cu!(cuCtxGetId(context, &mut id));
        Self(context as usize, id)
    }
}

/// A registered fat binary.
#[derive(Debug)]
pub(crate) struct FatBinary {
    /// The data that the program's wrapper points to, as an address.
    data: usize,
    /// For relocatable device code: the list of what was to be linked, as an address; 0 otherwise.
    parts: usize,
    /// What it was registered by, as an address.
    registered: usize,
    /// It has managed variables.
    managed: AtomicBool,
    /// With those, the driver's library of it: 0 before its first use.
    library: Mutex<usize>,
    modules: Mutex<Vec<(ContextKey, usize)>>,
}

/// The start of what `__cudaRegisterFatBinary` is given.
#[repr(C)]
struct Wrapper {
    magic: u32,
    version: u32,
    data: *const c_void,
    prelinked: *const c_void,
}
const WRAPPER_MAGIC: u32 = 0x466243b1;
/// The version of wrappers that nvcc's link step makes: `prelinked` is a list of fat binaries that ends in a null pointer.
const WRAPPER_OF_LINKED_CODE: u32 = 2;

/// The start of a fat binary.
#[repr(C)]
struct FatBinaryHeader {
    magic: u32,
    version: u16,
    header_size: u16,
    size: u64,
}
const FAT_BINARY_MAGIC: u32 = 0xba55_ed50;

impl FatBinary {
    fn module(&self, context: CUcontext) -> Result<CUmodule> {
        let key = ContextKey::of(context);
        let mut modules = self.modules.lock();
        if let Some(&(_, module)) = modules.iter().find(|(of, _)| *of == key) {
            return Ok(module as CUmodule);
        }
        let module = outside_captures(|| {
            if self.managed.load(Ordering::Acquire) {
                return self.library_module();
            }
            let mut module: CUmodule = null_mut();
            match cu!(cuModuleLoadData(&mut module, self.data as *const c_void)) {
                // What was linked suits no device here (or there is nothing but parts): link for this one.
                Err(NO_KERNEL_IMAGE_FOR_DEVICE) if self.parts != 0 => self.link(),
                result => result.map(|()| module),
            }
        })?;
        modules.push((key, module as usize));
        Ok(module)
    }

    /// The library's module in the current context. Managed variables are the program's and not a context's, so the driver keeps what they hold when a context is reset. It has a copy of
    /// the image: a shared object may be closed while the driver still has its library.
    fn library_module(&self) -> Result<CUmodule> {
        let mut library = self.library.lock();
        if *library == 0 {
            let mut loaded: CUlibrary = null_mut();
            let (image, none) = (self.registered as *const c_void, null_mut());
            cu!(cuLibraryLoadData(
                &mut loaded,
                image,
                none,
                null_mut(),
                0,
                null_mut(),
                null_mut(),
                0
            ))?;
            *library = loaded as usize;
        }
        let mut module: CUmodule = null_mut();
        cu!(cuLibraryGetModule(&mut module, *library as CUlibrary))?;
        Ok(module)
    }

    /// Links relocatable device code for the current device.
    fn link(&self) -> Result<CUmodule> {
        /// Destroys the linker's state, and the image with it.
        struct Linker(CUlinkState);
        impl Drop for Linker {
            fn drop(&mut self) {
                let _ = cu!(cuLinkDestroy(self.0));
            }
        }
        const INPUT_FATBINARY: u32 = 2;
        let mut linker = Linker(null_mut());
        cu!(cuLinkCreate_v2(0, null_mut(), null_mut(), &mut linker.0))?;
        let mut next = self.parts as *const *mut c_void;
        loop {
            // SAFETY: nvcc's code ends the list with a null pointer, and each entry points to a fat binary.
            let (part, header) =
                unsafe { (next.read(), next.read().cast::<FatBinaryHeader>().as_ref()) };
            let Some(header) = header else { break };
            if header.magic != FAT_BINARY_MAGIC {
                return Err(INVALID_KERNEL_IMAGE);
            }
            let _ = header.version;
            let size = usize::from(header.header_size).saturating_add(narrow(header.size)?);
            cu!(cuLinkAddData_v2(
                linker.0,
                INPUT_FATBINARY,
                part,
                size,
                c"".as_ptr(),
                0,
                null_mut(),
                null_mut()
            ))?;
            // SAFETY: this entry is not the last.
            next = unsafe { next.add(1) };
        }
        let (mut image, mut size, mut module) = (null_mut(), 0, null_mut());
        cu!(cuLinkComplete(linker.0, &mut image, &mut size))?;
        cu!(cuModuleLoadData(&mut module, image))?;
        Ok(module)
    }
}

/// Where a kernel comes from.
#[derive(Debug)]
enum Source {
    /// A registered fat binary's entry of this name.
    Registered(&'static FatBinary, CString),
    /// A kernel of a library that the program loaded (`cudaLibraryGetKernel`).
    Library(usize),
}

/// A kernel that the program can name.
#[derive(Debug)]
pub(crate) struct Kernel {
    source: Source,
    /// The primary contexts that it was used in, with its function there. Filled from the front, never reordered.
    slots: [Slot; SLOTS],
    /// The same for the contexts that found no slot.
    others: Mutex<Vec<(ContextKey, usize)>>,
    /// What the program set with `cudaFuncSetAttribute`: CUDA 13 keeps it when a device is reset.
    attributes: Mutex<Vec<(u32, i32)>>,
}
const SLOTS: usize = 8;

/// A pair that is read without a lock: the function is written before the context, and does not change while the context stands.
#[derive(Debug, Default)]
struct Slot {
    context: AtomicPtr<c_void>,
    function: AtomicPtr<c_void>,
}

impl Kernel {
    fn new(source: Source) -> Self {
        Self {
            source,
            slots: Default::default(),
            others: Mutex::default(),
            attributes: Mutex::default(),
        }
    }

    /// The driver's function of this kernel in a context.
    #[inline]
    pub(crate) fn function(&self, context: CUcontext) -> Result<CUfunction> {
        for slot in &self.slots {
            let of = slot.context.load(Ordering::Acquire);
            if of == context {
                return Ok(slot.function.load(Ordering::Acquire));
            }
            if of.is_null() {
                break;
            }
        }
        self.find(context)
    }

    #[cold]
    fn find(&self, context: CUcontext) -> Result<CUfunction> {
        let key = ContextKey::of(context);
        let mut others = self.others.lock();
        if let Some(&(_, function)) = others.iter().find(|(of, _)| *of == key) {
            return Ok(function as CUfunction);
        }
        let mut function: CUfunction = null_mut();
        match &self.source {
            Source::Registered(binary, name) => {
                let module = binary.module(context)?;
                unless_found(
                    outside_captures(|| {
                        cu!(cuModuleGetFunction(&mut function, module, name.as_ptr()))
                    }),
                    INVALID_DEVICE_FUNCTION,
                )?;
            }
            Source::Library(kernel) => {
                outside_captures(|| cu!(cuKernelGetFunction(&mut function, *kernel as CUkernel)))?
            }
        }
        for &(attribute, value) in self.attributes.lock().iter() {
            cu!(cuFuncSetAttribute(function, attribute, value))?;
        }
        let free = self
            .slots
            .iter()
            .find(|slot| slot.context.load(Ordering::Acquire).is_null());
        match free {
            // `others` is locked: nobody else fills slots.
            Some(slot) if is_primary(context) => {
                slot.function.store(function, Ordering::Release);
                slot.context.store(context, Ordering::Release);
            }
            _ => others.push((key, function as usize)),
        }
        Ok(function)
    }

    /// Whether that is the driver's function of this kernel in some context.
    fn is(&self, function: CUfunction) -> bool {
        let here = |slot: &Slot| {
            !slot.context.load(Ordering::Acquire).is_null()
                && slot.function.load(Ordering::Acquire) == function
        };
        let listed = |(_, known): &(ContextKey, usize)| *known == function as usize;
        self.slots.iter().any(here) || self.others.lock().iter().any(listed)
    }

    /// Remembers an attribute that was set.
    pub(crate) fn remember(&self, attribute: u32, value: i32) {
        let mut attributes = self.attributes.lock();
        attributes.retain(|(known, _)| *known != attribute);
        attributes.push((attribute, value));
    }

    fn forget(&self, context: CUcontext, keep_attributes: bool) {
        let mut others = self.others.lock();
        others.retain(|(of, _)| of.0 != context as usize);
        let kept: Vec<(*mut c_void, *mut c_void)> = self
            .slots
            .iter()
            .map(|slot| {
                (
                    slot.context.load(Ordering::Acquire),
                    slot.function.load(Ordering::Acquire),
                )
            })
            .filter(|(of, _)| !of.is_null() && *of != context)
            .collect();
        for slot in &self.slots {
            slot.context.store(null_mut(), Ordering::Release);
        }
        for (slot, (of, function)) in self.slots.iter().zip(kept) {
            slot.function.store(function, Ordering::Release);
            slot.context.store(of, Ordering::Release);
        }
        if !keep_attributes {
            self.attributes.lock().clear();
        }
    }
}

/// A `__device__`, `__constant__` or `__managed__` variable.
#[derive(Debug)]
pub(crate) struct Variable {
    binary: &'static FatBinary,
    name: CString,
    addresses: Mutex<Vec<(ContextKey, CUdeviceptr, usize)>>,
}

impl Variable {
    /// Where the variable lies in a context, and how many bytes it has.
    pub(crate) fn address(&self, context: CUcontext) -> Result<(CUdeviceptr, usize)> {
        let key = ContextKey::of(context);
        let mut addresses = self.addresses.lock();
        if let Some(&(_, address, size)) = addresses.iter().find(|(of, ..)| *of == key) {
            return Ok((address, size));
        }
        let module = self.binary.module(context)?;
        let (mut address, mut size) = (0, 0);
        unless_found(
            outside_captures(|| {
                cu!(cuModuleGetGlobal_v2(
                    &mut address,
                    &mut size,
                    module,
                    self.name.as_ptr()
                ))
            }),
            INVALID_SYMBOL,
        )?;
        addresses.push((key, address, size));
        Ok((address, size))
    }
}

/// Addresses are spread well by one multiplication; the standard hasher would cost more than the rest of a launch.
#[derive(Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }
    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ address as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

type Addresses<T> = RwLock<HashMap<usize, T, BuildHasherDefault<AddressHasher>>>;

/// Kernels by what the program calls them: the address of the host function, or a `cudaKernel_t`.
static KERNELS: LazyLock<Addresses<&'static Kernel>> = LazyLock::new(RwLock::default);
/// Variables by the address of their host shadow.
static VARIABLES: LazyLock<Addresses<&'static Variable>> = LazyLock::new(RwLock::default);
/// Fat binaries by handle, with the names that they registered.
static BINARIES: LazyLock<Mutex<Vec<Registration>>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
struct Registration {
    binary: &'static FatBinary,
    kernels: Vec<usize>,
    variables: Vec<usize>,
    /// Those of the variables that are managed: where host code keeps their addresses.
    managed: Vec<usize>,
    /// Where the managed variables lie, as host code was told.
    told: Told,
}

/// What host code was told of a fat binary's managed variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// Their addresses in that context.
    In(usize),
    /// Their addresses in that context, which was reset since.
    Before(usize),
}

/// The kernel that a program names. What is not known is taken for a `cudaKernel_t` that is none, as NVIDIA's runtime does.
#[inline]
pub(crate) fn kernel(name: *const c_void) -> Result<&'static Kernel> {
    if name.is_null() {
        return Err(INVALID_DEVICE_FUNCTION);
    }
    KERNELS
        .read()
        .get(&(name as usize))
        .copied()
        .ok_or(INVALID_RESOURCE_HANDLE)
}

/// The variable that a program names.
pub(crate) fn variable(name: *const c_void) -> Result<&'static Variable> {
    VARIABLES
        .read()
        .get(&(name as usize))
        .copied()
        .ok_or(INVALID_SYMBOL)
}

/// What a program calls the kernel of that driver function: the address of its host function if it has one.
pub(crate) fn name_of(function: CUfunction) -> Option<*const c_void> {
    let kernels = KERNELS.read();
    let mut found = kernels.iter().filter(|(_, kernel)| kernel.is(function));
    let (mut name, kernel) = found.next()?;
    // A registered kernel has two names; one is where we keep it.
    if *name == std::ptr::from_ref(*kernel).addr()
        && let Some((other, _)) = found.next()
    {
        name = other;
    }
    Some(*name as *const c_void)
}

/// Lets a program launch a kernel of a library that it loaded.
pub(crate) fn add_library_kernel(kernel: CUkernel) {
    KERNELS
        .write()
        .entry(kernel as usize)
        .or_insert_with(|| Box::leak(Box::new(Kernel::new(Source::Library(kernel as usize)))));
}

/// Forgets what was loaded into a context that was reset.
pub(crate) fn forget_context(context: CUcontext, keep_attributes: bool) {
    for registration in BINARIES.lock().iter_mut() {
        if registration.told == Told::In(context as usize) {
            registration.told = Told::Before(context as usize);
        }
        registration
            .binary
            .modules
            .lock()
            .retain(|(of, _)| of.0 != context as usize);
    }
    for kernel in KERNELS.read().values() {
        kernel.forget(context, keep_attributes);
    }
    for variable in VARIABLES.read().values() {
        variable
            .addresses
            .lock()
            .retain(|(of, ..)| of.0 != context as usize);
    }
}

/// Registers a fat binary; returns its handle.
pub unsafe fn __cudaRegisterFatBinary(fatCubin: *mut c_void) -> *mut *mut c_void {
    // SAFETY: nvcc's code passes a wrapper; the magic number says so before its other fields are used.
    let (data, parts) = unsafe {
        match fatCubin.cast::<Wrapper>().as_ref() {
            Some(wrapper) if wrapper.magic == WRAPPER_MAGIC => {
                let linked = wrapper.version == WRAPPER_OF_LINKED_CODE;
                (
                    wrapper.data as usize,
                    if linked {
                        wrapper.prelinked as usize
                    } else {
                        0
                    },
                )
            }
            _ => (fatCubin as usize, 0),
        }
    };
    let binary: &'static FatBinary = Box::leak(Box::new(FatBinary {
        data,
        parts,
        registered: fatCubin as usize,
        managed: AtomicBool::new(false),
        library: Mutex::default(),
        modules: Mutex::default(),
    }));
    BINARIES.lock().push(Registration {
        binary,
        kernels: Vec::new(),
        variables: Vec::new(),
        managed: Vec::new(),
        told: Told::Nothing,
    });
    std::ptr::from_ref(binary).cast_mut().cast()
}

/// Ends the registration that `__cudaRegisterFatBinary` began.
pub unsafe fn __cudaRegisterFatBinaryEnd(_fatCubinHandle: *mut *mut c_void) {}

/// Forgets a fat binary and what it registered. Its modules stay loaded: this runs while the process ends, when the driver is no longer to be called.
pub unsafe fn __cudaUnregisterFatBinary(fatCubinHandle: *mut *mut c_void) {
    let mut binaries = BINARIES.lock();
    let Some(at) = binaries
        .iter()
        .position(|known| std::ptr::from_ref(known.binary).addr() == fatCubinHandle.addr())
    else {
        return;
    };
    let registration = binaries.swap_remove(at);
    let mut kernels = KERNELS.write();
    for name in &registration.kernels {
        kernels.remove(name);
    }
    let mut variables = VARIABLES.write();
    for name in &registration.variables {
        variables.remove(name);
    }
}

/// Finds a registration by its handle, which the program made of what we gave it: it is compared, never followed.
fn with_registration(handle: *mut *mut c_void, register: impl FnOnce(&mut Registration)) {
    if let Some(known) = BINARIES
        .lock()
        .iter_mut()
        .find(|known| std::ptr::from_ref(known.binary).addr() == handle.addr())
    {
        register(known);
    }
}

fn owned(name: *const c_char) -> CString {
    if name.is_null() {
        return CString::default();
    }
    // SAFETY: nvcc's code passes string literals.
    unsafe { CStr::from_ptr(name) }.to_owned()
}

/// Registers a kernel under the address of its host function.
pub unsafe fn __cudaRegisterFunction(
    fatCubinHandle: *mut *mut c_void,
    hostFun: *const c_char,
    _deviceFun: *mut c_char,
    deviceName: *const c_char,
    _thread_limit: i32,
    _tid: *mut c_void,
    _bid: *mut c_void,
    _bDim: *mut c_void,
    _gDim: *mut c_void,
    _wSize: *mut i32,
) {
    with_registration(fatCubinHandle, |registration| {
        let kernel: &'static Kernel = Box::leak(Box::new(Kernel::new(Source::Registered(
            registration.binary,
            owned(deviceName),
        ))));
        let mut kernels = KERNELS.write();
        for name in [hostFun as usize, std::ptr::from_ref(kernel).addr()] {
            kernels.insert(name, kernel);
            registration.kernels.push(name);
        }
    });
}

fn add_variable(handle: *mut *mut c_void, host: usize, name: *const c_char) {
    with_registration(handle, |registration| {
        let variable: &'static Variable = Box::leak(Box::new(Variable {
            binary: registration.binary,
            name: owned(name),
            addresses: Mutex::default(),
        }));
        VARIABLES.write().insert(host, variable);
        registration.variables.push(host);
    });
}

/// Registers a device variable under the address of its host shadow.
pub unsafe fn __cudaRegisterVar(
    fatCubinHandle: *mut *mut c_void,
    hostVar: *mut c_char,
    _deviceAddress: *mut c_char,
    deviceName: *const c_char,
    _ext: i32,
    _size: usize,
    _constant: i32,
    _global: i32,
) {
    add_variable(fatCubinHandle, hostVar as usize, deviceName);
}

/// Registers a managed variable: the pointer by which host code reaches it. `__cudaInitModule` sets it.
pub unsafe fn __cudaRegisterManagedVar(
    fatCubinHandle: *mut *mut c_void,
    hostVarPtrAddress: *mut *mut c_void,
    _deviceAddress: *mut c_char,
    deviceName: *const c_char,
    _ext: i32,
    _size: usize,
    _constant: i32,
    _global: i32,
) {
    add_variable(fatCubinHandle, hostVarPtrAddress as usize, deviceName);
    with_registration(fatCubinHandle, |registration| {
        registration.binary.managed.store(true, Ordering::Release);
        registration.managed.push(hostVarPtrAddress as usize);
    });
}

/// Called before host code first uses a managed variable of the module: loads it for the current device, and tells host code where its variables are. 0 if that fails: the
/// next use tries again.
pub unsafe fn __cudaInitModule(fatCubinHandle: *mut *mut c_void) -> c_char {
    let mut pointers = Vec::new();
    with_registration(fatCubinHandle, |registration| {
        pointers.clone_from(&registration.managed);
    });
    let told = current().and_then(|context| tell(&pointers, context).map(|()| context));
    match told {
        Ok(context) => {
            with_registration(fatCubinHandle, |registration| {
                registration.told = Told::In(context as usize);
            });
            c_char::from(true)
        }
        Err(error) => {
            cannot_be_reached(error);
            c_char::from(false)
        }
    }
}

/// Tells host code where its managed variables are in a context, which is current.
fn tell(pointers: &[usize], context: CUcontext) -> Result {
    for &pointer in pointers {
        let found = variable(pointer as *const c_void)?;
        let (address, _) = found.address(context)?;
        // Programs name the variable by the pointer or by what it points to.
        VARIABLES.write().insert(address as usize, found);
        // SAFETY: nvcc's code registered the address of a pointer of its own.
        unsafe { (pointer as *mut *mut c_void).write(address as *mut c_void) };
    }
    Ok(())
}

fn cannot_be_reached(error: crate::error::Error) {
    eprintln!(
        "GVirtuS: the managed variables of a module cannot be reached (cudaError {})",
        error.0
    );
}

/// A context that was reset is there again, and current: its managed variables may lie elsewhere now, and nvcc's code does not ask again.
pub(crate) fn renew_managed(context: CUcontext) {
    let before = Told::Before(context as usize);
    let stale: Vec<(usize, Vec<usize>)> = BINARIES
        .lock()
        .iter()
        .filter(|known| known.told == before)
        .map(|known| {
            let binary = std::ptr::from_ref(known.binary).addr();
            (binary, known.managed.clone())
        })
        .collect();
    for (binary, pointers) in stale {
        if let Err(error) = tell(&pointers, context) {
            cannot_be_reached(error);
            continue;
        }
        with_registration(std::ptr::without_provenance_mut(binary), |registration| {
            registration.told = Told::In(context as usize);
        });
    }
}
