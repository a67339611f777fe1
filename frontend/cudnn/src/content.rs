//! Contents of descriptors: equal ones are one object at the box.
//!
//! A content is the list of calls that make it. It is sent when the first call needs it, and goes when nobody has needed it for long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use gvirtus_frontend_link::library::command as send;
use gvirtus_frontend_link::start::ensure_context;
use gvirtus_wire::api::library::{
    Function, LibraryCall, LibraryDefine, LibraryForget, LibraryReply, Mode, command,
};
use gvirtus_wire::codec::{Params, decode_all};

use crate::Status;
use crate::attributes::Attribute;
use crate::compute::forget_answers;
use crate::handle::{info, opcode};
use crate::status::{INTERNAL_ERROR, of_driver};

/// So many contents are kept at least before those go that nothing refers to.
const LEAST: usize = 1 << 14;
/// So many there may be before they are looked through again.
static MOST: AtomicUsize = AtomicUsize::new(LEAST);

/// One call of a content.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which function.
    pub function: &'static Function,
    /// The program's arguments.
    pub program: Vec<u64>,
    /// The call as it travels, its own object's number left out.
    pub call: LibraryCall,
    /// What it refers to.
    pub uses: Vec<Arc<Content>>,
    /// cuDNN takes it for sure.
    pub surely: bool,
}

impl Step {
    /// The first step: makes a descriptor. `made_by` is the create function's argument, if it takes one.
    #[must_use]
    pub fn first(function: &'static Function, made_by: Option<i32>) -> Self {
        let made_by = made_by.map_or(0, |kind| i64::from(kind).cast_unsigned());
        let parameters = function.parameters.iter();
        let words: Vec<u64> = parameters
            .map(|parameter| match parameter.mode {
                Mode::New(_) => 0,
                _ => made_by,
            })
            .collect();
        Self {
            function,
            program: words.clone(),
            call: LibraryCall {
                stream: 0,
                function: function.id(),
                handle: 0,
                host_scalars: true,
                words: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
                data: Params::new(),
            },
            uses: Vec::new(),
            surely: true,
        }
    }
}

/// What is known of a content beyond its number.
#[derive(Debug, Default, Clone)]
pub struct Facts {
    /// Unique ids of tensors of a graph whose data are values on the host, and their bytes.
    pub by_value: Vec<(i64, usize)>,
    /// Attributes that the program has set on a descriptor of a graph.
    pub attributes: Vec<Attribute>,
}

impl Facts {
    /// Takes over what is known of what a content refers to.
    pub fn refer_to(&mut self, other: &Facts) {
        for value in &other.by_value {
            if !self.by_value.contains(value) {
                self.by_value.push(*value);
            }
        }
    }
}

/// A content that the box knows.
#[derive(Debug)]
pub struct Content {
    /// Its number.
    pub number: u32,
    /// What is known of it.
    pub facts: Facts,
    /// Those that one answer told of with it, itself among them: what a program asks of one it asks of the others.
    family: OnceLock<Arc<[Weak<Content>]>>,
    /// What it refers to, which stays as long as it does.
    _uses: Vec<Arc<Content>>,
}

impl Content {
    /// Those that are still there of the others that an answer told of together with this one.
    pub fn siblings(&self) -> impl Iterator<Item = Arc<Content>> {
        let all = self
            .family
            .get()
            .into_iter()
            .flat_map(|family| family.iter());
        all.filter_map(Weak::upgrade)
            .filter(|other| other.number != self.number)
    }
}

/// Remembers that these were told of together.
pub fn relate(contents: &[Arc<Content>]) {
    let family: Arc<[Weak<Content>]> = contents.iter().map(Arc::downgrade).collect();
    for content in contents {
        // Who is of one family already stays there.
        let _ = content.family.set(Arc::clone(&family));
    }
}

/// A content, or the place of one that is being made.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Arc<Content>>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Content>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static CONTENTS: LazyLock<Mutex<HashMap<Vec<u8>, Arc<Slot>>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// A number for a new object.
pub fn mint() -> u32 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// An object that a call has filled.
#[must_use]
pub fn filled(number: u32, facts: Facts, uses: Vec<Arc<Content>>) -> Arc<Content> {
    Arc::new(Content {
        number,
        facts,
        family: OnceLock::new(),
        _uses: uses,
    })
}

/// Tells the box that an object is needed no more.
pub fn forget(number: u32) {
    let forget = LibraryForget {
        stream: 0,
        object: number,
    };
    // A session that is gone has forgotten it.
    let _ = send(opcode(command::FORGET), &forget, false);
}

/// The content that steps make. With `ask`, the box's library says whether they succeed; otherwise they surely do.
///
/// # Errors
/// cuDNN's.
pub fn of(steps: &[Step], facts: Facts, ask: bool) -> Result<Arc<Content>, Status> {
    let key = key(steps);
    let slot = {
        let mut contents = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
        if contents.len() >= MOST.load(Ordering::Relaxed) {
            sweep(&mut contents);
        }
        Arc::clone(contents.entry(key.clone()).or_default())
    };
    let mut made = slot.lock();
    if let Some(content) = &*made {
        return Ok(Arc::clone(content));
    }
    match define(steps, ask) {
        Ok(number) => {
            let uses = steps.iter().flat_map(|step| step.uses.clone()).collect();
            let content = filled(number, facts, uses);
            *made = Some(Arc::clone(&content));
            Ok(content)
        }
        Err(status) => {
            drop(made);
            let mut contents = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
            contents.remove(&key);
            Err(status)
        }
    }
}

fn key(steps: &[Step]) -> Vec<u8> {
    let mut key = Vec::with_capacity(64 * steps.len());
    for step in steps {
        let call = &step.call;
        key.extend_from_slice(&call.function.to_le_bytes());
        key.extend_from_slice(&call.handle.to_le_bytes());
        key.extend_from_slice(&call.words);
        key.extend_from_slice(&(call.data.len() as u64).to_le_bytes());
        key.extend_from_slice(&call.data);
    }
    key
}

fn define(steps: &[Step], ask: bool) -> Result<u32, Status> {
    info()?;
    ensure_context().map_err(of_driver)?;
    let number = mint();
    let calls = steps.iter().enumerate().map(|(i, step)| {
        let mut call = step.call.clone();
        if i != 0
            && let Some((at, _)) = step.function.own_object()
            && let Some(own) = call
                .words
                .get_mut(8 * at..)
                .and_then(<[u8]>::first_chunk_mut)
        {
            *own = u64::from(number).to_le_bytes();
        }
        call
    });
    let definition = LibraryDefine {
        stream: 0,
        object: number,
        steps: calls.collect(),
    };
    let reply = send(opcode(command::DEFINE), &definition, ask).map_err(of_driver)?;
    if !ask {
        return Ok(number);
    }
    let reply: LibraryReply = decode_all(&reply).map_err(|_| INTERNAL_ERROR)?;
    if reply.result == 0 {
        return Ok(number);
    }
    forget(number);
    Err(reply.result)
}

/// Removes contents that nothing refers to.
fn sweep(contents: &mut HashMap<Vec<u8>, Arc<Slot>>) {
    forget_answers();
    contents.retain(|_, slot| {
        if Arc::strong_count(slot) > 1 {
            return true;
        }
        let unused = match &*slot.lock() {
            Some(content) if Arc::strong_count(content) == 1 => content.number,
            _ => return true,
        };
        forget(unused);
        false
    });
    // What the program holds stays.
    MOST.store(LEAST.max(2 * contents.len()), Ordering::Relaxed);
}
