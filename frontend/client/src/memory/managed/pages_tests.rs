//! The bookkeeping against one flat memory that processor and GPU share, under any sequence of touches, launches and synchronizations.
#![allow(clippy::single_range_in_vec_init, reason = "a piece with one span")]

use super::*;
use proptest::prelude::*;

/// Memory whose protection is an array.
struct Simulated {
    now: Vec<u8>,
    twin: Vec<u8>,
    access: Vec<Access>,
    /// Bytes that were ever written to.
    touched: Vec<bool>,
}

impl Simulated {
    fn new(pages: usize, access: Access) -> Self {
        Self {
            now: vec![0; pages * PAGE],
            twin: vec![0; pages * PAGE],
            access: vec![access; pages],
            touched: vec![false; pages],
        }
    }
}

impl Memory for Simulated {
    fn protect(&mut self, at: usize, len: usize, access: Access) -> io::Result<()> {
        assert!(at.is_multiple_of(PAGE) && len.is_multiple_of(PAGE));
        self.access[at / PAGE..(at + len) / PAGE].fill(access);
        Ok(())
    }
    fn now(&self, at: usize, len: usize) -> &[u8] {
        for page in at / PAGE..(at + len).div_ceil(PAGE) {
            assert_ne!(self.access[page], Access::All, "the program may be writing");
        }
        &self.now[at..at + len]
    }
    fn fill(&mut self, at: usize, len: usize) -> &mut [u8] {
        for page in at / PAGE..(at + len).div_ceil(PAGE) {
            assert_eq!(
                self.access[page],
                Access::None,
                "the program may be reading"
            );
            self.touched[page] = true;
        }
        &mut self.now[at..at + len]
    }
    fn twin(&self, at: usize, len: usize) -> &[u8] {
        &self.twin[at..at + len]
    }
    fn remember(&mut self, at: usize, len: usize) {
        self.twin[at..at + len].copy_from_slice(&self.now[at..at + len]);
    }
    fn forget(&mut self, at: usize, len: usize) {
        self.twin[at..at + len].fill(0);
    }
    fn written(&self, at: usize, len: usize) -> Vec<Range<usize>> {
        (at / PAGE..(at + len) / PAGE)
            .filter(|page| self.touched[*page])
            .map(|page| page * PAGE..(page + 1) * PAGE)
            .collect()
    }
}

/// A step of the program.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Write(usize, usize, u8),
    /// A kernel that writes there begins.
    Launch(usize, usize, u8),
    /// It writes. At the latest it does so before the next synchronization.
    Progress,
    Synchronize,
    /// Part of the memory is the source of a copy.
    Send(usize, usize),
}

const PAGES: usize = 70;
const SIZE: usize = PAGES * PAGE - 100;

fn step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![0..SIZE, 0..3 * PAGE];
    let len = prop_oneof![1usize..100, 1usize..40_000];
    prop_oneof![
        3 => at.clone().prop_map(Step::Read),
        4 => (at.clone(), len.clone(), any::<u8>()).prop_map(|(a, l, v)| Step::Write(a, l, v)),
        2 => (at.clone(), len.clone(), any::<u8>()).prop_map(|(a, l, v)| Step::Launch(a, l, v)),
        1 => Just(Step::Progress),
        2 => Just(Step::Synchronize),
        1 => (at, len).prop_map(|(a, l)| Step::Send(a, l)),
    ]
}

struct World {
    near: Simulated,
    pages: Pages,
    far: Vec<u8>,
    /// What memory that both share would hold.
    shared: Vec<u8>,
    spans: Vec<Range<usize>>,
    running: bool,
    /// What running kernels will write.
    pending: Vec<(usize, u8)>,
    /// Bytes that a running kernel writes: the program must not look at them.
    owned: Vec<bool>,
}

impl World {
    fn touch(&mut self, page: usize, write: Option<bool>) {
        let far = &self.far;
        self.pages
            .touch::<io::Error>(
                &mut self.near,
                &self.spans,
                page,
                write,
                self.running,
                &mut |at, into| {
                    let len = into.len();
                    into.copy_from_slice(&far[at..at + len]);
                    Ok(())
                },
            )
            .unwrap();
    }

    fn flush(&mut self, pages: Range<usize>, keep: bool) {
        let far = &mut self.far;
        self.pages
            .flush::<io::Error>(
                &mut self.near,
                &self.spans,
                pages,
                keep,
                &mut |at, bytes| {
                    far[at..at + bytes.len()].copy_from_slice(bytes);
                    Ok(())
                },
            )
            .unwrap();
    }

    fn progress(&mut self) {
        for (i, value) in std::mem::take(&mut self.pending) {
            self.far[i] = value;
            self.shared[i] = value;
        }
    }

