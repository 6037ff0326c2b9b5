//! Runs a policy's tests, by the snapshot that would answer homeservers.

mod pairs;
mod rooms;
mod subjects;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use self::pairs::PairTests;
use super::Policy;
use super::document::room::RoomTest;
use super::document::{Given, Test};
use super::problem::Problem;
use crate::routing::engine::Engine;
use crate::routing::model::ruleset::{Ids, Ruleset, Set};
use crate::routing::snapshot::Snapshot;

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

/// Notes each test that fails. `whose` follows the number of a line.
pub(super) fn run(
    policy: &Policy,
    tests: &[Test],
    rooms: &[RoomTest],
    whose: &str,
    problems: &mut Vec<Problem>,
) {
    // What tests are given makes another ruleset, and that a snapshot of its own:
    // one at a time, however many there are.
    let mut by_filling: BTreeMap<Filling<'_>, Tests<'_>> = BTreeMap::new();
    let numbers: HashMap<&str, usize> = (0..)
        .zip(&policy.groups)
        .filter_map(|(number, index)| {
            Some((policy.document.groups.get(*index)?.name.as_str(), number))
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
    let has_directory = policy.ruleset.groups.iter().any(|set| matches!(set, Set::Directory(_)));
    let reasons_left = Cell::new(MOST_REASONS);
    for (filling, tests) in by_filling {
        let given = |index: usize, user: &str| {
            filling.iter().any(|(number, members)| {
                policy.groups.get(*number) == Some(&index) && members.iter().any(|id| id == user)
            })
        };
        let mut run_all = |snapshot: &Snapshot, tests: &Tests<'_>| {
            let pairs = PairTests::new(policy, snapshot, &given, whose, &reasons_left);
            tests.pairs.iter().for_each(|test| pairs.run(test, problems));
            for test in &tests.rooms {
                rooms::run(policy, snapshot, test, whose, problems);
            }
        };
        // Tests see no directory but what they give, whatever is in it now.
        if filling.is_empty() && !has_directory {
            run_all(&policy.snapshot, &tests);
            continue;
        }
        let ruleset = filled(&policy.ruleset, &filling);
        match Engine::new(&ruleset) {
            Ok(engine) => {
                run_all(&engine.snapshot(), &tests);
            }
            // A list of users adds no depth, so this is not reached.
            Err(error) => {
                let positions = tests.pairs.iter().map(|test| test.position);
                let positions = positions.chain(tests.rooms.iter().map(|test| test.position));
                problems.extend(
                    positions
                        .map(|position| Problem::new(position, format!("cannot run: {error}"))),
                );
            }
        }
    }
}

fn filled(ruleset: &Ruleset, filling: &Filling<'_>) -> Ruleset {
    let mut ruleset = ruleset.clone();
    for (number, members) in filling {
        if let Some(group) = ruleset.groups.get_mut(*number) {
            // In the policy's own text, which is much shorter than a list can be.
            let ids = Ids::new(members.iter().map(String::as_str)).unwrap_or_default();
            *group = Set::Users(ids);
        }
    }
    ruleset
}
