//! Runs compiled PTX: grids over host threads, blocks warp by warp, warps with an active mask.

pub(crate) mod atomic;
mod block;
mod calls;
pub(crate) mod children;
mod cluster;
mod cross;
mod device_runtime;
pub(crate) mod grid;
mod image;
mod matrix;
mod matrix_product;
pub(crate) mod mbarrier;
mod memory;
mod node_updates;
mod pool;
mod printf;
mod quick;
mod sample;
pub(crate) mod state;
mod warp;
mod whole;