    fn run(&mut self, step: &Step, blind: bool) {
        let known = |write| if blind { None } else { Some(write) };
        match *step {
            Step::Read(at) => {
                if self.near.access[at / PAGE] == Access::None {
                    self.touch(at / PAGE, known(false));
                }
                assert_ne!(self.near.access[at / PAGE], Access::None);
                if !self.owned[at] {
                    assert_eq!(self.near.now[at], self.shared[at], "read at {at}");
                }
            }
            Step::Write(at, len, value) => {
                for i in at..(at + len).min(SIZE) {
                    if self.owned[i] {
                        continue;
                    }
                    let mut faults = 0;
                    while self.near.access[i / PAGE] != Access::All {
                        self.touch(i / PAGE, known(true));
                        faults += 1;
                        assert!(faults < 3);
                    }
                    let value = value.wrapping_add(i as u8);
                    self.near.touched[i / PAGE] = true;
                    self.near.now[i] = value;
                    self.shared[i] = value;
                }
            }
            Step::Launch(at, len, value) => {
                self.flush(0..PAGES, false);
                assert!(!self.pages.any_here());
                for i in 0..SIZE {
                    if !self.owned[i] {
                        assert_eq!(self.far[i], self.shared[i], "seen by the kernel at {i}");
                    }
                }
                for i in at..(at + len).min(SIZE) {
                    self.pending.push((i, value.wrapping_mul(i as u8)));
                    self.owned[i] = true;
                }
                self.running = true;
            }
            Step::Progress => self.progress(),
            Step::Synchronize => {
                self.progress();
                self.running = false;
                self.owned.fill(false);
                let far = &mut self.far;
                self.pages
                    .revoke::<io::Error>(&mut self.near, &self.spans, &mut |at, bytes| {
                        far[at..at + bytes.len()].copy_from_slice(bytes);
                        Ok(())
                    })
                    .unwrap();
                assert!(!self.pages.any_busy());
            }
            Step::Send(at, len) => {
                let end = (at + len).min(SIZE);
                self.flush(at / PAGE..end.div_ceil(PAGE), true);
                for i in at..end {
                    if !self.owned[i] {
                        assert_eq!(self.far[i], self.shared[i], "copied from {i}");
                    }
                }
            }
        }
        let here = self.near.access.iter().filter(|a| **a != Access::None);
        assert_eq!(here.count(), self.pages.here);
        for (page, access) in self.near.access.iter().enumerate() {
            assert!(*access == Access::None || self.pages.within.contains(&page));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_see_one_memory(steps in prop::collection::vec(step(), 1..60), fresh: bool, blind: bool) {
        let access = if fresh { Access::All } else { Access::None };
        let mut world = World {
            near: Simulated::new(PAGES, access),
            pages: if fresh { Pages::zeros(PAGES) } else { Pages::away(PAGES) },
            far: vec![0; SIZE],
            shared: vec![0; SIZE],
            spans: std::iter::once(0..SIZE).collect(),
            running: false,
            pending: Vec::new(),
            owned: vec![false; SIZE],
        };
        for step in &steps {
            world.run(step, blind);
        }
    }
}

#[test]
fn only_changed_pages_travel() {
    let mut memory = Simulated::new(100, Access::None);
    let mut pages = Pages::away(100);
    let spans = [0..100 * PAGE];
    for page in [3, 4, 50] {
        pages
            .touch::<io::Error>(
                &mut memory,
                &spans,
                page,
                Some(true),
                false,
                &mut |_, into| {
                    into.fill(1);
                    Ok(())
                },
            )
            .unwrap();
        memory.now[page * PAGE + 7] = 9;
    }
    let mut sent = Vec::new();
    pages
        .flush::<io::Error>(&mut memory, &spans, 0..100, false, &mut |at, bytes| {
            sent.push((at, bytes.len()));
            Ok(())
        })
        .unwrap();
    assert_eq!(sent, [(3 * PAGE, 2 * PAGE), (50 * PAGE, PAGE)]);
}

#[test]
fn touches_in_a_row_fetch_more_and_more() {
    let mut memory = Simulated::new(5000, Access::None);
    let mut pages = Pages::away(5000);
    let mut fetches = Vec::new();
    for page in 0..5000 {
        if memory.access[page] == Access::None {
            pages
                .touch::<io::Error>(
                    &mut memory,
                    &[0..5000 * PAGE],
                    page,
                    Some(false),
                    false,
                    &mut |_, into| {
                        fetches.push(into.len() / PAGE);
                        Ok(())
                    },
                )
                .unwrap();
        }
    }
    assert_eq!(fetches[..6], [32, 64, 128, 256, 512, 1024]);
    assert!(fetches.len() < 10);
}

#[test]
fn a_failed_send_loses_nothing() {
    let mut memory = Simulated::new(2, Access::All);
    let mut pages = Pages::zeros(2);
    memory.now[5] = 1;
    memory.touched[0] = true;
    let spans = [0..2 * PAGE];
    let failed = pages.flush(&mut memory, &spans, 0..2, false, &mut |_, _| {
        Err(io::Error::other("gone"))
    });
    assert!(failed.is_err());
    assert_eq!(memory.access[0], Access::All);
    let mut sent = 0;
    pages
        .flush::<io::Error>(&mut memory, &spans, 0..2, false, &mut |_, bytes| {
            sent += bytes.len();
            Ok(())
        })
        .unwrap();
    assert_eq!(sent, PAGE);
}
