//! What we need to know of a cubin: how long it is, and which kernels it has.

/// First word of an ELF file.
pub const MAGIC: u32 = u32::from_le_bytes(*b"\x7fELF");
/// Bytes of a 64-bit ELF header.
pub const HEADER: usize = 64;

const SECTION: usize = 64;
const SYMBOL: usize = 24;
const SYMBOL_TABLE: u32 = 2;
const NO_BITS: u32 = 8;
/// `st_info` of a function, without its binding.
const FUNCTION: u8 = 2;
/// `st_other` of a kernel, as against a device function.
const CUDA_ENTRY: u8 = 0x10;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where the section and program header tables end, by the ELF header: so much must be read to know the whole size.
#[must_use]
pub fn tables_end(header: &[u8]) -> Option<u64> {
    let (sections, programs) = (u64_at(header, 40)?, u64_at(header, 32)?);
    let table = |start: u64, size: u16, count: u16| {
        start.checked_add(u64::from(size).checked_mul(u64::from(count))?)
    };
    let sections = table(sections, u16_at(header, 58)?, u16_at(header, 60)?)?;
    let programs = table(programs, u16_at(header, 54)?, u16_at(header, 56)?)?;
    Some(sections.max(programs).max(HEADER as u64))
}

/// Each section's header.
fn sections(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let start = usize::try_from(u64_at(bytes, 40)?).ok()?;
    let each = usize::from(u16_at(bytes, 58)?);
    let count = usize::from(u16_at(bytes, 60)?);
    if count > 0 && each < SECTION {
        return None;
    }
    let table = bytes.get(start..start.checked_add(each.checked_mul(count)?)?)?;
    Some(table.chunks_exact(each.max(1)))
}

/// The whole size: the furthest end of any table or section. `bytes` reach at least to [`tables_end`].
#[must_use]
pub fn size(bytes: &[u8]) -> Option<u64> {
    let mut end = tables_end(bytes)?;
    for section in sections(bytes)? {
        if u32_at(section, 4)? != NO_BITS {
            end = end.max(u64_at(section, 24)?.checked_add(u64_at(section, 32)?)?);
        }
    }
    Some(end)
}

/// A section's bytes.
fn contents<'a>(bytes: &'a [u8], section: &[u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(u64_at(section, 24)?).ok()?;
    let size = usize::try_from(u64_at(section, 32)?).ok()?;
    bytes.get(start..start.checked_add(size)?)
}

fn find_kernels(bytes: &[u8]) -> Option<Vec<String>> {
    let symbols = sections(bytes)?.find(|s| u32_at(s, 4) == Some(SYMBOL_TABLE))?;
    let strings = sections(bytes)?.nth(u32_at(symbols, 40)? as usize)?;
    let (symbols, strings) = (contents(bytes, symbols)?, contents(bytes, strings)?);
    let is_kernel = |s: &&[u8]| s[4] & 0xf == FUNCTION && s[5] & CUDA_ENTRY != 0;
    let name = |s: &[u8]| {
        let text = strings.get(u32_at(s, 0)? as usize..)?;
        let text = text.split(|b| *b == 0).next()?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    };
    Some(
        symbols
            .chunks_exact(SYMBOL)
            .filter(is_kernel)
            .filter_map(name)
            .collect(),
    )
}

/// Names of the kernels in a cubin; none if it is broken.
#[must_use]
pub fn kernel_names(bytes: &[u8]) -> Vec<String> {
    find_kernels(bytes).unwrap_or_default()
}
