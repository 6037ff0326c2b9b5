//! Loads a policy: parses its text, resolves and evaluates it, collects warnings, and
//! runs its tests.
//!
//! Knows no disk: the caller passes other files through [`Files`].

use std::collections::BTreeSet;

use super::document::{Document, Rule};
use super::files::{Files, NoFiles};
use super::given_rooms::GivenRooms;
use super::problem::{Problem, ProblemCode, Problems};
use super::resolve::{self, Resolved};
use super::{Policy, RoomSets, lint, parse, run_tests};
use crate::routing::engine::{Engine, SetOwner, TooDeep};
use crate::routing::model::ruleset::Ruleset;
use crate::routing::snapshot::keys::Key;

// === impl Policy ===

impl Policy {
    /// Reads and checks a policy that names no other files. `file` is its name in messages.
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
    /// All problems of the text, each with its position. A text that is not YAML has one
    /// problem, because the rest after it cannot be read. Tests run only if there is no
    /// other problem.
    pub fn load(file: &str, text: &[u8], files: &dyn Files) -> Result<Self, Problems> {
        Self::load_over(None, file, text, files).map(|(policy, _)| policy)
    }

    /// Loads a policy over the directory of an engine, to take the place of the active
    /// one. The returned engine may give all users new numbers; see
    /// [`Engine::replace_ruleset`].
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

    /// Loads a policy over the directory of an engine, only for a comparison with the active
    /// one: users keep the numbers that the engine gave them.
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
        let document = parse::document(text, files, &mut problems);
        // A document with problems is resolved too, so that authors see all problems at once.
        let resolved = document.as_ref().map(|document| resolve::resolve(document, &mut problems));
        if let (Some(document), Some(resolved), []) = (document, resolved, problems.as_slice()) {
            match evaluate(&resolved.ruleset) {
                Ok(engine) => {
                    let (Resolved { ruleset, groups, rooms }, snapshot) =
                        (resolved, engine.snapshot());
                    let warnings = lint::warnings(&document, &ruleset, &groups, &rooms, &snapshot);
                    let policy = Self { document, ruleset, groups, rooms, snapshot, warnings };
                    let Document { tests, room_tests, .. } = &policy.document;
                    run_tests::run_tests(&policy, tests, room_tests, "", &mut problems);
                    if problems.is_empty() {
                        return Ok((policy, engine));
                    }
                }
                Err(error) => problems.push(too_deep(error, &document, &resolved)),
            }
        }
        Err(Problems::new(file, problems))
    }

    /// Returns a copy of this policy in which one of its shadow rules takes part, over the
    /// directory of an engine. `None`: there is no such rule.
    pub fn with_live_rule(&self, rule: &str, engine: &Engine) -> Option<(Self, Engine)> {
        let mut policy = self.clone();
        let is_named = |candidate: &Rule| candidate.name == rule && candidate.shadow;
        let index = policy.document.rules.iter().position(is_named)?;
        policy.document.rules.get_mut(index)?.shadow = false;
        policy.ruleset.rules.get_mut(index)?.shadow = false;
        let engine = engine.with_ruleset(&policy.ruleset).ok()?;
        policy.snapshot = engine.snapshot();
        Some((policy, engine))
    }

    /// Runs the tests of another file, and returns their number.
    ///
    /// # Errors
    ///
    /// All problems of the text, or all tests that fail.
    pub fn run_test_file(&self, file: &str, text: &[u8]) -> Result<usize, Problems> {
        let mut problems = Vec::new();
        let (tests, rooms) = parse::tests(text, &mut problems);
        resolve::check_tests(&self.document, &self.groups, &tests, &rooms, &mut problems);
        if problems.is_empty() {
            run_tests::run_tests(self, &tests, &rooms, " of the policy", &mut problems);
        }
        match problems.as_slice() {
            [] => Ok(tests.len() + rooms.len()),
            _ => Err(Problems::new(file, problems)),
        }
    }
}

// === impl GivenRooms ===

impl GivenRooms {
    /// Reads a file of rooms: a map from room ids to rooms, in the form of `given.rooms` of a
    /// test. `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// All problems of the text, each with its position.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let rooms = parse::given_rooms(text, &mut problems);
        if problems.is_empty() { Ok(rooms) } else { Err(Problems::new(file, problems)) }
    }
}

/// Returns the names of the files that a policy refers to. A policy with problems has them
/// too, as far as it is YAML.
pub fn named_files(text: &[u8]) -> BTreeSet<String> {
    parse::named_files(text)
}

fn too_deep(error: TooDeep, document: &Document, resolved: &Resolved) -> Problem {
    let position = match error.owner {
        SetOwner::Group(number) => {
            let group = resolved.groups.get(number).and_then(|index| document.groups.get(*index));
            let of_rooms = |sets: &&RoomSets| {
                let sets = [sets.requester, sets.invites];
                sets.into_iter().flatten().any(|set| set.index() == number)
            };
            let room = || document.rooms.get(resolved.rooms.iter().position(|s| of_rooms(&s))?);
            group.map(|group| group.position).or_else(|| Some(room()?.position))
        }
        SetOwner::Rule(number) => document.rules.get(number).map(|rule| rule.position),
    };
    Problem::new(ProblemCode::TooDeep, position.unwrap_or_default(), error.to_string())
        .with_help("declare a group for the inner part and refer to it")
}
