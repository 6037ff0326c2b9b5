//! The store against a model that keeps everything by value, and its budget.

use std::collections::{BTreeMap, BTreeSet};

use presence_router_proto::v1::{SetDifference, SetList, UserList, set_expression::Expression};

use super::*;
use crate::Set;

fn of(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn set(id: u64) -> SetExpression {
    of(Expression::SetId(id))
}

fn list(id: u64, users: &[String]) -> SetPart {
    let content = Some(Content::Users(UserList { user_ids: users.into() }));
    SetPart { id, content, last: true }
}

fn user(n: u64) -> String {
    format!("@u{n}:x")
}

/// Numbers in no order.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// A set in the model.
#[derive(Clone)]
enum Model {
    List(BTreeSet<String>),
    /// Union, intersection or difference of two sets.
    Of(u64, [u64; 2]),
}

fn evaluate(model: &BTreeMap<u64, Model>, id: u64) -> BTreeSet<String> {
    match &model[&id] {
        Model::List(users) => users.clone(),
        Model::Of(kind, [a, b]) => {
            let (a, b) = (evaluate(model, *a), evaluate(model, *b));
            match kind {
                0 => &a | &b,
                1 => &a & &b,
                _ => &a - &b,
            }
        }
    }
}

#[test]
fn agrees_with_a_model_that_copies_everything() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut store = Store::new(0, RoomCapabilities::NONE);
        let mut model = BTreeMap::new();
        let mut pending: Vec<(u64, String)> = Vec::new();
        let mut kept: Vec<(Set, BTreeSet<String>)> = Vec::new();
        let mut last = 0;
        for _ in 0..120 {
            let some = |random: &mut Random| random.below(last + 1).max(1);
            match random.below(6) {
                0 => {
                    last += 1;
                    let users: Vec<_> =
                        (0..random.below(8)).map(|_| user(random.below(20))).collect();
                    store.define_part(list(last, &users)).unwrap();
                    model.insert(last, Model::List(users.into_iter().collect()));
                }
                1 if last > 0 => {
                    let both = [some(&mut random), some(&mut random)];
                    if both.iter().any(|id| !model.contains_key(id)) {
                        continue;
                    }
                    last += 1;
                    let kind = random.below(3);
                    let sets = both.map(set).to_vec();
                    let expression = match kind {
                        0 => Expression::AnyOf(SetList { sets }),
                        1 => Expression::AllOf(SetList { sets }),
                        _ => {
                            let [any, except] = both.map(|id| Some(Box::new(set(id))));
                            Expression::Difference(Box::new(SetDifference { any, except }))
                        }
                    };
                    let content = Some(Content::Expression(of(expression)));
                    store.define_part(SetPart { id: last, content, last: true }).unwrap();
                    model.insert(last, Model::Of(kind, both));
                }
                2 | 3 if last > 0 => {
                    let id = some(&mut random);
                    let Some(Model::List(users)) = model.get_mut(&id) else { continue };
                    let added: Vec<_> =
                        (0..random.below(3)).map(|_| user(random.below(20))).collect();
                    let removed: Vec<_> =
                        (0..random.below(3)).map(|_| user(random.below(20))).collect();
                    users.retain(|user| !removed.contains(user));
                    pending.retain(|(of, user)| *of != id || !removed.contains(user));
                    pending.extend(added.iter().map(|user| (id, user.clone())));
                    store.edit_list(SetEdit { id, added, removed }).unwrap();
                }
                4 => {
                    // Simulates many edited users.
                    store.edited += MAX_EDITED * usize::from(random.below(2) == 0);
                    store.apply_pending().unwrap();
                    for (id, user) in pending.drain(..) {
                        if let Some(Model::List(users)) = model.get_mut(&id) {
                            users.insert(user);
                        }
                    }
                }
                _ if last > 0 => {
                    let id = some(&mut random);
                    if !model.contains_key(&id) {
                        continue;
                    }
                    let expected = evaluate(&model, id);
                    let found = store.resolve(id).unwrap();
                    assert!(
                        found.listed_users().iter().eq(expected.iter()),
                        "seed {seed} set {id}"
                    );
                    kept.push((found, expected));
                    let used =
                        |one: &Model| matches!(one, Model::Of(_, both) if both.contains(&id));
                    let retired = store.retire_set(SetRetired { id });
                    if model.values().any(used) {
                        assert_eq!(retired, Err(ProtocolViolation::RetiredInUse(id)));
                    } else {
                        retired.unwrap();
                        model.remove(&id);
                        pending.retain(|(of, _)| *of != id);
                    }
                }
                _ => {}
            }
        }
        for (set, expected) in kept {
            assert!(set.listed_users().iter().eq(expected.iter()), "a set stays what it was");
        }
        // The counted bytes are those of the remaining sets.
        store.apply_pending().unwrap();
        let left: u64 = store.live.values().map(|entry| entry.bytes).sum();
        assert_eq!(store.budget.used, left, "seed {seed}");
        for (id, entry) in &store.live {
            if let Stored::List(list) = &entry.content {
                let bytes: usize = list.iter().map(str::len).sum();
                assert_eq!(entry.bytes, bytes as u64, "seed {seed} set {id}");
            }
        }
    }
}

