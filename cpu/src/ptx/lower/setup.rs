//! Lowers a module: symbols, layouts of memory, then each function.

use std::collections::HashMap;

use super::{Emit, Lowering, Symbol};
use crate::engine::{CompileError, KernelInfo, ParamInfo, VariableInfo};
use crate::ptx::ast::{Function, Module, Variable};
use crate::ptx::code::{FunctionCode, NONE, PROVIDED, Program};
use crate::ptx::lexer::error_at;
use crate::ptx::types::{Space, Width};

/// What comes out of lowering.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    pub(crate) kernels: Vec<KernelInfo>,
    /// Function of each kernel.
    pub(crate) kernel_functions: Vec<u32>,
    pub(crate) variables: Vec<VariableInfo>,
    /// Initial bytes of each variable.
    pub(crate) images: Vec<Vec<u8>>,
    /// Addresses within images: variable, offset, number of bytes, what.
    pub(crate) image_addresses: Vec<ImageAddress>,
    /// Per kernel: bytes of local memory per thread, all calls considered.
    pub(crate) local_bytes: Vec<u32>,
    /// Alignment of dynamic shared memory.
    pub(crate) dynamic_align: u32,
}

/// An address within the image of a variable.
pub(crate) struct ImageAddress {
    pub(crate) variable: u32,
    pub(crate) at: u64,
    pub(crate) bytes: u8,
    pub(crate) shift: u32,
    pub(crate) target: Target,
}

/// What an address in an image points to.
pub(crate) enum Target {
    Variable(u32, i64),
    Value(u64),
}

/// The function that the engine provides under a name: its place in [`PROVIDED`].
pub(crate) fn builtin(name: &str) -> Option<usize> {
    PROVIDED.iter().position(|provided| provided.0 == name)
}

/// Largest static shared memory that is believed, bytes.
const MAX_SHARED: u64 = 1 << 24;
/// Stack of kernels whose depth of calls is not known, bytes per thread.
const UNKNOWN_STACK: u32 = 64 << 10;

