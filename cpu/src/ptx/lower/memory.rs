//! Loads, stores, atomics, addresses, initial values of variables.

use super::quals::{Quals, arity};
use super::setup::{ImageAddress, Target};
use super::{Emit, Lowering, Step, Symbol};
use crate::ptx::alu::{int, logic};
use crate::ptx::ast::{Init, Operand, Variable};
use crate::ptx::code::{
    Access, FUNCTION_STRIDE, FUNCTION_WINDOW, Ins, LOCAL_WINDOW, Loc, NONE, Op, Order,
    PARAM_WINDOW, PARAMS, ParamRegister, SHARED_WINDOW, Where,
};
use crate::ptx::exec::atomic::{AtomicKind, AtomicOp};
use crate::ptx::types::{Space, Ty, Width};

impl<'a> Emit<'_, 'a> {
    /// Lowers an instruction on memory; false if it is none.
    pub(super) fn memory(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<bool> {
        match q.base {
            "ld" | "ldu" => self.load(q, operands)?,
            "st" => self.store(q, operands)?,
            "atom" => self.atomic(q, operands, true)?,
            "red" => self.atomic(q, operands, false)?,
            "membar" => {
                arity(operands, 0..=0)?;
                if q.one_of(&["cta", "gl", "sys"]).is_none() {
                    return Err("this kind of `membar` is not supported".into());
                }
                let ins = self.blank(Op::Fence);
                self.push(ins);
            }
            "fence" => {
                arity(operands, 0..=0)?;
                // All fences are made as strong as the strongest.
                q.one_of(&["sc", "acq_rel", "acquire", "release"]);
                q.one_of(&["cta", "cluster", "gpu", "sys"]);
                q.take("mbarrier_init");
                q.take("sync_restrict");
                if q.take("proxy") {
                    // All ways to memory are the same one here.
                    while q.find(Some).is_some() {}
                }
                let ins = self.blank(Op::Fence);
                self.push(ins);
            }
            "prefetch" | "prefetchu" | "applypriority" | "discard" => {
                // Hints for caches that do not exist here.
                if q.base == "discard" {
                    return Ok(false);
                }
                while q.find(Some).is_some() {}
            }
            "griddepcontrol" => {
                // Grids of one stream run one after the other.
                if q.one_of(&["wait", "launch_dependents"]).is_none() {
                    return Ok(false);
                }
            }
            "cp" => {
                if !q.take("async") || q.has("bulk") || q.has("mbarrier") {
                    return Err("this kind of copy is not supported".into());
                }
                self.copy_async(q, operands)?;
            }
            "isspacep" => {
                arity(operands, 2..=2)?;
                let space = q.find(Space::parse).ok_or("expected a state space")?;
                let mut ins = self.blank(Op::IsSpace);
                ins.d = self.dest(&operands[0], Width::Pred)?;
                ins.a = self.source(&operands[1], Ty::U64)?;
                ins.sub = space as u16;
                self.push(ins);
            }
            "cvta" => self.convert_address(q, operands)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Qualifiers of order and scope; what they ask for.
    fn order(q: &mut Quals<'_>) -> Order {
        let order = match q.one_of(&[
            "weak", "volatile", "relaxed", "acquire", "release", "acq_rel", "mmio",
        ]) {
            None | Some(0) => Order::Weak,
            Some(1 | 2 | 6) => Order::Relaxed,
            _ => Order::Strong,
        };
        q.take("relaxed");
        q.one_of(&["cta", "cluster", "gpu", "sys"]);
        order
    }

    /// Takes the cache hints, which mean nothing here.
    fn hints(q: &mut Quals<'_>) {
        q.one_of(&["ca", "cg", "cs", "lu", "cv", "wb", "wt"]);
        q.take("nc");
        while q
            .find(|w| (w.starts_with("L1::") || w.starts_with("L2::")).then_some(()))
            .is_some()
        {}
    }

    /// Fills in what the address operand says.
    pub(super) fn address(
        &mut self,
        ins: &mut Ins,
        access: &mut Access,
        space: Space,
        operand: &Operand<'a>,
    ) -> Step<()> {
        let Operand::Address(base, offset) = operand else {
            return Err("expected an address in brackets".into());
        };
        access.place = match space {
            Space::Generic => Where::Generic,
            // Constant memory has ordinary addresses.
            Space::Global | Space::Const => Where::Global,
            Space::Shared => Where::Shared,
            Space::Local => Where::Local,
            Space::Param if self.function.entry => Where::Param,
            Space::Param => Where::Local,
        };
        access.offset = *offset;
        match base.as_ref() {
            Operand::Reg(_) => {
                let (loc, width) = self.source_any(base, Ty::U64)?;
                access.wide_address = match width {
                    Width::W64 => true,
                    Width::W32 => false,
                    _ => return Err("an address needs 32 or 64 bits".into()),
                };
                ins.a = loc;
            }
            Operand::Local(id, _) => {
                let variable = &self.body.variables[*id as usize];
                if variable.space == Space::Shared {
                    access.place = Where::Shared;
                    access.wide_address = true;
                    ins.a = self.source(base, Ty::U64)?;
                } else {
                    access.place = Where::Local;
                    access.direct = true;
                    access.offset += i64::from(self.places[*id as usize]);
                }
            }
            Operand::Name(name, _) if self.parameter(name).is_some() => {
                let (at, entry) = self.parameter(name).unwrap_or_default();
                access.place = if entry { Where::Param } else { Where::Local };
                access.direct = true;
                access.offset += i64::from(at);
            }
            _ => {
                if let Operand::Name(name, _) = base.as_ref()
                    && matches!(
                        self.module.symbols.get(name),
                        Some(Symbol::Shared(..) | Symbol::DynamicShared)
                    )
                {
                    access.place = Where::Shared;
                }
                access.wide_address = true;
                ins.a = self.source(base, Ty::U64)?;
            }
        }
        Ok(())
    }

    pub(super) fn access(ty: Ty, order: Order) -> Access {
        Access {
            place: Where::Generic,
            size: ty.size() as u8,
            signed: ty.signed(),
            width: ty.width(),
            wide_address: true,
            direct: false,
            order,
            offset: 0,
            list: 0,
            count: 1,
            quick: false,
            vectors: crate::ptx::alu::wide(),
        }
    }

    fn vector(q: &mut Quals<'_>) -> usize {
        [1, 2, 4, 8][q.one_of(&["v2", "v4", "v8"]).map_or(0, |k| k + 1)]
    }

    /// The items of a vector operand, or the operand itself.
    fn items<'o>(operand: &'o Operand<'a>, count: usize) -> Step<&'o [Operand<'a>]> {
        let items = match operand {
            Operand::Vector(items) => &items[..],
            single => std::slice::from_ref(single),
        };
        if items.len() == count {
            Ok(items)
        } else {
            Err("the number of registers does not fit the vector".into())
        }
    }

    fn finish_access(&mut self, mut ins: Ins, mut access: Access, registers: &[Loc]) {
        access.count = registers.len() as u8;
        access.quick = access.count == 1
            && !access.direct
            && access.order == Order::Weak
            && matches!(access.size, 4 | 8)
            && access.width.lane_bytes() == u32::from(access.size)
            && matches!(access.place, Where::Global | Where::Generic | Where::Shared);
        if let [single] = registers {
            ins.d = *single;
        } else {
            access.list = self.module.program.lists.len() as u32;
            self.module.program.lists.extend_from_slice(registers);
        }
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.push(access);
        self.push(ins);
    }

    fn load(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let order = Self::order(q);
        Self::hints(q);
        let space = q.find(Space::parse).unwrap_or(Space::Generic);
        let count = Self::vector(q);
        let ty = q.ty()?;
        // An operand for a cache policy would follow.
        arity(operands, 2..=2)?;
        let mut access = Self::access(ty, order);
        let mut ins = self.blank(Op::Load);
        self.address(&mut ins, &mut access, space, &operands[1])?;
        let items = Self::items(&operands[0], count)?;
        let width = items
            .iter()
            .find_map(|item| self.register_type(item))
            .map_or(ty.width(), Ty::width);
        self.check_register(ty, width)?;
        access.width = width;
        let parameter = access.direct && access.place == Where::Param;
        if parameter && items.iter().all(|item| self.may_alias(item, width)) {
            let places: Option<Vec<Loc>> = (0..items.len() as i64)
                .map(|k| self.param_register(&access, k))
                .collect();
            if let Some(places) = places {
                for (item, place) in items.iter().zip(places) {
                    self.alias(item, place, width);
                }
                return Ok(());
            }
        }
        let registers = items
            .iter()
            .map(|item| self.dest(item, width))
            .collect::<Step<Vec<Loc>>>()?;
        if parameter {
            ins.op = Op::LoadParam;
        }
        self.finish_access(ins, access, &registers);
        Ok(())
    }

    /// A register for element `k` of a load from the kernel's parameters; none if that lies outside of them.
    fn param_register(&mut self, access: &Access, k: i64) -> Option<Loc> {
        let offset = access.offset.checked_add(k * i64::from(access.size))?;
        let code = &mut self.module.program.functions[self.index as usize];
        let end = code.params.last().map_or(0, |(at, size)| at + size);
        if offset < 0 || offset + i64::from(access.size) > i64::from(end) {
            return None;
        }
        let place = code.param_bytes.next_multiple_of(64);
        if place > 1 << 24 {
            return None;
        }
        code.param_bytes = place + access.width.register_bytes();
        code.param_registers.push(ParamRegister {
            offset: offset as u32,
            size: access.size,
            signed: access.signed,
            width: access.width,
            place,
        });
        Some(PARAMS | place)
    }

    /// Registers may be wider than what is loaded or stored, not narrower.
    fn check_register(&self, ty: Ty, width: Width) -> Step<()> {
        if width == Width::Pred || width.lane_bytes() < ty.size() {
            Err("the register is too small for the type".into())
        } else {
            Ok(())
        }
    }

    fn store(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let order = Self::order(q);
        Self::hints(q);
        let space = q.find(Space::parse).unwrap_or(Space::Generic);
        let count = Self::vector(q);
        let ty = q.ty()?;
        arity(operands, 2..=2)?;
        let mut access = Self::access(ty, order);
        let mut ins = self.blank(Op::Store);
        self.address(&mut ins, &mut access, space, &operands[0])?;
        if access.place == Where::Param {
            return Err("the parameters of a kernel cannot be written".into());
        }
        let items = Self::items(&operands[1], count)?;
        let width = items
            .iter()
            .find_map(|item| self.register_type(item))
            .map_or(ty.width(), Ty::width);
        self.check_register(ty, width)?;
        access.width = width;
        // Constants take the size of the registers beside them.
        let like = if width == ty.width() {
            ty
        } else {
            match width {
                Width::W16 => Ty::B16,
                Width::W32 => Ty::B32,
                _ => Ty::B64,
            }
        };
        let registers = items
            .iter()
            .map(|item| self.source(item, like))
            .collect::<Step<Vec<Loc>>>()?;
        self.finish_access(ins, access, &registers);
        Ok(())
    }

    fn atomic(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>], returns: bool) -> Step<()> {
        let order = Self::order(q);
        Self::hints(q);
        let space = q.find(Space::parse).unwrap_or(Space::Generic);
        let op = q
            .find(|w| {
                Some(match w {
                    "add" => AtomicOp::Add,
                    "min" => AtomicOp::Min,
                    "max" => AtomicOp::Max,
                    "inc" => AtomicOp::Inc,
                    "dec" => AtomicOp::Dec,
                    "and" => AtomicOp::And,
                    "or" => AtomicOp::Or,
                    "xor" => AtomicOp::Xor,
                    "exch" => AtomicOp::Exchange,
                    "cas" => AtomicOp::CompareSwap,
                    _ => return None,
                })
            })
            .ok_or("this atomic operation is not supported")?;
        q.take("noftz");
        let ty = q.ty()?;
        let kind = match ty {
            Ty::U32 | Ty::B32 => AtomicKind::U32,
            Ty::S32 => AtomicKind::S32,
            Ty::U64 | Ty::B64 => AtomicKind::U64,
            Ty::S64 => AtomicKind::S64,
            Ty::F32 => AtomicKind::F32,
            Ty::F64 => AtomicKind::F64,
            Ty::F16 => AtomicKind::F16,
            Ty::F16x2 => AtomicKind::F16x2,
            Ty::Bf16 => AtomicKind::Bf16,
            Ty::Bf16x2 => AtomicKind::Bf16x2,
            Ty::B16 | Ty::U16 => AtomicKind::U16,
            Ty::B128 => AtomicKind::U128,
            _ => return Err("this type is not supported for atomics".into()),
        };
        let fits = match op {
            AtomicOp::Exchange | AtomicOp::CompareSwap => !ty.is_float(),
            _ if ty == Ty::B128 => false,
            AtomicOp::Add => true,
            AtomicOp::Min | AtomicOp::Max => !matches!(kind, AtomicKind::F32 | AtomicKind::F64),
            AtomicOp::Inc | AtomicOp::Dec => kind == AtomicKind::U32,
            _ => !ty.is_float(),
        };
        if !fits {
            return Err("this operation is not supported for this type".into());
        }
        let first = usize::from(returns);
        let sources = if op == AtomicOp::CompareSwap { 2 } else { 1 };
        arity(operands, first + 1 + sources..=first + 1 + sources)?;
        let mut access = Self::access(ty, order);
        let mut ins = self.blank(Op::Atomic);
        self.address(&mut ins, &mut access, space, &operands[first])?;
        if access.place == Where::Param {
            return Err("the parameters of a kernel cannot be written".into());
        }
        ins.b = self.source(&operands[first + 1], ty)?;
        ins.c = if sources == 2 {
            self.source(&operands[first + 2], ty)?
        } else {
            ins.b
        };
        ins.d = if returns && operands[0] != Operand::Sink {
            self.dest(&operands[0], ty.width())?
        } else {
            NONE
        };
        ins.sub = (op as u16) << 8 | kind as u16;
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.push(access);
        self.push(ins);
        Ok(())
    }

    /// `cp.async`: done at once, so that there is nothing to wait for.
    fn copy_async(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        if q.take("commit_group") || q.take("wait_all") {
            return arity(operands, 0..=0);
        }
        if q.take("wait_group") {
            return arity(operands, 1..=1);
        }
        Self::hints(q);
        if !(q.take("shared") || q.take("shared::cta")) || !q.take("global") {
            return Err("expected a copy from global to shared memory".into());
        }
        arity(operands, 3..=4)?;
        let Operand::Int(size @ (4 | 8 | 16)) = operands[2] else {
            return Err("the size must be 4, 8 or 16".into());
        };
        let mut ins = self.blank(Op::CopyAsync);
        let ty = match size {
            4 => Ty::B32,
            8 => Ty::B64,
            _ => Ty::B128,
        };
        let (mut to, mut from) = (Self::access(ty, Order::Weak), Self::access(ty, Order::Weak));
        self.address(&mut ins, &mut from, Space::Global, &operands[1])?;
        ins.b = ins.a;
        self.address(&mut ins, &mut to, Space::Shared, &operands[0])?;
        if to.place != Where::Shared || from.place != Where::Global {
            return Err("expected a copy from global to shared memory".into());
        }
        if let Some(count) = operands.get(3) {
            ins.c = if self.register_type(count) == Some(Ty::Pred)
                || matches!(count, Operand::Not(_))
            {
                // Where the predicate holds, the source is ignored.
                let (p, negated) = self.predicate(count)?;
                let (none, all) = (
                    self.module.constant(0, Width::W32),
                    self.module.constant(size, Width::W32),
                );
                let bytes = self.temporary(Width::W32, 30);
                self.alu(logic::select_32(), bytes, &[none, all, p]).flags = u8::from(negated);
                bytes
            } else {
                self.source(count, Ty::U32)?
            };
        }
        ins.imm = self.module.program.accesses.len() as u64;
        self.module.program.accesses.extend([to, from]);
        self.push(ins);
        Ok(())
    }

    fn convert_address(&mut self, q: &mut Quals<'a>, operands: &[Operand<'a>]) -> Step<()> {
        let to = q.take("to");
        let space = q.find(Space::parse).ok_or("expected a state space")?;
        if q.ty()?.size() != 8 {
            return Err("only 64-bit addresses are supported".into());
        }
        arity(operands, 2..=2)?;
        let a = self.source(&operands[1], Ty::U64)?;
        if matches!(space, Space::Global | Space::Const) && self.alias(&operands[0], a, Width::W64)
        {
            return Ok(());
        }
        let d = self.dest(&operands[0], Width::W64)?;
        let window = match space {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            Space::Param if self.function.entry => PARAM_WINDOW,
            Space::Param => LOCAL_WINDOW,
            _ => 0,
        };
        if window == 0 {
            self.alu(logic::mov_64(), d, &[a]);
        } else {
            let window = self.module.constant(window, Width::W64);
            self.alu(
                if to { int::sub_64() } else { int::add_64() },
                d,
                &[a, window],
            );
        }
        Ok(())
    }
}

