//! The policy: the text that an operator writes, checked as a whole, and turned
//! into the [`Plan`] that routing decides by.
//!
//! To read in this order: [`document`] is what can be written, [`problem`] what
//! is said when it is wrong; `yaml` keeps the place of everything in the text,
//! `read` turns that into a document, and `resolve` a document into a plan.
//! `docs/policy.md` is the reference for authors.

pub mod document;
pub mod problem;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod yaml;

use std::sync::Arc;

use crate::routing::engine::{Engine, TooDeep, Whose};
use crate::routing::plan::Plan;
use crate::routing::snapshot::Snapshot;
use document::Document;
use problem::{Problem, Problems};
use resolve::Resolved;

/// A policy without problems.
#[derive(Clone, Debug)]
pub struct Policy {
    /// As it was written.
    pub document: Document,

    /// What routing decides by.
    pub plan: Plan,

    /// The plan, ready to answer.
    pub snapshot: Arc<Snapshot>,
}

// === impl Policy ===

impl Policy {
    /// Reads and checks a policy. `file` only names it in messages.
    ///
    /// # Errors
    ///
    /// All problems of the text, each with its place. A text that is not YAML
    /// has one problem, since nothing can be told about what follows it.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let document = read::document(text, &mut problems);
        // Also of a document with problems: whoever mends it wants to know all.
        let resolved = document.as_ref().map(|document| resolve::plan(document, &mut problems));
        if let (Some(document), Some(resolved), []) = (document, resolved, problems.as_slice()) {
            match Engine::new(&resolved.plan) {
                Ok(engine) => {
                    let (plan, snapshot) = (resolved.plan, engine.snapshot());
                    return Ok(Self { document, plan, snapshot });
                }
                Err(error) => problems.push(too_deep(error, &document, &resolved)),
            }
        }
        problems.sort_by_key(|problem| problem.place);
        Err(Problems { file: file.to_owned(), list: problems })
    }

    /// What is in the policy, in a line.
    pub fn summary(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let people = self.snapshot.people();
        format!(
            "valid: {}, {}, {} named on {}",
            count(self.document.rules.len(), "rule"),
            count(self.document.groups.len(), "group"),
            count(people.count(), "user"),
            count(people.servers().count(), "server"),
        )
    }
}

fn too_deep(error: TooDeep, document: &Document, resolved: &Resolved) -> Problem {
    let place = match error.whose {
        Whose::Group(number) => {
            let group = resolved.groups.get(number).and_then(|place| document.groups.get(*place));
            group.map(|group| group.place)
        }
        Whose::Rule(number) => document.rules.get(number).map(|rule| rule.place),
    };
    Problem::new(place.unwrap_or_default(), error.to_string())
}
