//! A launch that is sent without being put together first: programs make more of these than of all else.

use super::Launch;
use crate::codec::Wire;
use crate::command::{Command, Outgoing};

/// Bytes of everything before the parameters, their count included.
const HEAD: usize = 40;

/// The parts of a [`Launch`]; encoded as that is.
#[derive(Debug, Clone, Copy)]
pub struct LaunchParts<'a> {
    /// Function.
    pub function: u32,
    /// Stream.
    pub stream: u32,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads per block.
    pub block: [u32; 3],
    /// Dynamic shared memory per block, bytes.
    pub shared: u32,
    /// Packed parameters.
    pub params: &'a [u8],
    /// Launch attributes.
    pub attributes: &'a [(u32, [u8; 64])],
}

/// A length as the wire carries it; what a launch has is bounded by the client long before 4 GiB.
#[inline]
fn length(n: usize) -> u32 {
    u32::try_from(n).expect("an encoded length fits 32 bits")
}

impl Outgoing for LaunchParts<'_> {
    type Reply = <Launch as Command>::Reply;
    const NAME: &'static str = <Launch as Command>::NAME;

    #[inline]
    fn opcode(&self) -> u16 {
        Launch::OPCODE
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let [gx, gy, gz] = self.grid;
        let [bx, by, bz] = self.block;
        let words = [
            self.function,
            self.stream,
            gx,
            gy,
            gz,
            bx,
            by,
            bz,
            self.shared,
            length(self.params.len()),
        ];
        let mut head = [0; HEAD];
        for (bytes, word) in head.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(self.params);
        length(self.attributes.len()).encode(out);
        for (id, value) in self.attributes {
            id.encode(out);
            value.encode(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Params;

    #[test]
    fn parts_are_encoded_as_the_whole() {
        for attributes in [vec![], vec![(2, [1; 64]), (7, [9; 64])]] {
            let whole = Launch {
                function: 1,
                stream: 2,
                grid: [3, 4, 5],
                block: [6, 7, 8],
                shared: 9,
                params: Params::from_slice(&[1, 2, 3, 4, 5]),
                attributes,
            };
            let parts = LaunchParts {
                function: whole.function,
                stream: whole.stream,
                grid: whole.grid,
                block: whole.block,
                shared: whole.shared,
                params: &whole.params,
                attributes: &whole.attributes,
            };
            let (mut a, mut b) = (vec![7], vec![7]);
            Outgoing::encode(&whole, &mut a);
            parts.encode(&mut b);
            assert_eq!(a, b);
            assert_eq!(Outgoing::opcode(&whole), parts.opcode());
        }
    }
}
