//! What is wrong with a policy, and where: one line for each problem, and all
//! problems of a file in one go.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::yaml::{self, Value};

/// A place in a policy's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// From 1. 0: the file as a whole.
    pub line: u64,

    /// In characters, from 1. 0: the file as a whole.
    pub column: u64,
}

/// One thing that is wrong, or that is probably not meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, if it is another than the policy: one of members or tests.
    pub file: Option<Arc<str>>,

    /// Where.
    pub place: Place,

    /// What was found, and what is valid. One line.
    pub message: String,
}

/// All that is wrong with one policy: at least one problem, in the order of
/// their files and places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Name of the file, as the operator gave it.
    pub file: String,

    /// The problems.
    pub list: Vec<Problem>,
}

/// Finds the name that somebody may have meant, within a bounded effort: a
/// policy of a million wrong names gets a million messages, not a million
/// searches.
#[derive(Debug)]
pub(super) struct Nearest {
    comparisons_left: usize,
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { file: None, place, message: message.into() }
    }

    pub(super) fn within(file: &Arc<str>, place: Place, message: impl Into<String>) -> Self {
        Self { file: Some(Arc::clone(file)), place, message: message.into() }
    }

    /// `file:line:column: message`, as compilers and editors have it. `policy`
    /// names the policy.
    pub fn line<'p>(&'p self, policy: &'p str) -> impl fmt::Display + 'p {
        fmt::from_fn(move |f| {
            f.write_str(self.file.as_deref().unwrap_or(policy))?;
            match self.place.line {
                0 => write!(f, ": {}", self.message),
                line => write!(f, ":{line}:{}: {}", self.place.column, self.message),
            }
        })
    }
}

// === impl Problems ===

impl Problems {
    /// Sorts problems by their files and places. `file` is the name of the policy.
    pub fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
        Self { file: file.to_owned(), list }
    }
}

impl fmt::Display for Problems {
    /// A line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", problem.line(&self.file))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

// === impl Nearest ===

impl Default for Nearest {
    fn default() -> Self {
        Self { comparisons_left: 1_000_000 }
    }
}

impl Nearest {
    /// The nearest of the names, if any is near enough to be a slip of the
    /// fingers.
    pub(super) fn of<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let length = wrong.chars().count();
        let most = (length / 3).clamp(1, 3);
        let mut nearest: Option<(usize, &str)> = None;
        for name in names {
            // Comparing costs the product of both lengths.
            if name.len() > 128 || name.chars().count().abs_diff(length) > most {
                continue;
            }
            let Some(left) = self.comparisons_left.checked_sub(1) else { break };
            self.comparisons_left = left;
            let distance = strsim::osa_distance(wrong, name);
            if distance <= most && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, name));
            }
        }
        nearest.map(|(_, name)| name)
    }
}

/// What somebody wrote, in backticks, fit for a terminal and for one line.
pub fn quoted(text: &str) -> String {
    /// More says nothing that the place does not.
    const MOST: usize = 255;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}`...", escaped(text.get(..end).unwrap_or_default())),
        None => format!("`{}`", escaped(text)),
    }
}

/// Several names in backticks, with commas.
pub(super) fn quoted_list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A text as people can read and copy it. One whose characters are all printable
/// stands as it is, backslashes included: a user id that is copied names the same user.
/// Any other one stands in double quotes with YAML's escapes, and so does one that begins
/// with a double quote, which no user id does: so no two texts look alike, and what is
/// copied into a policy names the same user too.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.starts_with('"') && text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    escaped.push('"');
    for c in text.chars() {
        // Writing to a string never fails.
        let _ = match c {
            '"' | '\\' => write!(escaped, "\\{c}"),
            '\n' => write!(escaped, "\\n"),
            '\r' => write!(escaped, "\\r"),
            '\t' => write!(escaped, "\\t"),
            c if is_printable(c) => write!(escaped, "{c}"),
            c @ ..='\u{ffff}' => write!(escaped, "\\u{:04x}", u32::from(c)),
            c => write!(escaped, "\\U{:08x}", u32::from(c)),
        };
    }
    escaped.push('"');
    Cow::Owned(escaped)
}

/// The text that [`escaped`] made, or that a person wrote the same way. `None`: it is
/// in double quotes, but not as YAML has it.
pub fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.starts_with('"') {
        return Some(Cow::Borrowed(text));
    }
    match yaml::parse(text.as_bytes()).ok()?.value {
        Value::Text(text) => Some(Cow::Owned(text.into_owned())),
        _ => None,
    }
}

/// True if a character shows as itself: no control character, line break, direction
/// mark and the like.
pub(super) fn is_printable(c: char) -> bool {
    // An accent shows by itself only at the beginning of a text.
    c == ' '
        || c.is_ascii_graphic()
        || (!c.is_ascii() && String::from_iter(['a', c]).escape_debug().nth(1) == Some(c))
}
