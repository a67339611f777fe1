//! Safe wrappers of the driver functions that are measured: one call each, so that what is timed is the call.
#![allow(
    unsafe_code,
    reason = "the edge to libcuda: every call passes addresses of live objects of this file"
)]

use std::ffi::{CStr, c_void};
use std::fmt;
use std::ptr::{null, null_mut};

use gvirtus_wire::api::types::error;

use crate::driver::Driver;

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;
/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`.
const CAPTURE_THREAD_LOCAL: u32 = 1;
/// `CU_DEVICE_ATTRIBUTE_CLOCK_RATE`, in kHz.
const CLOCK_RATE: u32 = 13;

/// Two kernels: one that does nothing, with the parameters of a small real one, and one that keeps a multiprocessor busy for a number of clock cycles.
const KERNELS: &CStr = c".version 7.0
.target sm_70
.address_size 64
.visible .entry nothing(.param .u64 pointer, .param .u32 count, .param .f32 factor)
{
    ret;
}
.visible .entry spin(.param .u64 cycles)
{
    .reg .u64 %rd<5>;
    .reg .pred %p<2>;
    ld.param.u64 %rd1, [cycles];
    mov.u64 %rd2, %clock64;
again:
    mov.u64 %rd3, %clock64;
    sub.u64 %rd4, %rd3, %rd2;
    setp.lt.u64 %p1, %rd4, %rd1;
    @%p1 bra again;
    ret;
}
";

/// A driver call that failed, or a driver that is not there.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failed {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

#[cold]
fn failure(call: &str, status: i32) -> Failed {
    let name = error::NAMES
        .iter()
        .find(|(code, _)| *code == status)
        .map_or("an unknown error", |(_, name)| name);
    Failed(format!("{call}: {name} ({status})"))
}

/// Calls a driver function with addresses of live objects or handles that the driver gave.
macro_rules! cu { ($driver:expr, $name:ident($($argument:expr),* $(,)?)) => {
    match $driver.$name {
        // SAFETY: the arguments are numbers, handles that the driver gave, and addresses of objects that outlive the call (or, for asynchronous copies, of `Pinned` and
        // `Device` memory that is freed by the driver alone, which waits).
        Some(function) => match unsafe { function($($argument),*) } {
            error::SUCCESS => Ok(()),
            status => Err(failure(stringify!($name), status)),
        },
        None => Err(Failed(format!("libcuda.so.1 has no {}", stringify!($name)))),
    }
} }

/// A handle as a number, so that threads may share what holds it: the driver's handles are good on every thread.
#[derive(Clone, Copy)]
struct Handle(usize);

impl Handle {
    fn of(pointer: *mut c_void) -> Self {
        Self(pointer as usize)
    }

    fn pointer(self) -> *mut c_void {
        self.0 as *mut c_void
    }
}

/// The driver and a device's primary context, current on the thread that made it.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    driver: &'static Driver,
    device: i32,
    handle: Handle,
}

impl Context {
    /// Everything that a program does before its first real call: loads and initialises the driver and takes the first device's primary context.
    pub(crate) fn first() -> Result<Self> {
        let driver = Driver::load().map_err(|e| Failed(e.to_string()))?;
        let driver: &'static Driver = Box::leak(Box::new(driver));
        cu!(driver, cuInit(0))?;
        let mut count = 0;
        cu!(driver, cuDeviceGetCount(&raw mut count))?;
        if count == 0 {
            return Err(Failed("the driver finds no device".into()));
        }
        Self::of(driver, 0)
    }

    fn of(driver: &'static Driver, ordinal: i32) -> Result<Self> {
        let mut device = 0;
        cu!(driver, cuDeviceGet(&raw mut device, ordinal))?;
        let mut handle = null_mut();
        cu!(driver, cuDevicePrimaryCtxRetain(&raw mut handle, device))?;
        let context = Self {
            driver,
            device,
            handle: Handle::of(handle),
        };
        context.enter()?;
        Ok(context)
    }

    /// The context of another device, made current.
    pub(crate) fn other(self, ordinal: i32) -> Result<Self> {
        Self::of(self.driver, ordinal)
    }

    /// Makes it current on this thread.
    pub(crate) fn enter(self) -> Result<()> {
        cu!(self.driver, cuCtxSetCurrent(self.handle.pointer()))
    }

    pub(crate) fn devices(self) -> Result<i32> {
        let mut count = 0;
        cu!(self.driver, cuDeviceGetCount(&raw mut count))?;
        Ok(count)
    }

    pub(crate) fn driver_version(self) -> Result<i32> {
        let mut version = 0;
        cu!(self.driver, cuDriverGetVersion(&raw mut version))?;
        Ok(version)
    }

    pub(crate) fn name(self) -> Result<String> {
        let mut name = [0u8; 256];
        cu!(
            self.driver,
            cuDeviceGetName(name.as_mut_ptr().cast(), 255, self.device)
        )?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(0);
        Ok(String::from_utf8_lossy(&name[..end]).into_owned())
    }

    /// Clock cycles of a second, roughly.
    pub(crate) fn clock_rate(self) -> Result<f64> {
        let mut khz = 0;
        cu!(
            self.driver,
            cuDeviceGetAttribute(&raw mut khz, CLOCK_RATE, self.device)
        )?;
        Ok(f64::from(khz.max(1)) * 1e3)
    }

    pub(crate) fn synchronize(self) -> Result<()> {
        cu!(self.driver, cuCtxSynchronize())
    }

    pub(crate) fn stream(self) -> Result<Stream> {
        let mut stream = null_mut();
        cu!(self.driver, cuStreamCreate(&raw mut stream, NON_BLOCKING))?;
        Ok(Stream {
            driver: self.driver,
            handle: Handle::of(stream),
        })
    }

    pub(crate) fn event(self) -> Result<Event> {
        let mut event = null_mut();
        cu!(self.driver, cuEventCreate(&raw mut event, 0))?;
        Ok(Event {
            driver: self.driver,
            handle: Handle::of(event),
        })
    }

    pub(crate) fn device_memory(self, bytes: usize) -> Result<Device> {
        let mut address = 0;
        cu!(self.driver, cuMemAlloc_v2(&raw mut address, bytes))?;
        Ok(Device {
            driver: self.driver,
            address,
            bytes,
        })
    }

    /// Pinned host memory, touched.
    pub(crate) fn pinned(self, bytes: usize) -> Result<Pinned> {
        let mut address = null_mut();
        cu!(
            self.driver,
            cuMemHostAlloc(&raw mut address, bytes.max(1), 0)
        )?;
        // SAFETY: the driver has just given that many bytes, and nobody else has them.
        unsafe { address.cast::<u8>().write_bytes(1, bytes) };
        Ok(Pinned {
            driver: self.driver,
            address: Handle::of(address),
            bytes,
        })
    }

    pub(crate) fn module(self) -> Result<Module> {
        let mut module = null_mut();
        cu!(
            self.driver,
            cuModuleLoadData(&raw mut module, KERNELS.as_ptr().cast())
        )?;
        let kernel = |name: &CStr| {
            let mut function = null_mut();
            cu!(
                self.driver,
                cuModuleGetFunction(&raw mut function, module, name.as_ptr())
            )?;
            Ok(Handle::of(function))
        };
        Ok(Module {
            driver: self.driver,
            nothing: kernel(c"nothing")?,
            spin: kernel(c"spin")?,
        })
    }

    pub(crate) fn copy_in(self, to: &Device, from: &[u8]) -> Result<()> {
        to.holds(from.len())?;
        cu!(
            self.driver,
            cuMemcpyHtoD_v2(to.address, from.as_ptr().cast(), from.len())
        )
    }

    pub(crate) fn copy_out(self, to: &mut [u8], from: &Device) -> Result<()> {
        from.holds(to.len())?;
        cu!(
            self.driver,
            cuMemcpyDtoH_v2(to.as_mut_ptr().cast(), from.address, to.len())
        )
    }

    /// A copy between devices; `peer` is the context of `from`'s device.
    pub(crate) fn copy_from_peer(
        self,
        to: &Device,
        from: &Device,
        peer: Self,
        bytes: usize,
        stream: &Stream,
    ) -> Result<()> {
        to.holds(bytes)?;
        from.holds(bytes)?;
        cu!(
            self.driver,
            cuMemcpyPeerAsync(
                to.address,
                self.handle.pointer(),
                from.address,
                peer.handle.pointer(),
                bytes,
                stream.handle.pointer()
            )
        )
    }

    /// Lets kernels and copies of this context use the peer's memory; whether it is possible.
    pub(crate) fn reach(self, peer: Self) -> Result<bool> {
        let mut can = 0;
        cu!(
            self.driver,
            cuDeviceCanAccessPeer(&raw mut can, self.device, peer.device)
        )?;
        if can != 0 {
            self.enter()?;
            cu!(self.driver, cuCtxEnablePeerAccess(peer.handle.pointer(), 0))?;
        }
        Ok(can != 0)
    }
}

/// A stream that does not wait for the legacy default stream.
pub(crate) struct Stream {
    driver: &'static Driver,
    handle: Handle,
}

impl Stream {
    pub(crate) fn synchronize(&self) -> Result<()> {
        cu!(self.driver, cuStreamSynchronize(self.handle.pointer()))
    }

    pub(crate) fn copy_in(&self, to: &Device, from: &Pinned, bytes: usize) -> Result<()> {
        to.holds(bytes)?;
        from.holds(bytes)?;
        cu!(
            self.driver,
            cuMemcpyHtoDAsync_v2(
                to.address,
                from.address.pointer().cast_const(),
                bytes,
                self.handle.pointer()
            )
        )
    }

    pub(crate) fn copy_out(&self, to: &Pinned, from: &Device, bytes: usize) -> Result<()> {
        to.holds(bytes)?;
        from.holds(bytes)?;
        cu!(
            self.driver,
            cuMemcpyDtoHAsync_v2(
                to.address.pointer(),
                from.address,
                bytes,
                self.handle.pointer()
            )
        )
    }

    pub(crate) fn fill(&self, what: &Device, bytes: usize) -> Result<()> {
        what.holds(bytes)?;
        cu!(
            self.driver,
            cuMemsetD8Async(what.address, 0, bytes, self.handle.pointer())
        )
    }

    /// What `issue` enqueues on this stream, as a graph ready to launch.
    pub(crate) fn graph(&self, issue: impl FnOnce() -> Result<()>) -> Result<Graph> {
        cu!(
            self.driver,
            cuStreamBeginCapture_v2(self.handle.pointer(), CAPTURE_THREAD_LOCAL)
        )?;
        let issued = issue();
        let mut graph = null_mut();
        cu!(
            self.driver,
            cuStreamEndCapture(self.handle.pointer(), &raw mut graph)
        )?;
        issued?;
        let mut exec = null_mut();
        cu!(
            self.driver,
            cuGraphInstantiateWithFlags(&raw mut exec, graph, 0)
        )?;
        cu!(self.driver, cuGraphDestroy(graph))?;
        Ok(Graph {
            driver: self.driver,
            handle: Handle::of(exec),
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The figures are printed by now; a driver that fails here has failed before.
        let _ = cu!(self.driver, cuStreamDestroy_v2(self.handle.pointer()));
    }
}

/// A graph, instantiated.
pub(crate) struct Graph {
    driver: &'static Driver,
    handle: Handle,
}

impl Graph {
    pub(crate) fn launch(&self, stream: &Stream) -> Result<()> {
        cu!(
            self.driver,
            cuGraphLaunch(self.handle.pointer(), stream.handle.pointer())
        )
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = cu!(self.driver, cuGraphExecDestroy(self.handle.pointer()));
    }
}

/// An event that takes the time.
pub(crate) struct Event {
    driver: &'static Driver,
    handle: Handle,
}

impl Event {
    pub(crate) fn record(&self, stream: &Stream) -> Result<()> {
        cu!(
            self.driver,
            cuEventRecord(self.handle.pointer(), stream.handle.pointer())
        )
    }

    pub(crate) fn synchronize(&self) -> Result<()> {
        cu!(self.driver, cuEventSynchronize(self.handle.pointer()))
    }

    pub(crate) fn milliseconds_until(&self, end: &Self) -> Result<f32> {
        let mut milliseconds = 0.0;
        cu!(
            self.driver,
            cuEventElapsedTime(
                &raw mut milliseconds,
                self.handle.pointer(),
                end.handle.pointer()
            )
        )?;
        Ok(milliseconds)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let _ = cu!(self.driver, cuEventDestroy_v2(self.handle.pointer()));
    }
}

/// Device memory.
pub(crate) struct Device {
    driver: &'static Driver,
    address: u64,
    bytes: usize,
}

impl Device {
    fn holds(&self, bytes: usize) -> Result<()> {
        holds(self.bytes, bytes)
    }

    /// Frees it, and says whether that worked.
    pub(crate) fn free(mut self) -> Result<()> {
        cu!(self.driver, cuMemFree_v2(std::mem::take(&mut self.address)))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.address != 0 {
            let _ = cu!(self.driver, cuMemFree_v2(self.address));
        }
    }
}

/// Pinned host memory. Its bytes are out of this program's reach: copies may be under way.
pub(crate) struct Pinned {
    driver: &'static Driver,
    address: Handle,
    bytes: usize,
}

impl Pinned {
    fn holds(&self, bytes: usize) -> Result<()> {
        holds(self.bytes, bytes)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = cu!(self.driver, cuMemFreeHost(self.address.pointer()));
    }
}

fn holds(has: usize, wanted: usize) -> Result<()> {
    if wanted > has {
        return Err(Failed(format!("{wanted} bytes of a buffer of {has}")));
    }
    Ok(())
}

/// The kernels, loaded into the context that was current.
pub(crate) struct Module {
    driver: &'static Driver,
    nothing: Handle,
    spin: Handle,
}

impl Module {
    /// One block of the kernel that does nothing.
    pub(crate) fn launch_nothing(&self, stream: &Stream) -> Result<()> {
        let (mut pointer, mut count, mut factor) = (0u64, 0u32, 1.0f32);
        let mut parameters: [*mut c_void; 3] = [
            (&raw mut pointer).cast(),
            (&raw mut count).cast(),
            (&raw mut factor).cast(),
        ];
        self.launch(self.nothing, 32, &mut parameters, stream)
    }

    /// One thread that waits for that many clock cycles.
    pub(crate) fn launch_spin(&self, mut cycles: u64, stream: &Stream) -> Result<()> {
        self.launch(self.spin, 1, &mut [(&raw mut cycles).cast()], stream)
    }

    fn launch(
        &self,
        kernel: Handle,
        threads: u32,
        parameters: &mut [*mut c_void],
        stream: &Stream,
    ) -> Result<()> {
        cu!(
            self.driver,
            cuLaunchKernel(
                kernel.pointer(),
                1,
                1,
                1,
                threads,
                1,
                1,
                0,
                stream.handle.pointer(),
                parameters.as_mut_ptr(),
                null::<*mut c_void>().cast_mut()
            )
        )
    }
}
