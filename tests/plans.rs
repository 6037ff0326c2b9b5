//! What a plan says of a policy that would take the place of another: on random
//! policies its numbers are those that are found pair by pair.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_engine::unstable::policy::analyse::impact::compute_impact;
use presence_router_engine::unstable::policy::document::{Document, Rule};
use presence_router_engine::{
    Count, Effect, HiddenPairs, Hide, HideImpact, NoFiles, PairSummary, Policy,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::agreement::cases;
use crate::oracle::{matches, visible};
use crate::worlds::{LOW, everybody, listed, losing, policies};

/// A name for messages.
const FILE: &str = "policy.yaml";

/// A policy, and another: one of its own, some of the first one's rules with some of
/// others, or the first one after an accident that loses most users.
fn two() -> impl Strategy<Value = (String, String)> {
    let accident = policies()
        .prop_flat_map(|before| losing(&before).prop_map(move |after| (before.clone(), after)));
    let related = (policies(), policies(), any::<u16>()).prop_map(|(before, other, kept)| {
        let mut after: Value = serde_json::from_str(&before).unwrap();
        let other: Value = serde_json::from_str(&other).unwrap();
        let bits = |shift: usize| (0..).map(move |at: usize| kept >> ((at + shift) % 16) & 1 == 1);
        let rules = after["rules"].as_array_mut().unwrap();
        let mut keep = bits(0);
        rules.retain(|_| keep.next().unwrap());
        for (rule, _) in
            other["rules"].as_array().unwrap().iter().zip(bits(8)).filter(|(_, is)| *is)
        {
            let mut rule = rule.clone();
            rule["name"] = json!(format!("other {}", rule["name"]));
            rules.push(rule);
        }
        (before, after.to_string())
    });
    prop_oneof![1 => (policies(), policies()), 2 => related, 1 => accident]
}

type Pairs = BTreeSet<(String, String)>;

fn pairs(holds: impl Fn(&str, &str) -> bool) -> Pairs {
    let users = everybody();
    let all = users.iter().flat_map(|sender| users.iter().map(move |other| (sender, other)));
    let all = all.filter(|(sender, other)| sender != other && holds(sender, other));
    all.map(|(sender, other)| (sender.clone(), other.clone())).collect()
}

/// Pairs that a live rule of this name and effect matches.
fn matched(policy: &Document, name: &str, effect: &Effect) -> Pairs {
    let takes_part = |rule: &&Rule| rule.name == name && !rule.shadow && rule.effect == *effect;
    match policy.rules.iter().find(takes_part) {
        Some(rule) => pairs(|sender, other| matches(policy, rule, sender, other)),
        None => Pairs::new(),
    }
}

/// Pairs of which a policy hides this.
fn hidden(policy: &Document, hide: &Hide) -> Pairs {
    let effect = Effect::Hide(hide.clone());
    let names = policy.rules.iter().map(|rule| rule.name.as_str());
    names.flat_map(|name| matched(policy, name, &effect)).collect()
}

/// Pairs of those on which a rule of one policy hides what the other does not.
fn hides(one: &Document, other: &Document, name: &str, of: &Pairs) -> Pairs {
    let rule = one.rules.iter().find(|rule| rule.name == name);
    let Some(Effect::Hide(hide)) = rule.map(|rule| &rule.effect) else { return Pairs::new() };
    let pairs = matched(one, name, &Effect::Hide(hide.clone()));
    let elsewhere = hidden(other, hide);
    pairs.into_iter().filter(|pair| of.contains(pair) && !elsewhere.contains(pair)).collect()
}

/// Whether a count is the number of the pairs of named users, or bounds it.
fn counts(count: Count, pairs: &Pairs, named: &impl Fn(&str) -> bool) {
    let number = pairs.iter().filter(|(s, r)| named(s) && named(r)).count();
    let number = u64::try_from(number).unwrap();
    assert!(count.named >= number, "{count:?} of {number}");
    assert!(count.bound || count.named == number, "{count:?} of {number}: {pairs:?}");
    assert!(count.open || pairs.len() == usize::try_from(number).unwrap(), "{count:?}: {pairs:?}");
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_plan_counts_pairs(first in policies(), (before, after) in two()) {
        let users: BTreeSet<String> =
            [&before, &after].iter().flat_map(|policy| listed(policy, &BTreeMap::new())).collect();
        // Users of an earlier policy have numbers for some time, and count no more.
        let (_, mut engine) = Policy::load_over(None, FILE, first.as_bytes(), &NoFiles).unwrap();
        engine.set_thresholds(LOW);
        let (before, engine) =
            Policy::load_over(Some(&engine), FILE, before.as_bytes(), &NoFiles).unwrap();
        let (after, _) =
            Policy::load_candidate(&engine, FILE, after.as_bytes(), &NoFiles).unwrap();
        let preview = compute_impact(&before, &before.snapshot, &after, &after.snapshot, 7).unwrap();
        let sees = |policy: &Policy| pairs(|sender, other| visible(&policy.document, sender, other));
        let (was, is) = (sees(&before), sees(&after));
        let gained: Pairs = is.difference(&was).cloned().collect();
        let lost: Pairs = was.difference(&is).cloned().collect();
        let named = |user: &str| users.contains(user);
        for (side, pairs) in [(&preview.gained, &gained), (&preview.lost, &lost)] {
            counts(side.pairs, pairs, &named);
            let PairSummary { samples, senders, recipients, .. } = side;
            if !side.pairs.open && !side.pairs.bound {
                let touched = [0, 1].map(|of| {
                    let users = pairs.iter().map(|(sender, other)| [sender, other][of]);
                    u64::try_from(users.collect::<BTreeSet<_>>().len()).unwrap()
                });
                prop_assert_eq!([*senders, *recipients], touched);
            }
            prop_assert!(samples.len() <= 7);
            for [sender, recipient] in samples {
                prop_assert!(pairs.contains(&(sender.clone(), recipient.clone())));
            }
            prop_assert!(!samples.is_empty() || side.pairs.named == 0 || side.pairs.bound);
        }

        let rules = before.document.rules.iter().chain(&after.document.rules);
        let names: BTreeSet<&str> = rules.map(|rule| rule.name.as_str()).collect();
        for name in names {
            let [allowed, denied] = [Effect::Allow, Effect::Deny].map(|effect| {
                [&before, &after].map(|policy| matched(&policy.document, name, &effect))
            });
            let begins = |[was, is]: &[Pairs; 2]| is.difference(was).cloned().collect::<Pairs>();
            let ends = |[was, is]: &[Pairs; 2]| was.difference(is).cloned().collect::<Pairs>();
            let of = |all: &Pairs, mine: [Pairs; 2]| {
                mine.into_iter().flatten().filter(|pair| all.contains(pair)).collect::<Pairs>()
            };
            let gains = of(&gained, [begins(&allowed), ends(&denied)]);
            let loses = of(&lost, [ends(&allowed), begins(&denied)]);
            match preview.rules.iter().find(|rule| rule.name == name) {
                Some(rule) => {
                    counts(rule.gained.unwrap(), &gains, &named);
                    counts(rule.lost.unwrap(), &loses, &named);
                }
                None => prop_assert!(gains.is_empty() && loses.is_empty(), "{}", name),
            }
            let [now, then] = [&before.document, &after.document];
            let [begins, ends] = [hides(then, now, name, &is), hides(now, then, name, &is)];
            match preview.hides.iter().find(|rule| rule.name == name) {
                Some(HideImpact { begins: told_begins, ends: told_ends, .. }) => {
                    for (told, pairs) in [(told_begins, &begins), (told_ends, &ends)] {
                        let HiddenPairs { pairs: count, samples } = told.as_ref().unwrap();
                        prop_assert!(!count.bound);
                        counts(*count, pairs, &named);
                        let pair = |[s, r]: &[String; 2]| (s.clone(), r.clone());
                        prop_assert!(samples.iter().all(|sample| pairs.contains(&pair(sample))));
                        prop_assert_eq!(samples.is_empty(), count.named == 0);
                    }
                }
                None => prop_assert!(begins.is_empty() && ends.is_empty(), "{}", name),
            }
        }
    }
}
