//! What is wrong with a policy, and where: one line for each problem, and all
//! problems of a file in one go.

use std::fmt::{self, Write as _};
use std::sync::Arc;

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
    pub(crate) fn new(file: &str, mut list: Vec<Problem>) -> Self {
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

/// A text without control characters, line breaks and the like. Quotes stay as
/// they are: nothing here ends at one.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => escaped.push(c),
            // Writing to a string never fails.
            c => _ = write!(escaped, "{}", c.escape_debug()),
        }
    }
    escaped
}
