//! The policy as its author wrote it, after all checks that need only one place of the file:
//! names, ids and patterns are valid, but no reference is resolved. The oracle of the tests
//! reads this document.

pub mod room;

use presence_router_ids::{Glob, RoomCondition, ServerName, UserGlob};

use self::room::{RoomRule, RoomTest};
use super::given_rooms::GivenRooms;
use super::problem::Position;
use crate::routing::model::ruleset::{Effect, Hide, Ids, Relation};
use crate::routing::model::side::Side;

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Named sets of users, in the order of the file.
    pub groups: Vec<Group>,

    /// Rules, in the order of the file, which has no meaning; then the rules of the switches
    /// at the top.
    pub rules: Vec<Rule>,

    /// Server names of `ours`, which the switches at the top refer to, in the order of the
    /// file, without repeats.
    pub ours: Vec<ServerName>,

    /// The position of `ours`, if the policy has it.
    pub ours_position: Position,

    /// Rules about rooms, in the order of the file, which is the order of the events that
    /// they add.
    pub rooms: Vec<RoomRule>,

    /// Tests of visibility, in the order of the file.
    pub tests: Vec<Test>,

    /// Tests of rules about rooms, in the order of the file.
    pub room_tests: Vec<RoomTest>,
}

/// A named set of users.
#[derive(Clone, Debug)]
pub struct Group {
    /// Not empty, unique in the document.
    pub name: String,

    /// The position of the name.
    pub position: Position,

    /// The members. Empty for a group of the directory.
    pub members: SetExpr,

    /// True if the directory fills the group at run time.
    pub directory: bool,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Not empty, unique in the document.
    pub name: String,

    /// The position of the rule, or of its switch.
    pub position: Position,

    /// The effect on the pairs that the rule matches.
    pub effect: Effect,

    /// True if the rule takes no part, and the daemon only counts its effect.
    pub shadow: bool,

    /// True if the rule comes from a switch at the top of the policy.
    pub switch: bool,

    /// The pairs that the rule matches, if its relation holds.
    pub pairs: Pairs,

    /// `share_room`: the relation that the rule requires, if any.
    pub relation: Option<Relation>,
}

/// The pairs of sender and recipient that a rule matches.
#[derive(Clone, Debug)]
pub enum Pairs {
    /// `from` and `to`: every sender in the first set with every recipient in the second.
    Product {
        /// The senders.
        from: SetExpr,
        /// The recipients.
        to: SetExpr,
    },

    /// `within`: members of one group with each other, for every group whose whole name
    /// matches the glob.
    Within {
        /// A glob over group names. `*` crosses `/`.
        groups: Glob,
        /// The position of the glob.
        position: Position,
    },
}

/// A set of users as written.
#[derive(Clone, Debug)]
pub enum SetExpr {
    /// A user id.
    User(Named),

    /// `everyone`.
    Everyone,

    /// `server`: all users of servers that match any of these globs.
    Server(Vec<Glob>),

    /// `match`: all users that match any of these patterns.
    Match(Vec<UserGlob>),

    /// `members_file`: the users listed in another file.
    Members {
        /// The users.
        ids: Ids,
        /// The name of the file, as written.
        file: String,
        /// The position of the name.
        position: Position,
    },

    /// `group`: the members of a group.
    Group {
        /// The name of the group.
        name: String,
        /// The position of the name.
        position: Position,
    },

    /// A list: the union. An empty list has no users.
    Union(Vec<SetExpr>),

    /// `all_of`: the intersection of at least one set.
    AllOf(Vec<SetExpr>),

    /// `any` and `except`: the difference.
    Difference {
        /// The set.
        any: Box<SetExpr>,
        /// The exceptions, whose users are not in the difference.
        except: Box<SetExpr>,
    },
}

/// A claim about the audience or interest of a user, or of every member of a set.
#[derive(Clone, Debug)]
pub struct Test {
    /// The position of the test.
    pub position: Position,

    /// Members for groups of the directory, which are empty otherwise.
    pub given: Vec<Given>,

    /// The rooms that users share in the test. Without any, nobody shares a room.
    pub rooms: GivenRooms,

    /// The side of the subject.
    pub side: Side,

    /// The users whom the test is about: every member of a finite set.
    pub subject: SetExpr,

    /// The position of the subject.
    pub subject_position: Position,

    /// `reaches` or `sees`: users who must be counterparts.
    pub yes: Vec<Named>,

