//! Scenario files: a policy, callers, and who sees whom. What the keys mean
//! stands in `tests/scenarios.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::difference::{CannotRun, Difference};

/// For each user, others. Who is not mentioned has nobody.
pub(super) type UserLists = BTreeMap<String, BTreeSet<String>>;

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

/// A caller, and what it must be told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    pub(super) server_names: Vec<String>,
    #[serde(default)]
    audiences: UserLists,
    #[serde(default)]
    interests: UserLists,
    #[serde(default)]
    destinations: UserLists,
}

/// What a caller was told.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Recipients of each sender.
    pub(super) audiences: UserLists,
    /// Senders of each recipient.
    pub(super) interests: UserLists,
    /// Servers that are named for a sender. Not said by streams.
    pub(super) destinations: Option<UserLists>,
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

// === impl Expectation ===

impl Expectation {
    /// The first difference.
    pub(super) fn expects(&self, users: &[String], found: &Answers) -> Result<(), Difference> {
        for user in users {
            compare_lists("audience", &self.audiences, &found.audiences, user)?;
            if let Some(destinations) = &found.destinations {
                compare_lists("destinations", &self.destinations, destinations, user)?;
            }
            compare_lists("interest", &self.interests, &found.interests, user)?;
        }
        Ok(())
    }
}

fn compare_lists(
    what: &str,
    expected: &UserLists,
    found: &UserLists,
    user: &str,
) -> Result<(), Difference> {
    let nobody = BTreeSet::new();
    let (expected, found) =
        (expected.get(user).unwrap_or(&nobody), found.get(user).unwrap_or(&nobody));
    let list = |word: &str, users: Vec<&String>| {
        let users = users.iter().map(|user| user.as_str()).collect::<Vec<_>>().join(", ");
        if users.is_empty() { users } else { format!(" {word} {users}") }
    };
    let missing = list("lacks", expected.difference(found).collect());
    let too_many = list("must not have", found.difference(expected).collect());
    match (missing.is_empty(), too_many.is_empty()) {
        (true, true) => Ok(()),
        (false, false) => Err(Difference(format!("{what} of {user}{missing}, and{too_many}"))),
        _ => Err(Difference(format!("{what} of {user}{missing}{too_many}"))),
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

    #[test]
    fn a_difference_says_who_is_missing_and_who_is_too_many() {
        let lists = |others: &[&str]| {
            let others = others.iter().map(|user| (*user).to_owned()).collect::<BTreeSet<_>>();
            UserLists::from([("@a:x".to_owned(), others)])
        };
        let (expected, users) = (lists(&["@b:x", "@c:x"]), ["@a:x".to_owned()]);
        let caller = Expectation {
            server_names: vec![],
            audiences: expected,
            interests: UserLists::new(),
            destinations: UserLists::new(),
        };
        for (found, said) in [
            (lists(&["@b:x"]), "audience of @a:x lacks @c:x"),
            (lists(&["@b:x", "@c:x", "@d:x"]), "audience of @a:x must not have @d:x"),
            (lists(&["@d:x", "@b:x"]), "audience of @a:x lacks @c:x, and must not have @d:x"),
            (UserLists::new(), "audience of @a:x lacks @b:x, @c:x"),
        ] {
            let found = Answers { audiences: found, ..Answers::default() };
            assert_eq!(caller.expects(&users, &found).unwrap_err().0, said);
        }
    }
}
