//! On random worlds, what is explained of a pair is what the oracle says of it,
//! and verifying finds what the oracle finds.

use presence_router_server::policy::Policy;
use presence_router_server::policy::verify::MAX_PAIRS;
use presence_router_server::routing::relation::Side;
use presence_router_server::routing::user_id::UserId;
use proptest::prelude::*;

use crate::agreement::cases;
use crate::oracle::{matches, sides, visible};
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
            let explained = policy.explain(&policy.snapshot, from, to);
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

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn verifying_agrees((text, other) in (policies(), policies()), seed in any::<u64>()) {
        // A group of the directory is read from the snapshot by its number, which
        // is another one in another policy's.
        let [policy, other] = [text, other]
            .map(|text| parse(&text.replace(r#"{"directory":true}"#, "[]")));
        let right = policy.verify(&policy.snapshot, MAX_PAIRS, seed);
        prop_assert_eq!(&right.counter_example, &None);
        prop_assert!(right.exhaustive);
        for pairs in [100, MAX_PAIRS] {
            let Some(found) = policy.verify(&other.snapshot, pairs, seed).counter_example else {
                continue;
            };
            let (sender, recipient) = (found.sender.as_str(), found.recipient.as_str());
            prop_assert_eq!(found.visible, visible(&policy.document, sender, recipient));
            prop_assert_eq!(!found.visible, visible(&other.document, sender, recipient));
            prop_assert!(found.of == Side::Sender, "both callbacks agree with each other");
        }
        // All that the other policy names are compared, among others.
        let wrong = policy.verify(&other.snapshot, MAX_PAIRS, seed);
        let named = everybody().into_iter().filter(|user| {
            other.snapshot.people().number(user).is_some()
        });
        let named: Vec<String> = named.collect();
        let differs = named.iter().flat_map(|s| named.iter().map(move |r| (s, r))).any(|(s, r)| {
            visible(&policy.document, s, r) != visible(&other.document, s, r)
        });
        prop_assert!(!differs || wrong.counter_example.is_some());
    }
}
