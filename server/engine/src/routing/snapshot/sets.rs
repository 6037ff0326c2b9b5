//! The sets of a ruleset, each once: its groups by number, then every other set
//! that a rule names as a side. Who is in is evaluated as a whole for a ruleset,
//! and user by user for an edit.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use presence_router_ids::{Glob, UserGlob};
use roaring::RoaringBitmap;

use crate::routing::model::ruleset::{Ruleset, Set};
use crate::routing::snapshot::cow_vec::CowVec;
use crate::routing::snapshot::members::{Members, Open};
use crate::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// A set's place among the sets of a ruleset.
pub type SetId = u32;

/// How each set of a ruleset is made of others. Only writers need it.
#[derive(Debug, Default)]
pub(in crate::routing) struct SetDefs {
    /// By set. A recipe refers only to sets with smaller ids.
    recipes: Vec<SetDef>,
    /// By set: the sets that refer to it, at first hand.
    referring: Vec<Vec<SetId>>,
    /// Sets that the directory fills, by name.
    directory: HashMap<Box<str>, SetId>,
}

/// How a set is made.
#[derive(Debug)]
enum SetDef {
    /// What the directory says. The members are the set's own.
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
pub(in crate::routing) type Evaluated = CowVec<Arc<Members>>;

/// Gives ids to the sets of a ruleset.
#[derive(Default)]
pub(in crate::routing) struct Numbering<'p> {
    /// In the order of their ids.
    pub(in crate::routing) sets: Vec<&'p Set>,
    ids: HashMap<&'p Set, SetId>,
}

// === impl Numbering ===

impl<'p> Numbering<'p> {
    pub(in crate::routing) fn new(ruleset: &'p Ruleset) -> Self {
        // Groups keep their numbers, so a reference is an id.
        let mut numbering = Self { sets: ruleset.groups.iter().collect(), ids: HashMap::new() };
        for product in ruleset.rules.iter().flat_map(|rule| &rule.products) {
            numbering.id(&product.senders);
            numbering.id(&product.recipients);
        }
        numbering
    }

    /// The id of a set. Sets that are written alike have one.
    pub(in crate::routing) fn id(&mut self, set: &'p Set) -> SetId {
        if let Set::Group(group) = set {
            return SetId::try_from(*group).unwrap_or(SetId::MAX);
        }
        let next = SetId::try_from(self.sets.len()).unwrap_or(SetId::MAX);
        *self.ids.entry(set).or_insert_with(|| {
            self.sets.push(set);
            next
        })
    }

    /// Users whom the sets name, sorted; texts that are no ids are passed over:
    /// no user can have them.
    pub(in crate::routing) fn users(&self) -> Vec<UserId<'p>> {
        let mut users = Vec::new();
        let mut rest = self.sets.clone();
        while let Some(set) = rest.pop() {
            match set {
                Set::Users(ids) => users.extend(ids.iter().filter_map(|id| UserId::parse(id).ok())),
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                Set::Difference(any, except) => rest.extend([&**any, &**except]),
                Set::Everyone
                | Set::Server(_)
                | Set::Match(_)
                | Set::Group(_)
                | Set::Directory(_) => {}
            }
        }
        users.sort_unstable_by_key(|user| user.as_str());
        users.dedup_by_key(|user| user.as_str());
        users
    }

    /// Servers that the sets name in full, sorted.
    pub(in crate::routing) fn servers(&self) -> BTreeSet<&'p str> {
        let mut servers = BTreeSet::new();
        let mut rest = self.sets.clone();
        while let Some(set) = rest.pop() {
            match set {
                Set::Server(glob) if glob.is_literal() => {
                    servers.insert(glob.as_str());
                }
                Set::Match(pattern) if pattern.server().is_literal() => {
                    servers.insert(pattern.server().as_str());
                }
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                Set::Difference(any, except) => rest.extend([&**any, &**except]),
                _ => {}
            }
        }
        servers
    }
}

// === impl SetDefs ===

