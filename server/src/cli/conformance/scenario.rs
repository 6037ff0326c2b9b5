//! Scenario files: a policy, callers, and who sees whom. What the keys mean
//! stands in `tests/scenarios.rs`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::difference::CannotRun;
use super::expectation::Expectation;

/// A scenario, by the name of its file.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) users: Vec<String>,
    pub(super) callers: Vec<Expectation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    policy: String,
    users: Vec<String>,
    callers: Vec<Expectation>,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../tests/scenarios/", $name, ".yaml")))),*]
    };
}

/// Those that are in the binary: all of `tests/scenarios`.
const BUILT_IN: &[(&str, &str)] = built_in![
    "board",
    "deny-wins",
    "everyone-except-two",
    "listed-remote",
    "local-off",
    "nobody-by-default",
    "partners",
    "patterns",
    "remote-senders",
    "shadow",
    "switches",
    "teams",
    "wallboard",
];

/// The scenarios of a folder, else those of the binary; `only` these names, if
/// there are any.
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
        return Err(CannotRun(format!("there is no scenario `{unknown}`: valid are {names}")));
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
    // A path with a slip of the fingers must not pass for a server that conforms.
    if files.is_empty() {
        let folder = folder.display();
        return Err(CannotRun(format!("there are no scenarios, `*.yaml`, in `{folder}`")));
    }
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
        Scenario::parse(&file.file_stem().unwrap_or_default().to_string_lossy(), &text)
    };
    files.iter().map(read).collect()
}

/// Writes the policy of each scenario into a folder, for servers that cannot
/// have them while they run.
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
        let File { policy, users, callers, .. } = file;
        for caller in &callers {
            let lists = [&caller.audiences, &caller.interests];
            let mentioned = lists.iter().flat_map(|lists| {
                lists.iter().flat_map(|(user, others)| others.iter().chain([user]))
            });
            for user in mentioned.chain(caller.destinations.keys()) {
                if !users.contains(user) {
                    return Err(invalid(&format!("`{user}` is not among its `users`")));
                }
            }
        }
        Ok(Self { name: name.to_owned(), policy, users, callers })
    }
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
