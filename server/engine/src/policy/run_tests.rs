//! Runs a policy's tests, on the snapshot that would answer homeservers.

mod hidden_fields;
mod pairs;
mod results;
mod rooms;
mod subjects;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use self::pairs::PairTests;
use super::Policy;
use super::document::room::RoomTest;
use super::document::{Given, Test};
use super::problem::{Position, Problem, ProblemCode};
use crate::routing::engine::Engine;
use crate::routing::model::ruleset::{Ids, Ruleset, Set};
use crate::routing::snapshot::Snapshot;

/// Maximum failures whose reason is computed: computing a reason is slow, and a thousand tests
/// that fail at once have one reason.
const MAX_REASONS: usize = 100;

/// Members for groups, by the number of the group.
type Filling<'t> = BTreeMap<usize, &'t [String]>;

/// Tests with the same given members.
#[derive(Default)]
struct Tests<'t> {
    pairs: Vec<&'t Test>,
    rooms: Vec<&'t RoomTest>,
}

/// Runs tests, and adds a problem for each failure. `origin` follows the number of a line, such
/// as ` of the policy`; it may be empty.
pub(super) fn run_tests(
    policy: &Policy,
    tests: &[Test],
    rooms: &[RoomTest],
    origin: &str,
    problems: &mut Vec<Problem>,
) {
    let has_directory = policy.ruleset.groups.iter().any(|set| matches!(set, Set::Directory(_)));
    let reasons_left = Cell::new(MAX_REASONS);
    // Members that tests give need another ruleset with its own snapshot: only one at a time
    // is in memory, however many there are.
    for (filling, tests) in group_by_filling(policy, tests, rooms) {
        let given = |index: usize, user: &str| {
            filling.iter().any(|(number, members)| {
                policy.groups.get(*number) == Some(&index) && members.iter().any(|id| id == user)
            })
        };
        let mut run_all = |snapshot: &Snapshot| {
            let pairs = PairTests::new(policy, snapshot, &given, origin, &reasons_left);
            tests.pairs.iter().for_each(|test| pairs.run_test(test, problems));
            for test in &tests.rooms {
                rooms::run_test(policy, snapshot, test, origin, problems);
            }
        };
        // Tests see only the members that they give, not the current directory.
        if filling.is_empty() && !has_directory {
            run_all(&policy.snapshot);
            continue;
        }
        match Engine::new(&fill_directory_groups(&policy.ruleset, &filling)) {
            Ok(engine) => run_all(&engine.snapshot()),
            // Not reached: a list of users adds no depth.
            Err(error) => problems.extend(tests.test_positions().map(|position| {
                Problem::new(
                    ProblemCode::TooDeep,
                    position,
                    format!("the test cannot run: {error}"),
                )
            })),
        }
    }
}

/// Groups tests by their given members.
fn group_by_filling<'t>(
    policy: &Policy,
    tests: &'t [Test],
    rooms: &'t [RoomTest],
) -> BTreeMap<Filling<'t>, Tests<'t>> {
    let groups = (0..).zip(&policy.groups).filter_map(|(number, index)| {
        Some((policy.document.groups.get(*index)?.name.as_str(), number))
    });
    let numbers: HashMap<&str, usize> = groups.collect();
    let filling = |given: &'t [Given]| -> Filling<'t> {
        let given = given.iter().filter(|given| !given.members.is_empty());
        let filling = given.filter_map(|given| {
            Some((*numbers.get(given.group.as_str())?, given.members.as_slice()))
        });
        filling.collect()
    };
    let mut by_filling: BTreeMap<Filling<'_>, Tests<'_>> = BTreeMap::new();
    for test in tests {
        by_filling.entry(filling(&test.given)).or_default().pairs.push(test);
    }
    for test in rooms {
        by_filling.entry(filling(&test.given)).or_default().rooms.push(test);
    }
    by_filling
}

/// Returns a copy of the ruleset with members for groups of the directory.
fn fill_directory_groups(ruleset: &Ruleset, filling: &Filling<'_>) -> Ruleset {
    let mut ruleset = ruleset.clone();
    for (number, members) in filling {
        if let Some(group) = ruleset.groups.get_mut(*number) {
            // Cannot fail: the members are in the policy's text, which is much shorter than the
            // maximum of a list.
            let ids = Ids::new(members.iter().map(String::as_str)).unwrap_or_default();
            *group = Set::Users(ids);
        }
    }
    ruleset
}

// === impl Tests ===

impl Tests<'_> {
    fn test_positions(&self) -> impl Iterator<Item = Position> {
        let pairs = self.pairs.iter().map(|test| test.position);
        pairs.chain(self.rooms.iter().map(|test| test.position))
    }
}
