//! The kinds of sets, and the membership of users.
//!
//! Membership has three values, because a homeserver may lack a fact about a room. A set
//! without a part about rooms has only two, and takes a path of its own.

use std::sync::Arc;

use presence_router_proto::ids::{Glob, RoomConditions, UserGlob, all_of, any_of};

use crate::list::{HashedUser, List};

/// The kind of a set, with its contents. A clone increments one count.
///
/// Unions, intersections and differences remember if one of their parts is about rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Users(List),
    Everyone,
    Server(Arc<Glob>),
    Match(Arc<UserGlob>),
    RoomMates(Arc<RoomConditions>),
    AnyOf(Arc<[Kind]>, OnRooms),
    AllOf(Arc<[Kind]>, OnRooms),
    Difference(Arc<(Kind, Kind)>, OnRooms),
}

/// True if the members of a set depend on rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnRooms(bool);

/// The number of parts of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) sets: usize,
    pub(super) users: usize,
}

// === impl Kind ===

impl Kind {
    pub(crate) fn empty() -> Self {
        Self::Users(List::default())
    }

    pub(crate) fn any_of(sets: impl Into<Arc<[Self]>>) -> Self {
        let sets = sets.into();
        let on_rooms = OnRooms::of_any(&sets);
        Self::AnyOf(sets, on_rooms)
    }

    pub(crate) fn all_of(sets: impl Into<Arc<[Self]>>) -> Self {
        let sets = sets.into();
        let on_rooms = OnRooms::of_any(&sets);
        Self::AllOf(sets, on_rooms)
    }

    pub(crate) fn difference(any: Self, except: Self) -> Self {
        let on_rooms = OnRooms(any.depends_on_rooms() || except.depends_on_rooms());
        Self::Difference(Arc::new((any, except)), on_rooms)
    }

    /// Returns true if a part of the set is about rooms. Looks at no part.
    pub(crate) fn depends_on_rooms(&self) -> bool {
        match self {
            Self::Users(_) | Self::Everyone | Self::Server(_) | Self::Match(_) => false,
            Self::RoomMates(_) => true,
            Self::AnyOf(_, on_rooms) | Self::AllOf(_, on_rooms) | Self::Difference(_, on_rooms) => {
                on_rooms.0
            }
        }
    }

    /// Returns true if a user is in the set, whatever rooms there are.
    pub(crate) fn contains(&self, user: &HashedUser<'_>) -> bool {
        self.contains_if(user, &|_| None) == Some(true)
    }

