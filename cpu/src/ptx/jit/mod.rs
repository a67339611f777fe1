//! Kernels as machine code, by Cranelift.
//!
//! A function of PTX becomes one function of the host that takes the lanes of a mask one after the other from an *entry* to the next *boundary* ([`plan`]): an instruction that concerns
//! several lanes, or that machine code does not know. There the interpreter takes over, with the registers in the frame where it expects them, and hands back behind it. So
//! everything that is not made into machine code stays as right as it was, and lanes part and meet by the interpreter's rules.
//!
//! A second function does the same for groups of lanes that go together, and leaves the rest to the first ([`group`]). Both are made by the same code ([`build`]), whose values are numbers of
//! one lane or vectors of several ([`registers::Mode`]). Small kernels that may end without a boundary have a third one, which runs all groups of a block ([`mod@sweep`]).
//!
//! Arithmetic must give the interpreter's bits. What Cranelift cannot promise is done by the interpreter's own functions, for one lane ([`build::Build::one_lane`]) or for a group.

mod build;
mod entry;
mod floats;
mod group;
mod group_memory;
mod groups;
mod kinds;
mod memory;
mod names;
mod ops;
mod plan;
mod registers;
mod shapes;
mod sweep;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cranelift_codegen::ir::Signature;
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};

pub(crate) use entry::{After, Limits, Luck, Slot, start};
pub(crate) use sweep::{Sweep, sweep};
/// Lanes that machine code takes together.
pub(crate) const GROUP: u32 = shapes::GROUP as u32;

use super::code::{Ins, Op, Program};
use super::exec::state::Line;
use build::Form;
use plan::Plan;

/// Warps after which a kernel is worth its compilation.
const HOT: u64 = 2048;
/// What a warp that has used up a turn counts.
const TIRED: u64 = 32;
/// Most instructions of a kernel and all that it calls.
const MOST: usize = 60_000;

/// When kernels become machine code: `GVIRTUS_CPU_JIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Never,
    /// When they are run often.
    Auto,
    Always,
}

fn mode() -> Mode {
    static MODE: OnceLock<Mode> = OnceLock::new();
    *MODE.get_or_init(|| match std::env::var("GVIRTUS_CPU_JIT").as_deref() {
        Ok("never") => Mode::Never,
        Ok("always") => Mode::Always,
        Ok("auto") | Err(_) => Mode::Auto,
        Ok(other) => {
            eprintln!(
                "gvirtus-cpu: GVIRTUS_CPU_JIT={other}: expected `never`, `auto` or `always`; taken for `auto`"
            );
            Mode::Auto
        }
    })
}

/// A kernel's machine code, once there is some.
#[derive(Default)]
pub(crate) struct Kernel {
    heat: AtomicU64,
    busy: AtomicBool,
    code: OnceLock<Option<Code>>,
}

/// Machine code of a kernel and of all functions that it calls.
pub(crate) struct Code {
    /// The program, with the way to machine code in place of the instructions at entries.
    pub(crate) ins: Vec<Ins>,
    /// Functions for groups of lanes; instructions name them by [`Ins::sub`].
    groups: Vec<u64>,
    /// The kernel for whole blocks at once.
    whole: Option<sweep::Whole>,
    /// Places for ranges of memory.
    slots: u32,
    /// Entries of all functions.
    entries: u32,
    /// Loops, and the boundary that lanes come to from there.
    loops: HashMap<u32, u32>,
    module: Option<JITModule>,
}

// SAFETY: the module is only used again to free its memory; its code is plain read-only bytes.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: nobody runs the code any more: grids hold the module that holds this.
            unsafe { module.free_memory() }
        }
    }
}

impl Code {
    /// Whether there is code for whole blocks.
    pub(crate) fn has_sweep(&self) -> bool {
        self.whole.is_some()
    }
}

impl Kernel {
    /// The machine code, if it is there.
    #[inline]
    pub(crate) fn code(&self) -> Option<&Code> {
        self.code.get()?.as_ref()
    }

    /// Notes that some warps run, and compiles the kernel when it is worth it. Others go on as they are meanwhile.
    pub(crate) fn warm(&self, warps: u64, program: &Program, function: u32, constants: &[Line]) {
        if self.code.get().is_some() {
            return;
        }
        let enough = match mode() {
            Mode::Never => return,
            Mode::Always => 0,
            Mode::Auto => HOT,
        };
        let heat = self.heat.fetch_add(warps, Ordering::Relaxed) + warps;
        if heat < enough || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let made =
            std::panic::catch_unwind(AssertUnwindSafe(|| compile(program, function, constants)));
        let code = match made {
            Ok(Ok(code)) => Some(code),
            Ok(Err(message)) => {
                report(&message);
                None
            }
            Err(_) => {
                report("the compiler of machine code failed");
                None
            }
        };
        let _ = self.code.set(code);
    }

    /// Notes that a warp has used up a turn.
    pub(crate) fn tired(&self, program: &Program, function: u32, constants: &[Line]) {
        self.warm(TIRED, program, function, constants);
    }
}

/// What keeps a kernel from being compiled is no error: it is interpreted. Only who asked for machine code is told.
fn report(message: &str) {
    if mode() == Mode::Always {
        eprintln!("gvirtus-cpu: a kernel is interpreted: {message}");
    }
}

/// Functions that a kernel may call.
fn callees(program: &Program, root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&f) = found.get(at) {
        at += 1;
        let code = &program.functions[f as usize];
        let more: Vec<u32> = if code.indirect {
            (0..program.functions.len() as u32).collect()
        } else {
            code.callees.clone()
        };
        for f in more {
            if program.functions[f as usize].defined && !found.contains(&f) {
                found.push(f);
            }
        }
    }
    found
}

