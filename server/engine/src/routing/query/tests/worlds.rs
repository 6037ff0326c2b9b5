//! Small random rulesets with relations, and their definition, evaluated rule by rule.

use std::sync::Arc;

use fastrand::Rng;
use presence_router_ids::{Glob, RoomCapabilities, RoomCondition, RoomConditions, UserId};
use presence_router_ids::{all_of, any_of};

use crate::routing::engine::{Edit, Engine};
use crate::routing::model::caller::Caller;
use crate::routing::model::ruleset::{
    Effect, Fields, Hide, Ids, Product, Relation, Rule, Ruleset, Set,
};
use crate::routing::snapshot::Snapshot;

/// All users of a world. `@eve:x` is in no list.
pub(in crate::routing) const USERS: [&str; 6] =
    ["@ann:x", "@bob:x", "@joe:y", "@sue:y", "@ron:z", "@eve:x"];

/// The groups that the directory fills.
pub(in crate::routing) const GROUPS: [&str; 2] = ["one", "two"];

/// A ruleset, and the members of its groups.
pub(in crate::routing) struct World {
    pub(in crate::routing) ruleset: Ruleset,
    pub(in crate::routing) members: [Vec<&'static str>; 2],
}

/// The rooms of a pair of users: if they share any room, and if they share an encrypted one.
pub(in crate::routing) type Facts = [Option<bool>; 2];

pub(in crate::routing) fn user(id: &str) -> UserId<'_> {
    UserId::parse(id).unwrap()
}

pub(in crate::routing) fn list(ids: &[&str]) -> Set {
    Set::Users(Ids::new(ids.iter().copied()).unwrap())
}

pub(in crate::routing) fn encrypted() -> RoomConditions {
    RoomConditions::new([RoomCondition::Encrypted(true)])
}

/// Returns the relations that rules of a world require.
pub(in crate::routing) fn relations() -> [Relation; 3] {
    let any = Relation::ShareRoom(RoomConditions::default());
    [any, Relation::ShareRoom(encrypted()), Relation::ShareNoRoom]
}

/// Returns every combination of facts.
pub(in crate::routing) fn all_facts() -> impl Iterator<Item = Facts> {
    const ALL: [Option<bool>; 3] = [Some(true), Some(false), None];
    ALL.into_iter().flat_map(|any| ALL.map(|encrypted| [any, encrypted]))
}

/// Evaluates a relation by facts.
pub(in crate::routing) fn holds(relation: &Relation, [any, in_encrypted]: Facts) -> Option<bool> {
    relation.holds(|conditions| if conditions.is_any_room() { any } else { in_encrypted })
}

pub(in crate::routing) fn caller(names: &[&str], capabilities: RoomCapabilities) -> Caller {
    Caller::new(names).unwrap().with_capabilities(capabilities)
}

pub(in crate::routing) fn snapshot(rules: Vec<Rule>) -> Arc<Snapshot> {
    Engine::new(&Ruleset { groups: Vec::new(), rules }).unwrap().snapshot()
}

pub(in crate::routing) fn rule(
    effect: Effect,
    [senders, recipients]: [Set; 2],
    relation: Option<Relation>,
) -> Rule {
    Rule { effect, shadow: false, products: vec![Product { senders, recipients }], relation }
}

pub(in crate::routing) fn hide_status() -> Hide {
    Hide { fields: Fields { status_msg: true, ..Fields::default() }, unless: Box::default() }
}

// === impl World ===

impl World {
    pub(in crate::routing) fn random(random: &mut Rng) -> Self {
        let mut rules = Vec::new();
        for _ in 0..random.usize(1..6) {
            let hide = Hide {
                unless: if random.bool() { Box::default() } else { ["online".into()].into() },
                ..hide_status()
            };
            let effect = match random.u8(0..5) {
                0..=2 => Effect::Allow,
                3 => Effect::Deny,
                _ => Effect::Hide(hide),
            };
            let relation = relations().into_iter().nth(random.usize(0..4));
            let sets = [random_set(random, 2), random_set(random, 2)];
            rules.push(rule(effect, sets, relation));
        }
        let groups = GROUPS.map(|name| Set::Directory(name.into())).into();
        let mut some = || USERS[..5].iter().copied().filter(|_| random.u8(0..3) == 0).collect();
        Self { ruleset: Ruleset { groups, rules }, members: [some(), some()] }
    }

