//! cuDNN's graph API. See <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html>.
//!
//! A descriptor's attributes are kept until it is finalized. Then they are a content like that of other descriptors: what the box's library says to it, and what it tells of it later, is asked
//! once. Variant packs never get there: their addresses travel with the execution.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

use gvirtus_frontend_link::guard::unsupported;
use gvirtus_frontend_link::library::{Outcome, Target, execute};
use gvirtus_frontend_link::start::{capturing, ensure_context};
use gvirtus_wire::api::library::{Function, LibraryCall, LibraryExecute, attribute, command};
use gvirtus_wire::codec::Params;

use crate::attributes::{self, Attribute, kind, name};
use crate::compute::Taken;
use crate::content::{self, Content, Facts, Step};
use crate::handle::{self, info, opcode};
use crate::local::put;
use crate::question::Question;
use crate::status::{
    BAD_PARAM, BAD_PARAM_ATTRIBUTE_TYPE, BAD_PARAM_NOT_FINALIZED, BAD_PARAM_NULL_POINTER,
    INTERNAL_ERROR, NOT_INITIALIZED, NOT_SUPPORTED, SUCCESS, of_driver,
};
use crate::{Status, declared};

/// A descriptor of a graph.
#[derive(Debug)]
struct Node {
    /// `cudnnBackendDescriptorType_t`.
    kind: i32,
    attributes: Vec<Attribute>,
    /// Once it is finalized.
    content: Option<Arc<Content>>,
    /// A variant pack that is finalized.
    packed: bool,
}

impl Node {
    fn is_finalized(&self) -> bool {
        self.packed || self.content.is_some()
    }

    /// An attribute that the program has set.
    fn attribute(&self, name: i32) -> Option<&Attribute> {
        let own = self.attributes.iter();
        let filled = self.content.iter().flat_map(|c| c.facts.attributes.iter());
        own.chain(filled).find(|attribute| attribute.name == name)
    }
}

type Shared = Arc<Mutex<Node>>;

static NODES: LazyLock<RwLock<HashMap<u64, Shared>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU64 = AtomicU64::new(1);
/// Descriptors look like no address of a program.
const TAG: u64 = 0x434e_4200_0000_0000;

static CREATE: LazyLock<&Function> = LazyLock::new(|| declared("cudnnBackendCreateDescriptor"));
static SET: LazyLock<&Function> = LazyLock::new(|| declared("cudnnBackendSetAttribute"));
static FINALIZE: LazyLock<&Function> = LazyLock::new(|| declared("cudnnBackendFinalize"));

fn find(descriptor: u64) -> Result<Shared, Status> {
    let nodes = NODES.read().unwrap_or_else(PoisonError::into_inner);
    nodes.get(&descriptor).cloned().ok_or(BAD_PARAM)
}

fn lock(node: &Shared) -> MutexGuard<'_, Node> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}

