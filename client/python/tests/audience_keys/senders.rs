//! Hides of an interest: of senders, instead of from recipients.

use presence_router_client::Set;

use crate::{
    audience_keys::{is_shown, listed_senders},
    expressions::{
        LAST_ACTIVE_TS, PRESENCE, STATUS_MSG, any_of, difference, everyone, hide, on_server, users,
    },
    hides::hidden_of_sender,
    render_fields,
};

#[test]
fn an_interest_lists_the_senders_of_whom_nothing_is_hidden() {
    let open = difference(everyone(), users(&["@t:x"]));
    let senders = any_of(&[users(&["@s:x", "@t:x", "@u:y"]), open]);
    let senders = Set::new(Some(&senders)).unwrap();
    assert_eq!(listed_senders(&senders, &[]), ["@s:x", "@t:x", "@u:y"]);
    // The presence does not matter: a user who sees a sender once must see what follows.
    for unless in [&["online"][..], &[]] {
        let hides = [hide(users(&["@s:x", "@open:x"]), &[STATUS_MSG], unless)];
        assert_eq!(listed_senders(&senders, &hides), ["@t:x", "@u:y"], "{unless:?}");
        let shown = ["@s:x", "@t:x", "@open:x"].map(|sender| is_shown(&hides, sender));
        assert_eq!(shown, [false, true, false], "{unless:?}");
    }
}

#[test]
fn a_user_who_sees_everyone_sees_the_fields_of_each_sender_that_are_not_hidden() {
    let hides = [
        hide(users(&["@a:x", "@b:x"]), &[STATUS_MSG], &["busy"]),
        hide(on_server("y"), &[LAST_ACTIVE_TS], &[]),
        hide(users(&["@b:x"]), &[PRESENCE], &["offline"]),
    ];
    let all = "presence status_msg last_active_ts currently_active";
    for (sender, presence, hidden) in [
        ("@a:x", "online", "status_msg"),
        ("@a:x", "busy", ""),
        ("@b:x", "busy", all),
        ("@b:x", "offline", "status_msg"),
        ("@c:y", "busy", "last_active_ts"),
        ("@c:x", "online", ""),
    ] {
        let found = hidden_of_sender(&hides, Some(sender), Some(presence));
        assert_eq!(render_fields(found), hidden, "{sender} {presence}");
    }
    // No exception names an unreadable presence, and no hide an unreadable sender.
    let hidden = |hides, sender| render_fields(hidden_of_sender(hides, sender, None));
    assert_eq!(hidden(&hides, Some("@a:x")), "status_msg");
    assert_eq!(hidden(&hides, None), all);
    assert_eq!(hidden(&[], None), "");
}
