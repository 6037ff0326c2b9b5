//! Cuts Rust source into tokens, as far as finding paths in it takes: without
//! comments, and without what stands in quotes. Knows no grammar.

/// A word, `::`, or one other character.
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// All tokens of a file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = quoted(rest) {
            length
        } else if word > 0 || rest.starts_with("::") || !first.is_whitespace() {
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
            tokens.push(Token { text: rest[..length].to_owned(), line });
            length
        } else {
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments may stand in comments.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string or a character, if the text begins with one. A lifetime is
/// none.
fn quoted(text: &str) -> Option<usize> {
    let after = text.trim_start_matches(['b', 'c']);
    if text.len() - after.len() > 1 {
        return None;
    }
    if let Some(raw) = after.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = text.len() - raw.len() + hashes + 1;
            return Some(text[start..].find(&end).map_or(text.len(), |n| start + n + end.len()));
        }
    }
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let start = text.len() - after.len() + 1;
    let mut chars = text[start..].char_indices();
    let (_, first) = chars.next()?;
    if quote == '\'' && first != '\\' && !text[start + first.len_utf8()..].starts_with('\'') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in text[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}
