//! Modules, their kernels and globals.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gvirtus_wire::api::core::{
    FunctionInfo, FunctionSetAttribute, FunctionSetCacheConfig, GetFunction, GlobalInfo,
    GlobalReply, IMAGE_MISSING, IMAGE_THERE, IMAGES_NOT_KEPT, ModuleInfo, ModuleLoad, ModuleUnload,
    Occupancy,
};
use gvirtus_wire::api::types::CUlaunchConfig;
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use gvirtus_wire::image::prints;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::compiler::compile;
use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{
    ERROR_INVALID_IMAGE, ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, ERROR_UNKNOWN, Result, is_sticky,
};
use crate::host;
use crate::image_cache::{self, ImageCache};
use crate::jit::Jit;
use crate::session::Session;

/// Modules with more kernels tell of them one by one.
const EAGER: u32 = 64;
/// An image is read in steps of so many bytes, and followed by so many zeros.
const READ_STEP: usize = 8 << 20;
const PADDING: usize = 16;
/// `CU_POINTER_ATTRIBUTE_IS_MANAGED`.
const IS_MANAGED: u32 = 8;
/// The longest name of a kernel or global.
const LONGEST_NAME: usize = 64 << 10;
/// The last `CU_FUNC_ATTRIBUTE_*` and `CU_FUNC_CACHE_*`; `CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE`.
const LAST_ATTRIBUTE: u32 = 15;
const LAST_CACHE_CONFIG: u32 = 3;
const DISABLE_CACHING_OVERRIDE: u32 = 1;
/// More parameters than any kernel has.
const MOST_PARAMS: usize = 4096;
/// A module of the client.
pub(crate) struct Module {
    pub(crate) raw: Handle,
    context: Arc<Context>,
    loaded: AtomicBool,
    /// Kernels that were asked for, by name.
    functions: Mutex<HashMap<String, u32>>,
    /// Addresses of globals that were asked for.
    globals: Mutex<Vec<u64>>,
    /// A driver may look at the image for as long as the module is loaded.
    _image: Vec<u8>,
    /// And at the options and logs that it was loaded with.
    _jit: Jit,
}

impl Module {
    /// Unloads it, once. May wait for the GPU.
    fn unload(&self) -> Result<()> {
        if self.loaded.swap(false, Ordering::AcqRel) && self.context.alive.load(Ordering::Acquire) {
            cu!(self.context.driver, cuModuleUnload(self.raw.ptr()))?;
        }
        Ok(())
    }
}

/// How a binary begins.
const ELF: &[u8] = b"\x7fELF";

/// A kernel.
pub(crate) struct Function {
    pub(crate) raw: Handle,
    /// Offset and size of each parameter; `None` where the driver cannot tell.
    pub(crate) params: Option<Vec<(u32, u32)>>,
    /// The fewest bytes of a packed parameter block.
    pub(crate) least: usize,
    /// It cannot be a node of a chain, see [`launch_chain`](crate::launch_chain).
    pub(crate) unchainable: AtomicBool,
    /// Keeps the module loaded while a launch is being issued.
    module: Arc<Module>,
}

impl Session {
    /// Unloads the modules of a context that is about to go.
    pub(crate) fn forget_modules(&self, context: &Arc<Context>) {
        let modules = self
            .modules
            .drain(|module| Arc::ptr_eq(&module.context, context));
        for module in modules {
            self.forget_module(&module);
            let _ = module.unload();
        }
    }

    fn forget_module(&self, module: &Arc<Module>) {
        self.forget_chains(&module.context);
        for address in module.globals.lock().drain(..) {
            self.memory.remove_global(address);
        }
        for function in module.functions.lock().drain() {
            self.functions.unmint(function.1);
        }
        self.forget_references(module);
    }

