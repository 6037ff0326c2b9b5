//! Finds the groups of a document that hold unlisted users, whose members cannot be
//! listed.

use std::collections::HashSet;

use crate::policy::document::{Document, SetExpr};

/// The groups of a document that hold unlisted users, by name.
pub(in crate::policy) struct OpenGroups<'d>(HashSet<&'d str>);

// === impl OpenGroups ===

impl<'d> OpenGroups<'d> {
    /// `order` has the indices of all groups, each after those it refers to.
    pub(in crate::policy) fn new(document: &'d Document, order: &[usize]) -> Self {
        let mut open = Self(HashSet::new());
        for group in order.iter().filter_map(|index| document.groups.get(*index)) {
            if open.is_open(&group.members) {
                open.0.insert(group.name.as_str());
            }
        }
        open
    }

    /// True if a set may hold unlisted users. A group of the directory lists its members,
    /// too.
    pub(in crate::policy) fn is_open(&self, set: &SetExpr) -> bool {
        match set {
            SetExpr::Everyone | SetExpr::Server(_) | SetExpr::Match(_) => true,
            SetExpr::User(_) | SetExpr::Members { .. } => false,
            SetExpr::Group { name, .. } => self.0.contains(name.as_str()),
            SetExpr::Union(sets) => sets.iter().any(|set| self.is_open(set)),
            SetExpr::AllOf(sets) => sets.iter().all(|set| self.is_open(set)),
            SetExpr::Difference { any, .. } => self.is_open(any),
        }
    }
}
