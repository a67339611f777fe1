//! Descriptors that programs see as opaque structures (cuBLASLt's layouts, matmul descriptors, preferences, …): their attributes, as data. The frontend keeps a descriptor's
//! values in the program's structure, one behind the other; so they travel; and the box makes a descriptor of the vendor's library with the values that are not the default.

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// NVIDIA's number.
    pub id: i32,
    /// Bytes.
    pub size: usize,
    /// Its value in a new descriptor.
    pub default: i64,
    /// First major version that has it, and the last.
    pub majors: (u32, u32),
    /// It is a device address.
    pub address: bool,
    /// The library's version that brought it (`cublasLtGetVersion`), 0 if that is the first of the major version.
    pub since: u32,
}

impl Attribute {
    /// Whether a major version has it.
    #[must_use]
    pub fn is_of(&self, major: u32) -> bool {
        let (from, to) = self.majors;
        (from..=to).contains(&major)
    }
}

/// A kind of descriptor.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The middle of its functions' names: `MatmulDesc` of `cublasLtMatmulDescCreate`.
    pub name: &'static str,
    /// Bytes of the program's structure, in CUDA 12 and 13.
    pub room: (usize, usize),
    /// What the create function takes, as attributes.
    pub created_with: &'static [i32],
    /// All attributes, in the order in which they lie in the structure.
    pub attributes: &'static [Attribute],
}

/// Bytes before the values: what says that this is such a descriptor.
pub const HEAD: usize = 8;

macro_rules! attributes {
    ($($id:literal $size:literal $default:literal $from:literal $to:literal $address:literal $($since:literal)?;)*) => {
        &[$(Attribute { id: $id, size: $size, default: $default, majors: ($from, $to), address: $address, since: 0 $(+ $since)? }),*]
    };
}

/// `cublasLtMatrixLayout_t`.
pub static LAYOUT: Kind = Kind {
    name: "MatrixLayout",
    room: (64, 112),
    created_with: &[0, 2, 3, 4],
    // Number, bytes, default, major versions, whether an address, and since which version, as probing the releases showed.
    attributes: attributes! {
        0 4 0 12 13 false;
        1 4 0 12 13 false;
        2 8 0 12 13 false;
        3 8 0 12 13 false;
        4 8 0 12 13 false;
        5 4 1 12 13 false;
        6 8 0 12 13 false;
        7 8 0 12 13 false;
        8 4 0 12 13 false;
        9 8 0 13 13 true 130_200;
        10 8 0 13 13 true 130_200;
        11 8 0 13 13 true 130_200;
        12 4 0 13 13 false 130_200;
        13 4 0 13 13 false 130_200;
    },
};

/// `cublasLtMatmulDesc_t`.
pub static MATMUL: Kind = Kind {
    name: "MatmulDesc",
    room: (256, 256),
    created_with: &[0, 1],
    attributes: attributes! {
        0 4 0 12 13 false;
        1 4 0 12 13 false;
        2 4 0 12 13 false;
        3 4 0 12 13 false;
        4 4 0 12 13 false;
        5 4 0 12 13 false;
        6 4 2 12 13 false;
        7 4 1 12 13 false;
        8 8 0 12 13 true;
        10 8 0 12 13 false;
        11 8 0 12 13 true;
        12 8 0 12 13 false;
        13 8 0 12 13 false;
        14 8 0 12 13 false;
        15 4 0 12 13 false;
        16 4 0 13 13 false;
        17 8 0 12 13 true;
        18 8 0 12 13 true;
        19 8 0 12 13 true;
        20 8 0 12 13 true;
        21 8 0 12 13 true;
        22 4 -1 12 13 false;
        23 8 0 12 13 true;
        24 8 0 12 13 true;
        25 1 0 12 13 false;
        26 4 -1 12 13 false;
        27 4 0 12 12 false 120_200;
        28 4 0 12 12 false 120_200;
        29 8 0 12 12 true 120_200;
        30 8 0 12 12 true 120_200;
        31 4 0 12 13 false 120_800;
        32 4 0 12 13 false 120_800;
        33 4 0 12 13 false 120_800;
        34 4 0 12 13 false 120_800;
        35 4 0 12 13 false 120_800;
        36 8 0 12 13 true 120_800;
        37 4 0 12 13 false 120_800;
        38 8 0 13 13 true 130_100;
        39 8 0 13 13 false 130_200;
        40 8 0 13 13 false 130_200;
        41 4 32768 13 13 false 130_800;
    },
};

