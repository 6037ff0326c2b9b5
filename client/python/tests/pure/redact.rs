//! What is hidden of which states: in one version for each server, from ordinary
//! local recipients altogether, and as they may see it from those who see everyone.

use std::{collections::BTreeMap, time::Duration};

use presence_router_client::SetError;
use presence_router_client::v1::{
    Everyone, GetInterestedUsersResponse, GetUsersForStatesResponse, Hide, OpenRecipients,
    PresenceField, RecipientStates, SetExpression, StatesHide, set_expression::Expression,
};

use crate::{
    Less, SetList, answer,
    error::AnswerError,
    everyone_but,
    hides::{Fields, State, hidden_of_sender},
    known_users::KnownUsers,
    listed, of, open, shown, state,
    synapse_answer::{everyone, interest},
    users,
};

const STATUS: i32 = PresenceField::StatusMsg as i32;
const ACTIVE_TS: i32 = PresenceField::LastActiveTs as i32;
const ACTIVE: i32 = PresenceField::CurrentlyActive as i32;
const PRESENCE: i32 = PresenceField::Presence as i32;

fn hide(users: Expression, fields: &[i32], unless: &[&str]) -> Hide {
    Hide {
        users: Some(of(users)),
        fields: fields.into(),
        unless_presence: unless.iter().map(|one| (*one).into()).collect(),
    }
}

/// An answer with hides, each of the states at some positions.
fn hiding(
    recipients: &[RecipientStates],
    open: &[OpenRecipients],
    hides: &[(Hide, &[u32])],
) -> GetUsersForStatesResponse {
    let hides = hides.iter().map(|(hide, indexes)| StatesHide {
        hide: Some(hide.clone()),
        state_indexes: (*indexes).into(),
    });
    GetUsersForStatesResponse { hides: hides.collect(), ..answer(recipients, open) }
}

/// The keys where nobody local asked. Senders are of `x`.
fn sent(states: &[State], answer: GetUsersForStatesResponse) -> Vec<Less> {
    shown(&KnownUsers::new(), states, answer).unwrap_or_else(|why| panic!("{why}")).0
}

fn less(key: &str, whole: &[usize], less: &[(usize, u8)]) -> Less {
    (key.into(), whole.into(), less.into())
}

fn two() -> [State; 2] {
    [state("@s:x", "online"), state("@t:x", "online")]
}

fn all() -> SetExpression {
    of(Expression::Everyone(Everyone {}))
}

#[test]
fn a_server_gets_one_version_without_what_is_hidden_from_any_recipient_there() {
    let recipients =
        [listed("@a:y", &[0, 1]), listed("@b:y", &[0]), listed("@c:y", &[1]), listed("@d:z", &[0])];
    let from_one = hide(users(&["@a:y", "@stranger:z"]), &[STATUS], &[]);
    let found = sent(&two(), hiding(&recipients, &[], &[(from_one.clone(), &[0])]));
    let expected = [
        less("@a:y", &[1], &[(0, 2)]),
        less("@b:y", &[], &[(0, 2)]),
        less("@c:y", &[1], &[]),
        less("@d:z", &[0], &[]),
    ];
    assert_eq!(found, expected);

    // From one this, from another that: they add up, for each state by itself.
    let from_another = hide(users(&["@b:y", "@c:y"]), &[ACTIVE_TS, ACTIVE], &[]);
    let hides: [(Hide, &[u32]); 2] = [(from_one, &[0]), (from_another, &[0, 1])];
    let expected = [
        less("@a:y", &[], &[(0, 2 | 4 | 8), (1, 4 | 8)]),
        less("@b:y", &[], &[(0, 2 | 4 | 8)]),
        less("@c:y", &[], &[(1, 4 | 8)]),
        less("@d:z", &[0], &[]),
    ];
    assert_eq!(sent(&two(), hiding(&recipients, &[], &hides)), expected);
}

