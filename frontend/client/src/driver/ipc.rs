//! Memory and events that programs of one backend share: <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html>,
//! <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__VA.html>, <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MALLOC__ASYNC.html>.
//!
//! A handle that a program passes on carries a token, which the other program's worker takes to the one that exported. Where CUDA speaks of a file descriptor, it is that of a
//! file in memory which holds such a token. Shared memory is mapped at addresses of this program's own choosing, piece by piece of what the other program was granted.
#![allow(non_snake_case, reason = "CUDA's names")]

use std::collections::{HashMap, HashSet};
use std::ffi::c_void;
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use gvirtus_wire::api::core::{
    IpcExportEvent, IpcExportMemory, IpcExportPiece, IpcExportPool, IpcImportEvent, IpcLook,
    IpcTake, PhysicalAccess, PhysicalMap, PhysicalRelease, PhysicalUnmap,
};
use gvirtus_wire::api::types::{
    CUdeviceptr, CUevent, CUipcEventHandle, CUipcMemHandle, CUmemAllocationProp,
    CUmemGenericAllocationHandle, CUmemLocation, CUmemoryPool, error,
};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::driver::{Result, context, memory, put, session, vmm};
use crate::events::{self, INTERPROCESS};
use crate::log;
use crate::memory::device;
use crate::memory::ledger::{self, Entry, Kind};
use crate::memory::pool::{self, Pool};
use crate::session::Session;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`, the only kind of handle.
const POSIX_FD: u32 = 1;
/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`.
const LAZY_ENABLE_PEER_ACCESS: u32 = 1;
/// `CU_MEM_ALLOCATION_TYPE_PINNED`, `CU_MEM_LOCATION_TYPE_DEVICE`, `CU_MEM_ACCESS_FLAGS_PROT_READWRITE`.
const PINNED: u32 = 1;
const ON_DEVICE: u32 = 1;
const READ_WRITE: u32 = 3;

type Token = [u8; 32];

/// What a handle is for; each begins with eight letters that say so.
const MEMORY: &[u8; 8] = b"GVmemory";
const EVENT: &[u8; 8] = b"GVevent1";
const PIECE: &[u8; 8] = b"GVpiece1";
const POOL: &[u8; 8] = b"GVmpool1";
const POINTER: &[u8; 8] = b"GVpoint1";

/// A handle of 64 bytes.
fn seal(kind: &[u8; 8], token: &Token) -> [u8; 64] {
    let mut handle = [0; 64];
    handle[..8].copy_from_slice(kind);
    handle[8..40].copy_from_slice(token);
    handle
}

/// The token of a handle, if it is of that kind.
fn open(kind: &[u8; 8], handle: &[u8]) -> Result<Token> {
    let token = handle
        .strip_prefix(kind)
        .and_then(|rest| rest.first_chunk::<32>());
    token.copied().ok_or(error::ERROR_INVALID_VALUE)
}

/// A descriptor that stands for a token: the program's.
fn to_descriptor(kind: &[u8; 8], token: &Token) -> Result<i32> {
    // SAFETY: a C string; the descriptor that comes back is ours.
    let mut file = unsafe {
        let fd = libc::memfd_create(
            c"gvirtus-shareable".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        );
        if fd < 0 {
            return Err(error::ERROR_OPERATING_SYSTEM);
        }
        File::from_raw_fd(fd)
    };
    file.write_all(&seal(kind, token))
        .map_err(|_| error::ERROR_OPERATING_SYSTEM)?;
    let fd = file.into_raw_fd();
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: our file. Failure only leaves it writable.
    unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) };
    Ok(fd)
}

/// The token that a program's descriptor stands for.
fn from_descriptor(kind: &[u8; 8], fd: *mut c_void) -> Result<Token> {
    let fd = i32::try_from(fd as usize).map_err(|_| error::ERROR_INVALID_VALUE)?;
    // SAFETY: only read from, and not closed: it is the program's. A number that is no descriptor fails to be read.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let mut handle = [0; 64];
    file.read_exact_at(&mut handle, 0)
        .map_err(|_| error::ERROR_INVALID_VALUE)?;
    open(kind, &handle)
}

