//! The rules that routing evaluates: sets of users, and rules over them.
//!
//! A ruleset is already checked: every id and pattern is valid, and every group number
//! exists and refers only to earlier groups, so that there are no cycles. `policy` makes rulesets; [`crate::routing::snapshot`] evaluates them.

use std::fmt;
use std::sync::Arc;

use presence_router_ids::{Glob, RoomCapabilities, RoomConditions, UserGlob};

/// The complete input of all decisions about visibility.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Members of each group; a group's number is its index. A group refers
    /// only to groups with smaller numbers. A group that no rule refers to is
    /// evaluated like any other, and a snapshot has its members.
    pub groups: Vec<Set>,

    /// The rules. Their order has no meaning: allow is a union, and deny wins.
    pub rules: Vec<Rule>,
}

/// A rule: it matches a pair that any of its products holds, and for which its relation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule's effect on the pairs that it matches.
    pub effect: Effect,

    /// True if the rule is in shadow: it is evaluated and counted, but takes no part in
    /// decisions.
    pub shadow: bool,

    /// The pairs that the rule matches, if its relation holds.
    pub products: Vec<Product>,

    /// The relation that the rule requires between sender and recipient, if any.
    pub relation: Option<Relation>,
}

/// A relation between two users that a rule requires. The engine never knows if it holds: the
/// caller evaluates it. It is symmetric, so that audiences and interests stay mirrors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// The users share a room that meets these conditions.
    ShareRoom(RoomConditions),

    /// The users share no room at all.
    ShareNoRoom,
}

/// The effect of a rule on the pairs that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The pairs may be visible.
    Allow,

    /// The pairs are not visible, whatever other rules allow.
    Deny,

    /// Some fields of presence are hidden for those of the pairs that are visible.
    Hide(Hide),
}

/// The fields that a hide rule hides. The receiver applies it to each pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hide {
    /// The hidden fields. At least one.
    pub fields: Fields,

    /// Presence values for which nothing is hidden: sorted by their bytes, without repeats.
    /// Empty: the fields are hidden for every presence.
    pub unless: Box<[Box<str>]>,
}

/// Fields of a presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fields {
    /// The presence itself: shown as offline, without status text and activity.
    pub presence: bool,

    /// The status text.
    pub status_msg: bool,

    /// The time of the user's last activity.
    pub last_active_ts: bool,

    /// The flag for a user who is active at the moment.
    pub currently_active: bool,
}

/// Every pair of a sender and a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The senders.
    pub senders: Set,

    /// The recipients, who may or must not see the senders.
    pub recipients: Set,
}

/// A set of users, as an expression that decides membership for any user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// These users.
    Users(Ids),

    /// Every user of every server.
    Everyone,

    /// All users whose server name matches, port included as written.
    Server(Glob),

    /// All users whose id matches.
    Match(UserGlob),

    /// The members of a group.
    Group(usize),

    /// The members that the directory stores under this name. Only a whole group of a
    /// ruleset may be of this kind.
    Directory(Box<str>),

    /// The users in any of these sets; no users if there are no sets.
    Union(Vec<Set>),

    /// The users in all of these sets. At least one set.
    Intersection(Vec<Set>),

    /// The users in the first set but not in the second.
    Difference(Box<Set>, Box<Set>),
}

/// User ids, valid, in any order, repeats allowed.
///
/// One text holds all ids: ten million boxes would take twice the memory of the ids
/// themselves. A clone shares the text.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Ids(Arc<List>);

#[derive(Default, PartialEq, Eq, Hash)]
struct List {
    text: Box<str>,
    /// The end of each id.
    ends: Box<[u32]>,
}

/// The error for ids of 4 GiB or more in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ids have more than {} bytes in total", u32::MAX)]
pub struct TooLong;

// === impl Relation ===

impl Relation {
    /// Returns what a caller must be able to evaluate. For a caller that lacks some of it, the
    /// relation counts as not met in an allow rule, and as met in a deny or hide rule.
    pub fn needed_capabilities(&self) -> RoomCapabilities {
        match self {
            Self::ShareRoom(conditions) => conditions.needed_capabilities(),
            Self::ShareNoRoom => RoomConditions::default().needed_capabilities(),
        }
    }

    /// Returns true if the relation holds for two users who share no room, which is always known.
    pub fn holds_without_rooms(&self) -> Option<bool> {
        self.holds(|_| Some(false))
    }

    /// Returns true if the relation holds for two users. `share_room` returns true if they
    /// share a room that meets some conditions, and `None` if a missing fact decides it.
    pub fn holds(&self, share_room: impl Fn(&RoomConditions) -> Option<bool>) -> Option<bool> {
        match self {
            Self::ShareRoom(conditions) => share_room(conditions),
            Self::ShareNoRoom => share_room(&RoomConditions::default()).map(|shares| !shares),
        }
    }
}

// === impl Set ===

impl Set {
    /// Returns true if the set is every user by its definition, whoever the members of groups
    /// are. `groups` are those of the set's ruleset.
    pub(in crate::routing) fn is_everyone(&self, groups: &[Self]) -> bool {
        match self {
            Self::Everyone => true,
            Self::Group(group) => groups.get(*group).is_some_and(|set| set.is_everyone(groups)),
            Self::Union(sets) => sets.iter().any(|set| set.is_everyone(groups)),
            Self::Intersection(sets) => sets.iter().all(|set| set.is_everyone(groups)),
            Self::Users(_)
            | Self::Server(_)
            | Self::Match(_)
            | Self::Directory(_)
            | Self::Difference(..) => false,
        }
    }
}

// === impl Ids ===

impl Ids {
    /// Stores ids, in their order.
    ///
    /// # Errors
    ///
    /// If the ids are too long in total.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Self, TooLong> {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for id in ids {
            text.push_str(id);
            ends.push(u32::try_from(text.len()).map_err(|_| TooLong)?);
        }
        Ok(Self(Arc::new(List { text: text.into(), ends: ends.into() })))
    }

    /// Returns the ids, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.0.ends.iter().map(move |end| {
            let end = usize::try_from(*end).unwrap_or(usize::MAX);
            self.0.text.get(std::mem::replace(&mut start, end)..end).unwrap_or_default()
        })
    }

    /// Returns the number of ids, including repeats.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