    /// Gives a kernel an id and gathers what the client wants to know of it.
    fn describe(&self, module: &Arc<Module>, name: &str, raw: Handle) -> Result<FunctionInfo> {
        let driver = self.driver;
        let mut loaded = 0;
        if cu!(driver, cuFuncIsLoaded(&raw mut loaded, raw.ptr())).is_ok() && loaded == 0 {
            // Where loading is lazy a kernel that was enumerated has no thread, constant and shared memory limits to tell before.
            cu!(driver, cuFuncLoad(raw.ptr()))?;
        }
        let mut params = Vec::new();
        if driver.cuFuncGetParamInfo.is_some() {
            for index in 0..MOST_PARAMS {
                let (mut offset, mut size) = (0, 0);
                if cu!(
                    driver,
                    cuFuncGetParamInfo(raw.ptr(), index, &raw mut offset, &raw mut size)
                )
                .is_err()
                {
                    break;
                }
                let narrow = |n: usize| u32::try_from(n).map_err(|_| ERROR_UNKNOWN);
                params.push((narrow(offset)?, narrow(size)?));
            }
        }
        let attributes = (0..=LAST_ATTRIBUTE)
            .filter_map(|attribute| {
                let mut value = 0;
                cu!(
                    driver,
                    cuFuncGetAttribute(&raw mut value, attribute, raw.ptr())
                )
                .ok()
                .map(|()| (attribute, value))
            })
            .collect();
        let mut functions = module.functions.lock();
        let function = match functions.get(name) {
            Some(known) => *known,
            None => {
                let id = self.functions.mint(Arc::new(Function {
                    raw,
                    least: params
                        .iter()
                        .map(|(offset, size)| *offset as usize + *size as usize)
                        .max()
                        .unwrap_or(0),
                    params: driver.cuFuncGetParamInfo.map(|_| params.clone()),
                    unchainable: AtomicBool::new(false),
                    module: Arc::clone(module),
                }))?;
                functions.insert(name.to_owned(), id);
                id
            }
        };
        Ok(FunctionInfo {
            function,
            name: name.to_owned(),
            params,
            attributes,
        })
    }

    /// All kernels of a small module.
    fn enumerate(&self, module: &Arc<Module>) -> Result<(Vec<FunctionInfo>, bool, u32)> {
        let driver = self.driver;
        if driver.cuModuleGetFunctionCount.is_none()
            || driver.cuModuleEnumerateFunctions.is_none()
            || driver.cuFuncGetName.is_none()
        {
            return Ok((Vec::new(), false, 0));
        }
        let mut count = 0;
        cu!(
            driver,
            cuModuleGetFunctionCount(&raw mut count, module.raw.ptr())
        )?;
        if count > EAGER {
            return Ok((Vec::new(), false, count));
        }
        let mut raw = vec![std::ptr::null_mut::<c_void>(); count as usize];
        if count > 0 {
            cu!(
                driver,
                cuModuleEnumerateFunctions(raw.as_mut_ptr(), count, module.raw.ptr())
            )?;
        }
        let mut functions = Vec::with_capacity(raw.len());
        for function in raw {
            let mut name: *const c_char = std::ptr::null();
            cu!(driver, cuFuncGetName(&raw mut name, function))?;
            if name.is_null() {
                return Err(ERROR_UNKNOWN);
            }
            // SAFETY: the driver gives a NUL-terminated name that lives as long as the module.
            let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
            functions.push(self.describe(module, &name, Handle::of(function))?);
        }
        Ok((functions, true, count))
    }

