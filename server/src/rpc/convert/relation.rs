//! Writes sets of users for whom a relation holds. The caller evaluates the relation.

use std::sync::Arc;

use presence_router_proto::v1::{
    Everyone, SetDifference, SetExpression, SetList, set_expression::Expression,
};

use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_engine::unstable::routing::query::conditional_members::ConditionalMembers;
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;
use presence_router_ids::RoomConditions;

use super::{any_of, members_to_expression, wrap_expression};

/// Writes the users of a set for whom a relation holds.
pub(in crate::rpc) fn restrict_to_relation(
    set: SetExpression,
    relation: &Relation,
) -> SetExpression {
    restrict_to_mates(set, relation, room_mates_of(relation))
}

/// Writes the users of a set for whom a relation holds, where `mates` is the set that
/// [`room_mates_of`] writes, or a reference to it.
pub(in crate::rpc) fn restrict_to_mates(
    set: SetExpression,
    relation: &Relation,
    mates: SetExpression,
) -> SetExpression {
    match relation {
        Relation::ShareRoom(_) if set == everyone() => mates,
        Relation::ShareRoom(_) => {
            wrap_expression(Expression::AllOf(SetList { sets: vec![set, mates] }))
        }
        // The negation stays around the leaf: a caller for which it is unknown if two users share
        // a room must find this unknown too.
        Relation::ShareNoRoom => without(set, mates),
    }
}

/// Writes the room-mates on whom a relation depends. If the relation is negated, it holds for
/// everyone else.
pub(in crate::rpc) fn room_mates_of(relation: &Relation) -> SetExpression {
    match relation {
        Relation::ShareRoom(conditions) => room_mates(conditions),
        Relation::ShareNoRoom => room_mates(&RoomConditions::default()),
    }
}

/// Writes the set of all users.
pub(in crate::rpc) fn everyone() -> SetExpression {
    wrap_expression(Expression::Everyone(Everyone {}))
}

/// Writes the union of sets, without the users of any exception.
pub(in crate::rpc) fn any_of_except(
    sets: Vec<SetExpression>,
    except: Vec<SetExpression>,
) -> SetExpression {
    if except.is_empty() { unite(sets) } else { without(unite(sets), unite(except)) }
}

/// Writes counterparts. Returns `None` if there are none.
pub(in crate::rpc) fn conditional_to_expression(
    members: &ConditionalMembers,
    user_table: &UserTable,
) -> Option<SetExpression> {
    if members.is_empty() {
        return None;
    }
    let always = Some(members.always()).filter(|always| !always.is_empty());
    let mut sets: Vec<_> =
        always.into_iter().map(|always| members_to_expression(always, user_table)).collect();
    let restrict = |(relation, users): &(Arc<Relation>, Members)| {
        restrict_to_relation(members_to_expression(users, user_table), relation)
    };
    sets.extend(members.required().iter().map(restrict));
    Some(any_of_except(sets, members.excluded().iter().map(restrict).collect()))
}

/// Writes the union of sets, and a single set as it is.
pub(in crate::rpc) fn unite(sets: Vec<SetExpression>) -> SetExpression {
    match <[SetExpression; 1]>::try_from(sets) {
        Ok([only]) => only,
        Err(sets) => any_of(sets),
    }
}

fn room_mates(conditions: &RoomConditions) -> SetExpression {
    wrap_expression(Expression::RoomMates(conditions.into()))
}

fn without(any: SetExpression, except: SetExpression) -> SetExpression {
    wrap_expression(Expression::Difference(Box::new(SetDifference {
        any: Some(Box::new(any)),
        except: Some(Box::new(except)),
    })))
}

#[cfg(test)]
mod tests {
    use presence_router_engine::unstable::routing::query::visibility::CallerView;
    use presence_router_engine::{Caller, NoFiles, Router, Side};
    use presence_router_ids::{RoomCapabilities, RoomCondition, UserId};
    use presence_router_proto::v1::{RoomMates, UserList};

    use super::*;

    fn users(ids: &[&str]) -> SetExpression {
        let user_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        wrap_expression(Expression::Users(UserList { user_ids }))
    }

    fn encrypted() -> RoomConditions {
        RoomConditions::new([RoomCondition::Encrypted(true)])
    }

    fn all_of(sets: [SetExpression; 2]) -> SetExpression {
        wrap_expression(Expression::AllOf(SetList { sets: sets.into() }))
    }

    #[test]
    fn a_relation_restricts_a_set() {
        let [some, mates] = [users(&["@a:x"]), room_mates(&encrypted())];
        let share_room = Relation::ShareRoom(encrypted());
        assert_eq!(
            restrict_to_relation(some.clone(), &share_room),
            all_of([some.clone(), mates.clone()])
        );
        assert_eq!(restrict_to_relation(everyone(), &share_room), mates);
        let any_room = wrap_expression(Expression::RoomMates(RoomMates::default()));
        let others = without(some.clone(), any_room);
        assert_eq!(restrict_to_relation(some, &Relation::ShareNoRoom), others);
    }

    #[test]
    fn counterparts_are_written_with_their_relations() {
        let expression = |rules: &str| {
            let router = Router::load("policy.yaml", rules.as_bytes(), &NoFiles).unwrap();
            let snapshot = router.snapshot();
            let caller = Caller::new(["x"]).unwrap().with_capabilities(RoomCapabilities::ALL);
            let user = UserId::parse("@a:x").unwrap();
            let signature = snapshot.signature(user, Side::Sender, &caller);
            let mut counterparts = snapshot.counterparts(&signature, &CallerView::new(caller));
            let certain: Vec<_> = counterparts.take_certain().iter().collect();
            let certain: Vec<String> =
                snapshot.users().ids(certain.into_iter()).map(String::from).collect();
            (certain, conditional_to_expression(&counterparts, snapshot.users()))
        };
        let allow = "rules:\n  - { name: a, allow: { from: '@a:x', to: ['@b:x', '@c:y'] } }\n";
        assert_eq!(expression(allow), (vec!["@b:x".to_owned(), "@c:y".to_owned()], None));
        let deny = "  - { name: d, deny: { from: '@a:x', to: ['@c:y', '@z:z'], share_room: { encrypted: true } } }\n";
        let (certain, rest) = expression(&format!("{allow}{deny}"));
        assert_eq!(certain, ["@b:x"]);
        let only_c = all_of([users(&["@c:y"]), room_mates(&encrypted())]);
        assert_eq!(rest, Some(without(users(&["@c:y"]), only_c)), "`@z:z` is no counterpart");
        let more = "  - { name: m, allow: { from: '@a:x', to: everyone, share_room: { encrypted: true } } }\n";
        let (certain, rest) = expression(&format!("{allow}{more}"));
        assert_eq!((certain.len(), rest), (2, Some(room_mates(&encrypted()))));
    }
}
