//! The policy as its author wrote it, after every check that needs one place of
//! the file only: names are names, ids and patterns are valid, nothing is
//! resolved. The oracle of the tests reads this.

pub mod room;

use presence_router_ids::{Glob, UserGlob};

use self::room::{RoomRule, RoomTest};
use super::problem::Position;
use crate::routing::model::ruleset::{Effect, Hide, Ids};
use crate::routing::model::side::Side;
use presence_router_ids::ServerName;

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Named sets of users, in the order of the file.
    pub groups: Vec<Group>,

    /// Rules, in the order of the file, which means nothing; then those that
    /// the switches at the top stand for.
    pub rules: Vec<Rule>,

    /// Server names that the switches at the top call ours, in the order of the
    /// file, without repeats.
    pub ours: Vec<ServerName>,

    /// The position of `ours`, if the policy has it.
    pub ours_position: Position,

    /// Rules about rooms, in the order of the file: that of the events they add.
    pub rooms: Vec<RoomRule>,

    /// Tests of who sees whom, in the order of the file.
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

    /// The members. Nobody, for a group of the directory.
    pub members: SetExpr,

    /// True if the directory fills it at run time.
    pub directory: bool,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Not empty, unique in the document.
    pub name: String,

    /// The position of the rule, or of the switch that stands for it.
    pub position: Position,

    /// The effect on the pairs that the rule matches.
    pub effect: Effect,

    /// True if the rule only counts what it would do.
    pub shadow: bool,

    /// True if a switch at the top of the policy stands for it.
    pub switch: bool,

    /// The pairs that it matches.
    pub pairs: Pairs,
}

/// The pairs of sender and recipient that a rule matches.
#[derive(Clone, Debug)]
pub enum Pairs {
    /// `from` and `to`: every sender in the one with every recipient in the
    /// other.
    Product {
        /// The senders.
        from: SetExpr,
        /// The recipients.
        to: SetExpr,
    },

    /// `within`: members of one group with each other, for every group whose
    /// whole name matches the glob.
    Within {
        /// A glob over group names. `*` crosses `/`.
        groups: Glob,
        /// The position of the glob or the name.
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

    /// `server`: all users of servers that match any of these.
    Server(Vec<Glob>),

    /// `match`: all users that match any of these.
    Match(Vec<UserGlob>),

    /// `members_file`: the users listed in another file.
    Members {
        /// The users.
        ids: Ids,
        /// Name of the file, as written.
        file: String,
        /// The position of the glob or the name.
        position: Position,
    },

    /// `group`: the members of a group.
    Group {
        /// Its name.
        name: String,
        /// The position of the name.
        position: Position,
    },

    /// A list: the union. Empty: nobody.
    Union(Vec<SetExpr>),

    /// `all_of`: the intersection, of at least one.
    AllOf(Vec<SetExpr>),

    /// `any` and `except`: the difference.
    Difference {
        /// The users of the set,
        any: Box<SetExpr>,
        /// without the users of this one.
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

    /// The side that the subject is on.
    pub side: Side,

    /// The users asked about: every member of a finite set.
    pub subject: SetExpr,

    /// The position of the subject.
    pub subject_position: Position,

    /// `reaches` or `sees`: counterparts.
    pub yes: Vec<Named>,

    /// `not`: users who are none.
    pub not: Vec<Named>,

    /// `only`: all listed users who are counterparts.
    pub only: Option<Only>,

    /// `hides`: what is hidden on all pairs of the test.
    pub hides: Option<TestHides>,
}

/// All listed counterparts of a test's subject.
#[derive(Clone, Debug)]
pub struct Only {
    /// The position of the list.
    pub position: Position,

    /// The users. None: nobody.
    pub users: Vec<Named>,
}

/// The fields that are hidden on every pair of a test, no less and no more.
#[derive(Clone, Debug)]
pub struct TestHides {
    /// The position of the value.
    pub position: Position,

    /// They add up, as those of several rules do. Unlike a rule's, one may hide no
    /// field.
    pub hides: Vec<Hide>,
}

/// Members that a test gives to a group.
#[derive(Clone, Debug)]
pub struct Given {
    /// Name of the group.
    pub group: String,

    /// The position of the name.
    pub position: Position,

    /// The ids of the members.
    pub members: Vec<String>,
}

/// A user id, and where it stands.
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

    /// The same, with the position of the group or rule that a set belongs to.
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
            for set in rule.when.sets() {
                set.each_part(&mut |part| found(rule.position, part));
            }
        }
    }
}

// === impl Test ===

impl Test {
    /// The users that the test names by their ids, the subject's included.
    pub(super) fn users(&self) -> Vec<&Named> {
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
    /// A set without anybody.
    pub(super) fn nobody() -> Self {
        Self::Union(Vec::new())
    }

    /// Calls back for the set and every set in it. Recurses no deeper than
    /// reading lets sets be.
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

/// The key of a test that names the subject on a side.
pub(super) fn side_key(side: Side) -> &'static str {
    match side {
        Side::Sender => "sender",
        Side::Recipient => "recipient",
    }
}