    /// The frame's bulk, followed by zeros: PTX is NUL-terminated text, and the client need not have sent the NUL.
    pub(crate) fn read_image(&self, header: &Header) -> Result<Vec<u8>> {
        if header.bulk == 0 {
            return Err(ERROR_INVALID_IMAGE);
        }
        if header.bulk > self.config.max_image_bytes {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let len = header.bulk as usize;
        let mut image = Vec::new();
        while image.len() < len {
            // Memory is taken for what has come, not for what was announced.
            let at = image.len();
            let step = (len - at).min(READ_STEP);
            image
                .try_reserve(step + PADDING)
                .map_err(|_| ERROR_OUT_OF_MEMORY)?;
            image.resize(at + step, 0);
            // SAFETY: the vector holds `step` bytes from `at`; handlers run on the dispatching thread and have not called `may_block` yet.
            if !unsafe { self.host.read_bulk(image.as_mut_ptr().add(at), step) } {
                return Err(ERROR_UNKNOWN);
            }
        }
        image.resize(len + PADDING, 0);
        check_container(&image[..len])?;
        Ok(image)
    }

    /// Images that earlier sessions have used, if some are kept.
    fn image_cache(&self) -> Option<&ImageCache> {
        let open = || {
            let settings = self.config.module_cache.as_ref()?;
            ImageCache::open(settings, &self.host.identity())
                .inspect_err(|e| {
                    self.host
                        .log(host::WARN, &format!("no images of modules are kept: {e}"));
                })
                .ok()
        };
        self.image_cache.get_or_init(open).as_ref()
    }

    /// An image that is only named, or `IMAGE_*` that says why not.
    fn known_image(
        &self,
        header: &Header,
        hash: &[u8; 32],
        len: u64,
    ) -> Result<std::result::Result<Vec<u8>, u8>> {
        if header.bulk != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        if len > self.config.max_image_bytes {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let Some(cache) = self.image_cache() else {
            return Ok(Err(IMAGES_NOT_KEPT));
        };
        self.host.may_block();
        let Some(image) = cache.get(hash, len, PADDING) else {
            return Ok(Err(IMAGE_MISSING));
        };
        check_container(&image[..image.len() - PADDING])?;
        Ok(Ok(image))
    }

    fn keep_image(&self, hash: &[u8; 32], image: &[u8]) {
        if image.len() as u64 >= image_cache::SMALLEST
            && let Some(cache) = self.image_cache()
            && let Err(e) = cache.put(hash, image)
        {
            self.host
                .log(host::WARN, &format!("a module's image is not kept: {e}"));
        }
    }

    fn read_hashed_image(&self, header: &Header, hash: &[u8; 32]) -> Result<Vec<u8>> {
        let image = self.read_image(header)?;
        let len = image.len() - PADDING;
        if Sha256::digest(&image[..len]).as_slice() != hash {
            self.host.log(
                host::WARN,
                "a module's image does not have the hash that was announced",
            );
            return Err(ERROR_INVALID_IMAGE);
        }
        Ok(image)
    }
}

/// Binary images say themselves how long they are, and the driver believes them.
fn check_container(image: &[u8]) -> Result<()> {
    let u16_at = |at: usize| {
        image
            .get(at..at + 2)
            .and_then(|b| b.try_into().ok())
            .map(u16::from_le_bytes)
    };
    let u64_at = |at: usize| {
        image
            .get(at..at + 8)
            .and_then(|b| b.try_into().ok())
            .map(u64::from_le_bytes)
    };
    let len = image.len() as u64;
    let fits = if image.starts_with(ELF) {
        (|| {
            let sections =
                u64_at(40)?.checked_add(u64::from(u16_at(58)?) * u64::from(u16_at(60)?))?;
            let segments =
                u64_at(32)?.checked_add(u64::from(u16_at(54)?) * u64::from(u16_at(56)?))?;
            Some(sections <= len && segments <= len)
        })()
    } else if image.starts_with(&[0x50, 0xed, 0x55, 0xba]) {
        (|| Some(u64::from(u16_at(6)?).checked_add(u64_at(8)?)? <= len))()
    } else {
        Some(true)
    };
    if fits == Some(true) {
        Ok(())
    } else {
        Err(ERROR_INVALID_IMAGE)
    }
}

impl Handler<ModuleLoad> for Session {
    fn handle(&self, header: &Header, command: ModuleLoad) -> Result<Answer<ModuleInfo>> {
        self.modules.vacant(command.module)?;
        let context = self.enter(header)?;
        let mut image = match command.known {
            0 => self.read_hashed_image(header, &command.hash)?,
            len => match self.known_image(header, &command.hash, len)? {
                Ok(image) => image,
                Err(image) => {
                    return Ok(Answer::Now(ModuleInfo {
                        image,
                        ..ModuleInfo::default()
                    }));
                }
            },
        };
        if prints(&image) {
            self.output.expect();
        }
        // Nothing is compiled of a binary, so there is nothing to ask for and no log.
        let mut jit = if image.starts_with(ELF) {
            crate::jit::numbers(&command.options)?;
            Jit::default()
        } else {
            Jit::new(&command.options)?
        };
        self.host.may_block();
        if command.known == 0 {
            self.keep_image(&command.hash, &image[..image.len() - PADDING]);
        }
        let load = |jit: &mut Jit| {
            let mut raw = std::ptr::null_mut();
            let (count, options, values) = jit.arrays();
            self.host_functions.quietly(|| {
                cu!(
                    self.driver,
                    cuModuleLoadDataEx(&raw mut raw, image.as_ptr().cast(), count, options, values,)
                )
            })?;
            Ok(Handle::of(raw))
        };
        let loaded = if image.starts_with(ELF) {
            load(&mut jit)
        } else {
            compile(&context, || load(&mut jit))
        };
        if let Err(status) = loaded {
            let report = jit.report(Err(status));
            self.host.log(
                host::WARN,
                &format!(
                    "a module cannot be loaded ({}): {}",
                    crate::errors::name(status),
                    report.error_log
                ),
            );
            if is_sticky(status) {
                return Err(status);
            }
            return Ok(Answer::Now(ModuleInfo {
                report,
                ..ModuleInfo::default()
            }));
        }
        let raw = loaded?;
        let report = jit.report(Ok(()));
        // Only PTX and the CPU device's modules are worth keeping: the driver has copied what it needs of large binaries.
        if !self.cpu && image.starts_with(ELF) {
            image = Vec::new();
        }
        let module = Arc::new(Module {
            raw,
            context,
            loaded: AtomicBool::new(true),
            functions: Mutex::new(HashMap::new()),
            globals: Mutex::new(Vec::new()),
            _image: image,
            _jit: jit,
        });
        let (functions, complete, count) = match self.enumerate(&module) {
            Ok(known) => known,
            Err(status) => {
                self.forget_module(&module);
                let _ = module.unload();
                return Err(status);
            }
        };
        self.modules
            .store(command.module, Ok(Arc::clone(&module)))
            .inspect_err(|_| {
                self.forget_module(&module);
                let _ = module.unload();
            })?;
        Ok(Answer::Now(ModuleInfo {
            functions,
            complete,
            count,
            report,
            image: IMAGE_THERE,
        }))
    }
}

impl Handler<ModuleUnload> for Session {
    fn handle(&self, header: &Header, command: ModuleUnload) -> Result<Answer<()>> {
        let module = self.modules.remove(command.module)?;
        self.enter(header)?;
        self.forget_module(&module);
        module.context.make_current()?;
        self.host.may_block();
        let done = self.host_functions.quietly(|| module.unload());
        self.settle();
        done.map(Answer::Now)
    }
}

impl Handler<GetFunction> for Session {
    fn handle(&self, header: &Header, command: GetFunction) -> Result<Answer<FunctionInfo>> {
        let module = self.modules.get(command.module)?;
        self.enter(header)?;
        let name = checked_name(&command.name)?;
        // With lazy loading this may load the kernel, which may wait.
        self.host.may_block();
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuModuleGetFunction(&raw mut raw, module.raw.ptr(), name.as_ptr())
        )?;
        self.describe(&module, &command.name, Handle::of(raw))
            .map(Answer::Now)
    }
}

/// NVIDIA's driver looks an attribute up in a table without asking whether it is that long.
fn checked_attribute(attribute: u32) -> Result<()> {
    if attribute > LAST_ATTRIBUTE {
        return Err(ERROR_INVALID_VALUE);
    }
    Ok(())
}

fn checked_name(name: &str) -> Result<CString> {
    if name.len() > LONGEST_NAME {
        return Err(ERROR_INVALID_VALUE);
    }
    CString::new(name).map_err(|_| ERROR_INVALID_VALUE)
}

impl Handler<GlobalInfo> for Session {
    fn handle(&self, header: &Header, command: GlobalInfo) -> Result<Answer<GlobalReply>> {
        let module = self.modules.get(command.module)?;
        self.enter(header)?;
        let name = checked_name(&command.name)?;
        self.host.may_block();
        let (mut address, mut size) = (0, 0);
        cu!(
            self.driver,
            cuModuleGetGlobal_v2(
                &raw mut address,
                &raw mut size,
                module.raw.ptr(),
                name.as_ptr()
            )
        )?;
        let mut globals = module.globals.lock();
        if !globals.contains(&address) {
            globals.push(address);
            self.memory
                .add_global(address, size as u64, module.context.device);
        }
        drop(globals);
        // The driver writes a word or a byte.
        let mut managed = 0u32;
        let asked = cu!(
            self.driver,
            cuPointerGetAttribute((&raw mut managed).cast(), IS_MANAGED, address)
        );
        Ok(Answer::Now(GlobalReply {
            address,
            size: size as u64,
            managed: asked.is_ok() && managed != 0,
        }))
    }
}

impl Handler<FunctionSetAttribute> for Session {
    fn handle(&self, header: &Header, command: FunctionSetAttribute) -> Result<Answer<i32>> {
        let function = self.functions.get(command.function)?;
        self.enter(header)?;
        function.module.context.make_current()?;
        checked_attribute(command.attribute)?;
        cu!(
            self.driver,
            cuFuncSetAttribute(function.raw.ptr(), command.attribute, command.value)
        )?;
        let mut value = 0;
        cu!(
            self.driver,
            cuFuncGetAttribute(&raw mut value, command.attribute, function.raw.ptr())
        )?;
        Ok(Answer::Now(value))
    }
}

impl Handler<FunctionSetCacheConfig> for Session {
    fn handle(&self, header: &Header, command: FunctionSetCacheConfig) -> Result<Answer<()>> {
        let function = self.functions.get(command.function)?;
        self.enter(header)?;
        function.module.context.make_current()?;
        if command.config > LAST_CACHE_CONFIG {
            return Err(ERROR_INVALID_VALUE);
        }
        cu!(
            self.driver,
            cuFuncSetCacheConfig(function.raw.ptr(), command.config)
        )
        .map(Answer::Now)
    }
}

impl Handler<Occupancy> for Session {
    fn handle(&self, header: &Header, command: Occupancy) -> Result<Answer<u64>> {
        let function = self.functions.get(command.function)?;
        self.enter(header)?;
        function.module.context.make_current()?;
        let [x, y, z] = command.block;
        let threads = x
            .checked_mul(y)
            .and_then(|n| n.checked_mul(z))
            .and_then(|n| i32::try_from(n).ok())
            .ok_or(ERROR_INVALID_VALUE)?;
        let shared = usize::try_from(command.shared).map_err(|_| ERROR_INVALID_VALUE)?;
        if command.flags & !DISABLE_CACHING_OVERRIDE != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut answer = 0;
        match command.query {
            0 => cu!(
                self.driver,
                cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
                    &raw mut answer,
                    function.raw.ptr(),
                    threads,
                    shared,
                    command.flags
                )
            )?,
            1 => {
                let mut bytes = 0;
                let blocks = i32::try_from(command.blocks).map_err(|_| ERROR_INVALID_VALUE)?;
                cu!(
                    self.driver,
                    cuOccupancyAvailableDynamicSMemPerBlock(
                        &raw mut bytes,
                        function.raw.ptr(),
                        blocks,
                        threads
                    )
                )?;
                return Ok(Answer::Now(bytes as u64));
            }
            2 | 3 => {
                let mut attributes = self.launch_attributes(&command.attributes)?;
                let config = CUlaunchConfig {
                    gridDimX: command.grid[0],
                    gridDimY: command.grid[1],
                    gridDimZ: command.grid[2],
                    blockDimX: x,
                    blockDimY: y,
                    blockDimZ: z,
                    sharedMemBytes: u32::try_from(command.shared)
                        .map_err(|_| ERROR_INVALID_VALUE)?,
                    hStream: std::ptr::null_mut(),
                    attrs: attributes.as_mut_ptr(),
                    numAttrs: attributes.len() as u32,
                };
                if command.query == 2 {
                    cu!(
                        self.driver,
                        cuOccupancyMaxActiveClusters(
                            &raw mut answer,
                            function.raw.ptr(),
                            &raw const config
                        )
                    )?;
                } else {
                    cu!(
                        self.driver,
                        cuOccupancyMaxPotentialClusterSize(
                            &raw mut answer,
                            function.raw.ptr(),
                            &raw const config
                        )
                    )?;
                }
            }
            _ => return Err(ERROR_INVALID_VALUE),
        }
        u64::try_from(answer)
            .map(Answer::Now)
            .map_err(|_| ERROR_UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_longer_than_what_came_are_refused() {
        assert!(check_container(b".version 8.0\n").is_ok());
        assert!(check_container(b"\x7fELF").is_err());
        let mut elf = vec![0u8; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[40] = 64;
        assert!(check_container(&elf).is_ok());
        elf[58] = 64;
        elf[60] = 3;
        assert!(check_container(&elf).is_err());
        let mut fat = vec![0u8; 32];
        fat[..4].copy_from_slice(&[0x50, 0xed, 0x55, 0xba]);
        fat[6] = 16;
        fat[8] = 16;
        assert!(check_container(&fat).is_ok());
        fat[8] = 17;
        assert!(check_container(&fat).is_err());
    }
}
