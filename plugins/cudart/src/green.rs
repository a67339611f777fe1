//! Green contexts: what a device's multiprocessors are split into stays here, and the client has numbers for it.

use std::ffi::c_void;
use std::ptr::null_mut;

use gvirtus_wire::api::core::{
    FIRST_CREATED_CONTEXT, GreenContextCreate, ResourceGet, ResourceSplit,
};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::driver::{Driver, Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_OUT_OF_MEMORY, Result};
use crate::session::Session;

/// `CU_DEV_RESOURCE_TYPE_SM`.
const MULTIPROCESSORS: u32 = 1;
/// `CU_STREAM_NON_BLOCKING`: green contexts have no others.
const NON_BLOCKING: u32 = 1;
/// The most pieces that a session may have.
const MOST_PIECES: usize = 1 << 16;
/// The most groups that one split may make.
const MOST_GROUPS: u32 = 1024;
/// Where a resource has its figures, in words.
const FIGURES: usize = 24;

/// `CUdevResource`, most of which is the driver's own.
type Resource = [u32; 36];

/// What a piece is, for the client.
type Told = (u32, [u32; 3]);

/// The pieces of a session.
#[derive(Default)]
pub(crate) struct Pieces(Mutex<Vec<Resource>>);

impl Pieces {
    fn keep(&self, resource: Resource) -> Result<Told> {
        let figures = std::array::from_fn(|k| resource[FIGURES + k]);
        let mut all = self.0.lock();
        // The same again, as programs ask for it again, is no new piece.
        let number = match all.iter().position(|known| *known == resource) {
            Some(known) => known,
            None if all.len() == MOST_PIECES => return Err(ERROR_OUT_OF_MEMORY),
            None => {
                all.push(resource);
                all.len() - 1
            }
        };
        Ok((number as u32, figures))
    }

    fn get(&self, number: u32) -> Result<Resource> {
        let all = self.0.lock();
        all.get(number as usize).copied().ok_or(ERROR_INVALID_VALUE)
    }
}

/// A stream of a green context, by the driver's handles.
pub(crate) fn stream(driver: &Driver, green: Handle, priority: i32) -> Result<Handle> {
    let mut raw = null_mut();
    cu!(
        driver,
        cuGreenCtxStreamCreate(&raw mut raw, green.ptr(), NON_BLOCKING, priority)
    )?;
    Ok(Handle::of(raw))
}

impl Handler<ResourceGet> for Session {
    fn handle(&self, header: &Header, _: ResourceGet) -> Result<Answer<Told>> {
        let context = self.enter(header)?;
        let mut resource: Resource = [0; 36];
        let to = resource.as_mut_ptr().cast::<c_void>();
        if context.green != Handle(0) {
            let green = context.green.ptr();
            cu!(
                self.driver,
                cuGreenCtxGetDevResource(green, to, MULTIPROCESSORS)
            )?;
        } else if context.id < FIRST_CREATED_CONTEXT {
            let device = self.raw_device(context.device)?;
            cu!(
                self.driver,
                cuDeviceGetDevResource(device, to, MULTIPROCESSORS)
            )?;
        } else {
            let raw = context.raw.ptr();
            cu!(self.driver, cuCtxGetDevResource(raw, to, MULTIPROCESSORS))?;
        }
        self.pieces.keep(resource).map(Answer::Now)
    }
}

impl Handler<ResourceSplit> for Session {
    fn handle(&self, header: &Header, command: ResourceSplit) -> Result<Answer<(u32, Vec<Told>)>> {
        self.enter(header)?;
        let from = self.pieces.get(command.resource)?;
        let from = from.as_ptr().cast::<c_void>();
        let mut count = command.groups;
        let (flags, least) = (command.flags, command.least);
        if count == 0 {
            cu!(
                self.driver,
                cuDevSmResourceSplitByCount(
                    null_mut(),
                    &raw mut count,
                    from,
                    null_mut(),
                    flags,
                    least
                )
            )?;
            return Ok(Answer::Now((count, Vec::new())));
        }
        if count > MOST_GROUPS {
            return Err(ERROR_INVALID_VALUE);
        }
        let mut groups: Vec<Resource> = vec![[0; 36]; count as usize];
        let mut rest: Resource = [0; 36];
        cu!(
            self.driver,
            cuDevSmResourceSplitByCount(
                groups.as_mut_ptr().cast(),
                &raw mut count,
                from,
                rest.as_mut_ptr().cast(),
                flags,
                least
            )
        )?;
        groups.truncate(count as usize);
        groups.push(rest);
        let told: Result<Vec<Told>> = groups
            .into_iter()
            .map(|group| self.pieces.keep(group))
            .collect();
        Ok(Answer::Now((count, told?)))
    }
}

impl Handler<GreenContextCreate> for Session {
    fn handle(&self, _: &Header, command: GreenContextCreate) -> Result<Answer<()>> {
        let device = self.raw_device(command.device)?;
        self.may_create_context(command.context)?;
        let mut resources: Vec<Resource> = command
            .resources
            .iter()
            .map(|&number| self.pieces.get(number))
            .collect::<Result<_>>()?;
        let count = u32::try_from(resources.len()).map_err(|_| ERROR_INVALID_VALUE)?;
        // A green context may be current on one thread only, and the worker has several. So it never is: its streams are used with the primary context current.
        let raw = self.primary(command.device)?;
        let mut descriptor = null_mut();
        cu!(
            self.driver,
            cuDevResourceGenerateDesc(&raw mut descriptor, resources.as_mut_ptr().cast(), count)
        )?;
        let mut green = null_mut();
        cu!(
            self.driver,
            cuGreenCtxCreate(&raw mut green, descriptor, device, command.flags)
        )?;
        self.adopt(command.context, command.device, raw, Handle::of(green))?;
        Ok(Answer::Now(()))
    }
}
