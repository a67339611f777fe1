//! What of a function becomes machine code: instructions that it does not know or that concern several lanes at once are *boundaries*, which the interpreter executes for the
//! whole warp; machine code runs from an entry to the next boundary.

use std::collections::{BTreeSet, HashMap};

use crate::ptx::code::{FunctionCode, Ins, Loc, NONE, Op, Order, Program, Where};
use crate::ptx::types::Width;

/// A boundary that is so few instructions away is left to the interpreter, which does them for all lanes at once.
const TOO_FEW: usize = 6;

/// A set of registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    fn new(bits: usize) -> Set {
        Set(vec![0; bits.div_ceil(64)])
    }

    fn full(bits: usize) -> Set {
        let mut set = Set(vec![u64::MAX; bits.div_ceil(64)]);
        if !bits.is_multiple_of(64)
            && let Some(last) = set.0.last_mut()
        {
            *last = (1 << (bits % 64)) - 1;
        }
        set
    }

    fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// Adds the elements of another; whether any was new.
    fn join(&mut self, other: &Set) -> bool {
        let mut new = false;
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            new |= *theirs & !*mine != 0;
            *mine |= theirs;
        }
        new
    }

    /// The elements that are in both.
    pub(super) fn common<'a>(&'a self, other: &'a Set) -> impl Iterator<Item = usize> + 'a {
        self.0
            .iter()
            .zip(&other.0)
            .enumerate()
            .flat_map(|(word, (a, b))| bits(word, a & b))
    }

    /// The elements.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(word, &bits_of)| bits(word, bits_of))
    }
}

fn bits(word: usize, mut left: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(word * 64 + bit)
    })
}

/// The registers of values of a load or store.
pub(super) fn registers<'a>(program: &'a Program, ins: &'a Ins) -> impl Iterator<Item = Loc> + 'a {
    let access = &program.accesses[ins.imm as usize];
    let (list, count) = (access.list, u32::from(access.count));
    (0..count).map(move |k| {
        if count == 1 {
            ins.d
        } else {
            program.lists[(list + k) as usize]
        }
    })
}

/// What happens at the end of a run of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Machine code.
    Inline,
    /// One instruction for the interpreter.
    Boundary,
}

/// Instructions that are executed one after the other.
pub(super) struct Block {
    pub(super) start: u32,
    pub(super) end: u32,
    kind: Kind,
    /// Where machine code or interpreter go on.
    next: Vec<usize>,
    /// Registers that are read before they are written, from here on.
    pub(super) live: Set,
    /// Registers that machine code may have written before it comes here, and that are not in the frame.
    pub(super) dirty: Set,
    /// Registers whose value machine code needs here.
    pub(super) need: Set,
}

impl Block {
    pub(super) fn is_boundary(&self) -> bool {
        self.kind == Kind::Boundary
    }
}

/// The plan for one function.
pub(super) struct Plan {
    pub(super) registers: Vec<(Loc, Width)>,
    pub(super) numbers: HashMap<Loc, usize>,
    pub(super) blocks: Vec<Block>,
    /// Block of each instruction, from the start of the function.
    block_of: Vec<usize>,
    start: u32,
    /// Blocks at which the interpreter hands over.
    pub(super) entries: Vec<usize>,
    /// Targets of backward branches of machine code, and the boundary that lanes come to from there ([`NONE`]: none).
    pub(super) loops: HashMap<u32, u32>,
}

impl Plan {
    /// Index of the block that starts at `pc`.
    pub(super) fn block_at(&self, pc: u32) -> usize {
        self.block_of[(pc - self.start) as usize]
    }

    pub(super) fn new(program: &Program, function: &FunctionCode) -> Option<Plan> {
        let (start, end) = (function.start, function.end);
        let registers = function.registers.clone();
        let numbers: HashMap<Loc, usize> = registers
            .iter()
            .enumerate()
            .map(|(k, r)| (r.0, k))
            .collect();
        let mut plan = Plan {
            registers,
            numbers,
            blocks: Vec::new(),
            block_of: Vec::new(),
            start,
            entries: Vec::new(),
            loops: HashMap::new(),
        };
        if start == end {
            return None;
        }
        let code = &program.code[start as usize..end as usize];
        let mut boundary: Vec<bool> = code
            .iter()
            .map(|ins| !plan.knows(program, function, ins))
            .collect();
        // A branch whose lanes may come to a boundary before they meet is one itself, and so is the place where they meet: the interpreter keeps account of such lanes.
        loop {
            plan.split(program, code, &boundary);
            let mut changed = false;
            for block in &plan.blocks {
                let at = (block.end - 1 - start) as usize;
                let ins = &code[at];
                if ins.op == Op::Branch && !boundary[at] && plan.parts(block, ins.c) {
                    boundary[at] = true;
                    changed = true;
                }
            }
            for at in 0..code.len() {
                let ins = &code[at];
                if boundary[at]
                    && matches!(ins.op, Op::Branch | Op::BranchTable | Op::CallIndirect)
                    && ins.c != NONE
                {
                    let meet = (ins.c - start) as usize;
                    changed |= !std::mem::replace(&mut boundary[meet], true);
                }
            }
            if !changed {
                break;
            }
        }
        plan.choose_entries(code);
        let own = plan.own_registers(program, code);
        plan.liveness(&own);
        plan.spread_writes(program);
        plan.needs(&own);
        Some(plan)
    }

