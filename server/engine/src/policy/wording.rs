//! Names and numbers as messages show them: in quotes, with escapes, counted.
//!
//! Knows texts only. `parse::unescaped` reads back what is escaped here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A number of things.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A text of an author in backticks, fit for a terminal and for one line.
pub fn quoted(text: &str) -> String {
    /// More says nothing that the position does not.
    const MAX_CHARACTERS: usize = 255;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("`{}`...", escaped(text.get(..end).unwrap_or_default())),
        None => format!("`{}`", escaped(text)),
    }
}

/// Several names in backticks, with commas.
pub(super) fn quoted_list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A text as people can read and copy it. One whose characters are all printable
/// stands as it is, backslashes included: a user id that is copied names the same user.
/// Any other one stands in double quotes with YAML's escapes, and so does one that begins
/// with a double quote, which no user id does: so no two texts look alike, and what is
/// copied into a policy names the same user too.
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

/// True if a character shows as itself: no control character, line break, direction
/// mark and the like.
pub(super) fn is_printable(c: char) -> bool {
    // An accent shows by itself only at the beginning of a text.
    c == ' '
        || c.is_ascii_graphic()
        || (!c.is_ascii() && String::from_iter(['a', c]).escape_debug().nth(1) == Some(c))
}