/// The initial bytes of a variable; addresses in it are noted in `out`.
pub(super) fn image(
    variable: &Variable<'_>,
    index: u32,
    lowering: &Lowering<'_>,
    out: &mut Vec<ImageAddress>,
) -> Step<Vec<u8>> {
    let size = variable.ty.size() as usize;
    let mut bytes = Vec::with_capacity(variable.init.len() * size);
    for init in &variable.init {
        let at = bytes.len() as u64;
        let (value, bytes_of) = match *init {
            Init::Bits(bits) => match variable.ty {
                Ty::F32 => (u64::from((bits as i64 as f32).to_bits()), size),
                Ty::F64 => ((bits as i64 as f64).to_bits(), size),
                _ => (bits, size),
            },
            Init::F32(bits) if variable.ty == Ty::F64 => {
                (f64::from(f32::from_bits(bits)).to_bits(), size)
            }
            Init::F32(bits) => (u64::from(bits), size),
            Init::F64(bits) if variable.ty == Ty::F32 => {
                (u64::from((f64::from_bits(bits) as f32).to_bits()), size)
            }
            Init::F64(bits) => (bits, size),
            Init::Address {
                symbol,
                offset,
                shift,
            } => {
                let target = match lowering.symbols.get(symbol) {
                    Some(Symbol::Variable(target)) => Target::Variable(*target, offset),
                    Some(Symbol::Function(function)) => {
                        Target::Value(FUNCTION_WINDOW + u64::from(*function) * FUNCTION_STRIDE)
                    }
                    Some(Symbol::Shared(at, _)) => Target::Value((i64::from(*at) + offset) as u64),
                    _ => return Err(format!("`{symbol}` in an initialiser is not defined")),
                };
                out.push(ImageAddress {
                    variable: index,
                    at,
                    bytes: size.min(8) as u8,
                    shift,
                    target,
                });
                (0, size)
            }
        };
        bytes.extend_from_slice(&u128::from(value).to_le_bytes()[..bytes_of]);
    }
    if bytes.len() as u64 > variable.size {
        return Err("the initialiser is larger than the variable".into());
    }
    Ok(bytes)
}
