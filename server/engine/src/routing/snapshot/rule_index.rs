//! The rules of a ruleset, indexed by set: for each set and each side, the sets that rules
//! allow, deny or hide on the other side.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use presence_router_ids::RoomCapabilities;

use crate::routing::model::ruleset::{Effect, Hide, Relation, Ruleset, Set};
use crate::routing::model::side::Side;
use crate::routing::snapshot::keys::{HideId, Key, RelationId, SetId};
use crate::routing::snapshot::numbering::Numbering;

/// The rules of a ruleset, by the sets that they name.
#[derive(Debug, Default)]
pub(in crate::routing) struct RuleIndex {
    /// By the index of a set, and by the side of its members.
    by_set: Box<[[RulesOfSet; 2]]>,
    /// The distinct hides.
    hides: Box<[Hide]>,
    /// The distinct relations, each with the capabilities that a caller needs for it.
    relations: Box<[(Arc<Relation>, RoomCapabilities)]>,
    /// The capabilities that the relations need together.
    needed_capabilities: RoomCapabilities,
    /// Sets that contain every user by definition, ascending. Empty without relations.
    everyone: Box<[SetId]>,
    /// Sets that a deny rule excludes, and sets that a hide rule names; both ascending.
    denies: Box<[SetId]>,
    hiding: Box<[SetId]>,
    shadows: Shadows,
}

/// The rules about the members of a set on one side. All lists are ascending and
/// without repeats.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct RulesOfSet {
    /// Sets on the other side that an allow rule names.
    pub(in crate::routing) allow: Vec<Across>,
    /// Sets on the other side that a deny rule names.
    pub(in crate::routing) deny: Vec<Across>,
    /// Sets on the other side that a hide rule names, each with the hide.
    pub(in crate::routing) hide: Vec<(Across, HideId)>,
}

/// The set on the other side of a rule, and the relation that the rule requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::routing) struct Across {
    pub(in crate::routing) set: SetId,
    pub(in crate::routing) relation: Option<RelationId>,
}

/// The rules in shadow of a ruleset. Their relations count as met, so that none is stored.
#[derive(Debug, Default)]
pub(in crate::routing) struct Shadows {
    /// By set of senders: indices in the ruleset, and sets of recipients.
    by_senders: HashMap<SetId, Vec<(usize, SetId)>>,
    /// The effects of the rules, by index in the ruleset.
    effects: BTreeMap<usize, Effect>,
}

// === impl RuleIndex ===

impl RuleIndex {
    pub(in crate::routing) fn new<'p>(ruleset: &'p Ruleset, numbering: &mut Numbering<'p>) -> Self {
        let mut hides: Vec<&Hide> = ruleset
            .rules
            .iter()
            .filter_map(|rule| match &rule.effect {
                Effect::Hide(hide) => Some(hide),
                Effect::Allow | Effect::Deny => None,
            })
            .collect();
        hides.sort_unstable();
        hides.dedup();
        let relations = distinct_relations(ruleset);

