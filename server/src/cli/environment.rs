//! The environment variables that the program reads. clap could read them itself, but its
//! message for a bad variable would name the flag, and a bad variable of `serve` would stop
//! every command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub(crate) const ADDR: &str = "PRESENCE_ROUTER_ADDR";
pub(super) const CONFIG: &str = "PRESENCE_ROUTER_CONFIG";
pub(super) const LISTEN_TCP: &str = "PRESENCE_ROUTER_LISTEN_TCP";
pub(super) const LISTEN_UNIX: &str = "PRESENCE_ROUTER_LISTEN_UNIX";
pub(super) const LOG: &str = "PRESENCE_ROUTER_LOG";
pub(super) const LOG_FORMAT: &str = "PRESENCE_ROUTER_LOG_FORMAT";
pub(super) const POLICY: &str = "PRESENCE_ROUTER_POLICY";
pub(super) const WATCH_POLICY: &str = "PRESENCE_ROUTER_WATCH_POLICY";

/// All variables of all commands.
pub(crate) const ALL: [&str; 8] =
    [ADDR, CONFIG, LISTEN_TCP, LISTEN_UNIX, LOG, LOG_FORMAT, POLICY, WATCH_POLICY];

/// The maximum number of edits between a misspelt name and the name in the suggestion.
const MAX_EDITS: usize = 2;

/// Reads a variable as text.
///
/// # Errors
///
/// The variable is empty, not UTF-8, or not valid. The message names it.
pub(crate) fn read_text<T, E: std::fmt::Display>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    let Some(value) = read_value(name)? else { return Ok(None) };
    let Some(text) = value.to_str() else {
        return Err(format!("the environment variable `{name}` is not UTF-8"));
    };
    let parsed = parse(text).map_err(|valid| not_valid(name, &value, &valid.to_string()))?;
    Ok(Some(parsed))
}

/// Reads a variable as a path.
///
/// # Errors
///
/// The variable is empty or not valid. The message names it.
pub(super) fn read_path(
    name: &str,
    parse: impl FnOnce(PathBuf) -> Result<PathBuf, String>,
) -> Result<Option<PathBuf>, String> {
    let Some(value) = read_value(name)? else { return Ok(None) };
    let path = PathBuf::from(&value);
    parse(path).map(Some).map_err(|valid| not_valid(name, &value, &valid))
}

/// Returns a warning for each variable of the environment that the program does not read
/// and that is spelt nearly like one of `known`.
pub(crate) fn misspelt_variables(known: &[&str]) -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter_map(|name| misspelt_name(&name, known)).collect()
}

/// Returns the warning for one name.
fn misspelt_name(name: &str, known: &[&str]) -> Option<String> {
    if ALL.contains(&name) {
        return None;
    }
    // A lower-case name is a likely mistake.
    let upper = name.to_ascii_uppercase();
    let edits = known.iter().map(|known| (strsim::osa_distance(&upper, known), known));
    let (_, meant) = edits.min().filter(|(edits, _)| *edits <= MAX_EDITS)?;
    Some(format!(
        "nothing reads the environment variable `{}`; did you mean `{meant}`?",
        name.escape_debug()
    ))
}

fn read_value(name: &str) -> Result<Option<OsString>, String> {
    match env::var_os(name) {
        Some(value) if value.is_empty() => {
            Err(format!("the environment variable `{name}` is empty; give it a value, or unset it"))
        }
        value => Ok(value),
    }
}

fn not_valid(name: &str, value: &OsStr, valid: &str) -> String {
    let value: String = value.to_string_lossy().chars().take(100).collect();
    format!("the environment variable `{name}` is `{}`: {valid}", value.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_warned_of() {
        for (name, meant) in [
            ("PRESENCE_ROUTER_POLCY", POLICY),
            ("PRESENCE_ROUTER_POLICYS", POLICY),
            ("PRESENCE_ROTUER_CONFIG", CONFIG),
            ("PRESENCE_ROUTER_LISTEN_TPC", LISTEN_TCP),
            ("PRESENCEROUTER_LOG", LOG),
            ("presence_router_log", LOG),
            ("PRESENCE_ROUTER_ADR", ADDR),
        ] {
            let Some(warning) = misspelt_name(name, &ALL) else { panic!("no warning: {name}") };
            assert!(warning.contains(&format!("`{name}`; did you mean `{meant}`?")), "{warning}");
        }
    }

    /// Kubernetes sets most of these in every container beside a service `presence-router`
    /// that has a named port.
    #[test]
    fn variables_of_others_are_not_warned_of() {
        for name in [
            "PRESENCE_ROUTER_SERVICE_HOST",
            "PRESENCE_ROUTER_SERVICE_PORT",
            "PRESENCE_ROUTER_SERVICE_PORT_GRPC",
            "PRESENCE_ROUTER_PORT",
            "PRESENCE_ROUTER_PORT_9470_TCP",
            "PRESENCE_ROUTER_PORT_9470_TCP_PROTO",
            "PRESENCE_ROUTER_PORT_9470_TCP_PORT",
            "PRESENCE_ROUTER_PORT_9470_TCP_ADDR",
            "PRESENCE_ROUTER_ADMIN_SERVICE_HOST",
            "PRESENCE_ROUTER_BIN",
            "PATH",
        ] {
            assert_eq!(misspelt_name(name, &ALL), None);
        }
    }

    #[test]
    fn variables_that_are_read_are_not_warned_of() {
        for name in ALL {
            assert_eq!(misspelt_name(name, &[POLICY, LOG]), None);
        }
    }
}
