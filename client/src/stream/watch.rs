//! Changes over one `WatchChanges` stream after another.

use std::sync::Arc;

use presence_router_proto::v1::{
    self, WatchChangesRequest, WatchChangesResponse,
    watch_changes_response::Message as ResponseMessage,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    Capabilities, Liveness, OPENING, ReconnectBackoff, StreamError, refuses_revision,
    spawn_in_runtime, store::Store,
};
use crate::{ChangeEvent, Changed, Changes, Error, ProtocolViolation, shared::Shared};

/// Number of events that wait for the caller. More would only let a slow caller lag
/// further behind: the daemon combines later changes into one.
const EVENTS_WAITING: usize = 4;

/// The task that keeps the stream open.
struct Task {
    shared: Arc<Shared>,
    events: mpsc::Sender<ChangeEvent>,
    /// The revision up to which changes were delivered. Empty: no revision is known.
    resume_revision: String,
    /// True if changes were missed that the daemon can no longer report.
    lost: bool,
    capabilities: Capabilities,
    backoff: ReconnectBackoff,
}

/// The end of a stream.
enum StreamEnd {
    /// The caller dropped its [`Changes`].
    Unused,
    /// The stream did not open.
    NotOpened(StreamError),
    /// The stream opened, and broke. `useful` is true if it lived long.
    Broken { failed: StreamError, useful: bool },
}

/// Starts a task that follows changes.
pub(crate) fn watch_changes(shared: Arc<Shared>) -> Changes {
    let (events, receiver) = mpsc::channel(EVENTS_WAITING);
    let task = Task {
        events,
        resume_revision: String::new(),
        lost: false,
        capabilities: Capabilities::new("WatchChanges", shared.set_budget_bytes),
        backoff: ReconnectBackoff::new(shared.backoff),
        shared,
    };
    spawn_in_runtime(task.keep_open());
    Changes::new(ReceiverStream::new(receiver))
}

// === impl Task ===

impl Task {
    async fn keep_open(mut self) {
        let mut reported = false;
        loop {
            let events = self.events.clone();
            let end = tokio::select! {
                end = self.run_stream() => end,
                () = events.closed() => StreamEnd::Unused,
            };
            let (failed, at) = match end {
                StreamEnd::Unused => return,
                StreamEnd::NotOpened(mut failed) => {
                    if refuses_revision(&failed.error) {
                        self.lost |= !self.resume_revision.is_empty();
                        self.resume_revision.clear();
                    }
                    if self.capabilities.downgrade_after(&mut failed) {
                        continue;
                    }
                    (failed, self.backoff.next_try())
                }
                StreamEnd::Broken { failed, useful } => {
                    reported = false;
                    self.capabilities.reset();
                    if useful {
                        self.backoff.reset();
                    }
                    (failed, if useful { Instant::now() } else { self.backoff.next_try() })
                }
            };
            if !reported && self.events.send(ChangeEvent::Disconnected(failed.error)).await.is_err()
            {
                return;
            }
            reported = true;
            tokio::select! {
                () = sleep_until(at) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// Runs one stream from beginning to end.
    async fn run_stream(&mut self) -> StreamEnd {
        let opened = timeout(OPENING, self.open_stream()).await;
        let opened = opened.unwrap_or_else(|_| Err(Error::Deadline(OPENING).into()));
        let (mut inbound, liveness, revision) = match opened {
            Ok(opened) => opened,
            Err(failed) => return StreamEnd::NotOpened(failed),
        };
        self.shared.breaker.close();
        let since = Instant::now();
        let mut events = vec![ChangeEvent::Connected { revision: revision.clone() }];
        if std::mem::take(&mut self.lost) {
            events.push(ChangeEvent::Reset { revision: revision.clone() });
        }
        for event in events {
            if self.events.send(event).await.is_err() {
                return StreamEnd::Unused;
            }
        }
        // On a resumed stream, the changes up to this revision are still to come.
        if self.resume_revision.is_empty() {
            self.resume_revision = revision;
        }
        match self.read_changes(&mut inbound, liveness).await {
            Ok(()) => StreamEnd::Unused,
            Err(failed) => StreamEnd::Broken {
                failed,
                useful: since.elapsed() > self.backoff.settings.max_delay,
            },
        }
    }

    async fn open_stream(
        &self,
    ) -> Result<(Streaming<WatchChangesResponse>, Liveness, String), StreamError> {
        let call = self.capabilities.call;
        let request = WatchChangesRequest {
            server_names: self.shared.server_names.clone(),
            resume_revision: self.resume_revision.clone(),
            set_budget_bytes: self.capabilities.set_budget_bytes(),
            capabilities: self.shared.stated_capabilities().collect(),
        };
        let mut service = self.shared.service.clone();
        let of_status = |status: Status| StreamError::of_status(call, &status);
        let inbound = service.watch_changes(request).await.map_err(of_status)?;
        let mut inbound = inbound.into_inner();
        match inbound.message().await.map_err(of_status)?.map(|first| first.message) {
            Some(Some(ResponseMessage::Opened(opened))) => {
                let liveness = Liveness::new(&opened);
                Ok((inbound, liveness, opened.revision))
            }
            Some(Some(_)) => Err(ProtocolViolation::NotOpened.into()),
            Some(None) => Err(ProtocolViolation::UnknownMessage.into()),
            None => Err(StreamError::unreachable("the daemon ended the stream")),
        }
    }

    /// Reads until the stream breaks or the caller drops its [`Changes`].
    async fn read_changes(
        &mut self,
        inbound: &mut Streaming<WatchChangesResponse>,
        mut liveness: Liveness,
    ) -> Result<(), StreamError> {
        let mut store =
            Store::new(self.capabilities.set_budget_bytes, self.shared.room_capabilities);
        loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                failed = liveness.expired() => return Err(failed),
            };
            let message = match message {
                Ok(Some(WatchChangesResponse { message })) => message,
                Ok(None) => return Err(StreamError::unreachable("the daemon ended the stream")),
                Err(status) => return Err(StreamError::of_status(self.capabilities.call, &status)),
            };
            if let Some(event) =
                self.handle_message(message.ok_or(ProtocolViolation::UnknownMessage)?, &mut store)?
                && self.events.send(event).await.is_err()
            {
                return Ok(());
            }
            // Only now: the daemon is not responsible for the time until the caller took
            // the event.
            liveness.message_came();
        }
    }

    fn handle_message(
        &mut self,
        message: ResponseMessage,
        store: &mut Store,
    ) -> Result<Option<ChangeEvent>, ProtocolViolation> {
        let (revision, event) = match message {
            ResponseMessage::Opened(_) => return Err(ProtocolViolation::OpenedTwice),
            ResponseMessage::SetPart(part) => return store.define_part(part).map(|()| None),
            ResponseMessage::SetEdit(edit) => return store.edit_list(edit).map(|()| None),
            ResponseMessage::SetRetired(retired) => {
                return store.retire_set(retired).map(|()| None);
            }
            ResponseMessage::Heartbeat(heartbeat) => (heartbeat.revision, None),
            ResponseMessage::Reset(v1::Reset { revision }) => {
                store.reset();
                (revision.clone(), Some(ChangeEvent::Reset { revision }))
            }
            ResponseMessage::Changed(v1::Changed { revision, gained, lost }) => {
                store.apply_pending()?;
                let gained = store.resolve_products(&gained)?;
                let lost = store.resolve_products(&lost)?;
                let changed = Changed { revision: revision.clone(), gained, lost };
                (revision, Some(ChangeEvent::Changed(changed)))
            }
        };
        self.resume_revision = revision;
        Ok(event)
    }
}
