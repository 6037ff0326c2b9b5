//! Answers that depend on rooms, read by a client that knows the rooms.

mod client;
mod relations;

use presence_router_ids::{RoomCapabilities, UserId};
use presence_router_proto::v1::{Hide, set_expression::Expression};
use prost::Message;

use self::client::{Client, Facts};
use super::{Definer, SentSets, SetUpdate};
use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_engine::unstable::routing::query::visibility::CallerView;
use presence_router_engine::{Caller, Edit, NoFiles, Router, Side, Snapshot};

const USERS: [&str; 5] = ["@ann:x", "@bob:x", "@joe:y", "@sue:y", "@ron:x"];
const GROUPS: [&str; 3] = ["a", "b", "c"];
const SIDES: [Side; 2] = [Side::Sender, Side::Recipient];

/// A stream, and its client.
struct Session {
    sets: SentSets,
    view: CallerView,
    client: Client,
}

/// Random numbers, the same for the same seed (xorshift).
struct Random(u64);

// === impl Random ===

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

// === impl Session ===

impl Session {
    fn new(capabilities: RoomCapabilities) -> Self {
        let caller = Caller::new(["x"]).unwrap().with_capabilities(capabilities);
        let (view, client) = (CallerView::new(caller), Client::default());
        Self { sets: SentSets::new(0), view, client }
    }

    /// Asks about a user. Returns the id of the set, and the hides.
    fn ask(&mut self, snapshot: &Snapshot, user: &str, side: Side) -> (Option<u64>, Vec<Hide>) {
        let (answer, ended) = self.ask_over_budget(snapshot, user, side);
        assert_eq!(ended, 0, "nothing ends without an edit");
        answer
    }

    /// Asks about a user, as `ask` does. Also returns the number of sets that end for it.
    fn ask_over_budget(
        &mut self,
        snapshot: &Snapshot,
        user: &str,
        side: Side,
    ) -> ((Option<u64>, Vec<Hide>), usize) {
        let Self { sets, view, client } = self;
        let mut out = Vec::new();
        sets.begin_request();
        let mut definer = Definer { snapshot, view, out: &mut out };
        let answer = match snapshot.users().class_of(user) {
            Some(class) => sets.answer_for_class(class, side, &mut definer),
            None => {
                let user = UserId::parse(user).unwrap();
                let signature = snapshot.signature(user, side, view.caller());
                sets.answer_for_signature(signature, &mut definer)
            }
        };
        let answer = answer.unwrap();
        let ended = out.into_iter().filter_map(|update| client.take(update)).count();
        let (set_id, hides) = sets.set_and_hides(answer);
        let hides = hides.iter().map(|hide| Hide::decode(hide.as_slice()).unwrap());
        ((set_id.map(super::SetId::get), hides.collect()), ended)
    }

    /// Moves to another snapshot, and returns the messages.
    fn follow(&mut self, old: &Snapshot, new: &Snapshot) -> Vec<SetUpdate> {
        let view = CallerView::new(self.view.caller().clone());
        let before = std::mem::replace(&mut self.view, view);
        let mut out = Vec::new();
        let mut definer = Definer { snapshot: new, view: &self.view, out: &mut out };
        self.sets.follow_snapshot(old, &before, &mut definer).unwrap();
        out
    }
}

fn holds(relation: &Relation, [any, encrypted]: Facts) -> Option<bool> {
    relation.holds(|conditions| if conditions.is_any_room() { any } else { encrypted })
}

fn all_facts() -> impl Iterator<Item = Facts> {
    const ALL: [Option<bool>; 3] = [Some(true), Some(false), None];
    ALL.into_iter().flat_map(|any| ALL.map(|encrypted| [any, encrypted]))
}

