//! Verifying: what is compared, and that what does not agree is found.

use crate::policy::Policy;
use crate::policy::verify::{CounterExample, MAX_PAIRS, Verified};
use crate::routing::engine::{Edit, Engine};
use crate::routing::relation::Side;
use crate::routing::user_id::UserId;

fn policy(text: &str) -> Policy {
    Policy::parse("policy.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

const ALLOW: &str = "
groups:
  team: { directory: true }
rules:
  - { name: one, allow: { from: '@a:one.org', to: ['@b:one.org', { match: '@*-bot:one.org' }] } }
  - { name: team, allow: { within: team } }
";

#[test]
fn the_example_agrees_with_itself() {
    let policy = policy(crate::live::EXAMPLE);
    let named = policy.snapshot.people().count() as u64;
    let verified = policy.verify(&policy.snapshot, MAX_PAIRS, 7);
    assert_eq!(verified.counter_example, None);
    assert!(verified.exhaustive && verified.named == named, "{verified:?}");
    assert!(verified.pairs > named * (named - 1), "some users are made up: {verified:?}");
}

#[test]
fn makes_users_up_whom_patterns_fit() {
    let bots =
        policy("rules: [{ name: x, allow: { from: { match: '@*-bot:o?e.org' }, to: everyone } }]");
    let nobody = policy("rules: []");
    let verified = bots.verify(&nobody.snapshot, MAX_PAIRS, 0);
    let Verified { exhaustive: true, named: 0, counter_example: Some(found), .. } = verified else {
        panic!("{verified:?}")
    };
    assert_eq!((found.visible, found.sender.as_str()), (true, "@made-up-bot:oxe.org"));
}

#[test]
fn says_which_callback_and_which_way() {
    let allows = policy("rules: [{ name: x, allow: { from: '@a:one.org', to: '@b:one.org' } }]");
    let denies = policy("rules: [{ name: x, deny: { from: '@a:one.org', to: '@b:one.org' } }]");
    let [sender, recipient] = ["@a:one.org", "@b:one.org"].map(str::to_owned);
    let found = |of, visible| {
        let (sender, recipient) = (sender.clone(), recipient.clone());
        Some(CounterExample { sender, recipient, of, visible })
    };
    let verified = denies.verify(&allows.snapshot, MAX_PAIRS, 0);
    assert_eq!(verified.counter_example, found(Side::Sender, false));
    let verified = allows.verify(&denies.snapshot, MAX_PAIRS, 0);
    assert_eq!(verified.counter_example, found(Side::Sender, true));
}

#[test]
fn knows_the_directory() {
    let policy = policy(ALLOW);
    let mut engine = Engine::new(&policy.plan).unwrap();
    let empty = engine.snapshot();
    let join = |user| Edit::Join { group: "team", user: UserId::parse(user).unwrap() };
    engine.edit(&[join("@b:one.org"), join("@new:two.org")]).unwrap();
    for (snapshot, named) in [(empty, 2), (engine.snapshot(), 3)] {
        let verified = policy.verify(&snapshot, MAX_PAIRS, 0);
        assert_eq!((verified.counter_example, verified.named), (None, named));
    }
}

#[test]
fn draws_by_the_seed_what_is_too_much() {
    let users: Vec<_> = (0..200).map(|i| format!("'@u{i}:one.org'")).collect();
    let text = |users: &[String]| {
        format!(
            "groups: {{ a: [{}] }}\nrules: [{{ name: x, allow: {{ within: a }} }}]",
            users.join(",")
        )
    };
    let all = policy(&text(&users));
    let verified = all.verify(&all.snapshot, 400, 1);
    assert!(!verified.exhaustive && verified.counter_example.is_none(), "{verified:?}");
    assert!((370..=400).contains(&verified.pairs), "{verified:?}");

    // Half of the users are in, and most draws see it.
    let half = policy(&text(&users[..100]));
    let first = half.verify(&all.snapshot, 400, 1);
    assert!(first.counter_example.is_some(), "{first:?}");
    assert_eq!(half.verify(&all.snapshot, 400, 1), first, "the same seed");
    let others = (2..20).map(|seed| half.verify(&all.snapshot, 400, seed).counter_example);
    assert!(others.into_iter().any(|other| other != first.counter_example), "another seed");
}
