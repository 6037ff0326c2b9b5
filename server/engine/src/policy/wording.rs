//! Names and numbers as messages show them: in quotes, with escapes, counted. [`rooms`] has
//! the words for relations between two users.
//!
//! `parse::unescaped` reads the escapes of this module back.

pub mod rooms;

use std::borrow::Cow;
use std::fmt::Write as _;

/// Renders a number of things, with the plural of their noun: `2 users`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Renders an author's text in backticks, safe for a terminal and for one line.
pub fn quoted(text: &str) -> String {
    /// Longer texts add nothing to the position.
    const MAX_CHARACTERS: usize = 255;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("`{}`...", escaped(text.get(..end).unwrap_or_default())),
        None => format!("`{}`", escaped(text)),
    }
}

/// Renders several names in backticks, with commas.
pub(super) fn quoted_list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// Renders a text so that people can read and copy it. A text of printable characters stays
/// unchanged, backslashes included: a copied user id names the same user. Any other text is
/// put in double quotes with YAML's escapes. So is a text that begins with a double quote,
/// which no user id does: two different texts never look alike, and a text that is copied
/// into a policy names the same user too.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.starts_with('"') && text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    escaped.push('"');
    for c in text.chars() {
        // Writing to a string never fails.
        let _ = match c {
            '"' | '\\' => write!(escaped, "\\{c}"),
            '\n' => write!(escaped, "\\n"),
            '\r' => write!(escaped, "\\r"),
            '\t' => write!(escaped, "\\t"),
            c if is_printable(c) => write!(escaped, "{c}"),
            c @ ..='\u{ffff}' => write!(escaped, "\\u{:04x}", u32::from(c)),
            c => write!(escaped, "\\U{:08x}", u32::from(c)),
        };
    }
    escaped.push('"');
    Cow::Owned(escaped)
}

/// Returns true if a character is visible as itself: not a control character, line break,
/// direction mark or the like.
pub(super) fn is_printable(c: char) -> bool {
    // `escape_debug` escapes an accent only at the beginning of a text.
    c == ' '
        || c.is_ascii_graphic()
        || (!c.is_ascii() && String::from_iter(['a', c]).escape_debug().nth(1) == Some(c))
}
