//! Differences between two policies, by name: for the log, for the answer to a reload,
//! and for a plan.
//!
//! Comments and positions in the text make no difference. `impact` computes the effect of a
//! change on pairs.

use std::collections::BTreeMap;
use std::fmt;

use crate::policy::Policy;
use crate::policy::document::room::{RoomRule, When};
use crate::policy::document::{Document, Group, Pairs, Rule, SetExpr};
use crate::policy::problem::Position;
use crate::policy::wording::{count, quoted};

/// The text for policies without a difference.
pub const NO_DIFFERENCE: &str = "no difference";

/// Maximum names of a kind in a message.
const MAX_NAMES: usize = 5;

/// Differences between two policies. `Display` prints them in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Rules, without those of switches.
    pub rules: Names,
    /// Groups. A changed members file changes its group.
    pub groups: Names,
    /// Rules about rooms.
    pub rooms: Names,
    /// Switches at the top, as written, such as `local: false`; `ours` counts as one.
    pub switches: Names,
    /// The number of the later policy's tests.
    pub tests: usize,
}

/// Names of added, removed and changed items. Each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that only the later policy has.
    pub added: Vec<String>,
    /// Names that only the earlier policy has.
    pub removed: Vec<String>,
    /// Names that both policies have, with different contents.
    pub changed: Vec<String>,
}

/// A rule about rooms that a later policy adds, removes or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomChange {
    /// The name of the rule.
    pub name: String,
    /// The position in the earlier policy. `None`: the rule is added.
    pub before: Option<Position>,
    /// The position in the later policy. `None`: the rule is removed.
    pub after: Option<Position>,
}

/// Compares two policies.
pub fn compare(before: &Policy, after: &Policy) -> Differences {
    let (before, after) = (&before.document, &after.document);
    let mut switches =
        Names::compare(&rules_by_name(before, true), &rules_by_name(after, true), same_rule);
    if before.ours != after.ours {
        let list = match (before.ours.is_empty(), after.ours.is_empty()) {
            (true, _) => &mut switches.added,
            (_, true) => &mut switches.removed,
            _ => &mut switches.changed,
        };
        list.push("ours".to_owned());
        list.sort_unstable();
    }
    Differences {
        rules: Names::compare(
            &rules_by_name(before, false),
            &rules_by_name(after, false),
            same_rule,
        ),
        groups: Names::compare(&groups_by_name(before), &groups_by_name(after), |a, b| {
            a.directory == b.directory && same_set(&a.members, &b.members)
        }),
        rooms: Names::compare(
            &room_rules_by_name(before),
            &room_rules_by_name(after),
            same_room_rule,
        ),
        switches,
        tests: after.tests.len() + after.room_tests.len(),
    }
}

/// Compares the rules about rooms of two policies. The result is sorted by name.
pub fn room_changes(before: &Policy, after: &Policy) -> Vec<RoomChange> {
    let [before, after] = [before, after].map(|policy| room_rules_by_name(&policy.document));
    let Names { added, removed, changed } = Names::compare(&before, &after, same_room_rule);
    let mut names = [added, removed, changed].concat();
    names.sort_unstable();
    let position = |rules: &BTreeMap<&str, &RoomRule>, name: &str| Some(rules.get(name)?.position);
    let change = |name: String| RoomChange {
        before: position(&before, &name),
        after: position(&after, &name),
        name,
    };
    names.into_iter().map(change).collect()
}

fn rules_by_name(policy: &Document, switch: bool) -> BTreeMap<&str, &Rule> {
    let rules = policy.rules.iter().filter(|rule| rule.switch == switch);
    rules.map(|rule| (rule.name.as_str(), rule)).collect()
}

fn same_rule(a: &Rule, b: &Rule) -> bool {
    let same_pairs = match (&a.pairs, &b.pairs) {
        (Pairs::Product { from, to }, Pairs::Product { from: other_from, to: other_to }) => {
            same_set(from, other_from) && same_set(to, other_to)
        }
        (Pairs::Within { groups, .. }, Pairs::Within { groups: others, .. }) => groups == others,
        (Pairs::Product { .. }, Pairs::Within { .. })
        | (Pairs::Within { .. }, Pairs::Product { .. }) => false,
    };
    a.effect == b.effect && a.shadow == b.shadow && a.relation == b.relation && same_pairs
}

