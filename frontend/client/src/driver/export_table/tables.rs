//! The tables as data: UUID, size, and which slots are known.
//!
//! Sizes are those of driver 580 (CUDA 13.0). CUDA 12's libraries ask for the same tables; they use fewer slots. Names are the ones that ZLUDA and others have given them.

use std::ffi::c_void;

use super::{context_storage, cudart_interface, integrity, tools, topology, unknown};

/// One word of a table: a function's address, or the table's size.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Slot(pub(super) *const c_void);

// SAFETY: the address of a function, which every thread may call, or a number.
unsafe impl Sync for Slot {}

/// A table.
pub(super) struct Table {
    pub(super) uuid: &'static [u8; 16],
    /// For messages.
    pub(super) name: &'static str,
    /// Whether the first word is the size in bytes; the table without it ends with null.
    #[cfg_attr(
        not(test),
        allow(
            dead_code,
            reason = "it describes the table; tests hold the table against it"
        )
    )]
    pub(super) counted: bool,
    pub(super) slots: &'static [Slot],
}

impl Table {
    /// What `cuGetExportTable` returns.
    pub(super) fn address(&self) -> *const c_void {
        self.slots.as_ptr().cast()
    }
}

/// The table of that UUID.
pub(super) fn find(uuid: &[u8; 16]) -> Option<&'static Table> {
    ALL.iter().find(|table| table.uuid == uuid)
}

/// The words of a table: its size, what is known, and for the rest what says that it is not.
const fn fill<const TABLE: usize, const WORDS: usize>(
    known: &[(usize, *const c_void)],
) -> [Slot; WORDS] {
    let unknown = unknown::slots::<TABLE>();
    let mut slots = [Slot(std::ptr::null()); WORDS];
    slots[0] = Slot(std::ptr::without_provenance(WORDS * size_of::<usize>()));
    let mut i = 1;
    while i < WORDS {
        slots[i] = Slot(unknown[i]);
        i += 1;
    }
    let mut i = 0;
    while i < known.len() {
        slots[known[i].0] = Slot(known[i].1);
        i += 1;
    }
    slots
}

/// `NAME "uuid as bytes" words { slot => function, … }`
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident $index:literal $uuid:literal $counted:literal [$words:literal] { $($slot:literal => $function:expr),* $(,)? })*) => {
        $(
            $(#[$doc])*
            pub(super) static $name: [Slot; $words] = fill::<$index, $words>(&[$(($slot, $function as *const c_void)),*]);
        )*

        /// Every table; a table's index here is the number that its unknown slots report.
        pub(super) static ALL: &[Table] = &[$(Table {
            uuid: &bytes($uuid),
            name: stringify!($name),
            counted: $counted,
            slots: &$name,
        }),*];

        #[cfg(test)]
        const INDICES: &[usize] = &[$($index),*];
    };
}

/// The 16 bytes behind 32 hexadecimal digits.
const fn bytes(hex: &str) -> [u8; 16] {
    const fn digit(c: u8) -> u8 {
        match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => panic!("a UUID is written in hexadecimal"),
        }
    }
    let text = hex.as_bytes();
    assert!(text.len() == 32);
    let mut bytes = [0; 16];
    let mut i = 0;
    while i < 16 {
        bytes[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

tables! {
    /// What the runtime does not do over the documented API.
    CUDART_INTERFACE 0 "6bd5fb6c5bf4e74a8987d93912fd9df9" true [13] {
        1 => cudart_interface::load_module,
        2 => cudart_interface::primary_context,
        6 => cudart_interface::load_module_for_runtime,
        7 => cudart_interface::note,
        8 => cudart_interface::load_container,
        12 => cudart_interface::load_compilers,
    }
    /// Where profilers subscribe to the runtime's calls: nobody does.
    TOOLS_RUNTIME_CALLBACK_HOOKS 1 "a094798c2e742e7493f20800200c0a66" true [7] {
        2 => tools::callback_flags,
        6 => tools::resource_flags,
    }
    /// What tools know of the calling thread.
    TOOLS_TLS 2 "42d85a8123f6cb478298f6e78a3aecdc" true [3] {
        2 => tools::current_context,
    }
    /// Values that libraries keep with a context.
    CONTEXT_LOCAL_STORAGE 3 "c693336e1121df11a8c368f355d89593" false [4] {
        0 => context_storage::put_value,
        1 => context_storage::delete,
        2 => context_storage::get,
        3 => std::ptr::null::<c_void>(),
    }
    /// The runtime's proof that it talks to the driver.
    INTEGRITY_CHECK 4 "d4082055bde6704b8d34ba123c66e1f2" true [3] {
        1 => integrity::check,
    }
    /// What a wrapped context stands for: contexts are not wrapped here.
    CONTEXT_CHECKS 5 "263e88607cd2614392f6bbd5006dfa7e" true [15] {
        2 => tools::unwrap_context,
        3 => tools::wrapped_contexts,
    }
    /// `cuCtxCreate` past its interception by tools.
    CTX_CREATE_BYPASS 6 "0ca50b8c1004929a89a7d0df10e77286" true [2] {
        1 => cudart_interface::create_context,
    }
    /// Memory for the runtime's own use.
    HEAP_ACCESS 7 "195bcbf4d67d024aacc51d29cea631ae" true [3] {}
    /// Devices by attributes that have no public number.
    DEVICE_EXTENDED_RT 8 "b10541e1f7c7c74a9f64f223be99f1e2" true [26] {}
    /// Where libraries write to the driver's log (`cuLogs…`).
    ERROR_LOG 9 "f8cff95121468b4eb9e2fb469e7c0dd9" true [3] {
        1 => tools::log_message,
    }
    /// What tools know of contexts and streams; cuBLAS, cuBLASLt and cuFFT ask.
    TOOLS_CONTEXT 10 "21318c60971432488ca641ff7324c8f2" true [93] {
        3 => tools::context_device,
        4 => tools::context_id,
        39 => tools::stream_id,
        51 => tools::resolve_stream,
    }
    /// What tools know of modules; cuFFT asks.
    TOOLS_MODULE 11 "6e163fbeb958444d835ce182aff1991e" true [99] {
        7 => tools::for_each_function,
    }
    /// The driver's cache of compiled code, where NVRTC keeps what it has compiled: opened by key, closed, looked up, filled.
    NVRTC_INTERFACE 12 "da9151d33ae6cc41a5c04f26d533e328" true [7] {
        1 => tools::open_compile_cache,
    }
    /// NVML's.
    NVML_INTERFACE 13 "69a28e9f24498b47b030c5da330ea4e9" true [34] {}
    /// How a device's multiprocessors lie; cuBLASLt and cuDNN choose kernels by it.
    TOPOLOGY 14 "1734dc26800d47458726c0f1e7dd8bca" true [17] {
        4 => topology::gpcs_of_tpcs,
        13 => topology::release,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places() {
        assert!(INDICES.iter().copied().eq(0..ALL.len()));
        assert!(
            ALL.iter()
                .all(|table| find(table.uuid).is_some_and(|t| t.name == table.name))
        );
    }

    #[test]
    fn no_slot_is_empty() {
        for table in ALL {
            let end = table.slots.len() - usize::from(!table.counted);
            assert!(
                table.slots[..end].iter().all(|slot| !slot.0.is_null()),
                "{}",
                table.name
            );
        }
        assert!(CONTEXT_LOCAL_STORAGE[3].0.is_null());
    }
}
