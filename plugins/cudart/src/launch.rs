//! Kernel launches.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::Launch;
use gvirtus_wire::api::types::{CUlaunchAttribute, CUlaunchConfig, CUstreamAttrValue};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use smallvec::SmallVec;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
use crate::launch_chain::{Held, IN_A_ROW, LONG};
use crate::modules::Function;
use crate::session::Session;
use crate::streams::Stream;

/// `CU_LAUNCH_PARAM_END`, `_BUFFER_POINTER`, `_BUFFER_SIZE`.
const PARAM_END: usize = 0;
const PARAM_BUFFER: usize = 1;
const PARAM_SIZE: usize = 2;
/// `CU_LAUNCH_ATTRIBUTE_*`.
const COOPERATIVE: u32 = 2;
const PROGRAMMATIC_EVENT: u32 = 7;
const LAUNCH_COMPLETION_EVENT: u32 = 12;
const DEVICE_UPDATABLE_NODE: u32 = 13;
const LAST_KNOWN: u32 = 16;
/// The most attributes of one launch.
const MOST_ATTRIBUTES: usize = 32;

/// Launch attributes, in place: most launches have none.
pub(crate) type Attributes = SmallVec<[CUlaunchAttribute; 4]>;

/// Arguments as the driver takes them: an address for each, or addresses of one block and its size.
pub(crate) type Pointers = *mut *mut c_void;

/// Calls `issue` with a launch's arguments in the two forms of `cuLaunchKernel`, of which one is null.
///
/// # Errors
/// `CUDA_ERROR_INVALID_VALUE` if there are fewer bytes than the kernel's parameters take.
#[inline]
pub(crate) fn with_params(
    block: &[u8],
    function: &Function,
    issue: impl FnOnce(Pointers, Pointers) -> Result<()>,
) -> Result<()> {
    if block.len() < function.least {
        return Err(ERROR_INVALID_VALUE);
    }
    let base = block.as_ptr();
    match &function.params {
        Some(layout) => {
            // Every offset plus size is within the block, see `least`.
            let mut pointers: SmallVec<[*mut c_void; 32]> = layout
                .iter()
                .map(|(offset, _)| base.wrapping_add(*offset as usize).cast_mut().cast())
                .collect();
            issue(pointers.as_mut_ptr(), std::ptr::null_mut())
        }
        None => {
            let mut size = block.len();
            let mut extra = [
                PARAM_BUFFER as *mut c_void,
                base.cast_mut().cast(),
                PARAM_SIZE as *mut _,
                (&raw mut size).cast(),
                PARAM_END as *mut _,
            ];
            issue(std::ptr::null_mut(), extra.as_mut_ptr())
        }
    }
}

impl Session {
    /// Attributes as the driver takes them; ids of events become its handles.
    pub(crate) fn launch_attributes(&self, attributes: &[(u32, [u8; 64])]) -> Result<Attributes> {
        if attributes.len() > MOST_ATTRIBUTES {
            return Err(ERROR_INVALID_VALUE);
        }
        attributes
            .iter()
            .map(|(id, bytes)| {
                let mut words = [0u64; 8];
                for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                    *word = u64::from_le_bytes(chunk.try_into().map_err(|_| ERROR_INVALID_VALUE)?);
                }
                match *id {
                    PROGRAMMATIC_EVENT | LAUNCH_COMPLETION_EVENT => {
                        let event = u32::try_from(words[0]).map_err(|_| ERROR_INVALID_VALUE)?;
                        words[0] = self.events.get(event)?.raw.0 as u64;
                    }
                    // It hands out a pointer, and numbers beyond what is known may hold one.
                    DEVICE_UPDATABLE_NODE => return Err(ERROR_NOT_SUPPORTED),
                    id if id > LAST_KNOWN => return Err(ERROR_NOT_SUPPORTED),
                    _ => {}
                }
                Ok(CUlaunchAttribute {
                    id: *id,
                    pad: [0; 4],
                    value: CUstreamAttrValue { words },
                })
            })
            .collect()
    }

    pub(crate) fn launch(
        &self,
        command: &Launch,
        function: &Function,
        stream: Handle,
    ) -> Result<()> {
        let launched = with_params(&command.params, function, |params, extra| {
            self.launch_with(command, function, stream, params, extra)
        });
        if launched == Err(ERROR_NOT_SUPPORTED) {
            // Such as kernels that launch graphs, which only a graph may hold: a chain would let them.
            function.unchainable.store(true, Ordering::Relaxed);
        }
        launched
    }

    fn launch_with(
        &self,
        command: &Launch,
        function: &Function,
        stream: Handle,
        params: Pointers,
        extra: Pointers,
    ) -> Result<()> {
        let [gx, gy, gz] = command.grid;
        let [bx, by, bz] = command.block;
        if command.attributes.is_empty() {
            return cu!(
                self.driver,
                cuLaunchKernel(
                    function.raw.ptr(),
                    gx,
                    gy,
                    gz,
                    bx,
                    by,
                    bz,
                    command.shared,
                    stream.ptr(),
                    params,
                    extra
                )
            );
        }
        let mut attributes = self.launch_attributes(&command.attributes)?;
        if self.driver.cuLaunchKernelEx.is_none()
            && let [only] = attributes.as_slice()
            && only.id == COOPERATIVE
        {
            return cu!(
                self.driver,
                cuLaunchCooperativeKernel(
                    function.raw.ptr(),
                    gx,
                    gy,
                    gz,
                    bx,
                    by,
                    bz,
                    command.shared,
                    stream.ptr(),
                    params
                )
            );
        }
        let config = CUlaunchConfig {
            gridDimX: gx,
            gridDimY: gy,
            gridDimZ: gz,
            blockDimX: bx,
            blockDimY: by,
            blockDimZ: bz,
            sharedMemBytes: command.shared,
            hStream: stream.ptr(),
            attrs: attributes.as_mut_ptr(),
            numAttrs: attributes.len() as u32,
        };
        cu!(
            self.driver,
            cuLaunchKernelEx(&raw const config, function.raw.ptr(), params, extra)
        )
    }
}

