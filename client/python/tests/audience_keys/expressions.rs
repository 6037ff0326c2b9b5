//! Short names for set expressions and hides.

use presence_router_client::v1::{
    Everyone, Hide as HideMessage, PresenceField, SetDifference, SetExpression, SetList, UserList,
    set_expression::Expression,
};

use crate::hides::Hide;

pub(crate) const STATUS_MSG: i32 = PresenceField::StatusMsg as i32;
pub(crate) const LAST_ACTIVE_TS: i32 = PresenceField::LastActiveTs as i32;
pub(crate) const CURRENTLY_ACTIVE: i32 = PresenceField::CurrentlyActive as i32;
pub(crate) const PRESENCE: i32 = PresenceField::Presence as i32;

pub(crate) fn users(ids: &[&str]) -> SetExpression {
    let user_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    expression(Expression::Users(UserList { user_ids }))
}

pub(crate) fn everyone() -> SetExpression {
    expression(Expression::Everyone(Everyone {}))
}

pub(crate) fn on_server(glob: &str) -> SetExpression {
    expression(Expression::Server(glob.to_owned()))
}

pub(crate) fn match_users(pattern: &str) -> SetExpression {
    expression(Expression::Match(pattern.to_owned()))
}

pub(crate) fn any_of(sets: &[SetExpression]) -> SetExpression {
    expression(Expression::AnyOf(SetList { sets: sets.to_vec() }))
}

pub(crate) fn difference(any: SetExpression, except: SetExpression) -> SetExpression {
    let (any, except) = (Some(Box::new(any)), Some(Box::new(except)));
    expression(Expression::Difference(Box::new(SetDifference { any, except })))
}

/// Returns the hide as the module reads it from an answer of the daemon.
pub(crate) fn hide(users: SetExpression, fields: &[i32], unless_presence: &[&str]) -> Hide {
    let message = HideMessage {
        users: Some(users),
        fields: fields.to_vec(),
        unless_presence: unless_presence.iter().map(|presence| (*presence).to_owned()).collect(),
    };
    Hide::from(&presence_router_client::Hide::from_message(&message).unwrap())
}

fn expression(expression: Expression) -> SetExpression {
    SetExpression { expression: Some(expression) }
}