/// `cublasLtMatrixTransformDesc_t`.
pub static TRANSFORM: Kind = Kind {
    name: "MatrixTransformDesc",
    room: (64, 64),
    created_with: &[0],
    attributes: attributes! {
        0 4 0 12 13 false;
        1 4 0 12 13 false;
        2 4 0 12 13 false;
        3 4 0 12 13 false;
    },
};

/// `cublasLtMatmulPreference_t`.
pub static PREFERENCE: Kind = Kind {
    name: "MatmulPreference",
    room: (64, 96),
    created_with: &[],
    attributes: attributes! {
        0 4 0 12 13 false;
        1 8 0 12 13 false;
        3 4 7 12 13 false;
        5 4 256 12 13 false;
        6 4 256 12 13 false;
        7 4 256 12 13 false;
        8 4 256 12 13 false;
        9 4 0 12 13 false;
        12 8 -1 12 13 false;
        13 8 0 13 13 false 130_200;
        14 8 0 13 13 false 130_200;
        15 8 0 13 13 false 130_200;
    },
};

/// `cublasLtEmulationDesc_t`.
pub static EMULATION: Kind = Kind {
    name: "EmulationDesc",
    room: (64, 64),
    created_with: &[],
    attributes: attributes! {
        0 4 0 13 13 false;
        1 4 65535 13 13 false;
        2 4 0 13 13 false;
        3 4 0 13 13 false;
        4 4 0 13 13 false;
        5 8 0 13 13 true;
    },
};

/// Every kind.
pub static KINDS: [&Kind; 5] = [&LAYOUT, &MATMUL, &TRANSFORM, &PREFERENCE, &EMULATION];

impl Kind {
    /// Bytes of all values, and the head.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let mut sum = HEAD;
        let mut i = 0;
        while i < self.attributes.len() {
            sum += self.attributes[i].size;
            i += 1;
        }
        sum
    }

    /// What a descriptor of this kind begins with (FNV-1a).
    #[must_use]
    pub const fn head(&self) -> [u8; HEAD] {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let name = self.name.as_bytes();
        let mut i = 0;
        while i < name.len() {
            hash = (hash ^ name[i] as u64).wrapping_mul(0x100_0000_01b3);
            i += 1;
        }
        hash.to_le_bytes()
    }

    /// An attribute of a major version, and where its value lies. Attributes of other versions that this one lacks take no room in its structures.
    #[must_use]
    pub fn find(&self, id: i32, major: u32) -> Option<(&'static Attribute, usize)> {
        let mut at = HEAD;
        for attribute in self.attributes {
            let there = attribute.is_of(major);
            if attribute.id == id {
                return there.then_some((attribute, at));
            }
            if there {
                at += attribute.size;
            }
        }
        None
    }

    /// Puts the values of a new descriptor into a program's structure, behind its head: those that it is `created` with, else the defaults; of a shorter structure, those that it has.
    pub fn put_new(&self, major: u32, created: &[i64], structure: &mut [u8]) {
        let Some(mut rest) = structure.get_mut(HEAD..) else {
            return;
        };
        for attribute in self.attributes.iter().filter(|a| a.is_of(major)) {
            let mut given = self.created_with.iter().zip(created);
            let given = given.find(|(id, _)| **id == attribute.id);
            let value = given.map_or(attribute.default, |(_, value)| *value);
            let Some((place, behind)) = rest.split_at_mut_checked(attribute.size) else {
                return;
            };
            place.copy_from_slice(&value.to_le_bytes()[..attribute.size]);
            rest = behind;
        }
    }

    /// Bytes of the program's structure for a major version.
    #[must_use]
    pub fn room(&self, major: u32) -> usize {
        if major == 12 {
            self.room.0
        } else {
            self.room.1
        }
    }
}

