//! What a user id and a server name are (Matrix specification, appendices "User
//! Identifiers" and "Server Name"), exactly as the daemon says it; a test in
//! `tests/synapse` compares the two. Which states are routed, the daemon decides:
//! this is for what never goes there.

use std::net::Ipv6Addr;

const MAX_USER_ID_BYTES: usize = 255;
/// What a user id leaves for it.
const MAX_SERVER_NAME_BYTES: usize = MAX_USER_ID_BYTES - 2;

pub(crate) fn is_user_id(text: &str) -> bool {
    text.len() <= MAX_USER_ID_BYTES
        && text
            .strip_prefix('@')
            .and_then(|rest| rest.split_once(':'))
            .is_some_and(|(localpart, server)| !localpart.contains('\0') && is_server_name(server))
}

pub(crate) fn is_server_name(text: &str) -> bool {
    let host_and_port = match text.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            text.split_at_checked(end)
                .filter(|(host, _)| !host.is_empty() && host.chars().all(valid))
        }
    };
    text.len() <= MAX_SERVER_NAME_BYTES && host_and_port.is_some_and(|(_, port)| is_port(port))
}

/// Of what follows the host: nothing, or `:` and 1 to 5 digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| {
            (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        })
}
