//! Relations that never hold, and globs over room ids that miss rooms.

use presence_router_ids::{
    Coverage, Glob, MemberCount, Region, RoomCondition, RoomConditions, UserGlob,
};

use crate::policy::document::Document;
use crate::policy::problem::{Problem, ProblemCode};
use crate::policy::wording::quoted;
use crate::routing::model::ruleset::Relation;

/// The values of a relation that may contradict each other.
#[derive(Default)]
struct Bounds<'r> {
    at_least: Option<&'r MemberCount>,
    at_most: Option<&'r MemberCount>,
    rooms: &'r [Glob],
    not_rooms: &'r [Glob],
}

/// Returns a warning for each rule with a glob over room ids that contains a server name: ids
/// of room version 12 contain none. A whole room id is no such glob.
pub(super) fn warnings(document: &Document) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for rule in &document.rules {
        let Some(Relation::ShareRoom(conditions)) = &rule.relation else { continue };
        let globs = conditions.iter().flat_map(|condition| match condition {
            RoomCondition::Rooms(globs) | RoomCondition::NotRooms(globs) => globs.iter(),
            _ => [].iter(),
        });
        for glob in globs.filter(|glob| !glob.is_literal() && glob.as_str().contains(':')) {
            let (rule_name, text) = (quoted(&rule.name), quoted(glob.as_str()));
            let message = format!(
                "rule {rule_name} compares room ids with {text}, which matches no room of version 12: ids of these rooms contain no server name"
            );
            let help = "list the rooms, or use a condition such as `space` or `join_rule`";
            let warning = Problem::new(ProblemCode::RoomGlobWithServer, rule.position, message);
            warnings.push(warning.with_help(help));
        }
    }
    warnings
}

/// Returns the reason why a relation holds for no pair, if it is certain.
pub(super) fn why_never(relation: &Relation) -> Option<&'static str> {
    let Relation::ShareRoom(conditions) = relation else { return None };
    let Bounds { at_least, at_most, rooms, not_rooms } = Bounds::new(conditions);
    // Two users who share a room are two members, unless one of them does not count.
    if at_most.is_some_and(|count| count.members < 2 && count.not_counting.is_empty()) {
        return Some("a room that two users share has at least 2 members");
    }
    // Both have the same `not_counting`: the text has one for the two.
    if let (Some(at_least), Some(at_most)) = (at_least, at_most)
        && at_least.members > at_most.members
    {
        return Some("`at_least` is more than `at_most`");
    }
    let is_everybody =
        |pattern: &UserGlob| Region::WORLD.covered_by_pattern(pattern) == Coverage::Everybody;
    if at_least.is_some_and(|count| count.not_counting.iter().any(is_everybody)) {
        return Some("`not_counting` contains everybody, so that no room has a member who counts");
    }
    if not_rooms.iter().any(|glob| matches!(glob.as_str(), "*" | "!*")) {
        return Some("`not_rooms` excludes every room");
    }
    let is_excluded = |glob: &Glob| {
        not_rooms.contains(glob)
            || (glob.is_literal() && not_rooms.iter().any(|not| not.matches(glob.as_str())))
    };
    let is_contradiction = !rooms.is_empty() && rooms.iter().all(is_excluded);
    is_contradiction.then_some("`not_rooms` excludes every room of `rooms`")
}

// === impl Bounds ===

impl<'r> Bounds<'r> {
    fn new(conditions: &'r RoomConditions) -> Self {
        let mut bounds = Self::default();
        for condition in conditions {
            match condition {
                RoomCondition::AtLeast(count) => bounds.at_least = Some(count),
                RoomCondition::AtMost(count) => bounds.at_most = Some(count),
                RoomCondition::Rooms(globs) => bounds.rooms = globs,
                RoomCondition::NotRooms(globs) => bounds.not_rooms = globs,
                _ => {}
            }
        }
        bounds
    }
}
