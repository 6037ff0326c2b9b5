//! The part of a stream's record that the stream's task keeps and counts with.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tonic::Request;

use super::call_record::CallRecord;
use super::{StreamStats, lines};

/// The part of a stream's record that the stream's task keeps. Empty if the stream did not come
/// over a connection of a server.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct StreamLog(Option<Arc<CallRecord>>);

// === impl StreamLog ===

impl StreamLog {
    /// Returns the record of the call that begins a stream.
    pub(in crate::rpc) fn begin_stream<T>(request: &Request<T>) -> Self {
        let record = request.extensions().get::<Arc<CallRecord>>().cloned();
        if let Some(record) = &record {
            record.is_stream.store(true, Relaxed);
            record.connection.log.statistics.count_stream_begun();
            lines::write_stream_begin(record);
        }
        Self(record)
    }

    /// Counts a batch.
    pub(in crate::rpc) fn count_batch(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_batch();
        }
    }

    /// Counts the states of a batch, now that they are routed.
    pub(in crate::rpc) fn count_states(&self, states: u64) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_states(states);
        }
    }

    /// Counts a query about interest.
    pub(in crate::rpc) fn count_interest(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_interest();
        }
    }

    /// Counts a message that says which answers the client still uses.
    pub(in crate::rpc) fn count_touch(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_touch();
        }
    }

    /// Records the numbers of the stream, after the end of its task.
    pub(in crate::rpc) fn record_end(self, stats: StreamStats) {
        if let Some(record) = self.0 {
            // An error is not reached: a stream ends once.
            let _ = record.stream_stats.set(stats);
        }
    }
}
