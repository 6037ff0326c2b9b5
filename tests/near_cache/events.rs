//! Changes that a near-cache reports, against the oracle: the events cover every pair whose
//! visibility changed, and memory knows each change before its event comes.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use presence_router_client::{ChangeEvent, Changed, Changes, NearCache, PresenceRouter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::Stream;

use super::observed::{Observed, SIDES, look_up};
use super::world::World;
use super::{Counts, LONG};
use crate::changes::Asker;
use crate::harness::ways::Lists;

/// An event, and the answers that memory gave when it was sent, or after that.
struct Reported {
    event: ChangeEvent,
    seen: Vec<Observed>,
}

/// Looks up some users in memory.
struct Looker {
    cache: NearCache,
    asker: Asker,
    users: Vec<String>,
}

/// Looks into memory at the moment when an event is sent, before its task runs: that may be only
/// after the near-cache has done everything else.
struct LookingWaker {
    looker: Arc<Looker>,
    seen: Mutex<Option<Vec<Observed>>>,
    task: Waker,
}

/// A subscriber, and the revision at which it knows all visible pairs.
pub(super) struct Subscriber {
    reported: mpsc::UnboundedReceiver<Reported>,
    receiving: JoinHandle<()>,
    /// Place of the revision whose visible pairs the events led to.
    place: usize,
    /// `None`: no event came.
    is_connected: Option<bool>,
    /// True if the present outage was reported as a refusal.
    is_refused: bool,
    /// The revision of the last event that has one.
    revision: String,
}

// === impl Subscriber ===

impl Subscriber {
    /// Subscribes, and looks up some users in memory after each event.
    pub(super) fn start(cache: &NearCache, asker: &Asker, users: &[String]) -> Self {
        let (sender, reported) = mpsc::unbounded_channel();
        let (cache_of_looker, asker) = (cache.clone(), asker.clone());
        let looker = Looker { cache: cache_of_looker, asker, users: users.to_vec() };
        let looker = Arc::new(looker);
        let receiving = receive(cache.watch_changes(), looker, sender);
        Self {
            reported,
            receiving: tokio::spawn(receiving),
            place: 0,
            is_connected: None,
            is_refused: false,
            revision: String::new(),
        }
    }

    /// Takes events until they have led to the last revision of the world; after an outage, if
    /// there must be one.
    pub(super) async fn arrive(&mut self, world: &World, outage: bool, counts: &Counts) {
        let mut outages = 0;
        while (outage && outages == 0) || !self.has_arrived(world) {
            let next = tokio::time::timeout(LONG, self.reported.recv());
            let Reported { event, seen } =
                next.await.expect("an event comes").expect("events go on for ever");
            outages += usize::from(matches!(event, ChangeEvent::Disconnected(_)));
            self.take_event(event, world, counts);
            if self.is_connected == Some(true) {
                let least = world.place_of(&self.revision);
                for observed in seen {
                    let place = world.place_of(&observed.revision);
                    assert!(place >= least, "{observed:?} after {}", self.revision);
                }
            }
        }
    }

    /// Whether the subscriber knows all visible pairs at the last revision. An event without
    /// such pairs may still come.
    fn has_arrived(&self, world: &World) -> bool {
        self.is_connected == Some(true)
            && self.revision == world.daemon.revision()
            && world.answers_in(self.place).audiences == world.answers().audiences
    }

    fn take_event(&mut self, event: ChangeEvent, world: &World, counts: &Counts) {
        match event {
            ChangeEvent::Connected { revision } => {
                self.is_refused = false;
                assert_ne!(self.is_connected, Some(true), "connected twice");
                self.is_connected = Some(true);
                self.revision = revision;
            }
            ChangeEvent::Disconnected(error) => {
                let again = self.is_connected == Some(false);
                assert!(!again || (error.is_refusal() && !self.is_refused), "again: {error}");
                self.is_connected = Some(false);
                self.is_refused = error.is_refusal();
            }
            ChangeEvent::Changed(changed) => {
                assert_eq!(self.is_connected, Some(true), "{changed:?}");
                let place = world.place_of(&changed.revision);
                let [old, new] = [self.place, place].map(|at| &world.answers_in(at).audiences);
                let flipped = count_covered(&changed, old, new);
                Counts::add(&counts.reported, flipped);
                (self.place, self.revision) = (place, changed.revision);
            }
            ChangeEvent::Reset { revision } => {
                assert_eq!(self.is_connected, Some(true), "reset to {revision}");
                Counts::add(&counts.resets, 1);
                (self.place, self.revision) = (world.place_of(&revision), revision);
            }
            other => panic!("not expected: {other:?}"),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

// === impl Looker ===

impl Looker {
    fn look(&self) -> Vec<Observed> {
        let users = &self.users;
        let questions = SIDES.iter().flat_map(|side| users.iter().map(move |user| (*side, user)));
        let homeserver = self.asker.homeserver();
        questions.filter_map(|(side, user)| look_up(&self.cache, homeserver, side, user)).collect()
    }
}

impl Wake for LookingWaker {
    fn wake(self: Arc<Self>) {
        *self.seen.lock().unwrap() = Some(self.looker.look());
        self.task.wake_by_ref();
    }
}

async fn receive(
    mut changes: Changes,
    looker: Arc<Looker>,
    sender: mpsc::UnboundedSender<Reported>,
) {
    let mut last: Option<Arc<LookingWaker>> = None;
    loop {
        let event = std::future::poll_fn(|cx| {
            let (seen, task) = (Mutex::default(), cx.waker().clone());
            let waker = Arc::new(LookingWaker { looker: Arc::clone(&looker), seen, task });
            let looking = Waker::from(Arc::clone(&waker));
            let event = Pin::new(&mut changes).poll_next(&mut Context::from_waker(&looking));
            if event.is_pending() {
                last = Some(waker);
            }
            event
        });
        let Some(event) = event.await else { return };
        let seen = last.take().and_then(|waker| waker.seen.lock().unwrap().take());
        let seen = seen.unwrap_or_else(|| looker.look());
        if sender.send(Reported { event, seen }).is_err() {
            return;
        }
    }
}

/// Checks that a change covers the pairs that are visible by one of these lists of recipients
/// only. Returns their number.
fn count_covered(changed: &Changed, old: &Lists, new: &Lists) -> usize {
    let mut pairs = 0;
    for (products, one, other) in [(&changed.gained, new, old), (&changed.lost, old, new)] {
        for (sender, recipients) in one {
            let others = other.get(sender);
            for recipient in recipients {
                if others.is_none_or(|others| !others.contains(recipient)) {
                    let is_covered = products.iter().any(|one| one.contains(sender, recipient));
                    assert!(is_covered, "{sender} to {recipient}: {changed:?}");
                    pairs += 1;
                }
            }
        }
    }
    pairs
}
