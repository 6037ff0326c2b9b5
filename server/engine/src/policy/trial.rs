//! Runs a policy's tests, by the snapshot that would answer homeservers.

mod pairs;
mod room;
mod subject;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use self::pairs::PairTests;
use self::subject::OpenGroups;
use super::Policy;
use super::document::room::RoomTest;
use super::document::{Document, Given, Group, SetExpr, Test};
use super::problem::{Nearest, Problem, quoted};
use super::read::test::side_key;
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

/// Notes what is wrong with a test whatever the policy decides: groups that are not
/// declared, groups that a test cannot give members to, and subjects that are open.
/// `order` has the indices of all groups, each after those it refers to.
pub(super) fn check(
    document: &Document,
    order: &[usize],
    tests: &[Test],
    rooms: &[RoomTest],
    problems: &mut Vec<Problem>,
) {
    let groups: HashMap<&str, &Group> =
        document.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let mut nearest = Nearest::default();
    check_subjects(document, order, &groups, tests, &mut nearest, problems);
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

fn check_subjects(
    document: &Document,
    order: &[usize],
    groups: &HashMap<&str, &Group>,
    tests: &[Test],
    nearest: &mut Nearest,
    problems: &mut Vec<Problem>,
) {
    let open = OpenGroups::new(document, order);
    for test in tests {
        let mut is_declared = true;
        test.subject.each_part(&mut |part| {
            if let SetExpr::Group { name, place } = part
                && !groups.contains_key(name.as_str())
            {
                is_declared = false;
                let hint = match nearest.of(name, groups_in_order(document)) {
                    Some(near) => format!("; did you mean {}?", quoted(near)),
                    None if groups.is_empty() => "; no groups are declared".to_owned(),
                    None => String::new(),
                };
                let message = format!("group {} is not declared{hint}", quoted(name));
                problems.push(Problem::new(*place, message));
            }
        });
        if is_declared && open.is_open(&test.subject) {
            let message = format!(
                "a test takes every member of `{}`, and this set holds unlisted users too; name users, or a group that lists its members",
                side_key(test.side)
            );
            problems.push(Problem::new(test.subject_place, message));
        }
    }
}

fn groups_in_order(document: &Document) -> impl Iterator<Item = &str> {
    document.groups.iter().map(|group| group.name.as_str())
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
    let has_directory = policy.ruleset.groups.iter().any(|set| matches!(set, Set::Directory(_)));
    let reasons_left = Cell::new(MOST_REASONS);
    for (filling, tests) in by_filling {
        let given = |place: usize, user: &str| {
            filling.iter().any(|(number, members)| {
                policy.groups.get(*number) == Some(&place) && members.iter().any(|id| id == user)
            })
        };
        let mut run_all = |snapshot: &Snapshot, tests: &Tests<'_>| {
            let pairs = PairTests::new(policy, snapshot, &given, whose, &reasons_left);
            tests.pairs.iter().for_each(|test| pairs.run(test, problems));
            for test in &tests.rooms {
                room::run(policy, snapshot, test, whose, problems);
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
                let places = tests.pairs.iter().map(|test| test.place);
                let places = places.chain(tests.rooms.iter().map(|test| test.place));
                problems.extend(
                    places.map(|place| Problem::new(place, format!("cannot run: {error}"))),
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
