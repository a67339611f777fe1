//! Memory and events that sessions of one tenant share, each in its own worker.
//!
//! A client gets a *token*: the name of this worker's socket and a key, both random. The worker that imports asks there (an abstract unix socket, for processes of the same
//! user alone), says for whom, and gets descriptors of the physical memory, or the driver's handle of the event. Neither leaves the box. What was exported stays so until its
//! memory is released or the session ends.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use gvirtus_wire::api::core::{
    IpcExportEvent, IpcExportMemory, IpcExportPiece, IpcExportPool, IpcImportEvent, IpcLook,
    IpcShared, IpcTake,
};
use gvirtus_wire::api::types::{CUipcEventHandle, CUuuid};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::communicator::fds::{recv_with_fds, send_with_fds};
use gvirtus_wire::frame::Header;
use parking_lot::Mutex;

use crate::driver::{Handle, cu};
use crate::errors::{
    ERROR_INVALID_DEVICE, ERROR_INVALID_HANDLE, ERROR_INVALID_VALUE, ERROR_NOT_SUPPORTED,
    ERROR_OUT_OF_MEMORY, Result,
};
use crate::events::Event;
use crate::host;
use crate::memory::Grants;
use crate::session::Session;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.
const POSIX_FD: u32 = 1;
/// The most exports of a session, and the most pieces of physical memory that one allocation is made of.
const MOST: usize = 1 << 16;
const MOST_PARTS: usize = 4096;
/// The longest name of a tenant that is compared, bytes.
const LONGEST_IDENTITY: usize = 1024;
/// How long a worker waits for another one's next bytes.
const PATIENCE: Duration = Duration::from_secs(5);

type Token = [u8; 32];
type Key = [u8; 16];

/// What a token stands for.
#[derive(Clone)]
enum Export {
    /// A range of physical memory that is mapped in parts, one behind the other: the driver's handle, the descriptor and the size of each.
    Memory {
        device: [u8; 16],
        parts: Vec<(u64, Arc<OwnedFd>, u64)>,
        offset: u64,
        size: u64,
    },
    /// A pool: where its memory lies.
    Pool {
        device: [u8; 16],
    },
    Event(Box<[u8; 64]>),
}

/// What was fetched from another worker.
struct Fetched {
    kind: u8,
    device: [u8; 16],
    offset: u64,
    size: u64,
    parts: Vec<(u64, OwnedFd)>,
    event: [u8; 64],
}

const KIND_MEMORY: u8 = 1;
const KIND_POOL: u8 = 2;
const KIND_EVENT: u8 = 3;
/// Bytes of an answer's head: status, kind, device, offset, size, event, number of parts.
const HEAD: usize = 2 + 16 + 8 + 8 + 64 + 4;

#[derive(Default)]
pub(crate) struct Ipc {
    /// The socket's name, once something was exported.
    name: Mutex<Option<Key>>,
    exports: Mutex<HashMap<Key, Export>>,
    /// Memory that the client has looked at and not yet taken all of.
    looked_at: Mutex<HashMap<Token, Fetched>>,
}

impl Ipc {
    /// Physical memory is released: nobody imports it any more.
    pub(crate) fn released(&self, raw: u64) {
        self.exports.lock().retain(|_, export| match export {
            Export::Memory { parts, .. } => parts.iter().all(|(handle, ..)| *handle != raw),
            _ => true,
        });
    }
}

fn random() -> Result<Key> {
    let mut key = [0; 16];
    let filled = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(16) => Ok(key),
        _ => Err(ERROR_OUT_OF_MEMORY),
    }
}

fn token(name: &Key, key: &Key) -> Token {
    let mut token = [0; 32];
    token[..16].copy_from_slice(name);
    token[16..].copy_from_slice(key);
    token
}

fn address(name: &Key) -> io::Result<SocketAddr> {
    let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    SocketAddr::from_abstract_name(format!("gvirtus-ipc-{hex}"))
}

/// Refuses a peer of another user.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

