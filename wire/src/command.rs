//! The macro behind the command tables, and the traits that client and worker meet in.

use crate::api::Class;
use crate::codec::{DecodeError, Reader, Wire};
use crate::frame::Header;

/// A command from client to worker.
pub trait Command: Wire + Send + 'static {
    /// What the worker answers.
    type Reply: Wire + Send + 'static;
    /// Frozen number.
    const OPCODE: u16;
    /// Schema revision: both ends must have the same one to use the command.
    const REVISION: u16;
    /// [`Class::Async`] or [`Class::Sync`]. A client may ask for a reply to an async command too (`CUDA_LAUNCH_BLOCKING=1`).
    const CLASS: Class;
    /// Name for logs, statistics and "not supported".
    const NAME: &'static str;
    /// The number that goes into the header: [`OPCODE`](Self::OPCODE), but for a command whose number is known only at run time.
    #[inline]
    fn opcode(&self) -> u16 {
        Self::OPCODE
    }
}

/// What a client sends as a command: one, or its parts where they lie.
pub trait Outgoing {
    /// The command's [`Reply`](Command::Reply).
    type Reply: Wire + Send + 'static;
    /// The command's [`NAME`](Command::NAME).
    const NAME: &'static str;
    /// The number that goes into the header.
    fn opcode(&self) -> u16;
    /// Appends the payload.
    fn encode(&self, out: &mut Vec<u8>);
}

impl<C: Command> Outgoing for C {
    type Reply = C::Reply;
    const NAME: &'static str = C::NAME;
    #[inline]
    fn opcode(&self) -> u16 {
        Command::opcode(self)
    }
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        Wire::encode(self, out);
    }
}

/// One row of a command table: what the handshake negotiates and `STATUS.md` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandInfo {
    /// Frozen number.
    pub opcode: u16,
    /// Schema revision.
    pub revision: u16,
    /// What it costs.
    pub class: Class,
    /// Name.
    pub name: &'static str,
}

/// How a handler answered.
#[derive(Debug)]
pub enum Answer<R> {
    /// With this reply, now; dropped if the frame wanted none.
    Now(R),
    /// The handler has sent the reply itself (it carries bulk).
    Sent,
}

/// A worker's implementation of one command. `Err` is a CUDA status.
pub trait Handle<C: Command> {
    /// Executes the command. Called in the order of the frames.
    ///
    /// # Errors
    /// The CUDA status that the command failed with.
    fn handle(&self, header: &Header, command: C) -> Result<Answer<C::Reply>, i32>;
}

/// What [`dispatch`](crate::api::core::dispatch) hands back.
#[derive(Debug)]
pub enum Dispatched {
    /// Done; encoded reply payload.
    Done(Vec<u8>),
    /// Done; the handler sent the reply.
    Sent,
    /// Failed with a CUDA status.
    Failed(i32),
}

/// Decodes one command, runs its handler, encodes the reply.
///
/// # Errors
/// [`DecodeError`] when the payload is not that command.
#[inline]
pub fn run<C: Command, H: Handle<C>>(
    handler: &H,
    header: &Header,
    payload: &[u8],
) -> Result<Dispatched, DecodeError> {
    let mut reader = Reader::new(payload);
    let command = C::decode(&mut reader)?;
    reader.finish()?;
    Ok(match handler.handle(header, command) {
        Ok(Answer::Now(reply)) => {
            let mut out = Vec::new();
            if header.wants_reply() {
                reply.encode(&mut out);
            }
            Dispatched::Done(out)
        }
        Ok(Answer::Sent) => Dispatched::Sent,
        Err(status) => Dispatched::Failed(status),
    })
}

