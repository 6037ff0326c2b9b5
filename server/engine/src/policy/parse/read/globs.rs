//! Globs over server names and patterns over user ids, and the obvious reasons why some
//! of them can match nothing. `room_ids` has globs over room ids.

use presence_router_ids::{
    Glob, MAX_SERVER_NAME_BYTES, MAX_USER_ID_BYTES, ServerName, ServerNameError, UserGlob,
};

use super::Reader;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;

/// The reason why a text is no glob, or no useful one.
pub(super) struct GlobError {
    pub(super) code: ProblemCode,
    pub(super) message: String,
    /// Empty: the message says enough.
    pub(super) help: &'static str,
}

impl Reader<'_> {
    /// Reads one glob or a list of globs. `None`: no glob is valid.
    pub(super) fn read_globs<T>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        check: fn(&str) -> Result<T, GlobError>,
    ) -> Option<Vec<T>> {
        let nodes = match &node.value {
            Value::List(items) if items.is_empty() => {
                self.add_problem(
                    ProblemCode::EmptyList,
                    node.position,
                    format!("expected {what}, found an empty list"),
                );
                return None;
            }
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let globs = nodes.iter().filter_map(|node| self.read_glob(node, what, check));
        let globs: Vec<_> = globs.collect();
        (!globs.is_empty()).then_some(globs)
    }

    /// Reads one glob.
    pub(super) fn read_glob<T>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        check: fn(&str) -> Result<T, GlobError>,
    ) -> Option<T> {
        match check(self.read_text(node, what)?) {
            Ok(glob) => Some(glob),
            Err(GlobError { code, message, help }) => {
                self.add_problem_with_help(code, node.position, message, help);
                None
            }
        }
    }
}

/// Parses a glob over server names.
///
/// # Errors
///
/// The glob can match no server name.
pub(super) fn parse_server_glob(text: &str) -> Result<Glob, GlobError> {
    let glob = Glob::new(text);
    match why_no_server(&glob) {
        None => Ok(glob),
        Some(why) => {
            let message = format!("{} matches no server: {why}", quoted(text));
            Err(GlobError { code: ProblemCode::GlobCannotMatch, message, help: "" })
        }
    }
}

/// Parses a pattern over user ids.
///
/// # Errors
///
/// The text is not a pattern, or the pattern can match no user id.
pub(super) fn parse_user_glob(text: &str) -> Result<UserGlob, GlobError> {
    let name = quoted(text);
    let cannot_match = |why: &str| {
        let message = format!("{name} matches no user: {why}");
        Err(GlobError { code: ProblemCode::GlobCannotMatch, message, help: "" })
    };
    let Some(glob) = UserGlob::parse(text) else {
        let message = format!("{name} is not a pattern: the `:` is missing");
        let help = "write it as `@*-bot:example.org`";
        return Err(GlobError { code: ProblemCode::NotAPattern, message, help });
    };
    if !glob.user().as_str().starts_with(['@', '*', '?']) {
        return cannot_match("user ids begin with `@`");
    }
    if glob.user().as_str().contains('\0') {
        return cannot_match("no user id contains a NUL");
    }
    if let Some(why) = why_no_server(glob.server()) {
        return cannot_match(&format!("in its part for servers, {why}"));
    }
    // The colon between both parts counts too.
    let least = least_bytes(glob.user()) + 1 + least_bytes(glob.server());
    if least > MAX_USER_ID_BYTES {
        return cannot_match(&format!("ids have at most {MAX_USER_ID_BYTES} bytes"));
    }
    Ok(glob)
}

/// The reason why a glob can match no server name, if the reason is obvious.
fn why_no_server(glob: &Glob) -> Option<String> {
    let text = glob.as_str();
    if text.is_empty() {
        return Some("the glob is empty".to_owned());
    }
    if glob.is_literal() {
        return ServerName::parse(text).err().map(|error| error.to_string());
    }
    if text.contains("://") {
        return Some(ServerNameError::Scheme.to_string());
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || "-.:[]*?".contains(c);
    if let Some(bad) = text.chars().find(|c| !valid(*c)) {
        return Some(format!("no server name contains {}", quoted(bad.encode_utf8(&mut [0; 4]))));
    }
    if least_bytes(glob) > MAX_SERVER_NAME_BYTES {
        return Some(format!("server names have at most {MAX_SERVER_NAME_BYTES} bytes"));
    }
    None
}

/// Length of the shortest text that a glob matches.
pub(super) fn least_bytes(glob: &Glob) -> usize {
    glob.as_str().bytes().filter(|b| *b != b'*').count()
}
