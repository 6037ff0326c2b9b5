//! Room ids.

use super::Reader;
use crate::policy::parse::yaml::Node;
use crate::policy::problem::ProblemCode;
use crate::policy::wording::quoted;

/// A room id in place of one with a problem.
pub(super) const NO_SUCH_ROOM: &str = "!";

/// Maximum bytes of a room id (Matrix specification, appendix "Room IDs").
const MAX_BYTES: usize = 255;

impl Reader<'_> {
    /// Reads a room id. Room versions differ in the rest of the id behind its `!`: ids of room
    /// version 12 have no server name.
    pub(super) fn read_room_id<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let id = self.read_text(node, "a room id")?;
        let Some(mistake) = find_mistake(id) else { return Some(id) };
        let message = format!("{} is not a room id: {mistake}", quoted(id));
        let help = match id.starts_with('#') {
            true => "write the id of the room, such as `!abc:example.org`, instead of an alias",
            false => "write a whole room id such as `!abc:example.org`",
        };
        self.add_problem_with_help(ProblemCode::NotARoomId, node.position, message, help);
        None
    }
}

/// Returns the reason why a text is not a room id. `None`: it is one.
fn find_mistake(id: &str) -> Option<&'static str> {
    match id.strip_prefix('!') {
        None => Some("it does not begin with `!`"),
        Some("") => Some("nothing follows the `!`"),
        Some(_) if id.len() > MAX_BYTES => Some("it has more than 255 bytes"),
        Some(rest) if rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Some("it has a space or a control character")
        }
        Some(_) => None,
    }
}
