//! The handler that sees the program touch pages that it may not touch yet. Any other fault goes to whoever had the signal before.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `SEGV_ACCERR`: the page is there, and protected.
const PROTECTED: i32 = 2;

/// The action that was in force before ours. Replaced when the program installs its own; never freed, since a handler may be reading it.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

/// Blocked while the kernel runs our handler, as all signals are; not blocked while a handler of the program's runs. So ours knows when that calls it back: the program may have
/// installed its own after ours, with ours as the one before. (A flag would stay set when the program's handler jumps out.)
const MARKER: i32 = libc::SIGURG;

/// Makes ours the handler, whatever the program has installed meanwhile, and lets the calling thread be told of faults.
pub(super) fn install() {
    // SAFETY: all-zero is a valid action; the calls read and write those on the stack, and our handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGSEGV);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());

        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGSEGV, std::ptr::null(), &raw mut now);
        let ours = handler as extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void);
        if now.sa_sigaction == ours as usize {
            return;
        }
        PREVIOUS.store(Box::into_raw(Box::new(now)), Ordering::Release);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ours as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // A handler of the program that ran now might touch managed memory itself.
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut());
    }
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both for SA_SIGINFO; errno is the thread's.
    let (address, code, errno) = unsafe {
        (
            (*info).si_addr() as u64,
            (*info).si_code,
            *libc::__errno_location(),
        )
    };
    let ours = code == PROTECTED && super::may_hold(address) && {
        let write = was_write(context);
        if on_alternate_stack() {
            // Too small for what may have to be done.
            std::thread::Builder::new()
                .spawn(move || super::touch::touched(address, write))
                .and_then(|thread| thread.join().map_err(|_| std::io::ErrorKind::Other.into()))
                .unwrap_or(false)
        } else {
            super::touch::touched(address, write)
        }
    };
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = errno };
    if !ours {
        // SAFETY: as the kernel passed them.
        unsafe { chain(signal, info, context) };
    }
}

fn on_alternate_stack() -> bool {
    // SAFETY: the call fills the structure.
    unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &raw mut stack) == 0
            && stack.ss_flags & libc::SS_ONSTACK != 0
    }
}

/// Whether the fault was a write, where the processor tells.
fn was_write(context: *mut c_void) -> Option<bool> {
    #[cfg(target_arch = "x86_64")]
    {
        const ERROR_CODE_WRITE: i64 = 2;
        // SAFETY: the kernel passes the context of the interrupted thread.
        let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        Some(registers[libc::REG_ERR as usize] & ERROR_CODE_WRITE != 0)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = context;
        None
    }
}

/// Does what would have happened without us.
///
/// # Safety
/// The arguments are the kernel's.
unsafe fn chain(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: never freed, see above; the handler that it names was installed by the program for this signal. Signals are masked as the program asked for its handler.
    unsafe {
        let mut blocked: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut blocked);
        let marked = libc::sigismember(&raw const blocked, MARKER) == 1;
        let default = previous.is_null()
            || !marked
            || (*previous).sa_sigaction == libc::SIG_DFL
            || (*previous).sa_sigaction == libc::SIG_IGN;
        if default {
            // The fault happens again, and ends the program as it would have.
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            return;
        }
        let previous = *previous;
        let mut mask = (*context.cast::<libc::ucontext_t>()).uc_sigmask;
        for other in 1..=libc::SIGRTMAX() {
            if libc::sigismember(&raw const previous.sa_mask, other) == 1 {
                libc::sigaddset(&raw mut mask, other);
            }
        }
        if previous.sa_flags & libc::SA_NODEFER == 0 {
            libc::sigaddset(&raw mut mask, signal);
        }
        libc::sigdelset(&raw mut mask, MARKER);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        if previous.sa_flags & libc::SA_SIGINFO != 0 {
            let function: extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) =
                std::mem::transmute(previous.sa_sigaction);
            function(signal, info, context);
        } else {
            let function: extern "C" fn(i32) = std::mem::transmute(previous.sa_sigaction);
            function(signal);
        }
    }
}
