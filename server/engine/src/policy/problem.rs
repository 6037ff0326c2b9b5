//! Problems of a policy, with their positions and remedies. Each prints as one line, and a
//! load reports all problems of a policy at once.

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

    /// The members file or the file of tests that has the problem. `None`: the policy.
    pub file: Option<Arc<str>>,

    /// The position in that file.
    pub position: Position,

    /// The finding: one line, without a remedy.
    pub message: String,

    /// The remedy: a correction or the valid values, one line. Empty: none is known.
    pub help: String,
}

/// A problem as one line, `file:line:column: message; help [code]`, which editors read as
/// they read the output of C compilers.
#[derive(Clone, Copy, Debug)]
pub struct ProblemLine<'p> {
    /// The file.
    pub file: &'p str,

    /// The position in the file. The line leaves out line 0.
    pub position: Position,

    /// Text before the message, such as `warning: `.
    pub severity: &'p str,

    /// The message of the problem.
    pub message: &'p str,

    /// The help of the problem. Empty: the line has none.
    pub help: &'p str,

    /// The code of the problem. Empty: the line has none.
    pub code: &'p str,
}

/// All problems of one policy, at least one, in the order of their files and positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// Name of the policy file, as the operator gave it.
    pub file: String,

    /// The problems.
    pub list: Vec<Problem>,
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(code: ProblemCode, position: Position, message: impl Into<String>) -> Self {
        Self { code, file: None, position, message: message.into(), help: String::new() }
    }

    /// Adds a remedy.
    #[must_use]
    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// Moves the problem into a file other than the policy.
    #[must_use]
    pub(super) fn within(self, file: &Arc<str>) -> Self {
        Self { file: Some(Arc::clone(file)), ..self }
    }

    /// The problem as one line. `policy` names the policy.
    pub fn display_line<'p>(&'p self, policy: &'p str) -> ProblemLine<'p> {
        let Self { code, file, position, message, help } = self;
        ProblemLine {
            file: file.as_deref().unwrap_or(policy),
            position: *position,
            severity: "",
            message,
            help,
            code: code.as_str(),
        }
    }
}

// === impl ProblemLine ===

impl fmt::Display for ProblemLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position, severity, message, help, code } = self;
        match position.line {
            0 => write!(f, "{file}: {severity}{message}")?,
            line => write!(f, "{file}:{line}:{}: {severity}{message}", position.column)?,
        }
        if !help.is_empty() {
            write!(f, "; {help}")?;
        }
        if code.is_empty() { Ok(()) } else { write!(f, " [{code}]") }
    }
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
            write!(f, "{newline}{}", problem.display_line(&self.file))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
