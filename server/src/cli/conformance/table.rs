//! The results as a table for people, with the differences below it.

use std::fmt::Write as _;

use super::difference::Difference;

/// The results of a scenario: by unary calls, and by a stream.
pub(super) struct Row {
    pub(super) scenario: String,
    pub(super) unary: Result<(), Difference>,
    pub(super) stream: Result<(), Difference>,
}

pub(super) fn results_table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.scenario.len()).max().unwrap_or(0).max("scenario".len());
    let mut table = format!("{:width$}  {:6}  {:6}\n", "scenario", "unary", "stream");
    let mut differences = String::new();
    let mut passed = 0;
    let mut failed = 0;
    for row in rows {
        let _ = write!(table, "{:width$}", row.scenario);
        for (way, result) in row.results() {
            let word = match result {
                Ok(()) => {
                    passed += 1;
                    "passed"
                }
                Err(Difference(text)) => {
                    failed += 1;
                    let _ = writeln!(differences, "{}, {way}: {text}", row.scenario);
                    "FAILED"
                }
            };
            let _ = write!(table, "  {word}");
        }
        table.push('\n');
    }
    format!("{table}{differences}{passed} passed, {failed} failed\n")
}

// === impl Row ===

impl Row {
    pub(super) fn passed(&self) -> bool {
        self.unary.is_ok() && self.stream.is_ok()
    }

    fn results(&self) -> [(&'static str, &Result<(), Difference>); 2] {
        [("unary", &self.unary), ("stream", &self.stream)]
    }
}
