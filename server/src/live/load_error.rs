//! Why a policy was not loaded, for people and for the log.

use std::io;
use std::path::PathBuf;

use presence_router_engine::{Problem, Problems};
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
    /// The problems as a JSON array for the log: of each `file`, `line`, `column` (both 0
    /// where it is about the file as a whole) and `message`. `policy` is the policy's file.
    pub fn problems_as_json(&self, policy: &str) -> String {
        let problems: Vec<Value> = match self {
            Self::Problems(found) => {
                found.list.iter().map(|problem| problem_as_json(problem, policy)).collect()
            }
            Self::Unreadable { .. } | Self::Incomplete => {
                let message = self.to_string();
                vec![json!({ "file": policy, "line": 0, "column": 0, "message": message })]
            }
        };
        Value::from(problems).to_string()
    }
}

fn problem_as_json(Problem { file, position, message }: &Problem, policy: &str) -> Value {
    json!({
        "file": file.as_deref().unwrap_or(policy),
        "line": position.line,
        "column": position.column,
        "message": message,
    })
}
