//! Evaluates the set expressions of answers: whether a user is in a set, and on
//! which servers a set has members at all.

use std::sync::Arc;

use presence_router_proto::{
    glob::{Glob, UserGlob},
    v1::{SetDifference, SetExpression, SetList, set_expression::Expression},
};

use crate::list::List;

/// A set of Matrix users, finite or open.
///
/// Immutable and cheap to clone: sets of one stream share the lists of users
/// that they are composed of, and nothing is flattened before somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(pub(crate) Kind);

/// How much of a part of the world a set covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Nobody, for certain.
    Nobody,
    /// Perhaps somebody, perhaps not everybody.
    Some,
    /// Everybody, for certain.
    Everybody,
}

/// An expression that cannot be evaluated. The whole answer that holds it is no
/// verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A set id that stands for nothing: only streams define sets.
    #[error("it refers to set {0}, which is not defined")]
    SetId(u64),
    /// A pattern without `:`.
    #[error("a pattern has no `:`")]
    Pattern,
    /// An intersection of nothing.
    #[error("an intersection holds no sets")]
    EmptyIntersection,
    /// On a stream, a set of a kind that this client does not know, or none at
    /// all.
    #[error("a set is of an unknown kind")]
    UnknownKind,
    /// An exception of a kind that this client does not know, or none at all:
    /// the decoder cannot tell these apart.
    #[error("an exception is of an unknown kind")]
    UnknownException,
}

/// What a set is. A clone is one count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Users(List),
    Everyone,
    Server(Arc<Glob>),
    Match(Arc<UserGlob>),
    AnyOf(Arc<[Kind]>),
    AllOf(Arc<[Kind]>),
    Difference(Arc<(Kind, Kind)>),
}

/// How an expression is read.
pub(crate) struct Reading<'a> {
    /// What a set id stands for. `None`: nothing.
    pub(crate) set: &'a dyn Fn(u64) -> Option<Kind>,
    /// Whether an unset expression is refused even where it could only show
    /// presence to too few.
    pub(crate) strict: bool,
}