/// Declares a table of commands: the structs, their opcodes and classes, the worker's dispatch, and the round-trip property test.
///
/// `pub` before `table` says who sees the table and the dispatch: a table that is one topic of several, joined by [`command_topics!`](crate::command_topics), shows them to those.
#[macro_export]
macro_rules! commands { (
    $(#[$tdoc:meta])* $vis:vis table $table:ident, dispatch $dispatch:ident, handler $handler:ident;
    $($(#[$doc:meta])* $opcode:literal r $revision:literal $class:ident $name:ident { $($(#[$fdoc:meta])* $field:ident: $t:ty),* $(,)? } -> $reply:ty;)*
) => {
    $crate::records! { $($(#[$doc])* $name { $($(#[$fdoc])* $field: $t),* })* }

    $(impl $crate::command::Command for $name {
        type Reply = $reply;
        const OPCODE: u16 = $opcode;
        const REVISION: u16 = $revision;
        const CLASS: $crate::api::Class = $crate::api::Class::of(stringify!($class));
        const NAME: &'static str = stringify!($name);
    })*

    $(#[$tdoc])*
    $vis const $table: &[$crate::command::CommandInfo] = &[$($crate::command::CommandInfo {
        opcode: $opcode,
        revision: $revision,
        class: $crate::api::Class::of(stringify!($class)),
        name: stringify!($name),
    }),*];

    /// Everything that a worker must implement to serve the table.
    pub trait $handler: $($crate::command::Handle<$name> +)* Sized {}
    impl<T: $($crate::command::Handle<$name> +)* Sized> $handler for T {}

    /// Decodes a frame's payload by its opcode and runs the handler.
    ///
    /// # Errors
    /// A payload that is not that command, or an opcode that is not in the table.
    #[inline]
    $vis fn $dispatch<H: $handler>(
        handler: &H,
        header: &$crate::frame::Header,
        payload: &[u8],
    ) -> Result<$crate::command::Dispatched, $crate::codec::DecodeError> {
        match header.opcode {
            $($opcode => $crate::command::run::<$name, H>(handler, header, payload),)*
            other => Err($crate::codec::DecodeError::UnknownOpcode(other)),
        }
    }

    /// Decodes a payload by its opcode and encodes it again: for property tests and fuzzing.
    ///
    /// # Errors
    /// As [`dispatch`].
    $vis fn reencode(opcode: u16, payload: &[u8]) -> Result<Vec<u8>, $crate::codec::DecodeError> {
        match opcode {
            $($opcode => {
                let value: $name = $crate::codec::decode_all(payload)?;
                let mut out = Vec::new();
                $crate::codec::Wire::encode(&value, &mut out);
                Ok(out)
            })*
            other => Err($crate::codec::DecodeError::UnknownOpcode(other)),
        }
    }
} }

/// Joins tables of commands, each in a module of its own, to one: `topics` are the modules with their handlers.
#[macro_export]
macro_rules! command_topics { (
    $(#[$tdoc:meta])* table $table:ident, dispatch $dispatch:ident, handler $handler:ident, topics $($topic:ident $part:ident),* $(,)?;
) => {
    $(#[$tdoc])*
    pub const $table: &[$crate::command::CommandInfo] =
        &$crate::command::join::<{ 0 $(+ $topic::COMMANDS.len())* }>(&[$($topic::COMMANDS),*]);

    /// Everything that a worker must implement to serve the table.
    pub trait $handler: $($topic::$part +)* Sized {}
    impl<T: $($topic::$part +)* Sized> $handler for T {}

    /// Decodes a frame's payload by its opcode and runs the handler.
    ///
    /// # Errors
    /// A payload that is not that command, or an opcode that is not in the table.
    pub fn $dispatch<H: $handler>(
        handler: &H,
        header: &$crate::frame::Header,
        payload: &[u8],
    ) -> Result<$crate::command::Dispatched, $crate::codec::DecodeError> {
        $(match $topic::dispatch(handler, header, payload) {
            Err($crate::codec::DecodeError::UnknownOpcode(_)) => {}
            done => return done,
        })*
        Err($crate::codec::DecodeError::UnknownOpcode(header.opcode))
    }

    /// Decodes a payload by its opcode and encodes it again: for property tests and fuzzing.
    ///
    /// # Errors
    /// As [`dispatch`].
    pub fn reencode(opcode: u16, payload: &[u8]) -> Result<Vec<u8>, $crate::codec::DecodeError> {
        $(match $topic::reencode(opcode, payload) {
            Err($crate::codec::DecodeError::UnknownOpcode(_)) => {}
            done => return done,
        })*
        Err($crate::codec::DecodeError::UnknownOpcode(opcode))
    }
} }

/// The rows of several tables in order of their opcodes. No opcode may stand in two of them, which the compiler finds out.
#[must_use]
pub const fn join<const N: usize>(tables: &[&[CommandInfo]]) -> [CommandInfo; N] {
    let mut rows = [CommandInfo {
        opcode: 0,
        revision: 0,
        class: Class::Sync,
        name: "",
    }; N];
    let (mut table, mut count) = (0, 0);
    while table < tables.len() {
        let mut row = 0;
        while row < tables[table].len() {
            let next = tables[table][row];
            let mut at = count;
            while at > 0 && rows[at - 1].opcode >= next.opcode {
                assert!(
                    rows[at - 1].opcode != next.opcode,
                    "two commands of one opcode"
                );
                rows[at] = rows[at - 1];
                at -= 1;
            }
            rows[at] = next;
            count += 1;
            row += 1;
        }
        table += 1;
    }
    rows
}
