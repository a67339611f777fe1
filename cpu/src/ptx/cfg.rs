//! Control flow of a function: finds where diverged lanes meet again (immediate post-dominators), links labels and drops marks that nobody needs.

use super::code::{Ins, NONE, Op};

/// Links branch targets (labels) to positions and sets points of reconvergence. `tables` of the module grows by those of the function.
pub(crate) fn link(
    code: &mut Vec<Ins>,
    labels: &[u32],
    tables: &mut Vec<Vec<u32>>,
    own_tables: &[Vec<u32>],
) -> Result<(), String> {
    let first_table = tables.len();
    for table in own_tables {
        tables.push(table.iter().map(|&label| labels[label as usize]).collect());
    }
    for ins in code.iter_mut() {
        match ins.op {
            Op::Jump | Op::Branch => ins.imm = u64::from(labels[ins.imm as usize]),
            Op::BranchTable => ins.imm += first_table as u64,
            _ => {}
        }
    }
    let blocks = Blocks::new(code, tables);
    let immediate = blocks.post_dominators();
    let mut needed = vec![false; code.len()];
    for (block, meeting) in immediate.iter().enumerate() {
        let last = blocks.end(block, code.len()) - 1;
        if matches!(code[last].op, Op::Branch | Op::BranchTable) {
            code[last].c = match *meeting {
                Some(b) if b < blocks.starts.len() => {
                    let at = blocks.starts[b];
                    if code[at].op != Op::Meet {
                        return Err("control flow without a point of reconvergence".into());
                    }
                    needed[at] = true;
                    at as u32
                }
                _ => NONE,
            };
        }
    }
    // Lanes that call different functions meet behind the call.
    for at in 0..code.len().saturating_sub(1) {
        if code[at].op == Op::CallIndirect {
            needed[at + 1] = true;
            code[at].c = at as u32 + 1;
        }
    }
    // Drop the marks that nobody needs.
    let mut position = Vec::with_capacity(code.len() + 1);
    let mut kept = 0u32;
    for (at, ins) in code.iter().enumerate() {
        position.push(kept);
        kept += u32::from(ins.op != Op::Meet || needed[at]);
    }
    for table in &mut tables[first_table..] {
        for target in table {
            *target = position[*target as usize];
        }
    }
    let mut out = Vec::with_capacity(kept as usize);
    for (at, ins) in code.iter().enumerate() {
        if ins.op == Op::Meet && !needed[at] {
            continue;
        }
        let mut ins = *ins;
        if matches!(ins.op, Op::Jump | Op::Branch) {
            // Marks loops, where a warp may be interrupted.
            ins.flags |= u8::from(ins.imm as usize <= at);
            ins.imm = u64::from(position[ins.imm as usize]);
        }
        if matches!(ins.op, Op::Branch | Op::BranchTable | Op::CallIndirect) && ins.c != NONE {
            ins.c = position[ins.c as usize];
        }
        out.push(ins);
    }
    *code = out;
    Ok(())
}

/// Makes positions absolute: the function starts at `start`. Tables are relative to the start of the function, which `BranchTable` keeps in `d`.
pub(crate) fn relocate(code: &mut [Ins], start: u32) {
    for ins in code {
        match ins.op {
            Op::Jump | Op::Branch => ins.imm += u64::from(start),
            Op::BranchTable => ins.d = start,
            _ => {}
        }
        if matches!(ins.op, Op::Branch | Op::BranchTable | Op::CallIndirect) && ins.c != NONE {
            ins.c += start;
        }
    }
}

struct Blocks {
    starts: Vec<usize>,
    /// Successors; the number of blocks stands for the end of the function.
    next: Vec<Vec<usize>>,
}

impl Blocks {
    fn end(&self, block: usize, len: usize) -> usize {
        self.starts.get(block + 1).copied().unwrap_or(len)
    }

    fn new(code: &[Ins], tables: &[Vec<u32>]) -> Blocks {
        let mut starts = vec![0];
        for (at, ins) in code.iter().enumerate() {
            if ins.op == Op::Meet {
                starts.push(at);
            }
            if matches!(
                ins.op,
                Op::Jump | Op::Branch | Op::BranchTable | Op::Ret | Op::Exit
            ) {
                starts.push(at + 1);
            }
        }
        starts.sort_unstable();
        starts.dedup();
        starts.retain(|&s| s < code.len());
        let count = starts.len();
        let mut block_at = vec![0; code.len() + 1];
        for (block, &start) in starts.iter().enumerate() {
            block_at[start] = block;
        }
        let mut blocks = Blocks {
            starts,
            next: Vec::with_capacity(count),
        };
        for block in 0..count {
            let end = blocks.end(block, code.len());
            let last = &code[end - 1];
            let through = if end < code.len() { block + 1 } else { count };
            blocks.next.push(match last.op {
                Op::Jump if last.guard == NONE => vec![block_at[last.imm as usize]],
                Op::Branch => vec![block_at[last.imm as usize], through],
                Op::BranchTable => tables[last.imm as usize]
                    .iter()
                    .map(|&t| block_at[t as usize])
                    .chain((last.guard != NONE).then_some(through))
                    .collect(),
                Op::Ret => vec![count],
                // Lanes that end are waited for by nobody: such an edge must not hide where the others meet. A return from a kernel (flag) is the regular end.
                Op::Exit if last.guard == NONE => {
                    if last.flags != 0 {
                        Vec::new()
                    } else {
                        vec![count]
                    }
                }
                _ => vec![through],
            });
        }
        blocks
    }

    /// Immediate post-dominator of each block (Cooper, Harvey and Kennedy's algorithm on the reversed graph).
    fn post_dominators(&self) -> Vec<Option<usize>> {
        let count = self.starts.len();
        let mut previous = vec![Vec::new(); count + 1];
        for (block, next) in self.next.iter().enumerate() {
            for &n in next {
                previous[n].push(block);
            }
        }
        // Post-order of the reversed graph from the end.
        let mut order = vec![usize::MAX; count + 1];
        let mut sequence = Vec::with_capacity(count + 1);
        let mut seen = vec![false; count + 1];
        let mut stack = vec![(count, 0)];
        seen[count] = true;
        while let Some((node, child)) = stack.pop() {
            if let Some(&p) = previous[node].get(child) {
                stack.push((node, child + 1));
                if !seen[p] {
                    seen[p] = true;
                    stack.push((p, 0));
                }
            } else {
                order[node] = sequence.len();
                sequence.push(node);
            }
        }
        let mut idom = vec![None; count + 1];
        idom[count] = Some(count);
        let mut changed = true;
        while changed {
            changed = false;
            for &node in sequence.iter().rev().skip(1) {
                let mut new: Option<usize> = None;
                for &s in &self.next[node] {
                    if idom[s].is_none() {
                        continue;
                    }
                    new = Some(match new {
                        None => s,
                        Some(mut other) => {
                            let mut this = s;
                            while this != other {
                                while order[this] < order[other] {
                                    this = idom[this].expect("processed");
                                }
                                while order[other] < order[this] {
                                    other = idom[other].expect("processed");
                                }
                            }
                            this
                        }
                    });
                }
                if new != idom[node] {
                    idom[node] = new;
                    changed = true;
                }
            }
        }
        idom.truncate(count);
        idom
    }
}
