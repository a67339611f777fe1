//! PTX's fundamental types and state spaces.

/// A fundamental type of PTX, as written after the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ty {
    U8,
    U16,
    U16x2,
    U32,
    U64,
    S8,
    S16,
    S16x2,
    S32,
    S64,
    B8,
    B16,
    B32,
    B64,
    B128,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    F32,
    F64,
    Tf32,
    Pred,
}

impl Ty {
    /// The type that a qualifier (without its dot) names.
    pub(crate) fn parse(word: &str) -> Option<Ty> {
        Some(match word {
            "u8" => Ty::U8,
            "u16" => Ty::U16,
            "u16x2" => Ty::U16x2,
            "s16x2" => Ty::S16x2,
            "u32" => Ty::U32,
            "u64" => Ty::U64,
            "s8" => Ty::S8,
            "s16" => Ty::S16,
            "s32" => Ty::S32,
            "s64" => Ty::S64,
            "b8" => Ty::B8,
            "b16" => Ty::B16,
            "b32" => Ty::B32,
            "b64" => Ty::B64,
            "b128" => Ty::B128,
            "f16" => Ty::F16,
            "f16x2" => Ty::F16x2,
            "bf16" => Ty::Bf16,
            "bf16x2" => Ty::Bf16x2,
            "f32" => Ty::F32,
            "f64" => Ty::F64,
            "tf32" => Ty::Tf32,
            "pred" => Ty::Pred,
            _ => return None,
        })
    }

    /// Size in bytes (a predicate has none of its own; 1 is said).
    pub(crate) fn size(self) -> u32 {
        match self {
            Ty::U8 | Ty::S8 | Ty::B8 | Ty::Pred => 1,
            Ty::U16 | Ty::S16 | Ty::B16 | Ty::F16 | Ty::Bf16 => 2,
            Ty::U32
            | Ty::S32
            | Ty::U16x2
            | Ty::S16x2
            | Ty::B32
            | Ty::F32
            | Ty::F16x2
            | Ty::Bf16x2
            | Ty::Tf32 => 4,
            Ty::U64 | Ty::S64 | Ty::B64 | Ty::F64 => 8,
            Ty::B128 => 16,
        }
    }

    /// Whether the type is a signed integer.
    pub(crate) fn signed(self) -> bool {
        matches!(self, Ty::S8 | Ty::S16 | Ty::S32 | Ty::S64)
    }

    /// Whether the type is a floating-point type.
    pub(crate) fn is_float(self) -> bool {
        matches!(
            self,
            Ty::F16 | Ty::F16x2 | Ty::Bf16 | Ty::Bf16x2 | Ty::F32 | Ty::F64 | Ty::Tf32
        )
    }

    /// How registers of this type are kept.
    pub(crate) fn width(self) -> Width {
        match self {
            Ty::Pred => Width::Pred,
            Ty::B128 => Width::W128,
            _ => match self.size() {
                1 | 2 => Width::W16,
                4 => Width::W32,
                _ => Width::W64,
            },
        }
    }
}

/// How a register is kept: one value for each of the 32 lanes, or a bit mask for predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Width {
    /// One bit per lane in one 32-bit word.
    Pred,
    /// `[u16; 32]` (8-bit registers too).
    W16,
    /// `[u32; 32]`.
    W32,
    /// `[u64; 32]`.
    W64,
    /// `[u128; 32]`.
    W128,
}

impl Width {
    /// Bytes of a whole register (all lanes).
    pub(crate) fn register_bytes(self) -> u32 {
        match self {
            Width::Pred => 4,
            Width::W16 => 64,
            Width::W32 => 128,
            Width::W64 => 256,
            Width::W128 => 512,
        }
    }

    /// Bytes of one lane.
    pub(crate) fn lane_bytes(self) -> u32 {
        self.register_bytes() / 32
    }
}

/// A state space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    Generic,
    Global,
    Shared,
    Local,
    Const,
    Param,
}

impl Space {
    /// The space that a qualifier (without its dot) names.
    pub(crate) fn parse(word: &str) -> Option<Space> {
        Some(match word {
            "global" => Space::Global,
            "shared" | "shared::cta" | "shared::cluster" => Space::Shared,
            "local" => Space::Local,
            "const" => Space::Const,
            "param" | "param::entry" | "param::func" => Space::Param,
            _ => return None,
        })
    }
}
