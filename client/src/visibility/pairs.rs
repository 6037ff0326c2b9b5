//! Questions about one recipient, and one or many senders.

use presence_router_proto::ids::RoomConditions;

use super::{Basis, NeededFacts, Verdict, source::Answer};
use crate::{VisibleSender, answer::Counterparts};

/// The question if a recipient sees a sender, from [`Visibility::sees`](crate::Visibility::sees).
#[derive(Clone, Debug)]
pub struct PairQuestion<'a> {
    recipient: &'a str,
    sender: &'a str,
    presence: &'a str,
    interest: Answer,
}

/// The question which senders a recipient sees, from
/// [`Visibility::filter`](crate::Visibility::filter).
#[derive(Clone, Debug)]
pub struct FilterQuestion<'a> {
    recipient: &'a str,
    senders: &'a [(&'a str, &'a str)],
    interest: Answer,
}

/// The verdict about some senders and one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filtered {
    /// The senders whom the recipient sees, in the order of the question.
    pub visible: Vec<VisibleSender>,
    /// The origin of the verdict.
    pub basis: Basis,
}

// === impl PairQuestion ===

impl<'a> PairQuestion<'a> {
    pub(super) fn new(
        recipient: &'a str,
        sender: &'a str,
        presence: &'a str,
        interest: Answer,
    ) -> Self {
        Self { recipient, sender, presence, interest }
    }

    /// Returns the facts that the verdict needs. `None`: it needs none.
    pub fn needed_facts(&self) -> Option<NeededFacts<'_>> {
        NeededFacts::find(self.counterparts(), self.recipient, self.sender, self.presence)
    }

    /// Returns the verdict, by the function `share_room(recipient, sender, conditions)` of
    /// [`Visibility`](crate::Visibility).
    pub fn decide(
        &self,
        share_room: impl Fn(&str, &str, &RoomConditions) -> Option<bool>,
    ) -> Verdict {
        let share_room =
            |conditions: &RoomConditions| share_room(self.recipient, self.sender, conditions);
        let counterparts = self.counterparts();
        let hidden = counterparts.hidden_if_visible(self.sender, self.presence, &share_room);
        Verdict::new(hidden, self.interest.basis)
    }

    fn counterparts(&self) -> Counterparts<'_> {
        self.interest.counterparts_of(self.recipient)
    }
}

// === impl FilterQuestion ===

impl<'a> FilterQuestion<'a> {
    pub(super) fn new(
        recipient: &'a str,
        senders: &'a [(&'a str, &'a str)],
        interest: Answer,
    ) -> Self {
        Self { recipient, senders, interest }
    }

    /// Returns true if the verdict may need facts about rooms, without a look at the senders.
    /// If false, [`FilterQuestion::decide`] does not call its function.
    pub fn depends_on_rooms(&self) -> bool {
        self.counterparts().depends_on_rooms()
    }

    /// Returns the conditions that the verdict may need facts about, sorted, without a look at
    /// the senders: so that a homeserver can look for the rooms of the recipient that meet them
    /// once for all senders. Empty if [`FilterQuestion::depends_on_rooms`] returns false.
    pub fn needed_conditions(&self) -> Vec<&RoomConditions> {
        self.counterparts().room_conditions(None)
    }

    /// Returns the facts that the verdict needs, for each sender that depends on some.
    pub fn needed_facts(&self) -> impl Iterator<Item = NeededFacts<'_>> {
        let counterparts = self.counterparts();
        let senders = if counterparts.depends_on_rooms() { self.senders } else { &[] };
        senders.iter().filter_map(move |(sender, presence)| {
            NeededFacts::find(counterparts, self.recipient, sender, presence)
        })
    }

    /// Returns the verdict, by the function `share_room(recipient, sender, conditions)` of
    /// [`Visibility`](crate::Visibility).
    pub fn decide(
        &self,
        share_room: impl Fn(&str, &str, &RoomConditions) -> Option<bool>,
    ) -> Filtered {
        let senders = self.senders.iter().copied();
        let visible = self.counterparts().filter_senders_if(senders, |sender, conditions| {
            share_room(self.recipient, sender, conditions)
        });
        Filtered { visible, basis: self.interest.basis }
    }

    fn counterparts(&self) -> Counterparts<'_> {
        self.interest.counterparts_of(self.recipient)
    }
}
