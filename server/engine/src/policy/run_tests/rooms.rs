//! Runs the tests of rules about rooms.

use std::collections::HashSet;

use crate::policy::Policy;
use crate::policy::document::room::{RoomTest, StateEvent, TestRoom, WantedDenial, WantedOutcome};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::rooms::{Room, Verdict, decide};
use crate::policy::wording::quoted;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// The decision about a test's room.
struct Outcome<'p> {
    policy: &'p Policy,
    /// The text after the number of a line, such as ` of the policy`.
    origin: &'p str,
    /// The rule that denies the room, and the errcode.
    denied: Option<(&'p str, &'p str)>,
    /// The added events, each with its rule.
    added: Vec<(&'p str, &'p StateEvent)>,
}

/// Runs a test, and adds a problem for each failure. `origin` follows the number of a line.
pub(super) fn run_test(
    policy: &Policy,
    snapshot: &Snapshot,
    test: &RoomTest,
    origin: &str,
    problems: &mut Vec<Problem>,
) {
    // Not reached without a room: the reader checks ids.
    let Some(room) = room_of(&test.room) else { return };
    let outcome = Outcome::new(policy, origin, decide(policy, snapshot, &room));
    let mut fail = |position: Position, message: String| {
        problems.push(Problem::new(
            ProblemCode::TestFailed,
            position,
            format!("test fails: {message}"),
        ));
    };
    if let Some(WantedDenial { position, outcome: wanted }) = &test.denied
        && let Some(message) = outcome.describe_difference(wanted)
    {
        fail(*position, message);
    }
    for wanted in test.adds.iter().filter(|wanted| outcome.rule_that_adds(&wanted.id).is_none()) {
        let (event, why) = (quoted(&wanted.id), outcome.describe_missing_event());
        fail(wanted.position, format!("{event} is not added to the room: {why}"));
    }
    for unwanted in &test.not {
        if let Some(rule) = outcome.rule_that_adds(&unwanted.id) {
            let (event, rule) = (quoted(&unwanted.id), outcome.describe_rule(rule));
            fail(unwanted.position, format!("{event} is added to the room by {rule}"));
        }
    }
}

/// Returns the room that a test creates. `None`: the requester is not a user id.
fn room_of(room: &TestRoom) -> Option<Room<'_>> {
    let invites = room.invites.iter();
    Some(Room {
        requester: UserId::parse(&room.requester).ok()?,
        is_admin: room.admin,
        preset: room.preset,
        visibility: room.visibility,
        invites: invites.filter_map(|user| UserId::parse(&user.id).ok()).collect(),
        name: room.name.as_deref(),
        initial_state: HashSet::new(),
    })
}

// === impl Outcome ===

impl<'p> Outcome<'p> {
    fn new(policy: &'p Policy, origin: &'p str, verdict: Verdict<'p>) -> Self {
        let (denied, added) = match verdict {
            Verdict::Denied { rule, denial } => (Some((rule, denial.errcode.as_str())), Vec::new()),
            Verdict::Created(added) => (None, added),
        };
        Self { policy, origin, denied, added }
    }

    /// Describes the difference from the outcome that a test wants, if there is one.
    fn describe_difference(&self, wanted: &WantedOutcome) -> Option<String> {
        match (wanted, self.denied) {
            (WantedOutcome::DeniedWith(wanted), None) => {
                let wanted = quoted(wanted);
                Some(format!("the room is not denied with {wanted}: no rule denies it"))
            }
            (WantedOutcome::DeniedWith(wanted), Some((rule, errcode))) if wanted != errcode => {
                let (wanted, errcode) = (quoted(wanted), quoted(errcode));
                let rule = self.describe_rule(rule);
                Some(format!("the room is denied with {errcode} by {rule}, not with {wanted}"))
            }
            (WantedOutcome::Created, Some((rule, errcode))) => {
                let rule = self.describe_rule(rule);
                Some(format!("the room is denied with {} by {rule}", quoted(errcode)))
            }
            (WantedOutcome::DeniedWith(_), Some(_)) | (WantedOutcome::Created, None) => None,
        }
    }

    /// Returns the rule that adds an event of a type.
    fn rule_that_adds(&self, event_type: &str) -> Option<&'p str> {
        let added = self.added.iter().find(|(_, event)| event.event_type == event_type);
        added.map(|(rule, _)| *rule)
    }

    fn describe_missing_event(&self) -> String {
        match self.denied {
            Some((rule, errcode)) => {
                format!(
                    "the room is denied with {} by {}",
                    quoted(errcode),
                    self.describe_rule(rule)
                )
            }
            None => "no matching rule adds it".to_owned(),
        }
    }

    fn describe_rule(&self, name: &str) -> String {
        let rule = self.policy.document.rooms.iter().find(|rule| rule.name == name);
        let line = rule.map(|rule| rule.position.line).unwrap_or_default();
        format!("rule {} (line {line}{})", quoted(name), self.origin)
    }
}
