//! Descriptors of every kind: made by the library and in the program's memory, and their attributes.

use std::collections::BTreeMap;

use gvirtus_cublas_core::status::ALLOC_FAILED;
use gvirtus_wire::api::opaque::{
    Attribute, EMULATION, KINDS, Kind, LAYOUT, MATMUL, PREFERENCE, TRANSFORM,
};

use super::*;

/// The functions of a kind. What a descriptor is made with comes as its attributes' values.
struct Functions {
    create: unsafe fn(*mut c_void, &[i64]) -> i32,
    init: unsafe fn(*mut c_void, i64, &[i64]) -> i32,
    destroy: unsafe fn(*mut c_void) -> i32,
    set: unsafe fn(*mut c_void, i32, *mut c_void, i64) -> i32,
    get: unsafe fn(*mut c_void, i32, *mut c_void, i64, *mut c_void) -> i32,
    names: [&'static str; 5],
}

macro_rules! functions { ($($kind:ident: $create:ident $init:ident $destroy:ident $set:ident $get:ident ($($at:literal: $t:ty),*);)*) => {
    fn functions(kind: &Kind) -> Functions {
        $(if kind == &$kind {
            return Functions {
                create: |out, _given| unsafe { $create(out $(, _given[$at] as $t)*) },
                init: |at, size, _given| unsafe { $init(at, size $(, _given[$at] as $t)*) },
                destroy: $destroy,
                set: $set,
                get: $get,
                names: [stringify!($create), stringify!($init), stringify!($destroy), stringify!($set), stringify!($get)],
            };
        })*
        panic!("{}", kind.name)
    }
} }
functions! {
    LAYOUT: cublasLtMatrixLayoutCreate cublasLtMatrixLayoutInit_internal cublasLtMatrixLayoutDestroy cublasLtMatrixLayoutSetAttribute cublasLtMatrixLayoutGetAttribute
        (0: i32, 1: i64, 2: i64, 3: i64);
    MATMUL: cublasLtMatmulDescCreate cublasLtMatmulDescInit_internal cublasLtMatmulDescDestroy cublasLtMatmulDescSetAttribute cublasLtMatmulDescGetAttribute
        (0: i32, 1: i32);
    TRANSFORM: cublasLtMatrixTransformDescCreate cublasLtMatrixTransformDescInit_internal cublasLtMatrixTransformDescDestroy
        cublasLtMatrixTransformDescSetAttribute cublasLtMatrixTransformDescGetAttribute
        (0: i32);
    PREFERENCE: cublasLtMatmulPreferenceCreate cublasLtMatmulPreferenceInit_internal cublasLtMatmulPreferenceDestroy cublasLtMatmulPreferenceSetAttribute
        cublasLtMatmulPreferenceGetAttribute ();
    EMULATION: cublasLtEmulationDescCreate cublasLtEmulationDescInit_internal cublasLtEmulationDescDestroy cublasLtEmulationDescSetAttribute
        cublasLtEmulationDescGetAttribute ();
}

const GROUPED: [&str; 2] = [
    "cublasLtGroupedMatrixLayoutCreate",
    "cublasLtGroupedMatrixLayoutInit_internal",
];

pub(super) fn called() -> Vec<&'static str> {
    let all = KINDS.iter().flat_map(|kind| functions(kind).names);
    all.chain(GROUPED).collect()
}

/// Kinds that this release has.
fn kinds() -> impl Strategy<Value = &'static Kind> {
    let there: Vec<&Kind> = KINDS
        .into_iter()
        .filter(|kind| !attributes(kind).is_empty())
        .collect();
    prop::sample::select(there)
}

/// Attributes that this release has.
fn attributes(kind: &Kind) -> Vec<&'static Attribute> {
    let (major, version) = *OURS;
    let there = |a: &&Attribute| {
        (a.majors.0..=a.majors.1).contains(&major) && a.since <= version.cast_unsigned()
    };
    kind.attributes.iter().filter(there).collect()
}

/// `CUBLASLT_MATRIX_LAYOUT_BATCH_MODE`: since CUDA 13 the one attribute whose value is looked at.
const BATCH_MODE: i32 = 8;

