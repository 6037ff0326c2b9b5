//! On random worlds, what is explained of a pair is what the oracle says of it,
//! and verifying finds what the oracle finds.

use std::collections::BTreeSet;

use presence_router_engine::unstable::policy::analyse::explain::explain;
use presence_router_engine::unstable::policy::analyse::verify::{MAX_PAIRS, verify};
use presence_router_engine::unstable::policy::document::Document;
use presence_router_engine::{Fields, Hide, Policy, Side};
use presence_router_ids::UserId;
use proptest::prelude::*;
use serde_json::Value;

use crate::agreement::cases;
use crate::oracle::{hides, matches, sides, visible};
use crate::worlds::{everybody, policies};

fn parse(policy: &str) -> Policy {
    Policy::parse("policy.yaml", policy.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{policy}"))
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn the_explanation_agrees(text in policies()) {
        let policy = parse(&text);
        let (document, users) = (&policy.document, everybody());
        for (sender, recipient) in users.iter().flat_map(|s| users.iter().map(move |r| (s, r))) {
            let [from, to] = [sender, recipient].map(|user| UserId::parse(user).unwrap());
            let explained = explain(&policy, &policy.snapshot, from, to);
            prop_assert_eq!(explained.visible, visible(document, sender, recipient));
            prop_assert_eq!(explained.own, sender == recipient);
            let mut told = explained.rules.iter().peekable();
            for (place, rule) in document.rules.iter().enumerate() {
                let told = told.next_if(|matched| matched.rule == place);
                let pair = told.is_some_and(|matched| matched.pair);
                prop_assert_eq!(pair, matches(document, rule, sender, recipient));
                let said = told.map_or((false, false), |matched| {
                    (!matched.sender.is_empty(), !matched.recipient.is_empty())
                });
                prop_assert_eq!(said, sides(document, rule, sender, recipient), "{}", rule.name);
            }
            prop_assert!(told.next().is_none(), "rules are told once, in their order");
        }
    }
}

/// Fields and exceptions of hides.
type Hidden = BTreeSet<(Fields, Box<[Box<str>]>)>;

fn told(hides: &[Hide]) -> Hidden {
    hides.iter().map(|Hide { fields, unless }| (*fields, unless.clone())).collect()
}

/// Whether a pair is visible, and what is hidden of it if it is.
fn said(policy: &Document, sender: &str, recipient: &str) -> (bool, Hidden) {
    let visible = visible(policy, sender, recipient);
    (visible, if visible { hides(policy, sender, recipient) } else { Hidden::new() })
}

/// A policy that hides nothing, and is the same otherwise.
fn without_hides(policy: &str) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    for rule in policy["rules"].as_array_mut().unwrap() {
        if rule.get("hide").is_some() {
            rule["shadow"] = true.into();
        }
    }
    policy.to_string()
}

/// What the answers of another policy are wrong in is found, if anything is.
fn differences_are_found(policy: &Policy, other: &Policy, seed: u64) -> Result<(), TestCaseError> {
    for pairs in [100, MAX_PAIRS] {
        let Some(found) = verify(policy, &other.snapshot, pairs, seed).counter_example else {
            continue;
        };
        let (sender, recipient) = (found.sender.as_str(), found.recipient.as_str());
        let [defined, answered] = [policy, other].map(|p| said(&p.document, sender, recipient));
        prop_assert_eq!(found.visible, defined.0);
        prop_assert_eq!(found.visible == answered.0, found.hides.is_some());
        if let Some(found) = found.hides {
            prop_assert_eq!(told(&found.defined), defined.1);
            prop_assert_eq!(told(&found.answered), answered.1);
            prop_assert_ne!(&found.defined, &found.answered);
        }
        prop_assert!(found.of == Side::Sender, "both callbacks agree with each other");
    }
    // All that the other policy names are compared, among others.
    let wrong = verify(policy, &other.snapshot, MAX_PAIRS, seed);
    let named =
        everybody().into_iter().filter(|user| other.snapshot.users().number(user).is_some());
    let named: Vec<String> = named.collect();
    let differs = named
        .iter()
        .flat_map(|s| named.iter().map(move |r| (s, r)))
        .any(|(s, r)| said(&policy.document, s, r) != said(&other.document, s, r));
    prop_assert!(!differs || wrong.counter_example.is_some());
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn verifying_agrees((text, other) in (policies(), policies()), seed in any::<u64>()) {
        // A group of the directory is read from the snapshot by its number, which
        // is another one in another policy's.
        let text = text.replace(r#"{"directory":true}"#, "[]");
        let policy = parse(&text);
        let others = [other.replace(r#"{"directory":true}"#, "[]"), without_hides(&text)];
        let right = verify(&policy, &policy.snapshot, MAX_PAIRS, seed);
        prop_assert_eq!(&right.counter_example, &None);
        prop_assert!(right.exhaustive);
        for other in others {
            differences_are_found(&policy, &parse(&other), seed)?;
        }
    }
}
