//! Roughly how much of some servers a set holds: enough to say for certain that
//! it holds nobody, or everybody.

use presence_router_proto::glob::Glob;

use super::document::Document;
use crate::routing::plan::{Plan, Set};
use crate::routing::user_id::{ServerName, UserId};

/// Servers to ask about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Region<'r> {
    /// This one.
    Server(&'r str),
    /// All but these.
    Except(&'r [ServerName]),
}

/// How many of a region's users are in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Certainly none.
    Nobody,
    /// It may be any number.
    Some,
    /// Certainly all.
    Everyone,
}

/// A region, and the share of it that each group holds.
pub(super) struct Reach<'r> {
    region: Region<'r>,
    groups: Vec<Share>,
}

// === impl Reach ===

impl<'r> Reach<'r> {
    /// `numbers` says for each group of the plan which one of the document's it
    /// is.
    pub(super) fn new(
        document: &Document,
        plan: &Plan,
        numbers: &[usize],
        region: Region<'r>,
    ) -> Self {
        let mut reach = Self { region, groups: Vec::with_capacity(plan.groups.len()) };
        for (set, place) in plan.groups.iter().zip(numbers) {
            let directory = document.groups.get(*place).is_some_and(|group| group.directory);
            let share = if directory { Share::Some } else { reach.share(set) };
            reach.groups.push(share);
        }
        reach
    }

    /// The share of the region that a set holds.
    pub(super) fn share(&self, set: &Set) -> Share {
        match set {
            Set::Users(ids) => match self.region {
                // Whoever asks about all servers need not look at ten million.
                Region::Except([]) if !ids.is_empty() => Share::Some,
                _ if ids.iter().any(|id| self.region.holds(id)) => Share::Some,
                _ => Share::Nobody,
            },
            // Filled at run time, by anybody.
            Set::Directory(_) => Share::Some,
            Set::Everyone => Share::Everyone,
            Set::Server(glob) => self.region.matching(glob),
            Set::Match(pattern) => match pattern.user().as_str() {
                "*" | "@*" => self.region.matching(pattern.server()),
                _ => self.region.matching(pattern.server()).min(Share::Some),
            },
            Set::Group(number) => self.groups.get(*number).copied().unwrap_or(Share::Some),
            Set::Union(sets) => {
                sets.iter().map(|set| self.share(set)).max().unwrap_or(Share::Nobody)
            }
            Set::Intersection(sets) => {
                sets.iter().map(|set| self.share(set)).min().unwrap_or(Share::Everyone)
            }
            Set::Difference(any, except) => match (self.share(any), self.share(except)) {
                (Share::Nobody, _) | (_, Share::Everyone) => Share::Nobody,
                (share, Share::Nobody) => share,
                _ => Share::Some,
            },
        }
    }
}

// === impl Region ===

impl Region<'_> {
    /// Whether a user lives here.
    pub(super) fn holds(self, id: &str) -> bool {
        let Ok(user) = UserId::parse(id) else { return false };
        match self {
            Self::Server(name) => user.server() == name,
            Self::Except(names) => names.iter().all(|name| name.as_str() != user.server()),
        }
    }

    /// How many of the users here live on a server that matches.
    pub(super) fn matching(self, glob: &Glob) -> Share {
        match self {
            Self::Server(name) if glob.matches(name) => Share::Everyone,
            Self::Server(_) => Share::Nobody,
            Self::Except(_) if glob.as_str() == "*" => Share::Everyone,
            Self::Except(names)
                if glob.is_literal() && names.iter().any(|name| name.as_str() == glob.as_str()) =>
            {
                Share::Nobody
            }
            Self::Except(_) => Share::Some,
        }
    }
}