/// A part of the world.
#[derive(Clone, Copy)]
enum Region<'a> {
    /// One server.
    Server(&'a str),
    /// Every server but those for which this is true.
    Outside(&'a dyn Fn(&str) -> bool),
}

// === impl Set ===

impl Set {
    /// Makes an expression ready. None is nobody.
    ///
    /// # Errors
    /// If there is no telling what the expression means.
    pub fn new(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reading = Reading { set: &|_| None, strict: false };
        reading.kind(expression, false).map(Self)
    }

    /// As [`Set::new`], where to take what is not known for nobody would show too
    /// much: whom something is hidden from, or of whom.
    pub(crate) fn of_hidden(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reading = Reading { set: &|_| None, strict: true };
        reading.kind(expression, false).map(Self)
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self(Kind::nobody())
    }

    /// Whether a user is in the set.
    pub fn contains(&self, user_id: &str) -> bool {
        self.0.contains(user_id)
    }

    /// How much of a server the set covers. `Nobody` and `Everybody` are
    /// certain; where patterns overlap, `Some` may be said of nobody.
    pub fn on_server(&self, server: &str) -> Extent {
        self.0.extent(Region::Server(server))
    }

    /// How much the set covers of all servers that are not `named`. As
    /// [`Set::on_server`].
    pub fn outside(&self, named: impl Fn(&str) -> bool) -> Extent {
        self.0.extent(Region::Outside(&named))
    }

    /// Whether the set may have members that [`Set::listed`] does not name: all
    /// users of a server or of a pattern, or everyone.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// The members that the set names by their ids: all of them, unless it is
    /// open. Sorted by their bytes, without repeats.
    pub fn listed(&self) -> Vec<&str> {
        let mut all = Vec::new();
        self.0.list(&mut all);
        all.sort_unstable();
        all.dedup();
        all
    }
}

// === impl Reading ===

impl Reading<'_> {
    /// `excepted`: whether the expression takes away from another. There, to
    /// read an unknown kind as "nobody" would show presence to too many.
    pub(crate) fn kind(
        &self,
        expression: Option<&SetExpression>,
        excepted: bool,
    ) -> Result<Kind, SetError> {
        let many = |list: &SetList| {
            let sets = list.sets.iter().map(|set| self.kind(Some(set), excepted));
            sets.collect::<Result<Arc<_>, _>>()
        };
        Ok(match expression.and_then(|expression| expression.expression.as_ref()) {
            None if excepted => return Err(SetError::UnknownException),
            None if self.strict => return Err(SetError::UnknownKind),
            None => Kind::nobody(),
            Some(Expression::Users(list)) => {
                let users = list.user_ids.iter().map(|id| id.as_str().into());
                Kind::Users(List::new(users.collect()))
            }
            Some(Expression::Everyone(_)) => Kind::Everyone,
            Some(Expression::Server(glob)) => Kind::Server(Glob::new(glob.as_str()).into()),
            Some(Expression::Match(pattern)) => {
                Kind::Match(UserGlob::parse(pattern).ok_or(SetError::Pattern)?.into())
            }
            Some(Expression::SetId(id)) => (self.set)(*id).ok_or(SetError::SetId(*id))?,
            Some(Expression::AnyOf(list)) => Kind::AnyOf(many(list)?),
            Some(Expression::AllOf(list)) if list.sets.is_empty() => {
                return Err(SetError::EmptyIntersection);
            }
            Some(Expression::AllOf(list)) => Kind::AllOf(many(list)?),
            Some(Expression::Difference(difference)) => {
                let SetDifference { any, except } = &**difference;
                let any = self.kind(any.as_deref(), excepted)?;
                Kind::Difference(Arc::new((any, self.kind(except.as_deref(), true)?)))
            }
        })
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn nobody() -> Self {
        Self::Users(List::default())
    }

    fn contains(&self, user_id: &str) -> bool {
        match self {
            Self::Users(users) => users.contains(user_id),
            Self::Everyone => true,
            Self::Server(glob) => server_of(user_id).is_some_and(|server| glob.matches(server)),
            Self::Match(glob) => glob.matches(user_id),
            Self::AnyOf(sets) => sets.iter().any(|set| set.contains(user_id)),
            Self::AllOf(sets) => sets.iter().all(|set| set.contains(user_id)),
            Self::Difference(sets) => sets.0.contains(user_id) && !sets.1.contains(user_id),
        }
    }

    fn extent(&self, region: Region<'_>) -> Extent {
        match self {
            Self::Users(users) => {
                let mut servers = users.iter().filter_map(server_of);
                if servers.any(|server| region.holds(server)) {
                    Extent::Some
                } else {
                    Extent::Nobody
                }
            }
            Self::Everyone => Extent::Everybody,
            Self::Server(glob) => region.of(glob),
            Self::Match(pattern) => {
                let every_user = matches!(pattern.user().as_str(), "*" | "@*");
                region.of(pattern.server()).min(if every_user {
                    Extent::Everybody
                } else {
                    Extent::Some
                })
            }
            Self::AnyOf(sets) => {
                sets.iter().map(|set| set.extent(region)).max().unwrap_or(Extent::Nobody)
            }
            Self::AllOf(sets) => {
                sets.iter().map(|set| set.extent(region)).min().unwrap_or(Extent::Everybody)
            }
            Self::Difference(sets) => match (sets.0.extent(region), sets.1.extent(region)) {
                (Extent::Nobody, _) | (_, Extent::Everybody) => Extent::Nobody,
                (any, Extent::Nobody) => any,
                (_, Extent::Some) => Extent::Some,
            },
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::Users(_) => false,
            Self::Everyone | Self::Server(_) | Self::Match(_) => true,
            Self::AnyOf(sets) => sets.iter().any(Self::is_open),
            Self::AllOf(sets) => sets.iter().all(Self::is_open),
            Self::Difference(sets) => sets.0.is_open(),
        }
    }

    /// Adds the members that are named, in any order, perhaps repeated.
    fn list<'a>(&'a self, all: &mut Vec<&'a str>) {
        match self {
            Self::Users(users) => all.extend(users.iter()),
            Self::AnyOf(sets) => sets.iter().for_each(|set| set.list(all)),
            Self::AllOf(sets) => {
                let mut named = Vec::new();
                sets.iter().for_each(|set| set.list(&mut named));
                all.extend(named.into_iter().filter(|user| self.contains(user)));
            }
            Self::Difference(sets) => {
                let mut named = Vec::new();
                sets.0.list(&mut named);
                all.extend(named.into_iter().filter(|user| !sets.1.contains(user)));
            }
            Self::Everyone | Self::Server(_) | Self::Match(_) => {}
        }
    }
}

// === impl Region ===

impl Region<'_> {
    fn holds(self, server: &str) -> bool {
        match self {
            Self::Server(one) => one == server,
            Self::Outside(named) => !named(server),
        }
    }

    /// How much of the region a glob over server names covers.
    fn of(self, glob: &Glob) -> Extent {
        let (whole, some) = match self {
            Self::Server(server) => (glob.matches(server), false),
            Self::Outside(_) if glob.is_literal() => (false, self.holds(glob.as_str())),
            Self::Outside(_) => (glob.as_str() == "*", true),
        };
        match (whole, some) {
            (true, _) => Extent::Everybody,
            (_, true) => Extent::Some,
            _ => Extent::Nobody,
        }
    }
}

