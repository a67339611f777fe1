//! Declares functions that differ from the driver's in name alone.

/// `/// doc` `fn cudaName(parameters) => cuName(arguments);` makes the context current and calls the driver. Functions with a variant for the per-thread default stream name the
/// parameter that says which is meant: `fn cudaName[default](stream: cudaStream_t) => cuName(default.resolve(stream));`.
macro_rules! forward { ($($(#[doc = $doc:literal])+ fn $name:ident $([$default:ident])? ($($p:ident: $t:ty),* $(,)?) => $driver:ident($($argument:expr),* $(,)?);)*) => { $(
    $(#[doc = $doc])+
    ///
    #[doc = concat!("Is the driver's `", stringify!($driver), "`. <https://docs.nvidia.com/cuda/cuda-runtime-api/>")]
    pub unsafe fn $name($($default: $crate::context::DefaultStream,)? $($p: $t),*) -> $crate::error::Result {
        $crate::context::current()?;
        $crate::context::cu!($driver($($argument),*))
    }
)* } }
pub(crate) use forward;

/// A handle that the runtime asks for before it asks the driver, whose error would be another.
pub(crate) fn given(handle: *mut std::ffi::c_void) -> crate::error::Result<*mut std::ffi::c_void> {
    if handle.is_null() {
        Err(crate::error::INVALID_VALUE)
    } else {
        Ok(handle)
    }
}
