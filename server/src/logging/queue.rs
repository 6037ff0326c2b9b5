//! Lines that wait for the thread that writes them: bounded in bytes, and never
//! waited for by those that log.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The bytes that may wait before lines are left out that can be: some 20,000 calls.
const DROPPABLE_BYTES: usize = 4 * 1024 * 1024;

/// The bytes that may wait in all. What is left out beyond that is counted by itself:
/// no operator should ever see that number.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Whether a line may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Importance {
    /// One of very many: a call, or what only those who look for faults read.
    Droppable,
    /// A warning, an error, a refusal, or a change of the daemon's state.
    Kept,
}

/// Lines that nobody will read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) droppable: u64,
    pub(super) kept: u64,
}

/// The lines that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that the writer has taken, and not written yet.
    taken: usize,
    /// Bytes that were written, or given up, since the start.
    done: u64,
    left_out: LeftOut,
}

// === impl Queue ===

impl Queue {
    /// Adds a line, unless there is no room for it.
    pub(super) fn push(&self, importance: Importance, line: &[u8]) {
        let mut state = self.lock();
        let bytes = state.bytes().saturating_add(line.len());
        match importance {
            Importance::Droppable if bytes > DROPPABLE_BYTES => state.left_out.droppable += 1,
            Importance::Kept if bytes > MAX_BYTES => state.left_out.kept += 1,
            _ => {
                state.waiting.extend_from_slice(line);
                drop(state);
                self.filled.notify_one();
            }
        }
    }

    /// Waits for lines, and puts them in place of what `lines` held.
    pub(super) fn take(&self, lines: &mut Vec<u8>) {
        lines.clear();
        let state = self.lock();
        let nothing = |state: &mut State| state.waiting.is_empty();
        let state = self.filled.wait_while(state, nothing);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, lines);
        state.taken = lines.len();
    }

    /// Notes that so many bytes of those that were taken are done with.
    pub(super) fn finish(&self, bytes: usize) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(bytes);
        state.done = state.done.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        drop(state);
        self.drained.notify_all();
    }

    /// The lines that were left out since this was asked last, once there is room to
    /// say so.
    pub(super) fn take_left_out(&self) -> Option<LeftOut> {
        let mut state = self.lock();
        let there_are = state.left_out != LeftOut::default();
        (there_are && state.bytes() <= DROPPABLE_BYTES / 2)
            .then(|| std::mem::take(&mut state.left_out))
    }

    /// Waits until all lines are done with: at most `longest`, and no longer than
    /// `stalled` while nothing is.
    pub(super) fn flush(&self, longest: Duration, stalled: Duration) {
        let until = Instant::now() + longest;
        let mut state = self.lock();
        while state.bytes() > 0 {
            let done = state.done;
            let patience = stalled.min(until.saturating_duration_since(Instant::now()));
            let no_progress = |state: &mut State| state.bytes() > 0 && state.done == done;
            let waited = self.drained.wait_timeout_while(state, patience, no_progress);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return;
            }
            state = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Poison is no harm: each change is complete, but for lost lines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn bytes(&self) -> usize {
        self.waiting.len() + self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a queue that nobody empties with lines of a size.
    fn fill(queue: &Queue, importance: Importance, line: usize, lines: usize) {
        for _ in 0..lines {
            queue.push(importance, &vec![b'x'; line]);
        }
    }

    #[test]
    fn droppable_lines_leave_room_for_those_that_are_kept() {
        let queue = Queue::default();
        fill(&queue, Importance::Droppable, 1024, 5000);
        let room = DROPPABLE_BYTES / 1024;
        fill(&queue, Importance::Kept, 1024, 10);
        assert_eq!(queue.take_left_out(), None, "there is no room to say so");
        let mut lines = Vec::new();
        queue.take(&mut lines);
        assert_eq!(lines.len(), (room + 10) * 1024);
        queue.finish(lines.len());
        let left_out = LeftOut { droppable: 5000 - room as u64, kept: 0 };
        assert_eq!(queue.take_left_out(), Some(left_out));
        assert_eq!(queue.take_left_out(), None);
    }

    #[test]
    fn kept_lines_are_bounded_as_well() {
        let queue = Queue::default();
        fill(&queue, Importance::Kept, 1024, 20_000);
        let mut lines = Vec::new();
        queue.take(&mut lines);
        assert_eq!(lines.len(), MAX_BYTES);
        fill(&queue, Importance::Kept, 1, 1);
        queue.finish(lines.len());
        let kept = 20_001 - (MAX_BYTES / 1024) as u64;
        assert_eq!(queue.take_left_out(), Some(LeftOut { droppable: 0, kept }));
    }

    /// No thread writes: it must not wait for one.
    #[test]
    fn a_flush_ends_though_nobody_writes() {
        let queue = Queue::default();
        fill(&queue, Importance::Kept, 10, 1);
        queue.flush(Duration::from_millis(20), Duration::from_millis(10));
        queue.finish(0);
        let mut lines = Vec::new();
        queue.take(&mut lines);
        queue.finish(lines.len());
        queue.flush(Duration::MAX / 4, Duration::MAX / 4);
    }
}
