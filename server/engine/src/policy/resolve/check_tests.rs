//! Checks a policy's tests without running them: the groups that they name, and the sets
//! that they are about.

use std::collections::HashMap;

use super::open_groups::OpenGroups;
use crate::policy::document::room::RoomTest;
use crate::policy::document::{Document, Group, SetExpr, Test, side_key};
use crate::policy::nearest::Nearest;
use crate::policy::problem::Problem;
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
                group.position.line
            ),
            None => {
                let directory = document.groups.iter().filter(|group| group.directory);
                let near = nearest.find(&given.group, directory.map(|group| group.name.as_str()));
                let hint = near.map(|near| format!("; did you mean {}?", quoted(near)));
                format!("group {name} is not declared{}", hint.unwrap_or_default())
            }
        };
        problems.push(Problem::new(given.position, message));
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
            if let SetExpr::Group { name, position } = part
                && !groups.contains_key(name.as_str())
            {
                is_declared = false;
                let hint = match nearest.find(name, groups_in_order(document)) {
                    Some(near) => format!("; did you mean {}?", quoted(near)),
                    None if groups.is_empty() => "; no groups are declared".to_owned(),
                    None => String::new(),
                };
                let message = format!("group {} is not declared{hint}", quoted(name));
                problems.push(Problem::new(*position, message));
            }
        });
        if is_declared && open.is_open(&test.subject) {
            let message = format!(
                "a test takes every member of `{}`, and this set holds unlisted users too; name users, or a group that lists its members",
                side_key(test.side)
            );
            problems.push(Problem::new(test.subject_position, message));
        }
    }
}

fn groups_in_order(document: &Document) -> impl Iterator<Item = &str> {
    document.groups.iter().map(|group| group.name.as_str())
}
