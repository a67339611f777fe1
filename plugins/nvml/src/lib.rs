//! The plugin that answers NVML.
//!
//! # Layout
//! * this file: what the plugin is to the worker.
//! * `session`: frames to calls. `call`: inputs to arguments, results to outputs, for every function alike. `invoke`: typed calls by name. `handles`: handles' numbers.
//! * `library`: the box's `libnvidia-ml.so.1`. `cpu_model`: what is known of the CPU device.

mod call;
mod cpu_model;
mod handles;
mod invoke;
mod library;
mod session;

use gvirtus_plugin::host::Host;
use gvirtus_plugin::{Plugin, plugin};
use gvirtus_wire::api::nvml_call::OPCODES;
use gvirtus_wire::frame::Header;

use crate::library::{Config, Library};
use crate::session::Session;

plugin!(Session, c"nvml", OPCODES);

impl Plugin for Session {
    fn create(host: &'static Host, config: &[u8]) -> Result<&'static Self, String> {
        let config: Config = serde_json::from_slice(config)
            .map_err(|e| format!("NVML's part of the configuration: {e}"))?;
        let library =
            Library::find(&config).map_err(|reason| format!("NVML is not there: {reason}"))?;
        Ok(Box::leak(Box::new(Self::new(host, library))))
    }

    fn host(&self) -> &'static Host {
        self.host
    }

    fn dispatch(&self, header: &Header, payload: &[u8]) {
        self.dispatch(header, payload);
    }
}
