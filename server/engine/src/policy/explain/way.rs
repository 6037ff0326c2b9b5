//! The way by which a user comes to be in a set: through which groups, to what
//! line, glob or pattern. Of several ways the first in the text.

use crate::policy::document::SetExpr;
use crate::policy::problem::Place;
use crate::policy::standings::{Standings, server};

/// A step of a way. The steps are a tree in one list: below each stand those
/// that follow it and are deeper, and all that stand below one are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many steps it stands below.
    pub depth: usize,

    /// What the user is in.
    pub what: What,
}

/// What a user is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `everyone`.
    Everyone,

    /// The user's id, which stands here in the policy.
    User(Place),

    /// A members file, by its name as written, and where that stands.
    MembersFile(String, Place),

    /// A server glob.
    Server(String),

    /// A pattern.
    Match(String),

    /// A group, by its name, and where it is declared; below it, why.
    Group(String, Place),

    /// A group that the directory fills.
    Directory(String, Place),

    /// Several sets at once; below it, each of them.
    AllOf,

    /// A set with exceptions, of which the user is none; below it, why it is in
    /// the set.
    NotExcepted,
}

/// What is still to be followed, the next one last.
type Todo<'s> = Vec<(usize, &'s SetExpr)>;

// === impl Standings ===

impl Standings<'_, '_> {
    /// How a user who is in a set comes to be in it.
    pub(super) fn way(&self, set: &SetExpr, user: u32) -> Vec<Step> {
        let mut way = Vec::new();
        self.follow(vec![(0, set)], user, &mut way);
        way
    }

    /// How a user who is in a group comes to be in it.
    pub(super) fn way_into_group(&self, name: &str, user: u32) -> Vec<Step> {
        let (mut way, mut todo) = (Vec::new(), Vec::new());
        self.enter(name, 0, &mut way, &mut todo);
        self.follow(todo, user, &mut way);
        way
    }

    /// Does not recurse: a chain of groups may be as long as there are groups.
    fn follow<'s>(&'s self, mut todo: Todo<'s>, user: u32, way: &mut Vec<Step>) {
        let id = self.user(user);
        while let Some((depth, set)) = todo.pop() {
            let mut step = |what| way.push(Step { depth, what });
            match set {
                SetExpr::Everyone => step(What::Everyone),
                SetExpr::User(named) => step(What::User(named.place)),
                SetExpr::Members { file, place, .. } => {
                    step(What::MembersFile(file.clone(), *place));
                }
                SetExpr::Server(globs) => {
                    let glob = globs.iter().find(|glob| glob.matches(server(id)));
                    step(What::Server(glob.map_or("", |glob| glob.as_str()).to_owned()));
                }
                SetExpr::Match(patterns) => {
                    let pattern = patterns.iter().find(|pattern| pattern.matches(id));
                    step(What::Match(pattern.map(|p| p.to_pattern()).unwrap_or_default()));
                }
                SetExpr::Group { name, .. } => self.enter(name, depth, way, &mut todo),
                SetExpr::Union(any) => {
                    let first = any.iter().find(|set| self.members(set).contains(user));
                    todo.extend(first.map(|set| (depth, set)));
                }
                SetExpr::AllOf(all) => {
                    step(What::AllOf);
                    todo.extend(all.iter().rev().map(|set| (depth + 1, set)));
                }
                SetExpr::Difference { any, .. } => {
                    step(What::NotExcepted);
                    todo.push((depth + 1, any));
                }
            }
        }
    }

    /// The step into a group; what is in it is followed next.
    fn enter<'s>(&'s self, name: &str, depth: usize, way: &mut Vec<Step>, todo: &mut Todo<'s>) {
        let Some(group) = self.group(name) else { return };
        let (name, place) = (group.name.clone(), group.place);
        if group.directory {
            way.push(Step { depth, what: What::Directory(name, place) });
        } else {
            way.push(Step { depth, what: What::Group(name, place) });
            todo.push((depth + 1, &group.members));
        }
    }
}
