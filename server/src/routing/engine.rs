//! The writer: keeps what decides, and makes snapshots of it.
//!
//! A plan is evaluated as a whole; an edit of the directory touches the users
//! it names and the sets that depend on the groups it names, and nothing else.
//! Readers hold snapshots and never wait; the engine copies what they share at
//! the moment that it changes it.

mod classify;
mod edits;

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

pub use self::edits::{Edit, EditError};

use self::classify::Classified;
use super::classes::Classes;
use super::members::{Members, Open};
use super::people::People;
use super::plan::{Plan, Set};
use super::roles::Roles;
use super::sets::{Evaluated, Numbering, Recipes, SetId, at};
use super::snapshot::Snapshot;
use super::user_id::UserId;

/// Most levels of sets in an open rule. More would not survive the wire:
/// Protobuf decoders stop at a hundred nested messages, and a level takes two.
pub const MAX_DEPTH: usize = 32;

/// Numbers that may belong to users whom nobody names any more, beside as many
/// as are in use.
const FORGOTTEN: usize = 10_000;

/// What decides, as its one writer has it.
#[derive(Debug)]
pub struct Engine {
    recipes: Recipes,
    classes: Classes,
    /// All sets with an open rule, of rules or not.
    open_sets: Box<[SetId]>,
    /// By user: how many lists name it, those of the plan counted as one.
    naming: Vec<u32>,
    /// What readers get a clone of.
    snapshot: Snapshot,
}

/// An open set has more than [`MAX_DEPTH`] levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its servers and patterns nest {depth} levels deep, at most {MAX_DEPTH} are supported")]
pub struct TooDeep {
    /// Whose set it is.
    pub whose: Whose,
    /// Its levels.
    pub depth: usize,
}

/// What a set belongs to, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The members of a group.
    Group(usize),
    /// A side of a rule's products.
    Rule(usize),
}

// === impl Engine ===