fn compile(program: &Program, kernel: u32, constants: &[Line]) -> Result<Code, String> {
    let functions = callees(program, kernel);
    let total: usize = functions
        .iter()
        .map(|&f| {
            let code = &program.functions[f as usize];
            (code.end - code.start) as usize
        })
        .sum();
    if total > MOST {
        return Err(format!("{total} instructions are too many"));
    }
    let mut flags = settings::builder();
    let mut set = |name: &str, value: &str| flags.set(name, value).map_err(|e| e.to_string());
    set("opt_level", "speed")?;
    set("is_pic", "false")?;
    set("use_colocated_libcalls", "false")?;
    set(
        "enable_verifier",
        if mode() == Mode::Always {
            "true"
        } else {
            "false"
        },
    )?;
    let isa = cranelift_native::builder()
        .map_err(str::to_owned)?
        .finish(settings::Flags::new(flags))
        .map_err(|e| e.to_string())?;
    let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
    let target = module.target_config();
    let mut shared = FunctionBuilderContext::new();
    let mut context = module.make_context();
    let mut helpers = Vec::with_capacity(3);
    for (name, types, callee) in [
        ("resolve", &build::RESOLVE[..], entry::resolve as *const ()),
        (
            "one_lane",
            &build::ONE_LANE[..],
            entry::one_lane as *const (),
        ),
        ("look_up", &build::LOOK_UP[..], entry::look_up as *const ()),
    ] {
        let call = module.target_config().default_call_conv;
        context.func.signature = build::with_params(Signature::new(CallConv::PreserveAll), types);
        let id = module
            .declare_function(name, Linkage::Local, &context.func.signature)
            .map_err(|e| e.to_string())?;
        let builder = FunctionBuilder::new(&mut context.func, &mut shared);
        build::helper(builder, types, call, callee, target);
        module
            .define_function(id, &mut context)
            .map_err(|e| format!("{e:?}"))?;
        module.clear_context(&mut context);
        helpers.push(id);
    }
    let names = names::Names::get();
    let fused = super::alu::wide() || cfg!(target_arch = "aarch64");
    let (mut slots, mut loops, mut made, mut whole) = (0, HashMap::new(), Vec::new(), None);
    for &f in &functions {
        let Some(plan) = Plan::new(program, &program.functions[f as usize]) else {
            continue;
        };
        if plan.entries.is_empty() {
            continue;
        }
        let (float, lazy) = kinds::choose(&plan, program, names, constants);
        let source = build::Source {
            plan: &plan,
            program,
            constants,
            names,
            fused,
            float: &float,
            lazy: &lazy,
        };
        let mut define = |name: String, form, resumes: &[group::Resume]| {
            context.func.signature = build::signature(module.make_signature());
            let id = module
                .declare_function(&name, Linkage::Local, &context.func.signature)
                .map_err(|e| e.to_string())?;
            let calls = |b: &mut FunctionBuilder<'_>| build::Helpers {
                resolve: module.declare_func_in_func(helpers[0], b.func),
                one_lane: module.declare_func_in_func(helpers[1], b.func),
                look_up: module.declare_func_in_func(helpers[2], b.func),
            };
            let builder = FunctionBuilder::new(&mut context.func, &mut shared);
            let built = build::build(builder, source, form, resumes, &mut slots, target, calls);
            module
                .define_function(id, &mut context)
                .map_err(|e| format!("{e:?}"))?;
            module.clear_context(&mut context);
            Ok::<_, String>((id, built))
        };
        let shapes = shapes::Shapes::find(&plan, program, names, constants, &float);
        let (mut group, mut resumes) = (None, Vec::new());
        if shapes.worth_it(program) {
            let (id, built) = define(format!("g{f}"), Form::Groups(shapes.clone()), &[])?;
            (group, resumes) = (Some(id), built.resumes);
            if f == kernel && sweep::worth_it(&plan, program) {
                let (id, built) = define(format!("b{f}"), Form::Block(shapes), &resumes)?;
                whole = Some((id, built.reads_special));
                resumes = built.resumes;
            }
        }
        let (id, _) = define(format!("f{f}"), Form::Lanes, &resumes)?;
        loops.extend(plan.loops.iter().map(|(&at, &to)| (at, to)));
        made.push((id, group, plan));
    }
    module.finalize_definitions().map_err(|e| e.to_string())?;
    let mut ins = program.code.clone();
    let (mut groups, mut entries) = (Vec::new(), 0);
    for (id, group, plan) in made {
        let number = groups.len();
        groups.extend(group.map(|id| module.get_finalized_function(id) as u64));
        let sub = match group {
            Some(_) => u16::try_from(number).unwrap_or(u16::MAX),
            None => u16::MAX,
        };
        let address = module.get_finalized_function(id) as u64;
        for (number, &block) in plan.entries.iter().enumerate() {
            let at = plan.blocks[block].start as usize;
            ins[at] = Ins {
                op: Op::Compiled,
                guard: super::code::NONE,
                a: number as u32,
                b: entries,
                sub,
                imm: address,
                ..ins[at]
            };
            entries += 1;
        }
    }
    Ok(Code {
        ins,
        groups,
        whole: whole.map(|(id, reads_special)| sweep::Whole {
            address: module.get_finalized_function(id) as u64,
            reads_special,
        }),
        slots,
        entries,
        loops,
        module: Some(module),
    })
}
