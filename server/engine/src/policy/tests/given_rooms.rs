//! Given rooms: their facts, the mistakes in each key, and the evidence for people.

use std::fmt::Write as _;

use super::{assert_codes, messages, problems};
use crate::policy::Policy;
use crate::policy::given_rooms::{GivenRoom, GivenRooms, RelationFinding};
use crate::policy::problem::Problems;
use crate::routing::model::ruleset::Relation;
use presence_router_ids::{
    MemberCount, PresenceSharing, RoomCondition, RoomConditions, RoomFacts, UserGlob,
};

const ROOMS: &str = r#"
"!big:one.org": { members: ["@ann:one.org", "@joe:one.org", "@irc-bot:one.org"] }
"!b64":
  members: ["@ann:one.org", "@joe:one.org"]
  encrypted: true
  join_rule: public
  history_visibility: world_readable
  spaces: ["!space:one.org", "!other"]
  presence_sharing: forbid
"!partial:one.org": { members: ["@ann:one.org", "@sue:one.org"], partial: true, spaces: [] }
"!alone": { members: "@ann:one.org", spaces: "!space:one.org" }
"!empty": { members: [] }
"#;

fn rooms(text: &str) -> Result<GivenRooms, Problems> {
    GivenRooms::parse("rooms.yaml", text.as_bytes())
}

/// A condition on the number of members.
fn at_most(members: u64, not_counting: &[&str]) -> RoomConditions {
    let patterns = not_counting.iter().map(|text| UserGlob::parse(text).unwrap());
    RoomConditions::new([RoomCondition::AtMost(MemberCount::new(members, patterns))])
}

#[test]
fn every_fact_is_read() {
    let rooms = rooms(ROOMS).unwrap();
    let ids: Vec<&str> = rooms.iter().map(|room| room.id.as_str()).collect();
    assert_eq!(ids, ["!alone", "!b64", "!big:one.org", "!empty", "!partial:one.org"]);
    let [alone, b64, big, empty, partial]: [&GivenRoom; 5] =
        rooms.iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(big.is_encrypted(), Some(false));
    assert_eq!(big.join_rule(), Some("invite"), "the default of the specification");
    assert_eq!(big.history_visibility(), Some("shared"), "the default of the specification");
    assert_eq!(big.is_in_space("!space:one.org"), Some(false));
    assert_eq!(big.joined_members(&[]), Some(3));
    assert_eq!(big.joined_members(&[UserGlob::parse("@*-bot:*").unwrap()]), Some(2));
    let hints = |room: &GivenRoom| PresenceSharing::ALL.map(|hint| room.has_presence_sharing(hint));
    assert_eq!(hints(big), [Some(false), Some(false)]);
    assert_eq!(hints(b64), [Some(false), Some(true)]);
    assert_eq!(b64.is_encrypted(), Some(true));
    assert_eq!(b64.join_rule(), Some("public"));
    assert_eq!(b64.history_visibility(), Some("world_readable"));
    assert_eq!(b64.is_in_space("!other"), Some(true));
    assert_eq!(alone.is_in_space("!space:one.org"), Some(true));
    assert_eq!(alone.joined_members(&[]), Some(1));
    assert_eq!(empty.joined_members(&[]), Some(0));
    assert_eq!(partial.joined_members(&[]), None);
}

#[test]
fn users_share_rooms_in_both_directions() {
    let rooms = rooms(ROOMS).unwrap();
    let any = RoomConditions::default();
    for (one, other, conditions, want) in [
        ("@ann:one.org", "@joe:one.org", &any, Some(true)),
        ("@ann:one.org", "@joe:one.org", &at_most(2, &[]), Some(true)),
        ("@ann:one.org", "@joe:one.org", &at_most(1, &[]), Some(false)),
        ("@ann:one.org", "@irc-bot:one.org", &at_most(2, &[]), Some(false)),
        ("@ann:one.org", "@irc-bot:one.org", &at_most(2, &["@*-bot:*"]), Some(true)),
        ("@ann:one.org", "@sue:one.org", &any, Some(true)),
        ("@ann:one.org", "@sue:one.org", &at_most(2, &[]), None),
        ("@joe:one.org", "@sue:one.org", &any, Some(false)),
        ("@joe:one.org", "@new:one.org", &any, Some(false)),
    ] {
        assert_eq!(rooms.share_room(one, other, conditions), want, "{one} {other}");
        assert_eq!(rooms.share_room(other, one, conditions), want, "{other} {one}");
    }
    assert!(GivenRooms::default().is_empty() && !rooms.is_empty());
}

