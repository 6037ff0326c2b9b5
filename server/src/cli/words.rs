//! Values of the contract in the words of policies, as several commands print them.

use std::fmt::Write as _;

use presence_router_engine::unstable::policy::wording::escaped;
use presence_router_engine::unstable::policy::wording::rooms::describe_relation;
use presence_router_engine::{Position, ProblemLine};
use presence_router_proto::v1::{
    PolicyProblem, PolicyRule, PresenceField, RuleEffect, RuleRelation,
};
use presence_router_server::rpc::convert::policy as convert;

/// The word for a value of an enum that a later version of the contract added.
pub(crate) const UNKNOWN_VALUE: &str = "a value that this version does not know";

/// The clause for a relation that a later version of the contract added.
pub(crate) const UNKNOWN_RELATION: &str = "a relation holds that this version does not know";

/// Lines for the problems that a daemon found, in the form of `check`. `file` is the policy
/// file; `severity` begins each message.
pub(crate) fn problem_lines(file: &str, severity: &str, problems: &[PolicyProblem]) -> String {
    let line = |problem: &PolicyProblem| {
        let line = ProblemLine {
            file: if problem.file.is_empty() { file } else { &problem.file },
            position: Position { line: problem.line, column: problem.column },
            severity,
            message: &problem.message,
            help: &problem.help,
            code: &problem.code,
        };
        format!("{line}\n")
    };
    problems.iter().map(line).collect()
}

/// The word for a value of an enum of the contract: its name without the prefix of the
/// enum. `unspecified` is the name of the value 0.
pub(crate) fn enum_word(name: &str, unspecified: &str) -> String {
    let prefix = unspecified.strip_suffix("UNSPECIFIED").unwrap_or_default();
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// The effect of a rule, such as `allow`.
pub(crate) fn effect_word(rule: &PolicyRule) -> String {
    enum_word(rule.effect().as_str_name(), RuleEffect::Unspecified.as_str_name())
}

/// A relation as a clause about two users, such as `they share a room`.
pub(crate) fn relation_clause(relation: &RuleRelation) -> String {
    match convert::relation_from_proto(relation) {
        Some(relation) => describe_relation(&relation),
        None => UNKNOWN_RELATION.to_owned(),
    }
}

/// The names of hidden fields.
pub(crate) fn field_words(hidden: &[i32]) -> Vec<String> {
    let word = |field: &i32| match PresenceField::try_from(*field) {
        Ok(field) => enum_word(field.as_str_name(), PresenceField::default().as_str_name()),
        // Not with prost's iterator over such a list, since it skips unknown fields.
        Err(_) => UNKNOWN_VALUE.to_owned(),
    };
    hidden.iter().map(word).collect()
}

/// The hidden fields, and the presence values for which nothing is hidden.
pub(crate) fn describe_hidden_fields(fields: &[i32], unless: &[String]) -> String {
    let mut hidden = field_words(fields).join(", ");
    if !unless.is_empty() {
        let unless: Vec<_> = unless.iter().map(|value| escaped(value)).collect();
        let _ = write!(hidden, " (unless {})", unless.join(", "));
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_later_version_is_printed_as_unknown() {
        let words = field_words(&[PresenceField::StatusMsg as i32, 77]);
        assert_eq!(words, ["status_msg", UNKNOWN_VALUE]);
    }

    #[test]
    fn a_relation_of_a_later_version_is_printed_as_unknown() {
        assert_eq!(relation_clause(&RuleRelation { relation: None }), UNKNOWN_RELATION);
    }
}
