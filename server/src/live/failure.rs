//! The latest load, if it failed: why, and since when.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::LoadError;
use presence_router_engine::policy::problem::Problem;

/// Loads that failed since the latest one that did not.
#[derive(Clone, Debug)]
pub struct FailedLoad {
    /// When the first of them failed.
    pub since: SystemTime,
    /// When the latest of them failed.
    pub latest: SystemTime,
    /// Why the latest of them failed.
    pub error: Arc<LoadError>,
    /// Whether another try may succeed though no file changes.
    pub may_pass: bool,
}

// === impl FailedLoad ===

impl FailedLoad {
    /// One more load that failed.
    pub(super) fn after(before: Option<&Self>, error: Arc<LoadError>, may_pass: bool) -> Self {
        let latest = wall_clock();
        Self { since: before.map_or(latest, |before| before.since), latest, error, may_pass }
    }
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

/// The time to show to people.
#[expect(clippy::disallowed_methods, reason = "shown to people, and decides nothing")]
pub(super) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
