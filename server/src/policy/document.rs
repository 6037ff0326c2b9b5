//! The policy as its author wrote it, after every check that needs one place of
//! the file only: names are names, ids and patterns are valid, nothing is
//! resolved. The oracle of the tests reads this.

use presence_router_proto::glob::{Glob, UserGlob};

use super::problem::Place;

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Named sets of users, in the order of the file.
    pub groups: Vec<Group>,

    /// Rules, in the order of the file, which means nothing.
    pub rules: Vec<Rule>,
}

/// A named set of users.
#[derive(Clone, Debug)]
pub struct Group {
    /// Not empty, unique in the document.
    pub name: String,

    /// Where the name stands.
    pub place: Place,

    /// Who is in.
    pub members: SetExpr,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Not empty, unique in the document.
    pub name: String,

    /// Where the rule begins.
    pub place: Place,

    /// `allow` or `deny`.
    pub effect: crate::routing::plan::Effect,

    /// Which pairs it matches.
    pub pairs: Pairs,
}

/// Which pairs of sender and recipient a rule matches.
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
        /// Where it stands.
        place: Place,
    },
}

/// A set of users as written.
#[derive(Clone, Debug)]
pub enum SetExpr {
    /// A user id.
    User(String),

    /// `everyone`.
    Everyone,

    /// `server`: all users of servers that match any of these.
    Server(Vec<Glob>),

    /// `match`: all users that match any of these.
    Match(Vec<UserGlob>),

    /// `group`: the members of a group.
    Group {
        /// Its name.
        name: String,
        /// Where the name stands.
        place: Place,
    },

    /// A list: the union. Empty: nobody.
    Union(Vec<SetExpr>),

    /// `all_of`: the intersection, of at least one.
    AllOf(Vec<SetExpr>),

    /// `any` and `except`: the difference.
    Difference {
        /// Who is in,
        any: Box<SetExpr>,
        /// unless also here.
        except: Box<SetExpr>,
    },
}
