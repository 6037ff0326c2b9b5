//! Bounds the lines that one peer can cause: a number of lines a second, then one line with the
//! number of omitted ones.
//!
//! It knows neither a queue nor a reader: the log decides about the lines that pass.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time for which lines are counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// The budget for lines about one peer, shared by all code that writes them.
#[derive(Debug)]
pub(super) struct LineBudget {
    per_second: u32,
    window: Mutex<Window>,
}

/// The counts of the current second.
#[derive(Debug, Default)]
struct Window {
    until: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// The decision about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Write the line.
    Write,
    /// Omit the line.
    LeaveOut,
    /// Omit the line, the first one of its second: report the number of omitted lines at this
    /// time.
    LeaveOutAndReportAt(Instant),
}

// === impl LineBudget ===

impl LineBudget {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, window: Mutex::default() }
    }

    /// The number of lines that a second has room for.
    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Counts a line, and decides about it.
    pub(super) fn admit_line(&self, now: Instant) -> Admission {
        let mut window = self.lock();
        let until = match window.until {
            Some(until) if now < until => until,
            _ => {
                window.written = 0;
                *window.until.insert(now + WINDOW)
            }
        };
        if window.written < self.per_second {
            window.written += 1;
            return Admission::Write;
        }
        window.left_out += 1;
        match window.left_out {
            1 => Admission::LeaveOutAndReportAt(until),
            _ => Admission::LeaveOut,
        }
    }

    /// Returns the number of lines omitted since the last report, and resets it.
    pub(super) fn take_left_out(&self) -> u64 {
        std::mem::take(&mut self.lock().left_out)
    }

    /// Returns true if the budget has no counts that matter any more.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let window = self.lock();
        window.left_out == 0 && window.until.is_none_or(|until| until <= now)
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // Poison is no harm: each change of a window is complete.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many_lines_and_counts_the_rest() {
        let budget = LineBudget::new(3);
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(budget.admit_line(begun), Admission::Write);
        }
        let later = begun + Duration::from_millis(999);
        assert_eq!(budget.admit_line(later), Admission::LeaveOutAndReportAt(begun + WINDOW));
        for _ in 0..6 {
            assert_eq!(budget.admit_line(later), Admission::LeaveOut);
        }
        assert!(!budget.is_idle(begun + WINDOW), "seven lines are not reported yet");
        assert_eq!(budget.take_left_out(), 7);
        assert_eq!(budget.take_left_out(), 0);
        assert!(budget.is_idle(begun + WINDOW));

        let next = begun + WINDOW;
        assert_eq!(budget.admit_line(next), Admission::Write);
        assert!(!budget.is_idle(next));
    }
}
