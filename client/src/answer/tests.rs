//! Answers of unary calls that are not understood in full.

use presence_router_proto::v1::{
    GetInterestedUsersResponse, GetUsersForStatesResponse, SetExpression, StatesHide, UserList,
    set_expression::Expression,
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
    Interest::from_unary("@r:x".to_owned(), answer)
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
        let routed = Routed::from_unary(["@s:x".to_owned()].into(), answer);
        assert!(routed.is_err_and(refused));
    }
}
