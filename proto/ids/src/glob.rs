//! Globs over server names and user ids.
//!
//! `*` matches any number of bytes, including none; `?` matches exactly one byte; every
//! other byte matches itself. Comparisons use bytes, as homeservers compare identifiers:
//! no case folding, no normalisation, no classes, no escapes.

/// A glob, ready to match.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob {
    text: Box<str>,
}

/// A pattern for user ids: a glob for the part before the first `:`, including the `@`,
/// and a glob for the server name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserGlob {
    user: Glob,
    server: Glob,
}

// === impl Glob ===

impl Glob {
    /// Creates a glob. Every text is a valid glob.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into() }
    }

    /// Returns the text of the glob.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true if the glob matches only its own text.
    pub fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    /// Returns true if the whole of `text` matches.
    ///
    /// The worst case takes time proportional to the product of both lengths, and no
    /// memory: a hostile glob can do no more harm than that.
    pub fn matches(&self, text: &str) -> bool {
        let (mut glob, mut text) = (self.text.as_bytes(), text.as_bytes());
        // The position to resume from when the match of the last `*` must grow by a byte.
        // Only the last `*` matters: a shorter match of an earlier `*` leaves at least the
        // choices that a longer one leaves.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (glob.split_first(), text.split_first()) {
                (Some((b'*', rest)), _) => {
                    retry = Some((rest, text));
                    glob = rest;
                }
                (Some((b'?', rest)), Some((_, tail))) => (glob, text) = (rest, tail),
                (Some((want, rest)), Some((have, tail))) if want == have => {
                    (glob, text) = (rest, tail);
                }
                (None, None) => return true,
                _ => match retry {
                    Some((rest, [_, tail @ ..])) => {
                        retry = Some((rest, tail));
                        (glob, text) = (rest, tail);
                    }
                    _ => return false,
                },
            }
        }
    }
}

// === impl UserGlob ===

impl UserGlob {
    /// Splits a pattern at its first `:`. Returns `None` if there is no `:`.
    pub fn parse(pattern: &str) -> Option<Self> {
        let (user, server) = pattern.split_once(':')?;
        Some(Self { user: Glob::new(user), server: Glob::new(server) })
    }

    /// Returns the same pattern for users of one server only, ignoring its own glob for
    /// servers.
    #[must_use]
    pub fn on_server(&self, server: &str) -> Self {
        Self { user: self.user.clone(), server: Glob::new(server) }
    }

    /// Returns the glob for the part before the first `:`, including the `@`.
    pub fn user(&self) -> &Glob {
        &self.user
    }

    /// Returns the glob for the server name.
    pub fn server(&self) -> &Glob {
        &self.server
    }

    /// Returns the text of the pattern, as [`UserGlob::parse`] accepts it.
    pub fn to_pattern(&self) -> String {
        format!("{}:{}", self.user.as_str(), self.server.as_str())
    }

    /// Returns true if both parts of a user id match, before and after its first `:`.
    pub fn matches(&self, user_id: &str) -> bool {
        user_id
            .split_once(':')
            .is_some_and(|(user, server)| self.user.matches(user) && self.server.matches(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, as naive as can be.
    fn naive(glob: &[u8], text: &[u8]) -> bool {
        match (glob, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                naive(rest, text) || (!text.is_empty() && naive(glob, &text[1..]))
            }
            ([b'?', rest @ ..], [_, tail @ ..]) => naive(rest, tail),
            ([want, rest @ ..], [have, tail @ ..]) => want == have && naive(rest, tail),
            _ => false,
        }
    }

    /// All texts over the letters up to a length.
    fn words(letters: &[u8], length: usize) -> Vec<Vec<u8>> {
        let mut all = vec![vec![]];
        let mut last = all.clone();
        for _ in 0..length {
            last = last
                .iter()
                .flat_map(|word| letters.iter().map(move |l| [word.as_slice(), &[*l]].concat()))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn agrees_with_the_definition_on_every_short_glob_and_text() {
        let texts = words(b"ab", 6);
        for glob in words(b"ab*?", 5) {
            let compiled = Glob::new(String::from_utf8(glob.clone()).unwrap());
            for text in &texts {
                let text_str = std::str::from_utf8(text).unwrap();
                assert_eq!(
                    compiled.matches(text_str),
                    naive(&glob, text),
                    "{compiled:?} {text_str}"
                );
            }
        }
    }

    #[test]
    fn compares_bytes() {
        assert!(!Glob::new("EXAMPLE.org").matches("example.org"));
        assert!(!Glob::new("@?").matches("@é"), "`?` is one byte");
        assert!(Glob::new("@??").matches("@é"));
        assert!(Glob::new("[a-z]").matches("[a-z]"), "no classes");
    }

    #[test]
    fn never_matches_across_the_first_colon() {
        let bots = UserGlob::parse("@*-bot:*.example.org").unwrap();
        assert!(bots.matches("@a-bot:x.example.org"));
        assert!(bots.matches("@-bot:.example.org"));
        assert!(!bots.matches("@a:b-bot:x.example.org"));
        assert!(!bots.matches("@a-bot:example.org"));
        assert!(UserGlob::parse("*:*:8448").unwrap().matches("@a:example.org:8448"));
        assert!(UserGlob::parse("nocolon").is_none());
    }

    #[test]
    fn a_hostile_glob_ends() {
        let glob = Glob::new("*a".repeat(100) + "b");
        assert!(!glob.matches(&"a".repeat(255)));
    }
}
