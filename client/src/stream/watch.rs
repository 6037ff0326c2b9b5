//! Changes over one `WatchChanges` stream after another.

use std::sync::Arc;

use presence_router_proto::v1::{
    self, PairProduct, WatchChangesRequest, WatchChangesResponse,
    watch_changes_response::Message as Told,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Demands, Failed, OPENING, Pace, Silence, drive, is_about_resuming, store::Store};
use crate::{Breach, ChangeEvent, Changed, Changes, Error, Product, client::Shared};

/// Events that wait for whoever follows. More would only let a slow one lag
/// further behind: what the daemon keeps for it is one coalesced change.
const EVENTS_WAITING: usize = 4;

/// What keeps the stream.
struct Task {
    shared: Arc<Shared>,
    events: mpsc::Sender<ChangeEvent>,
    /// The revision up to which changes were told. Empty: none was.
    resume_revision: String,
    /// Changes since `resume_revision` cannot be asked for any more.
    lost: bool,
    demands: Demands,
    pace: Pace,
}

/// How a stream ended.
enum End {
    /// Nobody follows any more.
    Unused,
    /// It did not open.
    NotOpened(Failed),
    /// It opened, and broke. `useful`: after it was of use.
    Broken { failed: Failed, useful: bool },
}

/// Starts to follow.
pub(crate) fn start(shared: Arc<Shared>) -> Changes {
    let (events, receiver) = mpsc::channel(EVENTS_WAITING);
    let task = Task {
        events,
        resume_revision: String::new(),
        lost: false,
        demands: Demands::new("WatchChanges", &shared),
        pace: Pace::new(shared.backoff),
        shared,
    };
    drive(task.run());
    Changes::new(ReceiverStream::new(receiver))
}

// === impl Task ===

impl Task {
    async fn run(mut self) {
        let mut told = false;
        loop {
            let events = self.events.clone();
            let end = tokio::select! {
                end = self.stream() => end,
                () = events.closed() => End::Unused,
            };
            let (failed, at) = match end {
                End::Unused => return,
                End::NotOpened(mut failed) => {
                    if is_about_resuming(&failed.error) {
                        self.lost |= !self.resume_revision.is_empty();
                        self.resume_revision.clear();
                    }
                    if self.demands.lower(&mut failed) {
                        continue;
                    }
                    (failed, self.pace.next())
                }
                End::Broken { failed, useful } => {
                    told = false;
                    self.demands.restore();
                    if useful {
                        self.pace.reset();
                    }
                    (failed, if useful { Instant::now() } else { self.pace.next() })
                }
            };
            if !told && self.events.send(ChangeEvent::Disconnected(failed.error)).await.is_err() {
                return;
            }
            told = true;
            tokio::select! {
                () = sleep_until(at) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// One stream, from beginning to end.
    async fn stream(&mut self) -> End {
        let opened = timeout(OPENING, self.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(Error::Deadline(OPENING).into()));
        let (mut inbound, silence, revision) = match opened {
            Ok(opened) => opened,
            Err(failed) => return End::NotOpened(failed),
        };
        self.shared.gate.heard();
        let since = Instant::now();
        let mut events = vec![ChangeEvent::Connected { revision: revision.clone() }];
        if std::mem::take(&mut self.lost) {
            events.push(ChangeEvent::Reset { revision: revision.clone() });
        }
        for event in events {
            if self.events.send(event).await.is_err() {
                return End::Unused;
            }
        }
        // If it was resumed, changes up to this revision are still to come.
        if self.resume_revision.is_empty() {
            self.resume_revision = revision;
        }
        match self.follow(&mut inbound, silence).await {
            Ok(()) => End::Unused,
            Err(failed) => End::Broken { failed, useful: since.elapsed() > self.pace.backoff.most },
        }
    }

    async fn open(&self) -> Result<(Streaming<WatchChangesResponse>, Silence, String), Failed> {
        let call = self.demands.call;
        let request = WatchChangesRequest {
            server_names: self.shared.server_names.clone(),
            resume_revision: self.resume_revision.clone(),
            set_budget_bytes: self.demands.set_budget_bytes(),
        };
        let mut service = self.shared.service.clone();
        let of_status = |status: Status| Failed::of_status(call, &status);
        let inbound = service.watch_changes(request).await.map_err(of_status)?;
        let mut inbound = inbound.into_inner();
        match inbound.message().await.map_err(of_status)?.map(|first| first.message) {
            Some(Some(Told::Opened(opened))) => {
                let silence = Silence::new(&opened);
                Ok((inbound, silence, opened.revision))
            }
            Some(Some(_)) => Err(Breach::NotOpened.into()),
            Some(None) => Err(Breach::UnknownMessage.into()),
            None => Err(Failed::gone("the daemon ended the stream")),
        }
    }

    /// Reads until the stream breaks or nobody follows.
    async fn follow(
        &mut self,
        inbound: &mut Streaming<WatchChangesResponse>,
        mut silence: Silence,
    ) -> Result<(), Failed> {
        let mut store = Store::new(self.demands.set_budget_bytes);
        loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                failed = silence.too_long() => return Err(failed),
            };
            let message = match message {
                Ok(Some(WatchChangesResponse { message })) => message,
                Ok(None) => return Err(Failed::gone("the daemon ended the stream")),
                Err(status) => return Err(Failed::of_status(self.demands.call, &status)),
            };
            if let Some(event) = self.hear(message.ok_or(Breach::UnknownMessage)?, &mut store)?
                && self.events.send(event).await.is_err()
            {
                return Ok(());
            }
            // After the event was taken: the time until then is not the daemon's.
            silence.heard();
        }
    }

    fn hear(&mut self, message: Told, store: &mut Store) -> Result<Option<ChangeEvent>, Breach> {
        let (revision, event) = match message {
            Told::Opened(_) => return Err(Breach::OpenedTwice),
            Told::SetPart(part) => return store.define(part).map(|()| None),
            Told::SetEdit(edit) => return store.edit(edit).map(|()| None),
            Told::SetRetired(retired) => return store.retire(retired).map(|()| None),
            Told::Heartbeat(heartbeat) => (heartbeat.revision, None),
            Told::Reset(v1::Reset { revision }) => {
                store.reset();
                (revision.clone(), Some(ChangeEvent::Reset { revision }))
            }
            Told::Changed(v1::Changed { revision, gained, lost }) => {
                store.changed()?;
                let gained = products(&gained, store)?;
                let lost = products(&lost, store)?;
                let changed = Changed { revision: revision.clone(), gained, lost };
                (revision, Some(ChangeEvent::Changed(changed)))
            }
        };
        self.resume_revision = revision;
        Ok(event)
    }
}

fn products(products: &[PairProduct], store: &mut Store) -> Result<Vec<Product>, Breach> {
    let product = |one: &PairProduct| {
        let senders = store.resolve_expression(one.senders.as_ref())?;
        let recipients = store.resolve_expression(one.recipients.as_ref())?;
        Ok(Product { senders, recipients })
    };
    products.iter().map(product).collect()
}
