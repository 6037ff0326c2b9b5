//! Relations between two users, conditions on rooms, and facts about rooms, in English.

use presence_router_ids::{Glob, MemberCount, RoomCondition, RoomFacts, UserGlob};

use super::{count, quoted};
use crate::routing::model::ruleset::Relation;

/// Describes a relation as a clause about two users, to follow "if": `they share a room of at
/// most 50 members that is encrypted`.
pub fn describe_relation(relation: &Relation) -> String {
    let conditions = match relation {
        Relation::ShareNoRoom => return "they share no room".to_owned(),
        Relation::ShareRoom(conditions) => conditions,
    };
    let (sizes, others): (Vec<_>, Vec<_>) = conditions.iter().partition(|condition| {
        matches!(condition, RoomCondition::AtMost(_) | RoomCondition::AtLeast(_))
    });
    let sizes: Vec<String> = sizes.into_iter().map(describe_condition).collect();
    let others: Vec<String> = others.into_iter().map(describe_condition).collect();
    let [of, that] = [(" of ", sizes), (" that ", others)].map(|(word, clauses)| {
        if clauses.is_empty() {
            String::new()
        } else {
            format!("{word}{}", join_with(&clauses, "and"))
        }
    });
    format!("they share a room{of}{that}")
}

/// Describes the fact by which a room does not meet a condition, or may not meet it: `has 60
/// members`.
pub(in crate::policy) fn describe_fact(room: &impl RoomFacts, condition: &RoomCondition) -> String {
    let unknown = |what: &str| format!("has {what} that the homeserver does not know");
    match condition {
        RoomCondition::AtMost(wanted) | RoomCondition::AtLeast(wanted) => {
            match room.joined_members(&wanted.not_counting) {
                Some(members) => {
                    format!("has {}", describe_members(members, &wanted.not_counting))
                }
                None => unknown("a number of members"),
            }
        }
        condition if condition.is_met_by(room).is_none() => unknown("a fact"),
        RoomCondition::Encrypted(wanted) => describe_encryption(!wanted),
        RoomCondition::JoinRule(_) => {
            format!("has the join rule {}", quoted(room.join_rule().unwrap_or_default()))
        }
        RoomCondition::HistoryVisibility(_) => {
            let visibility = room.history_visibility().unwrap_or_default();
            format!("has the history visibility {}", quoted(visibility))
        }
        RoomCondition::Rooms(globs) => format!("has an id that {}", matches_none(globs)),
        RoomCondition::NotRooms(globs) => {
            let glob = globs.iter().find(|glob| glob.matches(room.room_id()));
            let glob = glob.map(Glob::as_str).unwrap_or_default();
            format!("has an id that matches {}", quoted(glob))
        }
        RoomCondition::Space(space) => format!("is not in the space {}", quoted(space)),
        RoomCondition::PresenceSharing(hint) => {
            format!("does not have the presence-sharing hint {}", quoted(hint.as_str()))
        }
    }
}

/// Joins texts by commas, and the last two by a word.
fn join_with(texts: &[String], word: &str) -> String {
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Describes a condition, to follow "a room of" if it is about the number of members, and "a
/// room that" otherwise.
fn describe_condition(condition: &RoomCondition) -> String {
    let one_of = |values: &[Box<str>]| {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        join_with(&values, "or")
    };
    match condition {
        RoomCondition::AtMost(MemberCount { members, not_counting }) => {
            format!("at most {}", describe_members(*members, not_counting))
        }
        RoomCondition::AtLeast(MemberCount { members, not_counting }) => {
            format!("at least {}", describe_members(*members, not_counting))
        }
        RoomCondition::Encrypted(wanted) => describe_encryption(*wanted),
        RoomCondition::JoinRule(rules) => format!("has the join rule {}", one_of(rules)),
        RoomCondition::HistoryVisibility(values) => {
            format!("has the history visibility {}", one_of(values))
        }
        RoomCondition::Rooms(globs) => {
            format!("has an id that matches {}", join_with(&quoted_globs(globs), "or"))
        }
        RoomCondition::NotRooms(globs) => format!("has an id that {}", matches_none(globs)),
        RoomCondition::Space(space) => format!("is in the space {}", quoted(space)),
        RoomCondition::PresenceSharing(hint) => {
            format!("has the presence-sharing hint {}", quoted(hint.as_str()))
        }
    }
}

fn describe_members(members: u64, not_counting: &[UserGlob]) -> String {
    let members = count(usize::try_from(members).unwrap_or(usize::MAX), "member");
    let patterns: Vec<String> =
        not_counting.iter().map(|glob| quoted(&glob.to_pattern())).collect();
    match patterns.as_slice() {
        [] => members,
        patterns => format!("{members} (not counting {})", join_with(patterns, "and")),
    }
}

fn describe_encryption(encrypted: bool) -> String {
    if encrypted { "is encrypted" } else { "is not encrypted" }.to_owned()
}

fn matches_none(globs: &[Glob]) -> String {
    match quoted_globs(globs).as_slice() {
        [only] => format!("does not match {only}"),
        globs => format!("matches none of {}", join_with(globs, "and")),
    }
}

fn quoted_globs(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(|glob| quoted(glob.as_str())).collect()
}

#[cfg(test)]
mod tests;
