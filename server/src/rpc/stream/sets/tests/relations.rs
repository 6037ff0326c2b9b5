//! Relations with many conditions: the stream sends each once.

use super::*;

/// A policy with many users, each with an audience of its own. The relation of its rules has the
/// glob of one room, or of many.
fn policy(rooms: usize) -> String {
    let rooms: Vec<_> = (0..rooms).map(|room| format!("'!{room}:rooms.example.org'")).collect();
    let relation = format!("share_room: {{ rooms: [{}] }}", rooms.join(", "));
    let teams: Vec<_> =
        (0..USERS_ASKED).map(|n| format!("  team/{n}: ['@u{n}:x', '@v{n}:x']\n")).collect();
    format!(
        "groups:\n{}rules:\n  - {{ name: a, allow: {{ within: 'team/*', {relation} }} }}\n  \
         - {{ name: h, hide: {{ within: 'team/*', fields: [status_msg], {relation} }} }}\n",
        teams.concat()
    )
}

const USERS_ASKED: usize = 20;

fn asked() -> impl Iterator<Item = String> {
    (0..USERS_ASKED).map(|user| format!("@u{user}:x"))
}

#[test]
fn answers_and_hides_do_not_repeat_conditions() {
    let bytes_of = |rooms| {
        let text = policy(rooms);
        let router = Router::load("policy.yaml", text.as_bytes(), &NoFiles).unwrap();
        let (snapshot, mut session) = (router.snapshot(), Session::new(RoomCapabilities::ALL));
        let mut bytes = 0;
        for user in asked() {
            let (answer, hides) = session.ask(&snapshot, &user, Side::Sender);
            assert_eq!(hides.len(), 1);
            bytes += session.client.set(answer.unwrap()).encoded_len() + hides[0].encoded_len();
        }
        assert_eq!(session.client.room_mates().count(), 1);
        bytes
    };
    assert_eq!(bytes_of(1), bytes_of(100), "only the set of the relation is longer");
}

#[test]
fn a_relation_ends_after_its_answers() {
    let mut router = Router::load("policy.yaml", policy(1).as_bytes(), &NoFiles).unwrap();
    let (old, mut session) = (router.snapshot(), Session::new(RoomCapabilities::ALL));
    let answers: Vec<_> =
        asked().map(|user| session.ask(&old, &user, Side::Sender).0.unwrap()).collect();
    let mates = session.client.room_mates().next().unwrap();
    router.replace_policy("policy.yaml", policy(2).as_bytes(), &NoFiles).unwrap();
    let new = router.snapshot();
    let updates = session.follow(&old, &new);
    let ended: Vec<_> =
        updates.into_iter().filter_map(|update| session.client.take(update)).collect();
    let place = |set| ended.iter().position(|id| *id == set);
    assert!(answers.iter().all(|answer| place(*answer).unwrap() < place(mates).unwrap()));
    let (answer, hides) = session.ask(&new, "@u0:x", Side::Sender);
    let facts = [Some(false), Some(true)];
    assert_eq!(session.client.contains(answer.unwrap(), "@v0:x", facts), Some(true));
    assert_eq!(session.client.is_in(hides[0].users.as_ref().unwrap(), "@v0:x", facts), Some(true));
    assert_eq!(session.client.room_mates().count(), 1, "only the relation of the new policy");
}

/// A budget with room for one relation: the other one goes when its answers are gone, and no
/// sooner.
#[test]
fn a_relation_counts_and_is_evicted() {
    let rooms = |name: &str| {
        let rooms: Vec<_> = (0..50).map(|room| format!("'!{name}{room}:x'")).collect();
        rooms.join(", ")
    };
    let text = format!(
        "rules:\n  - {{ name: a, allow: {{ from: '@ann:x', to: '@joe:y', share_room: {{ rooms: [{}] }} }} }}\n  \
         - {{ name: b, allow: {{ from: '@bob:x', to: '@joe:y' }} }}\n  \
         - {{ name: h, hide: {{ from: '@bob:x', fields: [status_msg], share_room: {{ rooms: [{}] }} }} }}\n",
        rooms("a"),
        rooms("b")
    );
    let router = Router::load("policy.yaml", text.as_bytes(), &NoFiles).unwrap();
    let (snapshot, mut session) = (router.snapshot(), Session::new(RoomCapabilities::ALL));
    session.sets = SentSets::new(700);
    let mut ask = |user| {
        let (_, ended) = session.ask_over_budget(&snapshot, user, Side::Sender);
        assert_eq!(session.client.room_mates().count(), 1, "there is no room for both");
        ended
    };
    assert_eq!(ask("@ann:x"), 0);
    assert_eq!([ask("@bob:x"), ask("@bob:x")], [2, 0], "the answer and its relation");
    assert_eq!([ask("@ann:x"), ask("@ann:x")], [3, 0], "the set of the hide as well");
}
