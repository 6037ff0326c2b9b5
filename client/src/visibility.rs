//! The whole presence decision of a homeserver: the daemon's answer, evaluated over the rooms
//! that only the homeserver knows.
//!
//! `source` finds the answer, or its replacement while the daemon is away. `pairs` and `server`
//! are the questions, and `facts` finds out which facts about rooms a verdict needs.

mod destinations;
mod facts;
mod pairs;
mod server;
mod source;

use std::sync::Arc;

use self::source::Source;
pub use self::{
    destinations::Destinations,
    facts::NeededFacts,
    pairs::{FilterQuestion, Filtered, PairQuestion},
    server::{RoomMates, ServerQuestion},
};
use crate::{Error, Fields, NearCache, PresenceRouter};

/// Decides for a homeserver who sees whose presence. Cheap to clone.
///
/// Each decision has two steps, so that the homeserver's store of rooms may be asynchronous:
///
/// 1. A method of this type finds the daemon's answer, in memory if possible, and returns a
///    question. It says which facts about rooms it needs, often none: load these.
/// 2. `decide` returns the verdict. It waits for nothing, and asks for facts by a function
///    `share_room(one, other, conditions)`, in which `one` is the user of the answer: true if
///    both users are joined to a room that meets all conditions and is not excluded from
///    presence, `None` if the homeserver does not know it.
///    [`RoomConditions::are_met_by_any`](crate::RoomConditions::are_met_by_any) evaluates the
///    conditions for the rooms that two users share.
///
/// The verdict is about the facts that the second step gets, and about the revision of the first
/// step. Rooms may change between the two steps.
///
/// State all room capabilities that the homeserver has, in
/// [`Options::room_capabilities`](crate::Options::room_capabilities): the default is none.
///
/// ```no_run
/// # use std::collections::{HashMap, HashSet};
/// # async fn example(client: presence_router_client::Client) -> Result<(), presence_router_client::Error> {
/// use presence_router_client::{
///     NearCacheOptions, RoomConditions, RoomMates, Visibility, WhenAway,
/// };
///
/// let cache = client.near_cache(NearCacheOptions::default());
/// let visibility = Visibility::new(cache, WhenAway::Nobody);
///
/// // The homeserver's own memory: here only rooms by user, and no facts about a room.
/// let rooms: HashMap<String, HashSet<String>> = HashMap::new();
/// let share_room = |one: &str, other: &str, conditions: &RoomConditions| {
///     let shares = match (rooms.get(one), rooms.get(other)) {
///         (Some(of_one), Some(of_other)) => !of_one.is_disjoint(of_other),
///         _ => false,
///     };
///     // Without a shared room no condition matters, and without a condition every room counts.
///     if shares && !conditions.is_any_room() { None } else { Some(shares) }
/// };
///
/// // A /sync of joe.
/// let senders = [("@ann:example.org", "online"), ("@sue:example.org", "unavailable")];
/// let question = visibility.filter("@joe:example.org", &senders).await?;
/// for sender in question.decide(share_room).visible {
///     println!("joe sees {}, without {:?}", senders[sender.index].0, sender.hidden);
/// }
///
/// // Federation: one copy of ann's presence for all users of a server.
/// let question = visibility.server_sees("other.example", "@ann:example.org", "online").await?;
/// let room_mates = RoomMates::complete(["@tom:other.example"]);
/// let verdict = question.decide(room_mates, share_room);
/// if verdict.visible {
///     println!("send it, without {:?}", verdict.hidden);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # When the daemon is away
///
/// For [`stale_for`](crate::NearCacheOptions::stale_for) verdicts come from the answers in
/// memory, and a question without an answer there shows nobody. Afterwards [`WhenAway`] decides.
/// [`Basis`] says which verdicts had no answer, so that the homeserver can make up for them after
/// [`ChangeEvent::Connected`](crate::ChangeEvent::Connected): users for whom it had no answer
/// count as changed.
///
/// # Errors
///
/// An error is not an absent daemon: the daemon refused the question or broke the contract. It
/// is no verdict, and the homeserver must show nothing. In particular it must not decide by
/// rooms, since that would show what a policy denies.
#[derive(Clone, Debug)]
pub struct Visibility {
    source: Source,
}

/// The verdicts of a homeserver without an answer, while the daemon is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenAway {
    /// Nobody sees anybody.
    #[default]
    Nobody,
    /// Users see each other if they share any room, as without the daemon.
    ///
    /// Only for a policy that shows at least what shared rooms show: one of its rules is
    /// `allow: { share_room: true }` for everybody, and none denies or hides anything. Every
    /// other policy is not kept then, also one without `deny` whose rules allow less, such as
    /// users who share a small room.
    ///
    /// Only while [`NearCache::is_away`](crate::NearCache::is_away) returns true. If one question
    /// fails before, for example by its deadline, or if a daemon refuses the client, nobody sees
    /// anybody by this question.
    Rooms,
}

