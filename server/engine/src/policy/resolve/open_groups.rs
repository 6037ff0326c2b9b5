//! Finds the open groups of a document: they contain unlisted users, so nobody can list
//! their members.

use std::collections::HashSet;

use crate::policy::document::{Document, SetExpr};

/// The open groups of a document, by name.
pub(in crate::policy) struct OpenGroups<'d>(HashSet<&'d str>);

// === impl OpenGroups ===

impl<'d> OpenGroups<'d> {
    /// Finds the open groups. `order` has the indices of all groups, each after the groups
    /// that it refers to.
    pub(in crate::policy) fn new(document: &'d Document, order: &[usize]) -> Self {
        let mut open = Self(HashSet::new());
        for group in order.iter().filter_map(|index| document.groups.get(*index)) {
            if open.is_open(&group.members) {
                open.0.insert(group.name.as_str());
            }
        }
        open
    }

    /// True if a set may contain unlisted users. A group of the directory does not: the
    /// directory lists its members.
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