/// Lowers a parsed module.
pub(crate) fn lower_module(source: &str, module: &Module<'_>) -> Result<Lowered, CompileError> {
    let mut lowering = Lowering {
        program: Program::default(),
        symbols: HashMap::new(),
        constant_bytes: 0,
        constants: HashMap::new(),
        addresses: HashMap::new(),
        references: HashMap::new(),
    };
    let mut variables: Vec<VariableInfo> = Vec::new();
    let mut images = Vec::new();
    let (mut shared_end, mut dynamic_align) = (0u64, 16);
    let fail = |line, message: String| error_at(source, line, message);
    let mut in_memory: Vec<(&Variable<'_>, u32)> = Vec::new();
    for variable in &module.variables {
        let symbol = match variable.space {
            Space::Shared
                if variable.unsized_array || (variable.external && variable.size == 0) =>
            {
                dynamic_align = dynamic_align.max(variable.align.min(1024));
                Symbol::DynamicShared
            }
            Space::Shared => {
                let at = shared_end.next_multiple_of(u64::from(variable.align));
                shared_end = at + variable.size;
                if shared_end > MAX_SHARED {
                    return Err(fail(variable.line, "too much shared memory".into()));
                }
                Symbol::Shared(at as u32, shared_end as u32)
            }
            _ if variable.external => {
                // Defined by nobody: an error where it is used, as in a linker.
                if module
                    .variables
                    .iter()
                    .any(|v| v.name == variable.name && !v.external)
                {
                    continue;
                }
                return Err(fail(
                    variable.line,
                    format!("`{}` is external and nothing defines it", variable.name),
                ));
            }
            _ => {
                let index = variables.len() as u32;
                variables.push(VariableInfo {
                    name: variable.name.to_owned(),
                    size: variable.size.max(1),
                    align: u64::from(variable.align),
                    constant: variable.space == Space::Const,
                    managed: variable.managed,
                    reference: variable.reference,
                });
                in_memory.push((variable, index));
                if let Some(reference) = variable.reference {
                    lowering.references.insert(variable.name, reference);
                }
                Symbol::Variable(index)
            }
        };
        lowering.symbols.insert(variable.name, symbol);
    }
    for (index, function) in module.functions.iter().enumerate() {
        lowering
            .symbols
            .insert(function.name, Symbol::Function(index as u32));
        let mut code = FunctionCode {
            defined: function.body.is_some(),
            ..FunctionCode::default()
        };
        if function.entry {
            let mut at = 0u32;
            for param in &function.params {
                at = at.next_multiple_of(param.align);
                code.params.push((at, param.size));
                at += param.size;
            }
        } else {
            for (list, out) in [
                (&function.params, &mut code.params),
                (&function.returns, &mut code.returns),
            ] {
                for param in list {
                    let at = code.local_bytes.next_multiple_of(param.align.max(8));
                    code.local_bytes = at + param.size;
                    out.push((at, param.size));
                }
            }
        }
        lowering.program.functions.push(code);
    }
    let mut image_addresses = Vec::new();
    for (variable, index) in &in_memory {
        images.push(
            super::memory::image(variable, *index, &lowering, &mut image_addresses)
                .map_err(|m| fail(variable.line, m))?,
        );
    }
    for (index, function) in module.functions.iter().enumerate() {
        if function.body.is_some() {
            lower_function(
                source,
                &mut lowering,
                function,
                index as u32,
                shared_end as u32,
            )?;
        }
    }
    let const_bytes = variables
        .iter()
        .filter(|v| v.constant)
        .map(|v| v.size)
        .sum::<u64>()
        .min(u64::from(u32::MAX)) as u32;
    let mut lowered = Lowered {
        program: lowering.program,
        kernels: Vec::new(),
        kernel_functions: Vec::new(),
        variables,
        images,
        image_addresses,
        local_bytes: Vec::new(),
        dynamic_align,
    };
    for (index, function) in module.functions.iter().enumerate() {
        if function.entry && function.body.is_some() {
            add_kernel(&mut lowered, module, function, index as u32, const_bytes);
        }
    }
    Ok(lowered)
}

fn lower_function<'a>(
    source: &str,
    lowering: &mut Lowering<'a>,
    function: &Function<'a>,
    index: u32,
    shared_base: u32,
) -> Result<(), CompileError> {
    let Some(body) = &function.body else {
        return Ok(());
    };
    let mut local_bytes = lowering.program.functions[index as usize].local_bytes;
    let mut shared_end = shared_base;
    let mut places = Vec::with_capacity(body.variables.len());
    for variable in &body.variables {
        let end = if variable.space == Space::Shared {
            &mut shared_end
        } else {
            &mut local_bytes
        };
        // Parameters of calls are copied in units of eight bytes at most.
        let align = if variable.space == Space::Shared {
            variable.align
        } else {
            variable.align.max(8)
        };
        let at = u64::from(*end).next_multiple_of(u64::from(align));
        if at + variable.size > MAX_SHARED || variable.unsized_array {
            return Err(error_at(
                source,
                variable.line,
                "the variable is too large or has no size",
            ));
        }
        *end = (at + variable.size) as u32;
        places.push(at as u32);
    }
    if shared_end > shared_base {
        lowering.program.functions[index as usize].shared_end = shared_end;
    }
    let mut emit = Emit {
        module: lowering,
        function,
        body,
        index,
        code: Vec::with_capacity(body.statements.len() + 8),
        registers: Vec::with_capacity(body.registers.len()),
        single: super::written_once(body),
        touched: vec![false; body.registers.len()],
        places,
        frame_bytes: 0,
        local_bytes,
        labels: vec![0; body.labels as usize + 1],
        carry: None,
        guard: NONE,
        line: function.line,
        temporaries: HashMap::new(),
        addresses: 0,
    };
    for ty in &body.registers {
        let loc = emit.new_register(ty.width());
        emit.registers.push(loc);
    }
    if emit.frame_bytes >= 1 << 28 {
        return Err(error_at(source, function.line, "too many registers"));
    }
    emit.statements(source)?;
    let (mut code, frame_bytes, local_bytes) = (emit.code, emit.frame_bytes, emit.local_bytes);
    let program = &mut lowering.program;
    let start = program.code.len() as u32;
    crate::ptx::cfg::relocate(&mut code, start);
    program.code.append(&mut code);
    let end = program.code.len() as u32;
    let out = &mut program.functions[index as usize];
    out.start = start;
    out.end = end;
    out.frame_bytes = frame_bytes.next_multiple_of(64);
    out.local_bytes = local_bytes.next_multiple_of(16);
    Ok(())
}