fn done(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// # Errors
/// cuDNN's.
fn content_of(descriptor: u64) -> Result<Arc<Content>, Status> {
    let node = find(descriptor)?;
    let content = lock(&node).content.clone();
    content.ok_or(BAD_PARAM_NOT_FINALIZED)
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendcreatedescriptor>
///
/// # Safety
/// `out` is null or writable.
pub unsafe fn cudnnBackendCreateDescriptor(of: i32, out: *mut c_void) -> Status {
    if out.is_null() {
        return BAD_PARAM;
    }
    let surely = attributes::surely_made(of);
    // Whether there are descriptors of a type that is not known here the box's library says.
    if !surely && let Err(status) = content::of(&[first(of)], Facts::default(), true) {
        return status;
    }
    let descriptor = TAG | NUMBERS.fetch_add(1, Ordering::Relaxed);
    let node = Node {
        kind: of,
        attributes: Vec::new(),
        content: None,
        packed: false,
    };
    let mut nodes = NODES.write().unwrap_or_else(PoisonError::into_inner);
    nodes.insert(descriptor, Arc::new(Mutex::new(node)));
    drop(nodes);
    // SAFETY: by this function's contract.
    done(unsafe { put(out, descriptor) })
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackenddestroydescriptor>
#[must_use]
pub fn cudnnBackendDestroyDescriptor(descriptor: *mut c_void) -> Status {
    let mut nodes = NODES.write().unwrap_or_else(PoisonError::into_inner);
    let gone = nodes.remove(&(descriptor as u64));
    drop(nodes);
    if gone.is_none() && !descriptor.is_null() {
        return BAD_PARAM;
    }
    SUCCESS
}

/// Makes of a descriptor a new one. <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendinitialize>
#[must_use]
pub fn cudnnBackendInitialize(descriptor: *mut c_void) -> Status {
    done(find(descriptor as u64).map(|shared| {
        let mut node = lock(&shared);
        node.attributes.clear();
        node.content = None;
        node.packed = false;
    }))
}

fn first(of: i32) -> Step {
    Step::first(*CREATE, Some(of))
}

/// A setting of a descriptor as a step of its content.
fn step(attribute: &Attribute) -> Step {
    let number = |n: i32| i64::from(n).cast_unsigned();
    let words = [
        0,
        number(attribute.name),
        number(attribute.kind),
        attribute.count.cast_unsigned(),
        1,
    ];
    Step {
        function: *SET,
        program: Vec::new(),
        call: LibraryCall {
            stream: 0,
            function: SET.id(),
            handle: attribute.handle,
            host_scalars: true,
            words: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            data: Params::from_slice(&attribute.elements),
        },
        uses: attribute.uses.clone(),
        surely: true,
    }
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendsetattribute>
///
/// # Safety
/// `elements` is null or leads to `count` elements of the type.
pub unsafe fn cudnnBackendSetAttribute(
    descriptor: *mut c_void,
    name: i32,
    of: i32,
    count: i64,
    elements: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { set(descriptor as u64, name, of, count, elements) })
}

unsafe fn set(
    descriptor: u64,
    name: i32,
    of: i32,
    count: i64,
    elements: *mut c_void,
) -> Result<(), Status> {
    /// Kinds of attributes that the box's library has been seen to take.
    static TAKEN: Taken = Taken::new();
    let shared = find(descriptor)?;
    if lock(&shared).is_finalized() {
        return Err(BAD_PARAM);
    }
    // Looks at other descriptors, of which this one may be one by mistake.
    // SAFETY: by this function's contract.
    let made = unsafe { attribute_of(name, of, count, elements) }?;
    let mut node = lock(&shared);
    if node.kind == kind::VARIANT_PACK {
        if !attributes::surely(node.kind, name, of, count) {
            if !attributes::OF_VARIANT_PACKS.contains(&name) {
                return Err(BAD_PARAM);
            }
            // Intermediate results, and shapes that are given with the pack.
            unsupported(
                "cudnnBackendSetAttribute of a variant pack beyond ids, pointers and workspace",
            );
            return Err(NOT_SUPPORTED);
        }
    } else if !attributes::surely(node.kind, name, of, count) {
        let key = [node.kind, name, of].map(i32::to_le_bytes).concat();
        let key = [key, count.to_le_bytes().to_vec()].concat();
        if !TAKEN.has(&key) {
            content::of(&[first(node.kind), step(&made)], Facts::default(), true)?;
            TAKEN.add(key);
        }
    }
    node.attributes.retain(|attribute| attribute.name != name);
    node.attributes.push(made);
    Ok(())
}

unsafe fn attribute_of(
    name: i32,
    of: i32,
    count: i64,
    elements: *mut c_void,
) -> Result<Attribute, Status> {
    /// No attribute has more elements.
    const MOST: i64 = 1 << 16;
    let size = attributes::size(of).ok_or(BAD_PARAM)?;
    if elements.is_null() || !(1..=MOST).contains(&count) {
        return Err(BAD_PARAM);
    }
    let bytes = size * usize::try_from(count).map_err(|_| BAD_PARAM)?;
    // SAFETY: by the caller's contract.
    let program = unsafe { std::slice::from_raw_parts(elements.cast::<u8>(), bytes) }.to_vec();
    let mut made = Attribute {
        name,
        kind: of,
        count,
        elements: program.clone(),
        program,
        handle: 0,
        uses: Vec::new(),
    };
    if !matches!(of, attribute::HANDLE | attribute::DESCRIPTOR) {
        return Ok(made);
    }
    made.elements.clear();
    for word in made.program.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        let number = if of == attribute::HANDLE {
            made.handle = handle::find(word)?.number;
            made.handle
        } else {
            let content = content_of(word)?;
            let number = content.number;
            made.uses.push(content);
            number
        };
        made.elements
            .extend_from_slice(&u64::from(number).to_le_bytes());
    }
    Ok(made)
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendfinalize>
#[must_use]
pub fn cudnnBackendFinalize(descriptor: *mut c_void) -> Status {
    done(finalize(descriptor as u64))
}

fn finalize(descriptor: u64) -> Result<(), Status> {
    let shared = find(descriptor)?;
    let mut node = lock(&shared);
    if node.is_finalized() {
        return Err(BAD_PARAM);
    }
    if node.kind == kind::VARIANT_PACK {
        let count = |name| node.attribute(name).map(|attribute| attribute.count);
        if count(name::UNIQUE_IDS) != count(name::DATA_POINTERS) {
            return Err(BAD_PARAM);
        }
        node.packed = true;
        return Ok(());
    }
    let mut facts = Facts {
        attributes: node.attributes.clone(),
        ..Facts::default()
    };
    for used in node.attributes.iter().flat_map(|attribute| &attribute.uses) {
        facts.refer_to(&used.facts);
    }
    if node.kind == kind::TENSOR
        && let Some(value) = attributes::by_value(&node.attributes)
    {
        facts.by_value.push(value);
    }
    let ending = Step {
        function: *FINALIZE,
        program: Vec::new(),
        call: LibraryCall {
            stream: 0,
            function: FINALIZE.id(),
            handle: 0,
            host_scalars: true,
            words: Params::from_slice(&[0; 8]),
            data: Params::new(),
        },
        uses: Vec::new(),
        surely: true,
    };
    let settings = node.attributes.iter().map(step);
    let steps: Vec<Step> = std::iter::once(first(node.kind))
        .chain(settings)
        .chain([ending])
        .collect();
    let surely = node.kind == kind::TENSOR && attributes::tensor_is_whole(&node.attributes);
    node.content = Some(content::of(&steps, facts, !surely)?);
    Ok(())
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendgetattribute>
///
/// # Safety
/// `count` is null or writable; `elements` is null or has room for `requested` elements of the type.
pub unsafe fn cudnnBackendGetAttribute(
    descriptor: *mut c_void,
    name: i32,
    of: i32,
    requested: i64,
    count: *mut c_void,
    elements: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { get(descriptor as u64, name, of, requested, count, elements) })
}

unsafe fn get(
    descriptor: u64,
    name: i32,
    of: i32,
    requested: i64,
    count: *mut c_void,
    elements: *mut c_void,
) -> Result<(), Status> {
    let shared = find(descriptor)?;
    let (own, set, content, packed) = {
        let node = lock(&shared);
        if !node.is_finalized() {
            return Err(NOT_INITIALIZED);
        }
        (
            node.kind,
            node.attribute(name).cloned(),
            node.content.clone(),
            node.packed,
        )
    };
    if !elements.is_null() && requested < 0 {
        return Err(BAD_PARAM);
    }
    let size = attributes::size(of).ok_or(BAD_PARAM_ATTRIBUTE_TYPE)?;
    let room = if elements.is_null() {
        0
    } else {
        requested.max(0)
    };
    let fits = usize::try_from(room).unwrap_or(0);
    let tell = |told: i64| {
        if !count.is_null() {
            // SAFETY: by the caller's contract.
            unsafe { count.cast::<i64>().write_unaligned(told) };
        }
    };
    let told_here = of != attribute::DESCRIPTOR && attributes::is_told(own, name);
    if let Some(set) = set.filter(|set| set.kind == of && told_here) {
        if !elements.is_null() && requested != 1 && attributes::is_single(own, name) {
            return Err(BAD_PARAM);
        }
        let bytes = set.program.len().min(fits * size);
        // SAFETY: by the caller's contract.
        unsafe {
            std::ptr::copy_nonoverlapping(set.program.as_ptr(), elements.cast::<u8>(), bytes)
        };
        tell(if elements.is_null() {
            set.count
        } else {
            set.count.min(room)
        });
        return Ok(());
    }
    if packed {
        return Err(NOT_SUPPORTED);
    }
    let content = content.ok_or(NOT_INITIALIZED)?;
    // SAFETY: by the caller's contract.
    let bytes = unsafe { read(elements, fits * size) };
    // Descriptors that are to be filled.
    let mut kinds = Vec::new();
    if of == attribute::DESCRIPTOR {
        for word in bytes.as_chunks::<8>().0 {
            kinds.push(lock(&find(u64::from_le_bytes(*word))?).kind);
        }
    }
    let question = Question {
        name,
        of,
        room,
        given: !elements.is_null(),
        bytes: bytes.len(),
        kinds,
    };
    let answer = question.ask(&content)?;
    let written = |at: usize| answer.written.get(at).and_then(Option::as_deref);
    let told = written(0).and_then(|bytes| Some(i64::from_le_bytes(*bytes.first_chunk()?)));
    let told = told.ok_or(INTERNAL_ERROR)?;
    tell(told);
    if of == attribute::DESCRIPTOR {
        for (word, content) in bytes.as_chunks::<8>().0.iter().zip(&answer.fills) {
            let node = find(u64::from_le_bytes(*word))?;
            let mut node = lock(&node);
            node.attributes.clear();
            node.content = Some(Arc::clone(content));
        }
    } else if let Some(values) = written(1) {
        let there = usize::try_from(told).unwrap_or(0).min(fits) * size;
        // SAFETY: by the caller's contract; nothing is written beyond what is told.
        unsafe {
            let bytes = values.len().min(there);
            std::ptr::copy_nonoverlapping(values.as_ptr(), elements.cast::<u8>(), bytes);
        }
    }
    Ok(())
}

/// # Safety
/// `from` leads to so many bytes, or there are none.
unsafe fn read(from: *mut c_void, bytes: usize) -> Vec<u8> {
    if bytes == 0 {
        return Vec::new();
    }
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(from.cast::<u8>(), bytes) }.to_vec()
}

/// <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnbackendexecute>
///
/// # Safety
/// Tensors that are values lead to as much on the host.
pub unsafe fn cudnnBackendExecute(
    handle: *mut c_void,
    plan: *mut c_void,
    pack: *mut c_void,
) -> Status {
    // SAFETY: by this function's contract.
    done(unsafe { run(handle as u64, plan as u64, pack as u64) })
}

unsafe fn run(handle: u64, plan: u64, pack: u64) -> Result<(), Status> {
    /// Kinds of executions that cuDNN has been seen to take.
    static TAKEN: Taken = Taken::new();
    /// Bytes of a value as it travels.
    const VALUE: usize = 16;
    if handle == 0 || plan == 0 || pack == 0 {
        return Err(BAD_PARAM_NULL_POINTER);
    }
    let handle = handle::find(handle)?;
    let plan = content_of(plan)?;
    let pack = find(pack)?;
    let (uids, pointers, workspace) = {
        let pack = lock(&pack);
        if !pack.packed {
            return Err(BAD_PARAM_NOT_FINALIZED);
        }
        let words = |name| pack.attribute(name).map_or(Vec::new(), Attribute::words);
        let workspace = words(name::WORKSPACE).first().copied().unwrap_or(0);
        (
            words(name::UNIQUE_IDS),
            words(name::DATA_POINTERS),
            workspace,
        )
    };
    info()?;
    let mut values = Vec::new();
    let mut by_value = Vec::with_capacity(uids.len());
    let mut words = vec![workspace.cast_unsigned()];
    let mut taken = plan.number.to_le_bytes().to_vec();
    taken.push(u8::from(workspace != 0));
    for (uid, pointer) in uids.iter().zip(&pointers) {
        let value = plan.facts.by_value.iter().find(|(of, _)| of == uid);
        by_value.push(value.is_some());
        taken.extend_from_slice(&uid.to_le_bytes());
        let Some((_, bytes)) = value else {
            taken.push(pointer.rem_euclid(VALUE as i64) as u8);
            words.push(pointer.cast_unsigned());
            continue;
        };
        if *bytes > VALUE {
            unsupported("cudnnBackendExecute with a value on the host of more than 16 bytes");
            return Err(NOT_SUPPORTED);
        }
        if *pointer == 0 {
            return Err(BAD_PARAM_NULL_POINTER);
        }
        words.push((values.len() / VALUE) as u64);
        // SAFETY: by this function's contract.
        let read = unsafe { std::slice::from_raw_parts(*pointer as *const u8, *bytes) };
        values.extend_from_slice(read);
        values.resize(values.len().next_multiple_of(VALUE), 0);
    }
    ensure_context().map_err(of_driver)?;
    let ask = !TAKEN.has(&taken) && !capturing(handle.stream() as u64);
    let command = LibraryExecute {
        stream: 0,
        handle: handle.number,
        plan: plan.number,
        words: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        uids,
        by_value,
        values,
    };
    let target = Target {
        opcode: opcode(command::EXECUTE),
        handle: handle.number,
        stream: handle.stream(),
        host_scalars: true,
        ask,
    };
    match execute(&command, &target) {
        Ok(Some(reply)) if reply.result != 0 => Err(reply.result),
        Ok(Some(_)) => {
            TAKEN.add(taken);
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(Outcome::Failed(code)) => Err(of_driver(code)),
        Err(_) => Err(INTERNAL_ERROR),
    }
}
