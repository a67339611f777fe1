//! Branches, calls, returns.

use super::quals::{Quals, arity};
use super::setup::builtin;
use super::{Emit, Step, Symbol};
use crate::ptx::ast::Operand;
use crate::ptx::code::{CallSite, NONE, Op, PROVIDED};
use crate::ptx::exec::children::needed_by;
use crate::ptx::types::{Space, Ty};

impl<'a> Emit<'_, 'a> {
    /// Lowers an instruction of control flow; false if it is none.
    pub(super) fn control(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "bra" => {
                q.take("uni");
                arity(operands, 1..=1)?;
                let Operand::Label(label) = operands[0] else {
                    return Err("expected a label".into());
                };
                self.branch(u64::from(label));
            }
            "brx" => {
                if !q.take("idx") {
                    return Err("only `brx.idx` is supported".into());
                }
                q.take("uni");
                arity(operands, 2..=2)?;
                let Operand::Table(table) = operands[1] else {
                    return Err("expected a list of targets".into());
                };
                let skip = self.skip_unless_guard();
                let mut ins = self.blank(Op::BranchTable);
                ins.a = self.source(&operands[0], Ty::U32)?;
                ins.imm = u64::from(table);
                self.push(ins);
                self.meet();
                self.skip_here(skip);
            }
            "ret" => {
                q.take("uni");
                arity(operands, 0..=0)?;
                if self.function.entry {
                    let ins = self.blank(Op::Exit);
                    self.push(ins);
                } else {
                    self.branch(u64::from(self.body.labels));
                }
            }
            "exit" => {
                arity(operands, 0..=0)?;
                let mut ins = self.blank(Op::Exit);
                ins.flags = 1;
                self.push(ins);
            }
            "trap" | "brkpt" => {
                arity(operands, 0..=0)?;
                let ins = self.blank(Op::Trap);
                self.push(ins);
            }
            "nanosleep" => {
                q.ty()?;
                arity(operands, 1..=1)?;
                let ins = self.blank(Op::Yield);
                self.push(ins);
            }
            "pmevent" => {
                arity(operands, 1..=1)?;
                q.take("mask");
            }
            "call" => {
                q.take("uni");
                let skip = self.skip_unless_guard();
                self.call(operands)?;
                self.skip_here(skip);
            }
            "alloca" => {
                let ty = q.ty()?;
                arity(operands, 2..=3)?;
                let mut ins = self.blank(Op::StackAlloc);
                ins.d = self.dest(&operands[0], ty.width())?;
                ins.a = self.source(&operands[1], ty)?;
                ins.b = u32::from(ty.size() == 4);
                ins.imm = match operands.get(2) {
                    Some(Operand::Int(align)) if align.is_power_of_two() && *align <= 4096 => {
                        *align
                    }
                    None => 8,
                    _ => return Err("the alignment is not a power of two".into()),
                };
                self.push(ins);
            }
            "stacksave" | "stackrestore" => {
                let ty = q.ty()?;
                arity(operands, 1..=1)?;
                let save = q.base == "stacksave";
                let mut ins = self.blank(if save {
                    Op::StackSave
                } else {
                    Op::StackRestore
                });
                ins.b = u32::from(ty.size() == 4);
                if save {
                    ins.d = self.dest(&operands[0], ty.width())?;
                } else {
                    ins.a = self.source(&operands[0], ty)?;
                }
                self.push(ins);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Turns the guard of an instruction into a branch around it; the label that has to stand behind it.
    fn skip_unless_guard(&mut self) -> Option<usize> {
        if self.guard == NONE {
            return None;
        }
        let label = self.labels.len();
        self.labels.push(0);
        self.guard ^= 1;
        self.branch(label as u64);
        self.guard = NONE;
        Some(label)
    }

    fn skip_here(&mut self, label: Option<usize>) {
        if let Some(label) = label {
            self.labels[label] = self.code.len() as u32;
            self.meet();
        }
    }

    /// A place where lanes may meet again.
    fn meet(&mut self) {
        let mut meet = self.blank(Op::Meet);
        meet.guard = NONE;
        self.push(meet);
    }

    fn branch(&mut self, label: u64) {
        let guard = self.guard;
        let mut ins = self.blank(if guard == NONE { Op::Jump } else { Op::Branch });
        ins.guard = NONE;
        ins.imm = label;
        if guard != NONE {
            ins.a = guard >> 1;
            ins.b = guard & 1;
        }
        self.push(ins);
        if guard != NONE {
            self.meet();
        }
    }

    /// Places of the arguments or results of a call in local memory.
    fn call_params(&self, operand: &Operand<'a>) -> Step<Vec<(u32, u32)>> {
        let Operand::Vector(items) = operand else {
            return Err("expected a list of parameters".into());
        };
        items
            .iter()
            .map(|item| match item {
                Operand::Local(id, 0)
                    if self.body.variables[*id as usize].space == Space::Param =>
                {
                    Ok((
                        self.places[*id as usize],
                        self.body.variables[*id as usize].size as u32,
                    ))
                }
                _ => Err("only `.param` variables can be passed in a call".to_owned()),
            })
            .collect()
    }

    fn call(&mut self, operands: &[Operand<'a>]) -> Step<()> {
        let (mut at, mut site) = (0, CallSite::default());
        if matches!(operands.first(), Some(Operand::Vector(_))) {
            site.rets = self.call_params(&operands[0])?;
            at = 1;
        }
        let Some(callee) = operands.get(at) else {
            return Err("a call without a function".into());
        };
        if let Some(args) = operands.get(at + 1) {
            site.args = match args {
                Operand::Vector(_) => self.call_params(args)?,
                _ => return Err("expected the arguments of the call".into()),
            };
        }
        let mut ins = self.blank(Op::Call);
        match callee {
            Operand::Name(name, 0) => {
                let Some(Symbol::Function(index)) = self.module.symbols.get(name).copied() else {
                    return Err(format!("`{name}` is not a function"));
                };
                let function = &self.module.program.functions[index as usize];
                if function.defined {
                    let fits = |mine: &[(u32, u32)], theirs: &[(u32, u32)]| {
                        mine.len() == theirs.len()
                            && mine.iter().zip(theirs).all(|(a, b)| a.1 == b.1)
                    };
                    if !fits(&site.args, &function.params) || !fits(&site.rets, &function.returns) {
                        return Err(format!("the parameters of this call do not fit `{name}`"));
                    }
                    ins.imm = u64::from(index);
                    let callees = &mut self.module.program.functions[self.index as usize].callees;
                    if !callees.contains(&index) {
                        callees.push(index);
                    }
                } else if let Some(builtin) = builtin(name) {
                    let (_, what, sizes) = PROVIDED[builtin];
                    if !site.args.iter().map(|a| a.1).eq(sizes.iter().copied()) {
                        return Err(format!("the parameters of this call do not fit `{name}`"));
                    }
                    ins.op = Op::CallBuiltin;
                    ins.imm = builtin as u64;
                    self.module.program.launches |= needed_by(what);
                } else {
                    return Err(format!(
                        "the function `{name}` is not defined here and not provided"
                    ));
                }
            }
            Operand::Reg(_) => {
                ins.op = Op::CallIndirect;
                ins.a = self.source(callee, Ty::U64)?;
                self.module.program.functions[self.index as usize].indirect = true;
            }
            _ => return Err("expected the name of a function".into()),
        }
        let calls = &mut self.module.program.calls;
        ins.b = calls.len() as u32;
        calls.push(site);
        let indirect = ins.op == Op::CallIndirect;
        self.push(ins);
        if indirect {
            self.meet();
        }
        Ok(())
    }
}