fn add_kernel(
    lowered: &mut Lowered,
    module: &Module<'_>,
    function: &Function<'_>,
    index: u32,
    const_bytes: u32,
) {
    let reached = reach(&lowered.program, index);
    let code = &lowered.program.functions[index as usize];
    let shared_bytes = reached
        .functions
        .iter()
        .map(|&f| lowered.program.functions[f as usize].shared_end)
        .max()
        .unwrap_or(0);
    let stack = reached.depth.map_or(UNKNOWN_STACK, |d| d.max(16));
    let registers = module.functions[index as usize]
        .body
        .as_ref()
        .map_or(0, |b| {
            b.registers
                .iter()
                .filter(|t| t.width() != Width::Pred)
                .count()
        });
    lowered.kernels.push(KernelInfo {
        name: function.name.to_owned(),
        params: code
            .params
            .iter()
            .map(|&(offset, size)| ParamInfo { offset, size })
            .collect(),
        shared_bytes,
        local_bytes: if reached.depth.is_some() {
            stack & !15
        } else {
            code.local_bytes
        },
        const_bytes,
        max_threads_per_block: function.max_threads.unwrap_or(1024).clamp(1, 1024),
        required_block: function.required,
        required_cluster: function.cluster,
        registers: (registers as u32 / 4).clamp(16, 64),
        ptx_version: module.version,
        target: module.target,
    });
    lowered.kernel_functions.push(index);
    lowered.local_bytes.push(stack);
}

struct Reach {
    functions: Vec<u32>,
    /// Local memory on the deepest path of calls; none if there is no bound.
    depth: Option<u32>,
}

/// Functions that a kernel may call.
fn reach(program: &Program, root: u32) -> Reach {
    let mut functions = vec![root];
    let mut at = 0;
    let mut indirect = false;
    while let Some(&f) = functions.get(at) {
        at += 1;
        let code = &program.functions[f as usize];
        if code.indirect && !indirect {
            indirect = true;
            // Any function may be meant.
            for (k, g) in program.functions.iter().enumerate() {
                if g.defined && !functions.contains(&(k as u32)) && g.shared_end == 0 {
                    functions.push(k as u32);
                }
            }
        }
        for &callee in &code.callees {
            if !functions.contains(&callee) {
                functions.push(callee);
            }
        }
    }
    let depth = if indirect {
        None
    } else {
        depth_of(program, root, &mut HashMap::new(), 0)
    };
    Reach { functions, depth }
}

/// Local memory from `f` downward; none when recursive.
fn depth_of(
    program: &Program,
    f: u32,
    known: &mut HashMap<u32, Option<u32>>,
    level: u32,
) -> Option<u32> {
    if let Some(&depth) = known.get(&f) {
        return depth;
    }
    // While `f` is being looked at, meeting it again means recursion.
    known.insert(f, None);
    if level > 500 {
        return None;
    }
    let code = &program.functions[f as usize];
    let mut deepest = 0;
    for &callee in &code.callees {
        deepest = deepest.max(depth_of(program, callee, known, level + 1)?);
    }
    let depth = deepest.checked_add(code.local_bytes)?;
    known.insert(f, Some(depth));
    Some(depth)
}
