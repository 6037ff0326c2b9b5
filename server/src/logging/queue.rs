//! The queue of lines that wait for the writing thread. The queue is bounded in bytes, and a
//! task that logs never waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The number of waiting bytes above which the queue drops droppable lines: some 20,000 calls.
const DROPPABLE_BYTES: usize = 4 * 1024 * 1024;

/// The maximum number of waiting bytes. The queue counts the lines that it drops above this
/// maximum separately: no operator should ever see this count.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The importance of a line, which decides whether the queue may drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Importance {
    /// One line of very many: a call, or a line for debugging.
    Droppable,
    /// A warning, an error, a refusal, or a change of the daemon's state.
    Kept,
}

/// The numbers of dropped lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) droppable: u64,
    pub(super) kept: u64,
}

/// The waiting lines.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer when a line arrives.
    filled: Condvar,
    /// Wakes [`Queue::flush`] when lines were written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that the writer has taken and not written yet.
    taken: usize,
    /// Bytes that the writer has written or given up since the start.
    done: u64,
    left_out: LeftOut,
}

// === impl Queue ===

impl Queue {
    /// Adds a line, or counts it as dropped if the queue has no room.
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

    /// Waits for lines, and replaces the content of `lines` by them.
    pub(super) fn take_lines(&self, lines: &mut Vec<u8>) {
        lines.clear();
        let state = self.lock();
        let nothing = |state: &mut State| state.waiting.is_empty();
        let state = self.filled.wait_while(state, nothing);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, lines);
        state.taken = lines.len();
    }

    /// Records that the writer has written or given up this many of the taken bytes.
    pub(super) fn finish_bytes(&self, bytes: usize) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(bytes);
        state.done = state.done.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        drop(state);
        self.drained.notify_all();
    }

    /// Returns the numbers of lines dropped since the last call, once the queue has room for a
    /// line about them.
    pub(super) fn take_left_out(&self) -> Option<LeftOut> {
        let mut state = self.lock();
        let there_are = state.left_out != LeftOut::default();
        (there_are && state.bytes() <= DROPPABLE_BYTES / 2)
            .then(|| std::mem::take(&mut state.left_out))
    }

    /// Waits until the writer has finished all lines, for at most `longest` in all, and at most
    /// `stalled` without progress.
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
        // A poisoned lock is harmless: each change is complete, except for lost lines.
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

    /// Fills a queue without a writer with lines of one size.
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
        queue.take_lines(&mut lines);
        assert_eq!(lines.len(), (room + 10) * 1024);
        queue.finish_bytes(lines.len());
        let left_out = LeftOut { droppable: 5000 - room as u64, kept: 0 };
        assert_eq!(queue.take_left_out(), Some(left_out));
        assert_eq!(queue.take_left_out(), None);
    }

    #[test]
    fn kept_lines_are_bounded_as_well() {
        let queue = Queue::default();
        fill(&queue, Importance::Kept, 1024, 20_000);
        let mut lines = Vec::new();
        queue.take_lines(&mut lines);
        assert_eq!(lines.len(), MAX_BYTES);
        fill(&queue, Importance::Kept, 1, 1);
        queue.finish_bytes(lines.len());
        let kept = 20_001 - (MAX_BYTES / 1024) as u64;
        assert_eq!(queue.take_left_out(), Some(LeftOut { droppable: 0, kept }));
    }

    /// The flush must not wait for a writer, since there is none.
    #[test]
    fn a_flush_ends_without_a_writer() {
        let queue = Queue::default();
        fill(&queue, Importance::Kept, 10, 1);
        queue.flush(Duration::from_millis(20), Duration::from_millis(10));
        queue.finish_bytes(0);
        let mut lines = Vec::new();
        queue.take_lines(&mut lines);
        queue.finish_bytes(lines.len());
        queue.flush(Duration::MAX / 4, Duration::MAX / 4);
    }
}
