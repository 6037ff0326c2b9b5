//! The evaluation of sets.

pub(crate) mod random;
mod rooms;

use super::*;
use presence_router_proto::v1::{
    Everyone, SetDifference, SetList, UserList, set_expression::Expression,
};

fn of(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}
pub(crate) fn users(ids: &[&str]) -> SetExpression {
    of(Expression::Users(UserList { user_ids: ids.iter().map(|id| (*id).into()).collect() }))
}
pub(crate) fn everyone() -> SetExpression {
    of(Expression::Everyone(Everyone {}))
}
fn server(glob: &str) -> SetExpression {
    of(Expression::Server(glob.into()))
}
fn matching(pattern: &str) -> SetExpression {
    of(Expression::Match(pattern.into()))
}
fn any_of(sets: &[SetExpression]) -> SetExpression {
    of(Expression::AnyOf(SetList { sets: sets.into() }))
}
pub(crate) fn all_of(sets: &[SetExpression]) -> SetExpression {
    of(Expression::AllOf(SetList { sets: sets.into() }))
}
pub(crate) fn minus(any: SetExpression, except: SetExpression) -> SetExpression {
    let (any, except) = (Some(Box::new(any)), Some(Box::new(except)));
    of(Expression::Difference(Box::new(SetDifference { any, except })))
}
fn set(expression: &SetExpression) -> Set {
    Set::new(Some(expression)).unwrap()
}

#[test]
fn each_kind_holds_whom_it_says() {
    for (expression, inside, outside) in [
        (users(&["@b:x", "@a:x"]), &["@a:x", "@b:x"][..], &["@c:x", "@a:X"][..]),
        (everyone(), &["@a:x", "@never:met.before:8448"], &[]),
        (server("*.x"), &["@a:b.x"], &["@a:x", "@b.x:y"]),
        (matching("@*-bot:x"), &["@a-bot:x"], &["@a:x", "@a-bot:y"]),
        (any_of(&[users(&["@a:x"]), server("y")]), &["@a:x", "@q:y"], &["@b:x"]),
        (any_of(&[]), &[], &["@a:x"]),
        (all_of(&[server("x"), matching("@a*:*")]), &["@a:x", "@ab:x"], &["@b:x", "@a:y"]),
        (minus(everyone(), server("x")), &["@a:y"], &["@a:x"]),
        (SetExpression::default(), &[], &["@a:x"]),
    ] {
        let set = set(&expression);
        for user in inside {
            assert!(set.contains(user), "{user} {expression:?}");
        }
        for user in outside {
            assert!(!set.contains(user), "{user} {expression:?}");
        }
    }
    assert!(!Set::new(None).unwrap().contains("@a:x"));
}

#[test]
fn what_has_no_clear_meaning_is_no_verdict() {
    let unset = SetExpression::default();
    for (expression, error) in [
        (of(Expression::SetId(7)), SetError::SetId(7)),
        (any_of(&[of(Expression::SetId(7))]), SetError::SetId(7)),
        (matching("nocolon"), SetError::Pattern),
        (all_of(&[]), SetError::EmptyIntersection),
        (minus(everyone(), unset.clone()), SetError::UnknownException),
        (minus(everyone(), any_of(&[unset])), SetError::UnknownException),
    ] {
        assert_eq!(Set::new(Some(&expression)), Err(error));
    }
}

#[test]
fn extents_tell_where_members_can_be() {
    use Coverage::{Everybody, Nobody, Some};
    for (expression, on_x, on_y, elsewhere) in [
        (users(&["@a:x"]), Some, Nobody, Nobody),
        (users(&["@a:z"]), Nobody, Nobody, Some),
        (everyone(), Everybody, Everybody, Everybody),
        (server("x"), Everybody, Nobody, Nobody),
        (server("?"), Everybody, Everybody, Some),
        (server("*"), Everybody, Everybody, Everybody),
        (server("z"), Nobody, Nobody, Some),
        (matching("@a*:x"), Some, Nobody, Nobody),
        (matching("@*:*"), Everybody, Everybody, Everybody),
        (minus(everyone(), server("y")), Everybody, Nobody, Everybody),
        (minus(everyone(), users(&["@a:y"])), Everybody, Some, Everybody),
        (minus(server("y"), everyone()), Nobody, Nobody, Nobody),
        (all_of(&[everyone(), server("x")]), Everybody, Nobody, Nobody),
        (any_of(&[users(&["@a:y"]), server("x")]), Everybody, Some, Nobody),
    ] {
        let set = set(&expression);
        let found = (
            set.coverage_on_server("x"),
            set.coverage_on_server("y"),
            set.coverage_outside(|name| name == "x" || name == "y"),
        );
        assert_eq!(found, (on_x, on_y, elsewhere), "{expression:?}");
    }
}