    pub(in crate::routing) fn engine(&self) -> Engine {
        let mut engine = Engine::new(&self.ruleset).unwrap();
        let edits: Vec<_> = GROUPS
            .iter()
            .zip(&self.members)
            .flat_map(|(group, members)| {
                members.iter().map(|id| Edit::Join { group, user: user(id) })
            })
            .collect();
        engine.edit(&edits).unwrap();
        engine
    }

    /// Returns true if the pair is visible by the definition, rule by rule, to a caller with
    /// these capabilities.
    pub(in crate::routing) fn is_visible(
        &self,
        pair: [&str; 2],
        capabilities: RoomCapabilities,
        facts: Facts,
    ) -> Option<bool> {
        self.is_visible_if(pair, capabilities, |relation| holds(relation, facts))
    }

    /// Evaluates the definition as [`Self::is_visible`] does, with any outcome of each relation.
    pub(in crate::routing) fn is_visible_if(
        &self,
        pair: [&str; 2],
        capabilities: RoomCapabilities,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> Option<bool> {
        let matching = |is: fn(&Effect) -> bool, otherwise: bool| {
            let rules = self.ruleset.rules.iter().filter(move |rule| is(&rule.effect));
            any_of(rules.map(|rule| self.matches(rule, pair, capabilities, otherwise, &holds)))
        };
        let allowed = matching(|effect| *effect == Effect::Allow, false);
        let denied = matching(|effect| *effect == Effect::Deny, true);
        all_of([Some(pair[0] != pair[1]), allowed, denied.map(|denied| !denied)])
    }

    /// Returns the hides of a pair, sorted: those of rules that match, or for which an unknown
    /// fact decides it.
    pub(in crate::routing) fn hides(
        &self,
        pair: [&str; 2],
        capabilities: RoomCapabilities,
        facts: Facts,
    ) -> Vec<&Hide> {
        let hides = self.ruleset.rules.iter().filter_map(|rule| match &rule.effect {
            Effect::Hide(hide) => {
                let matches = self.matches(rule, pair, capabilities, true, |one| holds(one, facts));
                (matches != Some(false)).then_some(hide)
            }
            Effect::Allow | Effect::Deny => None,
        });
        let mut hides: Vec<_> = hides.collect();
        hides.sort_unstable();
        hides.dedup();
        hides
    }

    /// `otherwise` is the outcome of a relation that the caller cannot evaluate.
    fn matches(
        &self,
        rule: &Rule,
        [sender, recipient]: [&str; 2],
        capabilities: RoomCapabilities,
        otherwise: bool,
        holds: impl Fn(&Relation) -> Option<bool>,
    ) -> Option<bool> {
        let within = rule.products.iter().any(|product| {
            self.contains(&product.senders, sender) && self.contains(&product.recipients, recipient)
        });
        let relation = rule.relation.as_ref().map_or(Some(true), |relation| {
            if capabilities.covers(relation.needed_capabilities()) {
                holds(relation)
            } else {
                Some(otherwise)
            }
        });
        all_of([Some(within), relation])
    }

    fn contains(&self, set: &Set, id: &str) -> bool {
        match set {
            Set::Users(ids) => ids.iter().any(|one| one == id),
            Set::Everyone => true,
            Set::Server(glob) => glob.matches(user(id).server()),
            Set::Group(group) => self.members[*group].contains(&id),
            Set::Union(any) => any.iter().any(|set| self.contains(set, id)),
            Set::Intersection(all) => all.iter().all(|set| self.contains(set, id)),
            Set::Difference(any, except) => self.contains(any, id) && !self.contains(except, id),
            Set::Match(_) | Set::Directory(_) => unreachable!("no world has such a set"),
        }
    }
}

fn random_set(random: &mut Rng, depth: usize) -> Set {
    let part = |random: &mut Rng| random_set(random, depth - 1);
    match random.u8(0..if depth == 0 { 6 } else { 9 }) {
        0 | 1 => Set::Everyone,
        2 => Set::Server(Glob::new(*random.choice(&["x", "y", "*"]).unwrap())),
        3 | 4 => Set::Group(random.usize(0..GROUPS.len())),
        5 => {
            let some: Vec<_> = USERS[..5].iter().copied().filter(|_| random.bool()).collect();
            list(&some)
        }
        6 => Set::Union(vec![part(random), part(random)]),
        7 => Set::Intersection(vec![part(random), part(random)]),
        _ => Set::Difference(Box::new(part(random)), Box::new(part(random))),
    }
}
