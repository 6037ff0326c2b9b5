//! Reports of hits in memory. The daemon does not see them, and retires first the sets that were
//! used least recently.

use std::time::Duration;

use presence_router_proto::v1::Touch;
use tokio::time::Instant;

use crate::stream::route::cache_writer::CacheWriter;

/// Minimum time between two reports of hits. A reader in a loop has new hits at any time.
const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum number of sets in one `Touch`: a fraction of what the daemon accepts.
const MAX_SETS: usize = 16 * 1024;

/// The reports of one stream.
#[derive(Debug, Default)]
pub(super) struct HitReports {
    accepts_touch: bool,
    /// Sets whose answers had hits in memory, to be sent in a `Touch`.
    touched: Vec<u64>,
    /// The time of the last report that was not empty.
    last: Option<Instant>,
}

// === impl HitReports ===

impl HitReports {
    /// Begins the reports of a stream. `accepts_touch`: the daemon announced `Touch`.
    pub(super) fn of_stream(accepts_touch: bool) -> Self {
        Self { accepts_touch, ..Self::default() }
    }

    /// Returns true if there is a `Touch` to send.
    pub(super) fn is_waiting(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Collects hits before a question, whose answer may need room that the daemon takes from
    /// idle sets. Not before each one, or readers with hits all the time would keep every
    /// question waiting.
    pub(super) fn collect_before_question(&mut self, cache: &mut CacheWriter) {
        let recent = self.last.is_some_and(|last| last.elapsed() < MIN_INTERVAL);
        if self.accepts_touch && !recent {
            self.collect(cache);
        }
    }

    /// Collects the hits since the last call. An older daemon gets the same questions again.
    pub(super) fn collect(&mut self, cache: &mut CacheWriter) {
        let used = cache.take_used();
        if !used.is_empty() {
            self.last = Some(Instant::now());
        }
        for cell in used {
            if self.accepts_touch {
                self.touched.push(cell.set_id);
            } else {
                cache.misses.add_without_caller(&cell.asked);
            }
        }
    }

    /// Takes the next message to send.
    pub(super) fn take_touch(&mut self) -> Option<Touch> {
        let sets = self.touched.len().min(MAX_SETS);
        (sets > 0).then(|| Touch { set_ids: self.touched.drain(..sets).collect() })
    }
}
