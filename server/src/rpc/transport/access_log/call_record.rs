//! One call, with the contents of its line.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::codegen::http;
use tonic::{Code, Status};

use super::connection_log::ConnectionLog;
use super::{StreamStats, UnaryStats};
use crate::rpc::transport::deadline::Deadline;

/// One call, from its headers to its line, which is written when the record is dropped.
#[derive(Debug)]
pub(in crate::rpc) struct CallRecord {
    pub(super) uri: http::Uri,
    pub(super) connection: Arc<ConnectionLog>,
    pub(super) since: Instant,
    deadline: Option<Deadline>,
    pub(super) sent: OnceLock<Sent>,
    pub(super) unary_stats: OnceLock<UnaryStats>,
    pub(super) is_stream: AtomicBool,
    /// True if the request ended with an error, so that no caller is left to answer.
    has_lost_caller: AtomicBool,
    pub(super) stream_stats: OnceLock<StreamStats>,
    // Last, so that the call counts as unfinished until its line is written.
    under_way: TaskTrackerToken,
    _unwritten: TaskTrackerToken,
}

/// The end of a call, as the caller sees it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) code: Code,
    pub(super) why: Option<String>,
}

// === impl CallRecord ===

impl CallRecord {
    /// Returns the record of a call that begins now.
    pub(in crate::rpc) fn begin_call<B>(
        connection: &Arc<ConnectionLog>,
        request: &http::Request<B>,
    ) -> Arc<Self> {
        let since = Instant::now();
        Arc::new(Self {
            uri: request.uri().clone(),
            connection: Arc::clone(connection),
            since,
            deadline: Deadline::from_headers(request.headers(), since),
            sent: OnceLock::new(),
            unary_stats: OnceLock::new(),
            is_stream: AtomicBool::new(false),
            has_lost_caller: AtomicBool::new(false),
            stream_stats: OnceLock::new(),
            under_way: connection.under_way().token(),
            _unwritten: connection.log.unwritten.token(),
        })
    }

    /// The path of the call: `/service/method`.
    pub(in crate::rpc) fn call_path(&self) -> &str {
        self.uri.path()
    }

    /// The deadline of the call, if its caller set one.
    pub(in crate::rpc) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Returns a token during whose life the call counts as unfinished.
    pub(in crate::rpc) fn keep_under_way(&self) -> TaskTrackerToken {
        self.under_way.clone()
    }

    /// Notes the numbers of a unary call.
    pub(in crate::rpc) fn set_unary_stats(&self, stats: UnaryStats) {
        // An error is not reached: a call has one response.
        let _ = self.unary_stats.set(stats);
    }

    /// Notes that the request ended with an error.
    pub(in crate::rpc) fn lose_caller(&self) {
        self.has_lost_caller.store(true, Relaxed);
    }

    /// Notes the status that the caller gets instead of an answer, if the caller is still there.
    pub(in crate::rpc) fn note_refusal(&self, status: &Status) {
        if self.has_lost_caller.load(Relaxed) {
            self.note_abandoned();
        } else {
            self.note_status(status);
        }
    }

    /// Notes the status that the caller gets. The first one counts: nothing is sent after it.
    pub(in crate::rpc) fn note_status(&self, status: &Status) {
        let why = Some(status.message()).filter(|why| !why.is_empty()).map(str::to_owned);
        let _ = self.sent.set(Sent { code: status.code(), why });
    }

    /// Notes that the caller gets the status OK.
    pub(in crate::rpc) fn note_ok(&self) {
        let _ = self.sent.set(Sent { code: Code::Ok, why: None });
    }

    /// Notes that the caller no longer waits for the call, and got no status unless one was noted
    /// before.
    pub(in crate::rpc) fn note_abandoned(&self) {
        self.sent.get_or_init(|| match self.deadline {
            _ if self.connection.log.cut_off.load(Relaxed) => Sent {
                code: Code::Unavailable,
                why: Some("cut off: the time for shutting down was over".to_owned()),
            },
            Some(deadline) if deadline.is_due(Instant::now()) => {
                Sent { code: Code::DeadlineExceeded, why: Some(deadline_passed(deadline)) }
            }
            _ => Sent {
                code: Code::Cancelled,
                why: Some("the caller went away before the call was answered".to_owned()),
            },
        });
    }
}

/// The text about a call that ended at its deadline, for the caller and the log.
pub(in crate::rpc) fn deadline_passed(deadline: Deadline) -> String {
    format!("the call's deadline of {:?} passed before it was answered", deadline.timeout())
}