fn taken(kind: &Kind, attribute: &Attribute, value: &[u8]) -> bool {
    let looked_at = kind == &LAYOUT && attribute.id == BATCH_MODE && OURS.0 >= 13;
    let number = value
        .first_chunk()
        .map_or(0, |bytes| i32::from_le_bytes(*bytes));
    !looked_at || (0..i32::MAX).contains(&number)
}

/// A descriptor, and what it has to tell.
struct Model {
    kind: &'static Kind,
    at: *mut c_void,
    values: BTreeMap<i32, Vec<u8>>,
}

impl Model {
    /// Of a new descriptor of so many bytes.
    fn new(kind: &'static Kind, at: *mut c_void, given: &[i64], room: usize) -> Self {
        let fits = |a: &&'static Attribute| {
            let (_, place) = kind.find(a.id, OURS.0).expect("of this major version");
            place + a.size <= room
        };
        let value = |a: &'static Attribute| {
            let given_at = kind.created_with.iter().position(|id| *id == a.id);
            let value = given_at.map_or(a.default, |at| given[at]);
            (a.id, value.to_le_bytes()[..a.size].to_vec())
        };
        let all = attributes(kind).into_iter();
        Self {
            kind,
            at,
            values: all.filter(fits).map(value).collect(),
        }
    }

    /// Sets an attribute, which is taken if it should be.
    fn set(&mut self, id: i32, value: &[u8]) -> Result<(), TestCaseError> {
        let mut value = value.to_vec();
        let set = functions(self.kind).set;
        let at = self.at;
        let status = alone("set", || unsafe {
            set(at, id, value.as_mut_ptr().cast(), value.len() as i64)
        });
        let attribute = self.kind.attributes.iter().find(|a| a.id == id);
        let kept = self.values.get_mut(&id);
        let right = kept.filter(|kept| {
            kept.len() == value.len() && attribute.is_some_and(|a| taken(self.kind, a, &value))
        });
        prop_assert_eq!(
            status,
            if right.is_some() {
                SUCCESS
            } else {
                INVALID_VALUE
            },
            "{} {}",
            self.kind.name,
            id
        );
        if let Some(kept) = right {
            *kept = value;
        }
        Ok(())
    }

    /// Every attribute is told as it was set, and nothing but that.
    fn tells(&self) -> Result<(), TestCaseError> {
        let get = functions(self.kind).get;
        for id in -2..70 {
            let set = self.values.get(&id);
            for size in [0usize, 1, 2, 4, 8, 16] {
                let mut told = [0xa5u8; 24];
                let mut written = 77usize;
                let (buffer, count) = (told.as_mut_ptr().cast(), size as i64);
                let (status, silent, nowhere) = alone("get", || unsafe {
                    let nowhere = get(self.at, id, NULL, count, address(&mut written));
                    if nowhere != SUCCESS {
                        assert_eq!(written, 77);
                    }
                    let silent = get(self.at, id, buffer, count, NULL);
                    let status = get(self.at, id, buffer, count, address(&mut written));
                    (status, silent, nowhere)
                });
                let what = (self.kind.name, id, size);
                let right = set.filter(|set| size == 0 || set.len() == size);
                let Some(set) = right else {
                    prop_assert_eq!(
                        (status, silent, nowhere),
                        (INVALID_VALUE, INVALID_VALUE, INVALID_VALUE),
                        "{:?}",
                        what
                    );
                    prop_assert_eq!((told, written), ([0xa5; 24], 77), "{:?}", what);
                    continue;
                };
                // Without room, the size alone is told, and to who wants to be told.
                let refused_if = |wrong: bool| if wrong { INVALID_VALUE } else { SUCCESS };
                let expected = (SUCCESS, refused_if(size == 0), refused_if(size != 0));
                prop_assert_eq!((status, silent, nowhere), expected, "{:?}", what);
                prop_assert_eq!(written, set.len(), "{:?}", what);
                prop_assert_eq!(&told[..size], &set[..size], "{:?}", what);
                prop_assert!(told[size..].iter().all(|byte| *byte == 0xa5), "{:?}", what);
            }
        }
        Ok(())
    }

    /// Functions of other kinds do not take it for one of theirs.
    fn is_of_its_kind(&self) -> Result<(), TestCaseError> {
        for other in KINDS.into_iter().filter(|other| *other != self.kind) {
            let Functions { set, get, .. } = functions(other);
            let mut value = 1i32;
            alone("another kind", || -> Result<(), TestCaseError> {
                prop_assert_eq!(
                    unsafe { set(self.at, 0, address(&mut value), 4) },
                    INVALID_VALUE
                );
                prop_assert_eq!(
                    unsafe { get(self.at, 0, address(&mut value), 4, NULL) },
                    INVALID_VALUE
                );
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Numbers of attributes, and bytes: every attribute's, and then any.
type Settings = Vec<(i32, Vec<u8>)>;

fn settings(kind: &'static Kind) -> impl Strategy<Value = Settings> {
    let value = |a: &Attribute| (Just(a.id), vec(any::<u8>(), a.size));
    let every: Vec<_> = attributes(kind).into_iter().map(value).collect();
    let again = prop::sample::select(attributes(kind)).prop_flat_map(value);
    let other = (-2..70, vec(any::<u8>(), 0..17));
    (every, vec(prop_oneof![again, other], 0..8)).prop_map(|(every, rest)| [every, rest].concat())
}

fn case() -> impl Strategy<Value = (&'static Kind, Vec<i64>, Settings)> {
    kinds().prop_flat_map(|kind| {
        let given = vec(any::<i64>(), kind.created_with.len());
        (Just(kind), given, settings(kind))
    })
}

/// More than any structure has.
const MEMORY: usize = 512;
const UNTOUCHED: u8 = 0x5a;

/// The numbers about which a library may think twice.
#[test]
fn batch_modes() {
    begun();
    let (mut at, functions) = (NULL, functions(&LAYOUT));
    let given = [0, 1, 2, 3];
    assert_eq!(
        unsafe { (functions.create)(address(&mut at), &given) },
        SUCCESS
    );
    let mut model = Model::new(&LAYOUT, at, &given, LAYOUT.room(OURS.0));
    for mode in [0, 1, 2, 3, -1, 77, i32::MAX - 1, i32::MAX, i32::MIN, 4] {
        model.set(BATCH_MODE, &mode.to_le_bytes()).unwrap();
        model.tells().unwrap();
    }
    assert_eq!(unsafe { (functions.destroy)(at) }, SUCCESS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_set_is_told((kind, given, settings) in case()) {
        begun();
        let functions = functions(kind);
        let mut at = NULL;
        alone("create", || -> Result<(), TestCaseError> {
            prop_assert_eq!(unsafe { (functions.create)(NULL, &given) }, INVALID_VALUE);
            prop_assert_eq!(unsafe { (functions.create)(address(&mut at), &given) }, SUCCESS);
            Ok(())
        })?;
        let mut model = Model::new(kind, at, &given, kind.room(OURS.0));
        prop_assert_eq!(model.values.len(), attributes(kind).len(), "all of them fit");
        model.tells()?;
        model.is_of_its_kind()?;
        for (place, (id, value)) in settings.into_iter().enumerate() {
            let mut unused = value.clone();
            let nothing = unsafe { (functions.set)(NULL, id, unused.as_mut_ptr().cast(), value.len() as i64) };
            let nowhere = unsafe { (functions.set)(at, id, NULL, value.len() as i64) };
            prop_assert_eq!((nothing, nowhere), (INVALID_VALUE, INVALID_VALUE));
            prop_assert_eq!(unsafe { (functions.get)(NULL, id, unused.as_mut_ptr().cast(), value.len() as i64, NULL) }, INVALID_VALUE);
            prop_assert_eq!(&unused, &value);
            model.set(id, &value)?;
            if place + 1 >= attributes(kind).len() {
                model.tells()?;
            }
        }
        for ended in [at, NULL] {
            prop_assert_eq!(alone("destroy", || unsafe { (functions.destroy)(ended) }), SUCCESS);
        }
    }

    /// In the program's memory a descriptor takes the room it is given and no more, has the attributes that fit, and is one wherever it is copied.
    #[test]
    fn a_structure_of_the_program_is_a_descriptor(
        (kind, given, settings) in case(),
        size in prop_oneof![0..MEMORY as i64, 56..120i64, Just(i64::MAX), Just(-1)],
    ) {
        begun();
        let functions = functions(kind);
        let mut memory = [UNTOUCHED; MEMORY];
        let at = memory.as_mut_ptr().cast::<c_void>();
        let (nowhere, status) = alone("init", || unsafe {
            ((functions.init)(NULL, size, &given), (functions.init)(at, size, &given))
        });
        prop_assert_eq!(nowhere, INVALID_VALUE);
        let room = usize::try_from(size).unwrap_or(usize::MAX).min(kind.room(OURS.0)) / 8 * 8;
        if room < 64 {
            prop_assert_eq!(status, ALLOC_FAILED);
            prop_assert_eq!(memory, [UNTOUCHED; MEMORY]);
            return Ok(());
        }
        prop_assert_eq!(status, SUCCESS);
        let mut model = Model::new(kind, at, &given, room);
        model.tells()?;
        let before = memory;
        let mut values = model.values.clone();
        for (id, value) in settings {
            model.set(id, &value)?;
        }
        model.tells()?;
        model.is_of_its_kind()?;
        prop_assert!(memory[room..].iter().all(|byte| *byte == UNTOUCHED));
        // As it was, elsewhere; and as it is.
        for bytes in [before, memory] {
            let mut copy = [0u8; MEMORY + 1];
            // At an address that is no multiple of anything.
            let place = usize::from((copy.as_ptr() as usize).is_multiple_of(2));
            copy[place..][..room].copy_from_slice(&bytes[..room]);
            let at = copy[place..].as_mut_ptr().cast();
            Model { kind, at, values }.tells()?;
            values = model.values.clone();
        }
        // Zeros are none.
        model.values.clear();
        memory[..room].fill(0);
        model.tells()?;
    }

    /// A layout of a group of matrices is one with the attributes that say so, where the library has them.
    #[test]
    fn layouts_of_groups(
        data_type: i32,
        count: i32,
        arrays in any::<[usize; 3]>(),
        size in prop_oneof![0..200i64, Just(i64::MAX)],
    ) {
        begun();
        let (major, version) = *OURS;
        let there = version >= 130_200;
        let [rows, columns, leading] = arrays.map(|array| array as *mut c_void);
        let mut memory = [UNTOUCHED; MEMORY];
        let init = |at, size| alone("init", || unsafe {
            cublasLtGroupedMatrixLayoutInit_internal(at, size, data_type, count, rows, columns, leading)
        });
        let mut made = std::ptr::dangling_mut::<c_void>();
        let created = alone("create", || unsafe {
            let nowhere = cublasLtGroupedMatrixLayoutCreate(NULL, data_type, count, rows, columns, leading);
            assert_eq!(nowhere, INVALID_VALUE);
            cublasLtGroupedMatrixLayoutCreate(address(&mut made), data_type, count, rows, columns, leading)
        });
        prop_assert_eq!(init(NULL, size), INVALID_VALUE);
        let at = memory.as_mut_ptr().cast::<c_void>();
        let status = init(at, size);
        let room = LAYOUT.room(major);
        if (size as usize) < room {
            prop_assert_eq!(status, ALLOC_FAILED);
            prop_assert_eq!(memory, [UNTOUCHED; MEMORY]);
        } else {
            prop_assert_eq!(status, if there { SUCCESS } else { NOT_SUPPORTED });
            prop_assert!(memory[room..].iter().all(|byte| *byte == UNTOUCHED));
        }
        if !there {
            prop_assert_eq!((created, made), (NOT_SUPPORTED, NULL));
            return Ok(());
        }
        prop_assert_eq!(created, SUCCESS);
        for at in [Some(made), (status == SUCCESS).then_some(at)].into_iter().flatten() {
            let mut model = Model::new(&LAYOUT, at, &[i64::from(data_type), 0, 0, 0], room);
            // CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_BATCH_MODE_GROUPED, and the arrays.
            model.values.insert(5, count.to_le_bytes().to_vec());
            model.values.insert(BATCH_MODE, 2i32.to_le_bytes().to_vec());
            for (id, array) in (9..).zip(arrays) {
                model.values.insert(id, array.to_le_bytes().to_vec());
            }
            model.tells()?;
        }
        prop_assert_eq!(unsafe { cublasLtMatrixLayoutDestroy(made) }, SUCCESS);
    }
}
