//! What the plugins of compute libraries have in common. Such a plugin is a [`Description`] and, for the CPU device, a provider.
//!
//! # Layout
//! * this file: the description, and how the worker's calls reach the session of each library. [`host`]: the worker's functions.
//! * `session`: frames to calls. `handles`: what they are made on. `objects`, `define`: descriptors. `ask`: questions that are answered together. `execute`: plans of cuDNN's graph API. `opaque`: cuBLASLt's descriptors. `known`: what follows from a declaration. `invoke`: a call with any parameters. `plain`: calls that need none of the following. `buffers`: the bytes that it reads and writes. `results`: where the GPU writes results that the client waits for.
//! * [`cpu`]: for providers on the CPU device.
//! * `vendor`: which library answers.

mod ask;
mod buffers;
pub mod cpu;
mod define;
mod execute;
mod handles;
mod invoke;
mod known;
mod objects;
mod opaque;
mod plain;
mod results;
mod session;
mod vendor;

use std::ffi::{CStr, c_void};

pub use gvirtus_plugin::{Plugin, host, plugin};
use gvirtus_wire::api::library::Function;
use gvirtus_wire::frame::Header;

use crate::host::Host;
pub use crate::invoke::invoke;
use crate::session::Session;

/// What a plugin is about.
#[derive(Debug)]
pub struct Description {
    /// The plugin's name.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
    /// First opcode.
    pub first_opcode: u16,
    /// The library's file without its major version: `libcublas.so.`.
    pub file: &'static str,
    /// Libraries that it needs and that lie beside it or where others are, to be loaded first; after a dot at the end comes its major version, a star there stands for any.
    pub needs: &'static [&'static str],
    /// Major versions, best first.
    pub majors: &'static [u32],
    /// Makes a handle: `(handle *)`, or `(handle *, int)`.
    pub create: &'static CStr,
    /// Other functions that make handles, by the ids of their declarations.
    pub creators: &'static [&'static CStr],
    /// Ends a handle.
    pub destroy: &'static CStr,
    /// Sets a handle's stream, if handles have one.
    pub set_stream: Option<&'static CStr>,
    /// Sets a handle's pointer mode (0 host, 1 device), if handles have one.
    pub set_pointer_mode: Option<&'static CStr>,
    /// `(libraryPropertyType, int *)`: the version.
    pub get_property: &'static CStr,
    /// The library's "not initialized" and "not supported".
    pub not_initialized: i32,
    /// The library's "not supported".
    pub not_supported: i32,
    /// The CUDA status that stands for a status of the library in a later call.
    pub cuda_status: fn(i32) -> i32,
    /// The CPU device's functions by name; [`host::Host`] leads to the device's driver.
    pub provider: fn(&'static Host, &CStr) -> Option<*const c_void>,
}

/// Makes the library the plugin of that name for those opcodes, of a slice of [`Description`]s called `DESCRIPTIONS` in the order of their opcodes.
#[macro_export]
macro_rules! library_plugin {
    ($name:literal, $opcodes:expr) => {
        struct Libraries($crate::Sessions);

        impl $crate::Plugin for Libraries {
            fn create(
                host: &'static $crate::host::Host,
                config: &[u8],
            ) -> Result<&'static Self, String> {
                let sessions = $crate::Sessions::new(DESCRIPTIONS, host, config)?;
                Ok(Box::leak(Box::new(Self(sessions))))
            }

            fn host(&self) -> &'static $crate::host::Host {
                self.0.host()
            }

            fn dispatch(&self, header: &gvirtus_wire::frame::Header, payload: &[u8]) {
                self.0.dispatch(header, payload);
            }
        }

        $crate::plugin!(Libraries, $name, $opcodes);
    };
}

/// The sessions of a plugin's libraries, in the order of their opcodes.
pub struct Sessions {
    host: &'static Host,
    each: Vec<Session>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// One for each description. The libraries are loaded when a program first calls them.
    ///
    /// # Errors
    /// A sentence for the log.
    pub fn new(
        descriptions: &'static [&'static Description],
        host: &'static Host,
        config: &[u8],
    ) -> Result<Self, String> {
        let each = descriptions.iter().map(|description| {
            Session::new(description, host, config)
                .map_err(|reason| format!("{}: {reason}", description.name))
        });
        let each = each.collect::<Result<_, _>>()?;
        Ok(Self { host, each })
    }

    /// The worker's functions.
    #[must_use]
    pub fn host(&self) -> &'static Host {
        self.host
    }

    /// Executes one frame: of the library whose opcodes begin nearest before its own.
    pub fn dispatch(&self, header: &Header, payload: &[u8]) {
        let mut nearest = self.each.iter().rev();
        if let Some(session) = nearest.find(|session| session.first_opcode() <= header.opcode) {
            session.dispatch(header, payload);
        }
    }
}