/// Returns the truth about the counterparts of a user.
fn truth(
    snapshot: &Snapshot,
    view: &CallerView,
    user: &str,
    side: Side,
) -> impl Fn(&str, Facts) -> Option<bool> {
    let signature = snapshot.signature(UserId::parse(user).unwrap(), side, view.caller());
    let counterparts = snapshot.counterparts(&signature, view);
    move |other, facts| {
        let who = snapshot.users().user_ref(UserId::parse(other).unwrap());
        counterparts.contains(who, |relation| holds(relation, facts))
    }
}

fn random_policy(random: &mut Random) -> String {
    let sets = ["everyone", "{ group: a }", "{ group: b }", "{ group: c }", "{ server: y }"];
    let relations =
        ["", ", share_room: true", ", share_room: false", ", share_room: { encrypted: true }"];
    let mut policy = "groups: { a: { directory: true }, b: { directory: true }, c: { directory: true } }\nrules:\n".to_owned();
    for number in 0..2 + random.below(4) {
        let effect = random.pick(&["allow", "allow", "allow", "deny", "hide"]);
        let fields = if effect == "hide" { ", fields: [status_msg]" } else { "" };
        let pairs = if random.below(3) == 0 {
            format!("within: {}", random.pick(&GROUPS))
        } else {
            format!("from: {}, to: {}", random.pick(&sets), random.pick(&sets))
        };
        let relation = random.pick(&relations);
        policy +=
            &format!("  - {{ name: r{number}, {effect}: {{ {pairs}{fields}{relation} }} }}\n");
    }
    policy
}

fn random_edit(random: &mut Random, router: &mut Router) {
    let (group, user) = (random.pick(&GROUPS), UserId::parse(random.pick(&USERS)).unwrap());
    let edit =
        if random.below(3) > 0 { Edit::Join { group, user } } else { Edit::Leave { group, user } };
    router.edit(&[edit]).unwrap();
}

/// Random policies and edits: an answer that the stream does not end stays right, and shows on the
/// way to the next revision no pair that was not visible before.
#[test]
fn answers_stay_right_over_edits_or_end() {
    let mut random = Random(7);
    let (mut kept, mut ended) = (0, 0);
    for _ in 0..80 {
        let policy = random_policy(&mut random);
        let mut router = Router::load("policy.yaml", policy.as_bytes(), &NoFiles).unwrap();
        (0..8).for_each(|_| random_edit(&mut random, &mut router));
        let mut session = Session::new(RoomCapabilities::ALL);
        let mut answers: Vec<(&str, Side, u64)> = Vec::new();
        for _ in 0..6 {
            let old = router.snapshot();
            answers.clear();
            for (user, side) in USERS.into_iter().flat_map(|user| SIDES.map(|side| (user, side))) {
                let (set_id, _) = session.ask(&old, user, side);
                answers.extend(set_id.map(|id| (user, side, id)));
                let is = truth(&old, &session.view, user, side);
                for (other, facts) in others(user) {
                    let told =
                        set_id.map_or(Some(false), |id| session.client.contains(id, other, facts));
                    assert_eq!(
                        told,
                        is(other, facts),
                        "{user} {side:?} {other} {facts:?}\n{policy}"
                    );
                }
            }
            random_edit(&mut random, &mut router);
            let (new, before) = (router.snapshot(), CallerView::new(session.view.caller().clone()));
            for update in session.follow(&old, &new) {
                let end = session.client.take(update);
                answers.retain(|(.., id)| Some(*id) != end);
                ended += usize::from(end.is_some());
                for (user, side, id) in &answers {
                    let was = truth(&old, &before, user, *side);
                    for (other, facts) in others(user) {
                        let shown = session.client.contains(*id, other, facts) == Some(true);
                        assert!(
                            !shown || was(other, facts) == Some(true),
                            "{user} {other}\n{policy}"
                        );
                    }
                }
            }
            session.client.take_changed();
            for (user, side, id) in &answers {
                kept += 1;
                let is = truth(&new, &session.view, user, *side);
                for (other, facts) in others(user) {
                    let told = session.client.contains(*id, other, facts);
                    assert_eq!(
                        told,
                        is(other, facts),
                        "{user} {side:?} {other} {facts:?}\n{policy}"
                    );
                }
            }
        }
    }
    assert!(kept > 500 && ended > 500, "{kept} {ended}");
}

