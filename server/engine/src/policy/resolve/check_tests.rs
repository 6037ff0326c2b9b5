//! Checks a policy's tests without running them: the groups that they name, and the sets
//! that they are about.

use super::groups::Groups;
use super::open_groups::OpenGroups;
use crate::policy::document::room::RoomTest;
use crate::policy::document::{Document, Given, Test, side_key};
use crate::policy::nearest::Nearest;
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;

/// Notes what is wrong with tests whatever the policy decides: groups that are not
/// declared, groups that they cannot give members to, and subjects that are open.
/// `order` has the indices of all groups, each after those it refers to.
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
            "a test takes every member of `{}`, and this set holds unlisted users too; name users, or a group that lists its members",
            side_key(test.side)
        );
        problems.push(Problem::new(ProblemCode::OpenTestSubject, test.subject_position, message));
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
    let (code, message) = match groups.get(&given.group) {
        Some(group) if group.directory => return None,
        Some(group) => {
            let message = format!(
                "group {name} has its members from the policy, in line {}; `given` is for groups of `directory: true`",
                group.position.line
            );
            (ProblemCode::GivenListedGroup, message)
        }
        None => {
            let directory = document.groups.iter().filter(|group| group.directory);
            let near = nearest.find(&given.group, directory.map(|group| group.name.as_str()));
            let hint = near.map(|near| format!("; did you mean {}?", quoted(near)));
            let message = format!("group {name} is not declared{}", hint.unwrap_or_default());
            (ProblemCode::UnknownGroup, message)
        }
    };
    Some(Problem::new(code, given.position, message))
}
