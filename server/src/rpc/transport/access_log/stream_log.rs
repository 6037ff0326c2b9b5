//! The part of a stream's record that its task keeps, and counts by.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tonic::Request;

use super::call_record::CallRecord;
use super::{StreamStats, lines};

/// The part of a stream's record that its task keeps. Empty if the stream came by
/// no connection of a server's.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct StreamLog(Option<Arc<CallRecord>>);

// === impl StreamLog ===

impl StreamLog {
    /// The record of the call that begins a stream.
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

    /// Counts a question about interest.
    pub(in crate::rpc) fn count_interest(&self) {
        if let Some(record) = &self.0 {
            record.connection.log.statistics.count_interest();
        }
    }

    /// Notes what the stream did, now that its task has ended.
    pub(in crate::rpc) fn record_end(self, stats: StreamStats) {
        if let Some(record) = self.0 {
            // Not reached: a stream ends once.
            let _ = record.stream_stats.set(stats);
        }
    }
}
