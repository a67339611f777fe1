//! The CPU device: a CUDA driver in software that runs kernels from their PTX.
//!
//! # Layout
//! * [`driver`]: the driver API, exported as C symbols.
//! * [`engine`]: the traits between the two.
//! * `ptx`: the engine that compiles and runs PTX.

pub mod driver;
pub mod engine;
/// The engine's place: until it is here every PTX text is refused.
pub mod ptx {
    use std::sync::Arc;

    use crate::engine::{CompileError, CompiledModule};

    /// Compiles PTX.
    ///
    /// # Errors
    /// Always, in this build.
    pub fn compile(_source: &str) -> Result<Arc<dyn CompiledModule>, CompileError> {
        Err(CompileError { line: 0, text: String::new(), message: "this build has no PTX engine".to_owned() })
    }
}
