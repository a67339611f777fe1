//! What went wrong earlier and is still to be told: lost sessions, poisoned contexts, failed async calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use gvirtus_wire::api::types::{CUresult, error};
use parking_lot::Mutex;

/// Errors that later calls report. Looking costs one relaxed load while there are none.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    any: AtomicBool,
    lost: AtomicI32,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Poisoned contexts and their code.
    sticky: HashMap<u32, CUresult>,
    /// First unreported failure of an async call, by issuing thread.
    threads: HashMap<u32, CUresult>,
}

impl Errors {
    /// The error that a call for `context` on that thread must return, if any. A thread's own earlier failure is told once.
    #[inline]
    pub(crate) fn check(&self, context: u32, thread: impl FnOnce() -> u32) -> Result<(), CUresult> {
        if self.any.load(Ordering::Relaxed) {
            self.check_slowly(context, thread())
        } else {
            Ok(())
        }
    }

    #[cold]
    fn check_slowly(&self, context: u32, thread: u32) -> Result<(), CUresult> {
        self.lost()?;
        let mut told = self.told.lock();
        if let Some(&code) = told.sticky.get(&context) {
            return Err(code);
        }
        told.threads.remove(&thread).map_or(Ok(()), Err)
    }

    /// Whether the session is gone.
    #[inline]
    pub(crate) fn lost(&self) -> Result<(), CUresult> {
        match self.lost.load(Ordering::Acquire) {
            0 => Ok(()),
            code => Err(code),
        }
    }

    /// Marks the session as gone; true the first time.
    pub(crate) fn lose(&self) -> bool {
        let first = self
            .lost
            .compare_exchange(
                0,
                error::ERROR_DEVICE_UNAVAILABLE,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok();
        self.any.store(true, Ordering::Release);
        first
    }

    /// Poisons a context; the first code stays.
    pub(crate) fn poison(&self, context: u32, code: CUresult) {
        self.told.lock().sticky.entry(context).or_insert(code);
        self.any.store(true, Ordering::Release);
    }

    /// Forgets a context's poison after a reset.
    pub(crate) fn heal(&self, context: u32) {
        self.told.lock().sticky.remove(&context);
    }

    /// Keeps a failed async call for the thread that issued it; the first one stays.
    pub(crate) fn keep(&self, thread: u32, code: CUresult) {
        self.told.lock().threads.entry(thread).or_insert(code);
        self.any.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_hears_of_its_failure_once_and_others_do_not() {
        let errors = Errors::default();
        errors.keep(3, error::ERROR_INVALID_VALUE);
        errors.keep(3, error::ERROR_NOT_FOUND);
        assert_eq!(errors.check(0, || 4), Ok(()));
        assert_eq!(errors.check(0, || 3), Err(error::ERROR_INVALID_VALUE));
        assert_eq!(errors.check(0, || 3), Ok(()));
    }

    #[test]
    fn poison_stays_with_its_context() {
        let errors = Errors::default();
        errors.poison(1, error::ERROR_ILLEGAL_ADDRESS);
        errors.poison(1, error::ERROR_ASSERT);
        assert_eq!(errors.check(1, || 0), Err(error::ERROR_ILLEGAL_ADDRESS));
        assert_eq!(errors.check(1, || 0), Err(error::ERROR_ILLEGAL_ADDRESS));
        assert_eq!(errors.check(0, || 0), Ok(()));
        errors.heal(1);
        assert_eq!(errors.check(1, || 0), Ok(()));
    }

    #[test]
    fn a_lost_session_outranks_everything() {
        let errors = Errors::default();
        errors.poison(1, error::ERROR_ASSERT);
        assert!(errors.lose());
        assert!(!errors.lose());
        assert_eq!(errors.check(1, || 0), Err(error::ERROR_DEVICE_UNAVAILABLE));
    }
}