/// A descriptor's values in the form in which they travel: all attributes that any version has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Values(pub Vec<u8>);

/// So that what arrives is looked up where it lies.
impl std::borrow::Borrow<[u8]> for Values {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Values {
    /// A new descriptor.
    #[must_use]
    pub fn new(kind: &Kind) -> Self {
        let mut bytes = kind.head().to_vec();
        for attribute in kind.attributes {
            bytes.extend_from_slice(&attribute.default.to_le_bytes()[..attribute.size]);
        }
        Self(bytes)
    }

    /// The values in a program's structure of a major version; attributes that this lacks are the default.
    #[must_use]
    pub fn read(kind: &Kind, major: u32, structure: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(kind.bytes());
        bytes.extend_from_slice(&kind.head());
        // What lies behind one another here and there is copied at once: from where, and up to where.
        let (mut run, mut at) = (HEAD, HEAD);
        for attribute in kind.attributes {
            let end = at + attribute.size;
            if attribute.is_of(major) && end <= structure.len() {
                at = end;
                continue;
            }
            bytes.extend_from_slice(structure.get(run..at).unwrap_or_default());
            bytes.extend_from_slice(&attribute.default.to_le_bytes()[..attribute.size]);
            if attribute.is_of(major) {
                // There is room for none of those behind it.
                at = structure.len().max(at);
            }
            run = at;
        }
        bytes.extend_from_slice(structure.get(run..at).unwrap_or_default());
        Self(bytes)
    }

    /// Puts other addresses in place of those of the device.
    pub fn map_addresses(&mut self, kind: &Kind, other: impl Fn(u64) -> u64) {
        let mut rest = self.0.get_mut(HEAD..).unwrap_or_default();
        for attribute in kind.attributes {
            let Some((value, behind)) = rest.split_at_mut_checked(attribute.size) else {
                return;
            };
            if attribute.address
                && let Some(address) = value.first_chunk_mut()
            {
                *address = other(u64::from_le_bytes(*address)).to_le_bytes();
            }
            rest = behind;
        }
    }

    /// Bytes that arrived, if they are such a descriptor.
    #[must_use]
    pub fn of(kind: &Kind, bytes: &[u8]) -> Option<Self> {
        Self::are(kind, bytes).then(|| Self(bytes.to_vec()))
    }

    /// Whether bytes that arrived are such a descriptor.
    #[must_use]
    pub fn are(kind: &Kind, bytes: &[u8]) -> bool {
        bytes.len() == kind.bytes() && bytes.starts_with(&kind.head())
    }

    fn place(kind: &Kind, id: i32) -> Option<std::ops::Range<usize>> {
        let mut at = HEAD;
        for attribute in kind.attributes {
            if attribute.id == id {
                return Some(at..at + attribute.size);
            }
            at += attribute.size;
        }
        None
    }

    /// The bytes of an attribute.
    #[must_use]
    pub fn get(&self, kind: &Kind, id: i32) -> Option<&[u8]> {
        self.0.get(Self::place(kind, id)?)
    }

    /// An attribute as a number.
    #[must_use]
    pub fn number(&self, kind: &Kind, id: i32) -> i64 {
        let bytes = self.get(kind, id).unwrap_or_default();
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let unused = 8 * (8 - bytes.len()) as u32;
        i64::from_le_bytes(word)
            .checked_shl(unused)
            .map_or(0, |word| word >> unused)
    }

