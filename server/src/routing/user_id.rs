//! Matrix user ids and server names, checked as the specification says
//! (Matrix specification, appendices "User Identifiers" and "Server Name").
//!
//! Ids are compared by their bytes, so nothing is folded or normalised here.

use std::fmt;

/// Most bytes of a user id, sigil and server name included.
pub const MAX_USER_ID_BYTES: usize = 255;

/// Most bytes of a server name: what a user id leaves for it.
pub const MAX_SERVER_NAME_BYTES: usize = MAX_USER_ID_BYTES - 2;

/// A valid Matrix user id, borrowed: `@localpart:server`.
///
/// Historical localparts are valid: the specification asks servers to accept
/// every Unicode text without `:` and NUL, control characters and the empty
/// localpart included. Print one with `{:?}`, which escapes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId<'a> {
    text: &'a str,
    colon: usize,
}

/// A valid Matrix server name: a DNS name, an IPv4 address or a bracketed IPv6
/// address, with or without a port. The port is part of the name as written.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Box<str>);

/// Why a text is not a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,

    /// The sigil is missing.
    #[error("it does not begin with `@`")]
    Sigil,

    /// There is no server name.
    #[error("it has no `:` and server name after the localpart")]
    Colon,

    /// More than [`MAX_USER_ID_BYTES`].
    #[error("it has {0} bytes, at most {MAX_USER_ID_BYTES} are valid")]
    Long(usize),

    /// The one character that no localpart may hold, besides `:`.
    #[error("its localpart holds a NUL")]
    Nul,

    /// What follows the first `:` is not a server name.
    #[error("its server name is not valid: {0}")]
    Server(ServerNameError),
}

/// Why a text is not a server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerNameError {
    /// Nothing at all, or nothing before the port.
    #[error("it is empty")]
    Empty,

    /// More than [`MAX_SERVER_NAME_BYTES`].
    #[error("it has {0} bytes, at most {MAX_SERVER_NAME_BYTES} are valid")]
    Long(usize),

    /// Something that no DNS name or IPv4 address holds.
    #[error("`{}` is not valid in a host name: letters, digits, `-` and `.` are", shown(*.0))]
    Character(char),

    /// `[` without an IPv6 address and `]` behind it, or such an address without them.
    #[error("an IPv6 address, and nothing else, stands in brackets, as in `[2001:db8::1]:8448`")]
    Ipv6,

    /// A scheme, as in the address of a web page.
    #[error("a server name has no scheme such as `https://`; leave it out")]
    Scheme,

    /// What follows the host is not a port.
    #[error("its port is not 1 to 5 digits")]
    Port,
}

// === impl UserId ===

impl<'a> UserId<'a> {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
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

    /// The whole id.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// What stands before the colon and the server name: sigil and localpart.
    pub fn before_server(self) -> &'a str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    /// The server name, port included as written.
    pub fn server(self) -> &'a str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl fmt::Debug for UserId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

// === impl ServerName ===

impl ServerName {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ServerNameError> {
        check_server_name(text)?;
        Ok(Self(text.into()))
    }

    /// The name, port included as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn check_server_name(text: &str) -> Result<(), ServerNameError> {
    if text.is_empty() {
        return Err(ServerNameError::Empty);
    }
    if text.len() > MAX_SERVER_NAME_BYTES {
        return Err(ServerNameError::Long(text.len()));
    }
    if text.contains("://") {
        return Err(ServerNameError::Scheme);
    }
    let port = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(ServerNameError::Ipv6)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| ServerNameError::Ipv6)?;
            port
        }
        None => {
            let host = text.split(':').next().unwrap_or_default();
            if host.is_empty() {
                return Err(why_no_port(text, ServerNameError::Empty));
            }
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if let Some(bad) = host.chars().find(|c| !valid(*c)) {
                return Err(ServerNameError::Character(bad));
            }
            text.get(host.len()..).unwrap_or_default()
        }
    };
    if port.is_empty() {
        return Ok(());
    }
    let digits = port.strip_prefix(':').ok_or(ServerNameError::Port)?;
    if (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(why_no_port(text, ServerNameError::Port))
    }
}

/// A character as itself, or its escape if it cannot be printed.
fn shown(c: char) -> String {
    match c {
        // They are printable, and it escapes them still.
        '\\' | '\'' | '"' => c.into(),
        c => c.escape_debug().collect(),
    }
}

/// Why what follows the host is no port: an IPv6 address is full of colons.
fn why_no_port(text: &str, otherwise: ServerNameError) -> ServerNameError {
    if text.parse::<std::net::Ipv6Addr>().is_ok() { ServerNameError::Ipv6 } else { otherwise }
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
    fn says_what_is_wrong_in_words_that_can_be_read() {
        for (text, why) in [
            ("::1", "an IPv6 address, and nothing else, stands in brackets"),
            ("2001:db8::1", "an IPv6 address, and nothing else, stands in brackets"),
            ("a:b:1", "its port is not 1 to 5 digits"),
            (":1", "it is empty"),
            ("b\u{fc}cher.example", "`\u{fc}` is not valid in a host name"),
            ("a\u{1b}b", "`\\u{1b}` is not valid in a host name"),
            ("a\\b", "`\\` is not valid in a host name"),
            ("https://a.gov", "a server name has no scheme such as `https://`; leave it out"),
            ("a'b", "`'` is not valid in a host name"),
        ] {
            let said = ServerName::parse(text).unwrap_err().to_string();
            assert!(said.starts_with(why), "{text}: {said}");
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
    fn says_what_is_wrong() {
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
    fn names_a_bad_character_without_printing_it() {
        let message = error("@ann:example.org\n").to_string();
        assert!(message.contains(r"`\n` is not valid"), "{message}");
    }
}
