//! Byte rings in memory that two processes share.
//!
//! One process [creates](create) the memory — a sealed memfd — and gives its descriptor to the other, which [opens](open) it. Each then has a [`Producer`] and a
//! [`Consumer`]: a byte stream in each direction. Nobody enters the kernel while both ends are awake; who finds nothing to do looks on for a while ([`spin`]) and
//! then sleeps on a futex, and is woken by the other end's next bytes.
//!
//! # Trust
//! The other process may write anything into the memory at any time. Positions read from it are used only after a check against what this end knows itself, so
//! the worst that it can do is to garble its own stream or to leave this end asleep; [`Ender::end`] wakes it then. Sealed memory cannot shrink, so it cannot take
//! the pages away either.
//!
//! # Layout
//! * here: creating and opening. `memory`: the mapping. `ring`: the two ends. `spin`: how long to look before sleeping.
//! * [`lend`]: another way to spare a copy, by pages that a socket gets. It and `memory` are the unsafe modules.

pub mod lend;
mod memory;
mod ring;
pub mod spin;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};

use memory::Memory;
pub use ring::{Consumer, Ender, Lookout, Producer};

/// Bytes that each direction holds unless asked otherwise: large enough that a bulk copy's producer and consumer overlap, small enough to stay in the cache.
pub const CAPACITY: usize = 2 << 20;
/// Limits of a ring's capacity, which is a power of two.
const CAPACITIES: std::ops::RangeInclusive<usize> = 4096..=1 << 30;

/// Both directions of one end, and what ends them.
#[derive(Debug)]
pub struct Rings {
    /// Outgoing.
    pub producer: Producer,
    /// Incoming.
    pub consumer: Consumer,
    /// Ends both.
    pub ender: Ender,
}

/// Creates the memory for two rings of `capacity` bytes each (a power of two), and this process's end of it. The descriptor is for the other process.
///
/// # Errors
/// The operating system's; [`io::ErrorKind::InvalidInput`] for a capacity that cannot be.
pub fn create(capacity: usize) -> io::Result<(OwnedFd, Rings)> {
    if !capacity.is_power_of_two() || !CAPACITIES.contains(&capacity) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let fd = memfd_create(
        "gvirtus-rings",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    ftruncate(&fd, memory::length(capacity) as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    let memory = Arc::new(Memory::map(&fd, capacity)?);
    Ok((fd, ring::ends(&memory, 0, 1)))
}

/// The other end of memory that another process has created.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if this is no such memory, or not sealed; otherwise the operating system's.
pub fn open(fd: impl AsFd) -> io::Result<Rings> {
    let seals = fcntl_get_seals(&fd)?;
    let length = usize::try_from(fstat(&fd)?.st_size).unwrap_or(0);
    let capacity = memory::capacity(length)
        .filter(|c| c.is_power_of_two() && CAPACITIES.contains(c))
        .filter(|_| seals.contains(SealFlags::SHRINK));
    let Some(capacity) = capacity else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let memory = Arc::new(Memory::map(&fd, capacity)?);
    Ok(ring::ends(&memory, 1, 0))
}