/// Memory of another program, mapped here.
struct Mapped {
    token: Token,
    device: u32,
    /// Where it is mapped, and how much.
    base: u64,
    whole: u64,
    /// Address, size and number of each piece of physical memory.
    parts: Vec<(u64, u64, u32)>,
    /// How often the program has opened it.
    opened: u32,
    /// Devices that have access: its own, and those from whose contexts it was opened.
    devices: Vec<u32>,
}

/// By the address that the program has.
static MAPPED: Mutex<Option<HashMap<u64, Mapped>>> = Mutex::new(None);
/// Held while something is opened, so that the same is not mapped twice.
static OPENING: Mutex<()> = Mutex::new(());
/// Tokens of this process: it cannot open them itself.
static OWN: Mutex<Option<HashSet<Token>>> = Mutex::new(None);

fn mapped<R>(f: impl FnOnce(&mut HashMap<u64, Mapped>) -> R) -> R {
    f(MAPPED.lock().get_or_insert_default())
}

/// The error of a program that opens what it has itself exported.
fn refuse_own(token: &Token) -> Result<()> {
    let own = OWN
        .lock()
        .as_ref()
        .is_some_and(|tokens| tokens.contains(token));
    if own {
        Err(error::ERROR_INVALID_CONTEXT)
    } else {
        Ok(())
    }
}

fn own(token: Token) -> Token {
    OWN.lock().get_or_insert_default().insert(token);
    token
}

