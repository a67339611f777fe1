//! The core plugin: memory, streams, events, modules and launches over the CUDA driver API
