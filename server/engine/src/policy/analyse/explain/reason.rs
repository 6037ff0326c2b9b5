//! The verdict on a pair by the rules that match it, and its reason in words.
//!
//! Knows neither document nor contract: the command line decides by the rules of a daemon's
//! answer in the same way.

use crate::policy::given_rooms::{GivenRooms, RelationFinding};
use crate::policy::wording::quoted;
use crate::policy::wording::rooms::describe_relation;
use crate::routing::model::ruleset::{Effect, Relation};

/// Most rules that a reason names.
const MAX_NAMES: usize = 3;

/// The rules that match a pair, their relations left aside.
#[derive(Clone, Debug)]
pub struct Reasons<'r> {
    /// True if sender and recipient are one user. No rule applies to such a pair.
    pub own: bool,

    /// The rules, in the order of the policy.
    pub rules: Vec<MatchingRule<'r>>,
}

/// A rule that matches a pair, its relation left aside.
#[derive(Clone, Debug)]
pub struct MatchingRule<'r> {
    /// The name of the rule.
    pub name: &'r str,

    /// The line on which the rule begins.
    pub line: u64,

    /// The effect of the rule.
    pub effect: &'r Effect,

    /// True if the rule takes no part.
    pub shadow: bool,

    /// The relation that the rule requires, if any.
    pub relation: Option<RequiredRelation>,
}

/// A relation that a rule requires between two users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredRelation {
    /// The relation as a clause about the two users: `they share a room`.
    pub clause: String,

    /// The outcome by given rooms. `None`: without given rooms, the relation is open.
    pub finding: Option<RelationFinding>,
}

/// The contribution of a rule to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The rule has its effect on the pair.
    Applies,

    /// The rule has its effect if its relation holds, which is open.
    Open,

    /// The rule has no effect, since its relation does not hold or counts as not met.
    DoesNotApply,
}

// === impl RequiredRelation ===

impl RequiredRelation {
    /// Evaluates a relation for two users, if there are given rooms.
    pub fn new(relation: &Relation, rooms: Option<&GivenRooms>, [one, other]: [&str; 2]) -> Self {
        let finding = rooms.map(|rooms| rooms.check_relation(one, other, relation));
        Self { clause: describe_relation(relation), finding }
    }

    /// Returns the contribution of a rule with an effect. If a missing fact decides the relation,
    /// it counts as not met in an allow rule, and as met in a deny or hide rule.
    pub fn outcome(&self, effect: &Effect) -> Outcome {
        let Some(finding) = &self.finding else { return Outcome::Open };
        match finding.holds.unwrap_or(*effect != Effect::Allow) {
            true => Outcome::Applies,
            false => Outcome::DoesNotApply,
        }
    }
}

// === impl MatchingRule ===

impl MatchingRule<'_> {
    fn outcome(&self) -> Outcome {
        let relation = self.relation.as_ref();
        relation.map_or(Outcome::Applies, |relation| relation.outcome(self.effect))
    }

    /// Renders the name and the line, with the condition on which the rule applies, or the
    /// evidence that it does.
    fn describe_rule(&self, origin: &str) -> String {
        let Self { name, line, relation, .. } = self;
        let name = quoted(name);
        match relation {
            None => format!("rule {name} (line {line}{origin})"),
            Some(RequiredRelation { clause, finding: None }) => {
                format!("rule {name} (line {line}{origin}) if {clause}")
            }
            Some(RequiredRelation { finding: Some(found), .. }) => {
                format!("rule {name} (line {line}{origin}; {})", found.evidence)
            }
        }
    }

    /// Says that a shadow rule has a relation, which is open.
    fn describe_open_shadow(&self, origin: &str) -> String {
        let Self { name, line, relation, .. } = self;
        let clause = relation.as_ref().map(|relation| relation.clause.as_str());
        let (name, clause) = (quoted(name), clause.unwrap_or_default());
        format!("rule {name} (line {line}{origin}) would match if {clause}, but is in shadow")
    }

    /// Says why the relation keeps the rule from applying.
    fn describe_unmet(&self, origin: &str) -> Option<String> {
        let Self { name, line, relation, .. } = self;
        let RequiredRelation { clause, finding } = relation.as_ref()?;
        let evidence = &finding.as_ref()?.evidence;
        let name = quoted(name);
        Some(format!("rule {name} (line {line}{origin}) requires that {clause}, but {evidence}"))
    }
}

// === impl Reasons ===