#[test]
fn an_open_set_hides_where_it_may_hold_one_from_whom_something_is_hidden() {
    let to = |set, hidden| {
        let recipients = [open(set, &[0], &["y", "z"])];
        sent(&two(), hiding(&[], &recipients, &[(hide(hidden, &[STATUS], &[]), &[0])]))
    };
    let host = |server: &str, hidden: bool| {
        let key = format!("@presence-router:{server}");
        if hidden { less(&key, &[], &[(0, 2)]) } else { less(&key, &[0], &[]) }
    };
    let only_y = [host("d", false), host("y", true), host("z", false)];
    assert_eq!(to(all(), users(&["@a:y"])), only_y);
    assert_eq!(to(all(), Expression::Server("y".into())), only_y);
    assert_eq!(to(all(), Expression::Match("@a*:y".into())), only_y);
    assert_eq!(
        to(all(), Expression::Server("?".into())),
        [host("d", true), host("y", true), host("z", true)]
    );
    // Nobody of that server is a recipient, so it has no key either.
    let but_y = everyone_but(Expression::Server("y".into()));
    assert_eq!(to(but_y, Expression::Server("y".into())), [host("d", false), host("z", false)]);
}

#[test]
fn listed_and_open_recipients_of_one_server_get_the_same_version() {
    // No destination, but one recipient there brings it, and so to the others.
    let recipients = [listed("@friend:q", &[0, 1])];
    let pattern = open(of(Expression::Match("@a*:*".into())), &[0], &[]);
    let hidden = hide(Expression::Match("@a*:q".into()), &[STATUS], &[]);
    let found = sent(
        &two(),
        hiding(&recipients, std::slice::from_ref(&pattern), &[(hidden.clone(), &[0, 1])]),
    );
    assert_eq!(found, [less("@friend:q", &[1], &[(0, 2)]), less("@presence-router:d", &[0], &[])]);
    // Whoever it is hidden from is no recipient of that server.
    let elsewhere = open(everyone_but(Expression::Server("q".into())), &[0], &[]);
    let found = sent(&two(), hiding(&recipients, &[elsewhere], &[(hidden, &[0, 1])]));
    assert_eq!(found, [less("@friend:q", &[0, 1], &[]), less("@presence-router:d", &[0], &[])]);
    // A listed member of an open set is a recipient like others.
    let set = SetList { sets: vec![of(users(&["@m:q"])), of(Expression::Server("d".into()))] };
    let both = open(of(Expression::AnyOf(set)), &[0], &[]);
    let hidden = hide(users(&["@m:q"]), &[STATUS], &[]);
    let found = sent(&two(), hiding(&recipients, &[both], &[(hidden, &[0])]));
    let expected = [
        less("@friend:q", &[1], &[(0, 2)]),
        less("@m:q", &[], &[(0, 2)]),
        less("@presence-router:d", &[0], &[]),
    ];
    assert_eq!(found, expected);
}

/// What is hidden of each state that a key gets; 0 of those that it gets whole.
fn hidden_bits(all: &[Less]) -> BTreeMap<(&str, usize), u8> {
    let of_keys = all.iter().flat_map(|(key, whole, less)| {
        let whole = whole.iter().map(|at| (*at, 0));
        whole.chain(less.iter().copied()).map(|(at, bits)| ((key.as_str(), at), bits))
    });
    of_keys.collect()
}

