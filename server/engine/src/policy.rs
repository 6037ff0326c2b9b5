//! The policy: the text that an operator writes, checked as a whole, and turned
//! into the [`Ruleset`] that routing decides by.
//!
//! To read in this order: [`document`] is what can be written, [`problem`] what
//! is said when it is wrong; `yaml` keeps the place of everything in the text,
//! `read` turns that into a document, and `resolve` a document into a ruleset.
//! `standings` reads a document naively, for some users; by that [`explain`] says
//! why a pair is visible or not, and [`verify`] checks what routing decides.
//! [`rooms`] decides about new rooms. `trial` runs the policy's own tests;
//! [`compare`] says in what two policies differ, [`preview`] what that would change,
//! and [`picture`] who sees whom at a glance; `warn` and [`synapse`] say what is
//! valid and yet probably not meant, by what `reach` knows of sets, and [`members_files`]
//! which files lost their users. `schema` says to
//! editors what `read` takes. `docs/policy.md`
//! is the reference for authors.

pub mod compare;
pub mod document;
pub mod explain;
mod few;
pub mod members_files;
pub mod picture;
pub mod preview;
pub mod problem;
mod reach;
mod read;
mod resolve;
pub mod rooms;
#[cfg(test)]
mod schema;
mod standings;
pub mod synapse;
#[cfg(test)]
mod tests;
mod trial;
pub mod verify;
mod warn;
mod yaml;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use crate::routing::engine::{Engine, TooDeep, Whose};
use crate::routing::model::ruleset::Ruleset;
use crate::routing::snapshot::Snapshot;
use document::Document;
use problem::{Problem, Problems};
use resolve::Resolved;
use rooms::RoomSets;
pub use yaml::MAX_BYTES;

/// The example policy, which shows most of what can be written.
pub const EXAMPLE: &str = include_str!("../policies/example.yaml");

/// JSON Schema of a policy, for editors.
pub const SCHEMA: &str = include_str!("../policies/policy.schema.json");

/// Servers of each kind that a summary names.
const MAX_SERVERS: usize = 10;

/// Why a key of a later version is not valid.
const LATER: &str = "not supported by this version";

/// A policy without problems.
#[derive(Clone, Debug)]
pub struct Policy {
    /// As it was written.
    pub document: Document,

    /// What routing decides by. Its rules are those of the document, place by
    /// place.
    pub ruleset: Ruleset,

    /// For each group of the ruleset, its place among the document's groups. Those
    /// beyond are sets of rules about rooms.
    pub groups: Vec<usize>,

    /// For each rule about rooms of the document, its sets, as groups of the ruleset.
    pub rooms: Vec<RoomSets>,

    /// The ruleset, ready to answer.
    pub snapshot: Arc<Snapshot>,

    /// What is probably not meant, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// The other files that a policy names. Given by the caller, since a policy may
/// come from elsewhere than a disk.
pub trait Files {
    /// The whole of a file, by its name as the policy has it.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// For a policy that does not come from a disk.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

// === impl Policy ===

impl Policy {
    /// Reads and checks a policy that names no other files. `file` only names
    /// it in messages.
    ///
    /// # Errors
    ///
    /// As [`Policy::load`].
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Problems> {
        Self::load(file, text, &NoFiles)
    }

    /// Reads and checks a policy, and runs its tests.
    ///
    /// # Errors
    ///
    /// All problems of the text, each with its place. A text that is not YAML
    /// has one problem, since nothing can be told about what follows it. Tests
    /// run only if there is no other problem.
    pub fn load(file: &str, text: &[u8], files: &dyn Files) -> Result<Self, Problems> {
        Self::load_over(None, file, text, files).map(|(policy, _)| policy)
    }

    /// The same over the directory of an engine, for a policy that takes the place of
    /// the active one. The engine that is given back may give all users new numbers,
    /// as [`Engine::replace_ruleset`] has it.
    ///
    /// # Errors
    ///
    /// As [`Policy::load`].
    pub fn load_over(
        before: Option<&Engine>,
        file: &str,
        text: &[u8],
        files: &dyn Files,
    ) -> Result<(Self, Engine), Problems> {
        Self::load_by(file, text, files, |ruleset| match before {
            Some(engine) => engine.replace_ruleset(ruleset),
            None => Engine::new(ruleset),
        })
    }

