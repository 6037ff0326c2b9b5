//! One `WatchChanges` stream: sends the same changes as `RouteStates`, and takes no batches.

use std::convert::Infallible;
use std::sync::Arc;

use presence_router_proto::server::{
    WatchChangesResponse, watch_changes_response::Message as Response,
};
use presence_router_proto::v1::WatchChangesRequest;
use tokio_util::sync::CancellationToken;

use super::changes::StreamState;
use super::outbox::{End, Event, Outbox, ResponseSender, finish_stream, wait_for_interruption};
use super::resume::{Resumed, resume_stream};
use super::set_table::SetUpdate;
use crate::live::{Current, Live};
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::{StreamLog, StreamStats};
use crate::rpc::validate;

/// A watch.
struct Watch {
    live: Arc<Live>,
    current: Arc<Current>,
    state: StreamState,
    outbox: Outbox<WatchChangesResponse>,
}

/// Serves a watch to its end, and records its statistics in the log.
pub(in crate::rpc) async fn serve_watch_changes(
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
    request: WatchChangesRequest,
    responses: ResponseSender<WatchChangesResponse>,
    log: StreamLog,
) {
    let mut stats = StreamStats::default();
    let watching = async {
        let mut watch = Watch::open_watch(live, limits, request, responses.clone()).await?;
        watch.send_events(&mut stats).await
    };
    let end = tokio::select! {
        biased;
        end = wait_for_interruption(&responses, &shutdown) => end,
        ended = watching => match ended {
            Ok(never) => match never {},
            Err(end) => end,
        },
    };
    log.record_end(stats);
    finish_stream(&responses, end).await;
}

// === impl Watch ===

impl Watch {
    async fn open_watch(
        live: Arc<Live>,
        limits: Limits,
        request: WatchChangesRequest,
        responses: ResponseSender<WatchChangesResponse>,
    ) -> Result<Self, End> {
        let caller = validate::parse_caller(&request.server_names, request.capabilities())?;
        let WatchChangesRequest { resume_revision, set_budget_bytes, .. } = request;
        let Resumed { current, missed } =
            resume_stream(&live, &resume_revision, limits.at_least).await?;
        let state = StreamState::new(caller, set_budget_bytes);
        let outbox = Outbox::new(responses, limits.heartbeat);
        let mut watch = Self { live, current, state, outbox };
        watch.outbox.send_opened(watch.current.revision, &[]).await?;
        if let Some(missed) = missed {
            let change = missed.into_change(&mut watch.state, &watch.live, &watch.current).await;
            watch.outbox.send_change(change).await?;
        }
        Ok(watch)
    }

    /// Sends changes and heartbeats until the stream ends.
    async fn send_events(&mut self, stats: &mut StreamStats) -> Result<Infallible, End> {
        let mut revisions = self.live.subscribe_current();
        loop {
            stats.revision = Some(self.current.revision);
            // All revisions that came while the last message waited for its reader are one
            // change.
            let now = Arc::clone(&revisions.borrow_and_update());
            if now.revision != self.current.revision {
                let capabilities = self.state.capabilities();
                let difference = self.live.difference(&self.current, &now, capabilities).await;
                let change = self.state.follow_revision(&self.current, &now, &difference);
                self.current = now;
                self.outbox.send_change(change).await?;
                continue;
            }
            tokio::select! {
                biased;
                // Never fails: `Live` owns the sender, and this watch holds `Live`.
                _ = revisions.changed() => {}
                () = self.outbox.heartbeat_due() => {
                    self.outbox.send_heartbeat(self.current.revision).await?;
                }
            }
        }
    }
}

impl From<Event> for WatchChangesResponse {
    fn from(event: Event) -> Self {
        let message = match event {
            Event::Opened(opened) => Response::Opened(opened),
            Event::Heartbeat(heartbeat) => Response::Heartbeat(heartbeat),
            Event::Changed(changed) => Response::Changed(changed),
            Event::Reset(reset) => Response::Reset(reset),
            Event::Set(SetUpdate::Part(part)) => Response::SetPart(part),
            Event::Set(SetUpdate::Edit(edit)) => Response::SetEdit(edit),
            Event::Set(SetUpdate::Retired(retired)) => Response::SetRetired(retired),
        };
        Self { message: Some(message) }
    }
}
