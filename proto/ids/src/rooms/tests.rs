use super::*;

/// A room of a test. `None` is a fact that the homeserver does not know.
#[derive(Clone, Debug)]
struct Room {
    id: &'static str,
    members: Option<Vec<&'static str>>,
    encrypted: Option<bool>,
    join_rule: Option<&'static str>,
    history: Option<&'static str>,
    space: Option<&'static str>,
    hint: Option<Option<PresenceSharing>>,
}

impl RoomFacts for Room {
    fn room_id(&self) -> &str {
        self.id
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        let counts = |user: &&&str| !not_counting.iter().any(|pattern| pattern.matches(user));
        Some(self.members.as_ref()?.iter().filter(counts).count() as u64)
    }

    fn is_encrypted(&self) -> Option<bool> {
        self.encrypted
    }

    fn join_rule(&self) -> Option<&str> {
        self.join_rule
    }

    fn history_visibility(&self) -> Option<&str> {
        self.history
    }

    fn is_in_space(&self, space: &str) -> Option<bool> {
        self.space.map(|own| own == space)
    }

    fn has_presence_sharing(&self, hint: PresenceSharing) -> Option<bool> {
        self.hint.map(|own| own == Some(hint))
    }
}

fn room() -> Room {
    Room {
        id: "!small:example.org",
        members: Some(vec!["@ann:example.org", "@joe:example.org", "@irc-bot:example.org"]),
        encrypted: Some(false),
        join_rule: Some("invite"),
        history: Some("shared"),
        space: Some("!space:example.org"),
        hint: Some(Some(PresenceSharing::Suggest)),
    }
}

fn unknown() -> Room {
    Room {
        id: "!b64",
        members: None,
        encrypted: None,
        join_rule: None,
        history: None,
        space: None,
        hint: None,
    }
}

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
fn each_condition_is_met_missed_or_unknown() {
    use RoomCondition::*;
    for (condition, met, of_unknown) in [
        (AtMost(count(3, &[])), true, None),
        (AtMost(count(2, &[])), false, None),
        (AtMost(count(2, &["@*-bot:*"])), true, None),
        (AtLeast(count(3, &[])), true, None),
        (AtLeast(count(4, &[])), false, None),
        (AtLeast(count(3, &["@*-bot:*"])), false, None),
        (Encrypted(false), true, None),
        (Encrypted(true), false, None),
        (JoinRule(texts(&["invite", "knock"])), true, None),
        (JoinRule(texts(&["public"])), false, None),
        (HistoryVisibility(texts(&["shared"])), true, None),
        (HistoryVisibility(texts(&["world_readable"])), false, None),
        (Rooms(globs(&["!big*", "!small*"])), true, Some(false)),
        (Rooms(globs(&["!big*"])), false, Some(false)),
        (NotRooms(globs(&["!big*"])), true, Some(true)),
        (NotRooms(globs(&["!small:example.org"])), false, Some(true)),
        (Space("!space:example.org".into()), true, None),
        (Space("!other:example.org".into()), false, None),
        (PresenceSharing(super::PresenceSharing::Suggest), true, None),
        (PresenceSharing(super::PresenceSharing::Forbid), false, None),
    ] {
        assert_eq!(condition.is_met_by(&room()), Some(met), "{condition:?}");
        assert_eq!(condition.is_met_by(&unknown()), of_unknown, "{condition:?}");
    }
}

#[test]
fn one_room_must_meet_all_conditions() {
    let conditions =
        RoomConditions::new([RoomCondition::Encrypted(true), RoomCondition::AtMost(count(3, &[]))]);
    let small = room();
    let big = Room { encrypted: Some(true), members: Some(vec!["@u:x"; 9]), ..room() };
    let both = Room { encrypted: Some(true), ..room() };
    assert_eq!(conditions.are_met_by_any([small.clone(), big.clone()]), Some(false));
    assert_eq!(conditions.are_met_by_any([small.clone(), big.clone(), both]), Some(true));
    let partial = Room { encrypted: Some(true), members: None, ..room() };
    assert_eq!(conditions.are_met_by_any([small, partial, big]), None);
    let not_encrypted = Room { members: None, ..room() };
    assert_eq!(conditions.are_met_by(&not_encrypted), Some(false), "one missed condition decides");
    assert_eq!(conditions.are_met_by_any::<Room>([]), Some(false), "no room is shared");
    assert_eq!(RoomConditions::default().are_met_by(&unknown()), Some(true), "any room");
}

#[test]
fn conditions_have_no_order_and_name_what_they_need() {
    let [a, b] = [RoomCondition::Encrypted(true), RoomCondition::AtMost(count(2, &[]))];
    let conditions = RoomConditions::new([a.clone(), b.clone()]);
    assert_eq!(conditions, RoomConditions::new([b.clone(), a, b]));
    let needed = conditions.needed_capabilities();
    assert_eq!(
        needed.iter().collect::<Vec<_>>(),
        [RoomCapability::RoomMates, RoomCapability::AtMost, RoomCapability::Encrypted]
    );
    assert!(RoomCapabilities::ALL.covers(needed) && !RoomCapabilities::NONE.covers(needed));
    let without: RoomCapabilities =
        needed.iter().filter(|one| *one != RoomCapability::AtMost).collect();
    assert!(!without.covers(needed) && needed.covers(without));
    assert_eq!(RoomCapabilities::ALL.iter().collect::<Vec<_>>(), RoomCapability::ALL);
}
