//! Evaluates the set expressions of answers: membership of users, and coverage of
//! servers.

use std::sync::Arc;

use presence_router_proto::{
    ids::{Coverage, Glob, Region, UserGlob},
    v1::{SetDifference, SetExpression, SetList, set_expression::Expression},
};

use crate::list::{HashedUser, List, server_of};

/// A set of Matrix users, finite or open.
///
/// A set is immutable and cheap to clone: the sets of one stream share their lists of
/// users, and a list of all members is built only on request.
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
}

/// The kind of a set, with its contents. A clone increments one count.
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

/// The number of parts of a set.
#[derive(Clone, Copy, Debug)]
struct Size {
    sets: usize,
    users: usize,
}

/// Converts expressions of the contract for evaluation.
pub(crate) struct ExpressionReader<'a> {
    /// Returns the set with an id. `None`: the id is not defined.
    pub(crate) set: &'a dyn Fn(u64) -> Option<Kind>,
    /// Refuses an unset expression even where it could only show presence to too few
    /// users.
    pub(crate) strict: bool,
}

// === impl Set ===

impl Set {
    /// Converts an expression. `None` is the empty set.
    ///
    /// # Errors
    /// If the meaning of the expression is unknown.
    pub fn new(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: false };
        reader.read(expression, false).map(Self)
    }

    /// Converts an expression as [`Set::new`] does, but refuses unknown and unset
    /// expressions everywhere instead of taking them for the empty set. For the users of
    /// a hide: with an empty set, nothing would be hidden.
    ///
    /// # Errors
    /// If the meaning of the expression is unknown.
    pub fn new_strict(expression: Option<&SetExpression>) -> Result<Self, SetError> {
        let reader = ExpressionReader { set: &|_| None, strict: true };
        reader.read(expression, false).map(Self)
    }

    /// Returns the empty set.
    pub fn empty() -> Self {
        Self(Kind::empty())
    }

    /// Returns true if a user is in the set.
    pub fn contains(&self, user_id: &str) -> bool {
        self.contains_hashed(&HashedUser::new(user_id))
    }

    pub(crate) fn contains_hashed(&self, user: &HashedUser<'_>) -> bool {
        self.0.contains(user)
    }

    /// Returns the set's coverage of one server. `Nobody` and `Everybody` are exact; if
    /// patterns overlap, `Some` may also mean no users.
    pub fn coverage_on_server(&self, server: &str) -> Coverage {
        self.0.coverage_of(Region::Server(server))
    }

    /// Returns the coverage of one server by the members that [`Set::listed_users`] does not
    /// list, with the precision of [`Set::coverage_on_server`].
    pub fn open_coverage_on_server(&self, server: &str) -> Coverage {
        self.0.open_coverage_of(Region::Server(server))
    }

    /// Returns the set's coverage of all servers for which `named` returns false, with
    /// the precision of [`Set::coverage_on_server`].
    pub fn coverage_outside(&self, named: impl Fn(&str) -> bool) -> Coverage {
        self.0.coverage_of(Region::Outside(&named))
    }

    /// Returns true if the set may have members that [`Set::listed_users`] does not list:
    /// all users of a server, all users that match a pattern, or everyone.
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Returns true if the set is everyone without exceptions: everyone, a union with everyone,
    /// or an intersection of nothing else. A difference never is, whatever its exceptions, nor
    /// is a pattern.
    pub fn is_everyone(&self) -> bool {
        self.0.is_everyone()
    }

    /// Returns the number of users that [`Set::listed_users`] looks at, without looking at them:
    /// an upper bound of the number that it returns.
    pub fn listed_users_bound(&self) -> usize {
        self.0.listed_users_bound()
    }

    /// Returns the number of sets, patterns and listed users that the set is made of, exceptions
    /// included: an upper bound of the steps that a question about coverage takes.
    pub fn size(&self) -> usize {
        let Size { sets, users } = self.0.size();
        sets.saturating_add(users)
    }

    /// Returns the number of sets and patterns that the set is made of, exceptions included: an
    /// upper bound of the steps that [`Set::contains`] takes.
    pub fn steps(&self) -> usize {
        self.0.size().sets
    }

    /// Returns the members that the set lists by id: all of them, unless the set is open.
    /// Sorted by their bytes, without repeats.
    pub fn listed_users(&self) -> Vec<&str> {
        let mut all = Vec::new();
        self.0.collect_listed(&mut all);
        all.sort_unstable();
        all.dedup();
        all
    }
}

