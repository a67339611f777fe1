//! Loads and stores: every address is checked before it is used.

use std::sync::atomic::{Ordering, fence};

use super::quick;
use super::state::{Grid, Shared, Trouble, Warp};
use super::whole::Wholes;
use crate::engine::{AddressRange, FaultKind};
use crate::ptx::alu::{FULL, get, put};
use crate::ptx::code::{
    Access, Bases, CLUSTER_SHIFT, Ins, LOCAL_WINDOW, Loc, NONE, Order, PARAM_WINDOW, SHARED_WINDOW,
    Where,
};
use crate::ptx::types::Width;

/// Bytes of a window of generic addresses.
const WINDOW: u64 = 1 << 32;

/// Addresses of the lanes as the instruction gives them.
///
/// # Safety
/// The instruction must belong to the frame of `bases`.
#[inline(always)]
pub(crate) unsafe fn addresses(
    bases: &Bases,
    ins: &Ins,
    access: &Access,
    local_base: u32,
) -> [u64; 32] {
    if access.direct {
        let base = if access.place == Where::Local {
            u64::from(local_base)
        } else {
            0
        };
        return [base.wrapping_add(access.offset as u64); 32];
    }
    // SAFETY: the caller's promise.
    unsafe {
        let mut r = [0u64; 32];
        if access.wide_address {
            let a: [u64; 32] = get(bases, ins.a);
            for lane in 0..32 {
                r[lane] = a[lane].wrapping_add(access.offset as u64);
            }
        } else {
            let a: [u32; 32] = get(bases, ins.a);
            for lane in 0..32 {
                r[lane] = u64::from(a[lane].wrapping_add(access.offset as u32));
            }
        }
        r
    }
}

/// Looks an address up, the grid's own workspace included.
fn find(grid: &Grid<'_>, address: u64) -> Option<AddressRange> {
    if (grid.workspace.start..grid.workspace.end).contains(&address) {
        return Some(grid.workspace);
    }
    if let Some(children) = &grid.children {
        let range = children.range();
        if (range.start..range.end).contains(&address) {
            return Some(range);
        }
    }
    grid.env.memory.find(address)
}

