//! What routing is asked to decide by: sets of users, and rules over them.
//!
//! A plan is checked before it comes here: every id and pattern is valid and
//! every group number exists and refers to groups before it only, so there are
//! no cycles. `policy` makes plans; [`super::snapshot`] makes them
//! fast.

use presence_router_proto::glob::{Glob, UserGlob};

/// Everything that decides who may see whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Members of each group; a group's number is its place. A group refers
    /// only to groups with smaller numbers.
    pub groups: Vec<Set>,

    /// The rules, in no meaningful order: allow is a union, and deny wins.
    pub rules: Vec<Rule>,
}

/// A rule: it matches a pair that any of its products holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the rule does to the pairs that it matches.
    pub effect: Effect,

    /// Whether the rule takes no part, and is only evaluated and counted.
    pub shadow: bool,

    /// The pairs that the rule matches.
    pub products: Vec<Product>,
}

/// What a rule does to the pairs that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They may be visible.
    Allow,

    /// They are not, whatever allows them.
    Deny,

    /// What is shown of them is less.
    Hide(Hide),
}

/// What a rule hides. The receiver applies it to each pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hide {
    /// What is hidden.
    pub fields: Fields,

    /// Values of `presence` for which nothing is. Sorted, without repeats.
    pub unless: Box<[Box<str>]>,
}

/// Fields of presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fields {
    /// All of it: shown as offline, without status and activity.
    pub presence: bool,
    /// The status message.
    pub status_msg: bool,
    /// The time of last activity.
    pub last_active_ts: bool,
    /// Whether the user is active at the moment.
    pub currently_active: bool,
}

/// Every pair of one of the senders with one of the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Whose presence it is.
    pub senders: Set,

    /// Who may, or must not, see it.
    pub recipients: Set,
}

/// A set of users, as an expression that says about any user whether it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// These users, valid ids in any order, repeats allowed.
    Users(Vec<Box<str>>),

    /// Every user of every server.
    Everyone,

    /// All users whose server name matches, port included as written.
    Server(Glob),

    /// All users whose id matches.
    Match(UserGlob),

    /// The members of a group.
    Group(usize),

    /// Whom the directory keeps under this name. Only a group of a plan may be
    /// this, as a whole.
    Directory(Box<str>),

    /// Who is in any of them; nobody if there are none.
    Union(Vec<Set>),

    /// Who is in all of them; at least one.
    Intersection(Vec<Set>),

    /// Who is in the first and not in the second.
    Difference(Box<Set>, Box<Set>),
}
