//! Room ids, and globs over room ids.

use presence_router_ids::Glob;

use super::Reader;
use super::globs::{GlobError, least_bytes};
use crate::policy::parse::yaml::{Node, Value};
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;

/// A room id in place of one with a problem.
pub(super) const NO_SUCH_ROOM: &str = "!";

/// The help for several spaces in one condition.
const ONE_RULE_EACH: &str = "write one rule for each space";

/// The help for a missing text.
const AFTER_A_COMMENT: &str =
    "`#` begins a comment; put the value in quotes, and write a room id instead of an alias";

/// Maximum bytes of a room id (Matrix specification, appendix "Room IDs").
const MAX_BYTES: usize = 255;

impl Reader<'_> {
    /// Reads a room id. Room versions differ in the rest of the id behind its `!`: ids of room
    /// version 12 have no server name.
    pub(super) fn read_room_id<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        self.check_room_text(node, "a room id")?;
        let id = self.read_text(node, "a room id")?;
        let Some(mistake) = find_mistake(id) else { return Some(id) };
        let GlobError { code, message, help } = not_a_room_id(id, mistake);
        self.add_problem_with_help(code, node.position, message, help);
        None
    }

    /// Reads a glob over room ids.
    pub(super) fn read_room_glob(&mut self, node: &Node<'_>) -> Option<Glob> {
        self.check_room_text(node, "a glob over room ids")?;
        self.read_glob(node, "a glob over room ids", parse_room_glob)
    }

    /// Reports a missing or empty text. A text is missing where an alias has no quotes.
    fn check_room_text(&mut self, node: &Node<'_>, what: &str) -> Option<()> {
        let (code, found, help) = match &node.value {
            Value::Null => (ProblemCode::WrongType, "nothing", AFTER_A_COMMENT),
            Value::Text(text) if text.is_empty() => (
                ProblemCode::EmptyText,
                "an empty text",
                "write a room id such as `!abc:example.org`",
            ),
            _ => return Some(()),
        };
        let message = format!("expected {what}, found {found}");
        self.add_problem_with_help(code, node.position, message, help);
        None
    }

    /// Reads the room id of a space. An id with `*` or `?` is not valid, since it nearly always
    /// is meant as a glob.
    pub(super) fn read_space<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        if let Value::List(_) = node.value {
            let (message, help) = ("expected a room id, found a list", ONE_RULE_EACH);
            self.add_problem_with_help(ProblemCode::WrongType, node.position, message, help);
            return None;
        }
        let id = self.read_room_id(node)?;
        if id.contains(['*', '?']) {
            let message = format!("{} is a glob, not a room id", quoted(id));
            let code = ProblemCode::UnexpectedGlob;
            self.add_problem_with_help(code, node.position, message, ONE_RULE_EACH);
            return None;
        }
        Some(id)
    }
}

/// Parses a glob over room ids. A glob without wildcards is a room id.
///
/// # Errors
///
/// The glob can match no room id.
fn parse_room_glob(text: &str) -> Result<Glob, GlobError> {
    let glob = Glob::new(text);
    if glob.is_literal() {
        return match find_mistake(text) {
            Some(mistake) => Err(not_a_room_id(text, mistake)),
            None => Ok(glob),
        };
    }
    let why = if !text.starts_with(['!', '*', '?']) {
        "room ids begin with `!`".to_owned()
    } else if text.contains(is_invalid) {
        "no room id has a space or a control character".to_owned()
    } else if least_bytes(&glob) > MAX_BYTES {
        format!("room ids have at most {MAX_BYTES} bytes")
    } else {
        return Ok(glob);
    };
    let message = format!("{} matches no room: {why}", quoted(text));
    let help = "write a room id or a glob such as `!abc*`";
    Err(GlobError { code: ProblemCode::GlobCannotMatch, message, help })
}

fn not_a_room_id(text: &str, mistake: &str) -> GlobError {
    let message = format!("{} is not a room id: {mistake}", quoted(text));
    let help = match text.starts_with('#') {
        true => "write the id of the room, such as `!abc:example.org`, instead of an alias",
        false => "write a whole room id such as `!abc:example.org`",
    };
    GlobError { code: ProblemCode::NotARoomId, message, help }
}

/// Returns the reason why a text is not a room id. `None`: it is one.
fn find_mistake(id: &str) -> Option<&'static str> {
    match id.strip_prefix('!') {
        None => Some("it does not begin with `!`"),
        Some("") => Some("nothing follows the `!`"),
        Some(_) if id.len() > MAX_BYTES => Some("it has more than 255 bytes"),
        Some(rest) if rest.contains(is_invalid) => Some("it has a space or a control character"),
        Some(_) => None,
    }
}

/// Returns true if no room id contains a character.
fn is_invalid(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}
