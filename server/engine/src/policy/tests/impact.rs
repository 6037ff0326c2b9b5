//! The impact of rules that require shared rooms: numbers are bounds, and each rule accounts for
//! the pairs whose relation it changes.

use crate::policy::analyse::impact::{HideImpact, Impact, RuleImpact, compute_impact};
use crate::policy::{NoFiles, Policy};
use crate::routing::change::difference::Count;

/// Returns the impact of replacing one policy by another. Each is the rules in one group of three
/// users.
fn impact(before: &str, after: &str) -> Impact {
    let policy = |rules: &str| {
        format!("groups: {{ team: ['@a:x', '@b:x', '@c:y'] }}\nrules: [{rules}]").into_bytes()
    };
    let load = |engine, rules| Policy::load_over(engine, "policy.yaml", &policy(rules), &NoFiles);
    let (before, engine) = load(None, before).unwrap();
    let (after, _) =
        Policy::load_candidate(&engine, "policy.yaml", &policy(after), &NoFiles).unwrap();
    compute_impact(&before, &before.snapshot, &after, &after.snapshot, 3).unwrap()
}

fn exactly(named: u64) -> Count {
    Count { named, ..Count::default() }
}

fn for_some_rooms(named: u64) -> Count {
    Count { named, open: false, bound: true, depends_on_rooms: true }
}

/// Asserts the total numbers, and those of the only rule that accounts for pairs.
#[track_caller]
fn assert_impact([before, after]: [&str; 2], gained: Count, lost: Count) {
    let impact = impact(before, after);
    let [total_gained, total_lost] = [&impact.gained, &impact.lost].map(|side| side.pairs);
    assert_eq!([total_gained, total_lost], [gained, lost], "{before} {after}");
    let rules: Vec<_> = impact.rules.iter().map(|rule| (rule.gained, rule.lost)).collect();
    assert_eq!(rules, [(Some(gained), Some(lost))], "{before} {after}");
    for (count, side) in [(gained, &impact.gained), (lost, &impact.lost)] {
        assert_eq!(side.samples.is_empty(), count.bound || count.named == 0, "{before} {after}");
    }
}

const ALL: &str = "{ name: all, allow: { within: team } }";
const ROOM: &str = "{ name: all, allow: { within: team, share_room: true } }";
const SMALL: &str = "{ name: all, allow: { within: team, share_room: { at_most: 9 } } }";
const DENY: &str = "{ name: no, deny: { within: team } }";
const DENY_ROOM: &str = "{ name: no, deny: { within: team, share_room: true } }";

#[test]
fn a_rule_accounts_for_pairs_whose_relation_it_changes() {
    let none = exactly(0);
    assert_impact(["", ALL], exactly(6), none);
    assert_impact(["", ROOM], for_some_rooms(6), none);
    assert_impact([ALL, ROOM], none, for_some_rooms(6));
    assert_impact([ROOM, ALL], for_some_rooms(6), none);
    assert_impact([ROOM, SMALL], for_some_rooms(6), for_some_rooms(6));
    let and = |deny: &str| format!("{ALL}, {deny}");
    assert_impact([ALL, &and(DENY)], none, exactly(6));
    assert_impact([ALL, &and(DENY_ROOM)], none, for_some_rooms(6));
    assert_impact([&and(DENY), &and(DENY_ROOM)], for_some_rooms(6), none);
    assert_impact([&and(DENY_ROOM), &and(DENY)], none, for_some_rooms(6));
    let equal = impact(&and(DENY_ROOM), &and(DENY_ROOM));
    assert_eq!((equal.gained.pairs, equal.lost.pairs, equal.rules), (none, none, Vec::new()));
}

#[test]
fn a_bound_is_narrowed_only_by_rules_that_hold_for_all_rooms() {
    const OPEN: &str = "{ name: open, allow: { from: everyone, to: everyone } }";
    let all = impact("", OPEN).gained.pairs;
    let bound = Count { depends_on_rooms: true, ..all };
    // The pairs of the team do not change if they are visible for all rooms.
    let [before, after] = [ALL, ROOM].map(|rule| impact(rule, &format!("{rule}, {OPEN}")));
    assert_eq!(before.gained.pairs.named, 0);
    assert_eq!(after.gained.pairs, bound);
    // Nor if they stay denied for all rooms.
    let [before, after] = [DENY, DENY_ROOM].map(|rule| impact(rule, &format!("{rule}, {OPEN}")));
    assert_eq!(before.gained.pairs.named, 0);
    assert_eq!(after.gained.pairs, bound);
    let RuleImpact { name, gained, .. } = &after.rules[0];
    assert_eq!(name, "open");
    assert!(gained.is_some_and(|count| count.bound && count.depends_on_rooms), "{gained:?}");
}

#[test]
fn a_hide_depends_on_its_relation_and_on_those_of_visibility() {
    let hide = |name: &str, share_room: &str| {
        format!("{{ name: {name}, hide: {{ within: team, fields: [status_msg]{share_room} }} }}")
    };
    let (plain, in_room) = (hide("h", ""), hide("h", ", share_room: true"));
    let begins = |before: &str, after: &str| -> Vec<[Count; 2]> {
        let counts = |HideImpact { begins, ends, .. }: HideImpact| {
            [begins, ends].map(|pairs| pairs.unwrap().pairs)
        };
        impact(before, after).hides.into_iter().map(counts).collect()
    };
    let and = |rule: &str, hide: &str| format!("{rule}, {hide}");
    let (some, none) = (for_some_rooms(6), exactly(0));
    assert_eq!(begins(ALL, &and(ALL, &plain)), [[exactly(6), none]]);
    assert_eq!(begins(ALL, &and(ALL, &in_room)), [[some, none]]);
    assert_eq!(begins(ROOM, &and(ROOM, &plain)), [[some, none]]);
    let denied = and(ALL, DENY_ROOM);
    assert_eq!(begins(&denied, &and(&denied, &plain)), [[some, none]]);
    // A hide for all rooms replaces one for some rooms, and the other way round.
    assert_eq!(begins(&and(ALL, &in_room), &and(ALL, &plain)), [[some, none]]);
    assert_eq!(begins(&and(ALL, &plain), &and(ALL, &in_room)), [[none, some]]);
    assert_eq!(begins(&and(ALL, &in_room), &and(ALL, &in_room)), Vec::<[Count; 2]>::new());
    let other = hide("g", ", share_room: true");
    assert_eq!(begins(&and(ALL, &in_room), &and(ALL, &other)), Vec::<[Count; 2]>::new());
}
