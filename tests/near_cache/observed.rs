//! Answers of a near-cache in the form of the oracle's, and a task that asks for them while
//! the daemon changes.

use std::collections::BTreeSet;
use std::time::Duration;

use presence_router_client::{
    CachedAnswer, Error, Fields, NearCache, Set, SharedAnswer, VisibleSender,
};
use presence_router_engine::Side;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::changes::Asker;
use crate::harness::sets::Subject;
use crate::harness::ways::{self, Answers};
use crate::oracle::Homeserver;
use crate::worlds::everybody;

pub(super) const SIDES: [Side; 2] = [Side::Sender, Side::Recipient];

/// Values of presence that the senders of a filter have in turn.
const PRESENCES: [&str; 4] = ["online", "busy", "org.example.away", "offline"];

/// One answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Observed {
    pub(super) revision: String,
    pub(super) is_stale: bool,
    pub(super) side: Side,
    pub(super) user: String,
    /// The answer, of this side of this user only.
    pub(super) answer: Answers,
    /// The number of the answer.
    pub(super) number: u64,
    /// The answer without its user: all answers with this number are the same.
    pub(super) numbered: Numbered,
}

/// Users who are in a set, and `None` for those of whom rooms decide it.
type Members = Vec<(String, Option<bool>)>;

/// An answer without its user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbered {
    members: Members,
    /// Members, fields in words, and presence values for which nothing is hidden.
    hides: Vec<(Members, String, Vec<String>)>,
}

/// A task that asks until it is stopped.
pub(super) struct Observer {
    stop: CancellationToken,
    observing: JoinHandle<BTreeSet<Observed>>,
}

/// Looks up an answer in memory.
pub(super) fn look_up(
    cache: &NearCache,
    homeserver: Homeserver<'_>,
    side: Side,
    user: &str,
) -> Option<Observed> {
    let answer = match side {
        Side::Sender => cache.cached_audience(user),
        Side::Recipient => cache.cached_interest(user),
    };
    answer.map(|answer| observe(homeserver, side, user, &answer))
}

/// Looks up an answer in memory, and asks the daemon if there is none.
pub(super) async fn ask(
    cache: &NearCache,
    homeserver: Homeserver<'_>,
    side: Side,
    user: &str,
) -> Result<Observed, Error> {
    let answer = match side {
        Side::Sender => cache.audience(user).await,
        Side::Recipient => cache.interest(user).await,
    };
    answer.map(|answer| observe(homeserver, side, user, &answer))
}

fn observe(
    homeserver: Homeserver<'_>,
    side: Side,
    user: &str,
    answer: &CachedAnswer<'_>,
) -> Observed {
    let counterparts = answer.counterparts();
    assert!(!counterparts.contains(user), "the user itself is left away");
    let mut answers = Answers::default();
    let subject = Subject { homeserver, user };
    ways::counterparts(&mut answers, side, &everybody(), subject, counterparts);
    if !homeserver.capabilities.is_empty() {
        answers.forget_hides_of_nobody();
    }
    let shared = answer.clone().into_shared();
    assert_eq!(shared.number() == 0, shared.as_set().is_none());
    Observed {
        revision: answer.revision().to_owned(),
        is_stale: answer.is_stale(),
        side,
        user: user.to_owned(),
        answer: answers,
        number: shared.number(),
        numbered: Numbered::new(&shared),
    }
}

/// The users as the senders of a filter, each with some presence.
pub(super) fn senders(users: &[String]) -> Vec<(&str, &str)> {
    users.iter().map(String::as_str).zip(PRESENCES.into_iter().cycle()).collect()
}

/// The right answer of a filter: the indexes of the visible senders, and the fields that are
/// hidden of each.
pub(super) fn filtered(
    answers: &Answers,
    recipient: &str,
    senders: &[(&str, &str)],
) -> Vec<(usize, Fields)> {
    let visible = |sender: &str| {
        answers.interests.get(recipient).is_some_and(|senders| senders.contains(sender))
    };
    let hidden = |sender: &str, presence: &str| {
        let pair = (sender.to_owned(), recipient.to_owned());
        let hides = Side::Recipient.select(&answers.hidden).get(&pair).into_iter().flatten();
        let mut all = Fields::default();
        for (fields, _) in hides.filter(|(_, unless)| !unless.iter().any(|one| one == presence)) {
            all.presence |= fields.contains(&1);
            all.status_msg |= fields.contains(&2);
            all.last_active_ts |= fields.contains(&3);
            all.currently_active |= fields.contains(&4);
        }
        all
    };
    let senders = senders.iter().enumerate().filter(|(_, (sender, _))| visible(sender));
    senders.map(|(index, (sender, presence))| (index, hidden(sender, presence))).collect()
}

/// The answer of a filter in the form of [`filtered`].
pub(super) fn pairs_of(visible: &[VisibleSender]) -> Vec<(usize, Fields)> {
    visible.iter().map(|one| (one.index, one.hidden)).collect()
}

// === impl Numbered ===

impl Numbered {
    fn new(answer: &SharedAnswer) -> Self {
        let everybody = everybody();
        let members = |set: &Set| -> Members {
            let is_in = |user: &String| (user.clone(), set.contains_if(user, |_| None));
            everybody.iter().map(is_in).filter(|(_, is)| *is != Some(false)).collect()
        };
        let hides = answer.hides().iter();
        let hides = hides.map(|hide| {
            (members(&hide.users), format!("{:?}", hide.fields), hide.unless_presence.clone())
        });
        Self { members: answer.as_set().map(members).unwrap_or_default(), hides: hides.collect() }
    }
}

// === impl Observer ===

impl Observer {
    pub(super) fn start(cache: &NearCache, asker: &Asker, users: &[String]) -> Self {
        let stop = CancellationToken::new();
        let observing = observe_until(stop.clone(), cache.clone(), asker.clone(), users.to_vec());
        Self { stop, observing: tokio::spawn(observing) }
    }

    /// Returns each different answer once.
    pub(super) async fn stop(self) -> BTreeSet<Observed> {
        self.stop.cancel();
        self.observing.await.unwrap()
    }
}

/// Asks about all users again and again.
async fn observe_until(
    stop: CancellationToken,
    cache: NearCache,
    asker: Asker,
    users: Vec<String>,
) -> BTreeSet<Observed> {
    let homeserver = asker.homeserver();
    let mut all = BTreeSet::new();
    while !stop.is_cancelled() {
        for user in &users {
            for side in SIDES {
                match look_up(&cache, homeserver, side, user) {
                    Some(observed) => drop(all.insert(observed)),
                    None => match ask(&cache, homeserver, side, user).await {
                        Ok(observed) => drop(all.insert(observed)),
                        // There is no daemon at the moment.
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    },
                }
            }
        }
        tokio::task::yield_now().await;
    }
    all
}
