//! The bounded codec: little-endian, no self-description, every length checked against what is there before it is used.

use smallvec::SmallVec;

/// Why bytes could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("the input ends {missing} bytes early")]
    Truncated {
        /// How many bytes were missing.
        missing: usize,
    },
    /// Bytes were left over after the last field.
    #[error("{0} bytes are left over")]
    Trailing(usize),
    /// A value that its type does not have (a boolean of 7, text that is not UTF-8).
    #[error("a {0} has an impossible value")]
    Invalid(&'static str),
    /// An opcode that this end does not know.
    #[error("opcode {0:#06x} is unknown")]
    UnknownOpcode(u16),
    /// A length beyond the protocol's limit.
    #[error("a length of {0} is beyond the limit")]
    TooLong(u64),
}

/// Reads from a byte slice and never past its end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(DecodeError::Truncated {
                missing: n - self.rest.len(),
            });
        };
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// The bytes behind their `u32` count.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] if there are not so many.
    #[inline]
    pub fn counted(&mut self) -> Result<&'a [u8], DecodeError> {
        let n = self.count(1)?;
        self.take(n)
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] otherwise.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing(self.rest.len()))
        }
    }

    /// A `u32` count of elements of at least `least` bytes each: never more than can still be there.
    #[inline]
    fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let n = u32::decode(self)? as usize;
        if n.checked_mul(least)
            .is_none_or(|bytes| bytes > self.remaining())
        {
            return Err(DecodeError::TooLong(n as u64));
        }
        Ok(n)
    }
}

/// A value that can be written to and read from a frame.
pub trait Wire: Sized {
    /// The fewest bytes that an encoded value takes; bounds what a claimed count may allocate.
    const LEAST: usize;
    /// Appends the value.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a value.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not such a value.
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Decodes a whole payload: all of it, nothing more.
///
/// # Errors
/// [`DecodeError`] when the bytes are not exactly one value.
pub fn decode_all<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

macro_rules! integers { ($($t:ty)*) => { $(
    impl Wire for $t {
        const LEAST: usize = size_of::<$t>();
        #[inline]
        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.to_le_bytes());
        }
        #[inline]
        fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(<$t>::from_le_bytes(input.array()?))
        }
    }
)* } }
integers!(u8 u16 u32 u64 i32 i64 f32);

impl Wire for () {
    const LEAST: usize = 0;
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Wire for bool {
    const LEAST: usize = 1;
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid("boolean")),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    const LEAST: usize = N;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl Wire for [u32; 3] {
    const LEAST: usize = 12;
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|v| v.encode(out));
    }
    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok([
            u32::decode(input)?,
            u32::decode(input)?,
            u32::decode(input)?,
        ])
    }
}

impl Wire for String {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len()).encode(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = input.count(1)?;
        let text = std::str::from_utf8(input.take(n)?).map_err(|_| DecodeError::Invalid("text"))?;
        Ok(text.to_owned())
    }
}

impl<T: Wire> Wire for Vec<T> {
    const LEAST: usize = 4;
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len()).encode(out);
        self.iter().for_each(|v| v.encode(out));
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = input.count(T::LEAST.max(1))?;
        (0..n).map(|_| T::decode(input)).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    const LEAST: usize = 1;
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::decode(input)? {
            Some(T::decode(input)?)
        } else {
            None
        })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    const LEAST: usize = A::LEAST + B::LEAST;
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(input)?, B::decode(input)?))
    }
}

/// A kernel's packed parameters: most fit without an allocation.
pub type Params = SmallVec<[u8; 128]>;

impl Wire for Params {
    const LEAST: usize = 4;
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len()).encode(out);
        out.extend_from_slice(self);
    }
    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_slice(input.counted()?))
    }
}

/// A length as the wire carries it. What we encode ourselves is bounded long before 4 GiB.
fn length(n: usize) -> u32 {
    u32::try_from(n).expect("an encoded length fits 32 bits")
}

/// Declares plain records: a struct, and its [`Wire`] implementation field by field.
#[macro_export]
macro_rules! records { ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $t:ty),* $(,)? })*) => { $(
    $(#[$doc])*
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct $name { $($(#[$fdoc])* pub $field: $t),* }

    impl $crate::codec::Wire for $name {
        const LEAST: usize = 0 $(+ <$t as $crate::codec::Wire>::LEAST)*;
        #[inline]
        fn encode(&self, out: &mut Vec<u8>) {
            let _ = &out;
            $($crate::codec::Wire::encode(&self.$field, out);)*
        }
        #[inline]
        fn decode(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
            let _ = &input;
            Ok(Self { $($field: $crate::codec::Wire::decode(input)?),* })
        }
    }
)* } }