impl Session {
    /// Keeps an export and gives its token.
    fn export(&'static self, export: Export) -> Result<Token> {
        let name = {
            let mut name = self.ipc.name.lock();
            match *name {
                Some(name) => name,
                None => {
                    let made = random()?;
                    self.serve_exports(&made).map_err(|why| {
                        self.host.log(
                            host::WARN,
                            &format!("no socket for what sessions share: {why}"),
                        );
                        ERROR_NOT_SUPPORTED
                    })?;
                    *name = Some(made);
                    made
                }
            }
        };
        let key = random()?;
        let mut exports = self.ipc.exports.lock();
        if exports.len() >= MOST {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        exports.insert(key, export);
        Ok(token(&name, &key))
    }

    fn serve_exports(&'static self, name: &Key) -> io::Result<()> {
        let listener = UnixListener::bind_addr(&address(name)?)?;
        std::thread::Builder::new()
            .name("ipc".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    if let Err(why) = check_peer(&stream).and_then(|()| self.answer(stream)) {
                        self.host.log(
                            host::DEBUG,
                            &format!("a session that wanted to import: {why}"),
                        );
                    }
                }
            })
            .map(drop)
    }

    /// One question of another worker.
    fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let (mut key, mut len) = ([0; 16], [0; 2]);
        stream.read_exact(&mut key)?;
        stream.read_exact(&mut len)?;
        let len = usize::from(u16::from_le_bytes(len));
        if len > LONGEST_IDENTITY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut identity = vec![0; len];
        stream.read_exact(&mut identity)?;
        let mut head = [0; HEAD];
        let found = self.ipc.exports.lock().get(&key).cloned();
        let Some(export) = found.filter(|_| identity == self.host.identity()) else {
            return stream.write_all(&head);
        };
        head[0] = 1;
        let mut parts = Vec::new();
        match export {
            Export::Memory {
                device,
                parts: all,
                offset,
                size,
            } => {
                head[1] = KIND_MEMORY;
                head[2..18].copy_from_slice(&device);
                head[18..26].copy_from_slice(&offset.to_le_bytes());
                head[26..34].copy_from_slice(&size.to_le_bytes());
                parts = all;
            }
            Export::Pool { device } => {
                head[1] = KIND_POOL;
                head[2..18].copy_from_slice(&device);
            }
            Export::Event(handle) => {
                head[1] = KIND_EVENT;
                head[34..98].copy_from_slice(&*handle);
            }
        }
        head[98..].copy_from_slice(&(parts.len() as u32).to_le_bytes());
        stream.write_all(&head)?;
        for (_, fd, size) in parts {
            let bytes = size.to_le_bytes();
            let sent = send_with_fds(&stream, &bytes, &[fd.as_fd()])?;
            stream.write_all(&bytes[sent..])?;
        }
        Ok(())
    }

    /// Asks the worker that a token names.
    fn fetch(&self, token: &Token) -> io::Result<Fetched> {
        let (mut name, mut key) = ([0; 16], [0; 16]);
        name.copy_from_slice(&token[..16]);
        key.copy_from_slice(&token[16..]);
        let mut stream = UnixStream::connect_addr(&address(&name)?)?;
        check_peer(&stream)?;
        let identity = self.host.identity();
        let len = u16::try_from(identity.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        stream.write_all(&[&key[..], &len.to_le_bytes(), &identity].concat())?;
        let mut head = [0; HEAD];
        stream.read_exact(&mut head)?;
        if head[0] != 1 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let mut fetched = Fetched {
            kind: head[1],
            device: [0; 16],
            offset: number(18),
            size: number(26),
            parts: Vec::new(),
            event: [0; 64],
        };
        fetched.device.copy_from_slice(&head[2..18]);
        fetched.event.copy_from_slice(&head[34..98]);
        let mut count = [0; 4];
        count.copy_from_slice(&head[98..]);
        let count = u32::from_le_bytes(count) as usize;
        if count > MOST_PARTS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        for _ in 0..count {
            let mut size = [0; 8];
            let (got, fds) = recv_with_fds(&stream, &mut size)?;
            stream.read_exact(&mut size[got..])?;
            let fd = fds.into_iter().next().ok_or(io::ErrorKind::InvalidData)?;
            fetched.parts.push((u64::from_le_bytes(size), fd));
        }
        Ok(fetched)
    }

    /// [`fetch`](Self::fetch), with what a client hears of a failure.
    fn fetch_for_client(&self, token: &Token, kinds: &[u8]) -> Result<Fetched> {
        self.host.may_block();
        let fetched = self.fetch(token).map_err(|why| {
            self.host.log(
                host::INFO,
                &format!("what another session shares cannot be had: {why}"),
            );
            ERROR_INVALID_HANDLE
        })?;
        if kinds.contains(&fetched.kind) {
            Ok(fetched)
        } else {
            Err(ERROR_INVALID_HANDLE)
        }
    }

    fn device_uuid(&self, device: u32) -> Result<[u8; 16]> {
        let raw = self.raw_device(device)?;
        let mut uuid = CUuuid { bytes: [0; 16] };
        if self.driver.cuDeviceGetUuid_v2.is_some() {
            cu!(self.driver, cuDeviceGetUuid_v2(&raw mut uuid, raw))?;
        } else {
            cu!(self.driver, cuDeviceGetUuid(&raw mut uuid, raw))?;
        }
        Ok(uuid.bytes)
    }

    /// The session's device that another worker's is.
    fn device_of_uuid(&self, uuid: &[u8; 16]) -> Result<u32> {
        (0..self.devices)
            .find(|device| self.device_uuid(*device).as_ref() == Ok(uuid))
            .ok_or(ERROR_INVALID_DEVICE)
    }

    fn descriptor(&self, raw: u64) -> Result<Arc<OwnedFd>> {
        let mut fd = -1i32;
        cu!(
            self.driver,
            cuMemExportToShareableHandle((&raw mut fd).cast(), raw, POSIX_FD, 0)
        )?;
        if fd < 0 {
            return Err(ERROR_NOT_SUPPORTED);
        }
        // SAFETY: the driver gave a fresh descriptor.
        Ok(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl Handler<IpcExportMemory> for Session {
    fn handle(&self, header: &Header, command: IpcExportMemory) -> Result<Answer<Token>> {
        let IpcExportMemory { address, size } = command;
        self.enter(header)?;
        let Grants {
            device,
            offset,
            grants,
        } = self
            .memory
            .grants_of(address, size)
            .ok_or(ERROR_INVALID_VALUE)?;
        if grants.len() > MOST_PARTS {
            return Err(ERROR_NOT_SUPPORTED);
        }
        let known = self.ipc.exports.lock().iter().find_map(|(key, export)| {
            let Export::Memory {
                parts,
                offset: from,
                size: bytes,
                ..
            } = export
            else {
                return None;
            };
            let same = parts.len() == grants.len()
                && parts.iter().zip(&grants).all(|(p, g)| p.0 == g.0)
                && (*from, *bytes) == (offset, size);
            same.then_some(*key)
        });
        // The same memory has the same handle: programs tell by it what they have opened.
        if let (Some(key), Some(name)) = (known, *self.ipc.name.lock()) {
            return Ok(Answer::Now(token(&name, &key)));
        }
        let mut parts = Vec::with_capacity(grants.len());
        for (raw, size) in grants {
            parts.push((raw, self.descriptor(raw)?, size));
        }
        let device = self.device_uuid(device)?;
        self.forever()
            .export(Export::Memory {
                device,
                parts,
                offset,
                size,
            })
            .map(Answer::Now)
    }
}

impl Handler<IpcExportPiece> for Session {
    fn handle(&self, header: &Header, command: IpcExportPiece) -> Result<Answer<Token>> {
        self.enter(header)?;
        let (raw, device, size) = self
            .physical
            .find(command.piece)
            .ok_or(ERROR_INVALID_VALUE)?;
        let parts = vec![(raw, self.descriptor(raw)?, size)];
        let device = self.device_uuid(device)?;
        self.forever()
            .export(Export::Memory {
                device,
                parts,
                offset: 0,
                size,
            })
            .map(Answer::Now)
    }
}

impl Handler<IpcExportPool> for Session {
    fn handle(&self, _: &Header, command: IpcExportPool) -> Result<Answer<Token>> {
        let device = self.device_uuid(command.device)?;
        self.forever()
            .export(Export::Pool { device })
            .map(Answer::Now)
    }
}

impl Handler<IpcExportEvent> for Session {
    fn handle(&self, header: &Header, command: IpcExportEvent) -> Result<Answer<Token>> {
        self.enter(header)?;
        let event = self.events.get(command.event)?;
        let mut handle = CUipcEventHandle { reserved: [0; 64] };
        cu!(
            self.driver,
            cuIpcGetEventHandle(&raw mut handle, event.raw.ptr())
        )?;
        self.forever()
            .export(Export::Event(Box::new(handle.reserved)))
            .map(Answer::Now)
    }
}

impl Handler<IpcImportEvent> for Session {
    fn handle(&self, header: &Header, command: IpcImportEvent) -> Result<Answer<()>> {
        self.events.vacant(command.event)?;
        let context = self.enter(header)?;
        let made = self
            .fetch_for_client(&command.token, &[KIND_EVENT])
            .and_then(|fetched| {
                let handle = CUipcEventHandle {
                    reserved: fetched.event,
                };
                let mut raw = std::ptr::null_mut();
                context.make_current()?;
                cu!(self.driver, cuIpcOpenEventHandle(&raw mut raw, handle))?;
                Ok(Arc::new(Event {
                    raw: Handle::of(raw),
                    context,
                }))
            });
        self.events.store(command.event, made).map(Answer::Now)
    }
}

impl Handler<IpcLook> for Session {
    fn handle(&self, _: &Header, command: IpcLook) -> Result<Answer<IpcShared>> {
        let fetched = self.fetch_for_client(&command.token, &[KIND_MEMORY, KIND_POOL])?;
        let shared = IpcShared {
            pool: fetched.kind == KIND_POOL,
            device: self.device_of_uuid(&fetched.device)?,
            parts: fetched.parts.iter().map(|(size, _)| *size).collect(),
            offset: fetched.offset,
            size: fetched.size,
        };
        if !shared.pool {
            let mut looked_at = self.ipc.looked_at.lock();
            if looked_at.len() >= MOST {
                return Err(ERROR_OUT_OF_MEMORY);
            }
            looked_at.insert(command.token, fetched);
        }
        Ok(Answer::Now(shared))
    }
}

impl Handler<IpcTake> for Session {
    fn handle(&self, header: &Header, command: IpcTake) -> Result<Answer<()>> {
        self.enter(header)?;
        // Whether it succeeds or not: whoever wants it again looks again.
        let fetched = self.ipc.looked_at.lock().remove(&command.token);
        let fetched = fetched.ok_or(ERROR_INVALID_HANDLE)?;
        let device = self.device_of_uuid(&fetched.device)?;
        let mut pieces = Vec::new();
        for ((size, fd), piece) in fetched.parts.into_iter().zip(command.first_piece..) {
            let mut raw = 0;
            let imported = cu!(
                self.driver,
                cuMemImportFromShareableHandle(
                    &raw mut raw,
                    fd.as_raw_fd() as usize as *mut _,
                    POSIX_FD
                )
            )
            .and_then(|()| {
                self.physical
                    .add(piece, raw, device, size)
                    .inspect_err(|_| {
                        let _ = cu!(self.driver, cuMemRelease(raw));
                    })
            });
            if let Err(status) = imported {
                for piece in pieces {
                    self.physical.remove(self.driver, piece);
                }
                return Err(status);
            }
            pieces.push(piece);
        }
        Ok(Answer::Now(()))
    }
}