#[test]
fn evidence_names_the_rooms_that_decide() {
    let mut text = ROOMS.to_owned();
    for more in 0..4 {
        writeln!(text, "'!more{more}': {{ members: ['@sam:two.org', '@pat:two.org'] }}").unwrap();
    }
    let rooms = rooms(&text).unwrap();
    let share = |conditions| Relation::ShareRoom(conditions);
    let any = || share(RoomConditions::default());
    for (one, other, relation, holds, evidence) in [
        ("@ann", "@joe", any(), Some(true), "they share `!b64` and `!big:one.org`"),
        ("@ann", "@joe", share(at_most(2, &[])), Some(true), "they share `!b64`"),
        (
            "@ann",
            "@joe",
            share(at_most(1, &[])),
            Some(false),
            "they share `!b64`, which has 2 members, and `!big:one.org`, which has 3 members",
        ),
        (
            "@ann",
            "@sue",
            share(at_most(1, &[])),
            None,
            "they share `!partial:one.org`, which has a number of members that the homeserver does not know",
        ),
        ("@joe", "@sue", any(), Some(false), "they share no room"),
        ("@joe", "@sue", Relation::ShareNoRoom, Some(true), "they share no room"),
        ("@ann", "@sue", Relation::ShareNoRoom, Some(false), "they share `!partial:one.org`"),
    ] {
        let [one, other] = [one, other].map(|user| format!("{user}:one.org"));
        let want = RelationFinding { holds, evidence: evidence.to_owned() };
        assert_eq!(rooms.check_relation(&one, &other, &relation), want);
    }
    let many = rooms.check_relation("@sam:two.org", "@pat:two.org", &any());
    assert_eq!(many.evidence, "they share `!more0`, `!more1`, `!more2` and 1 more room");
}

#[test]
fn each_mistake_has_its_code_and_position() {
    for (text, want) in [
        ("", "0:0 empty-file"),
        ("[]", "1:1 wrong-type"),
        ("'!a': []", "1:7 wrong-type members"),
        ("'!a': {}", "1:7 missing-key members"),
        ("7: { members: [] }", "1:1 wrong-type"),
        ("a: { members: [] }", "1:1 not-a-room-id a !"),
        ("'!': { members: [] }", "1:1 not-a-room-id !"),
        ("'!a b': { members: [] }", "1:1 not-a-room-id"),
        ("'#a:b': { members: [] }", "1:1 not-a-room-id #a:b"),
        ("'!a': { members: ann }", "1:18 not-a-user-id ann"),
        ("'!a': { members: ['@ann'] }", "1:19 not-a-user-id @ann"),
        ("'!a': { members: 7 }", "1:18 wrong-type"),
        ("'!a': { members: [['@a:b']] }", "1:19 wrong-type"),
        ("'!a': { members: ['@a:b', '@a:b'] }", "1:27 duplicate-value @a:b"),
        ("'!a': { members: [] }\n'!a': { members: [] }", "2:1 duplicate-key !a"),
        ("'!a': { members: [], members: [] }", "1:22 duplicate-key members"),
        ("'!a': { memebrs: [] }", "1:9 unknown-key memebrs"),
        ("'!a': { members: [], encrypted: yes }", "1:33 wrong-type"),
        ("'!a': { members: [], partial: 1 }", "1:31 wrong-type"),
        ("'!a': { members: [], join_rule: pubilc }", "1:33 unknown-value pubilc"),
        ("'!a': { members: [], history_visibility: [] }", "1:42 wrong-type"),
        ("'!a': { members: [], presence_sharing: none }", "1:40 unknown-value none"),
        ("'!a': { members: [], spaces: [space] }", "1:31 not-a-room-id space"),
        ("'!a': { members: [], spaces: {} }", "1:30 wrong-type"),
        ("'!a: [", "1:1 not-yaml"),
    ] {
        let found = rooms(text).unwrap_err();
        assert_eq!(found.file, "rooms.yaml");
        assert_codes(&found.list, want, text);
    }
    let long = format!("'!{}': {{ members: [] }}", "x".repeat(255));
    assert_codes(&rooms(&long).unwrap_err().list, "1:1 not-a-room-id", &long);
    assert!(rooms(&format!("'!{}': {{ members: [] }}", "x".repeat(254))).is_ok());
}

