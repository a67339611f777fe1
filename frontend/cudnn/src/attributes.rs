//! What cuDNN's graph API lets programs set on which descriptor, and what they have set.

use std::sync::Arc;

use gvirtus_wire::api::library::attribute;

use crate::content::Content;

/// `cudnnBackendDescriptorType_t`, as far as something depends on it.
pub mod kind {
    /// `CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR`.
    pub const VARIANT_PACK: i32 = 16;
    /// `CUDNN_BACKEND_POINTWISE_DESCRIPTOR`.
    pub const POINTWISE: i32 = 0;
    /// `CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR`.
    pub const CONVOLUTION: i32 = 1;
    /// `CUDNN_BACKEND_MATMUL_DESCRIPTOR`.
    pub const MATMUL: i32 = 18;
    /// `CUDNN_BACKEND_TENSOR_DESCRIPTOR`.
    pub const TENSOR: i32 = 17;
}

/// `cudnnBackendAttributeName_t`, as far as something depends on it.
pub mod name {
    /// `CUDNN_ATTR_CONVOLUTION_DILATIONS`: the first of four that have a value for each dimension.
    pub const DILATIONS: i32 = 102;
    /// `CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS`: the last of them.
    pub const PRE_PADDINGS: i32 = 105;
    /// `CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT`.
    pub const BYTE_ALIGNMENT: i32 = 900;
    /// `CUDNN_ATTR_TENSOR_DATA_TYPE`.
    pub const DATA_TYPE: i32 = 901;
    /// `CUDNN_ATTR_TENSOR_DIMENSIONS`.
    pub const DIMENSIONS: i32 = 902;
    /// `CUDNN_ATTR_TENSOR_STRIDES`.
    pub const STRIDES: i32 = 903;
    /// `CUDNN_ATTR_TENSOR_UNIQUE_ID`.
    pub const UNIQUE_ID: i32 = 906;
    /// `CUDNN_ATTR_TENSOR_IS_VIRTUAL`.
    pub const IS_VIRTUAL: i32 = 907;
    /// `CUDNN_ATTR_TENSOR_IS_BY_VALUE`.
    pub const IS_BY_VALUE: i32 = 908;
    /// `CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS`.
    pub const UNIQUE_IDS: i32 = 1000;
    /// `CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS`.
    pub const DATA_POINTERS: i32 = 1001;
    /// `CUDNN_ATTR_VARIANT_PACK_WORKSPACE`.
    pub const WORKSPACE: i32 = 1003;
}

/// An attribute as a program has set it.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// `cudnnBackendAttributeName_t`.
    pub name: i32,
    /// `cudnnBackendAttributeType_t`.
    pub kind: i32,
    /// How many elements.
    pub count: i64,
    /// The elements as the program gave them.
    pub program: Vec<u8>,
    /// The elements as they travel: numbers in place of handles and descriptors.
    pub elements: Vec<u8>,
    /// Number of the handle that it names.
    pub handle: u32,
    /// What it refers to.
    pub uses: Vec<Arc<Content>>,
}

impl Attribute {
    /// The elements as words.
    #[must_use]
    pub fn words(&self) -> Vec<i64> {
        let words = self.elements.as_chunks::<8>().0.iter();
        words.map(|word| i64::from_le_bytes(*word)).collect()
    }

    /// The first element as a number of 32 bits.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        self.elements
            .first_chunk()
            .map(|bytes| i32::from_le_bytes(*bytes))
    }

    /// Whether the first element is true.
    #[must_use]
    pub fn truth(&self) -> bool {
        self.elements.first().is_some_and(|byte| *byte != 0)
    }
}

