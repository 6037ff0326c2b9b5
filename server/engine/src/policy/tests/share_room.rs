//! `share_room`: the relations that rules require, and each mistake in their conditions.

use presence_router_ids::{
    Glob, MemberCount, PresenceSharing, RoomCondition, RoomConditions, UserGlob,
};

use super::{assert_codes, assert_problems, problems, ruleset};
use crate::policy::Policy;
use crate::policy::lint::synapse;
use crate::policy::problem::Problem;
use crate::routing::model::ruleset::{Effect, Product, Relation, Rule, Set};

/// A policy with this value of `share_room` in its only rule, at line 1, column 41.
fn policy(share_room: &str) -> String {
    format!("rules: [{{ name: x, allow: {{ share_room: {share_room} }} }}]\n")
}

/// The relation of the only rule.
fn relation(share_room: &str) -> Relation {
    let rule = ruleset(&policy(share_room)).rules.pop().expect("a rule");
    rule.relation.expect("a relation")
}

fn warnings(text: &str) -> Vec<Problem> {
    match Policy::parse("policy.yaml", text.as_bytes()) {
        Ok(policy) => policy.warnings,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

#[test]
fn reads_every_condition() {
    let globs = |globs: &[&str]| globs.iter().map(|glob| Glob::new(*glob)).collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
    let bots = || [UserGlob::parse("@*-bot:*").unwrap()];
    for (written, want) in [
        ("at_most: 1000000", RoomCondition::AtMost(MemberCount::new(1_000_000, []))),
        ("at_least: 1", RoomCondition::AtLeast(MemberCount::new(1, []))),
        (
            "at_most: 2, not_counting: '@*-bot:*'",
            RoomCondition::AtMost(MemberCount::new(2, bots())),
        ),
        (
            "not_counting: ['@*-bot:*'], at_least: 2",
            RoomCondition::AtLeast(MemberCount::new(2, bots())),
        ),
        ("encrypted: true", RoomCondition::Encrypted(true)),
        ("encrypted: false", RoomCondition::Encrypted(false)),
        ("join_rule: public", RoomCondition::JoinRule(texts(&["public"]))),
        (
            "join_rule: [restricted, knock, knock_restricted, invite, private]",
            RoomCondition::JoinRule(texts(&[
                "invite",
                "knock",
                "knock_restricted",
                "private",
                "restricted",
            ])),
        ),
        (
            "history_visibility: [shared, joined, invited, world_readable]",
            RoomCondition::HistoryVisibility(texts(&[
                "invited",
                "joined",
                "shared",
                "world_readable",
            ])),
        ),
        ("rooms: '!b:one.org'", RoomCondition::Rooms(globs(&["!b:one.org"]))),
        (
            "not_rooms: ['!b:one.org', '!a*', '*']",
            RoomCondition::NotRooms(globs(&["!a*", "!b:one.org", "*"])),
        ),
        ("space: '!abc'", RoomCondition::Space("!abc".into())),
        ("presence_sharing: suggest", RoomCondition::PresenceSharing(PresenceSharing::Suggest)),
        ("presence_sharing: forbid", RoomCondition::PresenceSharing(PresenceSharing::Forbid)),
    ] {
        // The order of items and of conditions has no meaning.
        let want = match want {
            RoomCondition::NotRooms(mut globs) => {
                globs.sort_unstable();
                RoomCondition::NotRooms(globs)
            }
            other => other,
        };
        let want = Relation::ShareRoom(RoomConditions::new([want]));
        assert_eq!(relation(&format!("{{ {written} }}")), want, "{written}");
    }
    let both = "{ at_least: 2, at_most: 9, not_counting: '@*-bot:*', encrypted: true }";
    let want = [
        RoomCondition::Encrypted(true),
        RoomCondition::AtMost(MemberCount::new(9, bots())),
        RoomCondition::AtLeast(MemberCount::new(2, bots())),
    ];
    assert_eq!(relation(both), Relation::ShareRoom(RoomConditions::new(want)));
}

#[test]
fn requires_a_relation_beside_any_pairs() {
    let ruleset = ruleset(
        "
groups: { team/a: ['@ann:one.org'] }
rules:
  - { name: a, allow: { share_room: true } }
  - { name: b, deny: { from: '@ann:one.org', share_room: false } }
  - { name: c, shadow: true, allow: { to: { group: team/a }, share_room: true } }
  - { name: d, hide: { within: 'team/*', share_room: false, fields: presence } }
  - { name: e, hide: { share_room: true, fields: presence } }
  - { name: f, allow: { from: everyone, to: everyone } }
",
    );
    let any_room = || Some(Relation::ShareRoom(RoomConditions::default()));
    let (everyone, ann, team) = (Set::Everyone, ruleset.groups[0].clone(), Set::Group(0));
    let product = |senders: &Set, recipients: &Set| {
        vec![Product { senders: senders.clone(), recipients: recipients.clone() }]
    };
    let found: Vec<_> = ruleset
        .rules
        .into_iter()
        .map(|Rule { effect, shadow, products, relation }| {
            let effect = match effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
                Effect::Hide(_) => "hide",
            };
            (effect, shadow, products, relation)
        })
        .collect();
    let want = [
        ("allow", false, product(&everyone, &everyone), any_room()),
        ("deny", false, product(&ann, &everyone), Some(Relation::ShareNoRoom)),
        ("allow", true, product(&everyone, &team), any_room()),
        ("hide", false, product(&team, &team), Some(Relation::ShareNoRoom)),
        ("hide", false, product(&everyone, &everyone), any_room()),
        ("allow", false, product(&everyone, &everyone), None),
    ];
    assert_eq!(found, want);
}

#[test]
fn checks_conditions() {
    let long = format!("{{ space: '!{}' }}", "a".repeat(255));
    for (share_room, want) in [
        ("", "39 wrong-type"),
        ("7", "41 wrong-type"),
        ("'true'", "41 wrong-type"),
        ("[true]", "41 wrong-type"),
        ("{}", "41 empty-condition share_room"),
        ("{ at_mots: 2 }", "43 unknown-key at_mots"),
        ("{ from: everyone }", "43 unknown-key from"),
        ("{ subscriptions: true }", "43 unknown-key subscriptions"),
        ("{ share_room: true }", "43 unknown-key share_room"),
        ("{ at_most: 2, at_most: 3 }", "55 duplicate-key at_most"),
        ("{ at_most: '2' }", "52 wrong-type"),
        ("{ at_most: [2] }", "52 wrong-type"),
        ("{ at_most: 0 }", "52 number-out-of-range"),
        ("{ at_least: -1 }", "53 number-out-of-range"),
        ("{ at_least: 1000001 }", "53 number-out-of-range"),
        ("{ at_least: 2.5 }", "53 number-out-of-range"),
        ("{ at_least: 99999999999999999999 }", "53 number-out-of-range"),
        ("{ not_counting: '@a:b' }", "43 missing-key not_counting at_most at_least"),
        ("{ at_most: 2, not_counting: [] }", "69 empty-list"),
        ("{ at_most: 2, not_counting: 7 }", "69 wrong-type"),
        ("{ at_most: 2, not_counting: bot }", "69 not-a-pattern bot"),
        ("{ at_most: 2, not_counting: ['@a:b', 'b:c'] }", "78 glob-cannot-match b:c"),
        ("{ at_most: 2, not_counting: ['@a:b', '@a:b'] }", "78 duplicate-value @a:b"),
        ("{ encrypted: 'yes' }", "54 wrong-type"),
        ("{ encrypted: 1 }", "54 wrong-type"),
        ("{ join_rule: publik }", "54 unknown-value publik"),
        ("{ join_rule: [] }", "54 empty-list"),
        ("{ join_rule: {} }", "54 wrong-type"),
        ("{ join_rule: [public, knock, public] }", "70 duplicate-value public"),
        ("{ history_visibility: world }", "63 unknown-value world"),
        ("{ history_visibility: [shared, shared] }", "72 duplicate-value shared"),
        ("{ rooms: [] }", "50 empty-list"),
        ("{ rooms: '' }", "50 empty-text"),
        ("{ rooms: true }", "50 wrong-type"),
        ("{ rooms: '#lobby:one.org' }", "50 not-a-room-id #lobby:one.org"),
        ("{ rooms: '!' }", "50 not-a-room-id !"),
        ("{ rooms: ['!a:b', '!a b:c'] }", "59 not-a-room-id"),
        ("{ rooms: \"!a\\u0007\" }", "50 not-a-room-id"),
        ("{ rooms: 'a*' }", "50 glob-cannot-match a*"),
        ("{ not_rooms: '!a *' }", "54 glob-cannot-match"),
        ("{ not_rooms: ['!a*', '!b', '!a*'] }", "68 duplicate-value !a*"),
        ("{ space: ['!a:b'] }", "50 wrong-type"),
        ("{ space: '!a*:b' }", "50 unexpected-glob !a*:b"),
        ("{ space: lobby }", "50 not-a-room-id lobby"),
        (&long, "50 not-a-room-id"),
        ("{ presence_sharing: true }", "61 wrong-type"),
        ("{ presence_sharing: [suggest] }", "61 wrong-type"),
        ("{ presence_sharing: none }", "61 unknown-value none"),
    ] {
        assert_problems(policy(share_room), &format!("1:{want}"));
    }
}

#[test]
fn checks_the_place_of_a_relation() {
    for (text, want) in [
        (
            "rules: [{ name: x, allow: { from: [], to: [] }, share_room: true }]\n",
            "1:49 unknown-key share_room",
        ),
        (
            "rules: [{ name: x, allow: { from: { share_room: true }, to: [] } }]\n",
            "1:37 unknown-key share_room",
        ),
        ("groups: { a: { share_room: true } }\nrules: []\n", "1:16 unknown-key share_room"),
        ("groups: { a: [{ share_room: true }] }\nrules: []\n", "1:17 unknown-key share_room"),
        (
            "rules: []\ntests: [{ sender: '@a:b', not: '@b:b', share_room: true }]\n",
            "2:40 unknown-key share_room",
        ),
        ("rules: [{ name: x, hide: { share_room: true } }]\n", "1:26 missing-key hide fields"),
        (
            "rules: [{ name: x, allow: { share_room: true, subscriptions: true } }]\n",
            "1:47 unknown-key subscriptions",
        ),
        (
            "rules: [{ name: x, allow: { share_room: true, within: [], to: [] } }]\n",
            "1:55 wrong-type\n1:59 conflicting-keys within from to",
        ),
    ] {
        assert_problems(text, want);
    }
    for text in [
        "groups: { a: { share_room: true } }\nrules: []\n",
        "rules: [{ name: x, allow: { from: { share_room: true }, to: [] } }]\n",
    ] {
        let message = &problems(text).list[0].message;
        assert!(
            message.ends_with(
                ": `share_room` belongs in a rule, beside `from` and `to` or `within`, since it is about two users"
            ),
            "{message}"
        );
    }
}

#[test]
fn bounds_the_items_of_a_condition() {
    let rooms = |count: usize| {
        let rooms: Vec<_> = (0..count).map(|room| format!("'!r{room}'")).collect();
        policy(&format!("{{ rooms: [{}] }}", rooms.join(", ")))
    };
    ruleset(&rooms(100));
    assert_problems(rooms(101), "1:50 too-many-items");
}

#[test]
fn bounds_the_number_of_relations() {
    let rules = |bounds: &mut dyn Iterator<Item = usize>| {
        let rules = bounds.enumerate().map(|(rule, bound)| {
            format!("  - {{ name: r{rule}, deny: {{ share_room: {{ at_most: {bound} }} }} }}\n")
        });
        format!("rules:\n{}", rules.collect::<String>())
    };
    // A relation that several rules require counts once.
    ruleset(&rules(&mut (2..102).chain(2..102)));
    assert_problems(rules(&mut (2..110)), "102:5 too-many-relations share_room");
}

#[test]
fn warns_of_relations_that_never_hold() {
    let found = warnings(
        "rules:
  - { name: a, allow: { share_room: { at_most: 1 } } }
  - { name: b, deny: { share_room: { at_least: 3, at_most: 2 } } }
  - { name: c, shadow: true, hide: { share_room: { rooms: ['!a', '!b:c'], not_rooms: ['!b:c', '!?'] }, fields: presence } }
  - { name: d, allow: { share_room: { rooms: '!x*', not_rooms: ['!a', '!x*'] } } }
  - { name: e, allow: { from: [], share_room: { at_most: 1 } } }
  - { name: f, allow: { share_room: { at_most: 1, not_counting: '@bot:*' } } }
  - { name: g, allow: { share_room: { at_most: 2, at_least: 2 } } }
  - { name: h, allow: { share_room: { rooms: ['!a', '!b'], not_rooms: '!a' } } }
  - { name: i, allow: { share_room: { rooms: '!a*', not_rooms: '!ab*' } } }
  - { name: j, allow: { share_room: { not_rooms: '*' } } }
  - { name: k, allow: { share_room: false } }
",
    );
    assert_codes(
        &found,
        "2:5 rule-never-matches a\n\
         3:5 rule-never-matches b at_least at_most\n\
         4:5 rule-never-matches c not_rooms rooms\n\
         5:5 rule-never-matches d not_rooms rooms\n\
         6:5 rule-never-matches e from\n\
         11:5 rule-never-matches j not_rooms",
        "",
    );
    assert_eq!(found[1].help, "correct `share_room`, or remove the rule");
}

#[test]
fn warns_of_globs_that_miss_rooms_without_a_server_name() {
    let found = warnings(
        "rules:
  - { name: a, allow: { share_room: { rooms: ['!a:one.org', '*:one.org'] } } }
  - { name: b, deny: { share_room: { not_rooms: ['!?:two.org', '!a*'] } } }
  - { name: c, deny: { share_room: { rooms: ['!a:one.org', '!b*'] } } }
",
    );
    assert_codes(
        &found,
        "2:5 room-glob-with-server a *:one.org\n3:5 room-glob-with-server b !?:two.org",
        "",
    );
}

#[test]
fn warns_of_server_names_of_members_who_do_not_count() {
    let found = warnings(
        "ours: example.org
rules:
  - { name: a, allow: { share_room: { at_most: 2, not_counting: ['@bot:Example.net', '@bot:exmaple.org'] } } }
",
    );
    assert_codes(
        &found,
        "3:5 server-name-capitals Example.net\n3:5 server-name-near-ours exmaple.org",
        "",
    );
}

/// A relation narrows a rule: the ports that the rule misses still matter, and a rule that
/// denies some pairs only leaves an allow its sense.
#[test]
fn other_warnings_take_no_relation_for_a_missing_rule() {
    let found = warnings(
        "rules:
  - { name: a, allow: { share_room: true } }
  - { name: b, deny: { from: everyone, to: { server: evil.org }, share_room: { at_least: 50 } } }
  - { name: c, deny: { share_room: { at_least: 50 } } }
  - { name: d, allow: { from: '@a:b.c', to: '@a:b.c', share_room: true } }
",
    );
    assert_codes(&found, "3:5 port-not-matched b evil.org\n5:5 rule-never-matches d", "");
}

#[test]
fn says_what_synapse_does_with_a_relation() {
    let policy = Policy::parse(
        "policy.yaml",
        b"ours: [one.org]
rules:
  - { name: a, allow: { to: '@a:two.org', share_room: true } }
  - { name: b, deny: { to: { server: one.org }, share_room: { at_least: 50 } } }
  - { name: c, hide: { to: { server: one.org }, share_room: false, fields: presence } }
  - { name: d, shadow: true, allow: { share_room: true } }
  - { name: e, allow: { to: [], share_room: true } }
  - { name: f, deny: { share_room: { at_least: 50 } } }
",
    );
    let found = synapse::warnings(&policy.unwrap(), synapse::Mode::Add);
    let lines: Vec<_> = found.iter().map(|warning| warning.message.as_str()).collect();
    let help = "let the policy alone decide, by `local: exact` in the module's configuration, or write a rule without `share_room`";
    assert!(found.iter().all(|warning| warning.help == help));
    assert_eq!(
        lines,
        [
            "Synapse does not enforce allow rule `a`: the module does not evaluate rooms, so the rule shows nothing in addition to what Synapse shows users who share a room",
            "Synapse enforces deny rule `b` in part: the module does not evaluate rooms, so the rule counts as if it had no `share_room`; on the local `/sync`, recipients who share a room with the sender still see the presence",
            "Synapse enforces hide rule `c` in part: the module does not evaluate rooms, so the rule counts as if it had no `share_room`; on the local `/sync`, recipients who share a room with the sender see all fields; the module shows the sender to no other recipients, except to recipients who may see everyone if `all_users` is `auto`",
            "Synapse enforces deny rule `f` in part: the module does not evaluate rooms, so the rule counts as if it had no `share_room`; so no allow rule of this policy adds anybody; on the local `/sync`, recipients who share a room with the sender still see the presence; federation still sends the presence to every server that shares a room with the sender",
        ]
    );
}

#[test]
fn says_that_a_profile_may_hold_the_status() {
    let policy = Policy::parse(
        "policy.yaml",
        b"rules:
  - { name: a, hide: { from: everyone, to: everyone, fields: [presence, status_msg] } }
  - { name: b, hide: { from: everyone, to: everyone, fields: presence } }
  - { name: c, shadow: true, hide: { from: everyone, to: everyone, fields: status_msg } }
",
    );
    let found = synapse::warnings(&policy.unwrap(), synapse::Mode::Add);
    assert_codes(
        &found,
        "2:5 not-enforced-by-synapse a\n2:5 status-in-profile a status_msg m.status\n3:5 not-enforced-by-synapse b",
        "",
    );
}
