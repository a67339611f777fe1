//! Descriptors as programs have them: what was set, until a call needs the content.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

use gvirtus_frontend_link::library::pack_with;
use gvirtus_wire::api::library::{CUDNN, Function, Mode};

use crate::content::{self, Content, Facts, Step};
use crate::handle;
use crate::lengths;
use crate::local::put;
use crate::status::{BAD_PARAM, NOT_SUPPORTED, SUCCESS};
use crate::{Status, declared, valid};

/// A descriptor.
#[derive(Debug)]
pub struct Descriptor {
    /// Its type as the declarations name it.
    pub kind: &'static str,
    /// What its create function was given, if it takes anything.
    pub made_by: Option<i32>,
    state: Mutex<State>,
}

/// What a program has made of a descriptor.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// The settings that count, in order.
    pub settings: Vec<Step>,
    /// What the box knows it as, once that is so.
    pub content: Option<Arc<Content>>,
    /// A call of the box's library has filled it, and settings do not say how.
    pub filled: bool,
}

static DESCRIPTORS: LazyLock<RwLock<HashMap<u64, Arc<Descriptor>>>> =
    LazyLock::new(RwLock::default);
static NUMBERS: AtomicU64 = AtomicU64::new(1);
/// How many `cudnnFusedOps_t` there are: what the create functions of packs and plans take, and no others take anything.
const FUSED_OPERATIONS: i32 = 7;
/// Descriptors look like no address of a program.
const TAG: u64 = 0x434e_4400_0000_0000;

impl Descriptor {
    /// Its state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its content, told to the box if that does not have it.
    ///
    /// # Errors
    /// cuDNN's.
    pub fn content(&self) -> Result<Arc<Content>, Status> {
        let mut state = self.state();
        if let Some(content) = &state.content {
            return Ok(Arc::clone(content));
        }
        let content = content::of(&steps(self, &state.settings), Facts::default(), false)?;
        state.content = Some(Arc::clone(&content));
        Ok(content)
    }

    /// Takes over what a call of the box's library has filled it with.
    pub fn fill(&self, content: Arc<Content>) {
        *self.state() = State {
            settings: Vec::new(),
            content: Some(content),
            filled: true,
        };
    }
}

/// The calls that make a descriptor with these settings.
pub(crate) fn steps(descriptor: &Descriptor, settings: &[Step]) -> Vec<Step> {
    static MADE_BY: LazyLock<HashMap<&str, &Function>> = LazyLock::new(|| {
        let made = |function: &'static Function| {
            let made = function.parameters.iter().find_map(|p| match p.mode {
                Mode::New(kind) => Some(kind),
                _ => None,
            });
            Some((made?, function))
        };
        CUDNN
            .iter()
            .filter(|f| f.class == "make")
            .filter_map(made)
            .collect()
    });
    let create = MADE_BY.get(descriptor.kind).expect("descriptors are made");
    let first = Step::first(create, descriptor.made_by);
    std::iter::once(first)
        .chain(settings.iter().cloned())
        .collect()
}

/// The descriptor that a program means.
///
/// # Errors
/// `CUDNN_STATUS_BAD_PARAM` for one that there is not, or of another type.
pub fn find(descriptor: u64, kind: &str) -> Result<Arc<Descriptor>, Status> {
    let descriptors = DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner);
    let found = descriptors.get(&descriptor).cloned();
    found.filter(|d| d.kind == kind).ok_or(BAD_PARAM)
}

/// `cudnnCreate…Descriptor`.
///
/// # Safety
/// The argument is null or writable.
pub unsafe fn create(function: &Function, arguments: &[u64]) -> Status {
    let kind = function.parameters.iter().find_map(|p| match p.mode {
        Mode::New(kind) => Some(kind),
        _ => None,
    });
    let (Some(kind), Some(&out)) = (kind, arguments.first()) else {
        return BAD_PARAM;
    };
    let mut given = function.parameters.iter().zip(arguments);
    let made_by = given.find(|(p, _)| p.mode == Mode::I32);
    let made_by = made_by.map(|(_, word)| *word as i32);
    if made_by.is_some_and(|made_by| !(0..FUSED_OPERATIONS).contains(&made_by)) {
        return BAD_PARAM;
    }
    let descriptor = TAG | NUMBERS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: by this function's contract.
    if let Err(status) = unsafe { put(out as *mut c_void, descriptor) } {
        return status;
    }
    let made = Descriptor {
        kind,
        made_by,
        state: Mutex::default(),
    };
    let mut descriptors = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    descriptors.insert(descriptor, Arc::new(made));
    SUCCESS
}