    /// Changes an attribute; false if there is none of this number and size.
    #[must_use]
    pub fn set(&mut self, kind: &Kind, id: i32, value: &[u8]) -> bool {
        let place = Self::place(kind, id).filter(|place| place.len() == value.len());
        match place.and_then(|place| self.0.get_mut(place)) {
            Some(at) => {
                at.copy_from_slice(value);
                true
            }
            None => false,
        }
    }

    /// The attributes that are not the default and that a create function does not take.
    pub fn changed<'a>(
        &'a self,
        kind: &'static Kind,
    ) -> impl Iterator<Item = (&'static Attribute, &'a [u8])> {
        let changed = |attribute: &&'static Attribute| {
            !kind.created_with.contains(&attribute.id)
                && self.get(kind, attribute.id)
                    != Some(&attribute.default.to_le_bytes()[..attribute.size])
        };
        kind.attributes
            .iter()
            .filter(changed)
            .map(|attribute| (attribute, self.get(kind, attribute.id).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_the_programs_structures() {
        for kind in KINDS {
            for major in [12, 13] {
                let of_major = |a: &&Attribute| (a.majors.0..=a.majors.1).contains(&major);
                let bytes: usize = kind
                    .attributes
                    .iter()
                    .filter(of_major)
                    .map(|a| a.size)
                    .sum();
                assert!(
                    HEAD + bytes <= kind.room(major),
                    "{} {major}: {bytes}",
                    kind.name
                );
            }
        }
    }

    /// What is made and read at once is what is found one by one.
    #[test]
    fn structures_are_written_and_read_by_place() {
        for (kind, major) in KINDS.iter().flat_map(|kind| [(kind, 12), (kind, 13)]) {
            let created: Vec<i64> = (0x71..).take(kind.created_with.len()).collect();
            for room in (HEAD..=kind.room(major)).chain([kind.bytes() + 40]) {
                let mut structure = vec![0; room];
                kind.put_new(major, &created, &mut structure);
                let place = |id| {
                    let (attribute, at) = kind.find(id, major)?;
                    Some(at..at + attribute.size).filter(|place| place.end <= room)
                };
                for attribute in kind.attributes {
                    let given = kind.created_with.iter().position(|id| *id == attribute.id);
                    let value = given.map_or(attribute.default, |at| created[at]);
                    if let Some(place) = place(attribute.id) {
                        assert_eq!(structure[place], value.to_le_bytes()[..attribute.size]);
                    }
                }
                for (i, byte) in structure.iter_mut().enumerate() {
                    *byte = i as u8 ^ 0x5a;
                }
                let values = Values::read(kind, major, &structure);
                assert!(Values::are(kind, &values.0));
                for attribute in kind.attributes {
                    let expected = match place(attribute.id) {
                        Some(place) => structure[place].to_vec(),
                        None => attribute.default.to_le_bytes()[..attribute.size].to_vec(),
                    };
                    assert_eq!(values.get(kind, attribute.id), Some(expected.as_slice()));
                }
                let mut other = values.clone();
                other.map_addresses(kind, |address| !address);
                for attribute in kind.attributes {
                    let was = values.number(kind, attribute.id);
                    let is = other.number(kind, attribute.id);
                    assert_eq!(is, if attribute.address { !was } else { was });
                }
            }
        }
    }

    #[test]
    fn values_are_kept() {
        let mut values = Values::new(&MATMUL);
        assert_eq!(values.number(&MATMUL, 22), -1);
        assert!(values.set(&MATMUL, 3, &1i32.to_le_bytes()));
        assert!(!values.set(&MATMUL, 3, &1i64.to_le_bytes()));
        assert!(!values.set(&MATMUL, 9, &1i32.to_le_bytes()));
        assert_eq!(values.number(&MATMUL, 3), 1);
        let changed: Vec<i32> = values.changed(&MATMUL).map(|(a, _)| a.id).collect();
        assert_eq!(changed, [3]);
        assert_eq!(Values::of(&MATMUL, &values.0), Some(values.clone()));
        assert_eq!(Values::of(&LAYOUT, &values.0), None);
    }
}
