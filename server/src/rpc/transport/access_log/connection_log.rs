//! The log of one connection's calls: decides which lines about the connection are written.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::line_budget::{Admission, LineBudget};
use super::{CallLog, REFUSED};
use crate::rpc::transport::peer::Peer;

/// Lines a second about refused and failed calls of one connection.
const REFUSALS_PER_SECOND: u32 = 20;

/// The log of one connection's calls.
#[derive(Debug)]
pub(in crate::rpc) struct ConnectionLog {
    pub(in crate::rpc) peer: Peer,
    pub(super) log: Arc<CallLog>,
    /// Bounds the lines about refused and failed calls.
    refusals: Arc<LineBudget>,
    /// Bounds all lines, together with the other connections of the address.
    lines: Arc<LineBudget>,
    /// Unfinished calls, and answers that are not fully written.
    under_way: TaskTracker,
}

// === impl ConnectionLog ===

impl ConnectionLog {
    pub(in crate::rpc) fn new(log: Arc<CallLog>, peer: Peer) -> Self {
        let refusals = Arc::new(LineBudget::new(REFUSALS_PER_SECOND));
        let lines = log.lines_of(peer.origin());
        Self { peer, log, refusals, lines, under_way: TaskTracker::new() }
    }

    /// Unfinished calls, and answers that the client has not fully taken.
    pub(in crate::rpc) fn under_way(&self) -> &TaskTracker {
        &self.under_way
    }

    /// Counts a line about this connection, and returns true if it may be written.
    pub(in crate::rpc) fn admits_line(&self) -> bool {
        self.admits_within(&self.lines, || self.peer.origin().to_string())
    }

    pub(super) fn admits_refusal(&self) -> bool {
        self.admits_within(&self.refusals, || self.peer.to_string()) && self.admits_line()
    }

    fn admits_within(&self, budget: &Arc<LineBudget>, whose: impl Fn() -> String) -> bool {
        match budget.admit_line(Instant::now()) {
            Admission::Write => true,
            Admission::LeaveOut => false,
            Admission::LeaveOutAndReportAt(time) => {
                let (budget, peer) = (Arc::clone(budget), whose());
                let closing = self.log.closing.clone();
                let report = async move {
                    tokio::select! {
                        () = tokio::time::sleep_until(time) => {}
                        () = closing.cancelled() => {}
                    }
                    log_left_out(&peer, budget.take_left_out(), budget.per_second());
                };
                // There is no runtime when the process ends without its server.
                if let Ok(runtime) = Handle::try_current() {
                    self.log.unwritten.spawn_on(report, &runtime);
                }
                false
            }
        }
    }
}

/// Writes the number of omitted lines about a peer.
fn log_left_out(peer: &str, lines: u64, per_second: u32) {
    info!(
        target: REFUSED,
        peer,
        lines,
        "lines about this peer were left out: at most {per_second} a second are written"
    );
}
