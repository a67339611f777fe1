//! The core's commands and the worker's messages.
//!
//! Ids of streams, events, modules, graphs and contexts are dense numbers minted by the client (an id may be used again after its destroy command, since commands are
//! ordered); function ids are minted by the worker. Stream 0 is the legacy default stream of the frame's context; context ids below 256 are the devices' primary contexts.
//!
//! # Layout
//! A file for each topic, which declares its commands and the records in them. Opcodes are in one range for all topics; one that stands twice does not compile.
//! * `memory`, `copies`, `arrays`: device memory, pinned memory, what is copied and set; arrays, textures and surfaces. `texture_references`: those that modules have.
//! * `streams`: streams, events, host functions. `graphs`: captures and graphs.
//! * `modules`: modules, their kernels, launches (`launch_parts`: as clients send them). `contexts`: contexts and their limits. `tensor_maps`: descriptors of tensors.
//! * `sharing`: memory and events of other sessions. `multicast`: memory of several devices behind one address.
//! * `messages`: what the worker says unasked.

mod arrays;
mod contexts;
mod copies;
mod graphs;
mod launch_parts;
mod memory;
mod messages;
mod modules;
mod multicast;
mod sharing;
mod streams;
mod tensor_maps;
mod texture_references;

pub use arrays::*;
pub use contexts::*;
pub use copies::*;
pub use graphs::*;
pub use launch_parts::LaunchParts;
pub use memory::*;
pub use messages::*;
pub use modules::*;
pub use multicast::*;
pub use sharing::*;
pub use streams::*;
pub use tensor_maps::*;
pub use texture_references::*;

/// First and last opcode of the core's commands.
pub const OPCODES: (u16, u16) = (0x0100, 0x01ff);

crate::command_topics! {
    /// The core's commands in order of their opcodes.
    table COMMANDS, dispatch dispatch, handler CoreHandler, topics
    modules ModulesHandler, copies CopiesHandler, streams StreamsHandler, memory MemoryHandler, graphs GraphsHandler,
    contexts ContextsHandler, arrays ArraysHandler, tensor_maps TensorMapsHandler, sharing SharingHandler,
    texture_references TextureReferencesHandler, multicast MulticastHandler;
}
