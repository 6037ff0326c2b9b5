//! Synapse sends one copy of a state to a whole server, so that fields hidden from one
//! recipient there are hidden from all of them.

use presence_router_client::v1::{self, SetExpression};

use crate::{
    Question,
    audience_keys::Presence,
    expressions::{
        CURRENTLY_ACTIVE, LAST_ACTIVE_TS, PRESENCE, STATUS_MSG, any_of, difference, everyone, hide,
        match_users, on_server, users,
    },
};

#[test]
fn a_field_hidden_from_one_recipient_is_hidden_from_the_whole_server() {
    let recipients = users(&["@a:y", "@b:y", "@d:z"]);
    let from_a = hide(users(&["@a:y", "@stranger:z"]), &[STATUS_MSG], &[]);
    let question = Question::about(&recipients).hiding(std::slice::from_ref(&from_a));
    let expected = ["@a:y without status_msg", "@b:y without status_msg", "@d:z"];
    assert_eq!(question.keys(), expected);

    // Hides of two recipients of a server add up.
    let from_b = hide(users(&["@b:y"]), &[LAST_ACTIVE_TS, CURRENTLY_ACTIVE], &[]);
    let question = Question::about(&recipients).hiding(&[from_a, from_b]);
    let fields = "status_msg last_active_ts currently_active";
    let [a, b] = ["@a:y", "@b:y"].map(|user| format!("{user} without {fields}"));
    assert_eq!(question.keys(), [&a, &b, "@d:z"]);
}

#[test]
fn an_open_audience_hides_where_it_may_contain_a_recipient_that_a_hide_names() {
    let keys = |recipients: &SetExpression, hidden_from: SetExpression| {
        let hide = hide(hidden_from, &[STATUS_MSG], &[]);
        Question::about(recipients).naming(&["y", "z"]).hiding(&[hide]).keys()
    };
    let only_on_y =
        ["@presence-router:d", "@presence-router:y without status_msg", "@presence-router:z"];
    assert_eq!(keys(&everyone(), users(&["@a:y"])), only_on_y);
    assert_eq!(keys(&everyone(), on_server("y")), only_on_y);
    assert_eq!(keys(&everyone(), match_users("@a*:y")), only_on_y);
    let on_all = ["d", "y", "z"].map(|name| format!("@presence-router:{name} without status_msg"));
    assert_eq!(keys(&everyone(), on_server("?")), on_all);
    // Nobody on `y` is a recipient, so `y` has no key either.
    let not_y = difference(everyone(), on_server("y"));
    assert_eq!(keys(&not_y, on_server("y")), ["@presence-router:d", "@presence-router:z"]);
}

#[test]
fn listed_and_open_recipients_of_one_server_get_the_same_fields() {
    let from_matching = hide(match_users("@a*:q"), &[STATUS_MSG], &[]);
    let question = |open: SetExpression| {
        let recipients = any_of(&[users(&["@friend:q"]), open]);
        Question::about(&recipients).hiding(std::slice::from_ref(&from_matching))
    };
    // Nobody names the server `q`, but Synapse sends to it for the listed recipient, and so
    // reaches the others there.
    let expected = ["@friend:q without status_msg", "@presence-router:d"];
    assert_eq!(question(match_users("@a*:*")).keys(), expected);
    // The users of the hide are no recipients.
    let not_q = difference(everyone(), on_server("q"));
    assert_eq!(question(not_q).keys(), ["@friend:q", "@presence-router:d"]);
}