/// Stream and function of the last launch or library's call. The next is often on the same, and looking both up costs more than all else between two launches. Any other command of the
/// core forgets them first, but for the most frequent of those that destroy nothing: so nothing outlives what the client destroys.
pub(crate) struct Last {
    /// The client's numbers.
    context: u32,
    id: u32,
    pub(crate) stream: Arc<Stream>,
    function: Option<(u32, Arc<Function>)>,
    /// How many launches came on this stream one behind the other.
    in_a_row: u32,
    /// Launches that are not issued yet, because more are waiting to go with them.
    held: Vec<Held>,
}

impl Last {
    fn is_on(&self, header: &Header, stream: u32) -> bool {
        self.context == header.context
            && self.id == stream
            && self.stream.context().alive.load(Ordering::Acquire)
    }
}

/// The function with that number, which takes the place of the last one if it is another.
#[inline]
fn last_function<'a>(
    last: &'a mut Option<(u32, Arc<Function>)>,
    session: &Session,
    id: u32,
) -> Result<&'a Arc<Function>> {
    if last.as_ref().is_none_or(|(last, _)| *last != id) {
        *last = Some((id, session.functions.get(id)?));
    }
    let known = last.as_ref().map(|(_, function)| function);
    known.ok_or(ERROR_INVALID_HANDLE)
}

impl Handler<Launch> for Session {
    /// On the thread that reads frames.
    fn handle(&self, header: &Header, command: Launch) -> Result<Answer<()>> {
        if header.wants_reply() {
            self.forget_last_launch();
            return self.launch_anywhere(header, &command);
        }
        let mut guard = self.last.lock();
        let last = self.last_stream(&mut guard, header, command.stream)?;
        last.in_a_row = last.in_a_row.saturating_add(1);
        // Held for others only if there are some, or are about to be.
        if last.in_a_row > IN_A_ROW
            && self.chainable(&command, &last.stream)
            && (!last.held.is_empty() || self.host.frame_waits())
            && let Ok(function) =
                last_function(&mut last.function, self, command.function).map(Arc::clone)
        {
            last.held.push(Held::new(*header, command, function));
            if last.held.len() >= LONG || !self.host.frame_waits() {
                self.issue(&last.stream, &mut last.held);
            }
            return Ok(Answer::Now(()));
        }
        self.issue(&last.stream, &mut last.held);
        let function = &mut last.function;
        self.on(header, &last.stream, 1, |stream| {
            let function = last_function(function, self, command.function)?;
            self.launch(&command, function, stream.raw)
        })
        .map(Answer::Now)
    }
}

impl Session {
    /// What was last used, on that stream of the frame's context.
    #[inline]
    pub(crate) fn last_stream<'a>(
        &self,
        last: &'a mut Option<Last>,
        header: &Header,
        stream: u32,
    ) -> Result<&'a mut Last> {
        if !last.as_ref().is_some_and(|last| last.is_on(header, stream)) {
            self.forget(last.take());
        }
        Ok(match last {
            Some(last) => last,
            none => none.insert(Last {
                context: header.context,
                id: stream,
                stream: self.stream(header, stream)?,
                function: None,
                in_a_row: 0,
                held: Vec::new(),
            }),
        })
    }

    /// Before a command that is no launch: those that are held go first, and nothing of the last one is kept.
    #[inline]
    pub(crate) fn forget_last_launch(&self) {
        let last = self.last.lock().take();
        self.forget(last);
    }

    /// Before a command that is no launch and destroys nothing.
    #[inline]
    pub(crate) fn issue_held_launches(&self) {
        if let Some(last) = self.last.lock().as_mut() {
            self.issue_held_of(last);
        }
    }

    /// Before a command of another kind on the same stream.
    #[inline]
    pub(crate) fn issue_held_of(&self, last: &mut Last) {
        self.issue(&last.stream, &mut last.held);
        last.in_a_row = 0;
    }

    pub(crate) fn forget(&self, last: Option<Last>) {
        if let Some(mut last) = last {
            self.issue(&last.stream, &mut last.held);
        }
    }

    /// A launch on any thread that is given a stream's launches.
    pub(crate) fn launch_anywhere(&self, header: &Header, command: &Launch) -> Result<Answer<()>> {
        self.on_stream_then_reply(header, command.stream, |stream| {
            let function = self.functions.get(command.function)?;
            self.launch(command, &function, stream.raw)
        })
    }
}