// === impl ExpressionReader ===

impl ExpressionReader<'_> {
    /// Converts an expression. `excepted` is true for the exceptions of another
    /// expression: there, an empty set in place of an unknown kind would show presence to
    /// too many users.
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
            None => Kind::empty(),
            Some(Expression::Users(list)) => Kind::Users(List::new(list.user_ids.iter())),
            Some(Expression::Everyone(_)) => Kind::Everyone,
            Some(Expression::RoomMates(_)) => return Err(SetError::UnknownKind),
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

// === impl Size ===

impl Size {
    /// The size of a set without parts.
    const ONE: Self = Self { sets: 1, users: 0 };

    fn plus(self, other: Self) -> Self {
        Self {
            sets: self.sets.saturating_add(other.sets),
            users: self.users.saturating_add(other.users),
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn empty() -> Self {
        Self::Users(List::default())
    }

    pub(crate) fn contains(&self, user: &HashedUser<'_>) -> bool {
        match self {
            Self::Users(users) => users.contains(user),
            Self::Everyone => true,
            Self::Server(glob) => user.server().is_some_and(|server| glob.matches(server)),
            Self::Match(glob) => glob.matches(user.id()),
            Self::AnyOf(sets) => sets.iter().any(|set| set.contains(user)),
            Self::AllOf(sets) => sets.iter().all(|set| set.contains(user)),
            Self::Difference(sets) => sets.0.contains(user) && !sets.1.contains(user),
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

    fn open_coverage_of(&self, region: Region<'_>) -> Coverage {
        match self {
            Self::Users(_) => Coverage::Nobody,
            Self::Everyone | Self::Server(_) | Self::Match(_) => self.coverage_of(region),
            Self::AnyOf(sets) => {
                Coverage::of_union(sets.iter().map(|set| set.open_coverage_of(region)))
            }
            Self::AllOf(sets) => {
                Coverage::of_intersection(sets.iter().map(|set| set.open_coverage_of(region)))
            }
            Self::Difference(sets) => {
                sets.0.open_coverage_of(region).without(sets.1.coverage_of(region))
            }
        }
    }

    fn is_everyone(&self) -> bool {
        match self {
            Self::Everyone => true,
            Self::AnyOf(sets) => sets.iter().any(Self::is_everyone),
            Self::AllOf(sets) => sets.iter().all(Self::is_everyone),
            Self::Users(_) | Self::Server(_) | Self::Match(_) | Self::Difference(_) => false,
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

    fn size(&self) -> Size {
        let of_many = |sets: &[Self]| sets.iter().map(Self::size).fold(Size::ONE, Size::plus);
        match self {
            Self::Users(users) => Size { users: users.len(), ..Size::ONE },
            Self::Everyone | Self::Server(_) | Self::Match(_) => Size::ONE,
            Self::AnyOf(sets) | Self::AllOf(sets) => of_many(sets),
            Self::Difference(sets) => Size::ONE.plus(sets.0.size()).plus(sets.1.size()),
        }
    }

    fn listed_users_bound(&self) -> usize {
        match self {
            Self::Users(users) => users.len(),
            Self::Everyone | Self::Server(_) | Self::Match(_) => 0,
            Self::AnyOf(sets) | Self::AllOf(sets) => {
                sets.iter().map(Self::listed_users_bound).fold(0, usize::saturating_add)
            }
            Self::Difference(sets) => sets.0.listed_users_bound(),
        }
    }

    /// Appends the listed members, in any order, possibly with repeats.
    fn collect_listed<'a>(&'a self, all: &mut Vec<&'a str>) {
        match self {
            Self::Users(users) => all.extend(users.iter()),
            Self::AnyOf(sets) => sets.iter().for_each(|set| set.collect_listed(all)),
            Self::AllOf(sets) => {
                let mut named = Vec::new();
                sets.iter().for_each(|set| set.collect_listed(&mut named));
                all.extend(named.into_iter().filter(|user| self.contains(&HashedUser::new(user))));
            }
            Self::Difference(sets) => {
                let mut named = Vec::new();
                sets.0.collect_listed(&mut named);
                all.extend(
                    named.into_iter().filter(|user| !sets.1.contains(&HashedUser::new(user))),
                );
            }
            Self::Everyone | Self::Server(_) | Self::Match(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
