//! The checks of sets, tried on messages that break the contract.

use super::*;
use presence_router_proto::v1::{Everyone, SetDifference, SetList};

fn to_expression(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn list(ids: &[&str]) -> UserList {
    UserList { user_ids: ids.iter().map(|id| (*id).to_owned()).collect() }
}

fn part(id: u64, ids: &[&str], last: bool) -> SetPart {
    SetPart { id, content: Some(Content::Users(list(ids))), last }
}

fn whole(id: u64, expression: Expression) -> SetPart {
    SetPart { id, content: Some(Content::Expression(to_expression(expression))), last: true }
}

fn edit(id: u64, removed: &[&str], added: &[&str]) -> SetEdit {
    SetEdit { id, removed: list(removed).user_ids, added: list(added).user_ids }
}

/// The first difference that these parts cause.
fn first_difference(parts: impl IntoIterator<Item = SetPart>) -> String {
    let mut sets = DefinedSets::default();
    let mut results = parts.into_iter().map(|part| sets.add_part(part));
    results.find_map(Result::err).map(|Difference(text)| text).unwrap_or_default()
}

#[test]
fn definitions_that_break_the_contract_are_found() {
    let difference = |any, except| {
        let both = SetDifference { any: Some(Box::new(to_expression(any))), except };
        Expression::Difference(Box::new(both))
    };
    for (parts, expected) in [
        (vec![part(1, &["@a:x"], false), part(1, &["@b:x"], true)], ""),
        (vec![part(1, &[], true), whole(2, Expression::SetId(1))], ""),
        (vec![part(2, &[], true), part(1, &[], true)], "set 1 is defined after set 2"),
        (vec![part(1, &[], true), part(1, &[], true)], "set 1 is defined after set 1"),
        (vec![part(1, &[], false), part(2, &[], true)], "before the last part of set 1"),
        (vec![part(1, &["@b:x", "@a:x"], true)], "not sorted"),
        (vec![part(1, &["@a:x", "@a:x"], true)], "repeats a user"),
        (vec![SetPart { id: 1, content: None, last: true }], "of an unknown kind"),
        (vec![SetPart { last: false, ..whole(1, Expression::Everyone(Everyone {})) }], "only part"),
        (vec![whole(1, Expression::SetId(1))], "set 1 is used, but is not defined"),
        (vec![whole(1, Expression::Match("nocolon".into()))], "has no `:`"),
        (vec![whole(1, Expression::AllOf(SetList::default()))], "has no sets"),
        (vec![whole(1, difference(Expression::Everyone(Everyone {}), None))], "of an unknown kind"),
    ] {
        let found = first_difference(parts.clone());
        let as_expected =
            if expected.is_empty() { found.is_empty() } else { found.contains(expected) };
        assert!(as_expected, "{parts:?}: {found}");
    }
}

#[test]
fn additions_count_from_the_next_changed_on() {
    let mut sets = DefinedSets::default();
    sets.add_part(part(1, &["@a:x"], true)).unwrap();
    sets.apply_edit(edit(1, &["@a:x"], &["@b:x"])).unwrap();
    let contains = |sets: &DefinedSets, user| sets.contains(1, user, "@ann:x").unwrap().unwrap();
    assert!(!contains(&sets, "@a:x"));
    assert!(!contains(&sets, "@b:x"));
    sets.apply_additions();
    assert!(contains(&sets, "@b:x"));
    assert!(sets.apply_edit(edit(7, &[], &[])).is_err());
}

#[test]
fn a_set_that_another_refers_to_is_not_retired() {
    let mut sets = DefinedSets::default();
    sets.add_part(part(1, &["@a:x"], true)).unwrap();
    sets.add_part(whole(2, Expression::SetId(1))).unwrap();
    assert!(sets.retire_set(1).is_err());

    let mut sets = DefinedSets::default();
    sets.add_part(part(1, &["@a:x"], true)).unwrap();
    sets.add_part(whole(2, Expression::SetId(1))).unwrap();
    sets.retire_set(2).unwrap();
    sets.retire_set(1).unwrap();
    assert!(sets.contains(1, "@a:x", "@ann:x").is_err());
    assert!(sets.retire_set(1).is_err());
}

#[test]
fn room_mates_need_capabilities_and_have_three_values() {
    use presence_router_engine::{GivenRoom, GivenRooms};
    use presence_router_ids::{RoomCapabilities, RoomCapability};
    use presence_router_proto::v1::room_condition::Condition;
    use presence_router_proto::v1::{JoinedMembers, RoomCondition};

    let room = |id: &str, members: [&str; 2], partial| GivenRoom {
        members: members.map(str::to_owned).into(),
        partial,
        ..GivenRoom::new(id)
    };
    let rooms = GivenRooms::new([
        room("!a", ["@ann:x", "@joe:x"], false),
        room("!b", ["@ann:x", "@sue:x"], true),
    ]);
    let condition = Condition::AtMost(JoinedMembers { members: 2, not_counting: Vec::new() });
    let leaf =
        |condition| Expression::RoomMates(RoomMates { all_of: vec![RoomCondition { condition }] });
    let small = leaf(Some(condition));
    let others = SetDifference {
        any: Some(Box::new(to_expression(Expression::Everyone(Everyone {})))),
        except: Some(Box::new(to_expression(Expression::SetId(1)))),
    };
    let mates_only = RoomCapability::RoomMates.into();
    for (capabilities, leaf, expected) in [
        (RoomCapabilities::ALL, &small, ""),
        (RoomCapabilities::ALL, &leaf(None), "a condition on rooms is empty"),
        (mates_only, &small, "the client has no capability"),
        (RoomCapabilities::NONE, &small, "the client has no capability"),
    ] {
        let caller = Caller { capabilities, rooms: rooms.clone().into(), ..Caller::default() };
        let mut sets = DefinedSets::new(&caller);
        let added = sets.add_part(whole(1, leaf.clone()));
        let found = added.map_or_else(|Difference(text)| text, |()| String::new());
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found}");
        if !found.is_empty() {
            continue;
        }
        sets.add_part(whole(2, Expression::Difference(Box::new(others.clone())))).unwrap();
        sets.add_part(part(3, &["@joe:x"], true)).unwrap();
        for (user, is_mate) in [("@joe:x", Some(true)), ("@sue:x", None), ("@max:x", Some(false))] {
            assert_eq!(sets.contains(1, user, "@ann:x").unwrap(), is_mate, "{user}");
            assert_eq!(sets.contains(2, user, "@ann:x").unwrap(), is_mate.map(|is| !is), "{user}");
            assert_eq!(sets.contains(1, user, "@zoe:x").unwrap(), Some(false), "{user}");
        }
        let depends = |id| sets.depends_on_rooms(&to_expression(Expression::SetId(id)));
        assert_eq!([1, 2, 3].map(depends), [true, true, false]);
    }
}
