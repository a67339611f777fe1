//! What frontend and backend agree on: API tables, codec, frames, handshake, communicators.
//!
//! # Layout
//! * [`api`]: the functions that programs call and the commands that they become, each declared once.
//! * [`codec`], [`frame`], [`command`]: how commands are written and read, bounded and checked.
//! * [`delta`]: changes of memory that both ends have.
//! * [`plugin`]: the C interface between a worker and its plugins.
//! * [`communicator`]: byte streams between client and backend behind one trait, emulated distance on any of them.
//! * [`lanes`]: large payloads over several connections at once.
//! * [`handshake`], [`auth`], [`config`]: how a session begins, and what `properties.json` may say.
#![forbid(unsafe_code)]

pub mod api;
pub mod auth;
pub mod codec;
pub mod command;
pub mod communicator;
pub mod config;
pub mod delta;
pub mod frame;
pub mod handshake;
pub mod image;
pub mod lanes;
pub mod plugin;
