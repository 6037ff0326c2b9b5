//! The result of `check`, as text and as JSON.

use presence_router_engine::{Position, ProblemLine, Problems};
use presence_router_proto::v1::PolicyProblem;
use presence_router_server::rpc::convert::policy as convert;
use serde::Serialize;

/// The problems and warnings of a policy. The JSON is stable: `docs/problems.md` describes
/// it. Later versions may add keys.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Empty: the policy is valid, and all tests passed.
    problems: Vec<Finding>,
    /// Empty if there are problems.
    warnings: Vec<Finding>,
    /// Null if there are problems.
    summary: Option<String>,
    /// The policy file.
    #[serde(skip)]
    file: String,
}

/// A problem or a warning.
#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    /// 0: the file as a whole.
    line: u64,
    column: u64,
    code: String,
    message: String,
    /// Empty: no remedy is known.
    help: String,
}

// === impl Report ===

impl Report {
    /// A report about a policy without problems.
    pub(super) fn valid(file: &str, warnings: &[PolicyProblem], summary: String) -> Self {
        let warnings = findings(file, warnings);
        Self { problems: Vec::new(), warnings, summary: Some(summary), file: file.to_owned() }
    }

    /// A report about a policy, or files of tests, with problems.
    pub(super) fn rejected(files: &[Problems]) -> Self {
        let of_file =
            |found: &Problems| findings(&found.file, &convert::problems_to_proto(&found.list));
        let problems = files.iter().flat_map(of_file).collect();
        Self { problems, warnings: Vec::new(), summary: None, file: String::new() }
    }

    /// A report about a policy in which a daemon found problems.
    pub(super) fn rejected_by_daemon(file: &str, problems: &[PolicyProblem]) -> Self {
        let problems = findings(file, problems);
        Self { problems, warnings: Vec::new(), summary: None, file: String::new() }
    }

    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Returns a line for each problem and warning, and a line for the summary.
    pub(super) fn to_text(&self) -> String {
        let problems = self.problems.iter().map(|problem| problem.to_line(""));
        let warnings = self.warnings.iter().map(|warning| warning.to_line("warning: "));
        let summary = self.summary.iter().map(|summary| format!("{}: {summary}\n", self.file));
        problems.chain(warnings).chain(summary).collect()
    }

    /// Returns a JSON object on several lines.
    pub(super) fn to_json(&self) -> String {
        // Cannot fail: texts and numbers are valid JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Converts problems. `file` names the policy.
fn findings(file: &str, problems: &[PolicyProblem]) -> Vec<Finding> {
    let finding = |problem: &PolicyProblem| Finding {
        file: if problem.file.is_empty() { file } else { &problem.file }.to_owned(),
        line: problem.line,
        column: problem.column,
        code: problem.code.clone(),
        message: problem.message.clone(),
        help: problem.help.clone(),
    };
    problems.iter().map(finding).collect()
}

// === impl Finding ===

impl Finding {
    fn to_line(&self, severity: &str) -> String {
        let Self { file, line, column, code, message, help } = self;
        let position = Position { line: *line, column: *column };
        format!("{}\n", ProblemLine { file, position, severity, message, help, code })
    }
}
