//! Calls that take values, device addresses and scalars, and write nothing to the host: what programs call most. Their words go from the frame to the library in one pass.

use std::ffi::c_void;

use gvirtus_wire::api::library::{
    CallView, Function, Mode, NO_STREAM, Size, data_type_size, scale_size,
};
use gvirtus_wire::codec::{DecodeError, Reader};
use gvirtus_wire::frame::Header;

use crate::handles::Handle;
use crate::invoke::Registers;
use crate::session::{Failure, Session};

/// The most scalars of such a call, each of 16 bytes at most.
const MOST_SCALARS: usize = 4;
/// The most calls that are read before the first of them is made. What a longer row would save is little, and the first call of a row waits for it.
const MOST_TOGETHER: usize = 16;

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
    let floats = steps
        .iter()
        .filter(|step| matches!(step, Step::Float))
        .count();
    let fits = scalars <= MOST_SCALARS && Registers::fit(steps.len() - floats, floats);
    let of_a_handle = steps.iter().any(|step| matches!(step, Step::Handle));
    let with_work = !function.is_setup(true) && !function.is_setup(false);
    (of_a_handle && with_work && fits).then_some(steps)
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

/// A plain call whose words are arguments by now. It is large, so it is filled where it lies.
#[derive(Default)]
pub(crate) struct Prepared {
    header: Header,
    /// The function's name.
    name: &'static str,
    address: usize,
    registers: Registers,
    scalars: [u128; MOST_SCALARS],
    /// Which of the integers are the addresses of scalars.
    places: [usize; MOST_SCALARS],
    /// How many scalars there are.
    count: usize,
    /// What the library said.
    status: i32,
}

impl Prepared {
    fn fill(
        &mut self,
        header: &Header,
        call: CallView<'_>,
        plain: &Plain<'_>,
        raw: usize,
    ) -> Result<(), DecodeError> {
        const ARGUMENTS: DecodeError = DecodeError::Invalid("number of arguments");
        const LENGTH: DecodeError = DecodeError::Invalid("length of an argument");
        let (words, rest) = call.words.as_chunks::<8>();
        if !rest.is_empty() || words.len() != plain.steps.len() {
            return Err(ARGUMENTS);
        }
        self.header = *header;
        self.name = plain.name;
        self.address = plain.address as usize;
        self.count = 0;
        let mut data = Reader::new(call.data);
        let registers = &mut self.registers;
        registers.clear();
        for (step, word) in plain.steps.iter().zip(words) {
            let word = u64::from_le_bytes(*word);
            let fits = match *step {
                Step::Handle => registers.integer(raw as u64),
                Step::Half => registers.integer(i64::from(word as u32 as i32).cast_unsigned()),
                Step::Float => registers.float(word),
                Step::Scalar(bytes) if call.host_scalars && word != 0 => {
                    let bytes = bytes.number(words).ok_or(LENGTH)?;
                    let read = data.take(bytes)?;
                    let mut whole = [0; size_of::<u128>()];
                    whole.get_mut(..bytes).ok_or(LENGTH)?.copy_from_slice(read);
                    let scalar = self.scalars.get_mut(self.count);
                    *scalar.ok_or(ARGUMENTS)? = u128::from_ne_bytes(whole);
                    self.places[self.count] = registers.integers();
                    self.count += 1;
                    registers.integer(0)
                }
                Step::Whole | Step::Scalar(_) => registers.integer(word),
            };
            if !fits {
                return Err(ARGUMENTS);
            }
        }
        data.finish()
    }

    /// Calls the library.
    fn make(&mut self, not_supported: i32) {
        for (scalar, place) in self.scalars.iter().zip(self.places).take(self.count) {
            self.registers.set(place, std::ptr::from_ref(scalar) as u64);
        }
        // SAFETY: the address is the library's, of the function that the steps were made of; scalars live.
        let status = unsafe { self.registers.call(self.address as *const c_void) };
        self.status = status.unwrap_or(not_supported);
    }
}

/// What the words of a plain call's function mean, and where the library has it.
pub(crate) struct Plain<'a> {
    name: &'static str,
    steps: &'a [Step],
    address: *const c_void,
}

impl Session {
    /// How a call is made if it is a plain one.
    pub(crate) fn plain(&self, call: CallView<'_>) -> Option<Plain<'_>> {
        let known = self.known(call.function)?;
        let steps = known.steps.as_deref()?;
        if call.stream == NO_STREAM {
            return None;
        }
        Some(Plain {
            name: known.function.name,
            steps,
            address: self.address_of(known)?,
        })
    }

    /// Makes a plain call, and with it those that have come behind it for the same handle and stream. What a library does in a call drives out of the processor's caches what reading a frame needs, so
    /// several are read first.
    pub(crate) fn plain_calls(
        &self,
        header: &Header,
        call: CallView<'_>,
        plain: &Plain<'_>,
    ) -> Result<(), Failure> {
        let handle = self.handle(call.handle)?;
        let raw = match handle.raw {
            Ok(raw) => raw,
            Err(status) => return self.finished(header, plain.name, &status.into()),
        };
        let mut places = std::mem::take(&mut *self.together.lock());
        places.resize_with(MOST_TOGETHER, Prepared::default);
        let mut free = places.iter_mut();
        if let Some(first) = free.next() {
            first
                .fill(header, call, plain, raw)
                .map_err(Failure::Protocol)?;
        }
        let target = |call: CallView<'_>| (call.handle, call.stream, call.host_scalars);
        // What is wrong with a frame is found when it is dispatched.
        let fill = |place: &mut Prepared, header: &Header, payload: &[u8]| {
            let next = CallView::of(payload).ok()?;
            let plain = self.plain(next).filter(|_| target(next) == target(call))?;
            place.fill(header, next, &plain, raw).ok()
        };
        let followed = free
            .map_while(|place| {
                let take = |header: &Header, payload: &[u8]| fill(place, header, payload).is_some();
                self.host.following(header, take).then_some(())
            })
            .count();
        let calls = places.get_mut(..=followed).unwrap_or_default();
        let issued = self.issue(call, (&handle, raw), calls);
        for call in calls {
            let finished = issued
                .map_err(Failure::Cuda)
                .and_then(|()| self.finished(&call.header, call.name, &call.status.into()));
            self.report(&call.header, finished);
        }
        *self.together.lock() = places;
        Ok(())
    }

    /// Has the library make calls on the client's stream.
    fn issue(
        &self,
        call: CallView<'_>,
        (handle, raw): (&Handle, usize),
        calls: &mut [Prepared],
    ) -> Result<(), i32> {
        let Some(last) = calls.last() else {
            return Ok(());
        };
        let header = last.header;
        let number = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let mut ready = Ok(());
        self.host
            .on_stream_for(&header, call.stream, false, number, |stream| {
                let pointer_mode = i32::from(!call.host_scalars);
                ready = self.prepare(handle, raw, stream as usize, pointer_mode);
                if ready.is_ok() {
                    for call in calls {
                        call.make(self.description.not_supported);
                    }
                }
            })?;
        ready
    }
}
