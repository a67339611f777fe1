//! The program's memory as the client accounts for it.
//!
//! # Layout
//! * `ranges`: reserving address space that both ends use alike.
//! * `device`: device memory, handed out from what the worker has granted.
//! * `blocks`: the free-list arithmetic behind it.
//! * `pool`: memory pools, handed out and taken back in stream order. `pool_ledger`: their arithmetic.
//! * `pinned`: pinned and registered host memory.
//! * `mapped`: pinned memory that kernels use in place. `managed`: memory of one address for processor and GPU.
//! * `ledger`: what a pointer is. `writes`: writes of the GPU to pinned memory that are still in flight.

pub(crate) mod blocks;
pub(crate) mod device;
pub(crate) mod ledger;
pub(crate) mod managed;
pub(crate) mod mapped;
pub(crate) mod pinned;
pub(crate) mod pool;
mod pool_ledger;
pub(crate) mod ranges;
pub(crate) mod staging;
pub(crate) mod writes;

use gvirtus_wire::api::types::CUresult;

/// Module variables: addresses that only the driver can mint. Managed ones are the program's to touch, too.
///
/// # Errors
/// `CUDA_ERROR_OUT_OF_MEMORY` if the program has something else at the address of a managed variable.
pub(crate) fn add_global(
    address: u64,
    size: u64,
    device: u32,
    context: u32,
    managed: bool,
) -> Result<(), CUresult> {
    if managed {
        managed::add_variable(address, size, device)?;
    }
    ledger::insert(ledger::Entry {
        address,
        size,
        kind: if managed {
            ledger::Kind::ManagedVariable
        } else {
            ledger::Kind::Global
        },
        device,
        context,
        flags: 0,
    });
    Ok(())
}

/// Their module is unloaded.
pub(crate) fn remove_global(address: u64) {
    if let Some(entry) = ledger::remove(address)
        && entry.kind == ledger::Kind::ManagedVariable
    {
        managed::remove_variable(entry.address, entry.size);
    }
}

/// A device was reset: all its memory is gone.
pub(crate) fn reset_device(device: u32) {
    ledger::forget_device(device);
    device::reset(device);
    pool::reset_device(device);
    managed::reset_device(device);
    crate::driver::vmm::reset_device(device);
    crate::driver::ipc::reset_device(device);
    pinned::reset_device(device);
}

/// A created context is gone; what was allocated in it goes back.
pub(crate) fn forget_context(context: u32, device: u32) {
    let Some(session) = crate::session::Session::existing() else {
        return;
    };
    pool::forget_context(session, context);
    for entry in ledger::of_device(device)
        .into_iter()
        .filter(|e| e.context == context)
    {
        match entry.kind {
            ledger::Kind::Device => {
                if let Some(mut entry) = ledger::remove(entry.address) {
                    // The context cannot carry a command any more; the device's primary one can.
                    entry.context = device;
                    device::free(session, &entry);
                }
            }
            ledger::Kind::Managed => {
                if let Some(mut entry) = ledger::remove(entry.address) {
                    entry.context = device;
                    managed::free(session, &entry);
                }
            }
            // Not a context's: it goes with the device.
            ledger::Kind::Mapped => {}
            ledger::Kind::Global => drop(ledger::remove(entry.address)),
            ledger::Kind::ManagedVariable => remove_global(entry.address),
            // Mapped in the device's range, and its own to close.
            ledger::Kind::Imported { .. } => {}
            // A pool is its device's: what was allocated from it lives on.
            ledger::Kind::Pooled { .. } => {}
            // Host memory outlives the context, as pages of the program.
            ledger::Kind::Pinned | ledger::Kind::Shared | ledger::Kind::Registered { .. } => {}
        }
    }
}
