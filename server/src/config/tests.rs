//! Valid config files, and the messages about invalid ones.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../presence-router.example.yaml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("config.yaml"), text.as_bytes()).map_err(|error| error.to_string())
}

/// Returns the keys of a section, or those of the whole file for an empty name. Serde lists
/// them in its message about an unknown key, so that this test cannot miss a key.
fn keys(section: &str) -> BTreeSet<String> {
    let wrong = if section.is_empty() {
        "no-such-key: 1".to_owned()
    } else {
        format!("{section}: {{ no-such-key: 1 }}")
    };
    let message = parse(&wrong).unwrap_err();
    let list = message.split_once("valid here are ").unwrap().1;
    list.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_example_sets_every_default() {
    let mut defaults = Config::default();
    defaults.listen = defaults.listen.with_defaults();
    assert_eq!(parse(EXAMPLE).unwrap(), defaults);
}

#[test]
fn the_example_contains_every_key() {
    let tree: serde_json::Value = serde_saphyr::from_str(EXAMPLE).unwrap();
    let keys_of = |tree: &serde_json::Value| -> BTreeSet<String> {
        tree.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys_of(&tree), keys(""));
    for (name, section) in tree.as_object().unwrap() {
        if section.is_object() {
            assert_eq!(keys_of(section), keys(name), "{name}");
        }
    }
}

#[test]
fn keys_that_are_not_set_have_their_defaults() {
    for text in ["", "# nothing\n", "policy:\n", "limits:\n", "listen: { tcp: }\nlog:\n"] {
        assert_eq!(parse(text).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn a_problem_is_one_line_with_its_position_and_the_valid_values() {
    let max = usize::MAX;
    let number = format!("a whole number from 1 to {max} is valid here");
    for (text, want) in [
        ("polcy: x", "1:1: unknown key `polcy`; valid here are `policy`, `watch_policy`, `allow_empty_members_files`, `listen`, `limits`, `log`; did you mean `policy`?".to_owned()),
        ("listen: { tpc: x }", "1:11: unknown key `tpc`; valid here are `tcp`, `unix`; did you mean `tcp`?".to_owned()),
        ("log: { colour: x }", "1:8: unknown key `colour`; valid here are `format`, `filter`".to_owned()),
        ("\"a\\nb\": x", "1:1: unknown key `a\\nb`; valid here are `policy`, `watch_policy`, `allow_empty_members_files`, `listen`, `limits`, `log`".to_owned()),
        ("limits:\n  batch_states: 0", format!("2:17: `0`: {number}")),
        ("limits:\n  batch_states: many", format!("2:17: `many`: {number}")),
        ("limits:\n  batch_states: -3", format!("2:17: `-3`: {number}")),
        ("limits:\n  batch_states: 1.5", format!("2:17: `1.5`: {number}")),
        ("limits:\n  batch_states:", "2:15: there is no value; take the key out for its default".to_owned()),
        ("limits: { heartbeat_seconds: 70000 }", "1:30: `70000`: a whole number from 1 to 65535 is valid here".to_owned()),
        ("listen: { tcp: localhost:9470 }", "1:16: `localhost:9470`: an IP address with a port is valid here, such as `127.0.0.1:9470` or `[::1]:9470`".to_owned()),
        ("log: { format: xml }", "1:16: `xml`: `plain` and `json` are valid here".to_owned()),
        ("watch_policy: yes", "1:15: `yes`: `true` and `false` are valid here".to_owned()),
        ("watch_policy:", "1:13: there is no value; take the key out for its default".to_owned()),
        ("limits: 3", "1:9: keys with values are valid here, such as `key: value`".to_owned()),
        ("- x", "1:1: keys with values are valid here, such as `key: value`".to_owned()),
        ("policy: [a]", "1:9: one value is valid here, no list and no map".to_owned()),
        ("policy: a\npolicy: b", "2:1: `policy` is set a second time".to_owned()),
        ("policy: a\n---\npolicy: b", "3:1: a second YAML document begins here; a config file is one".to_owned()),
        ("limits: {", "1:9: not YAML: unclosed bracket '{'".to_owned()),
    ] {
        assert_eq!(parse(text).unwrap_err(), format!("config.yaml:{want}"), "{text:?}");
    }
    let error = Config::parse(Path::new("config.yaml"), b"policy: \xff").unwrap_err();
    assert_eq!(error.to_string(), "config.yaml: not UTF-8 from byte 8 on");
}
