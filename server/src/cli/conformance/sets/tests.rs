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
    assert!(!sets.contains(1, "@a:x").unwrap());
    assert!(!sets.contains(1, "@b:x").unwrap());
    sets.apply_additions();
    assert!(sets.contains(1, "@b:x").unwrap());
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
    assert!(sets.contains(1, "@a:x").is_err());
    assert!(sets.retire_set(1).is_err());
}