/// Maps memory of another program and enters it into the ledger as what `kind` says. The address.
fn map(session: &Session, token: &Token, pool: Option<&Pool>) -> Result<u64> {
    let _opening = OPENING.lock();
    let context = context::current()?;
    let known = mapped(|all| {
        let (address, known) = all.iter_mut().find(|(_, m)| m.token == *token)?;
        known.opened += 1;
        let new = !known.devices.contains(&context.device);
        Some((*address, known.parts.clone(), new))
    });
    if let Some((address, parts, new)) = known {
        if new {
            for (at, size, _) in parts {
                allow(session, context.device, at, size)?;
            }
            mapped(|all| {
                if let Some(known) = all.get_mut(&address) {
                    known.devices.push(context.device);
                }
            });
        }
        return Ok(address);
    }
    let shared = session.call(context.id, &IpcLook { token: *token })?;
    let whole = shared
        .parts
        .iter()
        .try_fold(0u64, |sum, size| sum.checked_add(*size))
        .ok_or(error::ERROR_INVALID_VALUE)?;
    let fits = shared
        .offset
        .checked_add(shared.size)
        .is_some_and(|end| end <= whole);
    if shared.pool || whole == 0 || shared.size == 0 || !fits {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let first_piece = vmm::mint(shared.parts.len())?;
    let take = IpcTake {
        token: *token,
        first_piece,
    };
    session.call(shared.device, &take)?;
    let granularity = vmm::granularity(shared.device)?;
    let base = device::reserve(session, shared.device, whole, granularity)?;
    let mut mapping = Mapped {
        token: *token,
        device: shared.device,
        base,
        whole,
        parts: Vec::new(),
        opened: 1,
        devices: vec![shared.device],
    };
    let others = pool.map(|pool| pool.access.lock().keys().copied().collect::<Vec<_>>());
    for device in others
        .unwrap_or_default()
        .into_iter()
        .chain([context.device])
    {
        if !mapping.devices.contains(&device) {
            mapping.devices.push(device);
        }
    }
    let mut at = base;
    for (piece, size) in (first_piece..).zip(shared.parts) {
        let mut done = session.call(shared.device, &PhysicalMap { piece, address: at });
        if done.is_ok() {
            mapping.parts.push((at, size, piece));
            done = mapping
                .devices
                .iter()
                .try_for_each(|device| allow(session, *device, at, size));
        }
        if let Err(status) = done {
            unmap(session, &mapping);
            return Err(status);
        }
        at += size;
    }
    let address = base + shared.offset;
    mapped(|all| all.insert(address, mapping));
    ledger::insert(Entry {
        address,
        size: shared.size,
        kind: Kind::Imported {
            pool: pool.map_or(0, |pool| pool.handle),
        },
        device: shared.device,
        context: context.id,
        flags: 0,
    });
    Ok(address)
}

/// Gives a device access to a mapping.
fn allow(session: &Session, device: u32, address: u64, size: u64) -> Result<()> {
    let command = PhysicalAccess {
        address,
        size,
        device,
        flags: READ_WRITE,
    };
    session.call(device, &command)
}

fn unmap(session: &Session, mapping: &Mapped) {
    for &(address, size, piece) in &mapping.parts {
        // A failure is the session's, and shows at the next call.
        let _ = session.post(mapping.device, &PhysicalUnmap { address, size });
        let _ = session.post(mapping.device, &PhysicalRelease { piece });
    }
    device::unreserve(mapping.device, mapping.base, mapping.whole);
}

/// Closes memory of another program once: unmapped when it was closed as often as opened, and the work that may use it is complete.
pub(crate) fn close(session: &Session, entry: &Entry) -> Result<()> {
    memory::quiesce(session, entry)?;
    let gone = mapped(|all| {
        let known = all
            .get_mut(&entry.address)
            .ok_or(error::ERROR_INVALID_VALUE)?;
        known.opened -= 1;
        Ok::<_, i32>(if known.opened == 0 {
            all.remove(&entry.address)
        } else {
            None
        })
    })?;
    if let Some(gone) = gone {
        ledger::remove(entry.address);
        unmap(session, &gone);
    }
    Ok(())
}

/// A device was reset: what was mapped there is gone.
pub(crate) fn reset_device(ordinal: u32) {
    mapped(|all| all.retain(|_, mapping| mapping.device != ordinal));
}

/// A handle by which other programs of the tenant open device memory.
pub(crate) unsafe fn cuIpcGetMemHandle(
    pHandle: *mut CUipcMemHandle,
    dptr: CUdeviceptr,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if pHandle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(dptr)
        .filter(|entry| entry.kind == Kind::Device)
        .ok_or(error::ERROR_INVALID_VALUE)?;
    let token = session.call(
        context.id,
        &IpcExportMemory {
            address: entry.address,
            size: entry.size,
        },
    )?;
    let reserved = seal(MEMORY, &own(token));
    // SAFETY: not null, and the caller's.
    unsafe { put(pHandle, CUipcMemHandle { reserved }) }
}

/// Maps device memory of another program. Opened again it has the same address.
pub(crate) unsafe fn cuIpcOpenMemHandle_v2(
    pdptr: *mut CUdeviceptr,
    handle: CUipcMemHandle,
    Flags: u32,
) -> Result<()> {
    let session = session()?;
    context::current()?;
    if pdptr.is_null() || Flags != LAZY_ENABLE_PEER_ACCESS {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let token = open(MEMORY, &handle.reserved)?;
    refuse_own(&token)?;
    let address = map(session, &token, None)?;
    // SAFETY: not null, and the caller's.
    unsafe { put(pdptr, address) }
}

/// Undoes one `cuIpcOpenMemHandle`.
pub(crate) fn cuIpcCloseMemHandle(dptr: CUdeviceptr) -> Result<()> {
    let session = session()?;
    context::current()?;
    let entry = ledger::at(dptr)
        .filter(|entry| entry.kind == Kind::Imported { pool: 0 })
        .ok_or(error::ERROR_INVALID_VALUE)?;
    close(session, &entry)
}

/// A handle by which other programs of the tenant use an event, made with `CU_EVENT_INTERPROCESS`.
pub(crate) unsafe fn cuIpcGetEventHandle(
    pHandle: *mut CUipcEventHandle,
    event: CUevent,
) -> Result<()> {
    let session = session()?;
    let event = events::resolve(event)?;
    if pHandle.is_null() || event.flags & INTERPROCESS == 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let token = session.call(event.context, &IpcExportEvent { event: event.id })?;
    event.shared.store(true, Ordering::Release);
    let reserved = seal(EVENT, &own(token));
    // SAFETY: not null, and the caller's.
    unsafe { put(pHandle, CUipcEventHandle { reserved }) }
}

/// An event of another program.
pub(crate) unsafe fn cuIpcOpenEventHandle(
    phEvent: *mut CUevent,
    handle: CUipcEventHandle,
) -> Result<()> {
    let session = session()?;
    let context = context::current()?;
    if phEvent.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let token = open(EVENT, &handle.reserved)?;
    refuse_own(&token)?;
    let opened = events::import(&context, |event| {
        session.call(context.id, &IpcImportEvent { event, token })
    })?;
    // SAFETY: not null, and the caller's.
    unsafe { put(phEvent, opened) }
}

fn check_kind(kind: u32, flags: u64) -> Result<()> {
    if flags != 0 {
        return Err(error::ERROR_INVALID_VALUE);
    }
    if kind != POSIX_FD {
        log::unsupported("a shareable handle that is no file descriptor");
        return Err(error::ERROR_NOT_SUPPORTED);
    }
    Ok(())
}

/// A file descriptor by which other programs of the tenant import physical memory.
pub(crate) unsafe fn cuMemExportToShareableHandle(
    shareableHandle: *mut c_void,
    handle: CUmemGenericAllocationHandle,
    handleType: u32,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    if shareableHandle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    check_kind(handleType, flags)?;
    let (piece, device) = vmm::exportable(handle)?;
    let token = session.call(device, &IpcExportPiece { piece })?;
    let fd = to_descriptor(PIECE, &token)?;
    // SAFETY: not null; the caller gives room for a descriptor.
    unsafe { put(shareableHandle.cast::<i32>(), fd) }
}

/// Physical memory of another program (or of this one) by its descriptor.
pub(crate) unsafe fn cuMemImportFromShareableHandle(
    handle: *mut CUmemGenericAllocationHandle,
    osHandle: *mut c_void,
    shHandleType: u32,
) -> Result<()> {
    let session = session()?;
    if handle.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    check_kind(shHandleType, 0)?;
    let token = from_descriptor(PIECE, osHandle)?;
    let _opening = OPENING.lock();
    let shared = session.call(0, &IpcLook { token })?;
    let &[size] = shared.parts.as_slice() else {
        return Err(error::ERROR_INVALID_VALUE);
    };
    let piece = vmm::mint(1)?;
    let take = IpcTake {
        token,
        first_piece: piece,
    };
    session.call(shared.device, &take)?;
    let prop = CUmemAllocationProp {
        type_: PINNED,
        requestedHandleTypes: POSIX_FD,
        location: CUmemLocation {
            type_: ON_DEVICE,
            id: shared.device.cast_signed(),
        },
        win32HandleMetaData: std::ptr::null_mut(),
        compressionType: 0,
        gpuDirectRDMACapable: 0,
        usage: 0,
        reserved: [0; 4],
    };
    let imported = vmm::insert(piece, size, shared.device, prop);
    // SAFETY: not null, and the caller's.
    unsafe { put(handle, imported) }
}

/// A file descriptor by which other programs of the tenant import a pool.
pub(crate) unsafe fn cuMemPoolExportToShareableHandle(
    handle_out: *mut c_void,
    pool: CUmemoryPool,
    handleType: u32,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    let pool = pool::by_handle(pool as u64)?;
    if handle_out.is_null() || !pool.exportable {
        return Err(error::ERROR_INVALID_VALUE);
    }
    check_kind(handleType, flags)?;
    let fd = to_descriptor(POOL, &token_of(session, &pool)?)?;
    // SAFETY: not null; the caller gives room for a descriptor.
    unsafe { put(handle_out.cast::<i32>(), fd) }
}

/// The token of a pool, exported at first use.
fn token_of(session: &Session, pool: &Pool) -> Result<Token> {
    let mut known = pool.token.lock();
    if let Some(token) = *known {
        return Ok(token);
    }
    let command = IpcExportPool {
        device: pool.device,
    };
    let token = session.call(pool.device, &command)?;
    Ok(*known.insert(token))
}

/// By what memory is known to belong to a pool: no part of the pool's token can be got from it.
fn mark_of(session: &Session, pool: &Pool) -> Result<[u8; 24]> {
    let digest: [u8; 32] = Sha256::digest(token_of(session, pool)?).into();
    let mut mark = [0; 24];
    mark.copy_from_slice(&digest[..24]);
    Ok(mark)
}

/// A pool of another program: nothing can be allocated from it here.
pub(crate) unsafe fn cuMemPoolImportFromShareableHandle(
    pool_out: *mut CUmemoryPool,
    handle: *mut c_void,
    handleType: u32,
    flags: u64,
) -> Result<()> {
    let session = session()?;
    if pool_out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    check_kind(handleType, flags)?;
    let token = from_descriptor(POOL, handle)?;
    let shared = session.call(0, &IpcLook { token })?;
    if !shared.pool {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let made = pool::import(shared.device, token);
    // SAFETY: not null, and the caller's.
    unsafe { put(pool_out, made.handle as CUmemoryPool) }
}

/// What another program needs to use memory of an exported pool.
pub(crate) unsafe fn cuMemPoolExportPointer(
    shareData_out: *mut c_void,
    ptr: CUdeviceptr,
) -> Result<()> {
    let session = session()?;
    if shareData_out.is_null() {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let entry = ledger::find(ptr).ok_or(error::ERROR_INVALID_VALUE)?;
    let Kind::Pooled { pool } = entry.kind else {
        return Err(error::ERROR_INVALID_VALUE);
    };
    let pool = pool::by_handle(pool)?;
    if !pool.exportable {
        return Err(error::ERROR_INVALID_VALUE);
    }
    let mark = mark_of(session, &pool)?;
    let token = session.call(
        entry.device,
        &IpcExportMemory {
            address: entry.address,
            size: entry.size,
        },
    )?;
    let mut data = seal(POINTER, &own(token));
    data[40..].copy_from_slice(&mark);
    // SAFETY: not null; the caller gives 64 bytes.
    unsafe { put(shareData_out.cast::<[u8; 64]>(), data) }
}

/// Maps memory of another program's pool; `cuMemFree` and `cuMemFreeAsync` unmap it.
pub(crate) unsafe fn cuMemPoolImportPointer(
    ptr_out: *mut CUdeviceptr,
    pool: CUmemoryPool,
    shareData: *mut c_void,
) -> Result<()> {
    let session = session()?;
    let pool = pool::by_handle(pool as u64)?;
    if ptr_out.is_null() || shareData.is_null() || !pool.imported {
        return Err(error::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the caller gives 64 bytes.
    let data = unsafe { shareData.cast::<[u8; 64]>().read_unaligned() };
    let token = open(POINTER, &data)?;
    if data[40..] != mark_of(session, &pool)? {
        // It is another pool's.
        return Err(error::ERROR_INVALID_VALUE);
    }
    refuse_own(&token)?;
    let address = map(session, &token, Some(&pool))?;
    // SAFETY: not null, and the caller's.
    unsafe { put(ptr_out, address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_carry_their_token_and_no_other_kind() {
        let token = [9; 32];
        let fd = to_descriptor(POOL, &token).unwrap();
        let handle = fd as usize as *mut c_void;
        assert_eq!(from_descriptor(POOL, handle), Ok(token));
        assert_eq!(
            from_descriptor(PIECE, handle),
            Err(error::ERROR_INVALID_VALUE)
        );
        // SAFETY: ours.
        unsafe { libc::close(fd) };
        assert_eq!(
            from_descriptor(POOL, handle),
            Err(error::ERROR_INVALID_VALUE)
        );
        assert_eq!(
            from_descriptor(POOL, std::ptr::without_provenance_mut(usize::MAX)),
            Err(error::ERROR_INVALID_VALUE)
        );
    }
}
