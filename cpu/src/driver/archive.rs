//! Fat binaries in objects and libraries: nvcc keeps device code in sections of the host's object files, one behind the other.

use object::{Object, ObjectSection};

/// First bytes of a library, of its members' headers' ends, and of a fat binary.
const LIBRARY: &[u8] = b"!<arch>\n";
const HEADER_END: &[u8] = b"`\n";
const FAT_BINARY: [u8; 4] = 0xba55_ed50u32.to_le_bytes();
/// Bytes of a member's header, and where name and size stand in it.
const HEADER: usize = 60;

/// The fat binaries in an object file or in a library of them, with their objects' names.
pub(super) fn fat_binaries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, member) in members(bytes) {
        // Members of libraries stand at even places, and the parser wants them at multiples of eight: an allocation is at one.
        let member = member.to_vec();
        let Ok(file) = object::File::parse(member.as_slice()) else {
            continue;
        };
        for section in file.sections() {
            if let Ok(data) = section.data() {
                split(data, |binary| found.push((name.clone(), binary.to_vec())));
            }
        }
    }
    found
}

/// The members of a library, or the object itself.
fn members(bytes: &[u8]) -> Vec<(String, &[u8])> {
    let Some(mut rest) = bytes.strip_prefix(LIBRARY) else {
        return vec![("object".to_owned(), bytes)];
    };
    let mut found = Vec::new();
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let size = std::str::from_utf8(&header[48..58])
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok());
        let Some(member) = size.and_then(|size| behind.get(..size)) else {
            break;
        };
        if &header[58..] != HEADER_END {
            break;
        }
        let name = String::from_utf8_lossy(&header[..16]);
        found.push((name.trim().trim_end_matches('/').to_owned(), member));
        // Members begin at even places.
        rest = behind
            .get(member.len().next_multiple_of(2)..)
            .unwrap_or(&[]);
    }
    found
}

/// Cuts a section's data at its fat binaries, each of which says how long it is.
fn split<'a>(mut data: &'a [u8], mut found: impl FnMut(&'a [u8])) {
    while data.starts_with(&FAT_BINARY) && data.len() >= 16 {
        let header = usize::from(u16::from_le_bytes([data[6], data[7]]));
        let size = u64::from_le_bytes(std::array::from_fn(|k| data[8 + k]));
        let total = usize::try_from(size)
            .ok()
            .and_then(|n| n.checked_add(header));
        let Some(binary) = total.and_then(|total| data.get(..total)) else {
            return;
        };
        if binary.is_empty() {
            return;
        }
        found(binary);
        // The next begins at a multiple of eight.
        let next = binary.len().next_multiple_of(8);
        data = data.get(next..).unwrap_or(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::{FAT_BINARY, members, split};

    #[test]
    fn libraries_and_sections_are_cut_where_they_say_and_damage_ends_it() {
        let mut library = b"!<arch>\n".to_vec();
        for (name, data) in [("one.o/", "abc"), ("two.o/", "defg")] {
            library.extend(format!("{name:<16}{:<32}{:<10}`\n{data}", "", data.len()).bytes());
            library.extend(vec![b'\n'; data.len() % 2]);
        }
        let found: Vec<(String, &[u8])> = members(&library);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], ("two.o".to_owned(), &b"defg"[..]));
        assert_eq!(members(&library[..library.len() - 2]).len(), 1);

        let mut section = Vec::new();
        for payload in [3u64, 8] {
            section.extend(FAT_BINARY);
            section.extend([1, 0, 16, 0]);
            section.extend(payload.to_le_bytes());
            section.extend(vec![7; payload.next_multiple_of(8) as usize]);
        }
        let mut sizes = Vec::new();
        split(&section, |binary| sizes.push(binary.len()));
        assert_eq!(sizes, [19, 24]);
        split(&section[..30], |binary| sizes.push(binary.len()));
        assert_eq!(sizes.len(), 3);
    }
}