/// Checks all pairs of hides whose users are subsets of four users against the definition: a
/// server does not get a field that any recipient on it may not see.
#[test]
fn a_server_gets_the_fields_that_all_of_its_recipients_may_see() {
    const ALL: [&str; 4] = ["@a:y", "@b:y", "@c:z", "@stranger:y"];
    let listed = &ALL[..3];
    // The recipients, who of `ALL` they are, and their keys. All are exact: an open part that
    // contains nobody on a server hides nothing there.
    let audiences = [
        (users(listed), listed, listed),
        (any_of(&[users(listed), on_server("elsewhere")]), listed, listed),
        (any_of(&[users(&["@c:z"]), on_server("y")]), &ALL[..], &["@c:z", "@presence-router:y"]),
    ];
    let subset = |bits: usize| {
        let chosen = ALL.into_iter().enumerate().filter(move |(index, _)| bits >> index & 1 == 1);
        chosen.map(|(_, user)| user).collect::<Vec<_>>()
    };
    for (first, second) in (0..256).map(|bits| (subset(bits % 16), subset(bits / 16))) {
        let hides = [
            hide(users(&first), &[STATUS_MSG], &["busy"]),
            hide(users(&second), &[CURRENTLY_ACTIVE], &[]),
        ];
        for (recipients, members, keys) in &audiences {
            for presence in ["online", "busy"] {
                let expected = |key: &&str| {
                    let (_, server) = key.split_once(':').unwrap();
                    let on_server = || members.iter().filter(|member| member.ends_with(server));
                    let status = presence != "busy" && on_server().any(|it| first.contains(it));
                    let active = on_server().any(|it| second.contains(it));
                    match (status, active) {
                        (true, true) => format!("{key} without status_msg currently_active"),
                        (true, false) => format!("{key} without status_msg"),
                        (false, true) => format!("{key} without currently_active"),
                        (false, false) => (*key).to_owned(),
                    }
                };
                let expected: Vec<_> = keys.iter().map(expected).collect();
                let question = Question::about(recipients).naming(&["y"]).hiding(&hides);
                let found = question.while_sender_is(presence).keys();
                assert_eq!(found, expected, "{first:?} {second:?} {recipients:?} {presence}");
            }
        }
    }
}

#[test]
fn each_hide_has_its_own_exceptions_for_presences() {
    let unless_busy = |users| hide(users, &[STATUS_MSG], &["offline", "busy"]);
    let unless_online = hide(users(&["@a:y"]), &[CURRENTLY_ACTIVE], &["online"]);
    let listed = Question::about(&users(&["@a:y"]));
    let one = listed.clone().hiding(&[unless_busy(users(&["@a:y"]))]);
    let two = listed.hiding(&[unless_busy(users(&["@a:y"])), unless_online]);
    let open = Question::about(&on_server("d")).hiding(&[unless_busy(on_server("d"))]);
    for (presence, by_one, by_two) in [
        ("online", " without status_msg", " without status_msg"),
        ("busy", "", " without currently_active"),
        ("offline", "", " without currently_active"),
        // A value of a later specification, which no exception names.
        ("x.later", " without status_msg", " without status_msg currently_active"),
    ] {
        let keys = |question: &Question| question.clone().while_sender_is(presence).keys();
        assert_eq!(keys(&one), [format!("@a:y{by_one}")], "{presence}");
        assert_eq!(keys(&two), [format!("@a:y{by_two}")], "{presence}");
        assert_eq!(keys(&open), [format!("@presence-router:d{by_one}")], "{presence}");
    }
}

#[test]
fn no_exception_holds_for_a_presence_that_none_names() {
    let except_all = ["", "online", "unavailable", "offline", "busy"];
    let from_a = hide(users(&["@a:y"]), &[STATUS_MSG], &except_all);
    let mut question = Question::about(&users(&["@a:y"])).hiding(&[from_a]);
    assert_eq!(question.keys(), ["@a:y"]);
    question.kind.presence = Presence::Other;
    assert_eq!(question.keys(), ["@a:y without status_msg"]);
}

/// Other servers may send any text, and each presence that counts takes memory.
#[test]
fn only_a_presence_that_an_exception_names_counts() {
    let hide = |unless: &[&str]| {
        let unless_presence = unless.iter().map(|one| (*one).to_owned()).collect();
        let users = Some(users(&["@a:y"]));
        let message = v1::Hide { users, fields: vec![STATUS_MSG], unless_presence };
        presence_router_client::Hide::from_message(&message).unwrap()
    };
    let hides = [hide(&["busy"]), hide(&[]), hide(&["online", "x.later"])];
    for named in ["busy", "online", "x.later"] {
        assert_eq!(Presence::new(Some(named), &hides), Presence::Named(named.to_owned()));
        assert_eq!(Presence::new(Some(named), &[]), Presence::Other);
    }
    for other in [Some("unavailable"), Some(""), Some("BUSY"), None] {
        assert_eq!(Presence::new(other, &hides), Presence::Other, "{other:?}");
    }
}

/// A user without presence looks offline, without status and activity.
#[test]
fn an_unknown_field_hides_everything() {
    for fields in [&[PRESENCE][..], &[STATUS_MSG, 77], &[-1], &[0], &[]] {
        let from_a = hide(users(&["@a:y"]), fields, &[]);
        let question = Question::about(&users(&["@a:y", "@b:z"])).hiding(&[from_a]);
        let a = "@a:y without presence status_msg last_active_ts currently_active";
        assert_eq!(question.keys(), [a, "@b:z"], "{fields:?}");
    }
}
