//! Answers of unary calls with parts that the client does not know.

use presence_router_proto::{
    ids::{RoomCapabilities, RoomCapability},
    v1::{
        GetInterestedUsersResponse, GetUsersForStatesResponse, SetExpression, StatesHide, UserList,
        set_expression::Expression,
    },
};

use super::*;
use crate::Error;

fn users(id: &str) -> SetExpression {
    let list = UserList { user_ids: vec![id.to_owned()] };
    SetExpression { expression: Some(Expression::Users(list)) }
}

fn interest(hide: v1::Hide) -> Result<Interest, Error> {
    let user_ids = vec!["@s:x".to_owned()];
    let hides = vec![hide];
    let answer = GetInterestedUsersResponse { user_ids, hides, ..Default::default() };
    Interest::from_unary("@r:x".to_owned(), answer, RoomCapabilities::NONE)
}

#[test]
fn hides_that_are_not_understood_hide_everything() {
    for fields in [vec![], vec![0], vec![77], vec![PresenceField::StatusMsg as i32, 77]] {
        let hide = v1::Hide { users: Some(users("@s:x")), fields, ..Default::default() };
        let interest = interest(hide.clone()).unwrap();
        assert!(interest.visible_senders().hidden_fields("@s:x", "online").presence, "{hide:?}");
    }
}

#[test]
fn hides_of_nobody_knows_whom_are_no_verdict() {
    let fields = vec![PresenceField::StatusMsg as i32];
    for users in [None, Some(SetExpression::default())] {
        let hide = v1::Hide { users, fields: fields.clone(), ..Default::default() };
        let refused =
            |error| matches!(error, Error::Protocol(ProtocolViolation::Set(SetError::UnknownKind)));
        assert!(interest(hide.clone()).is_err_and(refused));
        let hides = vec![StatesHide { hide: Some(hide), state_indexes: vec![0] }];
        let answer = GetUsersForStatesResponse { hides, ..Default::default() };
        let routed = Routed::from_unary(["@s:x".to_owned()].into(), answer, RoomCapabilities::NONE);
        assert!(routed.is_err_and(refused));
    }
}

#[test]
fn a_filter_agrees_with_questions_about_one_sender_each() {
    let status = |unless: &[&str]| v1::Hide {
        users: Some(users("@s:x")),
        fields: vec![PresenceField::StatusMsg as i32],
        unless_presence: unless.iter().map(|one| (*one).to_owned()).collect(),
    };
    let answer = GetInterestedUsersResponse {
        user_ids: ["@r:x", "@s:x", "@t:x"].map(str::to_owned).into(),
        hides: vec![status(&["busy"])],
        ..Default::default()
    };
    let interest = Interest::from_unary("@r:x".to_owned(), answer, RoomCapabilities::NONE).unwrap();
    let senders = [
        ("@t:x", "online"),
        ("@r:x", "online"),
        ("@s:x", "online"),
        ("@u:x", "online"),
        ("@s:x", "busy"),
    ];
    let counterparts = interest.visible_senders();
    let filtered = counterparts.filter_senders(senders);
    let single: Vec<_> = (0..senders.len())
        .filter(|index| counterparts.contains(senders[*index].0))
        .map(|index| {
            let (sender, presence) = senders[index];
            VisibleSender { index, hidden: counterparts.hidden_fields(sender, presence) }
        })
        .collect();
    assert_eq!(filtered, single);
    let indexes: Vec<_> = filtered.iter().map(|one| (one.index, one.hidden.status_msg)).collect();
    assert_eq!(indexes, [(0, false), (2, true), (4, false)]);
    assert_eq!(Counterparts::new("@r:x", None, counterparts.hides()).filter_senders(senders), []);
}

/// Only what the client stated: without rooms, an answer that depends on them is no verdict.
#[test]
fn unary_answers_depend_on_rooms_only_if_the_client_evaluates_them() {
    let room_mates = || {
        let conditions = v1::RoomMates::default();
        SetExpression { expression: Some(Expression::RoomMates(conditions)) }
    };
    let hide = || v1::Hide { users: Some(room_mates()), ..Default::default() };
    let (plain, open) = (GetInterestedUsersResponse::default(), Some(room_mates()));
    let interests = [
        GetInterestedUsersResponse { open_senders: open, ..plain.clone() },
        GetInterestedUsersResponse { hides: vec![hide()], ..plain },
    ];
    let (plain, state_indexes) = (GetUsersForStatesResponse::default(), vec![0]);
    let open = v1::OpenRecipients {
        recipients: Some(room_mates()),
        state_indexes: state_indexes.clone(),
        destinations: Vec::new(),
    };
    let hides = vec![StatesHide { hide: Some(hide()), state_indexes }];
    let routes = [
        GetUsersForStatesResponse { open_recipients: vec![open], ..plain.clone() },
        GetUsersForStatesResponse { hides, ..plain },
    ];
    let unstated = Error::Protocol(ProtocolViolation::Set(SetError::UnstatedCapability));
    let user = || "@s:x".to_owned();
    for (stated, expected) in [
        (RoomCapabilities::NONE, Err(unstated)),
        (RoomCapability::RoomMates.into(), Ok(())),
        (RoomCapabilities::ALL, Ok(())),
    ] {
        for answer in interests.clone() {
            assert_eq!(Interest::from_unary(user(), answer, stated).map(|_| ()), expected);
        }
        for answer in routes.clone() {
            let routed = Routed::from_unary([user()].into(), answer, stated);
            assert_eq!(routed.map(|_| ()), expected);
        }
    }
    let [answer, _] = interests;
    let interest = Interest::from_unary(user(), answer, RoomCapabilities::ALL).unwrap();
    assert_eq!(interest.visible_senders().contains_if("@r:x", |_| Some(true)), Some(true));
    assert!(!interest.visible_senders().contains("@r:x"));
}