/// The origin of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// An answer that was exact at the daemon's current revision, as far as the client knew.
    Current,
    /// An answer from memory, while there is no connection. See
    /// [`CachedAnswer::is_stale`](crate::CachedAnswer::is_stale).
    Stale,
    /// No answer: nobody sees anybody.
    Nobody,
    /// No answer for a long time: users see each other if they share any room
    /// ([`WhenAway::Rooms`]).
    Rooms,
}

/// The verdict about one pair, or about one sender and all recipients of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// True if the presence may be shown, but for its hidden fields.
    pub visible: bool,
    /// Fields that must not be shown: all of them if the presence may not be shown.
    pub hidden: Fields,
    /// The origin of the verdict.
    pub basis: Basis,
}

// === impl Visibility ===

impl Visibility {
    /// Decides by the answers of a near-cache.
    ///
    /// **Without [`Options::room_capabilities`](crate::Options::room_capabilities), no rule about
    /// shared rooms shows anybody to anybody.** The default is none, and the daemon then decides
    /// as for a homeserver that knows no rooms: `share_room` counts as not met in an `allow`, and
    /// as met in a `deny` or `hide`.
    pub fn new(cache: NearCache, when_away: WhenAway) -> Self {
        Self { source: Source::NearCache(cache, when_away) }
    }

    /// Decides by the answers of any router, for example of `InProcess` in tests. A router does
    /// not say for how long its daemon is away, so nobody sees anybody meanwhile.
    pub fn from_router(router: Arc<dyn PresenceRouter>) -> Self {
        Self { source: Source::Router(router) }
    }

    /// Asks if a recipient sees a sender who has this presence (`online`, `unavailable` ...).
    ///
    /// # Errors
    /// If the daemon refuses the question, lacks the call, or breaks the contract. If no answer
    /// comes in time, connected or not, the verdict has the basis [`Basis::Nobody`] or
    /// [`Basis::Rooms`] instead.
    pub async fn sees<'a>(
        &self,
        recipient: &'a str,
        sender: &'a str,
        presence: &'a str,
    ) -> Result<PairQuestion<'a>, Error> {
        let answer = self.source.find_interest(recipient).await?;
        Ok(PairQuestion::new(recipient, sender, presence, answer))
    }

    /// Asks which of some senders a recipient sees. Each sender comes with its presence.
    ///
    /// # Errors
    /// If the daemon refuses the question, lacks the call, or breaks the contract. If no answer
    /// comes in time, connected or not, the verdict has the basis [`Basis::Nobody`] or
    /// [`Basis::Rooms`] instead.
    pub async fn filter<'a>(
        &self,
        recipient: &'a str,
        senders: &'a [(&'a str, &'a str)],
    ) -> Result<FilterQuestion<'a>, Error> {
        let answer = self.source.find_interest(recipient).await?;
        Ok(FilterQuestion::new(recipient, senders, answer))
    }

    /// Asks if any recipient on a server sees a sender who has this presence, and which fields
    /// must not be shown to some of them: one copy goes to the whole server.
    ///
    /// If patterns, or open sets and their exceptions, overlap, the verdict may be that somebody
    /// on the server sees the sender although nobody does. The copy then goes to a server that
    /// does not know the policy, and shows it to users with whom the sender shares rooms there.
    ///
    /// # Errors
    /// If the daemon refuses the question, lacks the call, or breaks the contract. If no answer
    /// comes in time, connected or not, the verdict has the basis [`Basis::Nobody`] or
    /// [`Basis::Rooms`] instead.
    pub async fn server_sees<'a>(
        &self,
        destination: &'a str,
        sender: &'a str,
        presence: &'a str,
    ) -> Result<ServerQuestion<'a>, Error> {
        let answer = self.source.find_audience(sender).await?;
        Ok(ServerQuestion::new(destination, sender, presence, answer))
    }

    /// Returns the servers to ask about by [`Visibility::server_sees`], before a sender's presence
    /// goes out: the servers of the listed users who may see the sender, and the
    /// [named servers](crate::NearCache::named_servers) on which others may.
    ///
    /// If the answer is [open](Destinations::is_open), ask also about the servers of the sender's
    /// room-mates, which only the homeserver knows. A router other than a near-cache names no
    /// servers: the result then has those of listed users only.
    ///
    /// # Errors
    /// As [`Visibility::server_sees`].
    pub async fn destinations(&self, sender: &str) -> Result<Destinations, Error> {
        let audience = self.source.find_audience(sender).await?;
        // After the answer, so that they are not those of an earlier revision.
        let named = self.source.named_servers();
        Ok(Destinations::collect(sender, &audience, named.as_ref()))
    }
}

// === impl Basis ===

impl Basis {
    /// Returns true if there was no answer: the verdict may differ from the policy's, and the
    /// homeserver makes up for it when the daemon returns.
    pub fn is_without_answer(self) -> bool {
        matches!(self, Self::Nobody | Self::Rooms)
    }
}

// === impl Verdict ===

impl Verdict {
    /// Creates a verdict from the fields to hide. `None`: the presence may not be shown.
    fn new(hidden: Option<Fields>, basis: Basis) -> Self {
        Self { visible: hidden.is_some(), hidden: hidden.unwrap_or(Fields::ALL), basis }
    }
}

#[cfg(test)]
mod tests;
