//! The coverage of a region (some servers, with all of their users) by a set of users. It
//! decides if the set certainly contains no user of the region, or all of them.

use crate::{Glob, UserGlob};

/// The share of a region's users that is in a set. Ordered from few to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Certainly no user.
    Nobody,
    /// Possibly some users, possibly not all.
    Some,
    /// Certainly all users.
    Everybody,
}

/// Some servers, with all of their users.
#[derive(Clone, Copy)]
pub enum Region<'a> {
    /// One server.
    Server(&'a str),
    /// Every server for which the function returns false.
    Outside(&'a dyn Fn(&str) -> bool),
}

// === impl Coverage ===

impl Coverage {
    /// Returns the coverage by a union. The union of no sets covers no users.
    #[must_use]
    pub fn of_union(sets: impl IntoIterator<Item = Self>) -> Self {
        sets.into_iter().max().unwrap_or(Self::Nobody)
    }

    /// Returns the coverage by an intersection. The intersection of no sets covers all
    /// users. If sets overlap in part, the result may be `Some` for an empty intersection.
    #[must_use]
    pub fn of_intersection(sets: impl IntoIterator<Item = Self>) -> Self {
        sets.into_iter().min().unwrap_or(Self::Everybody)
    }

    /// Returns the coverage by the difference of two sets.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Everybody) => Self::Nobody,
            (some, Self::Nobody) => some,
            (_, Self::Some) => Self::Some,
        }
    }
}

// === impl Region ===

impl Region<'_> {
    /// Every server.
    pub const WORLD: Region<'static> = Region::Outside(&|_| false);

    /// Returns true if a server is part of the region.
    pub fn holds(self, server: &str) -> bool {
        match self {
            Self::Server(one) => one == server,
            Self::Outside(excepted) => !excepted(server),
        }
    }

    /// Returns the coverage by the users of all servers that a glob matches.
    pub fn covered_by(self, glob: &Glob) -> Coverage {
        match self {
            Self::Server(server) if glob.matches(server) => Coverage::Everybody,
            Self::Outside(_) if glob.as_str() == "*" => Coverage::Everybody,
            // The other servers are unknown.
            Self::Outside(_) if !glob.is_literal() => Coverage::Some,
            Self::Outside(_) if self.holds(glob.as_str()) => Coverage::Some,
            Self::Server(_) | Self::Outside(_) => Coverage::Nobody,
        }
    }

    /// Returns the coverage by all users that a pattern matches.
    pub fn covered_by_pattern(self, pattern: &UserGlob) -> Coverage {
        let servers = self.covered_by(pattern.server());
        match pattern.user().as_str() {
            // Every user id begins with `@`.
            "*" | "@*" => servers,
            _ => servers.min(Coverage::Some),
        }
    }

    /// Returns the coverage by listed users, given the server of each.
    pub fn covered_by_users<'s>(self, servers: impl IntoIterator<Item = &'s str>) -> Coverage {
        match servers.into_iter().any(|server| self.holds(server)) {
            true => Coverage::Some,
            false => Coverage::Nobody,
        }
    }
}

impl std::fmt::Debug for Region<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(server) => f.debug_tuple("Server").field(server).finish(),
            Self::Outside(_) => f.debug_tuple("Outside").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coverage; 3] = [Coverage::Nobody, Coverage::Some, Coverage::Everybody];

    /// Returns every set of the users 1 and 2 that has a coverage.
    fn sets(coverage: Coverage) -> &'static [&'static [u8]] {
        match coverage {
            Coverage::Nobody => &[&[]],
            Coverage::Some => &[&[], &[1], &[2], &[1, 2]],
            Coverage::Everybody => &[&[1, 2]],
        }
    }

    /// Returns true if a set of the users 1 and 2 may have a coverage.
    fn allows(coverage: Coverage, set: &[u8]) -> bool {
        sets(coverage).contains(&set)
    }

    #[test]
    fn is_certain_only_where_sets_are() {
        for a in ALL {
            for b in ALL {
                for (one, other) in sets(a).iter().flat_map(|a| sets(b).iter().map(move |b| (a, b)))
                {
                    let of = |keep: &dyn Fn(u8) -> bool| -> Vec<u8> {
                        [1, 2].into_iter().filter(|user| keep(*user)).collect()
                    };
                    let (one, other) = (|user| one.contains(&user), |user| other.contains(&user));
                    let union = of(&|user| one(user) || other(user));
                    assert!(allows(Coverage::of_union([a, b]), &union), "{a:?} or {b:?}");
                    let both = of(&|user| one(user) && other(user));
                    assert!(allows(Coverage::of_intersection([a, b]), &both), "{a:?} and {b:?}");
                    let rest = of(&|user| one(user) && !other(user));
                    assert!(allows(a.without(b), &rest), "{a:?} without {b:?}");
                }
            }
        }
        assert_eq!(Coverage::of_union([]), Coverage::Nobody);
        assert_eq!(Coverage::of_intersection([]), Coverage::Everybody);
        assert_eq!(Coverage::Everybody.without(Coverage::Nobody), Coverage::Everybody);
    }

    #[test]
    fn of_one_server_and_of_all_but_some() {
        let ours = |server: &str| server == "a.org";
        let (one, rest) = (Region::Server("a.org"), Region::Outside(&ours));
        for (glob, of_one, of_rest, of_world) in [
            ("a.org", Coverage::Everybody, Coverage::Nobody, Coverage::Some),
            ("b.org", Coverage::Nobody, Coverage::Some, Coverage::Some),
            ("*.org", Coverage::Everybody, Coverage::Some, Coverage::Some),
            ("*.com", Coverage::Nobody, Coverage::Some, Coverage::Some),
            ("*", Coverage::Everybody, Coverage::Everybody, Coverage::Everybody),
        ] {
            let glob = Glob::new(glob);
            assert_eq!(one.covered_by(&glob), of_one, "{glob:?}");
            assert_eq!(rest.covered_by(&glob), of_rest, "{glob:?}");
            assert_eq!(Region::WORLD.covered_by(&glob), of_world, "{glob:?}");
        }
        let pattern = |text: &str| one.covered_by_pattern(&UserGlob::parse(text).unwrap());
        assert_eq!(pattern("@*:a.org"), Coverage::Everybody);
        assert_eq!(pattern("*:a.org"), Coverage::Everybody);
        assert_eq!(pattern("@*-bot:a.org"), Coverage::Some);
        assert_eq!(pattern("@*:b.org"), Coverage::Nobody);
        assert_eq!(one.covered_by_users(["b.org", "a.org"]), Coverage::Some);
        assert_eq!(rest.covered_by_users(["a.org"]), Coverage::Nobody);
    }
}