fn room_rules_by_name(policy: &Document) -> BTreeMap<&str, &RoomRule> {
    policy.rooms.iter().map(|rule| (rule.name.as_str(), rule)).collect()
}

fn same_room_rule(a: &RoomRule, b: &RoomRule) -> bool {
    fn same_condition(a: Option<&SetExpr>, b: Option<&SetExpr>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => same_set(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
    let When { requester, presets, visibility, invites, names, admin } = &a.when;
    same_condition(requester.as_ref(), b.when.requester.as_ref())
        && same_condition(invites.as_ref(), b.when.invites.as_ref())
        && (presets, visibility, names, admin)
            == (&b.when.presets, &b.when.visibility, &b.when.names, &b.when.admin)
        && a.effect == b.effect
}

fn groups_by_name(policy: &Document) -> BTreeMap<&str, &Group> {
    policy.groups.iter().map(|group| (group.name.as_str(), group)).collect()
}

/// Returns true if two sets have the same text. The reader bounds the depth of sets, and so
/// the recursion.
fn same_set(a: &SetExpr, b: &SetExpr) -> bool {
    match (a, b) {
        (SetExpr::User(a), SetExpr::User(b)) => a.id == b.id,
        (SetExpr::Everyone, SetExpr::Everyone) => true,
        (SetExpr::Server(a), SetExpr::Server(b)) => a == b,
        (SetExpr::Match(a), SetExpr::Match(b)) => a == b,
        (SetExpr::Members { ids: a, .. }, SetExpr::Members { ids: b, .. }) => a == b,
        (SetExpr::Group { name: a, .. }, SetExpr::Group { name: b, .. }) => a == b,
        (SetExpr::Union(a), SetExpr::Union(b)) | (SetExpr::AllOf(a), SetExpr::AllOf(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_set(a, b))
        }
        (
            SetExpr::Difference { any: a, except: not_a },
            SetExpr::Difference { any: b, except: not_b },
        ) => same_set(a, b) && same_set(not_a, not_b),
        _ => false,
    }
}

// === impl Differences ===

impl Differences {
    /// Returns true if the policies do not differ, apart from their tests.
    pub fn is_empty(&self) -> bool {
        let Self { rules, groups, rooms, switches, tests: _ } = self;
        [rules, groups, rooms, switches].into_iter().all(Names::is_empty)
    }
}

impl fmt::Display for Differences {
    /// `rules added: 2 (`a`, `b`), changed: 1 (`c`); groups removed: 1 (`d`); 3 tests
    /// passed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            f.write_str(NO_DIFFERENCE)?;
        }
        let kinds = [
            ("rules", &self.rules),
            ("groups", &self.groups),
            ("rooms", &self.rooms),
            ("switches", &self.switches),
        ];
        let kinds = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        for (i, (kind, names)) in kinds.enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{kind} {names}")?;
        }
        if self.tests > 0 {
            write!(f, "; {} passed", count(self.tests, "test"))?;
        }
        Ok(())
    }
}

// === impl Names ===

impl Names {
    fn compare<T>(
        before: &BTreeMap<&str, &T>,
        after: &BTreeMap<&str, &T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let mut names = Self::default();
        for (name, new) in after {
            match before.get(name) {
                None => names.added.push((*name).to_owned()),
                Some(old) if !same(old, new) => names.changed.push((*name).to_owned()),
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        names.removed.extend(gone.map(|name| (*name).to_owned()));
        names
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists =
            [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        for (i, (change, names)) in lists.enumerate() {
            let shown: Vec<_> = names.iter().take(MAX_NAMES).map(|name| quoted(name)).collect();
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{change}: {} ({}", names.len(), shown.join(", "))?;
            if let Some(more @ 1..) = names.len().checked_sub(MAX_NAMES) {
                write!(f, " and {more} more")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
