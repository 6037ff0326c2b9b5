//! The sending half of a stream: the messages that both kinds of streams send, and the ends of
//! streams.
//!
//! It knows neither requests nor sets, only the order in which a change is sent.

use std::time::Duration;

use presence_router_proto::v1::{Capability, Changed, Heartbeat, Opened, Reset};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::changes::Change;
use super::set_table::SetUpdate;
use crate::revision::Revision;
use crate::rpc::error::RpcError;

/// Responses of a stream, on their way to the client.
pub(in crate::rpc) type ResponseSender<M> = mpsc::Sender<Result<M, Status>>;

/// The reason why a stream ends.
pub(super) enum End {
    /// The client is gone, or has ended the stream.
    ClientGone,
    /// The daemon ends the stream with this error.
    Refused(RpcError),
}

/// A message that both kinds of streams send.
pub(super) enum Event {
    Opened(Opened),
    Heartbeat(Heartbeat),
    Set(SetUpdate),
    Changed(Changed),
    Reset(Reset),
}

/// Sends the responses of an open stream, and knows when a heartbeat is due.
#[derive(Debug)]
pub(super) struct Outbox<M> {
    responses: ResponseSender<M>,
    heartbeat: Duration,
    last_sent: Instant,
}

/// Waits until a stream must end in the middle of its work: its client is gone, or the daemon
/// shuts down.
pub(super) async fn wait_for_interruption<M>(
    responses: &ResponseSender<M>,
    shutdown: &CancellationToken,
) -> End {
    tokio::select! {
        biased;
        () = responses.closed() => End::ClientGone,
        () = shutdown.cancelled() => End::Refused(RpcError::ShuttingDown),
    }
}

/// Ends a stream: sends an error to the client as the status.
pub(super) async fn finish_stream<M>(responses: &ResponseSender<M>, end: End) {
    if let End::Refused(error) = end {
        // A client that is gone needs no reason.
        let _ = responses.send(Err(error.into())).await;
    }
}

// === impl End ===

impl From<RpcError> for End {
    fn from(error: RpcError) -> Self {
        Self::Refused(error)
    }
}

// === impl Outbox ===

impl<M> Outbox<M> {
    /// Returns the outbox of a stream that sends a heartbeat after `heartbeat` of silence.
    pub(super) fn new(responses: ResponseSender<M>, heartbeat: Duration) -> Self {
        Self { responses, heartbeat, last_sent: Instant::now() }
    }

    /// The channel of the responses.
    pub(super) fn responses(&self) -> &ResponseSender<M> {
        &self.responses
    }

    /// Waits until a heartbeat is due.
    pub(super) fn heartbeat_due(&self) -> tokio::time::Sleep {
        tokio::time::sleep_until(self.last_sent + self.heartbeat)
    }

    /// Sends a response, once the client has read enough earlier responses.
    pub(super) async fn send(&mut self, response: M) -> Result<(), End> {
        self.responses.send(Ok(response)).await.map_err(|_| End::ClientGone)?;
        self.last_sent = Instant::now();
        Ok(())
    }
}

impl<M: From<Event>> Outbox<M> {
    /// Sends the first message of a stream. `capabilities` are the optional requests that the
    /// daemon accepts on it.
    pub(super) async fn send_opened(
        &mut self,
        revision: Revision,
        capabilities: &[Capability],
    ) -> Result<(), End> {
        let (revision, heartbeat_interval) = (revision.to_string(), self.heartbeat.try_into().ok());
        let capabilities = capabilities.iter().map(|one| i32::from(*one)).collect();
        let opened = Opened { revision, heartbeat_interval, capabilities };
        self.send(Event::Opened(opened).into()).await
    }

    /// Sends a heartbeat.
    pub(super) async fn send_heartbeat(&mut self, revision: Revision) -> Result<(), End> {
        let revision = revision.to_string();
        self.send(Event::Heartbeat(Heartbeat { revision }).into()).await
    }

    /// Sends definitions, edits and ends of sets.
    pub(super) async fn send_set_updates(&mut self, updates: Vec<SetUpdate>) -> Result<(), End> {
        for update in updates {
            self.send(Event::Set(update).into()).await?;
        }
        Ok(())
    }

    /// Sends a change, with the sets that come before and after it.
    pub(super) async fn send_change(&mut self, change: Change) -> Result<(), End> {
        match change {
            Change::Changed { before, changed, after } => {
                self.send_set_updates(before).await?;
                self.send(Event::Changed(changed).into()).await?;
                self.send_set_updates(after).await
            }
            Change::Reset(reset) => self.send(Event::Reset(reset).into()).await,
        }
    }
}
