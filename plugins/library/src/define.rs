//! Definitions of objects, step by step as the client says.

use gvirtus_wire::api::library::{
    Argument, Arguments, LibraryCall, LibraryDefine, LibraryReply, Mode, NO_STREAM, arguments,
};
use gvirtus_wire::codec::DecodeError;
use gvirtus_wire::frame::Header;

use crate::buffers::Buffers;
use crate::host;
use crate::invoke::invoke;
use crate::known::Known;
use crate::objects::{Object, Refused};
use crate::session::{Failure, Session};

/// `CUDA_ERROR_INVALID_HANDLE`.
const INVALID_HANDLE: i32 = 400;
/// Attributes of a tensor of the graph API (`cudnnBackendAttributeName_t`).
const UNIQUE_ID: i32 = 906;
const IS_BY_VALUE: i32 = 908;

impl Session {
    /// Makes an object. If a step fails, so will what uses it.
    pub(crate) fn define(&self, header: &Header, define: &LibraryDefine) -> Result<(), Failure> {
        if !self.objects.is_free(define.object) {
            return Err(Failure::Cuda(INVALID_HANDLE));
        }
        let mut steps = Vec::with_capacity(define.steps.len());
        for step in &define.steps {
            let known = self
                .known(step.function)
                .ok_or(Failure::Protocol(DecodeError::Invalid("step")))?;
            let arguments = arguments(known.function, step.view());
            steps.push((step, known, arguments.map_err(Failure::Protocol)?));
        }
        let kind = steps.first().and_then(|(_, known, _)| {
            known.function.parameters.iter().find_map(|p| match p.mode {
                Mode::New(kind) => Some(kind),
                _ => None,
            })
        });
        let kind = kind.ok_or(Failure::Protocol(DecodeError::Invalid("definition")))?;
        if header.wants_reply() {
            // Finalizing a plan may compile kernels.
            self.host.may_block();
        }
        let mut made = Err(self.description.not_initialized);
        let done = self.host.on_stream(header, NO_STREAM, false, |_| {
            made = self.make(define.object, kind, &steps);
        });
        let status = made.as_ref().err().copied().unwrap_or(0);
        let object = made.unwrap_or_else(|status| Object::failed(kind, status));
        self.objects.keep(define.object, object);
        done.map_err(Failure::Cuda)?;
        let reply = LibraryReply::from(status);
        if header.wants_reply() {
            self.reply(header, &reply);
        } else if status != 0 {
            let text = format!("a {kind} descriptor cannot be made: status {status}");
            self.host.log(host::WARN, &text);
        }
        Ok(())
    }

    fn make(
        &self,
        number: u32,
        kind: &'static str,
        steps: &[(&LibraryCall, &Known, Arguments)],
    ) -> Result<Object, i32> {
        let Some(((_, create, create_arguments), settings)) = steps.split_first() else {
            return Err(self.description.not_supported);
        };
        let made_by = create
            .function
            .parameters
            .iter()
            .zip(create_arguments)
            .find_map(|(parameter, argument)| match (parameter.mode, argument) {
                (Mode::I32, Argument::Word(word)) => Some(*word as i32),
                _ => None,
            });
        let mut object = self.make_object(kind, made_by)?;
        let own = (number, kind, object.raw?);
        let (mut uid, mut by_value) = (None, false);
        for (step, known, arguments) in settings {
            let function = known.function;
            let resolved = self.with_scope(Some(own), |scope| scope.resolve(function, arguments));
            let resolved = resolved.map_err(|refused| match refused {
                Refused::Status(status) => status,
                Refused::Unknown => self.description.not_initialized,
            })?;
            let handle = self.handle_of(known, step.handle);
            let handle = handle.map_err(|_| self.description.not_initialized)?.raw?;
            let address = self.address_of(known);
            let address = address.ok_or(self.description.not_supported)?;
            let mut buffers = Buffers::of(function, &resolved.arguments, known.keeps)
                .ok_or(self.description.not_supported)?;
            let words = buffers.words(function, &resolved.arguments, handle, 0, None);
            // SAFETY: the address is the library's, of the function that the declaration names; buffers are as long as it says and live.
            let status = unsafe { invoke(address, function.parameters, &words) };
            match status.unwrap_or(self.description.not_supported) {
                0 => {}
                status => return Err(status),
            }
            object.refer_to(resolved.uses);
            match (
                function.number(arguments, "attributeName"),
                arguments.last(),
            ) {
                (Some(UNIQUE_ID), Some(Argument::Host { read, .. })) => {
                    uid = read.first_chunk().map(|bytes| i64::from_le_bytes(*bytes));
                }
                (Some(IS_BY_VALUE), Some(Argument::Host { read, .. })) => {
                    by_value = read.first() == Some(&1);
                }
                _ => {}
            }
        }
        if let (Some(uid), true) = (uid, by_value) {
            object.by_value.push(uid);
        }
        Ok(object)
    }
}