impl Warp {
    /// Turns the addresses of the lanes of `mask` into host addresses, checking each for `size` bytes.
    #[inline(always)]
    pub(crate) fn resolve(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        place: Where,
        addresses: &mut [u64; 32],
        size: u64,
        mask: u32,
        write: bool,
    ) -> Result<(), Trouble> {
        let (mut low, mut high, mut bits) = (u64::MAX, 0, 0);
        if mask == FULL {
            for &address in addresses.iter() {
                low = low.min(address);
                high = high.max(address);
                bits |= address;
            }
        } else {
            for lane in 0..32 {
                if mask >> lane & 1 != 0 {
                    low = low.min(addresses[lane]);
                    high = high.max(addresses[lane]);
                    bits |= addresses[lane];
                }
            }
        }
        if bits & (size - 1) == 0 {
            if matches!(place, Where::Global | Where::Generic) {
                self.choose_range(low);
            }
            match place {
                Where::Global | Where::Generic
                    if low >= self.range.start
                        && high < self.range.end
                        && self.range.end - high >= size
                        && (!write || self.range.writable) =>
                {
                    return Ok(());
                }
                Where::Shared
                    if (high as usize) < shared.bytes
                        && shared.bytes - high as usize >= size as usize =>
                {
                    let start = shared.memory_start() as u64;
                    for address in addresses {
                        *address = address.wrapping_add(start);
                    }
                    return Ok(());
                }
                Where::Local
                    if high < grid.stack_bytes as u64 && grid.stack_bytes as u64 - high >= size =>
                {
                    let first = self.id as usize * 32;
                    for (lane, address) in addresses.iter_mut().enumerate() {
                        *address = address.wrapping_add(shared.local.of(first + lane) as u64);
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        for lane in 0..32u32 {
            if mask >> lane & 1 != 0 {
                let address = addresses[lane as usize];
                addresses[lane as usize] =
                    self.resolve_one(grid, shared, place, address, size, lane, write)?;
            }
        }
        Ok(())
    }

    /// One address of one lane.
    #[inline(never)]
    pub(crate) fn resolve_one(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        place: Where,
        address: u64,
        size: u64,
        lane: u32,
        write: bool,
    ) -> Result<u64, Trouble> {
        let trouble = |kind| Trouble {
            kind,
            lane,
            address,
        };
        if size.is_power_of_two() && !address.is_multiple_of(size) {
            return Err(trouble(FaultKind::MisalignedAddress));
        }
        self.resolve_run(grid, shared, place, address, size, lane, write)
    }

    /// As [`Warp::resolve_one`], for a run of several elements: its alignment is the caller's affair.
    #[inline(always)]
    pub(crate) fn resolve_run(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        place: Where,
        address: u64,
        size: u64,
        lane: u32,
        write: bool,
    ) -> Result<u64, Trouble> {
        let illegal = Trouble {
            kind: FaultKind::IllegalAddress,
            lane,
            address,
        };
        let (place, offset) = match place {
            Where::Generic => match address {
                a if a < SHARED_WINDOW => (Where::Global, a),
                a if a - SHARED_WINDOW < WINDOW => (Where::Shared, a - SHARED_WINDOW),
                a if (LOCAL_WINDOW..LOCAL_WINDOW + WINDOW).contains(&a) => {
                    (Where::Local, a - LOCAL_WINDOW)
                }
                a if (PARAM_WINDOW..PARAM_WINDOW + WINDOW).contains(&a) => {
                    (Where::Param, a - PARAM_WINDOW)
                }
                _ => return Err(illegal),
            },
            other => (other, address),
        };
        let within = |len: usize| offset < len as u64 && len as u64 - offset >= size;
        match place {
            Where::Shared if within(shared.bytes) => Ok(shared.memory_start() as u64 + offset),
            Where::Shared => {
                // Of another block of the cluster.
                let rank = (offset >> CLUSTER_SHIFT).wrapping_sub(1);
                let at = offset & ((1 << CLUSTER_SHIFT) - 1);
                match usize::try_from(rank)
                    .ok()
                    .and_then(|r| shared.cluster.get(r))
                {
                    Some(&(start, bytes)) if at < bytes as u64 && bytes as u64 - at >= size => {
                        Ok(start + at)
                    }
                    _ => Err(illegal),
                }
            }
            Where::Local if within(grid.stack_bytes) => {
                Ok(shared.local.of((self.id * 32 + lane) as usize) as u64 + offset)
            }
            Where::Param if within(grid.params.len()) && !write => {
                Ok(grid.params.as_ptr() as u64 + offset)
            }
            Where::Global | Where::Generic => {
                let fits = |r: &AddressRange| {
                    offset >= r.start
                        && offset < r.end
                        && r.end - offset >= size
                        && (!write || r.writable)
                };
                if fits(&self.range) {
                    return Ok(offset);
                }
                match find(grid, offset) {
                    Some(range) if fits(&range) => {
                        self.range = range;
                        self.ranges.rotate_right(1);
                        self.ranges[0] = range;
                        Ok(offset)
                    }
                    _ => Err(illegal),
                }
            }
            _ => Err(illegal),
        }
    }

    /// Whether a run of global memory may be read; it becomes the current one.
    pub(crate) fn readable(&mut self, grid: &Grid<'_>, start: u64, bytes: u64) -> bool {
        let holds = |r: &AddressRange| start >= r.start && start < r.end && r.end - start >= bytes;
        self.choose_range(start);
        if holds(&self.range) {
            return true;
        }
        match find(grid, start) {
            Some(range) if holds(&range) => {
                self.range = range;
                self.ranges.rotate_right(1);
                self.ranges[0] = range;
                true
            }
            _ => false,
        }
    }

    /// Makes the range that holds `address` the current one, if it was seen before.
    #[inline(always)]
    fn choose_range(&mut self, address: u64) {
        if address.wrapping_sub(self.range.start) >= self.range.end.wrapping_sub(self.range.start) {
            for range in &self.ranges {
                if (range.start..range.end).contains(&address) {
                    self.range = *range;
                    return;
                }
            }
        }
    }

    /// The same for the first lane of an instruction.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    #[inline(always)]
    unsafe fn choose_range_of(&mut self, bases: &Bases, ins: &Ins, access: &Access) {
        if access.place != Where::Shared && access.wide_address {
            // SAFETY: the caller's promise.
            let first = unsafe { *bases.at::<u64>(ins.a) };
            self.choose_range(first.wrapping_add(access.offset as u64));
        }
    }

    /// Addresses that the quick paths may touch: first, end, and what is added to get host addresses.
    #[inline(always)]
    fn window(&self, shared: &Shared, place: Where) -> quick::Window {
        if place == Where::Shared {
            quick::Window {
                start: 0,
                end: shared.bytes as u64,
                host: shared.memory_start() as u64,
            }
        } else {
            quick::Window {
                start: self.range.start,
                end: self.range.end,
                host: 0,
            }
        }
    }

    /// Executes a load.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn load(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
        local_base: u32,
    ) -> Result<(), Trouble> {
        let access = &grid.program.accesses[ins.imm as usize];
        if mask == FULL && access.quick {
            // SAFETY: the caller's promise; the range and the shared memory are what may be read.
            unsafe {
                self.choose_range_of(bases, ins, access);
                if quick::load(bases, ins, access, self.window(shared, access.place)) {
                    return Ok(());
                }
            }
        }
        let total = u64::from(access.size) * u64::from(access.count);
        // SAFETY: the caller's promise; `resolve` has checked the addresses of all lanes in `mask`.
        unsafe {
            let mut at = addresses(bases, ins, access, local_base);
            self.resolve(grid, shared, access.place, &mut at, total, mask, false)?;
            if access.count == 1 {
                load_element(bases, ins.d, access, &at, mask);
            } else if access.whole() {
                let mut wholes = Wholes::new();
                wholes.read(&at, total, mask);
                each_element(grid, access, wholes.addresses(), |register, at| {
                    load_element(bases, register, access, at, mask);
                });
            } else {
                each_element(grid, access, at, |register, at| {
                    load_element(bases, register, access, at, mask);
                });
            }
        }
        if access.order == Order::Strong {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// Executes a store.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn store(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
        local_base: u32,
    ) -> Result<(), Trouble> {
        let access = &grid.program.accesses[ins.imm as usize];
        if mask == FULL && access.quick {
            // SAFETY: the caller's promise; the range and the shared memory are what may be written.
            unsafe {
                self.choose_range_of(bases, ins, access);
                let writable = self.range.writable || access.place == Where::Shared;
                if writable && quick::store(bases, ins, access, self.window(shared, access.place)) {
                    return Ok(());
                }
            }
        }
        let total = u64::from(access.size) * u64::from(access.count);
        if access.order == Order::Strong {
            fence(Ordering::SeqCst);
        }
        // SAFETY: the caller's promise; `resolve` has checked the addresses of all lanes in `mask`.
        unsafe {
            let mut at = addresses(bases, ins, access, local_base);
            self.resolve(grid, shared, access.place, &mut at, total, mask, true)?;
            if access.count == 1 {
                store_element(bases, ins.d, access, &at, mask);
            } else if access.whole() {
                let mut wholes = Wholes::new();
                each_element(grid, access, wholes.addresses(), |register, at| {
                    store_element(bases, register, access, at, mask);
                });
                wholes.write(&at, total, mask);
            } else {
                each_element(grid, access, at, |register, at| {
                    store_element(bases, register, access, at, mask);
                });
            }
        }
        if access.order != Order::Weak {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// Executes `cp.async`.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn copy_async(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        let (to, from) = (
            &grid.program.accesses[ins.imm as usize],
            &grid.program.accesses[ins.imm as usize + 1],
        );
        let size = u64::from(to.size);
        // SAFETY: the caller's promise; `resolve_one` has checked each address.
        unsafe {
            let places = addresses(bases, ins, to, 0);
            let sources = addresses(bases, &Ins { a: ins.b, ..*ins }, from, 0);
            let counts: [u32; 32] = if ins.c == NONE {
                [u32::from(to.size); 32]
            } else {
                get(bases, ins.c)
            };
            for lane in 0..32u32 {
                if mask >> lane & 1 == 0 {
                    continue;
                }
                let l = lane as usize;
                let out =
                    self.resolve_one(grid, shared, Where::Shared, places[l], size, lane, true)?;
                let mut bytes = [0u8; 16];
                let count = u64::from(counts[l]).min(size) as usize;
                if count > 0 {
                    // The whole source must be aligned, only what is read must exist.
                    if !sources[l].is_multiple_of(size) {
                        return Err(Trouble {
                            kind: FaultKind::MisalignedAddress,
                            lane,
                            address: sources[l],
                        });
                    }
                    self.read_bytes(grid, shared, sources[l], &mut bytes[..count], lane)?;
                }
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), out as *mut u8, size as usize);
            }
        }
        Ok(())
    }

    /// Loads from the parameters of the kernel, the same for all lanes.
    ///
    /// # Safety
    /// The instruction must belong to the frame of `bases`.
    pub(crate) unsafe fn load_param(
        &mut self,
        grid: &Grid<'_>,
        bases: &Bases,
        ins: &Ins,
        mask: u32,
    ) -> Result<(), Trouble> {
        let access = &grid.program.accesses[ins.imm as usize];
        for k in 0..u32::from(access.count) {
            let register = if access.count == 1 {
                ins.d
            } else {
                grid.program.lists[(access.list + k) as usize]
            };
            let at = access.offset + i64::from(k) * i64::from(access.size);
            let bytes = usize::try_from(at)
                .ok()
                .and_then(|at| grid.params.get(at..at + usize::from(access.size)));
            let Some(bytes) = bytes else {
                return Err(Trouble {
                    kind: FaultKind::IllegalAddress,
                    lane: mask.trailing_zeros(),
                    address: PARAM_WINDOW.wrapping_add(at as u64),
                });
            };
            let mut raw = [0u8; 16];
            raw[..bytes.len()].copy_from_slice(bytes);
            let mut value = u128::from_le_bytes(raw);
            if access.signed {
                let shift = 128 - 8 * u32::from(access.size);
                value = ((value << shift) as i128 >> shift) as u128;
            }
            // SAFETY: the caller's promise.
            unsafe {
                match access.width {
                    Width::W16 => put(bases, register, &[value as u16; 32], mask),
                    Width::W32 => put(bases, register, &[value as u32; 32], mask),
                    Width::W64 => put(bases, register, &[value as u64; 32], mask),
                    _ => put(bases, register, &[value; 32], mask),
                }
            }
        }
        Ok(())
    }
}

/// The elements of a vector one after the other: the register, and where it lies for each lane. All addresses are known before: a register that is written may hold them.
fn each_element(
    grid: &Grid<'_>,
    access: &Access,
    mut at: [u64; 32],
    mut f: impl FnMut(Loc, &[u64; 32]),
) {
    for k in 0..u32::from(access.count) {
        f(grid.program.lists[(access.list + k) as usize], &at);
        for address in &mut at {
            *address = address.wrapping_add(u64::from(access.size));
        }
    }
}

/// Reads one element for each lane of the mask into a register.
///
/// # Safety
/// Addresses of lanes in `mask` must be readable and aligned.
#[inline(always)]
unsafe fn load_element(bases: &Bases, register: Loc, access: &Access, at: &[u64; 32], mask: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match (access.size, access.width, access.signed) {
            (4, Width::W32, _) => gather::<u32, u32>(bases, register, at, mask, |v| v),
            (8, Width::W64, _) => gather::<u64, u64>(bases, register, at, mask, |v| v),
            (2, Width::W16, _) => gather::<u16, u16>(bases, register, at, mask, |v| v),
            (1, Width::W16, false) => gather::<u8, u16>(bases, register, at, mask, u16::from),
            (1, Width::W16, true) => gather::<i8, u16>(bases, register, at, mask, |v| v as u16),
            (1, Width::W32, false) => gather::<u8, u32>(bases, register, at, mask, u32::from),
            (1, Width::W32, true) => gather::<i8, u32>(bases, register, at, mask, |v| v as u32),
            (2, Width::W32, false) => gather::<u16, u32>(bases, register, at, mask, u32::from),
            (2, Width::W32, true) => gather::<i16, u32>(bases, register, at, mask, |v| v as u32),
            (1, Width::W64, false) => gather::<u8, u64>(bases, register, at, mask, u64::from),
            (1, Width::W64, true) => gather::<i8, u64>(bases, register, at, mask, |v| v as u64),
            (2, Width::W64, false) => gather::<u16, u64>(bases, register, at, mask, u64::from),
            (2, Width::W64, true) => gather::<i16, u64>(bases, register, at, mask, |v| v as u64),
            (4, Width::W64, false) => gather::<u32, u64>(bases, register, at, mask, u64::from),
            (4, Width::W64, true) => gather::<i32, u64>(bases, register, at, mask, |v| v as u64),
            _ => gather::<u128, u128>(bases, register, at, mask, |v| v),
        }
    }
}

/// Whether the lanes touch consecutive elements.
#[inline(always)]
fn consecutive(at: &[u64; 32], size: u64) -> bool {
    let mut same = true;
    for (lane, &address) in at.iter().enumerate() {
        same &= address == at[0].wrapping_add(lane as u64 * size);
    }
    same
}

/// # Safety
/// As [`load_element`].
#[inline(always)]
unsafe fn gather<M: Copy, R: Copy>(
    bases: &Bases,
    register: Loc,
    at: &[u64; 32],
    mask: u32,
    widen: impl Fn(M) -> R,
) {
    // SAFETY: the caller's promise. Reads are volatile: other threads may write, as kernels do; what is read is plain bits.
    unsafe {
        let out = &mut *bases.at::<[R; 32]>(register);
        if mask == FULL {
            if size_of::<M>() == size_of::<R>()
                && size_of::<M>() <= 8
                && consecutive(at, size_of::<M>() as u64)
            {
                std::ptr::copy_nonoverlapping(
                    at[0] as *const u8,
                    out.as_mut_ptr().cast::<u8>(),
                    32 * size_of::<M>(),
                );
                return;
            }
            for lane in 0..32 {
                out[lane] = widen((at[lane] as *const M).read_volatile());
            }
        } else {
            let mut left = mask;
            while left != 0 {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                out[lane] = widen((at[lane] as *const M).read_volatile());
            }
        }
    }
}

/// Writes one element for each lane of the mask.
///
/// # Safety
/// Addresses of lanes in `mask` must be writable and aligned.
#[inline(always)]
unsafe fn store_element(bases: &Bases, register: Loc, access: &Access, at: &[u64; 32], mask: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match (access.size, access.width) {
            (4, Width::W32) => scatter::<u32, u32>(bases, register, at, mask, |v| v),
            (8, Width::W64) => scatter::<u64, u64>(bases, register, at, mask, |v| v),
            (2, Width::W16) => scatter::<u16, u16>(bases, register, at, mask, |v| v),
            (1, Width::W16) => scatter::<u16, u8>(bases, register, at, mask, |v| v as u8),
            (1, Width::W32) => scatter::<u32, u8>(bases, register, at, mask, |v| v as u8),
            (2, Width::W32) => scatter::<u32, u16>(bases, register, at, mask, |v| v as u16),
            (1, Width::W64) => scatter::<u64, u8>(bases, register, at, mask, |v| v as u8),
            (2, Width::W64) => scatter::<u64, u16>(bases, register, at, mask, |v| v as u16),
            (4, Width::W64) => scatter::<u64, u32>(bases, register, at, mask, |v| v as u32),
            _ => scatter::<u128, u128>(bases, register, at, mask, |v| v),
        }
    }
}

/// # Safety
/// As [`store_element`].
#[inline(always)]
unsafe fn scatter<R: Copy, M: Copy>(
    bases: &Bases,
    register: Loc,
    at: &[u64; 32],
    mask: u32,
    narrow: impl Fn(R) -> M,
) {
    debug_assert_ne!(register, NONE);
    // SAFETY: the caller's promise; writes are volatile as kernels may race.
    unsafe {
        let values = &*bases.at::<[R; 32]>(register);
        if mask == FULL
            && size_of::<M>() == size_of::<R>()
            && size_of::<M>() <= 8
            && consecutive(at, size_of::<M>() as u64)
        {
            std::ptr::copy_nonoverlapping(
                values.as_ptr().cast::<u8>(),
                at[0] as *mut u8,
                32 * size_of::<M>(),
            );
            return;
        }
        let mut left = mask;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            (at[lane] as *mut M).write_volatile(narrow(values[lane]));
        }
    }
}