impl Engine {
    /// Evaluates a plan, over an empty directory.
    ///
    /// # Errors
    ///
    /// An open set is too deep for the wire.
    pub fn new(plan: &Plan) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(plan);
        let users = numbering.users();
        let people = People::for_about(users.len());
        Self::evaluate(plan, &mut numbering, &users, people, None, |_| None)
    }

    /// Evaluates a plan over a directory: for each membership, the group and the
    /// user. What a plan has no group for is passed over.
    ///
    /// # Errors
    ///
    /// An open set is too deep for the wire.
    pub fn filled<'a>(
        plan: &Plan,
        memberships: impl IntoIterator<Item = (&'a str, UserId<'a>)>,
        users_about: usize,
    ) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(plan);
        let users = numbering.users();
        let mut people = People::for_about(users_about.max(users.len()));
        let mut groups: HashMap<&str, Vec<u32>> = plan
            .groups
            .iter()
            .filter_map(|set| match set {
                Set::Directory(name) => Some((&**name, Vec::new())),
                _ => None,
            })
            .collect();
        for (group, user) in memberships {
            let Some(numbers) = groups.get_mut(group) else { continue };
            numbers.extend(people.name(user).map(|(number, _)| number));
        }
        let groups: HashMap<&str, Arc<Members>> = groups
            .into_iter()
            .map(|(name, mut numbers)| {
                numbers.sort_unstable();
                let mut users: RoaringBitmap = numbers.into_iter().collect();
                users.optimize();
                (name, Arc::new(Members::listed(users)))
            })
            .collect();
        let directory = |name: &str| groups.get(name).cloned();
        Self::evaluate(plan, &mut numbering, &users, people, None, directory)
    }

    /// The same directory under another plan. Users keep their numbers, unless
    /// most of them belong to users whom nobody names any more: then all are
    /// given anew, and what was remembered by number is void.
    ///
    /// # Errors
    ///
    /// An open set is too deep for the wire.
    pub fn with_plan(&self, plan: &Plan) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(plan);
        let users = numbering.users();
        let directory = |name: &str| {
            let id = self.recipes.directory(name)?;
            self.snapshot.set(id).cloned()
        };
        let people = &self.snapshot.people;
        let directories = plan.groups.iter().filter_map(|set| match set {
            Set::Directory(name) => Some((&**name, directory(name)?)),
            _ => None,
        });
        let filled: Vec<(&str, Arc<Members>)> = directories.collect();
        let named = filled.iter().fold(RoaringBitmap::new(), |all, (_, set)| all | set.named());
        let named = usize::try_from(named.len()).unwrap_or(usize::MAX).saturating_add(users.len());
        if people.count() > FORGOTTEN + named.saturating_mul(2) {
            let ids: Vec<String> =
                (0..).take(people.count()).map(|number| people.id(number).into()).collect();
            let memberships = filled.iter().flat_map(|(name, set)| {
                let ids = set.named().iter().filter_map(|user| ids.get(place(user)?));
                ids.filter_map(|id| Some((*name, UserId::parse(id).ok()?)))
            });
            return Self::filled(plan, memberships, named);
        }
        let people = self.snapshot.people.clone();
        Self::evaluate(plan, &mut numbering, &users, people, Some(self), directory)
    }

    fn evaluate<'p>(
        plan: &'p Plan,
        numbering: &mut Numbering<'p>,
        users: &[UserId<'p>],
        mut people: People,
        before: Option<&Self>,
        directory: impl Fn(&str) -> Option<Arc<Members>>,
    ) -> Result<Self, TooDeep> {
        for user in users {
            // Without numbers left the user stays unnamed, and no list holds it;
            // four billion users do not fit a policy's other bounds.
            people.name(*user);
        }
        let recipes = Recipes::new(numbering, &people);
        let sets =
            recipes.evaluate(&people, directory, |id, members| match members.open().depth() {
                ..=MAX_DEPTH => Ok(()),
                depth => Err(TooDeep { whose: whose(plan, numbering, id), depth }),
            })?;
        let roles = Arc::new(Roles::new(plan, numbering));
        let used = |id: &SetId| roles.is_used(*id);
        let ids = 0..SetId::try_from(sets.len()).unwrap_or(SetId::MAX);
        let open = |id: &SetId| {
            at(*id).and_then(|id| sets.get(id)).is_some_and(|set| *set.open() != Open::Nobody)
        };
        let open_sets: Box<[SetId]> = ids.clone().filter(open).collect();
        let open_of_rules = open_sets.iter().copied().filter(used).collect();
        let carried = before.and_then(|before| Classified::carried(before, &sets, &roles, &people));
        let Classified { classes, list, people } =
            carried.unwrap_or_else(|| Classified::anew(&sets, &roles, people));
        let named_servers = numbering.servers().into_iter().map(Into::into).collect();
        let naming = naming(users, &recipes, &sets, &people);
        let servers = people.users_by_server().map(|users| {
            let named =
                |user: &u32| place(*user).and_then(|at| naming.get(at)).is_some_and(|n| *n > 0);
            u32::try_from(users.iter().filter(named).count()).unwrap_or(u32::MAX)
        });
        let servers = servers.collect();
        let snapshot = Snapshot {
            people,
            classes: list,
            sets,
            roles,
            open_sets: open_of_rules,
            named_servers,
            servers,
        };
        Ok(Self { recipes, classes, open_sets, naming, snapshot })
    }

    /// What readers may have of it as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }
}

/// By user: how many lists name it.
fn naming(users: &[UserId<'_>], recipes: &Recipes, sets: &Evaluated, people: &People) -> Vec<u32> {
    let mut naming = vec![0; people.count()];
    let listed = users.iter().filter_map(|user| people.number(user.as_str()));
    let directory = recipes.directories().filter_map(|id| sets.get(at(id)?));
    for user in listed.chain(directory.flat_map(|set| set.named())) {
        if let Some(lists) = place(user).and_then(|at| naming.get_mut(at)) {
            *lists += 1;
        }
    }
    naming
}

/// A number as an index.
fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

/// Whose a set is: the group that it is, or the first rule that names it.
fn whose(plan: &Plan, numbering: &Numbering<'_>, id: SetId) -> Whose {
    let place = at(id).unwrap_or_default();
    if place < plan.groups.len() {
        return Whose::Group(place);
    }
    let named = |rule: &&super::plan::Rule| {
        rule.products.iter().any(|product| {
            numbering
                .sets
                .get(place)
                .is_some_and(|set| **set == product.senders || **set == product.recipients)
        })
    };
    Whose::Rule(plan.rules.iter().position(|rule| named(&rule)).unwrap_or_default())
}