fn others(user: &str) -> impl Iterator<Item = (&'static str, Facts)> {
    let others = USERS.into_iter().chain(["@new:x", "@new:y"]).filter(move |other| *other != user);
    others.flat_map(|other| all_facts().map(move |facts| (other, facts)))
}

const TEAM: &str = r#"
groups:
  team: ["@ann:x", "@bob:x", "@joe:y"]
rules:
  - { name: team, allow: { within: team } }
  - { name: boss, allow: { from: "@ron:x", to: { group: team }, share_room: { encrypted: true } } }
  - { name: not in public, deny: { share_room: { join_rule: public } } }
  - { name: shy, hide: { within: team, fields: [status_msg], share_room: false } }
"#;

#[test]
fn rules_with_rooms_share_the_sets_of_others() {
    let router = Router::load("policy.yaml", TEAM.as_bytes(), &NoFiles).unwrap();
    let snapshot = router.snapshot();
    let mut session = Session::new(RoomCapabilities::ALL);
    let (ann, hides) = session.ask(&snapshot, "@ann:x", Side::Sender);
    let (ron, no_hides) = session.ask(&snapshot, "@ron:x", Side::Sender);
    // The team, and those of it to whom the hide applies.
    assert_eq!(session.client.lists(), 2);
    let Some(Expression::Difference(answer)) = &session.client.set(ron.unwrap()).expression else {
        panic!("a deny rule with rooms is an exception");
    };
    let [any, except] = [&answer.any, &answer.except].map(|set| set.as_ref().unwrap());
    let Some(Expression::AllOf(team)) = &any.expression else { panic!("{any:?}") };
    let [Some(Expression::SetId(_)), Some(Expression::SetId(mates))] =
        [0, 1].map(|index| team.sets[index].expression.as_ref())
    else {
        panic!("{team:?}");
    };
    let is_leaf =
        |id: u64| matches!(session.client.set(id).expression, Some(Expression::RoomMates(_)));
    assert!(is_leaf(*mates));
    let Some(Expression::SetId(except)) = except.expression else { panic!("{except:?}") };
    assert!(is_leaf(except), "a deny over everyone names nobody");
    assert_eq!((hides.len(), no_hides.len()), (1, 0));
    assert_ne!(ann, ron);
    for (facts, hidden) in
        [([Some(false); 2], Some(true)), ([Some(true); 2], Some(false)), ([None; 2], None)]
    {
        let users = hides[0].users.as_ref().unwrap();
        assert_eq!(session.client.is_in(users, "@joe:y", facts), hidden);
    }
}

#[test]
fn a_client_without_capabilities_gets_no_rooms() {
    let router = Router::load("policy.yaml", TEAM.as_bytes(), &NoFiles).unwrap();
    let snapshot = router.snapshot();
    let mut session = Session::new(RoomCapabilities::NONE);
    let (ann, hides) = session.ask(&snapshot, "@ann:x", Side::Sender);
    assert_eq!((ann, hides.len()), (None, 0), "the deny rule applies whatever rooms there are");
    let open = TEAM
        .replace("  - { name: not in public, deny: { share_room: { join_rule: public } } }\n", "");
    let router = Router::load("policy.yaml", open.as_bytes(), &NoFiles).unwrap();
    let snapshot = router.snapshot();
    let mut session = Session::new(RoomCapabilities::NONE);
    let (ann, hides) = session.ask(&snapshot, "@ann:x", Side::Sender);
    let (ron, _) = session.ask(&snapshot, "@ron:x", Side::Sender);
    let answer = session.client.set(ann.unwrap());
    assert!(matches!(answer.expression, Some(Expression::AnyOf(_))), "{answer:?}");
    assert!(matches!(hides[0].users.as_ref().unwrap().expression, Some(Expression::SetId(_))));
    assert_eq!(ron, None);
}
