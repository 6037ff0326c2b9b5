//! One `WatchChanges` stream: what `RouteStates` says of changes, without
//! batches.

use std::sync::Arc;

use presence_router_proto::server::{
    WatchChangesResponse, watch_changes_response::Message as Told,
};
use presence_router_proto::v1::{Heartbeat, Opened, WatchChangesRequest};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::changes::{Change, Standing};
use super::set_table::Word;
use super::{End, resume};
use crate::live::{Current, Live};
use crate::rpc::error::Fault;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::{StreamLog, Tally};
use crate::rpc::validate;

/// Where answers go.
pub(in crate::rpc) type Answers = mpsc::Sender<Result<WatchChangesResponse, Status>>;

/// A watch.
struct Watch {
    live: Arc<Live>,
    current: Arc<Current>,
    standing: Standing,
    limits: Limits,
    answers: Answers,
    last_sent: Instant,
}

/// Serves a watch to its end, and notes in its log what it did.
pub(in crate::rpc) async fn serve(
    live: Arc<Live>,
    limits: Limits,
    shutdown: CancellationToken,
    request: WatchChangesRequest,
    answers: Answers,
    log: StreamLog,
) {
    let mut tally = Tally::default();
    let watching = async {
        let mut watch = Watch::open(live, limits, request, answers.clone()).await?;
        watch.run(&mut tally).await
    };
    let end = tokio::select! {
        biased;
        () = answers.closed() => End::Client,
        () = shutdown.cancelled() => End::Refused(Fault::ShuttingDown),
        end = watching => match end {
            Ok(end) | Err(end) => end,
        },
    };
    log.end(tally);
    if let End::Refused(fault) = end {
        // A client that is gone needs no reason.
        let _ = answers.send(Err(fault.into())).await;
    }
}

// === impl Watch ===

impl Watch {
    async fn open(
        live: Arc<Live>,
        limits: Limits,
        request: WatchChangesRequest,
        answers: Answers,
    ) -> Result<Self, End> {
        let WatchChangesRequest { server_names, resume_revision, set_budget_bytes } = request;
        let caller = validate::caller(&server_names)?;
        let (current, missed) = resume(&live, &resume_revision, limits.at_least).await?;
        let standing = Standing::new(caller, set_budget_bytes);
        let last_sent = Instant::now();
        let mut watch = Self { live, current, standing, limits, answers, last_sent };
        let revision = watch.current.revision.to_string();
        let heartbeat_interval = limits.heartbeat.try_into().ok();
        watch.tell(Told::Opened(Opened { revision, heartbeat_interval })).await?;
        if let Some(missed) = missed {
            let change = missed.into_change(&mut watch.standing, &watch.live, &watch.current).await;
            watch.change(change).await?;
        }
        Ok(watch)
    }

    async fn run(&mut self, tally: &mut Tally) -> Result<End, End> {
        let mut revisions = self.live.subscribe();
        loop {
            tally.revision = Some(self.current.revision);
            // Whatever came while the last message waited to be read is one
            // change.
            let now = Arc::clone(&revisions.borrow_and_update());
            if now.revision != self.current.revision {
                let difference = self.live.difference(&self.current, &now).await;
                let change = self.standing.follow(&self.current, &now, &difference);
                self.current = now;
                self.change(change).await?;
                continue;
            }
            let quiet_until = self.last_sent + self.limits.heartbeat;
            tokio::select! {
                biased;
                // Never fails: this watch holds what changes.
                _ = revisions.changed() => {}
                () = tokio::time::sleep_until(quiet_until) => {
                    let revision = self.current.revision.to_string();
                    self.tell(Told::Heartbeat(Heartbeat { revision })).await?;
                }
            }
        }
    }

    async fn change(&mut self, change: Change) -> Result<(), End> {
        match change {
            Change::Changed { before, changed, after } => {
                for word in before {
                    self.tell(word.into()).await?;
                }
                self.tell(Told::Changed(changed)).await?;
                for word in after {
                    self.tell(word.into()).await?;
                }
                Ok(())
            }
            Change::Reset(reset) => self.tell(Told::Reset(reset)).await,
        }
    }

    async fn tell(&mut self, message: Told) -> Result<(), End> {
        let response = WatchChangesResponse { message: Some(message) };
        self.answers.send(Ok(response)).await.map_err(|_| End::Client)?;
        self.last_sent = Instant::now();
        Ok(())
    }
}

impl From<Word> for Told {
    fn from(word: Word) -> Self {
        match word {
            Word::Part(part) => Self::SetPart(part),
            Word::Edit(edit) => Self::SetEdit(edit),
            Word::Retired(retired) => Self::SetRetired(retired),
        }
    }
}
