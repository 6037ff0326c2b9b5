//! What the contract promises of sets, tried on messages that break it.

use super::*;
use presence_router_proto::v1::{Everyone, SetDifference, SetList};

fn of(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}

fn list(ids: &[&str]) -> UserList {
    UserList { user_ids: ids.iter().map(|id| (*id).to_owned()).collect() }
}

fn part(id: u64, ids: &[&str], last: bool) -> SetPart {
    SetPart { id, content: Some(Content::Users(list(ids))), last }
}

fn whole(id: u64, expression: Expression) -> SetPart {
    SetPart { id, content: Some(Content::Expression(of(expression))), last: true }
}

fn edit(id: u64, removed: &[&str], added: &[&str]) -> SetEdit {
    SetEdit { id, removed: list(removed).user_ids, added: list(added).user_ids }
}

/// The first difference that these parts make.
fn said(parts: impl IntoIterator<Item = SetPart>) -> String {
    let mut sets = DefinedSets::default();
    let mut results = parts.into_iter().map(|part| sets.define(part));
    results.find_map(Result::err).map(|Difference(what)| what).unwrap_or_default()
}

#[test]
fn what_the_contract_promises_of_definitions_is_checked() {
    let difference = |any, except| {
        let both = SetDifference { any: Some(Box::new(of(any))), except };
        Expression::Difference(Box::new(both))
    };
    for (parts, expected) in [
        (vec![part(1, &["@a:x"], false), part(1, &["@b:x"], true)], ""),
        (vec![part(1, &[], true), whole(2, Expression::SetId(1))], ""),
        (vec![part(2, &[], true), part(1, &[], true)], "set 1 comes after set 2"),
        (vec![part(1, &[], true), part(1, &[], true)], "set 1 comes after set 1"),
        (vec![part(1, &[], false), part(2, &[], true)], "amid those of set 1"),
        (vec![part(1, &["@b:x", "@a:x"], true)], "not sorted"),
        (vec![part(1, &["@a:x", "@a:x"], true)], "repeats one"),
        (vec![SetPart { id: 1, content: None, last: true }], "of no kind"),
        (vec![SetPart { last: false, ..whole(1, Expression::Everyone(Everyone {})) }], "only part"),
        (vec![whole(1, Expression::SetId(1))], "set 1 is used, and is not there"),
        (vec![whole(1, Expression::Match("nocolon".into()))], "has no `:`"),
        (vec![whole(1, Expression::AllOf(SetList::default()))], "of no sets"),
        (vec![whole(1, difference(Expression::Everyone(Everyone {}), None))], "of no kind"),
    ] {
        let said = said(parts.clone());
        let as_expected =
            if expected.is_empty() { said.is_empty() } else { said.contains(expected) };
        assert!(as_expected, "{parts:?}: {said}");
    }
}

#[test]
fn edits_count_when_the_contract_says() {
    let mut sets = DefinedSets::default();
    sets.define(part(1, &["@a:x"], true)).unwrap();
    sets.edit(edit(1, &["@a:x"], &["@b:x"])).unwrap();
    assert!(!sets.contains(1, "@a:x").unwrap());
    assert!(!sets.contains(1, "@b:x").unwrap());
    sets.changed();
    assert!(sets.contains(1, "@b:x").unwrap());
    assert!(sets.edit(edit(7, &[], &[])).is_err());
}

#[test]
fn a_set_that_another_refers_to_is_not_retired() {
    let mut sets = DefinedSets::default();
    sets.define(part(1, &["@a:x"], true)).unwrap();
    sets.define(whole(2, Expression::SetId(1))).unwrap();
    assert!(sets.retire(1).is_err());

    let mut sets = DefinedSets::default();
    sets.define(part(1, &["@a:x"], true)).unwrap();
    sets.define(whole(2, Expression::SetId(1))).unwrap();
    sets.retire(2).unwrap();
    sets.retire(1).unwrap();
    assert!(sets.contains(1, "@a:x").is_err());
    assert!(sets.retire(1).is_err());
}
