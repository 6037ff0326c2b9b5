//! The groups of a document by name. Finds references to undeclared groups, and the groups
//! that a glob matches.

use std::collections::HashMap;

use presence_router_ids::Glob;

use crate::policy::document::{Document, Group, SetExpr};
use crate::policy::nearest::Nearest;
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::quoted;

/// The groups of a document by name.
pub(super) struct Groups<'d> {
    document: &'d Document,

    /// Indices in the document.
    pub(super) indices: HashMap<&'d str, usize>,
}

// === impl Groups ===

impl<'d> Groups<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        let names = document.groups.iter().map(|group| group.name.as_str());
        Self { document, indices: names.zip(0..).collect() }
    }

    /// Returns a group by its name.
    pub(super) fn get(&self, name: &str) -> Option<&'d Group> {
        self.document.groups.get(*self.indices.get(name)?)
    }

    /// Reports every reference of the document to an undeclared group.
    pub(super) fn check_declared(&self, problems: &mut Vec<Problem>) {
        let mut nearest = Nearest::default();
        self.document.each_part(&mut |part| {
            problems.extend(self.undeclared_problem(part, &mut nearest));
        });
    }

    /// The problem of a set that refers to an undeclared group.
    pub(super) fn undeclared_problem(
        &self,
        set: &SetExpr,
        nearest: &mut Nearest,
    ) -> Option<Problem> {
        let SetExpr::Group { name, position } = set else { return None };
        if self.indices.contains_key(name.as_str()) {
            return None;
        }
        let message = format!("group {} is not declared", quoted(name));
        let help = self.suggest_group(name, nearest);
        Some(Problem::new(ProblemCode::UnknownGroup, *position, message).with_help(help))
    }

    /// Indices of the groups that a set refers to, each once.
    pub(super) fn references_of(&self, set: &SetExpr) -> Vec<usize> {
        let mut found = Vec::new();
        set.each_part(&mut |part| {
            if let SetExpr::Group { name, .. } = part {
                found.extend(self.indices.get(name.as_str()));
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    pub(super) fn cycle_problem(&self, cycle: &[usize]) -> Problem {
        /// A cycle may be as long as there are groups.
        const MAX_NAMES: usize = 20;
        let groups = || cycle.iter().filter_map(|index| self.document.groups.get(*index));
        let (name, position) =
            groups().next().map(|group| (quoted(&group.name), group.position)).unwrap_or_default();
        let mut names: Vec<_> = groups().take(MAX_NAMES).map(|group| quoted(&group.name)).collect();
        if let Some(more) = cycle.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
            names.push(format!("({more} more)"));
        }
        let path = names.join(" -> ");
        Problem::new(
            ProblemCode::GroupCycle,
            position,
            format!("group {name} contains itself: {path} -> {name}"),
        )
        .with_help("remove one of these references")
    }

    /// Names of the groups that a glob matches, in the order of the document.
    pub(super) fn matching_groups(&self, glob: &Glob) -> Vec<&'d str> {
        if glob.is_literal() {
            return self
                .indices
                .get_key_value(glob.as_str())
                .map(|(name, _)| *name)
                .into_iter()
                .collect();
        }
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        names.filter(|name| glob.matches(name)).collect()
    }

    pub(super) fn no_group_matches(
        &self,
        glob: &Glob,
        position: Position,
        nearest: &mut Nearest,
    ) -> Problem {
        let help = match glob.is_literal() {
            true => self.suggest_group(glob.as_str(), nearest),
            false => "correct the glob, or declare a group in `groups`".to_owned(),
        };
        let message = format!("no group has a name that matches {}", quoted(glob.as_str()));
        Problem::new(ProblemCode::UnmatchedWithin, position, message).with_help(help)
    }

    /// The help for a name that no group has.
    fn suggest_group(&self, name: &str, nearest: &mut Nearest) -> String {
        let names = self.document.groups.iter().map(|group| group.name.as_str());
        match nearest.find(name, names) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => "declare the group in `groups`".to_owned(),
        }
    }
}
