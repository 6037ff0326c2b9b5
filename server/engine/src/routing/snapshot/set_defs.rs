//! Definitions of the sets of a ruleset, and their evaluation: as a whole for a ruleset,
//! and user by user for an edit.

use std::collections::HashMap;
use std::sync::Arc;

use presence_router_ids::{Glob, UserGlob, UserId};
use roaring::RoaringBitmap;

use super::cow_vec::CowVec;
use super::keys::{Key, SetId, UserNumber};
use super::members::{Members, Open};
use super::numbering::Numbering;
use super::user_table::UserTable;
use crate::routing::model::ruleset::Set;

/// The definitions of a ruleset's sets in terms of other sets. Only writers need them.
#[derive(Debug, Default)]
pub(in crate::routing) struct SetDefs {
    /// By the index of a set. A definition refers only to sets before it.
    defs: Vec<SetDef>,
    /// By the index of a set: the sets that refer to it directly.
    referring: Vec<Vec<SetId>>,
    /// Sets that the directory fills, by name.
    directory: HashMap<Box<str>, SetId>,
}

/// The definition of one set.
#[derive(Debug)]
enum SetDef {
    /// A group that the directory fills. The set itself stores the members.
    Directory,
    /// Named users.
    Users(RoaringBitmap),
    Everyone,
    Server(Glob),
    Match(UserGlob),
    Set(SetId),
    Union(Vec<SetDef>),
    Intersection(Vec<SetDef>),
    Difference(Box<SetDef>, Box<SetDef>),
}

/// The members of all sets, by id.
pub(in crate::routing) type Evaluated = CowVec<SetId, Arc<Members>>;

// === impl SetDefs ===

impl SetDefs {
    /// The definitions of numbered sets, over users who have their numbers.
    pub(in crate::routing) fn new(numbering: &Numbering<'_>, user_table: &UserTable) -> Self {
        let mut all = Self { referring: vec![Vec::new(); numbering.sets.len()], ..Self::default() };
        for (index, set) in numbering.sets.iter().enumerate() {
            let id = SetId::from_index(index);
            let def = SetDef::new(set, user_table);
            def.each_reference(&mut |other| {
                let referring = all.referring.get_mut(other.index());
                if let Some(referring) = referring.filter(|list| list.last() != Some(&id)) {
                    referring.push(id);
                }
            });
            if let Set::Directory(name) = set {
                all.directory.insert(name.clone(), id);
            }
            all.defs.push(def);
        }
        all
    }

    /// Evaluates the sets in their order. `directory` has the members of the sets that it
    /// fills.
    pub(in crate::routing) fn evaluate<E>(
        &self,
        user_table: &UserTable,
        directory: impl Fn(&str) -> Option<Arc<Members>>,
        check: impl Fn(SetId, &Members) -> Result<(), E>,
    ) -> Result<Evaluated, E> {
        let filled: HashMap<SetId, Arc<Members>> =
            self.directory.iter().filter_map(|(name, id)| Some((*id, directory(name)?))).collect();
        let mut patterns = HashMap::new();
        let mut evaluated = Evaluated::default();
        for (index, def) in self.defs.iter().enumerate() {
            let id = SetId::from_index(index);
            let members = match def {
                SetDef::Directory => filled.get(&id).cloned().unwrap_or_default(),
                def => def.evaluate(user_table, &evaluated, &mut patterns),
            };
            check(id, &members)?;
            evaluated.push(members);
        }
        Ok(evaluated)
    }

    /// Returns the set that the directory fills under a name.
    pub(in crate::routing) fn directory_set(&self, name: &str) -> Option<SetId> {
        self.directory.get(name).copied()
    }

    /// Returns all sets that the directory fills.
    pub(in crate::routing) fn directory_sets(&self) -> impl Iterator<Item = SetId> {
        self.directory.values().copied()
    }

