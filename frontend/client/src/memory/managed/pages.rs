//! Which pages of a piece of managed memory the processor may touch, and what has to travel before it or the GPU may go on.
//!
//! A page is *away* (the GPU's bytes are what counts; the processor may not touch it), *clean* (both have the same bytes; the processor may read) or *dirty* (the processor
//! may write; what differs from the twin, the bytes as last exchanged, was changed here). Pages that were fetched while work was running that may change them are *busy*:
//! they do not outlive that work, and of them exactly the changed bytes are sent, so that processor and GPU may change neighbours.
//!
//! Here is the bookkeeping alone: the memory and the way to the GPU come from the caller, which is how the property test runs it.

use std::io;
use std::ops::Range;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// Pages that become dirty together: a fault costs more than comparing them.
const CLUSTER: usize = 16;
/// Pages fetched at a first touch, and at most when touches follow one another.
const FIRST: usize = 32;
pub(super) const LONGEST: usize = 1024;
/// The most bytes sent at a time.
pub(super) const MESSAGE: usize = 8 << 20;

/// Where pages are of which there are none: any range is wider.
const NOWHERE: Range<usize> = Range {
    start: usize::MAX,
    end: 0,
};

const AWAY: u8 = 0;
const CLEAN: u8 = 1;
const DIRTY: u8 = 2;
const STATE: u8 = 3;
const BUSY: u8 = 4;

/// What the program may do with pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    None,
    Read,
    All,
}

/// A piece's memory on this side. Offsets and lengths are bytes; pages whose bytes are asked for are protected against the program's writes.
pub(super) trait Memory {
    /// Sets what the program may do.
    fn protect(&mut self, at: usize, len: usize, access: Access) -> io::Result<()>;
    /// The program's bytes.
    fn now(&self, at: usize, len: usize) -> &[u8];
    /// The same, to be filled with what was fetched.
    fn fill(&mut self, at: usize, len: usize) -> &mut [u8];
    /// The twin's bytes: zeros where it was forgotten.
    fn twin(&self, at: usize, len: usize) -> &[u8];
    /// Makes the twin equal to the program's bytes.
    fn remember(&mut self, at: usize, len: usize);
    /// Forgets the twin.
    fn forget(&mut self, at: usize, len: usize);
    /// Parts of a range that anybody has ever written to.
    fn written(&self, at: usize, len: usize) -> Vec<Range<usize>>;
}

/// The state of a piece's pages.
#[derive(Debug)]
pub(super) struct Pages {
    states: Vec<u8>,
    /// Pages that are not away, and where they lie: large pieces of which little is used are not gone through.
    here: usize,
    within: Range<usize>,
    /// Pages that are busy.
    busy: usize,
    /// Nothing has been sent yet: pages never touched need not be looked at.
    fresh: bool,
    /// Where the next fetch is expected, and how many pages it brings then.
    next: usize,
    window: usize,
}

impl Pages {
    /// Memory that both sides have as zeros, the program's to write to.
    pub(super) fn zeros(pages: usize) -> Self {
        Self {
            states: vec![DIRTY; pages],
            here: pages,
            within: 0..pages,
            busy: 0,
            fresh: true,
            next: usize::MAX,
            window: FIRST,
        }
    }

    /// Memory that the GPU has.
    pub(super) fn away(pages: usize) -> Self {
        Self {
            states: vec![AWAY; pages],
            here: 0,
            within: NOWHERE,
            busy: 0,
            fresh: false,
            next: usize::MAX,
            window: FIRST,
        }
    }

    /// Whether the program may touch any page.
    pub(super) fn any_here(&self) -> bool {
        self.here > 0
    }

    pub(super) fn any_busy(&self) -> bool {
        self.busy > 0
    }

    /// The next fetch brings as much as a long run of them would.
    pub(super) fn expect(&mut self, page: usize) {
        self.next = page;
        self.window = LONGEST / 2;
    }

    fn set(&mut self, pages: Range<usize>, new: u8) {
        if new != AWAY {
            self.within.start = self.within.start.min(pages.start);
            self.within.end = self.within.end.max(pages.end);
        }
        for state in &mut self.states[pages] {
            self.here = self.here + usize::from(new != AWAY) - usize::from(*state != AWAY);
            self.busy = self.busy + usize::from(new & BUSY != 0) - usize::from(*state & BUSY != 0);
            *state = new;
        }
        if self.here == 0 {
            self.within = NOWHERE;
        }
    }