/// For a `cudnnBackendDescriptorType_t`, attributes that can be set: first and last name, type, and the most elements that are surely taken.
type Row = (i32, &'static [(i32, i32, i32, i64)]);

/// As `cudnnBackendSetAttribute` of cuDNN 9.28 answers.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    // POINTWISE
    (0, &[(0, 0, 14, 1), (1, 1, 1, 1), (2, 2, 10, 1), (3, 8, 4, 1), (3, 8, 5, 1), (9, 9, 3, 1)]),
    // CONVOLUTION
    (1, &[(100, 100, 1, 1), (101, 101, 7, 1), (102, 105, 3, 8), (106, 106, 3, 1)]),
    // ENGINE
    (2, &[(1300, 1300, 15, 1), (1301, 1301, 3, 1), (1306, 1306, 23, 1), (1308, 1308, 2, 1), (1309, 1309, 23, 1)]),
    // ENGINECFG
    (3, &[(300, 300, 15, 1), (302, 302, 15, 64), (304, 304, 23, 1)]),
    // ENGINEHEUR
    (4, &[(200, 200, 8, 1), (201, 201, 15, 1), (203, 203, 23, 1), (205, 205, 23, 1)]),
    // EXECUTION_PLAN
    (5, &[(400, 400, 0, 1), (401, 401, 15, 1), (404, 404, 3, 1), (405, 405, 24, 8), (408, 408, 33, 1)]),
    // KNOB_CHOICE
    (7, &[(600, 600, 9, 1), (601, 601, 3, 1)]),
    // OPERATION_CONVOLUTION_FORWARD
    (10, &[(700, 701, 4, 1), (700, 701, 5, 1), (700, 701, 23, 1), (702, 702, 15, 1), (703, 705, 15, 8)]),
    // OPERATION_CONVOLUTION_BACKWARD_FILTER
    (11, &[(712, 713, 4, 1), (712, 713, 5, 1), (714, 714, 15, 1), (715, 717, 15, 8)]),
    // OPERATION_CONVOLUTION_BACKWARD_DATA
    (12, &[(706, 707, 4, 1), (706, 707, 5, 1), (708, 708, 15, 1), (709, 711, 15, 8)]),
    // OPERATION_POINTWISE
    (13, &[(750, 753, 15, 1), (754, 755, 4, 1), (754, 755, 5, 1), (756, 758, 15, 1)]),
    // OPERATION_GEN_STATS
    (14, &[(770, 770, 16, 1), (771, 771, 1, 1), (772, 774, 15, 1)]),
    // OPERATIONGRAPH
    (15, &[(800, 800, 0, 1), (801, 801, 15, 64), (803, 803, 2, 1), (805, 805, 2, 1), (806, 806, 32, 1)]),
    // TENSOR
    (17, &[(900, 900, 3, 1), (901, 901, 1, 1), (902, 903, 3, 8), (904, 906, 3, 1), (907, 908, 2, 1), (909, 909, 20, 1), (913, 913, 15, 8), (914, 914, 3, 1)]),
    // MATMUL
    (18, &[(1500, 1500, 1, 1), (1503, 1503, 3, 1), (1503, 1503, 4, 1), (1503, 1503, 5, 1), (1503, 1503, 23, 1)]),
    // OPERATION_MATMUL
    (19, &[(1520, 1523, 15, 8), (1524, 1524, 3, 1), (1525, 1527, 15, 8)]),
    // OPERATION_BN_FINALIZE_STATISTICS
    (20, &[(780, 780, 17, 1), (781, 781, 1, 1), (782, 796, 15, 1)]),
    // REDUCTION
    (21, &[(1600, 1600, 18, 1), (1601, 1601, 1, 1), (1602, 1602, 2, 1)]),
    // OPERATION_REDUCTION
    (22, &[(1610, 1611, 15, 1), (1613, 1613, 15, 1)]),
    // OPERATION_BN_BWD_WEIGHTS
    (23, &[(1620, 1620, 1, 1), (1621, 1630, 15, 1)]),
    // RESAMPLE
    (24, &[(1700, 1700, 21, 1), (1701, 1701, 1, 1), (1702, 1702, 3, 1), (1703, 1706, 3, 8), (1703, 1706, 26, 8), (1707, 1707, 10, 1), (1708, 1708, 22, 1)]),
    // OPERATION_RESAMPLE_FWD
    (25, &[(1710, 1712, 15, 8), (1713, 1714, 4, 1), (1713, 1714, 5, 1), (1716, 1716, 15, 8)]),
    // OPERATION_RESAMPLE_BWD
    (26, &[(1720, 1722, 15, 8), (1723, 1724, 4, 1), (1723, 1724, 5, 1), (1725, 1727, 15, 8)]),
    // OPERATION_CONCAT
    (27, &[(1800, 1800, 3, 1), (1801, 1801, 15, 8), (1802, 1802, 3, 1), (1803, 1803, 15, 1)]),
    // OPERATION_SIGNAL
    (28, &[(1900, 1900, 25, 1), (1901, 1901, 15, 8), (1902, 1902, 3, 1), (1903, 1904, 15, 8)]),
    // OPERATION_NORM_FORWARD
    (29, &[(2000, 2000, 27, 1), (2001, 2001, 28, 1), (2002, 2002, 15, 8), (2003, 2013, 15, 1), (2014, 2014, 15, 8)]),
    // OPERATION_NORM_BACKWARD
    (30, &[(2100, 2100, 27, 1), (2101, 2109, 15, 1), (2110, 2110, 15, 8)]),
    // OPERATION_RESHAPE
    (31, &[(2200, 2201, 15, 1), (2202, 2202, 31, 1)]),
    // RNG
    (32, &[(2300, 2300, 29, 1), (2301, 2305, 5, 1)]),
    // OPERATION_RNG
    (33, &[(2310, 2313, 15, 8), (2311, 2311, 3, 1)]),
    // OPERATION_PAGED_CACHE_LOAD
    (35, &[(1950, 1953, 15, 1)]),
    // OPERATION_BLOCK_SCALE_QUANTIZE
    (36, &[(2500, 2502, 15, 1), (2503, 2503, 1, 1), (2504, 2504, 23, 1)]),
    // OPERATION_BLOCK_SCALE_DEQUANTIZE
    (37, &[(2600, 2602, 15, 1), (2603, 2603, 1, 1), (2604, 2604, 23, 2), (2605, 2605, 2, 1)]),
    // DEVICEPROP
    (38, &[(2700, 2700, 23, 1)]),
    // OPERATION_EXPAND_BAND_MATRIX
    (39, &[(2250, 2251, 15, 1), (2252, 2254, 3, 1), (2255, 2255, 4, 1), (2256, 2257, 15, 1)]),
    // OPERATION_CONTRACT_BAND_MATRIX
    (40, &[(2270, 2271, 15, 1), (2272, 2274, 3, 1), (2275, 2275, 4, 1), (2276, 2276, 3, 1)]),
    // OPERATION_MOE_GROUPED_MATMUL
    (42, &[(2900, 2900, 30, 1), (2901, 2901, 1, 1), (2902, 2907, 15, 8), (2908, 2908, 23, 1)]),
    // OPERATION_DIAGONAL_BAND_MASK
    (44, &[(3000, 3006, 15, 1), (3007, 3007, 14, 1), (3008, 3009, 15, 1)]),
    // OPERATION_SOFTMAX
    (45, &[(3100, 3105, 15, 1), (3106, 3106, 2, 1)]),
    // OPERATION_TRANSPOSE
    (46, &[(3200, 3201, 15, 1), (3202, 3202, 3, 8)]),
    // OPERATION_SLICE
    (47, &[(3300, 3301, 15, 1), (3302, 3304, 3, 8)]),
    // OPERATION_MOE_GROUPED_MATMUL_BWD
    (48, &[(2951, 2951, 1, 1), (2952, 2955, 15, 8)]),
    // OPERATION_ROPE_FWD
    (49, &[(3400, 3402, 15, 1), (3403, 3403, 4, 1), (3404, 3404, 3, 1)]),
    // OPERATION_ROPE_BWD
    (50, &[(3410, 3412, 15, 1), (3413, 3413, 4, 1), (3414, 3414, 3, 1)]),
    // VARIANT_PACK
    (16, &[(1000, 1000, 3, 4096), (1001, 1001, 6, 4096), (1003, 1003, 6, 1)]),
];

