//! Answers of unary calls with parts that the client does not know.

use presence_router_proto::{
    ids::RoomCapabilities,
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
