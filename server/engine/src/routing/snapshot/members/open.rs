//! Sets of users by server and pattern alone: an expression that decides membership for any
//! user, and names none.

use crate::routing::model::caller::Caller;
use presence_router_ids::{Coverage, Glob, Region, UserGlob, UserId};

/// Users by server and pattern alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// No user.
    #[default]
    Nobody,

    /// Every user.
    Everyone,

    /// Users whose server name matches.
    Server(Glob),

    /// Users whose id matches.
    Match(UserGlob),

    /// The users in any of these sets. At least two sets, none of them a union.
    Union(Vec<Open>),

    /// The users in all of these sets. At least two sets, none of them an intersection.
    Intersection(Vec<Open>),

    /// The users in the first set but not in the second.
    Difference(Box<Open>, Box<Open>),
}

// === impl Open ===

impl Open {
    /// Returns true if the set contains the user.
    pub fn contains(&self, user: UserId<'_>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everyone => true,
            Self::Server(glob) => glob.matches(user.server()),
            Self::Match(pattern) => pattern.matches(user.as_str()),
            Self::Union(any) => any.iter().any(|open| open.contains(user)),
            Self::Intersection(all) => all.iter().all(|open| open.contains(user)),
            Self::Difference(any, except) => any.contains(user) && !except.contains(user),
        }
    }

    /// Returns the coverage of a server by the expression.
    pub fn coverage_of(&self, server: &str) -> Coverage {
        let region = Region::Server(server);
        match self {
            Self::Nobody => Coverage::Nobody,
            Self::Everyone => Coverage::Everybody,
            Self::Server(glob) => region.covered_by(glob),
            Self::Match(pattern) => region.covered_by_pattern(pattern),
            Self::Union(any) => Coverage::of_union(any.iter().map(|open| open.coverage_of(server))),
            Self::Intersection(all) => {
                Coverage::of_intersection(all.iter().map(|open| open.coverage_of(server)))
            }
            Self::Difference(any, except) => {
                any.coverage_of(server).without(except.coverage_of(server))
            }
        }
    }

    /// Returns the number of levels of the expression.
    pub fn depth(&self) -> usize {
        match self {
            Self::Nobody | Self::Everyone | Self::Server(_) | Self::Match(_) => 1,
            Self::Union(list) | Self::Intersection(list) => {
                1 + list.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Difference(any, except) => 1 + any.depth().max(except.depth()),
        }
    }

    pub(super) fn union_with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, open) | (open, Self::Nobody) => open,
            (Self::Everyone, _) | (_, Self::Everyone) => Self::Everyone,
            (a, b) if a == b => a,
            (Self::Union(mut list), other) => {
                let more = if let Self::Union(more) = other { more } else { vec![other] };
                more.into_iter().for_each(|open| {
                    if !list.contains(&open) {
                        list.push(open)
                    }
                });
                Self::Union(list)
            }
            (open, list @ Self::Union(_)) => list.union_with(open),
            (a, b) => Self::Union(vec![a, b]),
        }
    }

    pub(super) fn intersect_with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::Everyone, open) | (open, Self::Everyone) => open,
            (a, b) if a == b => a,
            (Self::Intersection(mut list), other) => {
                let more = if let Self::Intersection(more) = other { more } else { vec![other] };
                more.into_iter().for_each(|open| {
                    if !list.contains(&open) {
                        list.push(open)
                    }
                });
                Self::Intersection(list)
            }
            (open, list @ Self::Intersection(_)) => list.intersect_with(open),
            (a, b) => Self::Intersection(vec![a, b]),
        }
    }

    pub(super) fn subtract(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Everyone) => Self::Nobody,
            (open, Self::Nobody) => open,
            (a, b) if b.unites(&a) => Self::Nobody,
            // Drop union members that the exception names exactly, instead of recording an
            // exception.
            (Self::Union(list), other) if list.iter().any(|open| other.unites(open)) => {
                let left = list.into_iter().filter(|open| !other.unites(open));
                left.fold(Self::Nobody, Self::union_with).subtract(other)
            }
            (Self::Difference(any, _), other) if other.unites(&any) => Self::Nobody,
            // One difference with all exceptions, however many rules exclude users.
            (Self::Difference(any, except), other) => {
                Self::Difference(any, Box::new(except.union_with(other)))
            }
            (a, b) => Self::Difference(Box::new(a), Box::new(b)),
        }
    }

    /// Returns true if a set equals this one, or is a member of this union.
    fn unites(&self, open: &Self) -> bool {
        self == open || matches!(self, Self::Union(list) if list.contains(open))
    }

    /// Returns the part on the caller's own servers. Descends to the leaves, so that no part of
    /// the result mentions another server.
    pub(super) fn on_servers(&self, caller: &Caller) -> Self {
        let each = |open: &dyn Fn(&str) -> Option<Self>| {
            caller.server_names().filter_map(open).fold(Self::Nobody, Self::union_with)
        };
        match self {
            Self::Nobody => Self::Nobody,
            Self::Everyone => each(&|name| Some(Self::Server(Glob::new(name)))),
            Self::Server(glob) => {
                each(&|name| glob.matches(name).then(|| Self::Server(Glob::new(name))))
            }
            Self::Match(pattern) => each(&|name| {
                pattern.server().matches(name).then(|| Self::Match(pattern.on_server(name)))
            }),
            Self::Union(any) => {
                any.iter().map(|open| open.on_servers(caller)).fold(Self::Nobody, Self::union_with)
            }
            Self::Intersection(all) => all
                .iter()
                .map(|open| open.on_servers(caller))
                .fold(Self::Everyone, Self::intersect_with),
            Self::Difference(any, except) => {
                any.on_servers(caller).subtract(except.on_servers(caller))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(glob: &str) -> Open {
        Open::Server(Glob::new(glob))
    }

    fn bots(server: &str) -> Open {
        Open::Match(UserGlob::parse(&format!("@*-bot:{server}")).unwrap())
    }

    #[test]
    fn folds_what_is_certain() {
        assert_eq!(Open::Everyone.intersect_with(server("a")), server("a"));
        assert_eq!(server("a").union_with(Open::Everyone), Open::Everyone);
        assert_eq!(server("a").subtract(Open::Everyone), Open::Nobody);
        assert_eq!(server("a").subtract(server("a")), Open::Nobody);
        assert_eq!(
            server("a").union_with(server("b")).union_with(server("a")).depth(),
            2,
            "unions stay flat"
        );
        let except_two = Open::Everyone.subtract(server("a")).subtract(server("b"));
        assert_eq!(except_two.depth(), 3, "exceptions stay in one place");
        let [a, b, c] = ["a", "b", "c"].map(server);
        assert_eq!(a.clone().subtract(a.clone().union_with(b.clone())), Open::Nobody);
        let more = a.clone().union_with(b.clone()).union_with(c);
        assert_eq!(
            more.clone().subtract(a.clone().union_with(b.clone())).depth(),
            3,
            "c, minus a and b"
        );
        assert_eq!(a.clone().union_with(b.clone()).subtract(more), Open::Nobody);
        assert_eq!(a.clone().subtract(b.clone()).subtract(a.union_with(b)), Open::Nobody);
    }

    #[test]
    fn keeps_to_the_callers_servers() {
        let caller = Caller::new(["a.org", "b.org"]).unwrap();
        let open = Open::Everyone.subtract(server("*.org").subtract(bots("a.*")));
        let on = open.on_servers(&caller);
        for id in ["@x:a.org", "@x-bot:a.org", "@x:b.org", "@x-bot:b.org"] {
            let user = UserId::parse(id).unwrap();
            assert_eq!(on.contains(user), open.contains(user), "{id}");
        }
        assert!(open.contains(UserId::parse("@x:c.com").unwrap()));
        assert!(!on.contains(UserId::parse("@x:c.com").unwrap()));
        assert_eq!(server("c.*").on_servers(&caller), Open::Nobody);
    }

    #[test]
    fn says_which_servers_it_covers() {
        assert_eq!(Open::Everyone.coverage_of("a"), Coverage::Everybody);
        assert_eq!(bots("a").coverage_of("a"), Coverage::Some);
        assert_eq!(
            Open::Match(UserGlob::parse("@*:a").unwrap()).coverage_of("a"),
            Coverage::Everybody
        );
        assert_eq!(bots("a").coverage_of("b"), Coverage::Nobody);
        assert_eq!(Open::Everyone.subtract(server("a")).coverage_of("a"), Coverage::Nobody);
        assert_eq!(Open::Everyone.subtract(bots("a")).coverage_of("a"), Coverage::Some);
        assert_eq!(bots("a").union_with(server("a")).coverage_of("a"), Coverage::Everybody);
        assert_eq!(bots("*").intersect_with(server("a")).coverage_of("b"), Coverage::Nobody);
    }
}
