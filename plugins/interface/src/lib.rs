//! What every plugin begins with: the worker's interface ([`gvirtus_wire::plugin`]), made safe on both sides.
//!
//! # Layout
//! * [`Plugin`] and [`plugin!`]: what a plugin is to the worker; `entry` is the C interface behind it.
//! * [`host`]: the worker's functions. [`search`]: where drivers lie.

mod entry;
pub mod host;
pub mod search;

use std::ffi::{CStr, c_void};

use gvirtus_wire::frame::Header;

pub use entry::{Table, table};

use crate::host::Host;

/// A session's part of a plugin. There is one in a process, and it is never freed: the process ends with the session.
pub trait Plugin: Sync + Sized + 'static {
    /// Whether it is the core plugin: the one that has the driver, whose streams it lends, and that a worker cannot do without.
    const IS_CORE: bool = false;

    /// Loads the vendor's library and makes everything ready that does not need the client. `config` is a JSON object.
    ///
    /// # Errors
    /// A sentence for the worker's log.
    fn create(host: &'static Host, config: &[u8]) -> Result<&'static Self, String>;

    /// The worker's functions, as [`create`](Self::create) got them.
    fn host(&self) -> &'static Host;

    /// What the client is told when the session starts, encoded.
    ///
    /// # Errors
    /// A sentence for the worker's log; the session ends.
    fn snapshot(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    /// Executes one frame. Called in the order of the frames.
    fn dispatch(&self, header: &Header, payload: &[u8]);

    /// The input is drained for the moment. Whether something is left that can wait longer, which is asked for again; with `last` nothing may.
    fn idle(&self, last: bool) -> bool {
        let _ = last;
        false
    }

    /// The session is over; the process ends soon after.
    fn close(&self) {}

    /// Calls `issue` with the driver's handle of a stream, see [`HostTable::on_stream`](gvirtus_wire::plugin::HostTable::on_stream). Only of the core plugin.
    ///
    /// # Errors
    /// A CUDA status.
    fn lend_stream(
        &self,
        header: &Header,
        stream: u32,
        wait: bool,
        calls: u32,
        issue: impl FnOnce(*mut c_void) -> i32,
    ) -> Result<(), i32> {
        let _ = (header, stream, wait, calls, issue);
        Err(NOT_SUPPORTED)
    }

    /// The address of a function of the driver, or null. Only of the core plugin.
    fn driver_symbol(&self, name: &CStr) -> *const c_void {
        let _ = name;
        std::ptr::null()
    }
}

/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: i32 = 801;

/// Makes the library the plugin of that name for those opcodes: `plugin!(Session, c"nvml", OPCODES)`.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty, $name:literal, $opcodes:expr) => {
        static TABLE: $crate::Table = $crate::table::<$plugin>($name, $opcodes);

        /// The entry that a worker looks up, see [`gvirtus_wire::plugin`].
        #[unsafe(no_mangle)]
        pub extern "C" fn gvirtus_plugin_entry() -> *const gvirtus_wire::plugin::PluginTable {
            &raw const TABLE.0
        }
    };
}
