//! The whole decision of a homeserver that keeps its rooms in memory, with an engine in the
//! process: random rooms beside the rules of one policy, written down by hand.

#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "clippy allows it in test functions, but not in helpers")]

use std::sync::Arc;

use presence_router_client::{
    Fields, InProcess, PresenceRouter, PresenceSharing, RoomCapabilities, RoomCapability,
    RoomConditions, RoomFacts, RoomMates, UserGlob, Visibility,
};

const POLICY: &str = "
groups:
  helpdesk: ['@help:a.example']
  vips: ['@vip:a.example', '@vip:b.example']
  guests: ['@guest:a.example', '@guest:b.example']
rules:
  - name: small rooms
    allow: { share_room: { at_most: 3, not_counting: ['@*-bot:*'] } }
  - name: the helpdesk sees everybody with whom it shares a room
    allow: { to: { group: helpdesk }, share_room: true }
  - name: guests are seen by nobody in encrypted rooms
    deny: { from: { group: guests }, share_room: { encrypted: true } }
  - name: vips see no strangers and are seen by all others
    allow: { from: { group: vips }, to: everyone }
  - name: strangers do not see vips
    deny: { from: { group: vips }, share_room: false }
  - name: no status in public rooms
    hide: { share_room: { join_rule: public }, fields: [status_msg] }
";

const USERS: [&str; 9] = [
    "@help:a.example",
    "@vip:a.example",
    "@guest:a.example",
    "@ann:a.example",
    "@joe:a.example",
    "@irc-bot:a.example",
    "@vip:b.example",
    "@guest:b.example",
    "@bob:b.example",
];

/// A room in the homeserver's memory.
#[derive(Debug)]
struct Room {
    members: Vec<&'static str>,
    encrypted: bool,
    join_rule: &'static str,
    /// True if the homeserver does not know all members.
    partial: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn room(&mut self) -> Room {
        let odds = 2 + self.below(3);
        Room {
            members: USERS.into_iter().filter(|_| self.below(odds) == 0).collect(),
            encrypted: self.below(2) == 0,
            join_rule: if self.below(2) == 0 { "public" } else { "invite" },
            partial: self.below(4) == 0,
        }
    }
}

impl RoomFacts for Room {
    fn room_id(&self) -> &str {
        "!room"
    }

    fn joined_members(&self, not_counting: &[UserGlob]) -> Option<u64> {
        let counts = |user: &&&str| !not_counting.iter().any(|pattern| pattern.matches(user));
        (!self.partial).then(|| self.members.iter().filter(counts).count() as u64)
    }

    fn is_encrypted(&self) -> Option<bool> {
        Some(self.encrypted)
    }

    fn join_rule(&self) -> Option<&str> {
        Some(self.join_rule)
    }

    fn history_visibility(&self) -> Option<&str> {
        Some("shared")
    }

    fn is_in_space(&self, _: &str) -> Option<bool> {
        None
    }

    fn has_presence_sharing(&self, _: PresenceSharing) -> Option<bool> {
        Some(false)
    }
}

/// Returns the homeserver's answer to a fact of the second step.
fn share_room(rooms: &[Room], one: &str, other: &str, conditions: &RoomConditions) -> Option<bool> {
    let shared =
        rooms.iter().filter(|room| room.members.contains(&one) && room.members.contains(&other));
    conditions.are_met_by_any(shared)
}

/// The policy by hand. `None`: not visible.
fn hidden_by_hand(rooms: &[Room], sender: &str, recipient: &str) -> Option<Fields> {
    let shared: Vec<&Room> = rooms
        .iter()
        .filter(|room| room.members.contains(&sender) && room.members.contains(&recipient))
        .collect();
    let people = |room: &&&Room| room.members.iter().filter(|user| !user.contains("-bot:")).count();
    let small = shared.iter().any(|room| !room.partial && people(&room) <= 3);
    let is = |name: &str, user: &str| user.starts_with(name);
    let allowed = small || (is("@help:", recipient) && !shared.is_empty()) || is("@vip:", sender);
    let denied = (is("@guest:", sender) && shared.iter().any(|room| room.encrypted))
        || (is("@vip:", sender) && shared.is_empty());
    let status_msg = shared.iter().any(|room| room.join_rule == "public");
    let mut hidden = Fields::default();
    hidden.status_msg = status_msg;
    (sender != recipient && allowed && !denied).then_some(hidden)
}