        let by_set = rules_by_set(ruleset, numbering, &hides, &relations);
        let across = |others: fn(&RulesOfSet) -> Vec<SetId>| -> Box<[SetId]> {
            let mut all: Vec<SetId> = by_set.iter().flatten().flat_map(others).collect();
            all.sort_unstable();
            all.dedup();
            all.into()
        };
        let denies = across(|rules| rules.deny.iter().map(|other| other.set).collect());
        let hiding = across(|rules| rules.hide.iter().map(|(other, _)| other.set).collect());
        let hides = hides.into_iter().cloned().collect();
        let shadows = Shadows::new(ruleset, numbering);
        let is_everyone = |(_, set): &(SetId, &&Set)| set.is_everyone(&ruleset.groups);
        let everyone = if relations.is_empty() {
            Box::default()
        } else {
            let sets = numbering.sets.iter().enumerate();
            let sets = sets.map(|(index, set)| (SetId::from_index(index), set));
            sets.filter(is_everyone).map(|(id, _)| id).collect()
        };
        let relations: Box<[_]> = relations
            .into_iter()
            .map(|relation| (Arc::new(relation.clone()), relation.needed_capabilities()))
            .collect();
        let needed = relations.iter().map(|(_, needed)| *needed);
        let needed_capabilities = needed.fold(RoomCapabilities::NONE, RoomCapabilities::union);
        Self {
            by_set: by_set.into(),
            hides,
            relations,
            needed_capabilities,
            everyone,
            denies,
            hiding,
            shadows,
        }
    }

    /// Returns the rules about a set's members on one side.
    pub(in crate::routing) fn of_set(&self, set: SetId, side: Side) -> Option<&RulesOfSet> {
        Some(side.select(self.by_set.get(set.index())?))
    }

    /// Returns every product of an allow rule (`true`) or a deny rule: the set of senders, and the
    /// set of recipients with the relation that the rule requires.
    pub(in crate::routing) fn deciding_products(
        &self,
    ) -> impl Iterator<Item = (bool, SetId, Across)> {
        self.rules_of_senders().flat_map(|(senders, rules)| {
            let allow = rules.allow.iter().map(move |recipients| (true, senders, *recipients));
            let deny = rules.deny.iter().map(move |recipients| (false, senders, *recipients));
            allow.chain(deny)
        })
    }

    /// Returns every product of a hide rule, senders and recipients, with the relation that the
    /// rule requires, and the hide.
    pub(in crate::routing) fn hide_products(
        &self,
    ) -> impl Iterator<Item = (SetId, SetId, Option<&Relation>, &Hide)> {
        self.rules_of_senders().flat_map(move |(senders, rules)| {
            rules.hide.iter().filter_map(move |(recipients, hide)| {
                let relation = recipients.relation.and_then(|id| self.relation_by_id(id));
                let relation = relation.map(|relation| &**relation);
                Some((senders, recipients.set, relation, self.hide_by_id(*hide)?))
            })
        })
    }

    fn rules_of_senders(&self) -> impl Iterator<Item = (SetId, &RulesOfSet)> {
        let all = self.by_set.iter().enumerate();
        all.map(|(index, rules)| (SetId::from_index(index), Side::Sender.select(rules)))
    }

    /// Returns true if an allow or deny rule names the set on a side.
    pub(in crate::routing) fn decides(&self, set: SetId, side: Side) -> bool {
        let decides = |rules: &RulesOfSet| !rules.allow.is_empty() || !rules.deny.is_empty();
        self.of_set(set, side).is_some_and(decides)
    }

    /// Returns the rules in shadow.
    pub(in crate::routing) fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Returns true if any rule names the set; a rule in shadow counts if it names the set as
    /// senders.
    pub(in crate::routing) fn is_used(&self, set: SetId) -> bool {
        let used = |rules: &RulesOfSet| {
            !rules.allow.is_empty() || !rules.deny.is_empty() || !rules.hide.is_empty()
        };
        self.shadows.has_senders(set)
            || self.by_set.get(set.index()).is_some_and(|rules| rules.iter().any(used))
    }

    /// Returns the sets that a deny rule excludes.
    pub(in crate::routing) fn denies(&self) -> &[SetId] {
        &self.denies
    }

    /// Returns the sets that a hide rule names, on either side.
    pub(in crate::routing) fn hiding(&self) -> &[SetId] {
        &self.hiding
    }

    /// Returns the hide with an id.
    pub(in crate::routing) fn hide_by_id(&self, id: HideId) -> Option<&Hide> {
        self.hides.get(id.index())
    }

    /// Returns the relation with an id.
    pub(in crate::routing) fn relation_by_id(&self, id: RelationId) -> Option<&Arc<Relation>> {
        self.relations.get(id.index()).map(|(relation, _)| relation)
    }

    /// Returns true if a caller with these capabilities can evaluate a relation.
    pub(in crate::routing) fn can_evaluate(
        &self,
        capabilities: RoomCapabilities,
        id: RelationId,
    ) -> bool {
        let relation = self.relations.get(id.index());
        relation.is_some_and(|(_, needed)| capabilities.covers(*needed))
    }

    /// Returns the capabilities on which some answer of the ruleset depends.
    pub(in crate::routing) fn needed_capabilities(&self) -> RoomCapabilities {
        self.needed_capabilities
    }

    /// Returns true if a set contains every user by its definition, so that no edit of the
    /// directory changes that. Known only under a ruleset with relations.
    pub(in crate::routing) fn is_everyone(&self, set: SetId) -> bool {
        self.everyone.binary_search(&set).is_ok()
    }
}

