//! Parses text into a tree that keeps the position of every value.
//!
//! Checks the rules of YAML only: a text that is not YAML has one problem, since the text
//! behind the error cannot be judged. [`super::read`] gives the tree its meaning. The
//! options bound the cost of a hostile text.

mod messages;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Options, Spanned};

pub(super) use self::messages::not_utf8;
use self::messages::not_yaml;
use crate::policy::problem::{Position, Problem, ProblemCode};

/// Most bytes of a policy: enough for a million user ids of maximum length.
pub const MAX_POLICY_BYTES: usize = 256 << 20;

/// Most values in a policy: enough for several million user ids, each in its own list.
const MAX_VALUES: usize = 16_000_000;

/// Maximum nesting of lists and maps. Twice the depth of sets, since a set takes at most
/// two of them, plus the levels around sets.
const MAX_DEPTH: usize = 80;

/// Stack for a text that is nested [`MAX_DEPTH`] deep. Without optimisation the library
/// takes 35 KiB for each level, more than the default stack of a thread allows.
const STACK_BYTES: usize = 8 << 20;

/// Most values that all aliases together may expand to: a bound for alias bombs.
const MAX_ALIASED: usize = 100_000;

/// A value and its position. The position of an alias is the place of its use.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) position: Position,
    pub(super) value: Value<'a>,
}

/// A YAML value, with the types that a policy distinguishes.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// `None`: not a whole number, or one of more than 64 bits.
    Number(Option<i64>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// Keys and values in the order of the text, including repeated keys.
    Map(Vec<(Node<'a>, Node<'a>)>),
}

// === impl Node ===

impl Node<'_> {
    /// The type of the value, in words for messages.
    pub(super) fn type_name(&self) -> &'static str {
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

/// Parses a text.
///
/// # Errors
///
/// The first reason why the text is not one YAML document.
pub(super) fn parse(text: &[u8]) -> Result<Node<'_>, Problem> {
    if text.len() > MAX_POLICY_BYTES {
        let message = format!("the text has more than {MAX_POLICY_BYTES} bytes");
        return Err(Problem::new(ProblemCode::TooLarge, Position::default(), message)
            .with_help("move users into members files"));
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    run_with_stack(|| {
        serde_saphyr::from_str_with_options::<Node<'_>>(text, parse_options())
            .map_err(|error| not_yaml(text, error.without_snippet()))
    })
}

fn run_with_stack<T: Send>(read: impl FnOnce() -> Result<T, Problem> + Send) -> Result<T, Problem> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, read) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let message = format!("no thread started to read the text: {error}");
                Err(Problem::new(ProblemCode::NoThread, Position::default(), message)
                    .with_help("raise the limit on threads or memory, and try again"))
            }
        }
    })
}

fn parse_options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * MAX_VALUES,
            max_nodes: MAX_VALUES,
            max_total_scalar_bytes: MAX_POLICY_BYTES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            // Anchors exist to be used many times; `alias_limits` bounds the
            // size of their expansion.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        // The tree keeps both keys, so that the message can name both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        // `read` rejects such a number like any other wrong type, and reads on.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}
