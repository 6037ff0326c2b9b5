//! The policy: the text that an operator writes, checked as a whole, and turned
//! into the [`Ruleset`] that routing decides by.
//!
//! In reading order, by stage: [`document`] has the types of a written policy, and
//! [`problem`] those of its problems; [`parse`] turns a text into a document, and `resolve`
//! a document into a ruleset; `lint` finds valid text that is probably a mistake;
//! `run_tests` runs the policy's own tests; [`load`] runs all these stages in turn.
//! [`rooms`] decides about new rooms. [`analyse`] answers questions about loaded policies:
//! the reasons of a pair's visibility, the agreement of routing and document, the changes
//! that another policy would make, and a graph of the visible pairs.
//!
//! [`given_rooms`] has the rooms of tests and of questions, by which `share_room` is
//! evaluated; the daemon itself knows none. `wording` and `nearest` help with messages. `schema` describes the input of `parse` to
//! editors. `docs/policy.md` is the reference for authors.

pub mod analyse;
pub mod document;
mod files;
pub(crate) mod given_rooms;
pub mod lint;
mod load;
mod nearest;
pub mod parse;
pub(crate) mod problem;
mod resolve;
pub mod rooms;
mod run_tests;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
pub mod wording;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use self::document::Document;
pub use self::files::{Files, NoFiles};
pub use self::load::named_files;
pub use self::parse::MAX_POLICY_BYTES;
use self::problem::Problem;
use self::wording::count;
use crate::routing::model::ruleset::Ruleset;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::SetId;

/// The example policy, which shows most of the language.
pub const EXAMPLE_POLICY: &str = include_str!("../policies/example.yaml");

/// JSON Schema of a policy, for editors.
pub const POLICY_SCHEMA: &str = include_str!("../policies/policy.schema.json");

/// Servers of each kind that a summary names.
const MAX_SERVERS: usize = 10;

/// A policy without problems.
///
/// The types of its document, its ruleset and its sets are in `unstable`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The document, as it was written.
    pub document: Document,

    /// The ruleset that routing decides by. Its rules have the same indices as those of
    /// the document.
    pub ruleset: Ruleset,

    /// For each group of the ruleset, its index among the document's groups. Groups
    /// without an entry are sets of rules about rooms.
    pub groups: Vec<usize>,

    /// For each rule about rooms of the document, its sets, as groups of the ruleset.
    pub rooms: Vec<RoomSets>,

    /// The ruleset, ready to answer.
    pub snapshot: Arc<Snapshot>,

    /// Warnings about valid text that is probably a mistake, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// The sets of a rule's conditions, by their numbers in the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomSets {
    /// The users who create the room.
    pub requester: Option<SetId>,

    /// The users who are invited.
    pub invites: Option<SetId>,
}

// === impl Policy ===

impl Policy {
    /// Returns a summary of the policy, in a line. It names servers, so that readers notice
    /// a misspelt one: the servers with the most listed users, and those without any.
    pub fn summary(&self) -> String {
        let rules = self.document.rules.iter().filter(|rule| !rule.switch).count();
        let mut servers: Vec<(&str, u32)> = self.snapshot.listed_by_server().collect();
        servers.sort_unstable_by_key(|(name, users)| (Reverse(*users), *name));
        let mut summary = format!(
            "valid: {}, {}, {} listed on {}",
            count(rules, "rule"),
            count(self.document.groups.len(), "group"),
            count(self.snapshot.listed_count(), "user"),
            count(servers.len(), "server"),
        );
        if !servers.is_empty() {
            let all = servers.iter().map(|(name, users)| format!("{name} ({users})"));
            summary.push_str(&format!(": {}", first_servers(all)));
        }
        let listed: HashSet<&str> = servers.iter().map(|(name, _)| *name).collect();
        let is_empty = |name: &&str| !listed.contains(name);
        let empty = self.snapshot.named_servers().filter(is_empty).map(str::to_owned);
        let empty = first_servers(empty);
        if !empty.is_empty() {
            summary.push_str(&format!("; servers without listed users: {empty}"));
        }
        let rooms = self.document.rooms.len();
        if rooms > 0 {
            summary.push_str(&format!("; {} about rooms", count(rooms, "rule")));
        }
        let tests = self.document.tests.len() + self.document.room_tests.len();
        if tests > 0 {
            summary.push_str(&format!("; {} passed", count(tests, "test")));
        }
        summary
    }
}

/// Joins the first of some servers with commas, and adds the number of the others.
fn first_servers(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(MAX_SERVERS);
    all.truncate(MAX_SERVERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.join(", "))
}