/// By the definition, for every two hides of these users: what any recipient of the
/// server may not see, whoever else is named, listed or in an open set.
#[test]
fn the_version_of_a_server_is_the_union_over_its_recipients() {
    let all = ["@a:y", "@b:y", "@c:z", "@stranger:y"];
    let recipients = &all[..3];
    let states = [state("@s:x", "online"), state("@t:x", "busy")];
    let subset = |bits: usize| {
        let chosen = all.into_iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
        chosen.map(|(_, id)| id).collect::<Vec<_>>()
    };
    for (one, other) in (0..256).map(|both| (subset(both % 16), subset(both / 16))) {
        let hides: [(Hide, &[u32]); 2] = [
            (hide(users(&one), &[STATUS], &["busy"]), &[0, 1]),
            (hide(users(&other), &[ACTIVE], &[]), &[1]),
        ];
        let is_hidden = |server: &str, from: &[&str]| {
            recipients.iter().any(|id| id.ends_with(server) && from.contains(id))
        };
        let expected = |id: &&str| {
            let (_, server) = id.split_at(2);
            let first = if is_hidden(server, &one) { 2 } else { 0 };
            let second = if is_hidden(server, &other) { 8 } else { 0 };
            let of = [(0, first), (1, second)].into_iter();
            let (hidden, whole): (Vec<_>, Vec<_>) = of.partition(|(_, hidden)| *hidden > 0);
            let whole = whole.into_iter().map(|(at, _)| at).collect();
            ((*id).to_owned(), whole, hidden)
        };
        let expected: Vec<Less> = recipients.iter().map(expected).collect();
        let as_list: Vec<_> = recipients.iter().map(|id| listed(id, &[0, 1])).collect();
        assert_eq!(sent(&states, hiding(&as_list, &[], &hides)), expected, "{one:?} {other:?}");
        let as_open = [open(of(users(recipients)), &[0, 1], &[])];
        let found = sent(&states, hiding(&[], &as_open, &hides));
        if one.contains(&"@stranger:y") || other.contains(&"@stranger:y") {
            // Of an open set, nobody looks who exactly it has on a server: more may be
            // hidden from that, and never less.
            let (found, expected) = (hidden_bits(&found), hidden_bits(&expected));
            assert!(found.keys().eq(expected.keys()), "{one:?} {other:?} {found:?}");
            let less = expected.iter().find(|(at, bits)| found[*at] & **bits != **bits);
            assert_eq!(less, None, "{one:?} {other:?} {found:?}");
        } else {
            assert_eq!(found, expected, "{one:?} {other:?}");
        }
    }
}

#[test]
fn unless_is_decided_for_each_state_and_each_hide() {
    let states = [
        state("@s:x", "online"),
        state("@t:x", "busy"),
        state("@u:x", "x.later"),
        State { presence: None, ..state("@v:x", "") },
    ];
    let every: &[u32] = &[0, 1, 2, 3];
    let recipients = [listed("@a:y", every)];
    let unless_busy = hide(users(&["@a:y"]), &[STATUS], &["offline", "busy"]);
    let found = sent(&states, hiding(&recipients, &[], &[(unless_busy.clone(), every)]));
    assert_eq!(found, [less("@a:y", &[1], &[(0, 2), (2, 2), (3, 2)])]);
    let unless_online = hide(users(&["@a:y"]), &[ACTIVE], &["online"]);
    let hides = [(unless_busy.clone(), every), (unless_online, every)];
    let found = sent(&states, hiding(&recipients, &[], &hides));
    let (both, expected) = (2 | 8, [(0, 2), (1, 8)]);
    assert_eq!(found, [less("@a:y", &[], &[&expected[..], &[(2, both), (3, both)]].concat())]);
    // By an open set, likewise.
    let open = [open(of(Expression::Server("y".into())), every, &["y"])];
    let found = sent(&states, hiding(&[], &open, &[(unless_busy, every)]));
    assert_eq!(found, [less("@presence-router:y", &[1], &[(0, 2), (2, 2), (3, 2)])]);
}

/// Presence hidden is offline without status and activity; so is what we do not know.
#[test]
fn a_field_that_is_not_known_hides_everything() {
    for fields in [&[PRESENCE][..], &[STATUS, 77], &[-1], &[0], &[]] {
        let hides: [(Hide, &[u32]); 1] = [(hide(users(&["@a:y"]), fields, &[]), &[0])];
        let found = sent(&two(), hiding(&[listed("@a:y", &[0, 1])], &[], &hides));
        assert_eq!(found, [less("@a:y", &[1], &[(0, 15)])], "{fields:?}");
    }
}