/// The server name of a user id: what follows its first `:`.
fn server_of(user_id: &str) -> Option<&str> {
    user_id.split_once(':').map(|(_, server)| server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use presence_router_proto::v1::{Everyone, UserList};

    fn of(expression: Expression) -> SetExpression {
        SetExpression { expression: Some(expression) }
    }
    fn users(ids: &[&str]) -> SetExpression {
        of(Expression::Users(UserList { user_ids: ids.iter().map(|id| (*id).into()).collect() }))
    }
    fn everyone() -> SetExpression {
        of(Expression::Everyone(Everyone {}))
    }
    fn server(glob: &str) -> SetExpression {
        of(Expression::Server(glob.into()))
    }
    fn matching(pattern: &str) -> SetExpression {
        of(Expression::Match(pattern.into()))
    }
    fn any_of(sets: &[SetExpression]) -> SetExpression {
        of(Expression::AnyOf(SetList { sets: sets.into() }))
    }
    fn all_of(sets: &[SetExpression]) -> SetExpression {
        of(Expression::AllOf(SetList { sets: sets.into() }))
    }
    fn minus(any: SetExpression, except: SetExpression) -> SetExpression {
        let (any, except) = (Some(Box::new(any)), Some(Box::new(except)));
        of(Expression::Difference(Box::new(SetDifference { any, except })))
    }
    fn set(expression: &SetExpression) -> Set {
        Set::new(Some(expression)).unwrap()
    }

    #[test]
    fn each_kind_holds_whom_it_says() {
        for (expression, inside, outside) in [
            (users(&["@b:x", "@a:x"]), &["@a:x", "@b:x"][..], &["@c:x", "@a:X"][..]),
            (everyone(), &["@a:x", "@never:met.before:8448"], &[]),
            (server("*.x"), &["@a:b.x"], &["@a:x", "@b.x:y"]),
            (matching("@*-bot:x"), &["@a-bot:x"], &["@a:x", "@a-bot:y"]),
            (any_of(&[users(&["@a:x"]), server("y")]), &["@a:x", "@q:y"], &["@b:x"]),
            (any_of(&[]), &[], &["@a:x"]),
            (all_of(&[server("x"), matching("@a*:*")]), &["@a:x", "@ab:x"], &["@b:x", "@a:y"]),
            (minus(everyone(), server("x")), &["@a:y"], &["@a:x"]),
            (SetExpression::default(), &[], &["@a:x"]),
        ] {
            let set = set(&expression);
            for user in inside {
                assert!(set.contains(user), "{user} {expression:?}");
            }
            for user in outside {
                assert!(!set.contains(user), "{user} {expression:?}");
            }
        }
        assert!(!Set::new(None).unwrap().contains("@a:x"));
    }

    #[test]
    fn what_has_no_clear_meaning_is_no_verdict() {
        let unset = SetExpression::default();
        for (expression, error) in [
            (of(Expression::SetId(7)), SetError::SetId(7)),
            (any_of(&[of(Expression::SetId(7))]), SetError::SetId(7)),
            (matching("nocolon"), SetError::Pattern),
            (all_of(&[]), SetError::EmptyIntersection),
            (minus(everyone(), unset.clone()), SetError::UnknownException),
            (minus(everyone(), any_of(&[unset])), SetError::UnknownException),
        ] {
            assert_eq!(Set::new(Some(&expression)), Err(error));
        }
    }

    #[test]
    fn extents_tell_where_members_can_be() {
        use Extent::{Everybody, Nobody, Some};
        for (expression, on_x, on_y, elsewhere) in [
            (users(&["@a:x"]), Some, Nobody, Nobody),
            (users(&["@a:z"]), Nobody, Nobody, Some),
            (everyone(), Everybody, Everybody, Everybody),
            (server("x"), Everybody, Nobody, Nobody),
            (server("?"), Everybody, Everybody, Some),
            (server("*"), Everybody, Everybody, Everybody),
            (server("z"), Nobody, Nobody, Some),
            (matching("@a*:x"), Some, Nobody, Nobody),
            (matching("@*:*"), Everybody, Everybody, Everybody),
            (minus(everyone(), server("y")), Everybody, Nobody, Everybody),
            (minus(everyone(), users(&["@a:y"])), Everybody, Some, Everybody),
            (minus(server("y"), everyone()), Nobody, Nobody, Nobody),
            (all_of(&[everyone(), server("x")]), Everybody, Nobody, Nobody),
            (any_of(&[users(&["@a:y"]), server("x")]), Everybody, Some, Nobody),
        ] {
            let set = set(&expression);
            let found = (
                set.on_server("x"),
                set.on_server("y"),
                set.outside(|name| name == "x" || name == "y"),
            );
            assert_eq!(found, (on_x, on_y, elsewhere), "{expression:?}");
        }
    }

    #[test]
    fn listed_members_are_members() {
        let expression = minus(
            any_of(&[users(&["@c:x", "@a:x", "@b:x"]), server("y"), users(&["@a:x"])]),
            users(&["@b:x", "@z:x"]),
        );
        let listed = set(&expression);
        assert_eq!(listed.listed(), ["@a:x", "@c:x"]);
        assert!(listed.is_open());
        let expression = all_of(&[users(&["@b:x", "@a:y"]), server("x"), everyone()]);
        assert_eq!(set(&expression).listed(), ["@b:x"]);
        assert!(!set(&expression).is_open());
    }
}
