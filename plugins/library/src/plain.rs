//! Calls that take values, device addresses and scalars, and write nothing to the host: what programs call most. Their words go from the frame to the library in one pass.

use std::ffi::c_void;

use gvirtus_wire::api::library::{CallView, Function, Mode, Size, data_type_size, scale_size};
use gvirtus_wire::codec::{DecodeError, Reader};
use gvirtus_wire::frame::Header;

use crate::handles::Handle;
use crate::invoke::Registers;
use crate::session::{Failure, Session};

/// The most scalars of such a call, each of 16 bytes at most.
const MOST_SCALARS: usize = 4;

/// How a word becomes an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// It stands for the handle.
    Handle,
    /// Only the low half is the value.
    Half,
    /// A value or an address.
    Whole,
    /// A floating-point value.
    Float,
    /// A scalar on the host, or its device address.
    Scalar(Bytes),
}

/// How many bytes a scalar has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bytes {
    Fixed(usize),
    /// One element of the type that the parameter at a place gives.
    Of(usize),
    /// By compute type and type of the result, at their places.
    Scale(usize, usize),
}

/// The steps of a function all calls of which are plain.
pub(crate) fn steps(function: &Function) -> Option<Box<[Step]>> {
    let at = |name| function.parameters.iter().position(|p| p.name == name);
    let steps = function.parameters.iter().map(|parameter| {
        Some(match parameter.mode {
            Mode::Handle => Step::Handle,
            Mode::I32 | Mode::Kind => Step::Half,
            Mode::I64 | Mode::Device => Step::Whole,
            Mode::F32 | Mode::F64 => Step::Float,
            Mode::Scalar(Size::Fixed(n)) if n <= size_of::<u128>() => Step::Scalar(Bytes::Fixed(n)),
            Mode::Scalar(Size::Of(1, of)) => Step::Scalar(Bytes::Of(at(of)?)),
            Mode::Scalar(Size::Scale(compute, of)) => {
                Step::Scalar(Bytes::Scale(at(compute)?, at(of)?))
            }
            _ => return None,
        })
    });
    let steps: Box<[Step]> = steps.collect::<Option<_>>()?;
    let scalars = steps
        .iter()
        .filter(|step| matches!(step, Step::Scalar(_)))
        .count();
    let of_a_handle = steps.iter().any(|step| matches!(step, Step::Handle));
    let with_work = !function.is_setup(true) && !function.is_setup(false);
    (of_a_handle && with_work && scalars <= MOST_SCALARS).then_some(steps)
}

impl Bytes {
    fn number(self, words: &[[u8; 8]]) -> Option<usize> {
        let kind = |at: usize| Some(u64::from_le_bytes(*words.get(at)?) as u32 as i32);
        match self {
            Self::Fixed(n) => Some(n),
            Self::Of(of) => data_type_size(kind(of)?),
            Self::Scale(compute, of) => scale_size(kind(compute)?, kind(of)?),
        }
    }
}

impl Session {
    /// Calls the library on the client's stream; its status.
    pub(crate) fn plain(
        &self,
        header: &Header,
        call: CallView<'_>,
        steps: &[Step],
        address: *const c_void,
        (handle, raw): (&Handle, usize),
    ) -> Result<i32, Failure> {
        let wrong = |what| Failure::Protocol(DecodeError::Invalid(what));
        let (words, rest) = call.words.as_chunks::<8>();
        if !rest.is_empty() || words.len() != steps.len() {
            return Err(wrong("number of arguments"));
        }
        let mut data = Reader::new(call.data);
        let mut scalars = [0u128; MOST_SCALARS];
        let mut room = scalars.iter_mut();
        let mut registers = Registers::new();
        for (step, word) in steps.iter().zip(words) {
            let word = u64::from_le_bytes(*word);
            let fits = match *step {
                Step::Handle => registers.integer(raw as u64),
                Step::Half => registers.integer(i64::from(word as u32 as i32).cast_unsigned()),
                Step::Float => registers.float(word),
                Step::Scalar(bytes) if call.host_scalars && word != 0 => {
                    let bytes = bytes.number(words);
                    let bytes = bytes.ok_or(wrong("length of an argument"))?;
                    let read = data.take(bytes).map_err(Failure::Protocol)?;
                    let at = room.next().ok_or(wrong("number of arguments"))?;
                    let mut whole = [0; size_of::<u128>()];
                    let part = whole.get_mut(..bytes);
                    part.ok_or(wrong("length of an argument"))?
                        .copy_from_slice(read);
                    *at = u128::from_ne_bytes(whole);
                    registers.integer(std::ptr::from_mut(at) as u64)
                }
                Step::Whole | Step::Scalar(_) => registers.integer(word),
            };
            if !fits {
                return Ok(self.description.not_supported);
            }
        }
        data.finish().map_err(Failure::Protocol)?;
        let mut status = Ok(self.description.not_initialized);
        let issued = self.host.on_stream(header, call.stream, false, |stream| {
            status = self
                .prepare(handle, raw, stream as usize, i32::from(!call.host_scalars))
                .map(|()| {
                    // SAFETY: the address is the library's, of the function that the steps were made of; scalars live.
                    let status = unsafe { registers.call(address) };
                    status.unwrap_or(self.description.not_supported)
                });
        });
        issued.map_err(Failure::Cuda)?;
        status.map_err(Failure::Cuda)
    }
}
