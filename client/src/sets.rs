//! Evaluates the set expressions of answers: membership of users, and coverage of
//! servers.

mod coverage;
mod kind;
mod reader;

use presence_router_proto::{
    ids::{Coverage, Region, RoomCapabilities, RoomConditions},
    v1::SetExpression,
};

use self::coverage::ByRoomMates;
pub(crate) use self::{kind::Kind, reader::ExpressionReader};
use crate::list::{HashedUser, server_of};

/// A set of Matrix users, finite or open.
///
/// A set is immutable and cheap to clone: the sets of one stream share their lists of
/// users, and a list of all members is built only on request.
///
/// A set [depends on rooms](Set::depends_on_rooms) if it contains users because they share a
/// room with the user that the answer is about, or do not contain them for that reason. Only
/// a client with [`room_capabilities`](crate::Options::room_capabilities) gets such sets.
/// [`Set::contains_if`] evaluates them; the other methods know no rooms, and say what they
/// return then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(pub(crate) Kind);

/// The error for an expression that cannot be evaluated. The answer that contains it is
/// no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A set id is not defined. Only streams define sets.
    #[error("set {0} is not defined")]
    SetId(u64),
    /// A pattern contains no `:`.
    #[error("a pattern has no `:`")]
    Pattern,
    /// An intersection contains no sets.
    #[error("an intersection holds no sets")]
    EmptyIntersection,
    /// A set is unset, or of a kind that this client does not know. An error only on
    /// streams, and where an empty set would show too much.
    #[error("a set is of an unknown kind")]
    UnknownKind,
    /// An exception is unset, or of a kind that this client does not know: the decoder
    /// cannot distinguish the two.
    #[error("an exception is of an unknown kind")]
    UnknownException,
    /// A condition on rooms is unset, malformed, or of a kind that this client does not know.
    #[error("a condition on rooms is of an unknown kind")]
    UnknownCondition,
    /// A set depends on rooms, and the client has not stated that it evaluates such a set. See
    /// [`Options::room_capabilities`](crate::Options::room_capabilities).
    #[error("a set depends on rooms by a condition that is not among the client's capabilities")]
    UnstatedCapability,
}

// === impl Set ===

impl Set {
    /// Converts an expression. `None` is the empty set.
    ///
    /// # Errors
    /// If the meaning of the expression is unknown.
    pub fn new(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        Self::with_capabilities(expression, RoomCapabilities::ALL)
    }

    /// Converts an expression as [`Set::new`] does, but refuses unknown and unset
    /// expressions everywhere instead of taking them for the empty set. For the users of
    /// a hide: with an empty set, nothing would be hidden.
    ///
    /// # Errors
    /// If the meaning of the expression is unknown.
    pub fn new_strict(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        Self::strict_with_capabilities(expression, RoomCapabilities::ALL)
    }