#[test]
fn listed_members_are_members() {
    let expression = minus(
        any_of(&[users(&["@c:x", "@a:x", "@b:x"]), server("y"), users(&["@a:x"])]),
        users(&["@b:x", "@z:x"]),
    );
    let listed = set(&expression);
    assert_eq!(listed.listed_users(), ["@a:x", "@c:x"]);
    assert!(listed.is_open());
    let expression = all_of(&[users(&["@b:x", "@a:y"]), server("x"), everyone()]);
    assert_eq!(set(&expression).listed_users(), ["@b:x"]);
    assert!(!set(&expression).is_open());
}

#[test]
fn listed_members_are_no_open_coverage() {
    use Coverage::{Everybody, Nobody, Some};
    for (expression, on_x) in [
        (users(&["@a:x"]), Nobody),
        (everyone(), Everybody),
        (any_of(&[users(&["@a:x"]), server("y")]), Nobody),
        (any_of(&[users(&["@a:y"]), server("x")]), Everybody),
        (all_of(&[users(&["@a:x"]), server("x")]), Nobody),
        (all_of(&[matching("@a*:x"), server("x")]), Some),
        (minus(everyone(), users(&["@a:x"])), Some),
        (minus(any_of(&[users(&["@a:x"]), server("x")]), server("x")), Nobody),
    ] {
        assert_eq!(set(&expression).open_coverage_on_server("x"), on_x, "{expression:?}");
    }
}

#[test]
fn a_set_lists_no_more_users_than_its_bound() {
    for (expression, bound) in [
        (everyone(), 0),
        (users(&["@a:x", "@b:x"]), 2),
        (any_of(&[users(&["@a:x", "@b:x"]), server("y"), users(&["@a:x"])]), 3),
        (all_of(&[users(&["@b:x", "@a:y"]), server("x")]), 2),
        (minus(users(&["@a:x", "@b:x"]), users(&["@b:x", "@c:x"])), 2),
    ] {
        let set = set(&expression);
        assert_eq!(set.listed_users_bound(), bound, "{expression:?}");
        assert!(set.listed_users().len() <= bound, "{expression:?}");
    }
}

#[test]
fn the_size_of_a_set_counts_its_exceptions() {
    for (expression, steps, size) in [
        (everyone(), 1, 1),
        (users(&["@a:x", "@b:x"]), 1, 3),
        (any_of(&[users(&["@a:x"]), server("y"), server("z")]), 4, 5),
        (minus(everyone(), users(&["@b:x", "@c:x"])), 3, 5),
    ] {
        let set = set(&expression);
        assert_eq!((set.steps(), set.size()), (steps, size), "{expression:?}");
    }
}

#[test]
fn everyone_is_everyone_without_exceptions() {
    for expression in [
        everyone(),
        any_of(&[users(&["@a:x"]), everyone()]),
        all_of(&[everyone(), any_of(&[server("x"), everyone()])]),
    ] {
        assert!(set(&expression).is_everyone(), "{expression:?}");
    }
    for expression in [
        minus(everyone(), users(&["@a:x"])),
        minus(everyone(), users(&[])),
        any_of(&[minus(everyone(), server("x")), server("x")]),
        any_of(&[]),
        all_of(&[everyone(), server("x")]),
        server("*"),
        matching("@*:*"),
        users(&[]),
    ] {
        assert!(!set(&expression).is_everyone(), "{expression:?}");
    }
}
