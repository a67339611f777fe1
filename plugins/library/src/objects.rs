//! Objects: descriptors that the client has defined, as the library made them.
//!
//! A definition is made once and changed by nobody. What refers to an object keeps it alive, so that the library never follows a pointer to one that has ended.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use gvirtus_wire::api::library::{Argument, Function, Mode, attribute};
use parking_lot::RwLock;
use smallvec::SmallVec;

/// The most objects of a session.
const MOST: usize = 1 << 20;

/// A descriptor of the library.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its type as the declarations name it.
    pub(crate) kind: &'static str,
    /// As the library made it, or the status with which it did not.
    pub(crate) raw: Result<usize, i32>,
    /// The function that ends it.
    pub(crate) destroy: Option<usize>,
    /// What it refers to, kept alive.
    pub(crate) uses: Vec<Arc<Object>>,
    /// Unique ids of tensors of a graph below it, whose data are values on the host.
    pub(crate) by_value: Vec<i64>,
}

impl Drop for Object {
    fn drop(&mut self) {
        if let (Ok(raw), Some(destroy)) = (self.raw, self.destroy) {
            // SAFETY: the vendor's destroy functions take what its create functions made; nobody has it any more.
            unsafe {
                let destroy: unsafe extern "C" fn(usize) -> i32 =
                    std::mem::transmute(destroy as *const c_void);
                destroy(raw);
            }
        }
    }
}

impl Object {
    /// One that could not be made.
    pub(crate) fn failed(kind: &'static str, status: i32) -> Self {
        Self {
            kind,
            raw: Err(status),
            destroy: None,
            uses: Vec::new(),
            by_value: Vec::new(),
        }
    }

    /// Takes over what is known of the objects that it refers to.
    pub(crate) fn refer_to(&mut self, uses: Vec<Arc<Object>>) {
        for used in &uses {
            for uid in &used.by_value {
                if !self.by_value.contains(uid) {
                    self.by_value.push(*uid);
                }
            }
        }
        self.uses.extend(uses);
    }
}

/// Objects by number.
#[derive(Debug, Default)]
pub(crate) struct Objects(RwLock<HashMap<u32, Arc<Object>>>);

impl Objects {
    /// One of them, if it is of that type.
    pub(crate) fn get(&self, number: u64, kind: &str) -> Option<Arc<Object>> {
        let number = u32::try_from(number).ok()?;
        let object = self.0.read().get(&number).cloned();
        object.filter(|object| object.kind == kind)
    }

    /// Whether another one may be made under a number.
    pub(crate) fn is_free(&self, number: u32) -> bool {
        let objects = self.0.read();
        number != 0 && objects.len() < MOST && !objects.contains_key(&number)
    }

    /// Keeps one; the number was free.
    pub(crate) fn keep(&self, number: u32, object: Object) {
        self.0.write().insert(number, Arc::new(object));
    }

    /// Forgets one. What it was is dropped by the caller, where a context is current.
    pub(crate) fn forget(&self, number: u32) -> Option<Arc<Object>> {
        self.0.write().remove(&number)
    }
}

/// Why an argument is not what the call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such object or handle, or the object is of another type.
    Unknown,
    /// It could not be made: the library's status.
    Status(i32),
}

/// A call whose arguments are the library's pointers in place of numbers.
#[derive(Debug, Default)]
pub(crate) struct Resolved<'a> {
    /// As they were, if there is nothing among them to resolve.
    pub(crate) arguments: Cow<'a, [Argument]>,
    /// Objects that the call refers to.
    pub(crate) uses: Vec<Arc<Object>>,
    /// Objects that it fills.
    pub(crate) fills: Vec<(u32, Object)>,
}

impl<'a> Resolved<'a> {
    /// One of arguments among which there is nothing to resolve.
    pub(crate) fn as_they_are(arguments: &'a [Argument]) -> Self {
        Self {
            arguments: Cow::Borrowed(arguments),
            ..Self::default()
        }
    }
}

/// What arguments are resolved by.
pub(crate) struct Scope<'a> {
    pub(crate) objects: &'a Objects,
    /// An object that is being made: its number, type and pointer.
    pub(crate) own: Option<(u32, &'static str, usize)>,
    /// A handle's pointer by its number.
    pub(crate) handle: &'a dyn Fn(u64) -> Option<usize>,
    /// Makes an object to be filled: of a type, or by a `cudnnBackendDescriptorType_t`.
    pub(crate) make: &'a dyn Fn(&'static str, Option<i32>) -> Result<Object, i32>,
}

