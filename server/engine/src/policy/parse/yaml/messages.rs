//! Translates errors of the YAML library for authors of policies, who know neither the
//! library's options nor its terms.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::{Error, ExternalMessageSource, MessageFormatter, UserMessageFormatter};

use super::{MAX_ALIASED, MAX_DEPTH, MAX_POLICY_BYTES, MAX_VALUES};
use crate::policy::problem::{Position, Problem, ProblemCode};
use crate::policy::wording::{is_printable, quoted};

/// The help for a text that repeats or nests too much.
const DECLARE_A_GROUP: &str = "declare a group and refer to it";

/// The problem of a text that is not UTF-8 at an offset.
pub(in crate::policy::parse) fn not_utf8(text: &[u8], offset: usize) -> Problem {
    let (valid, rest) = text.split_at_checked(offset).unwrap_or((text, &[]));
    let valid = String::from_utf8_lossy(valid);
    let line = valid.matches('\n').count() as u64 + 1;
    let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    let byte = rest.first().copied().unwrap_or_default();
    let message = format!("not UTF-8: the byte 0x{byte:02x} at offset {offset}");
    Problem::new(ProblemCode::NotUtf8, Position { line, column }, message)
        .with_help("save the file as UTF-8")
}

/// The problem for an error of the library.
pub(super) fn not_yaml(text: &str, mut error: &Error) -> Problem {
    let at = error.location();
    let position =
        at.map(|at| Position { line: at.line(), column: at.column() }).unwrap_or_default();
    // The position above is the place where the alias is used.
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let (code, message, help) = match error {
        Error::Budget { breach, .. } => over_budget(breach),
        Error::ExternalMessage { source, .. } if is_too_deep(source) => too_deep(),
        Error::InvalidScalar { .. } => {
            (ProblemCode::WrongTag, "the value contradicts its tag".to_owned(), "remove the tag")
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => (
            ProblemCode::TooLarge,
            format!("the aliases expand to more than {MAX_ALIASED} values here"),
            DECLARE_A_GROUP,
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => (
            ProblemCode::RecursiveAlias,
            "the alias is part of the value that it refers to".to_owned(),
            "write the inner value out",
        ),
        Error::MultipleDocuments { .. } => (
            ProblemCode::SecondDocument,
            "a second YAML document begins here".to_owned(),
            "keep one document in a file",
        ),
        Error::MergeKeyNotAllowed { .. } => (
            ProblemCode::MergeKey,
            "merge keys (`<<`) are not supported".to_owned(),
            DECLARE_A_GROUP,
        ),
        Error::UnknownAnchor { .. } => (
            ProblemCode::UnknownAlias,
            "`*` begins an alias, and no anchor has its name".to_owned(),
            "put a glob in quotes",
        ),
        Error::UnsupportedTag { tag, .. } => (
            ProblemCode::NotYaml,
            format!("not YAML: {} is read as a YAML tag", quoted(tag)),
            if tag.starts_with('!') { "put a room id in quotes" } else { "remove the tag" },
        ),
        error => {
            // YAML reserves `@`, so this is the usual mistake.
            let unquoted = character_at(text, position) == Some('@');
            let help = if unquoted { "put a user id in quotes" } else { "" };
            let message = restyle_message(&UserMessageFormatter.format_message(error));
            (ProblemCode::NotYaml, format!("not YAML: {message}"), help)
        }
    };
    Problem::new(code, position, message).with_help(help)
}

fn over_budget(breach: &BudgetBreach) -> (ProblemCode, String, &'static str) {
    let (message, help) = match breach {
        BudgetBreach::Depth { .. } => return too_deep(),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            ("the text has too many anchors or aliases".to_owned(), DECLARE_A_GROUP)
        }
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            ("the values of the anchors are too large".to_owned(), DECLARE_A_GROUP)
        }
        BudgetBreach::ScalarBytes { .. } => (
            format!("the values have more than {MAX_POLICY_BYTES} bytes"),
            "move users into members files",
        ),
        _ => {
            (format!("the text has more than {MAX_VALUES} values"), "move users into members files")
        }
    };
    (ProblemCode::TooLarge, message, help)
}

fn too_deep() -> (ProblemCode, String, &'static str) {
    let message = format!("lists and maps are nested more than {MAX_DEPTH} deep here");
    (ProblemCode::TooDeep, message, DECLARE_A_GROUP)
}

/// True for the parser's own limit on nested brackets, which it reaches before the
/// budget counts the values in the brackets.
fn is_too_deep(source: &ExternalMessageSource) -> bool {
    matches!(source, ExternalMessageSource::Parser(error)
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded))
}

fn character_at(text: &str, position: Position) -> Option<char> {
    let line = usize::try_from(position.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(position.column).ok()?.checked_sub(1)?;
    text.split('\n').nth(line)?.chars().nth(column)
}

/// Puts a message of the library, which may quote the text, into our style: one line, no
/// control characters, lower case, no full stop.
fn restyle_message(message: &str) -> String {
    // The message may have escapes already; nobody reads the text back from it.
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
