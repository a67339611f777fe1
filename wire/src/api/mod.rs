//! One declaration per API function, and one per command on the wire.
//!
//! * [`cuda_api!`](crate::cuda_api) and [`cudart_api!`](crate::cudart_api) declare the functions that programs call.
//! * [`nvml_api!`](crate::nvml_api) declares NVML's, [`nvml_call`] how they travel.
//! * [`cublas_api!`](crate::cublas_api), [`cudnn_api!`](crate::cudnn_api) and [`cufft_api!`](crate::cufft_api) declare those of compute libraries, [`library`] how they travel.
//! * [`core`] declares the commands that those functions become: opcode, parameters, class.
//! * [`frontend_table`]: the C ABI between a frontend library and the client core of its process.

pub mod core;
mod cuda;
mod cudart;
pub mod cudart_types;
#[macro_use]
mod cublas;
#[macro_use]
mod cudnn;
#[macro_use]
mod cufft;
#[macro_use]
mod cufftw;
#[macro_use]
mod cublaslt;
#[macro_use]
mod curand;
pub mod frontend_table;
pub mod fused;
pub mod library;
mod library_arguments;
pub mod opaque;
#[macro_use]
mod nvml;
pub mod nvml_call;
pub mod types;

/// What a call costs the program's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Answered on the client; nothing is sent that the caller waits for.
    Local,
    /// Appended to the command stream; returns at once.
    Async,
    /// The calling thread waits for the reply.
    Sync,
    /// One round trip if work that matters is outstanding by the client's knowledge, none otherwise.
    ImplicitSync,
    /// Returns "not supported".
    Unsupported,
}

impl Class {
    /// The class of a declaration's keyword.
    ///
    /// # Panics
    /// On a word that is no class; evaluated at compile time by the tables' users.
    #[must_use]
    pub const fn of(keyword: &str) -> Self {
        match keyword.as_bytes() {
            b"local" => Self::Local,
            b"async" => Self::Async,
            b"sync" => Self::Sync,
            b"implicit_sync" => Self::ImplicitSync,
            b"unsupported" => Self::Unsupported,
            _ => panic!("unknown class keyword"),
        }
    }

    /// The keyword as the tables write it.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Async => "async",
            Self::Sync => "sync",
            Self::ImplicitSync => "implicit_sync",
            Self::Unsupported => "unsupported",
        }
    }
}
