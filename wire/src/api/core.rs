//! Commands of the core.
