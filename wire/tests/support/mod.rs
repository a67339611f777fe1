//! Payloads for every command, made from nothing but the decoder's own complaints, and ways to spoil them.

use gvirtus_wire::api::core::{self, reencode};
use gvirtus_wire::codec::{DecodeError, Wire, decode_all};
use gvirtus_wire::frame::{HEADER_LEN, Header};
use gvirtus_wire::handshake::decode_any;

/// A small deterministic random number generator (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// A function that decodes a payload and encodes it again.
pub(crate) type Reencode = fn(&[u8]) -> Again;
type Again = Result<Vec<u8>, DecodeError>;
type Decode<'a> = Box<dyn Fn(&[u8]) -> Again + 'a>;

fn again<T: Wire>(bytes: &[u8]) -> Again {
    let mut out = Vec::new();
    decode_all::<T>(bytes)?.encode(&mut out);
    Ok(out)
}

/// What the worker sends: replies and messages, which the client decodes.
pub(crate) const FROM_WORKER: &[Reencode] = &[
    again::<core::Snapshot>,
    again::<core::ModuleInfo>,
    again::<core::JitReport>,
    again::<core::LinkImage>,
    again::<core::FunctionInfo>,
    again::<core::GlobalReply>,
    again::<core::MemInfoReply>,
    again::<core::HostRegisterReply>,
    again::<core::Progress>,
    again::<core::AsyncError>,
    again::<core::HostCall>,
    again::<core::Output>,
    again::<core::HostData>,
    again::<core::PullRequest>,
];

/// A valid payload, different for each state of `random`: bytes are added where the decoder misses some. Whatever it takes for a count is the last thing added,
/// for a count is refused until its elements are there.
pub(crate) fn valid(decode: impl Fn(&[u8]) -> Again, random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut counted = false;
    for _ in 0..10_000 {
        match decode(&bytes) {
            Ok(_) => return bytes,
            Err(DecodeError::Truncated { missing }) => {
                // A single byte may be a boolean; longer ones are numbers.
                let mask = if missing == 1 { 1 } else { 0xff };
                bytes.extend((0..missing).map(|_| (random.next() & mask) as u8));
                counted = false;
            }
            Err(DecodeError::TooLong(_)) if !counted => {
                let at = bytes.len() - 4;
                let count = random.below(6) as u32;
                bytes[at..].copy_from_slice(&count.to_le_bytes());
                counted = true;
            }
            // The elements' least; ones and zeros are booleans, characters and short counts as well.
            Err(DecodeError::TooLong(_)) => bytes.push(0),
            Err(other) => panic!("{other} in {bytes:?}"),
        }
    }
    panic!("no end of {bytes:?}");
}

/// Spoils a payload in one of the ways that networks and attackers know.
pub(crate) fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..random.below(40)).map(|i| i as u8)),
            2 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            3 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            4 if at + 4 <= bytes.len() => {
                let huge = [u32::MAX, 1 << 31, 0x00ff_ffff, 1 << 16][random.below(4)];
                bytes[at..at + 4].copy_from_slice(&huge.to_le_bytes());
            }
            5 if !bytes.is_empty() => {
                bytes.remove(at);
            }
            _ => {
                let end = at + random.below(bytes.len() - at);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// Valid payloads to start from.
pub(crate) struct Corpus {
    commands: Vec<(u16, Vec<u8>)>,
    messages: Vec<(Reencode, Vec<u8>)>,
    handshake: Vec<Vec<u8>>,
}

impl Corpus {
    /// Several payloads for each command and message, and `handshake` messages.
    pub(crate) fn new(handshake: Vec<Vec<u8>>) -> Self {
        let mut random = Random(1);
        let each = |random: &mut Random, decode: &dyn Fn(&[u8]) -> Again| {
            (0..8).map(|_| valid(decode, random)).collect::<Vec<_>>()
        };
        let commands = core::COMMANDS.iter().flat_map(|c| {
            each(&mut random, &|b| reencode(c.opcode, b))
                .into_iter()
                .map(|b| (c.opcode, b))
        });
        let commands = commands.collect();
        let messages = FROM_WORKER
            .iter()
            .flat_map(|f| each(&mut random, f).into_iter().map(|b| (*f, b)));
        Self {
            commands,
            messages: messages.collect(),
            handshake,
        }
    }

    /// A command: almost always one that decodes, whatever it asks for.
    pub(crate) fn command(&self, random: &mut Random) -> (u16, Vec<u8>) {
        let (opcode, valid) = &self.commands[random.below(self.commands.len())];
        let mut bytes = valid.clone();
        if random.below(1000) == 0 {
            // Ends the session: rarely, so that what follows is tried too.
            spoil(&mut bytes, random);
            return (*opcode, bytes);
        }
        match random.below(4) {
            // Small numbers are the names of things that may exist.
            0 | 1 => bytes.iter_mut().for_each(|b| *b &= 3),
            2 if bytes.len() >= 4 => {
                let at = random.below(bytes.len() / 4) * 4;
                bytes[at..at + 4].copy_from_slice(&(random.below(5) as u32).to_le_bytes());
            }
            _ => {}
        }
        let bytes = match reencode(*opcode, &bytes) {
            Ok(_) => bytes,
            Err(_) => valid.clone(),
        };
        (*opcode, bytes)
    }

    /// One spoiled frame or message through its decoder. The codec knows one encoding of a value only: what decodes encodes to the same bytes.
    pub(crate) fn try_one(&self, random: &mut Random) {
        let (mut bytes, decode): (Vec<u8>, Decode<'_>) = match random.below(8) {
            0 => {
                let mut bytes = [0; HEADER_LEN];
                let kind = random.below(3);
                bytes.iter_mut().for_each(|b| {
                    *b = match kind {
                        0 => random.next() as u8,
                        1 => [0, 1, 0xff][random.below(3)],
                        _ => 0,
                    }
                });
                if let Ok(header) = Header::from_bytes(&bytes) {
                    assert_eq!(header.to_bytes(), bytes);
                }
                return;
            }
            1 if !self.handshake.is_empty() => {
                let mut bytes = self.handshake[random.below(self.handshake.len())].clone();
                spoil(&mut bytes, random);
                let _ = decode_any(&bytes);
                return;
            }
            2 => {
                let (decode, bytes) = &self.messages[random.below(self.messages.len())];
                (bytes.clone(), Box::new(decode))
            }
            3 => {
                // Another command's payload, or noise.
                let opcode = core::COMMANDS[random.below(core::COMMANDS.len())].opcode;
                let bytes = (0..random.below(200))
                    .map(|_| random.next() as u8)
                    .collect();
                (bytes, Box::new(move |b| reencode(opcode, b)))
            }
            _ => {
                let (opcode, bytes) = &self.commands[random.below(self.commands.len())];
                (bytes.clone(), Box::new(|b| reencode(*opcode, b)))
            }
        };
        spoil(&mut bytes, random);
        if let Ok(again) = decode(&bytes) {
            assert!(again == bytes, "{bytes:?} became {again:?}");
        }
    }
}
