//! The reason for which a policy was not loaded, for people and for the log.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use presence_router_engine::{Position, Problem, ProblemCode, Problems};
use serde_json::{Value, json};

/// The reason for which a policy was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The policy file cannot be read.
    #[error("cannot read the policy `{}`: {error}", path.display())]
    Unreadable {
        /// The policy file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },

    /// The text has problems.
    #[error("the policy has problems:\n{0}")]
    Problems(#[from] Problems),

    /// Another program wrote to a file during the load. This is not a failure of the policy.
    #[error("another program wrote the policy's files while the daemon read them; try again")]
    Incomplete,
}

// === impl LoadError ===

impl LoadError {
    /// Returns the problems of the text, or the one that prevented reading the files.
    pub fn problems(&self) -> Cow<'_, [Problem]> {
        let code = match self {
            Self::Problems(found) => return Cow::Borrowed(&found.list),
            Self::Unreadable { .. } => ProblemCode::PolicyUnreadable,
            Self::Incomplete => ProblemCode::FilesIncomplete,
        };
        let (position, message) = (Position::default(), self.to_string());
        Cow::Owned(vec![Problem { code, file: None, position, message }])
    }

    /// Returns the problems as a JSON array for the log. Each problem has `file`, `line`,
    /// `column` (both 0 if it concerns the whole file), `code` and `message`. `policy` is the
    /// policy's file.
    pub fn problems_as_json(&self, policy: &str) -> String {
        let problems = self.problems();
        let problems: Vec<Value> =
            problems.iter().map(|problem| problem_as_json(problem, policy)).collect();
        Value::from(problems).to_string()
    }
}

fn problem_as_json(Problem { code, file, position, message }: &Problem, policy: &str) -> Value {
    json!({
        "file": file.as_deref().unwrap_or(policy),
        "line": position.line,
        "column": position.column,
        "code": code.as_str(),
        "message": message,
    })
}