/// Synapse would show an ordinary one the state of its database; and who once sees
/// one must see all that follow.
#[test]
fn a_local_recipient_gets_nothing_of_a_sender_of_whom_anything_is_hidden() {
    let known_users = KnownUsers::new();
    known_users.ask("@open:x");
    let recipients = [listed("@a:x", &[0, 1]), listed("@c:x", &[0]), listed("@d:y", &[0])];
    let open = [open(everyone_but(Expression::Server("d".into())), &[0, 1], &[])];
    for unless in [&["online"][..], &["busy"], &[]] {
        let hidden = hide(users(&["@a:x", "@open:x"]), &[STATUS], unless);
        let hides: [(Hide, &[u32]); 1] = [(hidden, &[0])];
        let (found, _) = shown(&known_users, &two(), hiding(&recipients, &open, &hides)).unwrap();
        let expected = [
            less("@a:x", &[1], &[]),
            less("@c:x", &[0], &[]),
            less("@d:y", &[0], &[]),
            less("@open:x", &[1], &[]),
        ];
        assert_eq!(found, expected, "{unless:?}");
    }

    let hidden = |unless: &[&str]| GetInterestedUsersResponse {
        user_ids: vec!["@s:x".into(), "@t:x".into()],
        hides: vec![hide(users(&["@s:x"]), &[STATUS], unless)],
        ..Default::default()
    };
    for unless in [&["online"][..], &[]] {
        assert_eq!(interest(hidden(unless), "@a:x", &known_users).unwrap(), ["@t:x"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_sees_everyone_is_woken_by_what_they_may_see() {
    let known_users = KnownUsers::new();
    let found = || {
        let hides: [(Hide, &[u32]); 2] = [
            (hide(users(&["@all:x", "@a:x"]), &[STATUS], &["online"]), &[0]),
            (hide(users(&["@all:x"]), &[ACTIVE], &[]), &[1]),
        ];
        let recipients = [listed("@a:x", &[0]), listed("@all:x", &[0, 1])];
        shown(&known_users, &two(), hiding(&recipients, &[], &hides)).unwrap().0
    };
    assert_eq!(found(), []);
    // An answer to nobody's question.
    known_users.answer("@all:x", true);
    assert_eq!(found(), []);
    known_users.ask("@all:x");
    known_users.answer("@all:x", true);
    let seen = [less("@all:x", &[0], &[(1, 8)])];
    assert_eq!(found(), seen);
    // While the next question is answered, too.
    known_users.ask("@all:x");
    assert_eq!(found(), seen);
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(found(), []);
    known_users.ask("@all:x");
    known_users.answer("@all:x", false);
    assert_eq!(found(), []);
}

#[test]
fn everyone_with_hides_is_everyone_and_says_what_is_hidden_of_whom() {
    let hides = vec![
        hide(users(&["@a:x", "@b:x"]), &[STATUS], &["busy"]),
        hide(Expression::Server("y".into()), &[ACTIVE_TS], &[]),
        hide(users(&["@b:x"]), &[PRESENCE], &[]),
    ];
    let answer =
        GetInterestedUsersResponse { open_senders: Some(all()), hides, ..Default::default() };
    let hides = everyone(&answer).unwrap().unwrap();
    for (sender, presence, hidden) in [
        ("@a:x", "online", 2),
        ("@a:x", "busy", 0),
        ("@b:x", "busy", 15),
        ("@c:y", "busy", 4),
        ("@c:x", "online", 0),
    ] {
        let found = hidden_of_sender(&hides, &state(sender, presence));
        assert_eq!(found, Fields(hidden), "{sender} {presence}");
    }
    let nobodys = State { user_id: None, presence: None };
    assert_eq!(hidden_of_sender(&hides, &nobodys), Fields::ALL);
    assert_eq!(hidden_of_sender(&[], &nobodys), Fields::NONE);
    // Of whom, is not known: no verdict, and not "of nobody".
    for unknown in
        [Hide::default(), Hide { users: Some(SetExpression::default()), ..hides_of(&answer) }]
    {
        let answer = GetInterestedUsersResponse { hides: vec![unknown], ..answer.clone() };
        assert_eq!(everyone(&answer).unwrap_err(), AnswerError::Set(SetError::UnknownKind));
    }
}

fn hides_of(answer: &GetInterestedUsersResponse) -> Hide {
    answer.hides.first().cloned().unwrap_or_default()
}
