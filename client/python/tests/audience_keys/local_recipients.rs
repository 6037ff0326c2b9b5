//! Synapse shows an ordinary local recipient the state in its database. Only users who see
//! everyone get states from the module's answer, so only from them can fields be hidden.

use crate::{
    Question,
    expressions::{
        CURRENTLY_ACTIVE, STATUS_MSG, any_of, difference, everyone, hide, on_server, users,
    },
    render_fields, render_keys,
};

/// A recipient who gets one state of a sender must get all that follow. Therefore the sender's
/// presence does not matter.
#[test]
fn a_local_recipient_gets_nothing_of_a_sender_with_hidden_fields() {
    let recipients =
        any_of(&[users(&["@a:x", "@c:x", "@d:y"]), difference(everyone(), on_server("d"))]);
    for unless in [&["online"][..], &["busy"], &[]] {
        let hide = hide(users(&["@a:x", "@open:x"]), &[STATUS_MSG], unless);
        let question = Question::about(&recipients).hiding(&[hide]);
        assert_eq!(question.keys(), ["@c:x", "@d:y"], "{unless:?}");
        // Members of the open part, whose keys are added when they ask.
        let hidden = |user| question.audience().hidden_from_local(user, |_| false);
        let [open, other] = ["@open:x", "@other:x"].map(|user| hidden(user).map(render_fields));
        assert_eq!((open, other.as_deref()), (None, Some("")), "{unless:?}");
    }
}

#[test]
fn a_local_user_who_sees_everyone_gets_the_fields_that_are_not_hidden() {
    let from_both = hide(users(&["@a:x", "@all:x"]), &[STATUS_MSG], &["online"]);
    let from_all = hide(users(&["@all:x"]), &[CURRENTLY_ACTIVE], &[]);
    let recipients = users(&["@a:x", "@all:x"]);
    let both = Question::about(&recipients).hiding(&[from_both.clone(), from_all]);
    let one = Question::about(&recipients).hiding(&[from_both]);
    for (question, presence, expected) in [
        (&one, "online", "@all:x"),
        (&one, "busy", "@all:x without status_msg"),
        (&both, "online", "@all:x without currently_active"),
        (&both, "busy", "@all:x without status_msg currently_active"),
    ] {
        let question = question.clone().while_sender_is(presence);
        let keys = question.audience().listed_keys(|user| user == "@all:x");
        assert_eq!(render_keys(keys), [expected]);
        // Nobody sees everyone.
        assert_eq!(question.keys(), [""; 0]);
    }
}

#[test]
fn hides_of_local_recipients_do_not_reach_servers_nor_the_reverse() {
    let from_both = hide(users(&["@a:x", "@b:y"]), &[STATUS_MSG], &[]);
    let question = Question::about(&users(&["@a:x", "@c:x", "@b:y", "@d:z"])).hiding(&[from_both]);
    assert_eq!(question.keys(), ["@b:y without status_msg", "@c:x", "@d:z"]);
}
