//! A plan, made ready to answer: its users numbered, its sets evaluated. Never
//! changes; a new plan makes a new snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use presence_router_proto::glob::UserGlob;
use roaring::RoaringBitmap;

use super::members::{Members, Open};
use super::people::People;
use super::plan::{Effect, Plan, Set};
use super::relation::Pairs;

/// Most levels of sets in an open rule. More would not survive the wire:
/// Protobuf decoders stop at a hundred nested messages, and a level takes two.
pub const MAX_DEPTH: usize = 32;

/// Everything that answers are computed from.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) people: People,
    pub(super) allow: Pairs,
    pub(super) deny: Pairs,
    /// Servers that the plan names, by a user or in full, sorted.
    destinations: Box<[Box<str>]>,
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

/// Evaluates sets, each group once.
struct Evaluator<'a> {
    people: &'a People,
    groups: Vec<Arc<Members>>,
    patterns: HashMap<&'a UserGlob, RoaringBitmap>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Evaluates a plan.
    ///
    /// # Errors
    ///
    /// A rule's open set is too deep for the wire.
    pub fn new(plan: &Plan) -> Result<Self, TooDeep> {
        let mut names = Named::default();
        plan.groups.iter().for_each(|set| names.collect(set));
        for product in plan.rules.iter().flat_map(|rule| &rule.products) {
            names.collect(&product.senders);
            names.collect(&product.recipients);
        }
        let people = People::new(names.users.into_iter());
        let mut destinations = names.servers;
        destinations.extend(people.servers());
        let destinations = destinations.into_iter().map(Into::into).collect();

        let mut evaluator =
            Evaluator { people: &people, groups: Vec::new(), patterns: HashMap::new() };
        for (i, set) in plan.groups.iter().enumerate() {
            let members = evaluator.checked(set, Whose::Group(i))?;
            evaluator.groups.push(members);
        }
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        for (i, rule) in plan.rules.iter().enumerate() {
            let into = match rule.effect {
                Effect::Allow => &mut allow,
                Effect::Deny => &mut deny,
            };
            for product in &rule.products {
                let senders = evaluator.checked(&product.senders, Whose::Rule(i))?;
                let recipients = evaluator.checked(&product.recipients, Whose::Rule(i))?;
                into.push((senders, recipients));
            }
        }
        let (allow, deny) = (Pairs::new(allow, &people), Pairs::new(deny, &people));
        Ok(Self { people, allow, deny, destinations })
    }

    /// The users whom the plan names.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// Servers that the plan names, by a user or in full, on which an open rule
    /// may let somebody in. Sorted.
    pub fn destinations(&self, open: &Open) -> impl Iterator<Item = &str> {
        self.destinations
            .iter()
            .map(|name| &**name)
            .filter(|name| open.reaches(name) != Some(false))
    }
}

// === impl Evaluator ===

impl<'a> Evaluator<'a> {
    /// Evaluates and bounds the depth. Of groups too, and in their order, so that
    /// a chain of them cannot grow deeper than a stack before it is refused.
    fn checked(&mut self, set: &'a Set, whose: Whose) -> Result<Arc<Members>, TooDeep> {
        let members = self.evaluate(set);
        match members.open().depth() {
            ..=MAX_DEPTH => Ok(members),
            depth => Err(TooDeep { whose, depth }),
        }
    }

    fn evaluate(&mut self, set: &'a Set) -> Arc<Members> {
        match set {
            Set::Group(number) => self.groups.get(*number).cloned().unwrap_or_default(),
            Set::Users(ids) => {
                let numbers = ids.iter().filter_map(|id| self.people.number(id));
                Arc::new(Members::listed(numbers.collect()))
            }
            Set::Everyone => Arc::new(Members::opened(Open::Everyone, self.people.everyone())),
            Set::Server(glob) => {
                Arc::new(Members::opened(Open::Server(glob.clone()), self.people.on_servers(glob)))
            }
            Set::Match(pattern) => Arc::new(Members::opened(
                Open::Match(pattern.clone()),
                self.matching(pattern).clone(),
            )),
            Set::Union(sets) => self.fold(sets, Members::unite),
            Set::Intersection(sets) => self.fold(sets, Members::intersect),
            Set::Difference(any, except) => {
                let mut members = Members::clone(&*self.evaluate(any));
                members.subtract(&self.evaluate(except));
                Arc::new(members)
            }
        }
    }

    fn fold(&mut self, sets: &'a [Set], with: fn(&mut Members, &Members)) -> Arc<Members> {
        let Some((first, rest)) = sets.split_first() else { return Arc::default() };
        let first = self.evaluate(first);
        if rest.is_empty() {
            return first;
        }
        let mut members = Members::clone(&*first);
        for set in rest {
            let other = self.evaluate(set);
            with(&mut members, &other);
        }
        Arc::new(members)
    }

    fn matching(&mut self, pattern: &'a UserGlob) -> &RoaringBitmap {
        let people = self.people;
        self.patterns.entry(pattern).or_insert_with(|| {
            let candidates = people.on_servers(pattern.server());
            candidates.into_iter().filter(|n| pattern.matches(people.id(*n))).collect()
        })
    }
}

/// Whom and which servers a plan names.
#[derive(Default)]
struct Named<'a> {
    users: Vec<&'a str>,
    servers: BTreeSet<&'a str>,
}

impl<'a> Named<'a> {
    fn collect(&mut self, set: &'a Set) {
        let mut rest = vec![set];
        while let Some(set) = rest.pop() {
            match set {
                Set::Everyone | Set::Group(_) => {}
                Set::Users(ids) => self.users.extend(ids.iter().map(|id| &**id)),
                Set::Server(glob) if glob.is_literal() => {
                    self.servers.insert(glob.as_str());
                }
                Set::Match(pattern) if pattern.server().is_literal() => {
                    self.servers.insert(pattern.server().as_str());
                }
                Set::Server(_) | Set::Match(_) => {}
                Set::Union(sets) | Set::Intersection(sets) => rest.extend(sets),
                Set::Difference(any, except) => rest.extend([&**any, &**except]),
            }
        }
    }
}