    /// Converts an expression as [`Set::new`] does, which may depend on rooms as far as the
    /// client has stated.
    pub(crate) fn with_capabilities(
        expression: Option<&SetExpression>,
        rooms: RoomCapabilities,
    ) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: false, rooms };
        reader.read(expression, false).map(Self)
    }

    /// Converts an expression as [`Set::new_strict`] does, which may depend on rooms as far as
    /// the client has stated.
    pub(crate) fn strict_with_capabilities(
        expression: Option<&SetExpression>,
        rooms: RoomCapabilities,
    ) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: true, rooms };
        reader.read(expression, false).map(Self)
    }

    /// Returns the empty set.
    pub fn empty() -> Self {
        Self(Kind::empty())
    }

    /// Returns true if a user is in the set. If the set depends on rooms: if the user is in it
    /// whatever rooms there are.
    pub fn contains(&self, user_id: &str) -> bool {
        self.contains_hashed(&HashedUser::new(user_id))
    }

    pub(crate) fn contains_hashed(&self, user: &HashedUser<'_>) -> bool {
        self.0.contains(user)
    }

    /// Returns true if a user is in the set, or may be in some rooms.
    pub(crate) fn may_contain(&self, user_id: &str) -> bool {
        self.contains_if(user_id, |_| None) != Some(false)
    }

    /// Returns true if a user is in the set, `None` if a missing fact about rooms decides it.
    ///
    /// `share_room` returns true if the user shares a room that meets some conditions with the
    /// user that the answer is about, and `None` if the homeserver does not know it
    /// ([`RoomConditions::are_met_by_any`]). It is called only for a set that depends on rooms,
    /// and there only if the other parts of the set do not decide. Nothing is allocated.
    ///
    /// An audience or interest shows a user only for `Some(true)`; a hide applies unless its
    /// set returns `Some(false)`.
    pub fn contains_if(
        &self,
        user_id: &str,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        self.0.contains_if(&HashedUser::new(user_id), &share_room)
    }

    /// Returns true if the answer to [`Set::contains`] for some users depends on the rooms that
    /// they share with the user that the set's answer is about. Looks at no part of the set.
    pub fn depends_on_rooms(&self) -> bool {
        self.0.depends_on_rooms()
    }

    /// Returns the distinct conditions on rooms that the set depends on, sorted.
    pub fn room_conditions(&self) -> Vec<&RoomConditions> {
        let mut all = Vec::new();
        self.0.collect_conditions(&mut all);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns the set's coverage of one server. `Nobody` and `Everybody` are exact, whatever
    /// rooms there are; if patterns overlap, `Some` may also mean no users, and users who
    /// depend on rooms are `Some`.
    pub fn coverage_on_server(&self, server: &str) -> Coverage {
        self.0.coverage_of(Region::Server(server), ByRoomMates::ANY)
    }

    /// Returns the coverage of one server by the members that [`Set::listed_users`] does not
    /// list, with the precision of [`Set::coverage_on_server`]. Users who depend on rooms are
    /// among them, listed or not.
    pub fn open_coverage_on_server(&self, server: &str) -> Coverage {
        self.0.open_coverage_of(Region::Server(server), ByRoomMates::ANY)
    }

    /// Returns the [candidates](Set::listed_candidates) who live on one server, in any order,
    /// possibly with repeats.
    pub(crate) fn candidates_on_server(&self, server: &str) -> Vec<&str> {
        let mut all = Vec::new();
        self.0.collect_candidates(&|user| server_of(user) == Some(server), &mut all);
        all
    }

    /// Returns the set's coverage of all servers for which `named` returns false, with
    /// the precision of [`Set::coverage_on_server`].
    pub fn coverage_outside(&self, named: impl Fn(&str) -> bool) -> Coverage {
        self.0.coverage_of(Region::Outside(&named), ByRoomMates::ANY)
    }

    /// Returns the coverage of one server as [`Set::open_coverage_on_server`] does, by users who
    /// share no room with the user that the answer is about.
    pub(crate) fn open_coverage_by_strangers(&self, server: &str) -> Coverage {
        self.0.open_coverage_of(Region::Server(server), ByRoomMates::NOBODY)
    }

    /// Returns the coverage of one server by users whom no list makes members, and who are in the
    /// set although nobody knows their rooms.
    pub(crate) fn open_coverage_in_any_rooms(&self, server: &str) -> Coverage {
        self.0.open_coverage_of(Region::Server(server), ByRoomMates::UNKNOWN_SURELY)
    }

    /// Returns the coverage of one server by users whom no list makes members, and who are in the
    /// set in some rooms.
    pub(crate) fn open_coverage_in_some_rooms(&self, server: &str) -> Coverage {
        self.0.open_coverage_of(Region::Server(server), ByRoomMates::UNKNOWN_POSSIBLY)
    }

    /// Returns true if the set may have members that [`Set::listed_users`] does not list:
    /// all users of a server, all users that match a pattern, everyone, or users who depend on
    /// rooms.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Returns true if the set may have members that share no room with the user that the answer
    /// is about, and that [`Set::listed_candidates`] does not list.
    pub fn is_open_to_strangers(&self) -> bool {
        let everywhere = Region::Outside(&|_: &str| false);
        self.0.open_coverage_of(everywhere, ByRoomMates::NOBODY) != Coverage::Nobody
    }

    /// Returns true if the set is everyone without exceptions: everyone, a union with everyone,
    /// or an intersection of nothing else. A difference never is, whatever its exceptions, nor
    /// is a pattern or a set of room-mates.
    pub fn is_everyone(&self) -> bool {
        self.0.is_everyone()
    }

    /// Returns the number of users that [`Set::listed_users`] and [`Set::listed_candidates`]
    /// look at, without looking at them: an upper bound of the number that they return.
    pub fn listed_users_bound(&self) -> usize {
        self.0.listed_users_bound()
    }

    /// Returns the number of sets, patterns and listed users that the set is made of, exceptions
    /// included: an upper bound of the steps that a question about coverage takes. Conditions on
    /// rooms count as one set each time that they occur.
    pub fn size(&self) -> usize {
        let kind::Size { sets, users } = self.0.size();
        sets.saturating_add(users)
    }

    /// Returns the number of sets and patterns that the set is made of, exceptions included: an
    /// upper bound of the steps that [`Set::contains`] takes, and of the facts about rooms that
    /// [`Set::contains_if`] asks for.
    pub fn steps(&self) -> usize {
        self.0.size().sets
    }

    /// Returns the members that the set lists by id: all of them, unless the set is open.
    /// Sorted by their bytes, without repeats. Users who depend on rooms are left out.
    pub fn listed_users(&self) -> Vec<&str> {
        let mut listed = self.listed_candidates();
        if self.depends_on_rooms() {
            listed.retain(|user| self.contains(user));
        }
        listed
    }

    /// Returns the users that the set lists by id, and that are members in some rooms at
    /// least: those of [`Set::listed_users`], and those who depend on rooms. Sorted by their
    /// bytes, without repeats.
    pub fn listed_candidates(&self) -> Vec<&str> {
        let mut all = Vec::new();
        self.0.collect_candidates(&|_| true, &mut all);
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
pub(crate) mod tests;
