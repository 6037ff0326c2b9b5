//! The path by which a user is in a set: the groups on the way, and the line, glob or
//! pattern at its end. Among several paths, the first one in the text.

use crate::policy::analyse::reference::{ReferenceEvaluation, server_of};
use crate::policy::document::SetExpr;
use crate::policy::problem::Position;

/// A step of a path. The steps are a tree in one list: the children of a step follow it, with
/// a greater depth, and all children must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The nesting depth; 0 for the first step.
    pub depth: usize,

    /// The set that the user is in.
    pub kind: StepKind,
}

/// A kind of set that a user is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// `everyone`.
    Everyone,

    /// The user's id, at this position in the policy.
    User(Position),

    /// A members file: its name as written, and the position of the name.
    MembersFile(String, Position),

    /// A server glob.
    Server(String),

    /// A pattern.
    Match(String),

    /// A group: its name, and the position of its declaration. Its children give the reason.
    Group(String, Position),

    /// A group that the directory fills: its name, and the position of its declaration.
    Directory(String, Position),

    /// An intersection; each of its sets has a child.
    AllOf,

    /// A set with exceptions that do not include the user. Its child gives the reason why
    /// the user is in the set.
    NotExcepted,
}

/// Looks for a path from set to set, for one user.
struct Walk<'e> {
    evaluation: &'e ReferenceEvaluation<'e, 'e>,
    user: u32,
    path: Vec<PathStep>,
    /// Sets still to follow, each with its depth; the next set is the last one.
    todo: Vec<(usize, &'e SetExpr)>,
}

/// Returns the path of a user into a set that contains the user.
pub(super) fn into_set(
    evaluation: &ReferenceEvaluation<'_, '_>,
    set: &SetExpr,
    user: u32,
) -> Vec<PathStep> {
    Walk { evaluation, user, path: Vec::new(), todo: vec![(0, set)] }.finish()
}

/// Returns the path of a user into a group that contains the user.
pub(super) fn into_group(
    evaluation: &ReferenceEvaluation<'_, '_>,
    name: &str,
    user: u32,
) -> Vec<PathStep> {
    let mut walk = Walk { evaluation, user, path: Vec::new(), todo: Vec::new() };
    walk.enter_group(name, 0);
    walk.finish()
}

// === impl Walk ===

impl Walk<'_> {
    /// Follows all sets. Does not recurse: a chain may contain every group.
    fn finish(mut self) -> Vec<PathStep> {
        while let Some((depth, set)) = self.todo.pop() {
            self.follow_set(depth, set);
        }
        self.path
    }
}

impl<'e> Walk<'e> {
    fn follow_set(&mut self, depth: usize, set: &'e SetExpr) {
        let id = self.evaluation.user_id(self.user);
        let mut step = |kind| self.path.push(PathStep { depth, kind });
        match set {
            SetExpr::Everyone => step(StepKind::Everyone),
            SetExpr::User(named) => step(StepKind::User(named.position)),
            SetExpr::Members { file, position, .. } => {
                step(StepKind::MembersFile(file.clone(), *position));
            }
            SetExpr::Server(globs) => {
                let glob = globs.iter().find(|glob| glob.matches(server_of(id)));
                step(StepKind::Server(glob.map_or("", |glob| glob.as_str()).to_owned()));
            }
            SetExpr::Match(patterns) => {
                let pattern = patterns.iter().find(|pattern| pattern.matches(id));
                step(StepKind::Match(pattern.map(|p| p.to_pattern()).unwrap_or_default()));
            }
            SetExpr::Group { name, .. } => self.enter_group(name, depth),
            SetExpr::Union(any) => {
                let holds = |set: &&SetExpr| self.evaluation.members_of(set).contains(self.user);
                let first = any.iter().find(holds);
                self.todo.extend(first.map(|set| (depth, set)));
            }
            SetExpr::AllOf(all) => {
                step(StepKind::AllOf);
                self.todo.extend(all.iter().rev().map(|set| (depth + 1, set)));
            }
            SetExpr::Difference { any, .. } => {
                step(StepKind::NotExcepted);
                self.todo.push((depth + 1, any));
            }
        }
    }

    /// Adds the step into a group, and queues the group's members.
    fn enter_group(&mut self, name: &str, depth: usize) {
        let Some(group) = self.evaluation.group_named(name) else { return };
        let (name, position) = (group.name.clone(), group.position);
        if group.directory {
            self.path.push(PathStep { depth, kind: StepKind::Directory(name, position) });
        } else {
            self.path.push(PathStep { depth, kind: StepKind::Group(name, position) });
            self.todo.push((depth + 1, &group.members));
        }
    }
}
