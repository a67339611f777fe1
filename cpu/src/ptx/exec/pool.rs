//! Threads that help to run grids. They are kept for the next grid.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Most helpers that are ever started.
const MAX_THREADS: usize = 256;

struct Job {
    /// What helpers call; valid until the job has no helpers and is out of the queue.
    work: *const (dyn Fn() + Sync),
    state: Mutex<Tickets>,
    done: Condvar,
}

// SAFETY: `work` is `Sync` and outlives all uses: `run` waits for them.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

struct Tickets {
    /// Helpers still wanted.
    left: usize,
    /// Helpers at work.
    active: usize,
}

#[derive(Default)]
struct Pool {
    queue: Mutex<(VecDeque<Arc<Job>>, usize)>,
    wake: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(Pool::default)
}

/// Calls `work` on this thread and on up to `helpers` others; returns when all calls have returned. Helpers that are busy elsewhere are not waited for.
pub(super) fn run(helpers: usize, work: &(dyn Fn() + Sync)) {
    if helpers == 0 {
        work();
        return;
    }
    let pool = pool();
    // SAFETY: only the lifetime is changed; `Finish` waits for all uses before `work` ends.
    let erased: *const (dyn Fn() + Sync) =
        unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
    let job = Arc::new(Job {
        work: erased,
        state: Mutex::new(Tickets {
            left: helpers,
            active: 0,
        }),
        done: Condvar::new(),
    });
    {
        let mut queue = lock(&pool.queue);
        while queue.1 < helpers.min(MAX_THREADS) {
            if std::thread::Builder::new()
                .name("cuda-cpu".into())
                .spawn(helper)
                .is_err()
            {
                break;
            }
            queue.1 += 1;
        }
        queue.0.push_back(Arc::clone(&job));
    }
    pool.wake.notify_all();
    let finish = Finish(&job);
    work();
    drop(finish);
}

/// Calls the helpers off and waits for those at work, also when the caller's part panics.
struct Finish<'a>(&'a Arc<Job>);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        lock(&pool().queue)
            .0
            .retain(|job| !Arc::ptr_eq(job, self.0));
        let mut state = lock(&self.0.state);
        state.left = 0;
        while state.active > 0 {
            state = self
                .0
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn helper() {
    let pool = pool();
    loop {
        let job = {
            let mut queue = lock(&pool.queue);
            loop {
                let found = queue.0.iter().find_map(|job| {
                    let mut state = lock(&job.state);
                    (state.left > 0).then(|| {
                        state.left -= 1;
                        state.active += 1;
                        Arc::clone(job)
                    })
                });
                match found {
                    Some(job) => break job,
                    None => {
                        queue = pool
                            .wake
                            .wait(queue)
                            .unwrap_or_else(PoisonError::into_inner)
                    }
                }
            }
        };
        // SAFETY: the caller of `run` waits while `active` is not zero.
        let work = unsafe { &*job.work };
        // A panic must not leave the caller waiting; it shows as blocks that nobody ran, which the caller then runs itself.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        lock(&job.state).active -= 1;
        job.done.notify_all();
    }
}
