//! What frontend and backend agree on: API tables, codec, frames, handshake, communicators
