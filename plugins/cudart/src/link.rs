//! Linking at run time.

use std::ffi::{CString, c_void};
use std::sync::Arc;

use gvirtus_wire::api::core::{
    JitReport, LinkAdd, LinkComplete, LinkCreate, LinkDestroy, LinkImage,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::{Header, MAX_PAYLOAD};
use parking_lot::Mutex;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result, is_sticky};
use crate::jit::{Jit, numbers};
use crate::session::Session;

/// `CUjitInputType` ends here: cubin, PTX, fat binary, object, library, NVVM.
const INPUT_TYPES: u32 = 6;
/// The most bytes of inputs that one link may keep.
const MOST_INPUT: usize = 1 << 30;

/// A link under way.
pub(crate) struct Link {
    raw: Handle,
    state: Mutex<State>,
}

/// What the driver looks at until the link is destroyed.
struct State {
    jit: Jit,
    inputs: Vec<Vec<u8>>,
}

impl Session {
    fn outcome(&self, state: &State, done: Result<()>) -> Result<JitReport> {
        match done {
            Err(status) if is_sticky(status) => Err(status),
            done => Ok(state.jit.report(done)),
        }
    }
}

impl Handler<LinkCreate> for Session {
    fn handle(&self, header: &Header, command: LinkCreate) -> Result<Answer<()>> {
        self.links.vacant(command.link)?;
        self.enter(header)?;
        let mut jit = Jit::new(&command.options)?;
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuLinkCreate_v2(jit.count(), jit.options(), jit.values(), &raw mut raw)
        )?;
        let link = Arc::new(Link {
            raw: Handle::of(raw),
            state: Mutex::new(State {
                jit,
                inputs: Vec::new(),
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
        let (mut options, mut values): (Vec<u32>, Vec<*mut c_void>) =
            numbers(&command.options)?.into_iter().unzip();
        let mut input = self.read_image(header)?;
        self.host.may_block();
        let mut state = link.state.lock();
        let kept: usize = state.inputs.iter().map(Vec::len).sum();
        if kept + input.len() > MOST_INPUT {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let done = cu!(
            self.driver,
            cuLinkAddData_v2(
                link.raw.ptr(),
                command.kind,
                input.as_mut_ptr().cast(),
                header.bulk as usize,
                name.as_ptr(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        );
        state.inputs.push(input);
        self.outcome(&state, done).map(Answer::Now)
    }
}

impl Handler<LinkComplete> for Session {
    fn handle(&self, header: &Header, command: LinkComplete) -> Result<Answer<LinkImage>> {
        let link = self.links.get(command.link)?;
        self.enter(header)?;
        self.host.may_block();
        let state = link.state.lock();
        let (mut cubin, mut size) = (std::ptr::null_mut::<c_void>(), 0);
        let done = cu!(
            self.driver,
            cuLinkComplete(link.raw.ptr(), &raw mut cubin, &raw mut size)
        );
        let report = self.outcome(&state, done)?;
        let mut image = Vec::new();
        if done.is_ok() && !cubin.is_null() {
            if size > MAX_PAYLOAD as usize / 2 {
                return Err(ERROR_OUT_OF_MEMORY);
            }
            // SAFETY: the driver's image, `size` bytes that live until the link is destroyed, which waits for the state's lock.
            image
                .extend_from_slice(unsafe { std::slice::from_raw_parts(cubin.cast::<u8>(), size) });
        }
        Ok(Answer::Now(LinkImage { report, image }))
    }
}

impl Handler<LinkDestroy> for Session {
    fn handle(&self, header: &Header, command: LinkDestroy) -> Result<Answer<()>> {
        let link = self.links.remove(command.link)?;
        self.enter(header)?;
        let _state = link.state.lock();
        cu!(self.driver, cuLinkDestroy(link.raw.ptr())).map(Answer::Now)
    }
}