impl SetDefs {
    /// The recipes of numbered sets, over users who have their numbers.
    pub(in crate::routing) fn new(numbering: &Numbering<'_>, user_table: &UserTable) -> Self {
        let mut recipes =
            Self { referring: vec![Vec::new(); numbering.sets.len()], ..Self::default() };
        for (id, set) in (0..).zip(&numbering.sets) {
            let recipe = SetDef::new(set, user_table);
            recipe.each_reference(&mut |other| {
                let referring = at(other).and_then(|other| recipes.referring.get_mut(other));
                if let Some(referring) = referring.filter(|list| list.last() != Some(&id)) {
                    referring.push(id);
                }
            });
            if let Set::Directory(name) = set {
                recipes.directory.insert(name.clone(), id);
            }
            recipes.recipes.push(recipe);
        }
        recipes
    }

    /// Evaluates the sets in their order. `directory` has the members of those
    /// that it fills.
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
        for (id, recipe) in (0..).zip(&self.recipes) {
            let members = match recipe {
                SetDef::Directory => filled.get(&id).cloned().unwrap_or_default(),
                recipe => recipe.evaluate(user_table, &evaluated, &mut patterns),
            };
            check(id, &members)?;
            evaluated.push(members);
        }
        Ok(evaluated)
    }

    /// The set that the directory fills under a name.
    pub(in crate::routing) fn directory(&self, name: &str) -> Option<SetId> {
        self.directory.get(name).copied()
    }

    /// All sets that the directory fills.
    pub(in crate::routing) fn directories(&self) -> impl Iterator<Item = SetId> {
        self.directory.values().copied()
    }

    /// Sets that refer to one at first hand, ascending.
    pub(in crate::routing) fn referring(&self, id: SetId) -> &[SetId] {
        at(id).and_then(|id| self.referring.get(id)).map_or(&[], Vec::as_slice)
    }

    /// Whether a named user is in a set by its recipe, all sets before it being
    /// up to date.
    pub(in crate::routing) fn holds(
        &self,
        id: SetId,
        number: u32,
        user: UserId<'_>,
        evaluated: &Evaluated,
    ) -> bool {
        let in_set = |other: SetId| {
            at(other)
                .and_then(|other| evaluated.get(other))
                .is_some_and(|set| set.named().contains(number))
        };
        match at(id).and_then(|id| self.recipes.get(id)) {
            Some(SetDef::Directory) => in_set(id),
            Some(recipe) => recipe.holds(number, user, &in_set),
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
            Set::Group(group) => Self::Set(SetId::try_from(*group).unwrap_or(SetId::MAX)),
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
            Self::Set(id) => at(*id).and_then(|id| evaluated.get(id)).cloned().unwrap_or_default(),
            Self::Union(all) => fold(all, Members::unite, user_table, evaluated, patterns),
            Self::Intersection(all) => {
                fold(all, Members::intersect, user_table, evaluated, patterns)
            }
            Self::Difference(any, except) => {
                let mut members = Members::clone(&any.evaluate(user_table, evaluated, patterns));
                members.subtract(&except.evaluate(user_table, evaluated, patterns));
                Arc::new(members)
            }
        }
    }

    fn holds(&self, number: u32, user: UserId<'_>, in_set: &impl Fn(SetId) -> bool) -> bool {
        match self {
            Self::Directory => false,
            Self::Users(users) => users.contains(number),
            Self::Everyone => true,
            Self::Server(glob) => glob.matches(user.server()),
            Self::Match(pattern) => pattern.matches(user.as_str()),
            Self::Set(id) => in_set(*id),
            Self::Union(any) => any.iter().any(|recipe| recipe.holds(number, user, in_set)),
            Self::Intersection(all) => all.iter().all(|recipe| recipe.holds(number, user, in_set)),
            Self::Difference(any, except) => {
                any.holds(number, user, in_set) && !except.holds(number, user, in_set)
            }
        }
    }

    fn each_reference(&self, note: &mut impl FnMut(SetId)) {
        match self {
            Self::Set(id) => note(*id),
            Self::Union(all) | Self::Intersection(all) => {
                all.iter().for_each(|recipe| recipe.each_reference(note));
            }
            Self::Difference(any, except) => {
                any.each_reference(note);
                except.each_reference(note);
            }
            _ => {}
        }
    }
}

fn fold<'r>(
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

/// A set's id as an index.
pub(in crate::routing) fn at(id: SetId) -> Option<usize> {
    usize::try_from(id).ok()
}
