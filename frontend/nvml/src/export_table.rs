//! The private table that `nvidia-smi` asks for by a UUID, and takes for a sign of another version if it is not there. What its functions do is not documented. Those that
//! list processes take what their public counterparts take; of the others, what `nvidia-smi` shows by default does not need an answer: each says "not supported", once
//! with its slot, and the field reads `N/A`.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use gvirtus_wire::api::nvml_call::{
    ERROR_INVALID_ARGUMENT, ERROR_NOT_SUPPORTED, ERROR_UNKNOWN, SUCCESS,
};
use seq_macro::seq;

use crate::Return;
use crate::forward::forward;
use crate::local;

/// The table's UUID.
const NVIDIA_SMI: [u8; 16] = [
    0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e, 0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4,
];
/// At least as many entries as any release has.
const ENTRIES: usize = 512;

/// A function of the table, as far as one is known: a device, a count, an array of [`ProcessEntry`].
type Entry = unsafe extern "C" fn(u64, u64, u64) -> Return;

static TABLE: [Entry; ENTRIES] = {
    let mut table: [Entry; ENTRIES] = seq!(SLOT in 0..512 { [#(unknown::<SLOT>,)*] });
    // Since driver 535.
    table[213] = compute_processes;
    table[214] = mps_processes;
    table[215] = graphics_processes;
    table
};

/// `nvmlProcessInfo_t`, as the public functions write it.
type Process = [u64; 3];

/// What the private functions write: the public structure, and the process's name.
#[repr(C)]
struct ProcessEntry {
    process: Process,
    /// Zero.
    _unknown: u64,
    name: [u8; 4096],
}

/// The public function of the same purpose, into entries of the private kind.
///
/// # Safety
/// `count` is null or points to a count, `to` is null or has room for as many entries.
unsafe fn entries(name: &'static str, device: u64, count: u64, to: u64) -> Return {
    let (count, to) = (count as *mut u32, to as *mut ProcessEntry);
    if count.is_null() {
        return ERROR_INVALID_ARGUMENT;
    }
    let room = match to.is_null() {
        true => 0,
        // SAFETY: not null, a count by this function's contract.
        false => unsafe { count.read() },
    };
    let mut listed = room;
    let mut processes: Vec<Process> = vec![[0; 3]; room as usize];
    let list = if room == 0 {
        0
    } else {
        processes.as_mut_ptr() as u64
    };
    // SAFETY: a count, and an array with room for as many structures.
    let result = unsafe { forward(name, &[device, (&raw mut listed) as u64, list]) };
    if result == SUCCESS {
        for (i, process) in processes.into_iter().take(listed as usize).enumerate() {
            let mut entry = ProcessEntry {
                process,
                _unknown: 0,
                name: [0; 4096],
            };
            let room = &mut entry.name;
            // The name is cut if it does not fit. Without one the entry says so by its emptiness.
            // SAFETY: the array and its length.
            let _ = unsafe {
                local::nvmlSystemGetProcessName(
                    process[0] as u32,
                    room.as_mut_ptr().cast(),
                    room.len() as u32,
                )
            };
            // SAFETY: `listed` is at most `room`, which the array has by this function's contract.
            unsafe { to.add(i).write(entry) };
        }
    }
    // SAFETY: as above.
    unsafe { count.write(listed) };
    result
}

macro_rules! processes {
    ($($name:ident: $counterpart:literal;)*) => { $(
        unsafe extern "C" fn $name(device: u64, count: u64, to: u64) -> Return {
            // SAFETY: the caller passes what its header says.
            guarded(|| unsafe { entries($counterpart, device, count, to) })
        }
    )* };
}
processes! {
    compute_processes: "nvmlDeviceGetComputeRunningProcesses_v3";
    mps_processes: "nvmlDeviceGetMPSComputeRunningProcesses_v3";
    graphics_processes: "nvmlDeviceGetGraphicsRunningProcesses_v3";
}

/// No panic of ours unwinds into the caller.
fn guarded(body: impl FnOnce() -> Return) -> Return {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(ERROR_UNKNOWN)
}

/// What stands in for an entry of which nothing is known. Takes anything.
unsafe extern "C" fn unknown<const SLOT: usize>(_: u64, _: u64, _: u64) -> Return {
    static SAID: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    let first = SAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(SLOT);
    if first {
        eprintln!("GVirtuS: slot {SLOT} of NVML's private table c4fe3e6c is not supported");
    }
    ERROR_NOT_SUPPORTED
}

/// Hands out the table; `NVML_ERROR_INVALID_ARGUMENT` for any other.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlInternalGetExportTable(
    table: *mut *const c_void,
    uuid: *const [u8; 16],
) -> Return {
    if table.is_null() || uuid.is_null() {
        return ERROR_INVALID_ARGUMENT;
    }
    // SAFETY: not null, 16 bytes by the function's contract.
    let known = unsafe { uuid.read_unaligned() } == NVIDIA_SMI;
    let address = if known {
        (&raw const TABLE).cast()
    } else {
        std::ptr::null()
    };
    // SAFETY: not null, a pointer to a pointer by the function's contract.
    unsafe { table.write_unaligned(address) };
    if known {
        SUCCESS
    } else {
        ERROR_INVALID_ARGUMENT
    }
}