    /// `not`: users who must not be counterparts.
    pub not: Vec<Named>,

    /// `only`: all listed users who may be counterparts, and must be.
    pub only: Option<Only>,

    /// `hides`: the fields that are hidden on all pairs of the test.
    pub hides: Option<TestHides>,
}

/// All listed counterparts of a test's subject.
#[derive(Clone, Debug)]
pub struct Only {
    /// The position of the list.
    pub position: Position,

    /// The users. Empty: the subject has no listed counterparts.
    pub users: Vec<Named>,
}

/// The fields that are hidden on every pair of a test, no less and no more.
#[derive(Clone, Debug)]
pub struct TestHides {
    /// The position of the value.
    pub position: Position,

    /// The hides. They add up, as the hides of several rules do. Unlike a rule's hide, one may
    /// hide no field.
    pub hides: Vec<Hide>,
}

/// Members that a test gives to a group.
#[derive(Clone, Debug)]
pub struct Given {
    /// The name of the group.
    pub group: String,

    /// The position of the name.
    pub position: Position,

    /// The ids of the members.
    pub members: Vec<String>,
}

/// A user id, or an event type, with its position.
#[derive(Clone, Debug)]
pub struct Named {
    /// The id.
    pub id: String,

    /// The position.
    pub position: Position,
}

// === impl Document ===

impl Document {
    /// Calls back for every set of the document, and every set in it.
    pub(super) fn each_part<'s>(&'s self, found: &mut impl FnMut(&'s SetExpr)) {
        self.each_part_of(&mut |_, part| found(part));
    }

    /// Calls back for every set of the document, and every set in it, with the position of the
    /// group or rule that the set belongs to.
    pub(super) fn each_part_of<'s>(&'s self, found: &mut impl FnMut(Position, &'s SetExpr)) {
        for group in &self.groups {
            group.members.each_part(&mut |part| found(group.position, part));
        }
        for rule in &self.rules {
            if let Pairs::Product { from, to } = &rule.pairs {
                from.each_part(&mut |part| found(rule.position, part));
                to.each_part(&mut |part| found(rule.position, part));
            }
        }
        for rule in &self.rooms {
            for set in rule.when.condition_sets() {
                set.each_part(&mut |part| found(rule.position, part));
            }
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Returns the patterns of `not_counting`, once for each bound on members.
    pub(super) fn not_counting(&self) -> impl Iterator<Item = &UserGlob> {
        let conditions = match &self.relation {
            Some(Relation::ShareRoom(conditions)) => Some(conditions),
            Some(Relation::ShareNoRoom) | None => None,
        };
        conditions.into_iter().flatten().flat_map(|condition| match condition {
            RoomCondition::AtMost(count) | RoomCondition::AtLeast(count) => {
                count.not_counting.iter()
            }
            _ => [].iter(),
        })
    }
}

// === impl Test ===

impl Test {
    /// Returns the users that the test names by their ids, including those of the subject.
    pub(super) fn named_users(&self) -> Vec<&Named> {
        let mut users: Vec<&Named> = Vec::new();
        self.subject.each_part(&mut |part| {
            if let SetExpr::User(user) = part {
                users.push(user);
            }
        });
        users.extend(self.yes.iter().chain(&self.not));
        users.extend(self.only.iter().flat_map(|only| &only.users));
        users
    }
}

// === impl SetExpr ===

impl SetExpr {
    /// Returns a set without users.
    pub(super) fn nobody() -> Self {
        Self::Union(Vec::new())
    }

    /// Calls back for the set and every set in it. The reader bounds the depth of sets, and so
    /// the recursion.
    pub(super) fn each_part<'s>(&'s self, found: &mut impl FnMut(&'s SetExpr)) {
        found(self);
        match self {
            Self::Union(sets) | Self::AllOf(sets) => {
                sets.iter().for_each(|set| set.each_part(found));
            }
            Self::Difference { any, except } => {
                any.each_part(found);
                except.each_part(found);
            }
            Self::User(_)
            | Self::Members { .. }
            | Self::Everyone
            | Self::Server(_)
            | Self::Match(_)
            | Self::Group { .. } => {}
        }
    }
}

/// Returns the key of a test for a subject on a side.
pub(super) fn side_key(side: Side) -> &'static str {
    match side {
        Side::Sender => "sender",
        Side::Recipient => "recipient",
    }
}