#[tokio::test]
async fn agrees_with_the_policy_by_hand_in_random_rooms() {
    let engine = InProcess::new(POLICY, ["a.example"]).unwrap();
    let engine = engine.with_room_capabilities(RoomCapabilities::ALL);
    let visibility = Visibility::from_router(Arc::new(engine));
    let mut random = Random(11);
    let (mut visible, mut hidden) = (0, 0);
    for case in 0..300 {
        let rooms: Vec<_> = (0..random.below(6)).map(|_| random.room()).collect();
        let facts = |one: &str, other: &str, conditions: &RoomConditions| {
            share_room(&rooms, one, other, conditions)
        };
        for recipient in USERS {
            let senders = USERS.map(|sender| (sender, "online"));
            // A pair of two foreign users does not concern the homeserver.
            let concerns =
                |other: &str| recipient.ends_with(":a.example") || other.ends_with(":a.example");
            let expected: Vec<_> = (0..)
                .zip(USERS)
                .filter(|(_, sender)| concerns(sender))
                .filter_map(|(index, sender)| {
                    Some((index, hidden_by_hand(&rooms, sender, recipient)?))
                })
                .collect();
            let question = visibility.filter(recipient, &senders).await.unwrap();
            let found = question.decide(facts).visible;
            let found: Vec<_> = found.iter().map(|one| (one.index, one.hidden)).collect();
            assert_eq!(found, expected, "{case}: {recipient} {rooms:?}");
            visible += expected.len();
            hidden += expected.iter().filter(|(_, hidden)| !hidden.is_empty()).count();

            let sender = recipient;
            let question = visibility.server_sees("b.example", sender, "online").await.unwrap();
            let mates = rooms.iter().filter(|room| room.members.contains(&sender));
            let mates = mates.flat_map(|room| room.members.iter().copied());
            let verdict = question.decide(RoomMates::complete(mates), facts);
            let on_server = USERS.into_iter().filter(|user| user.ends_with(":b.example"));
            let each = on_server.filter_map(|user| hidden_by_hand(&rooms, sender, user));
            let expected = each.reduce(Fields::union).filter(|_| concerns("@x:b.example"));
            // Strangers never see anybody by this policy.
            assert_eq!(verdict.visible, expected.is_some(), "{case}: {sender} {rooms:?}");
            assert_eq!(verdict.hidden, expected.unwrap_or(Fields::ALL), "{case}: {sender}");
        }
    }
    assert!(visible > 2000 && hidden > 1000 && hidden < visible - 500, "{visible} {hidden}");
}

#[tokio::test]
async fn an_answer_for_fewer_capabilities_shows_less_and_hides_more() {
    let visible = |capabilities: RoomCapabilities| async move {
        let engine = InProcess::new(POLICY, ["a.example"]).unwrap();
        let engine = engine.with_room_capabilities(capabilities);
        let interest = engine.interested_users("@help:a.example".to_owned()).await.unwrap();
        let counterparts = interest.visible_senders();
        let see = |user: &str| counterparts.contains_if(user, |_| Some(true)) == Some(true);
        let hidden = counterparts.hidden_fields_if("@ann:a.example", "online", |conditions| {
            Some(conditions.is_any_room())
        });
        (see("@ann:a.example"), see("@guest:a.example"), hidden.status_msg)
    };
    let mates = RoomCapabilities::from(RoomCapability::RoomMates);
    assert_eq!(visible(RoomCapabilities::NONE).await, (false, false, false), "nobody to hide");
    assert_eq!(visible(mates).await, (true, false, true), "guests are denied in any case");
    let more = mates.with(RoomCapability::JoinRule);
    assert_eq!(visible(more).await, (true, false, false));
}