    /// Whether machine code can be made of an instruction.
    fn knows(&self, program: &Program, function: &FunctionCode, ins: &Ins) -> bool {
        let kept = |loc: Loc| {
            loc == NONE
                || loc >> 30 != 0
                || self
                    .numbers
                    .get(&loc)
                    .is_some_and(|&k| self.registers[k].1 != Width::W128)
        };
        match ins.op {
            Op::Alu => [ins.d, ins.a, ins.b, ins.c, ins.e].into_iter().all(kept),
            Op::Load | Op::Store => {
                let access = &program.accesses[ins.imm as usize];
                access.order == Order::Weak
                    && access.place != Where::Param
                    && access.size <= 8
                    && access.width != Width::W128
            }
            Op::LoadParam => {
                let access = &program.accesses[ins.imm as usize];
                let needed = function.params.last().map_or(0, |p| p.0 + p.1);
                let last = access.offset + i64::from(access.size) * i64::from(access.count);
                access.offset >= 0
                    && last <= i64::from(needed)
                    && access.size <= 8
                    && access.width != Width::W128
            }
            Op::Jump | Op::Branch | Op::Meet | Op::Exit | Op::LocalAddress | Op::Fence => true,
            _ => false,
        }
    }

    /// Divides the code into blocks.
    fn split(&mut self, program: &Program, code: &[Ins], boundary: &[bool]) {
        let len = code.len() as u32;
        let mut starts = BTreeSet::from([0]);
        for (at, ins) in code.iter().enumerate() {
            let at = at as u32;
            match ins.op {
                Op::Jump | Op::Branch => {
                    starts.insert(ins.imm as u32 - self.start);
                    starts.insert(at + 1);
                }
                Op::BranchTable => starts.extend(&program.tables[ins.imm as usize]),
                Op::Exit => {
                    starts.insert(at + 1);
                }
                Op::Meet => {
                    starts.insert(at);
                }
                _ => {}
            }
            if boundary[at as usize] {
                starts.insert(at);
                starts.insert(at + 1);
            }
        }
        let starts: Vec<u32> = starts.into_iter().filter(|&s| s < len).collect();
        self.block_of = vec![0; code.len()];
        for (block, &first) in starts.iter().enumerate() {
            let end = starts.get(block + 1).copied().unwrap_or(len);
            self.block_of[first as usize..end as usize].fill(block);
        }
        self.blocks.clear();
        for (block, &first) in starts.iter().enumerate() {
            let end = starts.get(block + 1).copied().unwrap_or(len);
            let last = &code[end as usize - 1];
            let mut next = Vec::new();
            let through = match last.op {
                Op::Jump => {
                    next.push(self.block_of[(last.imm as u32 - self.start) as usize]);
                    false
                }
                Op::Branch => {
                    next.push(self.block_of[(last.imm as u32 - self.start) as usize]);
                    true
                }
                Op::BranchTable => {
                    next.extend(
                        program.tables[last.imm as usize]
                            .iter()
                            .map(|&t| self.block_of[t as usize]),
                    );
                    true
                }
                Op::Ret => false,
                Op::Exit => last.guard != NONE,
                _ => true,
            };
            if through && block + 1 < starts.len() {
                next.push(block + 1);
            }
            self.blocks.push(Block {
                start: first + self.start,
                end: end + self.start,
                kind: if boundary[first as usize] {
                    Kind::Boundary
                } else {
                    Kind::Inline
                },
                next,
                live: Set(Vec::new()),
                dirty: Set(Vec::new()),
                need: Set(Vec::new()),
            });
        }
    }

    /// The boundaries that lanes may come to from some blocks without passing `meet`.
    fn reached(&self, from: &[usize], meet: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut seen = vec![false; self.blocks.len()];
        let mut left: Vec<usize> = from.to_vec();
        while let Some(block) = left.pop() {
            if std::mem::replace(&mut seen[block], true) || self.blocks[block].start == meet {
                continue;
            }
            if self.blocks[block].is_boundary() {
                found.insert(self.blocks[block].start);
            } else {
                left.extend(&self.blocks[block].next);
            }
        }
        found
    }