/// `cudnnDestroy…Descriptor`.
///
/// # Safety
/// None is needed: the signature is that of other functions.
pub unsafe fn destroy(function: &Function, arguments: &[u64]) -> Status {
    let (Some(Mode::Object(kind)), Some(&descriptor)) = (
        function.parameters.first().map(|p| p.mode),
        arguments.first(),
    ) else {
        return BAD_PARAM;
    };
    if descriptor == 0 {
        return SUCCESS;
    }
    if let Err(status) = find(descriptor, kind) {
        return status;
    }
    let mut descriptors = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    descriptors.remove(&descriptor);
    SUCCESS
}

/// Settings of which the later replaces the earlier: those of one group.
fn group(name: &str) -> &'static str {
    [
        "GroupCount",
        "MathType",
        "ReorderType",
        "SwishBeta",
        "Clip",
        "BuildRNNDynamic",
    ]
    .into_iter()
    .find(|part| name.contains(part))
    .unwrap_or("all")
}

/// `cudnnSet…Descriptor` and the like.
///
/// # Safety
/// The arguments are those of the function's declaration, and its pointers are null or lead to what cuDNN documents.
pub unsafe fn set(function: &Function, arguments: &[u64]) -> Status {
    // SAFETY: by this function's contract.
    match unsafe { try_set(function.name, arguments) } {
        Ok(()) => SUCCESS,
        Err(status) => status,
    }
}

/// # Safety
/// As [`set`].
pub(crate) unsafe fn try_set(name: &str, arguments: &[u64]) -> Result<(), Status> {
    let function = declared(name);
    let (own, kind) = function.own_object().ok_or(BAD_PARAM)?;
    let descriptor = find(*arguments.get(own).ok_or(BAD_PARAM)?, kind)?;
    // SAFETY: by this function's contract.
    let step = unsafe { step(function, arguments) }?;
    let mut state = descriptor.state();
    let group_of_it = group(name);
    if state.filled && group_of_it != "all" {
        gvirtus_frontend_link::guard::unsupported(function.name);
        return Err(NOT_SUPPORTED);
    }
    let mut settings = state.settings.clone();
    settings.retain(|earlier| {
        let earlier = group(earlier.function.name);
        earlier != group_of_it && (group_of_it != "all" || earlier != "BuildRNNDynamic")
    });
    let surely = step.surely;
    settings.push(step);
    let content = if surely {
        None
    } else {
        // Whether cuDNN takes it only the box's library knows.
        Some(content::of(
            &steps(&descriptor, &settings),
            Facts::default(),
            true,
        )?)
    };
    *state = State {
        settings,
        content,
        filled: false,
    };
    Ok(())
}

/// # Safety
/// As [`set`].
pub(crate) unsafe fn step(function: &'static Function, arguments: &[u64]) -> Result<Step, Status> {
    let own = function.own_object().map(|(at, _)| at);
    let mut words = arguments.to_vec();
    let mut uses = Vec::new();
    let mut number = 0;
    for (at, (parameter, word)) in function.parameters.iter().zip(&mut words).enumerate() {
        match parameter.mode {
            Mode::Handle => number = handle::find(*word)?.number,
            // The descriptor itself, whose number is not known yet.
            Mode::Object(_) if own == Some(at) => *word = 0,
            Mode::Object(kind) if *word != 0 => {
                let content = find(*word, kind)?.content()?;
                *word = u64::from(content.number);
                uses.push(content);
            }
            _ => {}
        }
    }
    let length = |at: usize| lengths::of(function, arguments, &[], at);
    // SAFETY: by this function's contract.
    let packed = unsafe { pack_with(function, &words, number, true, &length) };
    let (call, _) = packed.map_err(|_| BAD_PARAM)?;
    Ok(Step {
        function,
        program: arguments.to_vec(),
        call,
        uses,
        // SAFETY: by this function's contract.
        surely: unsafe { valid::surely(function, arguments) },
    })
}

impl State {
    /// The last setting that says all, if a setting does.
    #[must_use]
    pub fn whole(&self) -> Option<&Step> {
        let mut steps = self.settings.iter().rev();
        steps.find(|step| group(step.function.name) == "all")
    }
}

impl Step {
    /// The value of a parameter of the setting.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<i32> {
        let at = self
            .function
            .parameters
            .iter()
            .position(|p| p.name == name)?;
        Some(*self.program.get(at)? as i32)
    }

    /// An array of `int` that the setting read.
    #[must_use]
    pub fn array(&self, name: &str) -> Option<Vec<i32>> {
        let mut from = 0;
        for parameter in self.function.parameters {
            if !parameter.mode.on_host(true) {
                continue;
            }
            let at = self
                .function
                .parameters
                .iter()
                .position(|p| p == parameter)?;
            if *self.program.get(at)? == 0 {
                continue;
            }
            let length = self.function.length(parameter.mode, &self.program)?;
            if parameter.name == name {
                let bytes = self.call.data.get(from..from + length)?;
                let numbers = bytes.as_chunks::<4>().0.iter();
                return Some(numbers.map(|number| i32::from_le_bytes(*number)).collect());
            }
            from += length;
        }
        None
    }
}