    /// Returns the sets that refer directly to a set, ascending.
    pub(in crate::routing) fn referring_sets(&self, id: SetId) -> &[SetId] {
        self.referring.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// Returns true if a named user is in a set by its definition. All sets before it must be
    /// up to date.
    pub(in crate::routing) fn holds(
        &self,
        id: SetId,
        number: UserNumber,
        user: UserId<'_>,
        evaluated: &Evaluated,
    ) -> bool {
        let in_set =
            |other: SetId| evaluated.get(other).is_some_and(|set| set.named().contains(number));
        match self.defs.get(id.index()) {
            Some(SetDef::Directory) => in_set(id),
            Some(def) => def.holds(number, user, &in_set),
            None => false,
        }
    }
}

// === impl SetDef ===

impl SetDef {
    fn new(set: &Set, user_table: &UserTable) -> Self {
        let all = |sets: &[Set]| sets.iter().map(|set| Self::new(set, user_table)).collect();
        match set {
            Set::Directory(_) => Self::Directory,
            Set::Users(ids) => {
                let mut numbers: Vec<_> =
                    ids.iter().filter_map(|id| user_table.number(id)).collect();
                numbers.sort_unstable();
                let mut users: RoaringBitmap = numbers.into_iter().collect();
                users.optimize();
                Self::Users(users)
            }
            Set::Everyone => Self::Everyone,
            Set::Server(glob) => Self::Server(glob.clone()),
            Set::Match(pattern) => Self::Match(pattern.clone()),
            Set::Group(group) => Self::Set(SetId::from_index(*group)),
            Set::Union(sets) => Self::Union(all(sets)),
            Set::Intersection(sets) => Self::Intersection(all(sets)),
            Set::Difference(any, except) => Self::Difference(
                Box::new(Self::new(any, user_table)),
                Box::new(Self::new(except, user_table)),
            ),
        }
    }

    fn evaluate<'r>(
        &'r self,
        user_table: &UserTable,
        evaluated: &Evaluated,
        patterns: &mut HashMap<&'r UserGlob, RoaringBitmap>,
    ) -> Arc<Members> {
        let opened = |open, covered| Arc::new(Members::opened(open, covered));
        match self {
            Self::Directory => Arc::default(),
            Self::Users(users) => Arc::new(Members::listed(users.clone())),
            Self::Everyone => opened(Open::Everyone, user_table.everyone()),
            Self::Server(glob) => opened(Open::Server(glob.clone()), user_table.on_servers(glob)),
            Self::Match(pattern) => {
                let matching = patterns.entry(pattern).or_insert_with(|| {
                    let candidates = user_table.on_servers(pattern.server());
                    let mut id = String::new();
                    let mut matches = |number: &u32| {
                        user_table.id(*number).replace(&mut id);
                        pattern.matches(&id)
                    };
                    candidates.into_iter().filter(|number| matches(number)).collect()
                });
                opened(Open::Match(pattern.clone()), matching.clone())
            }
            Self::Set(id) => evaluated.get(*id).cloned().unwrap_or_default(),
            Self::Union(all) => evaluate_all(all, Members::unite, user_table, evaluated, patterns),
            Self::Intersection(all) => {
                evaluate_all(all, Members::intersect, user_table, evaluated, patterns)
            }
            Self::Difference(any, except) => {
                let mut members = Members::clone(&any.evaluate(user_table, evaluated, patterns));
                members.subtract(&except.evaluate(user_table, evaluated, patterns));
                Arc::new(members)
            }
        }
    }

    fn holds(&self, number: UserNumber, user: UserId<'_>, in_set: &impl Fn(SetId) -> bool) -> bool {
        match self {
            Self::Directory => false,
            Self::Users(users) => users.contains(number),
            Self::Everyone => true,
            Self::Server(glob) => glob.matches(user.server()),
            Self::Match(pattern) => pattern.matches(user.as_str()),
            Self::Set(id) => in_set(*id),
            Self::Union(any) => any.iter().any(|def| def.holds(number, user, in_set)),
            Self::Intersection(all) => all.iter().all(|def| def.holds(number, user, in_set)),
            Self::Difference(any, except) => {
                any.holds(number, user, in_set) && !except.holds(number, user, in_set)
            }
        }
    }

    fn each_reference(&self, note: &mut impl FnMut(SetId)) {
        match self {
            Self::Set(id) => note(*id),
            Self::Union(all) | Self::Intersection(all) => {
                all.iter().for_each(|def| def.each_reference(note));
            }
            Self::Difference(any, except) => {
                any.each_reference(note);
                except.each_reference(note);
            }
            _ => {}
        }
    }
}

fn evaluate_all<'r>(
    all: &'r [SetDef],
    with: fn(&mut Members, &Members),
    user_table: &UserTable,
    evaluated: &Evaluated,
    patterns: &mut HashMap<&'r UserGlob, RoaringBitmap>,
) -> Arc<Members> {
    let mut sets = all.iter();
    let Some(first) = sets.next() else { return Arc::default() };
    let mut members = first.evaluate(user_table, evaluated, patterns);
    for set in sets {
        let other = set.evaluate(user_table, evaluated, patterns);
        with(Arc::make_mut(&mut members), &other);
    }
    members
}