#[test]
fn sets_come_and_go_within_a_budget_for_ever() {
    let users: Vec<_> = (0..1000).map(user).collect();
    let bytes: usize = users.iter().map(String::len).sum();
    let mut store = Store::new(2 * bytes as u64, RoomCapabilities::NONE);
    for id in 1..300 {
        store.define_part(list(id, &users)).unwrap();
        if id > 2 {
            store.retire_set(SetRetired { id: id - 2 }).unwrap();
        }
        store.edit_list(SetEdit { id, added: users.clone(), removed: users.clone() }).unwrap();
        store.apply_pending().unwrap();
    }
    store.reset();
    assert_eq!(store.budget.used, 0);
    store.define_part(list(300, &users)).unwrap();
}

/// Resolved sets keep former versions of an edited list for a limited time only, even if no
/// answer uses these sets again.
#[test]
fn former_lists_of_unused_sets_are_dropped() {
    let users: Vec<_> = (0..2000).map(user).collect();
    let mut store = Store::new(0, RoomCapabilities::NONE);
    store.define_part(list(1, &users)).unwrap();
    for id in 2..5000 {
        let expression = of(Expression::AnyOf(SetList { sets: vec![set(1)] }));
        let content = Some(Content::Expression(expression));
        store.define_part(SetPart { id, content, last: true }).unwrap();
        let one = vec![user(id % 2000)];
        store.edit_list(SetEdit { id: 1, added: one.clone(), removed: one }).unwrap();
        store.apply_pending().unwrap();
    }
    // Each hundredth user is enough to distinguish lists.
    let mut places = HashSet::new();
    for entry in store.live.values() {
        let Stored::Expression(_, Some(Kind::AnyOf(sets, _))) = &entry.content else { continue };
        let Some(Kind::Users(list)) = sets.first() else { panic!("a list") };
        places.extend(list.iter().step_by(100).map(str::as_ptr));
    }
    assert!(places.len() < 250 * 20, "{} of 20 users", places.len());
    for id in [2, 2500, 4999] {
        assert_eq!(store.resolve(id).unwrap().listed_users().len(), 2000);
    }
}

#[test]
fn a_budget_holds_for_users_that_are_still_to_come() {
    let budget = 1 << 20;
    let mut store = Store::new(budget, RoomCapabilities::NONE);
    store.define_part(list(1, &[])).unwrap();
    let added: Vec<_> = (0..10_000).map(user).collect();
    let over = (0..1000).find_map(|_| {
        store.edit_list(SetEdit { id: 1, added: added.clone(), removed: Vec::new() }).err()
    });
    assert_eq!(over, Some(ProtocolViolation::OverBudget(budget)));
}

/// Bytes that begin as messages, with some of them replaced.
#[test]
fn no_bytes_make_it_panic_or_lose_count() {
    use presence_router_proto::v1::{
        RouteStatesResponse, route_states_response::Message as ResponseMessage,
    };

    let mut random = Random(7);
    let expression = |id, other| {
        let sets = vec![set(other), of(Expression::Server("x*".into()))];
        let content = Some(Content::Expression(of(Expression::AnyOf(SetList { sets }))));
        SetPart { id, content, last: true }
    };
    let mut taken = 0;
    for _ in 0..3000 {
        let mut store = Store::new(10_000, RoomCapabilities::NONE);
        for id in 1..12 {
            let (some, other) = (random.below(id).max(1), random.below(id).max(1));
            let users = [user(random.below(9)), user(random.below(9))];
            // Begin with definitions, since the other messages need a set.
            let message = match random.below(if id < 2 { 1 } else { 6 }) {
                0 => ResponseMessage::SetPart(list(id, &users)),
                1 => ResponseMessage::SetPart(expression(id, other)),
                2 => ResponseMessage::SetEdit(SetEdit {
                    id: some,
                    added: users.into(),
                    removed: vec![],
                }),
                3 => ResponseMessage::SetEdit(SetEdit {
                    id: some,
                    added: vec![],
                    removed: users.into(),
                }),
                4 => ResponseMessage::Changed(Default::default()),
                _ => ResponseMessage::SetRetired(SetRetired { id: some }),
            };
            let mut bytes = RouteStatesResponse { message: Some(message) }.encode_to_vec();
            if random.below(3) == 0 {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
            let Ok(RouteStatesResponse { message: Some(message) }) =
                RouteStatesResponse::decode(bytes.as_slice())
            else {
                break;
            };
            let heard = match message {
                ResponseMessage::SetPart(part) => store.define_part(part),
                ResponseMessage::SetEdit(edit) => store.edit_list(edit),
                ResponseMessage::SetRetired(retired) => store.retire_set(retired),
                ResponseMessage::Changed(_) => store.apply_pending(),
                _ => Ok(()),
            };
            // A wrong message ends the stream, and the store with it.
            if heard.is_err() {
                break;
            }
            taken += 1;
            for id in 0..12 {
                if let Ok(set) = store.resolve(id) {
                    assert!(set.listed_users().iter().all(|user| set.contains(user)));
                }
            }
        }
        let pending = store.pending.iter().flat_map(|(_, users)| users).map(String::len);
        let partial =
            store.partial.iter().flat_map(|partial| &partial.users).map(|user| user.len());
        let kept: u64 = store.live.values().map(|entry| entry.bytes).sum();
        let counted = kept + pending.chain(partial).sum::<usize>() as u64;
        // A wrong message may have been counted before it was rejected.
        assert!(store.budget.used >= counted);
    }
    assert!(taken > 3000, "{taken}");
}
