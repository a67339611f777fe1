//! The core plugin: memory, streams, events, modules and launches over the CUDA driver API.
//!
//! # Layout
//! * `session`: what a session keeps; how a frame becomes a handler's call. `table`: ids of the client. `errors`.
//! * `choose`, `driver`: which driver library, and its function table.
//! * `contexts`, `memory`, `host_memory`, `streams`, `events`, `modules`, `link`, `launch`, `graph`, `graph_kernel`, `host_function`: the handlers, by topic.
//! * `copy`, `copy_enqueue`, `shape`, `staging`, `pinned`: copies, how the driver is given them, how they are cut, the pinned memory that they pass through.
//! * `progress`, `words`, `poller`: how far each stream has come, and who tells the client.
//! * `launch_chain`: launches that come faster than the driver takes them, issued together.
//! * `launch_threads`: launches of several threads of the program, issued by several here.
//! * `physical`, `multicast`: memory that the program maps itself. `ipc`: memory and events that sessions share. `stream_memory`: words that streams write and wait for. `tensor_map`: descriptors of tensors.
//! * `arrays`, `sparse`, `textures`, `texture_references`: arrays, and the objects and references that kernels reach them by.
//! * `jit`: options and logs of the compiler; `compiler`: its thread. `output`: what the device prints. `snapshot`: what programs see of the devices.
//!
//! # Threads
//! One thread of the worker at a time reads frames and calls `dispatch`; it issues work in the order of the frames and places progress markers. A handler that may wait
//! calls `may_block` first, and another thread goes on. The poller collects what has completed. The driver's own threads run host functions.
//!
//! Order of locks: the last launch's stream and function (by the thread that reads frames alone), `Progress::settling`, the list of outstanding lanes, a lane's state, the list of dirty lanes. Tables' locks are held for look-ups only.

mod arrays;
mod capture_info;
mod choose;
mod compiler;
mod conditional;
mod contexts;
mod copy;
mod copy_enqueue;
mod device_graph;
mod driver;
mod errors;
mod events;
mod graph;
mod graph_kernel;
mod green;
mod host_function;
mod host_memory;
mod image_cache;
mod ipc;
mod jit;
mod launch;
mod launch_chain;
mod launch_threads;
mod link;
mod mapped;
mod memory;
mod modules;
mod multicast;
mod output;
mod physical;
mod pinned;
mod poller;
mod progress;
mod session;
mod shape;
mod snapshot;
mod sparse;
mod staging;
mod stream_memory;
mod streams;
mod table;
mod tensor_map;
mod texture_references;
mod textures;
mod topology;
mod words;

#[cfg(test)]
#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the tests play the worker: their pointers are those of the call"
)]
mod tests;

use std::ffi::{CStr, c_void};

use gvirtus_plugin::host::{self, Host};
use gvirtus_plugin::{Plugin, plugin};
use gvirtus_wire::api::core::OPCODES;
use gvirtus_wire::frame::Header;

use crate::session::Session;

plugin!(Session, c"cudart", OPCODES);

impl Plugin for Session {
    const IS_CORE: bool = true;

    fn create(host: &'static Host, config: &[u8]) -> Result<&'static Self, String> {
        Self::create(host, config)
            .map_err(|reason| format!("the core plugin cannot start: {reason}"))
    }

    fn host(&self) -> &'static Host {
        self.host
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>, String> {
        self.encoded_snapshot()
            .map(Some)
            .map_err(|status| format!("the devices cannot be described: {}", errors::name(status)))
    }

    fn dispatch(&self, header: &Header, payload: &[u8]) {
        self.dispatch(header, payload);
    }

    fn idle(&self, last: bool) -> bool {
        self.idle(last)
    }

    fn close(&self) {
        self.close();
    }

    fn lend_stream(
        &self,
        header: &Header,
        stream: u32,
        wait: bool,
        calls: u32,
        issue: impl FnOnce(*mut c_void) -> i32,
    ) -> Result<(), i32> {
        self.lend_stream(header, stream, wait, calls, issue)
    }

    fn driver_symbol(&self, name: &CStr) -> *const c_void {
        self.driver.address(name)
    }
}
