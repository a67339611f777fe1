//! Calls of functions, and the functions that the engine provides.

use super::atomic::each;
use super::state::{Frame, Grid, Line, Shared, Trouble, Warp};
use crate::engine::FaultKind;
use crate::ptx::code::{Builtin, Ins, Where};

/// Most register lines that the calls of one warp may take (64 MiB).
const MAX_LINES: u32 = 1 << 20;
/// Longest string that is read from a kernel.
const MAX_STRING: usize = 1 << 16;

impl Warp {
    /// Whether `function` may be called with the arguments of an indirect call.
    pub(super) fn callable(&self, grid: &Grid<'_>, function: u32, ins: &Ins) -> bool {
        let Some(code) = grid.program.functions.get(function as usize) else {
            return false;
        };
        let site = &grid.program.calls[ins.b as usize];
        let fits = |mine: &[(u32, u32)], theirs: &[(u32, u32)]| {
            mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(a, b)| a.1 == b.1)
        };
        code.defined && fits(&site.args, &code.params) && fits(&site.rets, &code.returns)
    }

    /// Makes a frame for `function`; none when the stack is exhausted.
    pub(super) fn enter(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        caller: u32,
        function: u32,
        call: u32,
        return_pc: u32,
        mask: u32,
    ) -> Option<u32> {
        let code = &grid.program.functions[function as usize];
        let last = self.frames.last()?;
        let base = last.base + last.lines;
        let lines = code.frame_bytes / 64;
        let parent = self.frames[caller as usize];
        let local_base = parent.local_top.next_multiple_of(16);
        let local_top = local_base.checked_add(code.local_bytes)?;
        if local_top as usize > grid.stack_bytes
            || base + lines > MAX_LINES
            || self.frames.len() > 1 << 16
        {
            return None;
        }
        if self.registers.len() < (base + lines) as usize {
            self.registers
                .resize((base + lines) as usize + 64, Line([0; 64]));
        }
        let site = &grid.program.calls[call as usize];
        let from = site.args.iter().map(|a| (parent.local_base + a.0, a.1));
        let to = code.params.iter().map(|p| local_base + p.0);
        self.copy_local(shared, from.zip(to).map(|((f, n), t)| (f, t, n)), mask);
        self.frames.push(Frame {
            parent: caller,
            base,
            lines,
            local_base,
            local_top,
            return_pc,
            call,
            function,
        });
        Some(self.frames.len() as u32 - 1)
    }

    /// Ends a frame for the lanes of `mask`: the caller's frame and where it goes on.
    pub(super) fn leave(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        frame: u32,
        mask: u32,
    ) -> (u32, u32) {
        let callee = self.frames[frame as usize];
        let caller = self.frames[callee.parent as usize];
        let code = &grid.program.functions[callee.function as usize];
        let site = &grid.program.calls[callee.call as usize];
        let from = code.returns.iter().map(|r| (callee.local_base + r.0, r.1));
        let to = site.rets.iter().map(|r| caller.local_base + r.0);
        self.copy_local(shared, from.zip(to).map(|((f, n), t)| (f, t, n)), mask);
        (callee.parent, callee.return_pc)
    }

    /// Copies within the local memory of each lane. Places come from the compiler and lie within the frames.
    fn copy_local(
        &self,
        shared: &Shared,
        pieces: impl Iterator<Item = (u32, u32, u32)>,
        mask: u32,
    ) {
        for (from, to, len) in pieces {
            each(mask, |lane| {
                let start = shared.local.of(self.id as usize * 32 + lane);
                // SAFETY: frames were checked against the size of local memory when they were made.
                unsafe {
                    std::ptr::copy(
                        start.add(from as usize),
                        start.add(to as usize),
                        len as usize,
                    )
                }
            });
        }
    }

    /// Forgets frames in which no lane is any more.
    pub(super) fn drop_frames(&mut self) {
        let paths = self.paths.iter().map(|p| p.frame);
        let records = self
            .records
            .iter()
            .filter(|r| r.expected != 0)
            .map(|r| r.frame);
        if let Some(last) = paths.chain(records).max() {
            self.frames.truncate(last as usize + 1);
        }
    }

    /// Reads a value of up to eight bytes from the arguments of a call.
    pub(super) fn argument(
        &self,
        grid: &Grid<'_>,
        shared: &Shared,
        local_base: u32,
        ins: &Ins,
        number: usize,
        lane: usize,
    ) -> u64 {
        let bytes = self.argument_bytes(grid, shared, local_base, ins, number, lane);
        u64::from_le_bytes(std::array::from_fn(|k| bytes[k]))
    }

    /// The bytes of an argument, up to sixteen.
    pub(super) fn argument_bytes(
        &self,
        grid: &Grid<'_>,
        shared: &Shared,
        local_base: u32,
        ins: &Ins,
        number: usize,
        lane: usize,
    ) -> [u8; 16] {
        let (at, len) = grid.program.calls[ins.b as usize].args[number];
        let start = shared.local.of(self.id as usize * 32 + lane);
        let mut bytes = [0u8; 16];
        // SAFETY: the caller's frame lies within local memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                start.add((local_base + at) as usize),
                bytes.as_mut_ptr(),
                len.min(16) as usize,
            )
        }
        bytes
    }

    fn give_back(
        &self,
        grid: &Grid<'_>,
        shared: &Shared,
        local_base: u32,
        ins: &Ins,
        lane: usize,
        value: u64,
    ) {
        if let Some(&(at, len)) = grid.program.calls[ins.b as usize].rets.first() {
            let start = shared.local.of(self.id as usize * 32 + lane);
            // SAFETY: the caller's frame lies within local memory.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    value.to_le_bytes().as_ptr(),
                    start.add((local_base + at) as usize),
                    len.min(8) as usize,
                )
            }
        }
    }

    /// Reads bytes at a generic address.
    pub(super) fn read_bytes(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        address: u64,
        out: &mut [u8],
        lane: u32,
    ) -> Result<(), Trouble> {
        for (k, byte) in out.iter_mut().enumerate() {
            let at = self.resolve_one(
                grid,
                shared,
                Where::Generic,
                address.wrapping_add(k as u64),
                1,
                lane,
                false,
            )?;
            // SAFETY: just checked.
            *byte = unsafe { (at as *const u8).read_volatile() };
        }
        Ok(())
    }

    /// Writes bytes at a generic address.
    pub(super) fn write_bytes(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        address: u64,
        bytes: &[u8],
        lane: u32,
    ) -> Result<(), Trouble> {
        for (k, byte) in bytes.iter().enumerate() {
            let at = address.wrapping_add(k as u64);
            let at = self.resolve_one(grid, shared, Where::Generic, at, 1, lane, true)?;
            // SAFETY: just checked.
            unsafe { (at as *mut u8).write_volatile(*byte) };
        }
        Ok(())
    }

    /// Reads a string at a generic address.
    pub(super) fn read_string(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        address: u64,
        lane: u32,
    ) -> Result<Vec<u8>, Trouble> {
        let mut text = Vec::new();
        while text.len() < MAX_STRING {
            let mut byte = [0];
            self.read_bytes(
                grid,
                shared,
                address.wrapping_add(text.len() as u64),
                &mut byte,
                lane,
            )?;
            if byte[0] == 0 {
                break;
            }
            text.push(byte[0]);
        }
        Ok(text)
    }

    /// Executes a provided function for the lanes of `m`.
    pub(super) fn builtin(
        &mut self,
        grid: &Grid<'_>,
        shared: &mut Shared,
        local_base: u32,
        builtin: Builtin,
        ins: &Ins,
        m: u32,
    ) -> Result<(), Trouble> {
        for lane in 0..32usize {
            if m >> lane & 1 == 0 {
                continue;
            }
            let arg =
                |warp: &Warp, number| warp.argument(grid, shared, local_base, ins, number, lane);
            match builtin {
                Builtin::Vprintf => {
                    let format = self.read_string(grid, shared, arg(self, 0), lane as u32)?;
                    let buffer = arg(self, 1);
                    let (text, count) = self.format(grid, shared, &format, buffer, lane as u32)?;
                    (grid.env.print)(&text);
                    self.give_back(grid, shared, local_base, ins, lane, count);
                }
                Builtin::AssertFail => {
                    let message = self.read_string(grid, shared, arg(self, 0), lane as u32)?;
                    let file = self.read_string(grid, shared, arg(self, 1), lane as u32)?;
                    let function = self.read_string(grid, shared, arg(self, 3), lane as u32)?;
                    let ([bx, by, bz], [tx, ty, tz]) =
                        (shared.index, self.thread(grid, lane as u32));
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let line = arg(self, 2) as u32;
                    let report = format!(
                        "{}:{line}: {}: block: [{bx},{by},{bz}], thread: [{tx},{ty},{tz}] Assertion `{}` failed.\n",
                        text(&file),
                        text(&function),
                        text(&message)
                    );
                    (grid.env.print_error)(report.as_bytes());
                }
                Builtin::Malloc => {
                    let address = (grid.env.device_malloc)(arg(self, 0));
                    self.give_back(grid, shared, local_base, ins, lane, address);
                }
                Builtin::Free => {
                    let address = arg(self, 0);
                    if address != 0 {
                        (grid.env.device_free)(address);
                    }
                    self.forget_ranges();
                    shared.slots.clear();
                }
                Builtin::SetConditional => {
                    if !(grid.env.set_condition)(arg(self, 0), arg(self, 1) as u32) {
                        return Err(Trouble {
                            kind: FaultKind::LaunchFailed,
                            lane: lane as u32,
                            address: arg(self, 0),
                        });
                    }
                }
                Builtin::NodeSetParam
                | Builtin::NodeSetEnabled
                | Builtin::NodeSetGridDim
                | Builtin::NodeUpdatesApply => {
                    let status = self.update_nodes(grid, shared, local_base, builtin, ins, lane)?;
                    self.give_back(grid, shared, local_base, ins, lane, status as u64);
                }
                _ => {
                    let result =
                        self.device_runtime(grid, shared, local_base, builtin, ins, lane)?;
                    self.give_back(grid, shared, local_base, ins, lane, result);
                }
            }
        }
        if builtin == Builtin::AssertFail {
            return Err(Trouble {
                kind: FaultKind::Assert,
                lane: m.trailing_zeros(),
                address: 0,
            });
        }
        Ok(())
    }
}
