//! Follows the events of the near-cache's stream, one at a time as Python takes them. It
//! reports only the parts of a change that a homeserver can act on: known senders and local
//! recipients.

use presence_router_client::{ChangeEvent, Changes, Coverage, PresenceRouter as _, Set};
use tokio::sync::Mutex;

use crate::{
    change::Change, home::Home, known_users::KnownUsers, large_answers::LargeAnswers,
    questions::CallContext,
};

/// The events of one process, from when Python takes the first one.
#[derive(Debug, Default)]
pub(crate) struct Follow(Mutex<Option<Changes>>);

/// A change, or the state of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The daemon reports changes from here on.
    Connected,
    /// The connection failed, for this reason, and changes are missed. Answers in memory stay
    /// for a while.
    Disconnected(String),
    /// The daemon refuses the connection, for this reason, or has broken the contract. Answers
    /// in memory have ended.
    Refused(String),
    /// Everything may have changed.
    Reset,
    /// Pairs became visible.
    Gained(Vec<Gain>),
}

/// A change, or the state of the connection, for a module that decides alone.
#[derive(Debug)]
pub(crate) enum ExactEvent {
    /// As [`Event::Connected`], at a revision.
    Connected(Change),
    /// As [`Event::Disconnected`].
    Disconnected(String),
    /// As [`Event::Refused`].
    Refused(String),
    /// Everything may have changed, with a revision.
    Reset(Change),
    /// Pairs may have become visible, or may be visible no longer, and hidden fields may have
    /// changed, with a revision.
    Changed(Change),
}

/// Senders that recipients may now see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gain {
    /// Known senders, local or remote.
    pub(crate) senders: Vec<String>,
    /// Local recipients. `None`: they cannot be listed.
    pub(crate) recipients: Option<Vec<String>>,
    /// True if there may be recipients on other servers.
    pub(crate) remote: bool,
}

// === impl Follow ===

impl Follow {
    /// Waits for the next event. Without `with_gains`, changes of visibility are left out.
    pub(crate) async fn next(
        &self,
        context: &CallContext,
        large_answers: &LargeAnswers,
        with_gains: bool,
    ) -> Event {
        let CallContext { near_cache, home, known_users, .. } = context;
        let mut changes = self.0.lock().await;
        let changes = changes.get_or_insert_with(|| near_cache.watch_changes());
        loop {
            return match changes.next().await {
                Some(ChangeEvent::Connected { .. }) => Event::Connected,
                Some(ChangeEvent::Disconnected(why)) if why.is_refusal() => {
                    Event::Refused(why.to_string())
                }
                Some(ChangeEvent::Disconnected(why)) => Event::Disconnected(why.to_string()),
                Some(ChangeEvent::Reset { .. }) if with_gains => Event::Reset,
                Some(ChangeEvent::Changed(changed)) if with_gains => {
                    let gains = || {
                        let gains = changed.gained.iter().map(|product| {
                            Gain::new(&product.senders, &product.recipients, home, known_users)
                        });
                        gains.filter(|gain| !gain.senders.is_empty()).collect()
                    };
                    // Compares every known user with each set; calls go on in another thread.
                    Event::Gained(large_answers.run(gains).await)
                }
                // Not of interest, or an event that only a later version of the client sends.
                Some(_) => continue,
                // The stream ends only with the threads.
                None => std::future::pending().await,
            };
        }
    }
}

impl Follow {
    /// Waits for the next event, with all that changed.
    pub(crate) async fn next_exact(
        &self,
        context: &CallContext,
        large_answers: &LargeAnswers,
    ) -> ExactEvent {
        let CallContext { near_cache, known_users, .. } = context;
        let mut changes = self.0.lock().await;
        let changes = changes.get_or_insert_with(|| near_cache.watch_changes());
        loop {
            return match changes.next().await {
                Some(ChangeEvent::Connected { revision }) => {
                    ExactEvent::Connected(Change::without_pairs(revision))
                }
                Some(ChangeEvent::Disconnected(why)) if why.is_refusal() => {
                    ExactEvent::Refused(why.to_string())
                }
                Some(ChangeEvent::Disconnected(why)) => ExactEvent::Disconnected(why.to_string()),
                Some(ChangeEvent::Reset { revision }) => {
                    ExactEvent::Reset(Change::without_pairs(revision))
                }
                Some(ChangeEvent::Changed(changed)) => {
                    // Compares every known user with each set; calls go on in another thread.
                    let change = || Change::new(&changed, known_users);
                    ExactEvent::Changed(large_answers.run(change).await)
                }
                // An event that only a later version of the client sends.
                Some(_) => continue,
                // The stream ends only with the threads.
                None => std::future::pending().await,
            };
        }
    }
}

// === impl Gain ===

impl Gain {
    fn new(senders: &Set, recipients: &Set, home: &Home, known_users: &KnownUsers) -> Self {
        let local = |user: &&str| home.is_local(user);
        let listed = recipients.listed_users().into_iter().filter(local).map(String::from);
        // For an open set, only a homeserver's own clients could be listed, and this process
        // does not know the clients of other processes.
        let is_list = !recipients.is_open()
            || recipients.open_coverage_on_server(&home.server) == Coverage::Nobody;
        Self {
            senders: known_users.known_in(senders),
            recipients: is_list.then(|| listed.collect()),
            remote: recipients.coverage_outside(|server| server == home.server) != Coverage::Nobody,
        }
    }
}