    fn parts(&self, block: &Block, meet: u32) -> bool {
        !self.reached(&block.next, meet).is_empty()
    }

    /// Entries: the start, what follows boundaries, and loops.
    fn choose_entries(&mut self, code: &[Ins]) {
        let mut entries = BTreeSet::from([0]);
        for block in &self.blocks {
            if block.is_boundary() {
                entries.extend(&block.next);
            }
        }
        let mut loops = HashMap::new();
        for block in &self.blocks {
            let ins = &code[(block.end - 1 - self.start) as usize];
            if !block.is_boundary() && matches!(ins.op, Op::Jump | Op::Branch) && ins.flags & 1 != 0
            {
                let target = ins.imm as u32;
                let reached = self.reached(&[self.block_at(target)], NONE);
                let next = match (reached.len(), reached.first()) {
                    (1, Some(&pc)) => pc,
                    _ => NONE,
                };
                loops.insert(target, next);
            }
        }
        entries.extend(loops.keys().map(|&pc| self.block_at(pc)));
        // Code that is only reached by a few instructions before the next boundary is not worth the way in and out.
        entries.retain(|&block| {
            if self.blocks[block].is_boundary() {
                return false;
            }
            if loops.contains_key(&self.blocks[block].start) {
                return true;
            }
            let first = (self.blocks[block].start - self.start) as usize;
            for (count, ins) in code[first..].iter().enumerate() {
                if self.blocks[self.block_of[first + count]].is_boundary() {
                    return count >= TOO_FEW;
                }
                if !matches!(ins.op, Op::Alu | Op::Load | Op::Store | Op::LoadParam) {
                    return true;
                }
            }
            true
        });
        self.entries = entries.into_iter().collect();
        self.loops = loops;
    }

    /// Registers that an instruction reads; more than it does is no mistake.
    fn reads(&self, program: &Program, ins: &Ins, out: &mut Set, all: &Set) {
        let mut add = |loc: Loc| {
            if let Some(&k) = self.numbers.get(&loc) {
                out.insert(k);
            }
        };
        if ins.guard != NONE {
            add(ins.guard >> 1);
        }
        match ins.op {
            // Other fields of these are no operands.
            Op::Jump | Op::Exit | Op::Meet | Op::Fence | Op::LocalAddress | Op::LoadParam => return,
            Op::Branch => {
                add(ins.a);
                return;
            }
            _ => {}
        }
        for loc in [ins.a, ins.b, ins.c, ins.e] {
            add(loc);
        }
        match ins.op {
            Op::Store => {
                registers(program, ins).for_each(add);
            }
            Op::Alu | Op::Load => {}
            Op::Barrier
            | Op::Cross
            | Op::Atomic
            | Op::Clock
            | Op::ActiveMask
            | Op::IsSpace
            | Op::Call
            | Op::CallIndirect
            | Op::Ret
            | Op::BranchTable
            | Op::CopyAsync
            | Op::Yield => add(ins.d),
            _ => {
                out.join(all);
            }
        }
    }

    /// Registers that an instruction may write.
    pub(super) fn each_written(&self, program: &Program, ins: &Ins, mut f: impl FnMut(usize)) {
        let mut add = |loc: Loc| {
            if let Some(&k) = self.numbers.get(&loc) {
                f(k);
            }
        };
        match ins.op {
            Op::Alu => {
                add(ins.d);
                // The second result of comparisons, the carry: a source for others.
                add(ins.e);
            }
            Op::Load | Op::LoadParam => registers(program, ins).for_each(add),
            Op::LocalAddress | Op::Cross | Op::Atomic | Op::Clock | Op::ActiveMask => add(ins.d),
            _ => {}
        }
    }

    /// Registers that an instruction writes in every lane that executes it.
    fn writes(&self, program: &Program, ins: &Ins, out: &mut Set) {
        if ins.guard == NONE {
            self.each_written(program, ins, |k| {
                if ins.op != Op::Alu || self.registers[k].0 == ins.d {
                    out.insert(k);
                }
            });
        }
    }

    /// Registers that each block reads before it writes them, and those that it writes.
    fn own_registers(&self, program: &Program, code: &[Ins]) -> Vec<(Set, Set)> {
        let count = self.registers.len();
        let all = Set::full(count);
        let mut own: Vec<(Set, Set)> = Vec::with_capacity(self.blocks.len());
        let mut these = Set::new(count);
        for block in &self.blocks {
            let (mut reads, mut writes) = (Set::new(count), Set::new(count));
            for pc in block.start..block.end {
                let ins = &code[(pc - self.start) as usize];
                these.0.fill(0);
                self.reads(program, ins, &mut these, &all);
                for ((read, written), this) in reads.0.iter_mut().zip(&writes.0).zip(&these.0) {
                    *read |= this & !written;
                }
                self.writes(program, ins, &mut writes);
            }
            own.push((reads, writes));
        }
        own
    }