    /// The same over the directory of an engine, for a policy that is only compared
    /// with the active one: its users have the numbers that the engine gave them.
    ///
    /// # Errors
    ///
    /// As [`Policy::load`].
    pub fn load_candidate(
        active: &Engine,
        file: &str,
        text: &[u8],
        files: &dyn Files,
    ) -> Result<(Self, Engine), Problems> {
        Self::load_by(file, text, files, |ruleset| active.with_ruleset(ruleset))
    }

    fn load_by(
        file: &str,
        text: &[u8],
        files: &dyn Files,
        evaluate: impl FnOnce(&Ruleset) -> Result<Engine, TooDeep>,
    ) -> Result<(Self, Engine), Problems> {
        let mut problems = Vec::new();
        let document = read::document(text, files, &mut problems);
        // Also of a document with problems: whoever mends it wants to know all.
        let resolved = document.as_ref().map(|document| resolve::ruleset(document, &mut problems));
        if let (Some(document), Some(resolved), []) = (document, resolved, problems.as_slice()) {
            match evaluate(&resolved.ruleset) {
                Ok(engine) => {
                    let (Resolved { ruleset, groups, rooms }, snapshot) =
                        (resolved, engine.snapshot());
                    let warnings = warn::warnings(&document, &ruleset, &groups, &rooms, &snapshot);
                    let policy = Self { document, ruleset, groups, rooms, snapshot, warnings };
                    let Document { tests, room_tests, .. } = &policy.document;
                    trial::run(&policy, tests, room_tests, "", &mut problems);
                    if problems.is_empty() {
                        return Ok((policy, engine));
                    }
                }
                Err(error) => problems.push(too_deep(error, &document, &resolved)),
            }
        }
        Err(Problems::new(file, problems))
    }

    /// This policy with a rule that is in shadow taking part, over the directory of
    /// an engine. `None`: there is no such rule.
    pub fn with_live_rule(&self, rule: &str, engine: &Engine) -> Option<(Self, Engine)> {
        let mut policy = self.clone();
        let named = |rule_: &document::Rule| rule_.name == rule && rule_.shadow;
        let place = policy.document.rules.iter().position(named)?;
        policy.document.rules.get_mut(place)?.shadow = false;
        policy.ruleset.rules.get_mut(place)?.shadow = false;
        let engine = engine.with_ruleset(&policy.ruleset).ok()?;
        policy.snapshot = engine.snapshot();
        Some((policy, engine))
    }

    /// Runs the tests of another file. How many there are.
    ///
    /// # Errors
    ///
    /// All problems of the text, or all tests that fail.
    pub fn test(&self, file: &str, text: &[u8]) -> Result<usize, Problems> {
        let mut problems = Vec::new();
        let (tests, rooms) = read::tests(text, &mut problems);
        trial::check(&self.document, &self.groups, &tests, &rooms, &mut problems);
        if problems.is_empty() {
            trial::run(self, &tests, &rooms, " of the policy", &mut problems);
        }
        match problems.as_slice() {
            [] => Ok(tests.len() + rooms.len()),
            _ => Err(Problems::new(file, problems)),
        }
    }

    /// A summary of the policy, in a line. It names servers, so that a misspelt one is
    /// noticed: those with the most listed users, and those without any.
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

impl Files for NoFiles {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::Error::other("only a policy that is a file itself can name others"))
    }
}

/// Names of the files that a policy names, also one with problems, as far as it is
/// YAML.
pub fn named_files(text: &[u8]) -> BTreeSet<String> {
    read::named_files(text)
}

/// The first of some servers, with commas, and how many more there are.
fn first_servers(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(MAX_SERVERS);
    all.truncate(MAX_SERVERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.join(", "))
}

/// A number of things.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn too_deep(error: TooDeep, document: &Document, resolved: &Resolved) -> Problem {
    let place = match error.whose {
        Whose::Group(number) => {
            let group = resolved.groups.get(number).and_then(|place| document.groups.get(*place));
            let of_rooms = |sets: &&RoomSets| {
                let sets = [sets.requester, sets.invites];
                sets.into_iter().flatten().any(|set| usize::try_from(set) == Ok(number))
            };
            let room = || document.rooms.get(resolved.rooms.iter().position(|s| of_rooms(&s))?);
            group.map(|group| group.place).or_else(|| Some(room()?.place))
        }
        Whose::Rule(number) => document.rules.get(number).map(|rule| rule.place),
    };
    Problem::new(place.unwrap_or_default(), error.to_string())
}
