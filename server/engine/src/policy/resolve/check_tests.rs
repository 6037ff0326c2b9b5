//! Checks the tests of a policy without running them: the groups that they name, and their
//! subjects.

use super::groups::Groups;
use super::open_groups::OpenGroups;
use crate::policy::document::room::RoomTest;
use crate::policy::document::{Document, Given, Test, side_key};
use crate::policy::nearest::Nearest;
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;

/// Reports mistakes in tests that do not depend on the policy's decisions: undeclared
/// groups, groups that a test cannot give members to, and open subjects. `order` has the
/// indices of all groups, each after the groups that it refers to.
pub(in crate::policy) fn check_tests(
    document: &Document,
    order: &[usize],
    tests: &[Test],
    rooms: &[RoomTest],
    problems: &mut Vec<Problem>,
) {
    let groups = Groups::new(document);
    let open = OpenGroups::new(document, order);
    let mut nearest = Nearest::default();
    for test in tests {
        check_subject(test, &groups, &open, &mut nearest, problems);
    }
    let of_rooms = rooms.iter().flat_map(|test| &test.given);
    for given in tests.iter().flat_map(|test| &test.given).chain(of_rooms) {
        problems.extend(given_problem(given, document, &groups, &mut nearest));
    }
}

fn check_subject(
    test: &Test,
    groups: &Groups<'_>,
    open: &OpenGroups<'_>,
    nearest: &mut Nearest,
    problems: &mut Vec<Problem>,
) {
    let before = problems.len();
    test.subject.each_part(&mut |part| problems.extend(groups.undeclared_problem(part, nearest)));
    if problems.len() == before && open.is_open(&test.subject) {
        let message = format!(
            "a test checks every member of `{}`, and this set contains unlisted users",
            side_key(test.side)
        );
        problems.push(
            Problem::new(ProblemCode::OpenTestSubject, test.subject_position, message)
                .with_help("name users, or a group that lists its members"),
        );
    }
}

/// The problem of a group that a test cannot give members to.
fn given_problem(
    given: &Given,
    document: &Document,
    groups: &Groups<'_>,
    nearest: &mut Nearest,
) -> Option<Problem> {
    let name = quoted(&given.group);
    let (code, message, help) = match groups.get(&given.group) {
        Some(group) if group.directory => return None,
        Some(group) => {
            let line = group.position.line;
            let message = format!("the policy lists the members of group {name} in line {line}");
            let help = "remove it from `given`, or declare the group with `directory: true`";
            (ProblemCode::GivenListedGroup, message, help.to_owned())
        }
        None => {
            let directory = document.groups.iter().filter(|group| group.directory);
            let near = nearest.find(&given.group, directory.map(|group| group.name.as_str()));
            let help = near.map_or_else(
                || "declare the group with `directory: true`".to_owned(),
                |near| format!("did you mean {}?", quoted(near)),
            );
            (ProblemCode::UnknownGroup, format!("group {name} is not declared"), help)
        }
    };
    Some(Problem::new(code, given.position, message).with_help(help))
}
