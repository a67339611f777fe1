//! Calls of compute libraries as they arrive: the words and bytes of a frame, read by the declaration.

use smallvec::SmallVec;

use crate::api::library::{Function, LibraryCall, Mode};
use crate::codec::{DecodeError, Reader, Wire};

/// A parameter's argument as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A value, a device address, or a null pointer.
    Word(u64),
    /// A pointer to host memory: what the call reads there, and how many bytes it writes.
    Host {
        /// Bytes to read, empty if the call only writes; scalars need no memory of their own.
        read: SmallVec<[u8; 16]>,
        /// Bytes that there are.
        length: usize,
    },
}

/// The arguments of a call: of most it takes no memory of its own.
pub type Arguments = SmallVec<[Argument; 20]>;

/// A call as it lies in a frame: [`LibraryCall`] whose bytes are left where they are.
#[derive(Debug, Clone, Copy)]
pub struct CallView<'a> {
    /// [`LibraryCall::stream`].
    pub stream: u32,
    /// [`LibraryCall::function`].
    pub function: u32,
    /// [`LibraryCall::handle`].
    pub handle: u32,
    /// [`LibraryCall::host_scalars`].
    pub host_scalars: bool,
    /// [`LibraryCall::words`].
    pub words: &'a [u8],
    /// [`LibraryCall::data`].
    pub data: &'a [u8],
}

impl<'a> CallView<'a> {
    /// The call that a payload consists of.
    ///
    /// # Errors
    /// As for decoding a [`LibraryCall`].
    pub fn of(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(payload);
        let call = Self {
            stream: u32::decode(&mut input)?,
            function: u32::decode(&mut input)?,
            handle: u32::decode(&mut input)?,
            host_scalars: bool::decode(&mut input)?,
            words: input.counted()?,
            data: input.counted()?,
        };
        input.finish()?;
        Ok(call)
    }
}

impl LibraryCall {
    /// The same, of a call that was decoded with others.
    #[must_use]
    pub fn view(&self) -> CallView<'_> {
        CallView {
            stream: self.stream,
            function: self.function,
            handle: self.handle,
            host_scalars: self.host_scalars,
            words: &self.words,
            data: &self.data,
        }
    }
}

/// Reads the arguments of a call and checks them against the declaration.
///
/// # Errors
/// Words or data that are not those of such a call.
pub fn arguments(function: &Function, call: CallView<'_>) -> Result<Arguments, DecodeError> {
    let (words, rest) = call.words.as_chunks::<8>();
    let count = words.len();
    let words: SmallVec<[u64; 24]> = words
        .iter()
        .zip(function.parameters)
        .map(|(word, parameter)| {
            let word = u64::from_le_bytes(*word);
            match parameter.mode {
                // Only the low half is the value.
                Mode::I32 | Mode::Kind => i64::from(word as u32 as i32).cast_unsigned(),
                _ => word,
            }
        })
        .collect();
    if !rest.is_empty() || count != function.parameters.len() {
        return Err(DecodeError::Invalid("number of arguments"));
    }
    if !crate::api::fused::fits(function, &words) {
        return Err(DecodeError::Invalid("label"));
    }
    let mut data = Reader::new(call.data);
    let mut arguments = Arguments::with_capacity(words.len());
    for (parameter, &word) in function.parameters.iter().zip(&words) {
        let mode = parameter.mode;
        if !mode.on_host(call.host_scalars) || word == 0 {
            arguments.push(Argument::Word(word));
            continue;
        }
        let length = if matches!(mode, Mode::Blob | Mode::Text) {
            let length: [u8; 4] = data.take(4)?.try_into().unwrap_or_default();
            u32::from_le_bytes(length) as usize
        } else {
            function
                .length(mode, &words)
                .ok_or(DecodeError::Invalid("length of an argument"))?
        };
        let read = if mode.is_read() { length } else { 0 };
        let read = SmallVec::from_slice(data.take(read)?);
        if mode == Mode::Text && read.last() != Some(&0) {
            return Err(DecodeError::Invalid("end of a text"));
        }
        arguments.push(Argument::Host { read, length });
    }
    data.finish()?;
    Ok(arguments)
}