impl Reasons<'_> {
    /// Returns true if the recipient may see the sender, whatever is open.
    pub fn is_visible(&self) -> bool {
        let [allows, denies] = self.allows_and_denies();
        !self.own && allows.contains(&Outcome::Applies) && denies.is_empty()
    }

    /// Returns true if open relations decide.
    pub fn depends_on_rooms(&self) -> bool {
        let [allows, denies] = self.allows_and_denies();
        let is_denied = denies.contains(&Outcome::Applies);
        !self.own && !allows.is_empty() && !is_denied && !self.is_visible()
    }

    /// Renders the verdict in a few words: the rules that allow or deny the pair. `origin`
    /// follows the number of a line, such as ` of the policy`; it may be empty.
    pub fn describe_verdict(&self, origin: &str) -> String {
        if self.own {
            return "rules do not apply to a user's own presence".to_owned();
        }
        let select = |effect, outcome| self.select_rules(|rule| *rule.effect == effect, outcome);
        let names = |rules: &[&MatchingRule<'_>]| join_names(rules, origin);
        let mut allows = select(Effect::Allow, Outcome::Applies);
        if allows.is_empty() {
            allows = select(Effect::Allow, Outcome::Open);
        }
        let denies = select(Effect::Deny, Outcome::Applies);
        let mut reason = match (allows.as_slice(), denies.as_slice()) {
            ([], []) => {
                let unmet = self.describe_unmet(|rule| *rule.effect == Effect::Allow, origin);
                format!("no allow rule matches{unmet}")
            }
            ([], denies) => {
                format!("no allow rule matches, and the pair is denied by {}", names(denies))
            }
            (allows, []) => match select(Effect::Deny, Outcome::Open).as_slice() {
                [] => format!("allowed by {}", names(allows)),
                open => format!("allowed by {}, but denied by {}", names(allows), names(open)),
            },
            (_, denies) => format!("denied by {}", names(denies)),
        };
        let other = if self.is_visible() { Effect::Deny } else { Effect::Allow };
        let is_other = |rule: &&MatchingRule<'_>| rule.shadow && *rule.effect == other;
        let shadow = |outcome| -> Vec<&MatchingRule<'_>> {
            let rules = self.rules.iter().filter(is_other);
            rules.filter(|rule| rule.outcome() == outcome).collect()
        };
        let (matching, open) = (shadow(Outcome::Applies), shadow(Outcome::Open));
        if !matching.is_empty() {
            reason.push_str(&format!("; {} matches, in shadow only", names(&matching)));
        }
        for rule in open.iter().take(MAX_NAMES) {
            reason.push_str(&format!("; {}", rule.describe_open_shadow(origin)));
        }
        reason
    }

    /// Names the rules that hide fields on the pair. For `origin`, see
    /// [`Reasons::describe_verdict`].
    pub fn describe_hides(&self, origin: &str) -> String {
        let is_hide = |rule: &MatchingRule<'_>| matches!(rule.effect, Effect::Hide(_));
        let mut rules = self.select_rules(is_hide, Outcome::Applies);
        rules.extend(self.select_rules(is_hide, Outcome::Open));
        match rules.as_slice() {
            [] => format!("no hide rule matches{}", self.describe_unmet(is_hide, origin)),
            rules => format!("hidden by {}", join_names(rules, origin)),
        }
    }

    /// Returns the contributions of the allow rules and of the deny rules, without rules that do
    /// not apply.
    fn allows_and_denies(&self) -> [Vec<Outcome>; 2] {
        [Effect::Allow, Effect::Deny].map(|effect| {
            let rules = self.rules.iter().filter(|rule| !rule.shadow && *rule.effect == effect);
            let outcomes = rules.map(MatchingRule::outcome);
            outcomes.filter(|outcome| *outcome != Outcome::DoesNotApply).collect()
        })
    }

    /// Returns the rules that take part, of some effect and with an outcome.
    fn select_rules(
        &self,
        has_effect: impl Fn(&MatchingRule<'_>) -> bool,
        outcome: Outcome,
    ) -> Vec<&MatchingRule<'_>> {
        let rules = self.rules.iter().filter(|rule| !rule.shadow && has_effect(rule));
        rules.filter(|rule| rule.outcome() == outcome).collect()
    }

    /// Says why rules of some effect do not apply. Empty if there are none.
    fn describe_unmet(
        &self,
        has_effect: impl Fn(&MatchingRule<'_>) -> bool,
        origin: &str,
    ) -> String {
        let rules = self.select_rules(has_effect, Outcome::DoesNotApply);
        let unmet = rules.iter().take(MAX_NAMES).filter_map(|rule| rule.describe_unmet(origin));
        let unmet: Vec<String> = unmet.collect();
        if unmet.is_empty() { String::new() } else { format!(": {}", unmet.join("; ")) }
    }
}

/// Renders the first of some rules, and the number of the others.
fn join_names(rules: &[&MatchingRule<'_>], origin: &str) -> String {
    let mut named: Vec<String> =
        rules.iter().take(MAX_NAMES).map(|rule| rule.describe_rule(origin)).collect();
    if let Some(more) = rules.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
        named.push(format!("{more} more"));
    }
    let is_open = |rule: &&MatchingRule<'_>| rule.outcome() == Outcome::Open;
    match named.split_last() {
        Some((last, [])) => last.clone(),
        // Each of them has a condition behind it.
        Some((last, rest)) if rules.iter().any(is_open) => {
            format!("{}, or by {last}", rest.join(", by "))
        }
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
