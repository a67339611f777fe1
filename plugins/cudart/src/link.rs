//! Linking at run time.

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    JitReport, LinkAdd, LinkComplete, LinkCreate, LinkDestroy, LinkImage, LinkRead,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::{Header, MAX_PAYLOAD};
use parking_lot::Mutex;

use crate::compiler::compile;
use crate::contexts::Context;
use crate::driver::{Handle, cu};
use crate::errors::{
    ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result, is_sticky,
};
use crate::jit::{Jit, Options};
use crate::session::Session;

/// `CUjitInputType` ends here: cubin, PTX, fat binary, object, library, NVVM.
const INPUT_TYPES: u32 = 6;
/// The most bytes of inputs that one link may keep.
const MOST_INPUT: usize = 1 << 30;
/// An image travels in pieces of so many bytes.
const PIECE: usize = MAX_PAYLOAD as usize / 2;

/// A link under way.
pub(crate) struct Link {
    context: Arc<Context>,
    state: Mutex<State>,
}

/// What the driver looks at until the link is destroyed.
struct State {
    /// `None` once it is destroyed: a command of another thread may still hold the link then.
    raw: Option<Handle>,
    jit: Jit,
    inputs: Vec<Vec<u8>>,
    /// Address and size of the image that the driver made; it lives as long as the driver's link.
    image: (usize, usize),
}

impl State {
    fn raw(&self) -> Result<Handle> {
        self.raw.ok_or(ERROR_INVALID_HANDLE)
    }

    /// The image from `offset`, as much as fits a reply.
    fn piece(&self, offset: u64) -> Result<Vec<u8>> {
        let (address, size) = self.image;
        let offset = usize::try_from(offset)
            .ok()
            .filter(|offset| self.raw.is_some() && *offset <= size)
            .ok_or(ERROR_INVALID_VALUE)?;
        if size == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: the driver's image of `size` bytes, which lives until the link is destroyed; that needs the lock that guards this state.
        let image = unsafe { std::slice::from_raw_parts(address as *const u8, size) };
        Ok(image[offset..size.min(offset + PIECE)].to_vec())
    }
}

impl Link {
    /// Ends it, once. Waits for commands that use it.
    fn destroy(&self) -> Result<()> {
        let mut state = self.state.lock();
        match state.raw.take() {
            Some(raw) if self.context.alive.load(Ordering::Acquire) => {
                compile(&self.context, || {
                    cu!(self.context.driver, cuLinkDestroy(raw.ptr()))
                })
            }
            _ => Ok(()),
        }
    }
}

impl Session {
    fn outcome(&self, state: &State, done: Result<()>) -> Result<JitReport> {
        match done {
            Err(status) if is_sticky(status) => Err(status),
            done => Ok(state.jit.report(done)),
        }
    }

    /// Ends the links of a context that is about to go.
    pub(crate) fn forget_links(&self, context: &Arc<Context>) {
        for link in self.links.drain(|link| Arc::ptr_eq(&link.context, context)) {
            let _ = link.destroy();
        }
    }
}

impl Handler<LinkCreate> for Session {
    fn handle(&self, header: &Header, command: LinkCreate) -> Result<Answer<()>> {
        self.links.vacant(command.link)?;
        let context = self.enter(header)?;
        let mut jit = Jit::new(&command.options)?;
        let raw = compile(&context, || {
            let mut raw = std::ptr::null_mut();
            let (count, options, values) = jit.arrays();
            cu!(
                self.driver,
                cuLinkCreate_v2(count, options, values, &raw mut raw)
            )?;
            Ok(Handle::of(raw))
        })?;
        let link = Arc::new(Link {
            context,
            state: Mutex::new(State {
                raw: Some(raw),
                jit,
                inputs: Vec::new(),
                image: (0, 0),
            }),
        });
        self.links.store(command.link, Ok(link)).map(Answer::Now)
    }
}

impl Handler<LinkAdd> for Session {
    fn handle(&self, header: &Header, command: LinkAdd) -> Result<Answer<JitReport>> {
        let link = self.links.get(command.link)?;
        self.enter(header)?;
        let name = CString::new(command.name).map_err(|_| ERROR_INVALID_VALUE)?;
        if command.kind >= INPUT_TYPES {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut options = Options::new(&command.options)?;
        let mut input = self.read_image(header)?;
        self.host.may_block();
        let mut state = link.state.lock();
        let raw = state.raw()?;
        let kept: usize = state.inputs.iter().map(Vec::len).sum();
        if kept + input.len() > MOST_INPUT {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let done = compile(&link.context, || {
            let (count, options, values) = options.arrays();
            cu!(
                self.driver,
                cuLinkAddData_v2(
                    raw.ptr(),
                    command.kind,
                    input.as_mut_ptr().cast(),
                    header.bulk as usize,
                    name.as_ptr(),
                    count,
                    options,
                    values,
                )
            )
        });
        state.inputs.push(input);
        self.outcome(&state, done).map(Answer::Now)
    }
}

impl Handler<LinkComplete> for Session {
    fn handle(&self, header: &Header, command: LinkComplete) -> Result<Answer<LinkImage>> {
        let link = self.links.get(command.link)?;
        self.enter(header)?;
        self.host.may_block();
        let mut state = link.state.lock();
        let raw = state.raw()?;
        let done = compile(&link.context, || {
            let (mut image, mut size) = (std::ptr::null_mut::<c_void>(), 0);
            cu!(
                self.driver,
                cuLinkComplete(raw.ptr(), &raw mut image, &raw mut size)
            )?;
            Ok((image as usize, size))
        });
        state.image = match done {
            Ok((image, size)) if image != 0 => (image, size),
            _ => (0, 0),
        };
        let report = self.outcome(&state, done.map(drop))?;
        Ok(Answer::Now(LinkImage {
            report,
            size: state.image.1 as u64,
            image: state.piece(0)?,
        }))
    }
}

impl Handler<LinkRead> for Session {
    fn handle(&self, _: &Header, command: LinkRead) -> Result<Answer<Vec<u8>>> {
        let link = self.links.get(command.link)?;
        let piece = link.state.lock().piece(command.offset);
        piece.map(Answer::Now)
    }
}

impl Handler<LinkDestroy> for Session {
    fn handle(&self, _: &Header, command: LinkDestroy) -> Result<Answer<()>> {
        // It may have gone with its context already.
        match self.links.remove(command.link) {
            Ok(link) => link.destroy().map(Answer::Now),
            Err(_) => Ok(Answer::Now(())),
        }
    }
}