    /// The runs of pages in a range whose states are alike and fulfil a condition.
    fn runs(&self, pages: Range<usize>, wanted: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut at = pages.start;
        while at < pages.end {
            let state = self.states[at];
            let len = self.states[at..pages.end]
                .iter()
                .take_while(|other| **other == state)
                .count();
            if wanted(state) {
                runs.push(at..at + len);
            }
            at += len;
        }
        runs
    }

    /// Sends what the program has changed in a range of pages. Afterwards it may read them (`keep`) or they are away. Says whether anything was sent.
    ///
    /// # Errors
    /// Those of `send`, or of protecting memory: then nothing is lost, and what was sent counts as unsent.
    pub(super) fn flush<E: From<io::Error>>(
        &mut self,
        memory: &mut impl Memory,
        spans: &[Range<usize>],
        pages: Range<usize>,
        keep: bool,
        send: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let whole = pages.len() == self.states.len();
        let pages = pages.start.max(self.within.start)..pages.end.min(self.within.end);
        if self.here == 0 || pages.is_empty() {
            return Ok(false);
        }
        let dirty = self.runs(pages.clone(), |state| state & STATE == DIRTY);
        let sent = match self.send_dirty(memory, spans, &dirty, send) {
            Ok(sent) => sent,
            Err(error) => {
                // The program may go on; what it has changed is still known.
                for run in &dirty {
                    let (at, len) = bytes(run);
                    memory.protect(at, len, Access::All)?;
                }
                return Err(error);
            }
        };
        if keep {
            for run in dirty {
                let (at, len) = bytes(&run);
                let busy = self.states[run.start] & BUSY;
                self.set(run, CLEAN | busy);
                memory.forget(at, len);
            }
        } else {
            let (at, len) = bytes(&pages);
            memory.protect(at, len, Access::None)?;
            if whole {
                self.fresh = false;
            }
            self.set(pages, AWAY);
            for run in dirty {
                let (at, len) = bytes(&run);
                memory.forget(at, len);
            }
        }
        Ok(sent)
    }

    fn send_dirty<E: From<io::Error>>(
        &self,
        memory: &mut impl Memory,
        spans: &[Range<usize>],
        dirty: &[Range<usize>],
        send: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut sent = false;
        for run in dirty {
            let (at, len) = bytes(run);
            memory.protect(at, len, Access::Read)?;
            let exact = self.states[run.start] & BUSY != 0;
            let parts = if self.fresh {
                memory.written(at, len)
            } else {
                std::iter::once(at..at + len).collect()
            };
            for part in changes(memory, parts, exact) {
                for span in clipped(spans, &part) {
                    for from in span.clone().step_by(MESSAGE) {
                        let to = span.end.min(from + MESSAGE);
                        send(from, memory.now(from, to - from))?;
                        sent = true;
                    }
                }
            }
        }
        Ok(sent)
    }