    /// Returns true if a user is in the set, `None` if a missing fact about rooms decides it.
    #[inline]
    pub(crate) fn contains_if<'s>(
        &'s self,
        user: &HashedUser<'_>,
        share_room: &impl Fn(&'s RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        if self.depends_on_rooms() {
            self.contains_by_rooms(user, share_room)
        } else {
            Some(self.contains_without_rooms(user))
        }
    }

    /// Evaluates a set that depends on rooms. Not a part of `contains_if`, so that callers inline
    /// the path without rooms.
    fn contains_by_rooms<'s>(
        &'s self,
        user: &HashedUser<'_>,
        share_room: &impl Fn(&'s RoomConditions) -> Option<bool>,
    ) -> Option<bool> {
        let contains = |set: &'s Self| set.contains_if(user, share_room);
        match self {
            Self::RoomMates(conditions) => share_room(conditions),
            Self::AnyOf(sets, _) => any_of(known_first(sets).map(contains)),
            Self::AllOf(sets, _) => all_of(known_first(sets).map(contains)),
            Self::Difference(sets, _) => {
                let mut parts = [(&sets.0, true), (&sets.1, false)];
                if sets.0.depends_on_rooms() {
                    // As in `known_first`.
                    parts.reverse();
                }
                all_of(parts.into_iter().map(|(set, wanted)| Some(contains(set)? == wanted)))
            }
            Self::Users(_) | Self::Everyone | Self::Server(_) | Self::Match(_) => {
                Some(self.contains_without_rooms(user))
            }
        }
    }

    /// Returns true if a user is in the set. Only for a set that does not depend on rooms.
    fn contains_without_rooms(&self, user: &HashedUser<'_>) -> bool {
        match self {
            Self::Users(users) => users.contains(user),
            Self::Everyone => true,
            Self::Server(glob) => user.server().is_some_and(|server| glob.matches(server)),
            Self::Match(glob) => glob.matches(user.id()),
            Self::RoomMates(_) => false,
            Self::AnyOf(sets, _) => sets.iter().any(|set| set.contains_without_rooms(user)),
            Self::AllOf(sets, _) => sets.iter().all(|set| set.contains_without_rooms(user)),
            Self::Difference(sets, _) => {
                sets.0.contains_without_rooms(user) && !sets.1.contains_without_rooms(user)
            }
        }
    }

    pub(super) fn is_everyone(&self) -> bool {
        match self {
            Self::Everyone => true,
            Self::AnyOf(sets, _) => sets.iter().any(Self::is_everyone),
            Self::AllOf(sets, _) => sets.iter().all(Self::is_everyone),
            Self::Users(_)
            | Self::Server(_)
            | Self::Match(_)
            | Self::RoomMates(_)
            | Self::Difference(..) => false,
        }
    }

    /// Returns true if the set may have members that `collect_listed` does not list.
    pub(super) fn is_open(&self) -> bool {
        if self.depends_on_rooms() {
            return true;
        }
        match self {
            Self::Users(_) => false,
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => true,
            Self::AnyOf(sets, _) => sets.iter().any(Self::is_open),
            Self::AllOf(sets, _) => sets.iter().all(Self::is_open),
            Self::Difference(sets, _) => sets.0.is_open(),
        }
    }

    pub(super) fn size(&self) -> Size {
        let of_many = |sets: &[Self]| sets.iter().map(Self::size).fold(Size::ONE, Size::plus);
        match self {
            Self::Users(users) => Size { users: users.len(), ..Size::ONE },
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => Size::ONE,
            Self::AnyOf(sets, _) | Self::AllOf(sets, _) => of_many(sets),
            Self::Difference(sets, _) => Size::ONE.plus(sets.0.size()).plus(sets.1.size()),
        }
    }

    pub(super) fn listed_users_bound(&self) -> usize {
        match self {
            Self::Users(users) => users.len(),
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => 0,
            Self::AnyOf(sets, _) | Self::AllOf(sets, _) => {
                sets.iter().map(Self::listed_users_bound).fold(0, usize::saturating_add)
            }
            Self::Difference(sets, _) => sets.0.listed_users_bound(),
        }
    }

    /// Appends the wanted ones of the users that the set lists and that are members in some
    /// rooms at least, in any order, possibly with repeats.
    pub(super) fn collect_candidates<'s>(
        &'s self,
        wanted: &impl Fn(&str) -> bool,
        all: &mut Vec<&'s str>,
    ) {
        match self {
            Self::Users(users) => all.extend(users.iter().filter(|user| wanted(user))),
            Self::AnyOf(sets, _) => sets.iter().for_each(|set| set.collect_candidates(wanted, all)),
            Self::AllOf(sets, _) => {
                let mut named = Vec::new();
                sets.iter().for_each(|set| set.collect_candidates(wanted, &mut named));
                let may_contain = |user: &&str| self.contains_if(&HashedUser::new(user), &|_| None);
                all.extend(named.into_iter().filter(|user| may_contain(user) != Some(false)));
            }
            Self::Difference(sets, _) => {
                let mut named = Vec::new();
                sets.0.collect_candidates(wanted, &mut named);
                all.extend(
                    named.into_iter().filter(|user| !sets.1.contains(&HashedUser::new(user))),
                );
            }
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => {}
        }
    }

    /// Appends the conditions of all parts about rooms, possibly with repeats.
    pub(super) fn collect_conditions<'s>(&'s self, all: &mut Vec<&'s RoomConditions>) {
        match self {
            _ if !self.depends_on_rooms() => {}
            Self::RoomMates(conditions) => all.push(conditions),
            Self::AnyOf(sets, _) | Self::AllOf(sets, _) => {
                sets.iter().for_each(|set| set.collect_conditions(all));
            }
            Self::Difference(sets, _) => {
                sets.0.collect_conditions(all);
                sets.1.collect_conditions(all);
            }
            Self::Users(_) | Self::Everyone | Self::Server(_) | Self::Match(_) => {}
        }
    }
}

/// Returns the parts of a set, those about rooms last: the others cost less, and may decide.
fn known_first(sets: &[Kind]) -> impl Iterator<Item = &Kind> {
    let known = sets.iter().filter(|set| !set.depends_on_rooms());
    known.chain(sets.iter().filter(|set| set.depends_on_rooms()))
}

// === impl OnRooms ===

impl OnRooms {
    fn of_any(sets: &[Kind]) -> Self {
        Self(sets.iter().any(Kind::depends_on_rooms))
    }
}

// === impl Size ===

impl Size {
    /// The size of a set without parts.
    pub(super) const ONE: Self = Self { sets: 1, users: 0 };

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            sets: self.sets.saturating_add(other.sets),
            users: self.users.saturating_add(other.users),
        }
    }
}
