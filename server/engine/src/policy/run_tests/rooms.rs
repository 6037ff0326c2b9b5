//! Runs the tests of rules about rooms.

use std::collections::HashSet;

use crate::policy::Policy;
use crate::policy::document::room::{RoomRule, RoomTest};
use crate::policy::problem::Problem;
use crate::policy::rooms::{Room, Verdict, decide};
use crate::policy::wording::quoted;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// Notes what of a test does not hold. `whose` follows the number of a line.
pub(super) fn run(
    policy: &Policy,
    snapshot: &Snapshot,
    test: &RoomTest,
    whose: &str,
    problems: &mut Vec<Problem>,
) {
    // Not reached without one: reading checks ids.
    let Ok(requester) = UserId::parse(&test.room.requester) else { return };
    let invites = test.room.invites.iter();
    let room = Room {
        requester,
        is_admin: test.room.admin,
        preset: test.room.preset,
        visibility: test.room.visibility,
        invites: invites.filter_map(|user| UserId::parse(&user.id).ok()).collect(),
        name: test.room.name.as_deref(),
        initial_state: HashSet::new(),
    };
    let rule = |name: &str| {
        let rules = &policy.document.rooms;
        let line = rules.iter().find(|rule| rule.name == name).map(line).unwrap_or_default();
        format!("rule {} (line {line}{whose})", quoted(name))
    };
    let mut fail = |position, what: String| {
        problems.push(Problem::new(position, format!("test fails: {what}")));
    };
    let verdict = decide(policy, snapshot, &room);
    let (denied, added) = match &verdict {
        Verdict::Denied { rule: name, denial } => (Some((*name, denial.errcode.as_str())), &[][..]),
        Verdict::Created(added) => (None, added.as_slice()),
    };
    if let Some((wanted, position)) = &test.denied {
        match (wanted, denied) {
            (Some(wanted), None) => {
                let wanted = quoted(wanted);
                fail(*position, format!("the room is not denied with {wanted}: no rule denies it"));
            }
            (Some(wanted), Some((name, errcode))) if wanted != errcode => {
                let (wanted, errcode) = (quoted(wanted), quoted(errcode));
                let by = rule(name);
                fail(
                    *position,
                    format!("the room is denied with {errcode} by {by}, not with {wanted}"),
                );
            }
            (None, Some((name, errcode))) => {
                let by = rule(name);
                fail(*position, format!("the room is denied with {} by {by}", quoted(errcode)));
            }
            _ => {}
        }
    }
    let by = |event_type: &str| added.iter().find(|(_, event)| event.event_type == event_type);
    for wanted in test.adds.iter().filter(|wanted| by(&wanted.id).is_none()) {
        let why = match denied {
            Some((name, errcode)) => {
                format!("it is denied with {} by {}", quoted(errcode), rule(name))
            }
            None => "no rule that matches adds it".to_owned(),
        };
        fail(wanted.position, format!("{} is not added to the room: {why}", quoted(&wanted.id)));
    }
    for unwanted in &test.not {
        if let Some((name, _)) = by(&unwanted.id) {
            let by = rule(name);
            fail(
                unwanted.position,
                format!("{} is added to the room by {by}", quoted(&unwanted.id)),
            );
        }
    }
}

fn line(rule: &RoomRule) -> u64 {
    rule.position.line
}
