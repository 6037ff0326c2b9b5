//! Matrix server names, checked by the Matrix specification (appendix "Server Name").
//! Compared by their bytes, without case folding or normalisation.

use std::error::Error;
use std::fmt;

/// Maximum bytes of a server name: the remainder of the longest user id with an empty
/// localpart.
pub const MAX_SERVER_NAME_BYTES: usize = 253;

/// A valid Matrix server name: a DNS name, an IPv4 address or a bracketed IPv6
/// address, with or without a port. The port is part of the name as written.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Box<str>);

/// The reason for which a text is not a server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerNameError {
    /// The text, or its part before the port, is empty.
    Empty,

    /// The text has more bytes than [`MAX_SERVER_NAME_BYTES`].
    Long(usize),

    /// A character is not valid in a DNS name or an IPv4 address.
    Character(char),

    /// Brackets do not contain an IPv6 address, or an IPv6 address has no brackets.
    Ipv6,

    /// The text has a scheme, as the address of a web page does.
    Scheme,

    /// The part after the host is not a port.
    Port,
}

// === impl ServerName ===

impl ServerName {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// If the text is not a server name.
    pub fn parse(text: &str) -> Result<Self, ServerNameError> {
        check_server_name(text)?;
        Ok(Self(text.into()))
    }

    /// Returns the name, including the port as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl ServerNameError ===

impl Error for ServerNameError {}

impl fmt::Display for ServerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the host name is empty"),
            Self::Long(bytes) => {
                write!(f, "the length of {bytes} bytes exceeds the maximum of {MAX_SERVER_NAME_BYTES}")
            }
            Self::Character(c) => {
                let c = escape_unprintable(*c);
                write!(f, "`{c}` is not valid in a host name: letters, digits, `-` and `.` are")
            }
            Self::Ipv6 => f.write_str(
                "brackets contain an IPv6 address, and an IPv6 address has brackets, as in `[2001:db8::1]:8448`",
            ),
            Self::Scheme => {
                f.write_str("a server name has no scheme such as `https://`; leave it out")
            }
            Self::Port => f.write_str("the port is not 1 to 5 digits"),
        }
    }
}

/// Checks a text without storing it.
pub(crate) fn check_server_name(text: &str) -> Result<(), ServerNameError> {
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

/// Returns a printable character as it is, and any other one escaped.
fn escape_unprintable(c: char) -> String {
    match c {
        // `escape_debug` escapes these, although they are printable.
        '\\' | '\'' | '"' => c.into(),
        c => c.escape_debug().collect(),
    }
}

/// Returns the reason for which the part after the host is not a port: often the host is
/// an IPv6 address, with its many colons.
fn why_no_port(text: &str, otherwise: ServerNameError) -> ServerNameError {
    if text.parse::<std::net::Ipv6Addr>().is_ok() { ServerNameError::Ipv6 } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_errors_readably() {
        for (text, why) in [
            ("::1", "brackets contain an IPv6 address, and an IPv6 address has brackets"),
            ("2001:db8::1", "brackets contain an IPv6 address, and an IPv6 address has brackets"),
            ("a:b:1", "the port is not 1 to 5 digits"),
            (":1", "the host name is empty"),
            ("b\u{fc}cher.example", "`\u{fc}` is not valid in a host name"),
            ("a\u{1b}b", "`\\u{1b}` is not valid in a host name"),
            ("a\\b", "`\\` is not valid in a host name"),
            ("https://a.gov", "a server name has no scheme such as `https://`; leave it out"),
            ("a'b", "`'` is not valid in a host name"),
        ] {
            let error = ServerName::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