    /// Work that may have changed busy pages is done: they are sent and away.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub(super) fn revoke<E: From<io::Error>>(
        &mut self,
        memory: &mut impl Memory,
        spans: &[Range<usize>],
        send: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut sent = false;
        for run in self.runs(self.within.clone(), |state| state & BUSY != 0) {
            sent |= self.flush(memory, spans, run, false, send)?;
        }
        Ok(sent)
    }

    /// The program touched a page that it may not touch so. `write` if it is known; `busy` if work is running that may change the piece.
    ///
    /// # Errors
    /// Those of `fetch`, or of protecting memory.
    pub(super) fn touch<E: From<io::Error>>(
        &mut self,
        memory: &mut impl Memory,
        spans: &[Range<usize>],
        page: usize,
        write: Option<bool>,
        busy: bool,
        fetch: &mut impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mark = if busy { BUSY } else { 0 };
        match self.states[page] & STATE {
            AWAY => {
                let run = self.fetch_range(page);
                let (at, len) = bytes(&run);
                for span in clipped(spans, &(at..at + len)) {
                    fetch(span.start, memory.fill(span.start, span.len()))?;
                }
                memory.protect(at, len, Access::Read)?;
                self.set(run, CLEAN | mark);
                if write == Some(true) {
                    self.dirty(memory, page, mark)?;
                }
                Ok(())
            }
            // Another thread touched it at the same time, and it is here now.
            CLEAN if write == Some(false) => Ok(()),
            CLEAN => self.dirty(memory, page, mark).map_err(E::from),
            _ => Ok(()),
        }
    }

    /// The fetch failed for good: the program goes on with the bytes that are here.
    pub(super) fn give_up(&mut self, memory: &mut impl Memory, page: usize) -> io::Result<()> {
        let run = self.fetch_range(page);
        let (at, len) = bytes(&run);
        memory.remember(at, len);
        memory.protect(at, len, Access::All)?;
        self.set(run, DIRTY);
        Ok(())
    }

    /// Brings all pages here, the program's to write to: memory of one protection, where many parts of different ones are more than the system keeps.
    ///
    /// # Errors
    /// Those of `fetch`, or of protecting memory.
    pub(super) fn bring_all<E: From<io::Error>>(
        &mut self,
        memory: &mut impl Memory,
        spans: &[Range<usize>],
        busy: bool,
        fetch: &mut impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let all = 0..self.states.len();
        for run in self.runs(all.clone(), |state| state & STATE != DIRTY) {
            let (at, len) = bytes(&run);
            if self.states[run.start] == AWAY {
                for span in clipped(spans, &(at..at + len)) {
                    fetch(span.start, memory.fill(span.start, span.len()))?;
                }
            }
            memory.remember(at, len);
        }
        let (at, len) = bytes(&all);
        memory.protect(at, len, Access::All)?;
        let busy = busy || self.busy > 0;
        self.set(all, DIRTY | if busy { BUSY } else { 0 });
        Ok(())
    }

    /// What to fetch for a page: as much as touches in a row make likely.
    fn fetch_range(&mut self, page: usize) -> Range<usize> {
        self.window = if page == self.next {
            (self.window * 2).min(LONGEST)
        } else {
            FIRST
        };
        let away = |state: &&u8| **state == AWAY;
        let low = page & !(CLUSTER - 1);
        let before = self.states[low..page].iter().rev().take_while(away).count();
        let end = (page + self.window).min(self.states.len());
        let after = self.states[page..end].iter().take_while(away).count();
        self.next = page + after;
        page - before..page + after
    }

    /// Lets the program write to a clean page and its clean neighbours.
    fn dirty(&mut self, memory: &mut impl Memory, page: usize, mark: u8) -> io::Result<()> {
        let state = self.states[page];
        let low = page & !(CLUSTER - 1);
        let high = (low + CLUSTER).min(self.states.len());
        let same = |other: &&u8| **other == state;
        let before = self.states[low..page].iter().rev().take_while(same).count();
        let after = self.states[page..high].iter().take_while(same).count();
        let run = page - before..page + after;
        let (at, len) = bytes(&run);
        memory.remember(at, len);
        memory.protect(at, len, Access::All)?;
        self.set(run, DIRTY | (state & BUSY) | mark);
        Ok(())
    }
}

/// Offset and length of a run of pages.
fn bytes(pages: &Range<usize>) -> (usize, usize) {
    (pages.start * PAGE, pages.len() * PAGE)
}

/// The parts of sorted spans that lie in a range.
fn clipped(spans: &[Range<usize>], range: &Range<usize>) -> Vec<Range<usize>> {
    spans
        .iter()
        .map(|span| span.start.max(range.start)..span.end.min(range.end))
        .filter(|part| part.start < part.end)
        .collect()
}

/// What differs from the twin: whole pages, or `exact` bytes.
fn changes(memory: &impl Memory, parts: Vec<Range<usize>>, exact: bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut add = |range: Range<usize>| match found.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => found.push(range),
    };
    for part in parts {
        let mut at = part.start;
        while at < part.end {
            let len = PAGE.min(part.end - at);
            let (now, twin) = (memory.now(at, len), memory.twin(at, len));
            if now != twin {
                if exact {
                    let mut i = 0;
                    while i < len {
                        let same = now[i..].iter().zip(&twin[i..]);
                        i += same.take_while(|(a, b)| a == b).count();
                        let other = now[i..].iter().zip(&twin[i..]);
                        let run = other.take_while(|(a, b)| a != b).count();
                        if run > 0 {
                            add(at + i..at + i + run);
                        }
                        i += run;
                    }
                } else {
                    add(at..at + len);
                }
            }
            at += len;
        }
    }
    found
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
