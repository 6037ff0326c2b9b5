//! Runs a policy's tests, by the snapshot that would answer homeservers.

mod room;

use std::collections::{BTreeMap, HashMap};

use super::Policy;
use super::document::room::RoomTest;
use super::document::{Document, Given, Group, Named, Test};
use super::explain;
use super::problem::{Nearest, Problem, quoted};
use crate::routing::caller::Caller;
use crate::routing::engine::Engine;
use crate::routing::plan::{Ids, Plan, Set};
use crate::routing::relation::Scope;
use crate::routing::relation::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::user_id::UserId;

/// Most failures of which the reason is looked for: it is looked for without
/// haste, and who breaks a thousand tests at once has one reason.
const MOST_REASONS: usize = 100;

/// Members for groups, by their number.
type Filling<'t> = BTreeMap<usize, &'t [String]>;

/// Tests that are given the same.
#[derive(Default)]
struct Tests<'t> {
    pairs: Vec<&'t Test>,
    rooms: Vec<&'t RoomTest>,
}

/// Notes each group that a test cannot give members to.
pub(super) fn check(
    document: &Document,
    tests: &[Test],
    rooms: &[RoomTest],
    problems: &mut Vec<Problem>,
) {
    let groups: HashMap<&str, &Group> =
        document.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let mut nearest = Nearest::default();
    let of_rooms = rooms.iter().flat_map(|test| &test.given);
    for given in tests.iter().flat_map(|test| &test.given).chain(of_rooms) {
        let name = quoted(&given.group);
        let message = match groups.get(given.group.as_str()) {
            Some(group) if group.directory => continue,
            Some(group) => format!(
                "group {name} has its members from the policy, in line {}; `given` is for groups of `directory: true`",
                group.place.line
            ),
            None => {
                let directory = document.groups.iter().filter(|group| group.directory);
                let near = nearest.of(&given.group, directory.map(|group| group.name.as_str()));
                let hint = near.map(|near| format!("; did you mean {}?", quoted(near)));
                format!("group {name} is not declared{}", hint.unwrap_or_default())
            }
        };
        problems.push(Problem::new(given.place, message));
    }
}

/// Notes each test that fails. `whose` follows the number of a line.
pub(super) fn run(
    policy: &Policy,
    tests: &[Test],
    rooms: &[RoomTest],
    whose: &str,
    problems: &mut Vec<Problem>,
) {
    // What tests are given makes another plan, and that a snapshot of its own:
    // one at a time, however many there are.
    let mut by_filling: BTreeMap<Filling<'_>, Tests<'_>> = BTreeMap::new();
    let numbers: HashMap<&str, usize> = (0..)
        .zip(&policy.groups)
        .filter_map(|(number, place)| {
            Some((policy.document.groups.get(*place)?.name.as_str(), number))
        })
        .collect();
    fn filling<'t>(given: &'t [Given], numbers: &HashMap<&str, usize>) -> Filling<'t> {
        let given = given.iter().filter(|given| !given.members.is_empty());
        let filling = given.filter_map(|given| {
            Some((*numbers.get(given.group.as_str())?, given.members.as_slice()))
        });
        filling.collect()
    }
    for test in tests {
        by_filling.entry(filling(&test.given, &numbers)).or_default().pairs.push(test);
    }
    for test in rooms {
        by_filling.entry(filling(&test.given, &numbers)).or_default().rooms.push(test);
    }
    let has_directory = policy.plan.groups.iter().any(|set| matches!(set, Set::Directory(_)));
    let mut reasons_left = MOST_REASONS;
    for (filling, tests) in by_filling {
        let given = |place: usize, user: &str| {
            filling.iter().any(|(number, members)| {
                policy.groups.get(*number) == Some(&place) && members.iter().any(|id| id == user)
            })
        };
        let reason = |sender: &str, recipient: &str| {
            let Policy { document, groups, .. } = policy;
            let explained = explain::explain(document, groups, &given, sender, recipient);
            explained.reason(document, whose)
        };
        // Tests see no directory but what they give, whatever is in it now.
        if filling.is_empty() && !has_directory {
            run_all(&policy.snapshot, &reason, &tests.pairs, &mut reasons_left, problems);
            for test in tests.rooms {
                room::run(policy, &policy.snapshot, test, whose, problems);
            }
            continue;
        }
        let plan = filled(&policy.plan, &filling);
        match Engine::new(&plan) {
            Ok(engine) => {
                let snapshot = engine.snapshot();
                run_all(&snapshot, &reason, &tests.pairs, &mut reasons_left, problems);
                for test in tests.rooms {
                    room::run(policy, &snapshot, test, whose, problems);
                }
            }
            // A list of users adds no depth, so this is not reached.
            Err(error) => {
                let places = tests.pairs.iter().map(|test| test.place);
                let places = places.chain(tests.rooms.iter().map(|test| test.place));
                problems.extend(
                    places.map(|place| Problem::new(place, format!("cannot run: {error}"))),
                );
            }
        }
    }
}

fn filled(plan: &Plan, filling: &Filling<'_>) -> Plan {
    let mut plan = plan.clone();
    for (number, members) in filling {
        if let Some(group) = plan.groups.get_mut(*number) {
            // In the policy's own text, which is much shorter than a list can be.
            let ids = Ids::new(members.iter().map(String::as_str)).unwrap_or_default();
            *group = Set::Users(ids);
        }
    }
    plan
}

fn run_all(
    snapshot: &Snapshot,
    reason: &dyn Fn(&str, &str) -> String,
    tests: &[&Test],
    reasons_left: &mut usize,
    problems: &mut Vec<Problem>,
) {
    for test in tests {
        let (is, is_not) = match test.side {
            Side::Sender => ("reaches", "does not reach"),
            Side::Recipient => ("sees", "does not see"),
        };
        let sees = counterparts(snapshot, test);
        let wanted = test.yes.iter().map(|other| (other, true));
        for (other, want) in wanted.chain(test.not.iter().map(|other| (other, false))) {
            let found = sees(other);
            if found == want {
                continue;
            }
            let (user, verb) = (quoted(&test.user.id), if found { is } else { is_not });
            let mut message = format!("test fails: {user} {verb} {}", quoted(&other.id));
            if let Some(left) = reasons_left.checked_sub(1) {
                *reasons_left = left;
                let (sender, recipient) = match test.side {
                    Side::Sender => (&test.user.id, &other.id),
                    Side::Recipient => (&other.id, &test.user.id),
                };
                message.push_str(": ");
                message.push_str(&reason(sender, recipient));
            }
            problems.push(Problem::new(other.place, message));
        }
    }
}

/// Whether somebody is a counterpart of the test's user, for a caller whom all
/// of its pairs concern.
fn counterparts<'s>(snapshot: &'s Snapshot, test: &Test) -> impl Fn(&Named) -> bool + 's {
    let user = UserId::parse(&test.user.id).ok();
    let caller = user.and_then(|user| Caller::new([user.server()]).ok());
    let members = user.zip(caller).map(|(user, caller)| {
        let signature = snapshot.signature(user, test.side, &caller);
        snapshot.counterparts(&signature, &Scope::new(caller))
    });
    let own = test.user.id.clone();
    move |other| {
        let who = UserId::parse(&other.id).ok().map(|id| snapshot.people().who(id));
        let is_in = |members| {
            who.is_some_and(|who| crate::routing::members::Members::contains(members, who))
        };
        other.id != own && members.as_ref().is_some_and(is_in)
    }
}
