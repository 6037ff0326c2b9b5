//! Errors of the YAML library, in words for authors of policies, who know neither its
//! options nor its names for things.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::{Error, ExternalMessageSource, MessageFormatter, UserMessageFormatter};

use super::{MAX_ALIASED, MAX_DEPTH, MAX_POLICY_BYTES, MAX_VALUES};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::is_printable;

/// The problem of a text that is not UTF-8 from an offset on.
pub(in crate::policy::parse) fn not_utf8(text: &[u8], offset: usize) -> Problem {
    let (valid, rest) = text.split_at_checked(offset).unwrap_or((text, &[]));
    let valid = String::from_utf8_lossy(valid);
    let line = valid.matches('\n').count() as u64 + 1;
    let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    let byte = rest.first().copied().unwrap_or_default();
    let message = format!("not UTF-8: the byte 0x{byte:02x} at offset {offset}");
    Problem::new(ProblemCode::NotUtf8, Position { line, column }, message)
}

/// The problem of a text that the library has an error for.
pub(super) fn not_yaml(text: &str, mut error: &Error) -> Problem {
    let at = error.location();
    let position =
        at.map(|at| Position { line: at.line(), column: at.column() }).unwrap_or_default();
    // The position above is where the alias is used.
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let (code, message) = match error {
        Error::Budget { breach, .. } => over_budget(breach),
        Error::ExternalMessage { source, .. } if is_too_deep(source) => too_deep(),
        Error::InvalidScalar { .. } => {
            (ProblemCode::WrongTag, "this value is not what its tag says".to_owned())
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => (
            ProblemCode::TooLarge,
            format!(
                "aliases stand for more than {MAX_ALIASED} values here; declare a group and refer to it"
            ),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => (
            ProblemCode::RecursiveAlias,
            "this alias stands inside of what it stands for".to_owned(),
        ),
        Error::MultipleDocuments { .. } => (
            ProblemCode::SecondDocument,
            "a second YAML document begins here; a policy is one".to_owned(),
        ),
        Error::MergeKeyNotAllowed { .. } => (
            ProblemCode::MergeKey,
            "merge keys (`<<`) are not supported; declare a group and refer to it".to_owned(),
        ),
        Error::UnknownAnchor { .. } => (
            ProblemCode::UnknownAlias,
            "`*` begins an alias, and there is no anchor of its name; put a glob in quotes"
                .to_owned(),
        ),
        error => {
            // YAML reserves `@`, so this is what everybody writes once.
            let unquoted = character_at(text, position) == Some('@');
            let hint = if unquoted { "; put a user id in quotes" } else { "" };
            let message = in_our_style(&UserMessageFormatter.format_message(error));
            (ProblemCode::NotYaml, format!("not YAML: {message}{hint}"))
        }
    };
    Problem::new(code, position, message)
}

fn over_budget(breach: &BudgetBreach) -> (ProblemCode, String) {
    let message = match breach {
        BudgetBreach::Depth { .. } => return too_deep(),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            "too many anchors or aliases; declare a group and refer to it".to_owned()
        }
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            "what the anchors mark is too large; declare a group and refer to it".to_owned()
        }
        BudgetBreach::ScalarBytes { .. } => format!("more than {MAX_POLICY_BYTES} bytes of text"),
        _ => format!("more than {MAX_VALUES} values"),
    };
    (ProblemCode::TooLarge, message)
}

fn too_deep() -> (ProblemCode, String) {
    let message = format!("more than {MAX_DEPTH} lists and maps stand inside each other here");
    (ProblemCode::TooDeep, message)
}

/// The parser counts brackets before the budget counts what is in them.
fn is_too_deep(source: &ExternalMessageSource) -> bool {
    matches!(source, ExternalMessageSource::Parser(error)
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded))
}

fn character_at(text: &str, position: Position) -> Option<char> {
    let line = usize::try_from(position.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(position.column).ok()?.checked_sub(1)?;
    text.split('\n').nth(line)?.chars().nth(column)
}

/// Somebody else's message, which may quote the text: one line, no control
/// characters, lower case, no full stop.
fn in_our_style(message: &str) -> String {
    // It may have its own escapes already; nothing is to be read back from it.
    let mut escaped = String::with_capacity(message.len());
    for c in message.trim().trim_end_matches('.').chars() {
        match c {
            c if is_printable(c) => escaped.push(c),
            c => escaped.extend(c.escape_default()),
        }
    }
    // An abbreviation keeps its capitals.
    if !escaped.chars().nth(1).is_some_and(char::is_uppercase)
        && let Some(first) = escaped.get_mut(..1)
    {
        first.make_ascii_lowercase();
    }
    escaped
}
