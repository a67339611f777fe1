//! What cuDNN's finalized descriptors are asked about: once for each distinct question, and of all that were told of together.

use std::sync::{Arc, LazyLock};

use gvirtus_frontend_link::library::{Outcome, Target, command as send, exchange};
use gvirtus_frontend_link::start::ensure_context;
use gvirtus_wire::api::library::{
    Function, LibraryAsk, LibraryCall, LibraryReplies, LibraryReply, MOST_ASKED, NO_STREAM,
    attribute, command,
};
use gvirtus_wire::codec::{Params, decode_all};

use crate::compute::{Answer, remember, remembered};
use crate::content::{self, Content, Facts};
use crate::handle::opcode;
use crate::status::{INTERNAL_ERROR, of_driver};
use crate::{Status, declared};

static GET: LazyLock<&Function> = LazyLock::new(|| declared("cudnnBackendGetAttribute"));
/// Bytes of an answer that is asked for before it is needed.
const SHORT: usize = 1 << 10;

/// A question about an attribute of a finalized descriptor.
#[derive(Debug)]
pub(crate) struct Question {
    /// `cudnnBackendAttributeName_t`.
    pub(crate) name: i32,
    /// `cudnnBackendAttributeType_t`.
    pub(crate) of: i32,
    /// Elements that the program's array has room for.
    pub(crate) room: i64,
    /// There is such an array.
    pub(crate) given: bool,
    /// Bytes of it.
    pub(crate) bytes: usize,
    /// Of descriptors that are to be filled: their types. Their numbers are new each time.
    pub(crate) kinds: Vec<i32>,
}

impl Question {
    fn words(&self, content: &Content) -> [u64; 6] {
        let number = |n: i32| i64::from(n).cast_unsigned();
        [
            u64::from(content.number),
            number(self.name),
            number(self.of),
            self.room.cast_unsigned(),
            1,
            u64::from(self.given),
        ]
    }

    /// What the answer is remembered by.
    fn key(&self, content: &Content) -> Vec<u8> {
        let mut key = b"attribute".to_vec();
        key.extend(
            self.words(content)
                .iter()
                .flat_map(|word| word.to_le_bytes()),
        );
        key.extend(self.kinds.iter().flat_map(|kind| kind.to_le_bytes()));
        key
    }

    /// The call that asks it, and the numbers of the descriptors that are to be filled.
    fn call(&self, content: &Content) -> (LibraryCall, Vec<u32>) {
        let numbers: Vec<u32> = self.kinds.iter().map(|_| content::mint()).collect();
        let data: Vec<u8> = if self.of == attribute::DESCRIPTOR {
            let pairs = numbers.iter().zip(&self.kinds);
            let words = pairs
                .map(|(number, kind)| u64::from(*number) | u64::from(kind.cast_unsigned()) << 32);
            words.flat_map(u64::to_le_bytes).collect()
        } else {
            vec![0; self.bytes]
        };
        let words = self.words(content);
        let call = LibraryCall {
            stream: NO_STREAM,
            function: GET.id(),
            handle: 0,
            host_scalars: true,
            words: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            data: Params::from_vec(data),
        };
        (call, numbers)
    }

    /// What came back, to be remembered.
    fn answer(
        &self,
        content: &Arc<Content>,
        numbers: &[u32],
        reply: &LibraryReply,
    ) -> Result<Arc<Answer>, Status> {
        let uses = vec![Arc::clone(content)];
        if reply.result != 0 {
            return Ok(Answer::new(reply.result, Vec::new(), Vec::new(), uses));
        }
        let (count, values) = reply.data.split_first_chunk::<8>().ok_or(INTERNAL_ERROR)?;
        if values.len() != self.bytes {
            return Err(INTERNAL_ERROR);
        }
        let filled = usize::try_from(i64::from_le_bytes(*count)).unwrap_or(0);
        let mut facts = Facts::default();
        facts.refer_to(&content.facts);
        let fills = numbers.iter().enumerate().filter_map(|(at, number)| {
            if at >= filled {
                // The program asked for more than there are.
                content::forget(*number);
                return None;
            }
            Some(content::filled(*number, facts.clone(), uses.clone()))
        });
        let fills = fills.collect();
        let written = vec![Some(count.to_vec()), Some(values.to_vec())];
        Ok(Answer::new(0, written, fills, uses))
    }

    /// What the box's library tells of a finalized descriptor.
    ///
    /// Heuristics tell of dozens of configurations, and programs ask each for its engine, and the engines for their notes: what is asked of one is asked of all, in one round trip.
    pub(crate) fn ask(&self, content: &Arc<Content>) -> Result<Arc<Answer>, Status> {
        let told = |answer: Arc<Answer>| match answer.status {
            0 => Ok(answer),
            status => Err(status),
        };
        if let Some(answer) = remembered(&self.key(content)) {
            return told(answer);
        }
        let mut asked = vec![Arc::clone(content)];
        // What may be long is asked for when it is needed.
        if self.bytes <= SHORT {
            let others = content
                .siblings()
                .filter(|other| remembered(&self.key(other)).is_none());
            asked.extend(others.take(MOST_ASKED - 1));
        }
        let (calls, numbers): (Vec<_>, Vec<_>) =
            asked.iter().map(|content| self.call(content)).unzip();
        let mut fills = Vec::new();
        let mut own = None;
        for ((content, numbers), reply) in asked.iter().zip(&numbers).zip(&replies_to(calls)?) {
            let answer = self.answer(content, numbers, reply)?;
            fills.extend(answer.fills.iter().cloned());
            remember(self.key(content), &answer);
            own.get_or_insert(answer);
        }
        if fills.len() > 1 {
            content::relate(&fills);
        }
        told(own.ok_or(INTERNAL_ERROR)?)
    }
}

/// Asks together; where that fails, the first alone.
fn replies_to(calls: Vec<LibraryCall>) -> Result<Vec<LibraryReply>, Status> {
    ensure_context().map_err(of_driver)?;
    let mut calls = calls;
    if calls.len() > 1 {
        let ask = LibraryAsk { stream: 0, calls };
        match send(opcode(command::ASK), &ask, true) {
            Ok(reply) => {
                let told: LibraryReplies = decode_all(&reply).map_err(|_| INTERNAL_ERROR)?;
                return if told.replies.len() == ask.calls.len() {
                    Ok(told.replies)
                } else {
                    Err(INTERNAL_ERROR)
                };
            }
            // It may not know the command; or one of the others is not what it was.
            Err(_) => calls = ask.calls,
        }
    }
    let first = calls.first().ok_or(INTERNAL_ERROR)?;
    Ok(vec![command_of(first)?])
}

fn command_of(call: &LibraryCall) -> Result<LibraryReply, Status> {
    let target = Target {
        opcode: opcode(command::CALL),
        handle: 0,
        stream: std::ptr::null_mut(),
        host_scalars: true,
        ask: true,
    };
    match exchange(*GET, call, &target) {
        Ok(Some(reply)) => Ok(reply),
        Err(Outcome::Failed(code)) => Err(of_driver(code)),
        _ => Err(INTERNAL_ERROR),
    }
}
