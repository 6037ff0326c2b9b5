use presence_router_ids::{PresenceSharing, RoomConditions};

use super::*;
use crate::policy::given_rooms::GivenRoom;

fn count(members: u64, not_counting: &[&str]) -> MemberCount {
    MemberCount::new(members, not_counting.iter().map(|text| UserGlob::parse(text).unwrap()))
}

fn texts(values: &[&str]) -> Box<[Box<str>]> {
    values.iter().map(|value| (*value).into()).collect()
}

fn globs(values: &[&str]) -> Box<[Glob]> {
    values.iter().map(|value| Glob::new(*value)).collect()
}

#[test]
fn a_relation_has_a_clause() {
    use RoomCondition::{
        AtLeast, AtMost, Encrypted, HistoryVisibility, JoinRule, NotRooms, Rooms, Space,
    };
    for (conditions, want) in [
        (vec![], "they share a room"),
        (vec![AtMost(count(50, &[]))], "they share a room of at most 50 members"),
        (vec![AtMost(count(1, &[]))], "they share a room of at most 1 member"),
        (
            vec![AtMost(count(2, &["@*-bot:*", "@irc_*:*"]))],
            "they share a room of at most 2 members (not counting `@*-bot:*` and `@irc_*:*`)",
        ),
        (
            vec![AtLeast(count(3, &[])), AtMost(count(9, &[]))],
            "they share a room of at most 9 members and at least 3 members",
        ),
        (vec![Encrypted(true)], "they share a room that is encrypted"),
        (vec![Encrypted(false)], "they share a room that is not encrypted"),
        (vec![JoinRule(texts(&["public"]))], "they share a room that has the join rule `public`"),
        (
            vec![JoinRule(texts(&["invite", "knock", "private"]))],
            "they share a room that has the join rule `invite`, `knock` or `private`",
        ),
        (
            vec![HistoryVisibility(texts(&["joined", "shared"]))],
            "they share a room that has the history visibility `joined` or `shared`",
        ),
        (
            vec![Rooms(globs(&["!a*", "!b"]))],
            "they share a room that has an id that matches `!a*` or `!b`",
        ),
        (
            vec![NotRooms(globs(&["!a*"]))],
            "they share a room that has an id that does not match `!a*`",
        ),
        (
            vec![NotRooms(globs(&["!a*", "!b"]))],
            "they share a room that has an id that matches none of `!a*` and `!b`",
        ),
        (vec![Space("!s:x.org".into())], "they share a room that is in the space `!s:x.org`"),
        (
            vec![RoomCondition::PresenceSharing(PresenceSharing::Suggest)],
            "they share a room that has the presence-sharing hint `suggest`",
        ),
        (
            vec![AtMost(count(50, &[])), Encrypted(true), Space("!s".into())],
            "they share a room of at most 50 members that is encrypted and is in the space `!s`",
        ),
    ] {
        let relation = Relation::ShareRoom(RoomConditions::new(conditions));
        assert_eq!(describe_relation(&relation), want);
    }
    assert_eq!(describe_relation(&Relation::ShareNoRoom), "they share no room");
}

#[test]
fn a_fact_says_why_a_condition_is_not_met() {
    use RoomCondition::{
        AtLeast, AtMost, Encrypted, HistoryVisibility, JoinRule, NotRooms, Rooms, Space,
    };
    let room = GivenRoom {
        members: ["@ann:x.org", "@joe:x.org", "@irc-bot:x.org"].map(str::to_owned).to_vec(),
        ..GivenRoom::new("!big:x.org")
    };
    let partial = GivenRoom { partial: true, ..room.clone() };
    for (condition, want) in [
        (AtMost(count(2, &[])), "has 3 members"),
        (AtMost(count(1, &["@*-bot:*"])), "has 2 members (not counting `@*-bot:*`)"),
        (AtLeast(count(4, &[])), "has 3 members"),
        (Encrypted(true), "is not encrypted"),
        (JoinRule(texts(&["public"])), "has the join rule `invite`"),
        (HistoryVisibility(texts(&["joined"])), "has the history visibility `shared`"),
        (Rooms(globs(&["!a*", "!b"])), "has an id that matches none of `!a*` and `!b`"),
        (Rooms(globs(&["!a*"])), "has an id that does not match `!a*`"),
        (NotRooms(globs(&["!a", "!big:*"])), "has an id that matches `!big:*`"),
        (Space("!s".into()), "is not in the space `!s`"),
        (
            RoomCondition::PresenceSharing(PresenceSharing::Forbid),
            "does not have the presence-sharing hint `forbid`",
        ),
    ] {
        assert_eq!(condition.is_met_by(&room), Some(false));
        assert_eq!(describe_fact(&room, &condition), want);
    }
    assert_eq!(
        describe_fact(&partial, &AtMost(count(2, &[]))),
        "has a number of members that the homeserver does not know"
    );
    let encrypted = GivenRoom { encrypted: true, ..room };
    assert_eq!(describe_fact(&encrypted, &Encrypted(false)), "is encrypted");
}
