//! Text to a tree that remembers where everything stands.
//!
//! Only what YAML itself says is checked here: a text that is not YAML has one
//! problem, since nothing can be told about what follows it. What the tree
//! means is for [`super::read`]. The options bound what a hostile text can cost.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{
    Error, ExternalMessageSource, MessageFormatter, Options, Spanned, UserMessageFormatter,
};

use crate::policy::problem::{Position, Problem};
use crate::policy::wording::is_printable;

/// Most bytes of a policy: a million user ids of the longest kind.
pub const MAX_POLICY_BYTES: usize = 256 << 20;

/// Most values in a policy: some million user ids, each in a list of its own.
const MAX_VALUES: usize = 16_000_000;

/// Most lists and maps inside each other. Twice the depth of sets, which take
/// two each at most, and what stands around them.
const MAX_DEPTH: usize = 80;

/// Stack to read [`MAX_DEPTH`] of them with. Not optimised, the library takes
/// 35 KiB for each, so that what a thread has by itself would not be enough.
const STACK_BYTES: usize = 8 << 20;

/// Most values that aliases may stand for: what keeps a bomb of them small.
const MAX_ALIASED: usize = 100_000;

/// A value and where it stands; for an alias, where it is used.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) position: Position,
    pub(super) value: Value<'a>,
}

/// A value of YAML, as far as a policy needs it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// `None`: not a whole number, or one of more than 64 bits.
    Number(Option<i64>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// Keys and values as they stand, repeated keys included.
    Map(Vec<(Node<'a>, Node<'a>)>),
}

// === impl Node ===

impl Node<'_> {
    /// What a person would call it.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value<'de>>::deserialize(deserializer)?;
        let at = spanned.referenced;
        Ok(Self {
            position: Position { line: at.line(), column: at.column() },
            value: spanned.value,
        })
    }
}

// === impl Value ===

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Some(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(i64::try_from(value).ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(None))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

/// Reads a text.
///
/// # Errors
///
/// The first thing that keeps it from being one YAML document.
pub(super) fn parse(text: &[u8]) -> Result<Node<'_>, Problem> {
    if text.len() > MAX_POLICY_BYTES {
        let message = format!("more than {MAX_POLICY_BYTES} bytes, which is the most that is read");
        return Err(Problem::new(Position::default(), message));
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    with_stack(|| {
        serde_saphyr::from_str_with_options::<Node<'_>>(text, options())
            .map_err(|error| not_yaml(text, error.without_snippet()))
    })
}

fn with_stack<T: Send>(read: impl FnOnce() -> Result<T, Problem> + Send) -> Result<T, Problem> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, read) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let message = format!("there is no thread to read it with: {error}");
                Err(Problem::new(Position::default(), message))
            }
        }
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_VALUES,
            max_nodes: MAX_VALUES,
            max_total_scalar_bytes: MAX_POLICY_BYTES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            // Many uses of few anchors are what anchors are for; what they
            // amount to is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        // The tree keeps both, so that the message can name both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        // An odd number is as wrong as any other, and no end of the reading.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

pub(super) fn not_utf8(text: &[u8], offset: usize) -> Problem {
    let (valid, rest) = text.split_at_checked(offset).unwrap_or((text, &[]));
    let valid = String::from_utf8_lossy(valid);
    let line = valid.matches('\n').count() as u64 + 1;
    let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    let byte = rest.first().copied().unwrap_or_default();
    let message = format!("not UTF-8: the byte 0x{byte:02x} at offset {offset}");
    Problem::new(Position { line, column }, message)
}

/// The library's errors in words for authors of policies, who know neither its
/// options nor its names for things.
fn not_yaml(text: &str, mut error: &Error) -> Problem {
    let at = error.location();
    let position =
        at.map(|at| Position { line: at.line(), column: at.column() }).unwrap_or_default();
    // The position above is where the alias is used.
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let message = match error {
        Error::Budget { breach, .. } => over_budget(breach),
        Error::ExternalMessage { source, .. } if is_too_deep(source) => too_deep(),
        Error::InvalidScalar { .. } => "this value is not what its tag says".to_owned(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => format!(
            "aliases stand for more than {MAX_ALIASED} values here; declare a group and refer to it"
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias stands inside of what it stands for".to_owned()
        }
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here; a policy is one".to_owned()
        }
        Error::MergeKeyNotAllowed { .. } => {
            "merge keys (`<<`) are not supported; declare a group and refer to it".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "`*` begins an alias, and there is no anchor of its name; put a glob in quotes"
                .to_owned()
        }
        error => {
            // YAML reserves `@`, so this is what everybody writes once.
            let unquoted = character_at(text, position) == Some('@');
            let hint = if unquoted { "; put a user id in quotes" } else { "" };
            format!("not YAML: {}{hint}", in_our_style(&UserMessageFormatter.format_message(error)))
        }
    };
    Problem::new(position, message)
}

fn over_budget(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            "too many anchors or aliases; declare a group and refer to it".to_owned()
        }
        BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            "what the anchors mark is too large; declare a group and refer to it".to_owned()
        }
        BudgetBreach::ScalarBytes { .. } => format!("more than {MAX_POLICY_BYTES} bytes of text"),
        _ => format!("more than {MAX_VALUES} values"),
    }
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} lists and maps stand inside each other here")
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
