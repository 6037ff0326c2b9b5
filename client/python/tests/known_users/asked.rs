//! Local users who asked for their interest are remembered for one to two hours.

use std::time::Duration;

use tokio::time::advance;

use crate::known_users::{AskedPosition, KnownUsers};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// Returns the users from a position on, and the position after them. `None`: the position is
/// of an earlier period.
fn asked_after(
    known_users: &KnownUsers,
    position: AskedPosition,
    limit: usize,
) -> Option<(Vec<String>, AskedPosition)> {
    let (users, next) = known_users.asked_after(position, limit)?;
    Some((users.iter().map(|user| String::from(&**user)).collect(), next))
}

/// Returns all users who asked lately, sorted.
fn all_asked(known_users: &KnownUsers) -> Vec<String> {
    let first = known_users.asked_state().first;
    let (mut users, end) = asked_after(known_users, first, usize::MAX).unwrap();
    assert_eq!(end, known_users.asked_state().end);
    assert_eq!(users.len(), known_users.asked_len());
    users.sort();
    users
}

#[tokio::test(start_paused = true)]
async fn users_are_forgotten_one_to_two_hours_after_their_last_question() {
    let known_users = KnownUsers::new();
    known_users.note_question("@first:x");
    known_users.note_question("@again:x");
    advance(HOUR).await;
    // The last moment of the first hour.
    known_users.note_question("@last:x");
    advance(MOMENT).await;
    known_users.note_question("@again:x");
    known_users.note_question("@later:x");
    advance(HOUR - MOMENT).await;
    assert_eq!(all_asked(&known_users), ["@again:x", "@first:x", "@last:x", "@later:x"]);
    advance(MOMENT).await;
    assert_eq!(all_asked(&known_users), ["@again:x", "@later:x"]);
    advance(HOUR).await;
    assert_eq!(all_asked(&known_users), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn users_are_forgotten_as_early_if_nobody_asks_meanwhile() {
    let known_users = KnownUsers::new();
    known_users.note_question("@a:x");
    advance(2 * HOUR).await;
    assert_eq!(all_asked(&known_users), ["@a:x"]);
    advance(MOMENT).await;
    assert_eq!(all_asked(&known_users), [""; 0]);
    // Nothing happens for more than two hours, before and after the question.
    advance(9 * HOUR).await;
    known_users.note_question("@b:x");
    advance(9 * HOUR).await;
    assert_eq!(all_asked(&known_users), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_continues_where_it_stopped() {
    let known_users = KnownUsers::new();
    ["@c:x", "@a:x", "@c:x", "@b:x"].iter().for_each(|user| known_users.note_question(user));
    let position = known_users.asked_state().first;
    let (users, position) = asked_after(&known_users, position, 2).unwrap();
    assert_eq!(users, ["@c:x", "@a:x"]);
    assert_ne!(position, known_users.asked_state().end);
    let (users, position) = asked_after(&known_users, position, 2).unwrap();
    assert_eq!(users, ["@b:x"]);
    assert_eq!(position, known_users.asked_state().end);
    // An answer to a user who asked, and a new user.
    known_users.note_answer("@a:x", true);
    known_users.note_answer("@d:x", false);
    let (users, position) = asked_after(&known_users, position, 2).unwrap();
    assert_eq!(users, ["@d:x"]);
    assert_eq!(asked_after(&known_users, position, 2), Some((Vec::new(), position)));
}

#[tokio::test(start_paused = true)]
async fn a_new_period_makes_positions_invalid() {
    let known_users = KnownUsers::new();
    known_users.note_question("@a:x");
    known_users.note_question("@b:x");
    let position = known_users.asked_state().end;
    assert!(position.is_of_same_period(known_users.asked_state().first));
    advance(HOUR + MOMENT).await;
    assert_eq!(asked_after(&known_users, position, 9), None);
    assert!(!position.is_of_same_period(known_users.asked_state().first));
    // The log begins with the users of the earlier period, each of them once.
    let position = known_users.asked_state().end;
    known_users.note_question("@b:x");
    known_users.note_question("@c:x");
    assert_eq!(all_asked(&known_users), ["@a:x", "@b:x", "@c:x"]);
    let (users, _) = asked_after(&known_users, position, 9).unwrap();
    assert_eq!(users, ["@c:x"]);
}

#[tokio::test(start_paused = true)]
async fn a_user_sees_everyone_until_another_answer_or_for_two_hours() {
    let known_users = KnownUsers::new();
    let sees_everyone = || known_users.sees_everyone("@all:x");
    known_users.note_question("@all:x");
    assert!(!sees_everyone());
    known_users.note_answer("@all:x", true);
    assert!(sees_everyone());
    // The next question is not answered yet, in this hour and in the next one.
    known_users.note_question("@all:x");
    assert!(sees_everyone());
    advance(HOUR + MOMENT).await;
    assert!(sees_everyone());
    known_users.note_question("@all:x");
    assert!(sees_everyone());
    advance(2 * HOUR).await;
    assert!(!sees_everyone());
    known_users.note_question("@all:x");
    assert!(!sees_everyone());
    known_users.note_answer("@all:x", true);
    known_users.note_answer("@all:x", false);
    assert!(!sees_everyone());
    assert!(!known_users.sees_everyone("@stranger:x"));
}

#[tokio::test(start_paused = true)]
async fn each_change_of_the_users_who_see_everyone_has_a_new_number() {
    let known_users = KnownUsers::new();
    let number = || known_users.asked_state().changes_of_everyone;
    let mut before = number();
    let mut is_new = || {
        let is_new = number() != before;
        before = number();
        is_new
    };
    known_users.note_question("@all:x");
    known_users.note_answer("@all:x", false);
    assert!(!is_new());
    known_users.note_answer("@all:x", true);
    assert!(is_new());
    known_users.note_question("@all:x");
    known_users.note_answer("@all:x", true);
    assert!(!is_new());
    known_users.note_answer("@all:x", false);
    assert!(is_new());
    known_users.note_answer("@all:x", true);
    assert!(is_new());
    // A new hour forgets nobody who asked in the last one.
    advance(HOUR + MOMENT).await;
    assert!(!is_new());
    advance(HOUR).await;
    assert!(!known_users.sees_everyone("@all:x"));
    assert!(is_new());
    // The same, after a long time without a question.
    known_users.note_answer("@all:x", true);
    assert!(is_new());
    advance(9 * HOUR).await;
    assert!(is_new());
    assert!(!known_users.sees_everyone("@all:x"));
    // Forgotten users who do not see everyone do not count.
    known_users.note_answer("@a:x", false);
    advance(9 * HOUR).await;
    assert!(!is_new());
}
