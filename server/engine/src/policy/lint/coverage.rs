//! The coverage of a region of servers by the sets of a ruleset. It proves that a set
//! contains nobody of the region, or everybody.

use presence_router_ids::{Coverage, Region, UserId};

use crate::policy::document::Document;
use crate::routing::model::ruleset::{Ruleset, Set};

/// A region, and its coverage by each group.
pub(super) struct RegionCoverage<'r> {
    region: Region<'r>,
    groups: Vec<Coverage>,
}

// === impl RegionCoverage ===

impl<'r> RegionCoverage<'r> {
    /// Computes the coverage by each group. `numbers` maps the groups of the ruleset to
    /// groups of the document.
    pub(super) fn new(
        document: &Document,
        ruleset: &Ruleset,
        numbers: &[usize],
        region: Region<'r>,
    ) -> Self {
        let mut this = Self { region, groups: Vec::with_capacity(ruleset.groups.len()) };
        for (set, index) in ruleset.groups.iter().zip(numbers) {
            let directory = document.groups.get(*index).is_some_and(|group| group.directory);
            let coverage = if directory { Coverage::Some } else { this.covered_by(set) };
            this.groups.push(coverage);
        }
        this
    }

    /// The coverage of the region by a set.
    pub(super) fn covered_by(&self, set: &Set) -> Coverage {
        match set {
            Set::Users(ids) => {
                let users = ids.iter().filter_map(|id| UserId::parse(id).ok());
                self.region.covered_by_users(users.map(UserId::server))
            }
            // The directory may put any user into it at run time.
            Set::Directory(_) => Coverage::Some,
            Set::Everyone => Coverage::Everybody,
            Set::Server(glob) => self.region.covered_by(glob),
            Set::Match(pattern) => self.region.covered_by_pattern(pattern),
            Set::Group(number) => self.groups.get(*number).copied().unwrap_or(Coverage::Some),
            Set::Union(sets) => Coverage::of_union(sets.iter().map(|set| self.covered_by(set))),
            Set::Intersection(sets) => {
                Coverage::of_intersection(sets.iter().map(|set| self.covered_by(set)))
            }
            Set::Difference(any, except) => self.covered_by(any).without(self.covered_by(except)),
        }
    }
}
