//! Matrix user ids, checked by the Matrix specification (appendix "User Identifiers").
//! Compared by their bytes, without case folding or normalisation.

use std::error::Error;
use std::fmt;

use crate::server_name::{MAX_SERVER_NAME_BYTES, ServerNameError, check_server_name};

/// Maximum bytes of a user id, including the `@` and the server name.
pub const MAX_USER_ID_BYTES: usize = 255;

// The longest server name belongs to a user id with an empty localpart.
const _: () = assert!(MAX_SERVER_NAME_BYTES == MAX_USER_ID_BYTES - "@:".len());

/// A valid Matrix user id, borrowed: `@localpart:server`.
///
/// Historical localparts are valid: the specification asks servers to accept
/// every Unicode text without `:` and NUL, including control characters and the empty
/// localpart. Print a user id with `{:?}`, which escapes control characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId<'a> {
    text: &'a str,
    colon: usize,
}

/// The reason for which a text is not a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserIdError {
    /// The text is empty.
    Empty,

    /// The text does not begin with `@`.
    Sigil,

    /// The server name is missing.
    Colon,

    /// The text has more bytes than [`MAX_USER_ID_BYTES`].
    Long(usize),

    /// The localpart contains NUL, the only invalid character besides `:`.
    Nul,

    /// The part after the first `:` is not a server name.
    Server(ServerNameError),
}

// === impl UserId ===

impl<'a> UserId<'a> {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// If the text is not a user id.
    pub fn parse(text: &'a str) -> Result<Self, UserIdError> {
        if text.is_empty() {
            return Err(UserIdError::Empty);
        }
        if text.len() > MAX_USER_ID_BYTES {
            return Err(UserIdError::Long(text.len()));
        }
        let after_sigil = text.strip_prefix('@').ok_or(UserIdError::Sigil)?;
        let (localpart, server) = after_sigil.split_once(':').ok_or(UserIdError::Colon)?;
        if localpart.contains('\0') {
            return Err(UserIdError::Nul);
        }
        check_server_name(server).map_err(UserIdError::Server)?;
        Ok(Self { text, colon: 1 + localpart.len() })
    }

    /// Returns the whole id.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Returns the part before the first `:`: the `@` and the localpart.
    #[inline]
    pub fn before_server(self) -> &'a str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    /// Returns the server name, including the port as written.
    #[inline]
    pub fn server(self) -> &'a str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl fmt::Debug for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

// === impl UserIdError ===

impl Error for UserIdError {}

impl fmt::Display for UserIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the text is empty"),
            Self::Sigil => f.write_str("the first character is not `@`"),
            Self::Colon => {
                f.write_str("the `:` and the server name after the localpart are missing")
            }
            Self::Long(bytes) => {
                write!(f, "the length of {bytes} bytes exceeds the maximum of {MAX_USER_ID_BYTES}")
            }
            Self::Nul => f.write_str("the localpart contains a NUL"),
            Self::Server(error) => write!(f, "the server name is not valid: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> UserIdError {
        UserId::parse(text).expect_err(text)
    }

    #[test]
    fn takes_what_the_specification_takes() {
        for (text, server) in [
            ("@ann:example.org", "example.org"),
            ("@a:matrix.org:8888", "matrix.org:8888"),
            ("@a:1.2.3.4:1234", "1.2.3.4:1234"),
            ("@a:[1234:5678::abcd]:5678", "[1234:5678::abcd]:5678"),
            ("@a:[::1]", "[::1]"),
            ("@a:EXAMPLE.org", "EXAMPLE.org"),
            ("@-=_/+.:a-b.c", "a-b.c"),
        ] {
            assert_eq!(UserId::parse(text).map(UserId::server), Ok(server), "{text}");
        }
    }

    #[test]
    fn takes_historical_localparts() {
        for text in
            ["@:example.org", "@Ann Lee:example.org", "@é\u{202e}\u{7}\n:example.org", "@@a:b"]
        {
            assert_eq!(UserId::parse(text).map(UserId::as_str), Ok(text));
        }
    }

    #[test]
    fn describes_errors() {
        use ServerNameError as S;
        for (text, want) in [
            ("", UserIdError::Empty),
            ("ann:example.org", UserIdError::Sigil),
            ("#room:example.org", UserIdError::Sigil),
            ("@ann", UserIdError::Colon),
            ("@a\0b:example.org", UserIdError::Nul),
            ("@ann:", UserIdError::Server(S::Empty)),
            ("@ann::8448", UserIdError::Server(S::Empty)),
            ("@ann:exa mple.org", UserIdError::Server(S::Character(' '))),
            ("@ann:exämple.org", UserIdError::Server(S::Character('ä'))),
            ("@ann:example.org\n", UserIdError::Server(S::Character('\n'))),
            ("@ann:example.org\0", UserIdError::Server(S::Character('\0'))),
            ("@ann:under_score", UserIdError::Server(S::Character('_'))),
            ("@ann:*.example.org", UserIdError::Server(S::Character('*'))),
            ("@ann:example.org:", UserIdError::Server(S::Port)),
            ("@ann:example.org:123456", UserIdError::Server(S::Port)),
            ("@ann:example.org:84a", UserIdError::Server(S::Port)),
            ("@ann:example.org:1:2", UserIdError::Server(S::Port)),
            ("@ann:[::1", UserIdError::Server(S::Ipv6)),
            ("@ann:[nonsense]", UserIdError::Server(S::Ipv6)),
            ("@ann:[::1]8448", UserIdError::Server(S::Port)),
        ] {
            assert_eq!(error(text), want, "{text:?}");
        }
    }

    #[test]
    fn takes_255_bytes_and_no_more() {
        let id = |bytes: usize| format!("@{}:example.org", "a".repeat(bytes - 13));
        assert_eq!(UserId::parse(&id(255)).map(|u| u.as_str().len()), Ok(255));
        assert_eq!(error(&id(256)), UserIdError::Long(256));
        assert_eq!(
            error(&format!("@{}:a.b", "é".repeat(126))),
            UserIdError::Long(257),
            "bytes count"
        );
    }

    #[test]
    fn escapes_a_bad_character() {
        let message = error("@ann:example.org\n").to_string();
        assert!(message.contains(r"`\n` is not valid"), "{message}");
    }
}