/// Returns the distinct relations of the rules that take part, sorted.
fn distinct_relations(ruleset: &Ruleset) -> Vec<&Relation> {
    let live = ruleset.rules.iter().filter(|rule| !rule.shadow);
    let mut relations: Vec<_> = live.filter_map(|rule| rule.relation.as_ref()).collect();
    relations.sort_unstable();
    relations.dedup();
    relations
}

/// Indexes the rules that take part, by the index of each set that they name and by the side of
/// its members. `hides` and `relations` are sorted.
fn rules_by_set<'p>(
    ruleset: &'p Ruleset,
    numbering: &mut Numbering<'p>,
    hides: &[&Hide],
    relations: &[&Relation],
) -> Vec<[RulesOfSet; 2]> {
    let mut by_set = vec![<[RulesOfSet; 2]>::default(); numbering.sets.len()];
    for rule in ruleset.rules.iter().filter(|rule| !rule.shadow) {
        let index = rule.relation.as_ref().and_then(|one| relations.binary_search(&one).ok());
        let relation = index.map(RelationId::from_index);
        for product in &rule.products {
            let (senders, recipients) =
                (numbering.id_of_set(&product.senders), numbering.id_of_set(&product.recipients));
            for (side, own, other) in
                [(Side::Sender, senders, recipients), (Side::Recipient, recipients, senders)]
            {
                if let Some(rules) = by_set.get_mut(own.index()) {
                    let across = Across { set: other, relation };
                    side.select_mut(rules).add_rule(&rule.effect, across, hides);
                }
            }
        }
    }
    by_set.iter_mut().flatten().for_each(RulesOfSet::sort_and_shrink);
    by_set
}

// === impl RulesOfSet ===

impl RulesOfSet {
    /// Adds the set across of a rule. `hides` is sorted, and contains every hide of a rule.
    fn add_rule(&mut self, effect: &Effect, other: Across, hides: &[&Hide]) {
        match effect {
            Effect::Allow => self.allow.push(other),
            Effect::Deny => self.deny.push(other),
            Effect::Hide(hide) => {
                let index = hides.binary_search(&hide).unwrap_or_default();
                self.hide.push((other, HideId::from_index(index)));
            }
        }
    }

    fn sort_and_shrink(&mut self) {
        for list in [&mut self.allow, &mut self.deny] {
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
        }
        self.hide.sort_unstable();
        self.hide.dedup();
    }
}

// === impl Shadows ===

impl Shadows {
    pub(in crate::routing) fn new<'p>(ruleset: &'p Ruleset, numbering: &mut Numbering<'p>) -> Self {
        let mut shadows = Self::default();
        for (index, rule) in ruleset.rules.iter().enumerate().filter(|(_, rule)| rule.shadow) {
            shadows.effects.insert(index, rule.effect.clone());
            for product in &rule.products {
                let senders = numbering.id_of_set(&product.senders);
                let recipients = numbering.id_of_set(&product.recipients);
                shadows.by_senders.entry(senders).or_default().push((index, recipients));
            }
        }
        shadows
    }

    /// Returns true if some rule has the set as its senders.
    pub(in crate::routing) fn has_senders(&self, set: SetId) -> bool {
        self.by_senders.contains_key(&set)
    }

    /// Returns true if no rule is in shadow.
    pub(in crate::routing) fn is_empty(&self) -> bool {
        self.by_senders.is_empty()
    }

    /// Returns the products with the set as senders: the rule's index in the ruleset, and the
    /// set of recipients.
    pub(in crate::routing) fn of_senders(&self, set: SetId) -> &[(usize, SetId)] {
        self.by_senders.get(&set).map_or(&[], Vec::as_slice)
    }

    /// Returns the effect of the rule with this index in the ruleset.
    pub(in crate::routing) fn effect(&self, rule: usize) -> Option<&Effect> {
        self.effects.get(&rule)
    }
}
