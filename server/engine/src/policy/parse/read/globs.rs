//! Globs over server names and patterns over user ids, and why some of them can match
//! nothing, as far as that is easy to see.

use presence_router_ids::{
    Glob, MAX_SERVER_NAME_BYTES, MAX_USER_ID_BYTES, ServerName, ServerNameError, UserGlob,
};

use super::Reader;
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;

impl Reader<'_> {
    /// One glob or a list of them. `None` if none of them is valid.
    pub(super) fn read_globs<T>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        check: fn(&str) -> Result<T, (ProblemCode, String)>,
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
        let mut globs = Vec::with_capacity(nodes.len());
        for node in nodes {
            match self.read_text(node, what).map(check) {
                Some(Ok(glob)) => globs.push(glob),
                Some(Err((code, message))) => self.add_problem(code, node.position, message),
                None => {}
            }
        }
        (!globs.is_empty()).then_some(globs)
    }
}

/// A glob over server names.
///
/// # Errors
///
/// It can match no server name.
pub(super) fn server_glob(text: &str) -> Result<Glob, (ProblemCode, String)> {
    let glob = Glob::new(text);
    match why_no_server(&glob) {
        None => Ok(glob),
        Some(why) => {
            let message = format!("{} matches no server: {why}", quoted(text));
            Err((ProblemCode::GlobCannotMatch, message))
        }
    }
}

/// A pattern over user ids.
///
/// # Errors
///
/// It can match no user id.
pub(super) fn user_glob(text: &str) -> Result<UserGlob, (ProblemCode, String)> {
    let name = quoted(text);
    let cannot_match =
        |why: &str| Err((ProblemCode::GlobCannotMatch, format!("{name} matches no user: {why}")));
    let Some(glob) = UserGlob::parse(text) else {
        let message = format!("{name} is not a pattern: it has no `:`, as in `@*-bot:example.org`");
        return Err((ProblemCode::NotAPattern, message));
    };
    if !glob.user().as_str().starts_with(['@', '*', '?']) {
        return cannot_match("user ids begin with `@`");
    }
    if glob.user().as_str().contains('\0') {
        return cannot_match("no user id holds a NUL");
    }
    if let Some(why) = why_no_server(glob.server()) {
        return cannot_match(&format!("in its part for servers, {why}"));
    }
    // The colon between them counts too.
    let least = least_bytes(glob.user()) + 1 + least_bytes(glob.server());
    if least > MAX_USER_ID_BYTES {
        return cannot_match(&format!("ids have at most {MAX_USER_ID_BYTES} bytes"));
    }
    Ok(glob)
}

/// The reason why a glob can match no server name, as far as that is easy to see.
fn why_no_server(glob: &Glob) -> Option<String> {
    let text = glob.as_str();
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if glob.is_literal() {
        return ServerName::parse(text).err().map(|error| error.to_string());
    }
    if text.contains("://") {
        return Some(ServerNameError::Scheme.to_string());
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || "-.:[]*?".contains(c);
    if let Some(bad) = text.chars().find(|c| !valid(*c)) {
        return Some(format!("no server name holds {}", quoted(bad.encode_utf8(&mut [0; 4]))));
    }
    if least_bytes(glob) > MAX_SERVER_NAME_BYTES {
        return Some(format!("server names have at most {MAX_SERVER_NAME_BYTES} bytes"));
    }
    None
}

/// Length of the shortest text that matches.
fn least_bytes(glob: &Glob) -> usize {
    glob.as_str().bytes().filter(|b| *b != b'*').count()
}
