//! The counterparts of one user, and the decision about each: visible or not, and which fields
//! are hidden.

use presence_router_proto::ids::RoomConditions;

use super::{Fields, Hide};
use crate::{Set, list::HashedUser};

/// The counterparts of one user, without the user itself: a sender's audience, or the
/// senders that a recipient may see.
///
/// If they [depend on rooms](Counterparts::depends_on_rooms), the methods without a function
/// about rooms know no rooms: a counterpart is one whatever rooms there are, and a hide applies
/// unless it does so in no rooms.
#[derive(Clone, Copy, Debug)]
pub struct Counterparts<'a> {
    user_id: &'a str,
    /// `None`: there are no counterparts.
    set: Option<&'a Set>,
    hides: &'a [Hide],
}

/// A sender whose presence a recipient may see, in the result of
/// [`Counterparts::filter_senders`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VisibleSender {
    /// The index of the sender among those in the question, from 0.
    pub index: usize,
    /// Fields that must not be shown to the recipient.
    pub hidden: Fields,
}

// === impl Counterparts ===

impl<'a> Counterparts<'a> {
    pub(crate) fn new(user_id: &'a str, set: Option<&'a Set>, hides: &'a [Hide]) -> Self {
        Self { user_id, set, hides }
    }

    /// Returns true if a user is one of the counterparts.
    pub fn contains(&self, other: &str) -> bool {
        other != self.user_id && self.set.is_some_and(|set| set.contains(other))
    }

    /// Returns true if a user is one of the counterparts, `None` if a missing fact about rooms
    /// decides it, as [`Set::contains_if`] does. Only `Some(true)` shows presence.
    pub fn contains_if(
        &self,
        other: &str,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        self.contains_hashed_if(&HashedUser::new(other), &share_room)
    }

    #[inline]
    pub(crate) fn contains_hashed_if(
        &self,
        other: &HashedUser<'_>,
        share_room: &impl Fn(&'a RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        let Some(set) = self.set else { return Some(false) };
        // Most users are not in the set, so the user itself is compared last.
        match set.0.contains_if(other, share_room) {
            Some(false) => Some(false),
            _ if other.id() == self.user_id => Some(false),
            contains => contains,
        }
    }

    /// Returns true if a decision about some users depends on the rooms that they share with
    /// the user: who is a counterpart, or to whom a hide applies.
    pub fn depends_on_rooms(&self) -> bool {
        self.set.is_some_and(Set::depends_on_rooms)
            || self.hides.iter().any(|hide| hide.users.depends_on_rooms())
    }

    /// Returns the distinct conditions on rooms that decisions depend on, sorted, while the
    /// sender has this presence; `None`: any.
    pub(crate) fn room_conditions(&self, presence: Option<&str>) -> Vec<&'a RoomConditions> {
        let hides = self.hides.iter();
        let hides = hides.filter(|hide| presence.is_none_or(|presence| hide.applies_to(presence)));
        let sets = self.set.into_iter().chain(hides.map(|hide| &hide.users));
        let mut all: Vec<_> = sets.flat_map(Set::room_conditions).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns true if there may be counterparts that [`Counterparts::listed_users`]
    /// does not list.
    pub fn is_open(&self) -> bool {
        self.set.is_some_and(Set::is_open)
    }

    /// Returns the counterparts that the set lists by id: all of them, unless the set
    /// is open. Sorted by their bytes, without repeats.
    pub fn listed_users(&self) -> Vec<&'a str> {
        self.without_self(self.set.map(Set::listed_users))
    }

    /// Returns the listed users that are counterparts in some rooms at least, as
    /// [`Set::listed_candidates`] does.
    pub fn listed_candidates(&self) -> Vec<&'a str> {
        self.without_self(self.set.map(Set::listed_candidates))
    }

    fn without_self(&self, listed: Option<Vec<&'a str>>) -> Vec<&'a str> {
        let mut listed = listed.unwrap_or_default();
        listed.retain(|other| *other != self.user_id);
        listed
    }

    /// Returns the fields that must not be shown to, or of, one counterpart while the
    /// sender has this presence (`online`, `unavailable` ...).
    pub fn hidden_fields(&self, other: &str, presence: &str) -> Fields {
        self.hidden_fields_if(other, presence, |_| None)
    }

    /// Returns the fields that must not be shown, as [`Counterparts::hidden_fields`] does, by
    /// the rooms that the two users share: the function of [`Set::contains_if`]. A hide applies
    /// if a missing fact decides about it.
    pub fn hidden_fields_if(
        &self,
        other: &str,
        presence: &str,
        share_room: impl Fn(&RoomConditions) -> Option<bool>,
    ) -> Fields {
        self.hidden_from(&HashedUser::new(other), presence, &share_room)
    }

    /// Returns the visible ones of some senders, in the order of the question, if these are
    /// the counterparts of a recipient. Each sender comes with its presence (`online`,
    /// `unavailable` ...), on which hides may depend. The recipient itself is left out.
    ///
    /// The cost depends on the number of senders in the question, and not on the number of
    /// senders whom the recipient may see.
    pub fn filter_senders<'s>(
        &self,
        senders: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Vec<VisibleSender> {
        self.filter_senders_if(senders, |_, _| None)
    }

    /// Returns the visible ones of some senders, as [`Counterparts::filter_senders`] does, by
    /// the rooms that they share with the recipient: the function of [`Set::contains_if`], with
    /// the sender that it is about.
    pub fn filter_senders_if<'s>(
        &self,
        senders: impl IntoIterator<Item = (&'s str, &'s str)>,
        share_room: impl Fn(&'s str, &RoomConditions) -> Option<bool>,
    ) -> Vec<VisibleSender> {
        let visible = senders.into_iter().enumerate().filter_map(|(index, (sender, presence))| {
            let hidden = self.hidden_if_visible(sender, presence, &|conditions| {
                share_room(sender, conditions)
            })?;
            Some(VisibleSender { index, hidden })
        });
        visible.collect()
    }

    /// Returns the fields that must not be shown to, or of, one counterpart. `None`: the other
    /// user is no counterpart, or a missing fact about rooms decides it.
    pub(crate) fn hidden_if_visible(
        &self,
        other: &str,
        presence: &str,
        share_room: &impl Fn(&'a RoomConditions) -> Option<bool>,
    ) -> Option<Fields> {
        let other = HashedUser::new(other);
        let visible = self.contains_hashed_if(&other, share_room) == Some(true);
        visible.then(|| self.hidden_from(&other, presence, share_room))
    }

    fn hidden_from(
        &self,
        other: &HashedUser<'_>,
        presence: &str,
        share_room: &impl Fn(&'a RoomConditions) -> Option<bool>,
    ) -> Fields {
        let hides = self.hides_for(presence);
        let hides = hides.filter(|hide| hide.users.0.contains_if(other, share_room) != Some(false));
        hides.fold(Fields::NONE, |all, hide| all.union(hide.fields))
    }

    /// Returns the hides that apply to some of the counterparts while the sender has this
    /// presence.
    pub(crate) fn hides_for(&self, presence: &str) -> impl Iterator<Item = &'a Hide> {
        self.hides.iter().filter(move |hide| hide.applies_to(presence))
    }

    /// Returns all hides that apply to some of the counterparts.
    pub fn hides(&self) -> &'a [Hide] {
        self.hides
    }

    /// Returns the set, which may contain the user itself. `None`: there are no
    /// counterparts.
    pub fn as_set(&self) -> Option<&'a Set> {
        self.set
    }
}
