//! Scenario files: a policy, callers, and the right answers to them. `tests/scenarios.rs`
//! explains the keys.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use presence_router_engine::GivenRooms;
use presence_router_ids::RoomCapabilities;
use serde::Deserialize;

use super::caller::{Caller, read_capabilities, read_rooms};
use super::difference::CannotRun;
use super::expectation::Expectation;

/// A scenario, named after its file.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) users: Vec<String>,
    pub(super) callers: Vec<(Caller, Expectation)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    policy: String,
    users: Vec<String>,
    rooms: Option<serde_json::Value>,
    callers: Vec<Expectation>,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../tests/scenarios/", $name, ".yaml")))),*]
    };
}

/// The scenarios in the binary: all of `tests/scenarios`.
const BUILT_IN: &[(&str, &str)] = built_in![
    "board",
    "denied-room-mates",
    "deny-wins",
    "direct-rooms",
    "everyone-except-two",
    "hidden-in-big-rooms",
    "listed-remote",
    "local-off",
    "nobody-by-default",
    "partial-rooms",
    "partners",
    "patterns",
    "remote-senders",
    "room-mates",
    "shadow",
    "space-rooms",
    "strangers",
    "switches",
    "teams",
    "wallboard",
];

/// Reads the scenarios of a folder, or without a folder the built-in ones. A non-empty `only`
/// restricts them to these names.
pub(super) fn read_scenarios(
    folder: Option<&Path>,
    only: &[String],
) -> Result<Vec<Scenario>, CannotRun> {
    let mut scenarios = match folder {
        Some(folder) => read_folder(folder)?,
        None => BUILT_IN
            .iter()
            .map(|(name, text)| Scenario::parse(name, text))
            .collect::<Result<_, _>>()?,
    };
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        let names = names.join(", ");
        return Err(CannotRun(format!(
            "there is no scenario `{unknown}`: valid names are {names}"
        )));
    }
    scenarios.retain(|scenario| only.is_empty() || only.contains(&scenario.name));
    Ok(scenarios)
}

fn read_folder(folder: &Path) -> Result<Vec<Scenario>, CannotRun> {
    let unreadable = |path: &Path, error: std::io::Error| {
        CannotRun(format!("cannot read the scenarios `{}`: {error}", path.display()))
    };
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files =
        files.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(folder, error))?;
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    // With a misspelt path, the server must not seem to pass.
    if files.is_empty() {
        let folder = folder.display();
        return Err(CannotRun(format!("the directory `{folder}` has no scenarios (`*.yaml`)")));
    }
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
        Scenario::parse(&file.file_stem().unwrap_or_default().to_string_lossy(), &text)
    };
    files.iter().map(read).collect()
}

/// Writes the policy of each scenario to a folder, for servers that cannot load a policy
/// while they run.
pub(super) fn write_policies(scenarios: &[Scenario], folder: &Path) -> Result<(), CannotRun> {
    let unwritable = |error| CannotRun(format!("cannot write to `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(unwritable)?;
    scenarios.iter().try_for_each(|Scenario { name, policy, .. }| {
        fs::write(folder.join(format!("{name}.yaml")), policy).map_err(unwritable)
    })
}

// === impl Scenario ===

impl Scenario {
    fn parse(name: &str, text: &str) -> Result<Self, CannotRun> {
        let invalid = |why: &dyn std::fmt::Display| {
            CannotRun(format!("scenario `{name}` is not valid: {why}"))
        };
        let file = serde_saphyr::from_str(text).map_err(|error| invalid(&error))?;
        let File { policy, users, rooms, callers, .. } = file;
        for caller in &callers {
            let lists = [&caller.audiences, &caller.interests];
            let mentioned = lists.iter().flat_map(|lists| {
                lists.iter().flat_map(|(user, others)| others.iter().chain([user]))
            });
            let hidden = caller.hides.iter().flat_map(|(user, others)| others.keys().chain([user]));
            for user in mentioned.chain(caller.destinations.keys()).chain(hidden) {
                if !users.contains(user) {
                    return Err(invalid(&format!("the list `users` lacks `{user}`")));
                }
            }
        }
        let rooms = rooms.as_ref().map(read_rooms).transpose().map_err(|why| invalid(&why))?;
        let rooms = Arc::new(rooms.unwrap_or_default());
        let with_caller = |expected: Expectation| {
            let caller = caller_of(&expected, &rooms).map_err(|why| invalid(&why))?;
            Ok((caller, expected))
        };
        let callers = callers.into_iter().map(with_caller).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), policy, users, callers })
    }
}

/// Returns the caller to which these answers are right.
fn caller_of(expected: &Expectation, rooms: &Arc<GivenRooms>) -> Result<Caller, String> {
    let capabilities = match &expected.capabilities {
        Some(names) => read_capabilities(names)?,
        None if rooms.is_empty() => RoomCapabilities::NONE,
        None => RoomCapabilities::ALL,
    };
    let server_names = expected.server_names.clone();
    Ok(Caller { server_names, capabilities, rooms: Arc::clone(rooms) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scenarios_are_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
        let names = |scenarios: Vec<Scenario>| -> Vec<String> {
            scenarios.into_iter().map(|scenario| scenario.name).collect()
        };
        assert_eq!(names(read_scenarios(None, &[]).unwrap()), names(read_folder(&folder).unwrap()));
    }
}
