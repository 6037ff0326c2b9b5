//! Problems of a policy and their positions: one line for each, and all of a file at
//! once.

mod code;

use std::fmt;
use std::sync::Arc;

pub use self::code::ProblemCode;

/// A position in a policy's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1. 0: the file as a whole.
    pub line: u64,

    /// In characters, from 1. 0: the file as a whole.
    pub column: u64,
}

/// A mistake in a policy, or something valid that is probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of the problem.
    pub code: ProblemCode,

    /// The file, if it is another than the policy: one of members or tests.
    pub file: Option<Arc<str>>,

    /// The position in that file.
    pub position: Position,

    /// Says what was found, and what is valid. One line.
    pub message: String,
}

/// All problems of one policy, at least one, in the order of their files and positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Name of the file, as the operator gave it.
    pub file: String,

    /// The problems.
    pub list: Vec<Problem>,
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(code: ProblemCode, position: Position, message: impl Into<String>) -> Self {
        Self { code, file: None, position, message: message.into() }
    }

    pub(super) fn within(
        code: ProblemCode,
        file: &Arc<str>,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self { code, file: Some(Arc::clone(file)), position, message: message.into() }
    }

    /// Displays the problem as [`problem_line`] does. `policy` names the policy.
    pub fn line<'p>(&'p self, policy: &'p str) -> impl fmt::Display + 'p {
        let file = self.file.as_deref().unwrap_or(policy);
        problem_line(file, self.position, "", &self.message, self.code.as_str())
    }
}

/// Displays a problem as `file:line:column: message [code]`, which editors read as they read
/// the output of C compilers. `severity` stands before the message, such as `warning: `; an
/// empty `code` is left out.
pub fn problem_line<'p>(
    file: &'p str,
    position: Position,
    severity: &'p str,
    message: &'p str,
    code: &'p str,
) -> impl fmt::Display + 'p {
    fmt::from_fn(move |f| {
        match position.line {
            0 => write!(f, "{file}: {severity}{message}")?,
            line => write!(f, "{file}:{line}:{}: {severity}{message}", position.column)?,
        }
        if code.is_empty() { Ok(()) } else { write!(f, " [{code}]") }
    })
}

// === impl Problems ===

impl Problems {
    /// Sorts problems by their files and positions. `file` is the name of the policy.
    pub fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
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