/// Numbers of attributes that variant packs may have.
pub const OF_VARIANT_PACKS: std::ops::RangeInclusive<i32> = 1000..=1009;

/// Whether there surely are descriptors of a type.
#[must_use]
pub fn surely_made(descriptor: i32) -> bool {
    // 6, INTERMEDIATE_INFO, is refused by cuDNN 9.28, with which this was tried.
    (0..=33).contains(&descriptor) && descriptor != 6
}

/// Whether cuDNN surely takes an attribute; otherwise the box's library is to be asked.
#[must_use]
pub fn surely(descriptor: i32, name: i32, kind: i32, count: i64) -> bool {
    let row = TABLE.iter().find(|(of, _)| *of == descriptor);
    row.is_some_and(|(_, attributes)| {
        attributes.iter().any(|&(first, last, of, most)| {
            (first..=last).contains(&name) && of == kind && (1..=most).contains(&count)
        })
    })
}

/// Whether cuDNN surely finalizes a tensor with these attributes.
#[must_use]
pub fn tensor_is_whole(attributes: &[Attribute]) -> bool {
    /// FLOAT, HALF, INT8, INT32, BFLOAT16, INT64.
    const TYPES: [i32; 6] = [0, 2, 3, 4, 9, 10];
    let find = |name: i32| attributes.iter().find(|attribute| attribute.name == name);
    let known = attributes.iter().all(|attribute| {
        matches!(
            attribute.name,
            name::BYTE_ALIGNMENT
                | name::DATA_TYPE
                | name::DIMENSIONS
                | name::STRIDES
                | name::UNIQUE_ID
                | name::IS_VIRTUAL
                | name::IS_BY_VALUE
        )
    });
    let plain = |at: i32| {
        let positive =
            |attribute: &Attribute| attribute.words().iter().all(|n| (1..1 << 31).contains(n));
        find(at).is_some_and(positive)
    };
    let aligned = find(name::BYTE_ALIGNMENT).is_some_and(|attribute| {
        let bytes = attribute.words().first().copied().unwrap_or(0);
        (1..=256).contains(&bytes) && bytes & (bytes - 1) == 0
    });
    let typed = find(name::DATA_TYPE)
        .and_then(Attribute::number)
        .is_some_and(|kind| TYPES.contains(&kind));
    let shaped =
        find(name::DIMENSIONS)
            .zip(find(name::STRIDES))
            .is_some_and(|(dimensions, strides)| {
                dimensions.count == strides.count && (1..=8).contains(&dimensions.count)
            });
    known
        && aligned
        && typed
        && shaped
        && plain(name::DIMENSIONS)
        && plain(name::STRIDES)
        && find(name::UNIQUE_ID).is_some()
}

