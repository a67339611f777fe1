//! What frontend and backend agree on: API tables, codec, frames, handshake, communicators.
//!
//! # Layout
//! * [`api`]: the declaration tables.
#![forbid(unsafe_code)]

pub mod api;
