//! Kernel launches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::Launch;
use gvirtus_wire::api::types::{CUlaunchAttribute, CUlaunchConfig, CUstreamAttrValue};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use smallvec::SmallVec;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED, Result};
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

    fn launch(&self, command: &Launch, function: &Function, stream: Handle) -> Result<()> {
        let block = &command.params;
        if block.len() < function.least {
            return Err(ERROR_INVALID_VALUE);
        }
        let base = block.as_ptr();
        let mut pointers: SmallVec<[*mut std::ffi::c_void; 32]> = SmallVec::new();
        let mut size = block.len();
        let mut extra = [
            PARAM_BUFFER as *mut std::ffi::c_void,
            base.cast_mut().cast(),
            PARAM_SIZE as *mut _,
            (&raw mut size).cast(),
            PARAM_END as *mut _,
        ];
        let (params, extra) = match &function.params {
            Some(layout) => {
                // Every offset plus size is within the block, see `least`.
                pointers.extend(
                    layout
                        .iter()
                        .map(|(offset, _)| base.wrapping_add(*offset as usize).cast_mut().cast()),
                );
                (pointers.as_mut_ptr(), std::ptr::null_mut())
            }
            None => (std::ptr::null_mut(), extra.as_mut_ptr()),
        };
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

/// Stream and function of the last launch. The next is often on the same, and looking both up costs more than all else between two launches. Any other command forgets them first, so
/// nothing outlives what the client destroys.
pub(crate) struct Last {
    /// The client's numbers.
    context: u32,
    id: u32,
    stream: Arc<Stream>,
    function: Option<(u32, Arc<Function>)>,
}

impl Last {
    fn is_on(&self, header: &Header, stream: u32) -> bool {
        self.context == header.context
            && self.id == stream
            && self.stream.context().alive.load(Ordering::Acquire)
    }
}

impl Handler<Launch> for Session {
    /// On the thread that reads frames.
    fn handle(&self, header: &Header, command: Launch) -> Result<Answer<()>> {
        if header.wants_reply() {
            return self.launch_anywhere(header, &command);
        }
        let mut guard = self.last_launch.lock();
        if !guard
            .as_ref()
            .is_some_and(|last| last.is_on(header, command.stream))
        {
            *guard = None;
        }
        let last = match &mut *guard {
            Some(last) => last,
            none => none.insert(Last {
                context: header.context,
                id: command.stream,
                stream: self.stream(header, command.stream)?,
                function: None,
            }),
        };
        self.on(header, &last.stream, |stream| {
            let function = match &mut last.function {
                Some((id, function)) if *id == command.function => function,
                other => {
                    &other
                        .insert((command.function, self.functions.get(command.function)?))
                        .1
                }
            };
            self.launch(&command, function, stream.raw)
        })
        .map(Answer::Now)
    }
}

impl Session {
    /// A launch on any thread that is given a stream's launches.
    pub(crate) fn launch_anywhere(&self, header: &Header, command: &Launch) -> Result<Answer<()>> {
        self.on_stream_then_reply(header, command.stream, |stream| {
            let function = self.functions.get(command.function)?;
            self.launch(command, &function, stream.raw)
        })
    }
}
