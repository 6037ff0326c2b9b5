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
    #[error("another program wrote the policy's files while the daemon read them")]
    Incomplete,
}

// === impl LoadError ===

impl LoadError {
    /// Returns the problems of the text, or the one that prevented reading the files.
    pub fn problems(&self) -> Cow<'_, [Problem]> {
        let (code, help) = match self {
            Self::Problems(found) => return Cow::Borrowed(&found.list),
            Self::Unreadable { .. } => {
                (ProblemCode::PolicyUnreadable, "correct the path or the permissions")
            }
            Self::Incomplete => {
                (ProblemCode::FilesIncomplete, "load the policy again when its files are complete")
            }
        };
        let (position, message, help) = (Position::default(), self.to_string(), help.to_owned());
        Cow::Owned(vec![Problem { code, file: None, position, message, help }])
    }

    /// Returns the problems as a JSON array for the log. Each problem has `file`, `line`,
    /// `column` (both 0 if it concerns the whole file), `code`, `message` and `help`. `policy` is
    /// policy's file.
    pub fn problems_as_json(&self, policy: &str) -> String {
        let problems = self.problems();
        let problems: Vec<Value> =
            problems.iter().map(|problem| problem_as_json(problem, policy)).collect();
        Value::from(problems).to_string()
    }
}

fn problem_as_json(problem: &Problem, policy: &str) -> Value {
    let Problem { code, file, position, message, help } = problem;
    json!({
        "file": file.as_deref().unwrap_or(policy),
        "line": position.line,
        "column": position.column,
        "code": code.as_str(),
        "message": message,
        "help": help,
    })
}
