//! Routing under rules that require shared rooms, next to the same rules without.

use std::hint::black_box;
use std::sync::Arc;

use presence_router_engine::unstable::routing::model::ruleset::{Product, Relation, Rule, Set};
use presence_router_engine::{Caller, Effect, Snapshot};
use presence_router_ids::{
    MemberCount, PresenceSharing, RoomCapabilities, RoomCondition, RoomConditions,
};
use presence_router_server::rpc::stream::route::Route;

use crate::worlds::World;
use crate::{BATCH, batches, current_of, route_batch, turns};

/// Time for a state whose audience depends on rooms, next to one whose audience does not. The
/// caller evaluates rooms on both sides.
pub(crate) fn rooms(world: &World) {
    let share_room = |condition| Relation::ShareRoom(RoomConditions::new([condition]));
    let mut ruleset = world.ruleset.clone();
    for rule in &mut ruleset.rules {
        rule.relation = Some(share_room(RoomCondition::AtMost(MemberCount::new(50, []))));
    }
    ruleset.rules.push(Rule {
        effect: Effect::Deny,
        shadow: false,
        products: vec![Product { senders: Set::Everyone, recipients: Set::Everyone }],
        relation: Some(share_room(RoomCondition::PresenceSharing(PresenceSharing::Forbid))),
    });
    let with_rooms = world.engine.with_ruleset(&ruleset).unwrap();
    let batches = batches(&world.users);
    let route = |snapshot: Arc<Snapshot>| {
        let current = current_of(snapshot);
        let caller = Caller::new(["example.org"]).unwrap();
        let caller = caller.with_capabilities(RoomCapabilities::ALL);
        let mut route = Route::new(caller, 0);
        move |bytes: &[u8]| route_batch(&mut route, &current, bytes)
    };
    let mut with = route(with_rooms.snapshot());
    let mut without = route(world.engine.snapshot());
    // Both streams send their sets before the measurement.
    for bytes in &batches {
        drop(black_box((with(bytes), without(bytes))));
    }
    let (with_took, without_took, ratio) = turns(&batches, &mut with, &mut without);
    println!(
        "  route with rooms {:>4} ns a state, without {:>4} ns: {ratio:.2} x",
        with_took.as_nanos() / BATCH as u128,
        without_took.as_nanos() / BATCH as u128,
    );
}