impl Scope<'_> {
    fn pointer(
        &self,
        number: u64,
        kind: &str,
        uses: &mut Vec<Arc<Object>>,
    ) -> Result<u64, Refused> {
        if number == 0 {
            return Ok(0);
        }
        if let Some((own, own_kind, raw)) = self.own
            && u64::from(own) == number
            && own_kind == kind
        {
            return Ok(raw as u64);
        }
        let object = self.objects.get(number, kind).ok_or(Refused::Unknown)?;
        let raw = object.raw.map_err(Refused::Status)?;
        uses.push(object);
        Ok(raw as u64)
    }

    fn fill(
        &self,
        number: u32,
        kind: &'static str,
        made_by: Option<i32>,
        fills: &mut Vec<(u32, Object)>,
    ) -> Result<u64, Refused> {
        let free = self.objects.is_free(number) && fills.iter().all(|(other, _)| *other != number);
        if !free {
            return Err(Refused::Unknown);
        }
        let object = (self.make)(kind, made_by).map_err(Refused::Status)?;
        let raw = object.raw.map_err(Refused::Status)?;
        fills.push((number, object));
        Ok(raw as u64)
    }

    /// Puts pointers in place of the numbers in a call's words and attributes.
    ///
    /// # Errors
    /// What there is not, or could not be made.
    pub(crate) fn resolve<'a>(
        &self,
        function: &Function,
        arguments: &'a [Argument],
    ) -> Result<Resolved<'a>, Refused> {
        let mut resolved = Resolved::default();
        let mut pointers = Vec::with_capacity(arguments.len());
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            let argument = match (parameter.mode, argument) {
                (Mode::Object(kind), Argument::Word(number)) => {
                    Argument::Word(self.pointer(*number, kind, &mut resolved.uses)?)
                }
                (Mode::Fill(kind), Argument::Word(number)) if *number != 0 => {
                    let number = u32::try_from(*number).map_err(|_| Refused::Unknown)?;
                    Argument::Word(self.fill(number, kind, None, &mut resolved.fills)?)
                }
                (
                    Mode::Attributes(kind, _) | Mode::AttributesOut(kind, _),
                    Argument::Host { read, length },
                ) => Argument::Host {
                    read: self.attributes(
                        function.number(arguments, kind).ok_or(Refused::Unknown)?,
                        matches!(parameter.mode, Mode::AttributesOut(..)),
                        read,
                        &mut resolved,
                    )?,
                    length: *length,
                },
                (_, other) => other.clone(),
            };
            pointers.push(argument);
        }
        resolved.arguments = Cow::Owned(pointers);
        Ok(resolved)
    }

    /// The same in the elements of an attribute.
    fn attributes(
        &self,
        kind: i32,
        out: bool,
        elements: &[u8],
        resolved: &mut Resolved<'_>,
    ) -> Result<SmallVec<[u8; 16]>, Refused> {
        let translate = |resolved: &mut Resolved<'_>, word: u64| match (kind, out) {
            (attribute::HANDLE, false) => Ok((self.handle)(word).ok_or(Refused::Unknown)? as u64),
            (attribute::DESCRIPTOR, false) => self.pointer(word, "Backend", &mut resolved.uses),
            (attribute::DESCRIPTOR, true) => {
                let made_by = Some((word >> 32) as u32 as i32);
                self.fill(word as u32, "Backend", made_by, &mut resolved.fills)
            }
            // An address of this process, which no client has.
            (attribute::POINTER, false) => Err(Refused::Unknown),
            _ => Ok(word),
        };
        let words = match kind {
            attribute::HANDLE | attribute::DESCRIPTOR | attribute::POINTER => {
                elements.as_chunks().0
            }
            _ => return Ok(SmallVec::from_slice(elements)),
        };
        let mut translated = SmallVec::with_capacity(elements.len());
        for word in words {
            let word = translate(resolved, u64::from_le_bytes(*word))?;
            translated.extend_from_slice(&word.to_le_bytes());
        }
        Ok(translated)
    }
}
