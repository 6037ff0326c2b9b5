//! Evaluates the set expressions of answers: whether a user is in a set, and on
//! which servers a set has members at all.

use std::sync::Arc;

use presence_router_proto::{
    ids::{Coverage, Glob, Region, UserGlob},
    v1::{SetDifference, SetExpression, SetList, set_expression::Expression},
};

use crate::list::List;

/// A set of Matrix users, finite or open.
///
/// Immutable and cheap to clone: sets of one stream share the lists of users
/// that they are composed of, and nothing is flattened before somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(pub(crate) Kind);

/// An expression that cannot be evaluated. The whole answer that holds it is no
/// verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A set id that stands for nothing: only streams define sets.
    #[error("set {0} is not defined")]
    SetId(u64),
    /// A pattern without `:`.
    #[error("a pattern has no `:`")]
    Pattern,
    /// An intersection of nothing.
    #[error("an intersection holds no sets")]
    EmptyIntersection,
    /// Where it would show too much, and on streams, a set of a kind that this
    /// client does not know, or none at all.
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

/// Makes expressions of the contract ready for evaluation.
pub(crate) struct ExpressionReader<'a> {
    /// What a set id stands for. `None`: nothing.
    pub(crate) set: &'a dyn Fn(u64) -> Option<Kind>,
    /// Whether an unset expression is refused even where it could only show
    /// presence to too few.
    pub(crate) strict: bool,
}

// === impl Set ===

impl Set {
    /// Makes an expression ready. None is nobody.
    ///
    /// # Errors
    /// If there is no telling what the expression means.
    pub fn new(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: false };
        reader.read(expression, false).map(Self)
    }

    /// As [`Set::new`], but refuses unknown and unset expressions everywhere instead of
    /// taking them for nobody. For sets of users that something is hidden from, or of.
    ///
    /// # Errors
    /// If there is no telling what the expression means.
    pub fn new_strict(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: true };
        reader.read(expression, false).map(Self)
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
    pub fn on_server(&self, server: &str) -> Coverage {
        self.0.coverage_of(Region::Server(server))
    }

    /// How much the set covers of all servers that are not `named`. As
    /// [`Set::on_server`].
    pub fn outside(&self, named: impl Fn(&str) -> bool) -> Coverage {
        self.0.coverage_of(Region::Outside(&named))
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

// === impl ExpressionReader ===

impl ExpressionReader<'_> {
    /// `excepted`: whether the expression takes away from another. There, to
    /// read an unknown kind as "nobody" would show presence to too many.
    pub(crate) fn read(
        &self,
        expression: Option<&SetExpression>,
        excepted: bool,
    ) -> Result<Kind, SetError> {
        let many = |list: &SetList| {
            let sets = list.sets.iter().map(|set| self.read(Some(set), excepted));
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
                let any = self.read(any.as_deref(), excepted)?;
                Kind::Difference(Arc::new((any, self.read(except.as_deref(), true)?)))
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

    fn coverage_of(&self, region: Region<'_>) -> Coverage {
        match self {
            Self::Users(users) => region.covered_by_users(users.iter().filter_map(server_of)),
            Self::Everyone => Coverage::Everybody,
            Self::Server(glob) => region.covered_by(glob),
            Self::Match(pattern) => region.covered_by_pattern(pattern),
            Self::AnyOf(sets) => Coverage::of_union(sets.iter().map(|set| set.coverage_of(region))),
            Self::AllOf(sets) => {
                Coverage::of_intersection(sets.iter().map(|set| set.coverage_of(region)))
            }
            Self::Difference(sets) => {
                sets.0.coverage_of(region).without(sets.1.coverage_of(region))
            }
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

/// The server name of a user id: what follows its first `:`.
fn server_of(user_id: &str) -> Option<&str> {
    user_id.split_once(':').map(|(_, server)| server)
}

#[cfg(test)]
mod tests;
