//! Why a policy was not loaded, for people and for the log.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use presence_router_engine::{Position, Problem, ProblemCode, Problems};
use serde_json::{Value, json};

/// Why a policy was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the policy `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },

    /// The text has problems.
    #[error("the policy has problems:\n{0}")]
    Problems(#[from] Problems),

    /// Somebody was writing to a file meanwhile. This is no failure of the policy.
    #[error("the policy's files were being written while they were read; try again")]
    Incomplete,
}

// === impl LoadError ===

impl LoadError {
    /// The problems: those of the text, or the one that kept the files from being read.
    pub fn problems(&self) -> Cow<'_, [Problem]> {
        let code = match self {
            Self::Problems(found) => return Cow::Borrowed(&found.list),
            Self::Unreadable { .. } => ProblemCode::PolicyUnreadable,
            Self::Incomplete => ProblemCode::FilesIncomplete,
        };
        let (position, message) = (Position::default(), self.to_string());
        Cow::Owned(vec![Problem { code, file: None, position, message }])
    }

    /// The problems as a JSON array for the log: of each `file`, `line`, `column` (both 0
    /// where it is about the file as a whole), `code` and `message`. `policy` is the policy's
    /// file.
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