/// A tensor's unique id and bytes, if it is a value on the host.
#[must_use]
pub fn by_value(attributes: &[Attribute]) -> Option<(i64, usize)> {
    let find = |name: i32| attributes.iter().find(|attribute| attribute.name == name);
    find(name::IS_BY_VALUE).filter(|attribute| attribute.truth())?;
    let uid = *find(name::UNIQUE_ID)?.words().first()?;
    let element = crate::lengths::element(find(name::DATA_TYPE)?.number()?)?;
    let elements = find(name::DIMENSIONS).map_or(1, |attribute| {
        attribute
            .words()
            .iter()
            .fold(1i64, |all, n| all.saturating_mul(*n))
    });
    let bytes = usize::try_from(elements).ok()?.checked_mul(element)?;
    Some((uid, bytes))
}

/// Bytes of an element.
#[must_use]
pub fn size(kind: i32) -> Option<usize> {
    attribute::size(kind)
}

/// Whether cuDNN tells of an attribute what was set: not of how a tensor is aligned, and nothing of pointwise operations.
pub(crate) fn is_told(kind: i32, name: i32) -> bool {
    kind != kind::POINTWISE && name != name::BYTE_ALIGNMENT
}

/// Whether an attribute is one value, which cuDNN tells to who asks for one and to nobody else. Of kinds that are not known here, none is.
pub(crate) fn is_single(kind: i32, name: i32) -> bool {
    matches!(kind, kind::TENSOR | kind::CONVOLUTION | kind::MATMUL)
        && !matches!(
            name,
            name::DILATIONS..=name::PRE_PADDINGS | name::DIMENSIONS | name::STRIDES
        )
}
