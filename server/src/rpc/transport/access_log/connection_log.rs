//! The log of one connection's calls: which lines about it may be written.

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
    /// Calls, and answers that are not on their way yet.
    under_way: TaskTracker,
}

// === impl ConnectionLog ===

impl ConnectionLog {
    pub(in crate::rpc) fn new(log: Arc<CallLog>, peer: Peer) -> Self {
        let refusals = Arc::new(LineBudget::new(REFUSALS_PER_SECOND));
        let lines = log.lines_of(peer.origin());
        Self { peer, log, refusals, lines, under_way: TaskTracker::new() }
    }

    /// Calls that are under way, and answers of which the client has not taken
    /// all yet.
    pub(in crate::rpc) fn under_way(&self) -> &TaskTracker {
        &self.under_way
    }

    /// Whether a line about this connection may be written now.
    pub(in crate::rpc) fn admits_line(&self) -> bool {
        self.admits(&self.lines, || self.peer.origin().to_string())
    }

    pub(super) fn admits_refusal(&self) -> bool {
        self.admits(&self.refusals, || self.peer.to_string()) && self.admits_line()
    }

    fn admits(&self, budget: &Arc<LineBudget>, whose: impl Fn() -> String) -> bool {
        match budget.admit(Instant::now()) {
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
                // There is none when the process ends without its server.
                if let Ok(runtime) = Handle::try_current() {
                    self.log.unwritten.spawn_on(report, &runtime);
                }
                false
            }
        }
    }
}

/// Says how many lines about a peer were left out.
fn log_left_out(peer: &str, lines: u64, per_second: u32) {
    info!(
        target: REFUSED,
        peer,
        lines,
        "lines about this peer were left out: at most {per_second} a second are written"
    );
}
