//! Handles on the wire are numbers, given out in the order in which the library's handles are first seen. A client's number is looked up, never used as an address.

use gvirtus_wire::api::nvml_call::Kind;
use parking_lot::Mutex;

/// The most handles of a session; a box has a few dozen.
const LIMIT: usize = 4096;

/// The library's handles; number `n` is entry `n - 1`.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<Vec<(Kind, u64)>>);

impl Handles {
    /// The number of a library's handle.
    pub(crate) fn number(&self, kind: Kind, handle: u64) -> Option<u32> {
        let mut all = self.0.lock();
        let at = match all.iter().position(|known| *known == (kind, handle)) {
            Some(at) => at,
            None if all.len() < LIMIT => {
                all.push((kind, handle));
                all.len() - 1
            }
            None => return None,
        };
        u32::try_from(at + 1).ok()
    }

    /// The library's handle behind a number of that kind.
    pub(crate) fn handle(&self, kind: Kind, number: u32) -> Option<u64> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let (known, handle) = *self.0.lock().get(at)?;
        (known == kind).then_some(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_of_one_kind() {
        let handles = Handles::default();
        let device = handles.number(Kind::Device, 0xdead_beef_0000);
        assert_eq!(device, Some(1));
        assert_eq!(handles.number(Kind::Device, 7), Some(2));
        assert_eq!(handles.number(Kind::Device, 0xdead_beef_0000), device);
        assert_eq!(handles.handle(Kind::Device, 1), Some(0xdead_beef_0000));
        assert_eq!(handles.handle(Kind::Unit, 1), None);
        assert_eq!(handles.handle(Kind::Device, 0), None);
        assert_eq!(handles.handle(Kind::Device, 3), None);
        assert_eq!(handles.handle(Kind::Device, u32::MAX), None);
    }

    #[test]
    fn there_is_an_end() {
        let handles = Handles::default();
        for i in 0..LIMIT as u64 {
            assert!(handles.number(Kind::Device, i).is_some());
        }
        assert_eq!(handles.number(Kind::Device, u64::MAX), None);
    }
}
