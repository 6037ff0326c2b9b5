//! The known senders, and the local users who asked lately.

#![expect(clippy::unwrap_used, reason = "clippy allows it in test functions, but not in helpers")]

#[path = "known_users/asked.rs"]
mod asked;
#[path = "../src/known_users.rs"]
mod known_users;

use std::time::Duration;

use known_users::KnownUsers;
use presence_router_client::{
    Set,
    v1::{Everyone, SetDifference, SetExpression, UserList, set_expression::Expression},
};
use tokio::time::timeout;

fn known_senders(ids: &[&str]) -> KnownUsers {
    let known_users = KnownUsers::new();
    known_users.remember(ids.iter().copied());
    known_users
}

/// Returns all known senders in the order of their appearance.
fn all_known(known_users: &KnownUsers) -> Vec<String> {
    known_users.known_after(0, usize::MAX).iter().map(|user| String::from(&**user)).collect()
}

#[test]
fn known_senders_are_kept_once_in_the_order_of_their_appearance() {
    let known_users = known_senders(&["@c:x", "@a:y", "@c:x"]);
    known_users.remember(["@b:x", "@a:y"].into_iter());
    assert_eq!(all_known(&known_users), ["@c:x", "@a:y", "@b:x"]);
    assert_eq!(known_users.known_len(), 3);
}

#[test]
fn a_reader_of_known_senders_continues_where_it_stopped() {
    let known_users = known_senders(&["@a:x", "@b:x", "@c:x"]);
    let known_after = |next, limit| {
        let users = known_users.known_after(next, limit);
        users.iter().map(|user| String::from(&**user)).collect::<Vec<_>>()
    };
    assert_eq!(known_after(0, 2), ["@a:x", "@b:x"]);
    assert_eq!(known_after(2, 2), ["@c:x"]);
    assert_eq!(known_after(3, 2), [""; 0]);
    known_users.remember(["@d:x"].into_iter());
    assert_eq!(known_after(3, 2), ["@d:x"]);
}

#[test]
fn a_text_that_is_no_user_id_is_never_known() {
    let too_long = format!("@{}:x", "a".repeat(253));
    let texts = ["@a:x", "", "a", "@a", "@a:", "@a\0:x", "@a:x y", "@a:[x]", &too_long];
    assert_eq!(all_known(&known_senders(&texts)), ["@a:x"]);
}

#[test]
fn an_open_set_contains_known_senders() {
    let known_users = known_senders(&["@a:x", "@b:y", "@hidden:x"]);
    let of = |expression| Some(Box::new(SetExpression { expression: Some(expression) }));
    let any = of(Expression::Everyone(Everyone {}));
    let except = of(Expression::Users(UserList { user_ids: vec!["@hidden:x".to_owned()] }));
    let set = of(Expression::Difference(Box::new(SetDifference { any, except })));
    let set = Set::new(set.as_deref()).unwrap();
    assert_eq!(known_users.known_in(&set), ["@a:x", "@b:y"]);
    assert_eq!(known_users.known_in(&Set::empty()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_until_the_known_senders_are_complete() {
    let known_users = KnownUsers::new();
    assert!(!known_users.is_seeded());
    assert!(timeout(Duration::from_secs(9), known_users.seeded()).await.is_err());
    // The task waits before the known senders are complete ..
    let wait = timeout(Duration::from_secs(9), known_users.seeded());
    let (waited, ()) = tokio::join!(wait, async { known_users.set_seeded() });
    assert!(waited.is_ok());
    // .. or asks afterwards.
    assert!(known_users.is_seeded());
    assert!(timeout(Duration::from_secs(9), known_users.seeded()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_forked_child_takes_over_the_known_senders() {
    let known_users = known_senders(&["@a:x"]);
    assert!(!known_users.copy_in_child().is_seeded());
    known_users.set_seeded();
    known_users.note_answer("@all:x", true);
    let child = known_users.copy_in_child();
    assert!(timeout(Duration::from_secs(9), child.seeded()).await.is_ok());
    // Its own users ask it.
    assert!(!child.sees_everyone("@all:x"));
    assert_eq!(child.asked_state().first, child.asked_state().end);
    child.remember(["@b:x", "@a:x"].into_iter());
    assert_eq!(all_known(&child), ["@a:x", "@b:x"]);
    assert_eq!(all_known(&known_users), ["@a:x"]);
}