    fn liveness(&mut self, own: &[(Set, Set)]) {
        let count = self.registers.len();
        for (block, (reads, _)) in self.blocks.iter_mut().zip(own) {
            block.live = reads.clone();
        }
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..self.blocks.len()).rev() {
                let mut out = Set::new(count);
                for &next in &self.blocks[at].next {
                    out.join(&self.blocks[next].live);
                }
                for (mine, written) in out.0.iter_mut().zip(&own[at].1.0) {
                    *mine &= !written;
                }
                changed |= self.blocks[at].live.join(&out);
            }
        }
    }

    /// Fills in what machine code may have written before it comes to a block.
    fn spread_writes(&mut self, program: &Program) {
        let count = self.registers.len();
        for block in &mut self.blocks {
            block.dirty = Set::new(count);
        }
        let own: Vec<Set> = self
            .blocks
            .iter()
            .map(|block| {
                let mut writes = Set::new(count);
                if !block.is_boundary() {
                    for pc in block.start..block.end {
                        let ins = &program.code[pc as usize];
                        self.each_written(program, ins, |k| writes.insert(k));
                    }
                }
                writes
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for at in 0..self.blocks.len() {
                if self.blocks[at].is_boundary() {
                    continue;
                }
                let mut out = self.blocks[at].dirty.clone();
                out.join(&own[at]);
                for k in 0..self.blocks[at].next.len() {
                    let next = self.blocks[at].next[k];
                    changed |= self.blocks[next].dirty.join(&out);
                }
            }
        }
    }

    /// Finds what machine code reads itself, or stores where it leaves.
    fn needs(&mut self, own: &[(Set, Set)]) {
        let starts: Vec<bool> = self
            .blocks
            .iter()
            .map(|block| block.is_boundary() || self.loops.contains_key(&block.start))
            .collect();
        for (k, block) in self.blocks.iter_mut().enumerate() {
            block.need = if block.is_boundary() {
                Set::new(self.registers.len())
            } else {
                own[k].0.clone()
            };
            if starts[k] {
                for ((need, live), dirty) in block
                    .need
                    .0
                    .iter_mut()
                    .zip(&block.live.0)
                    .zip(&block.dirty.0)
                {
                    *need |= live & dirty;
                }
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..self.blocks.len()).rev() {
                if self.blocks[at].is_boundary() {
                    continue;
                }
                let mut out = Set::new(self.registers.len());
                for &next in &self.blocks[at].next {
                    out.join(&self.blocks[next].need);
                }
                for (mine, written) in out.0.iter_mut().zip(&own[at].1.0) {
                    *mine &= !written;
                }
                changed |= self.blocks[at].need.join(&out);
            }
        }
    }

    /// Registers whose value machine code needs from `pc` on, in block `k`.
    pub(super) fn need_at(&self, program: &Program, k: usize, pc: u32) -> Set {
        let block = &self.blocks[k];
        if pc == block.start {
            return block.need.clone();
        }
        let all = Set::full(self.registers.len());
        let mut need = Set::new(self.registers.len());
        for &next in &block.next {
            need.join(&self.blocks[next].need);
        }
        let mut written = Set::new(self.registers.len());
        for ins in program.code[pc as usize..block.end as usize].iter().rev() {
            written.0.fill(0);
            self.writes(program, ins, &mut written);
            for (mine, written) in need.0.iter_mut().zip(&written.0) {
                *mine &= !written;
            }
            self.reads(program, ins, &mut need, &all);
        }
        need
    }

    /// Registers that the frame may not have as they are at `pc` in block `k`, of those that are needed there.
    pub(super) fn unsaved(&self, program: &Program, k: usize, pc: u32) -> Vec<usize> {
        let block = &self.blocks[k];
        let mut dirty = block.dirty.clone();
        for ins in &program.code[block.start as usize..block.end as usize] {
            self.each_written(program, ins, |k| dirty.insert(k));
        }
        self.need_at(program, k, pc).common(&dirty).collect()
    }

    /// The blocks that machine code comes to from some, boundaries included.
    pub(super) fn reachable(&self, from: &[usize]) -> Vec<bool> {
        let mut seen = vec![false; self.blocks.len()];
        let mut left = from.to_vec();
        while let Some(block) = left.pop() {
            if !std::mem::replace(&mut seen[block], true) && !self.blocks[block].is_boundary() {
                left.extend(&self.blocks[block].next);
            }
        }
        seen
    }
}