#[test]
fn a_mistake_has_a_remedy() {
    let found = rooms("'!a': { memebrs: [] }").unwrap_err();
    assert_eq!(
        messages(&found),
        "rooms.yaml:1:9: unknown key `memebrs`; valid here are `encrypted`, `history_visibility`, `join_rule`, `members`, `partial`, `presence_sharing`, `spaces`; did you mean `members`?"
    );
    let found = rooms("'!a': { members: [] }\n'!a': { members: [] }").unwrap_err();
    assert_eq!(
        messages(&found),
        "rooms.yaml:2:1: room `!a` is already given in line 1; remove one of the two, or merge their members"
    );
    let found = rooms("'!a': { members: ['@a:b',\n '@a:b'] }").unwrap_err();
    assert_eq!(
        messages(&found),
        "rooms.yaml:2:2: member `@a:b` is already in line 1; remove one of the two"
    );
    let found = rooms("# nothing\n").unwrap_err();
    assert_eq!(
        messages(&found),
        "rooms.yaml: the file of rooms is empty; write `{}` if nobody shares a room"
    );
    let found = problems(
        "rules: []\ntests: [{ given: { rooms: {} }, room: { requester: '@a:b' }, denied: false }]\n",
    );
    assert_eq!(
        messages(&found),
        "policy.yaml:2:20: unknown key `rooms`: a test of a `room` is about no pair of users, who could share a room; valid here are `groups`"
    );
}

#[test]
fn a_test_gives_rooms_beside_groups() {
    let policy = Policy::parse(
        "policy.yaml",
        b"groups: { sales: { directory: true } }
rules: []
tests:
  - given: { groups: { sales: '@a:b' }, rooms: { '!a': { members: ['@a:b', '@b:b'] } } }
    sender: { group: sales }
    not: '@b:b'
  - given: { rooms: {} }
    sender: '@a:b'
    not: '@b:b'
",
    );
    let tests = policy.unwrap().document.tests;
    let any = RoomConditions::default();
    let share = |test: usize| tests[test].rooms.share_room("@a:b", "@b:b", &any);
    assert_eq!([share(0), share(1)], [Some(true), Some(false)]);
}

/// A room may have 100,000 members, and a user may be in 5,000 rooms. A comparison of every
/// room with every member would not end in time.
#[test]
fn large_rooms_and_many_rooms_cost_little() {
    let mut text = "'!large':\n  members:\n".to_owned();
    for member in 0..100_000 {
        writeln!(text, "    - '@u{member}:one.org'").unwrap();
    }
    for room in 0..5_000 {
        writeln!(text, "'!{room}': {{ members: ['@u0:one.org', '@u1:one.org'] }}").unwrap();
    }
    let rooms = rooms(&text).unwrap();
    let conditions = at_most(1, &["@*-bot:*"]);
    assert_eq!(rooms.shared_by("@u0:one.org", "@u1:one.org").count(), 5_001);
    for _ in 0..10 {
        assert_eq!(rooms.share_room("@u0:one.org", "@u1:one.org", &conditions), Some(false));
        assert_eq!(rooms.share_room("@u0:one.org", "@u99999:one.org", &conditions), Some(false));
    }
}
