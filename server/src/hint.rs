//! What a newcomer reads when the daemon serves its example policy.

use std::fmt::Write;

/// Where the daemon listens, and two calls to type next.
pub fn what_next(addresses: &[&str]) -> String {
    let mut text =
        format!("presence-router {} serves its example policy.\n\n", env!("CARGO_PKG_VERSION"));
    for address in addresses {
        let _ = writeln!(text, "  listening on {address}");
    }
    // grpcurl takes either form, but a port is shorter to type.
    if let Some(address) = addresses.iter().min_by_key(|address| address.starts_with("unix:")) {
        let _ = write!(
            text,
            "
Type next, in another terminal:

  who gets Ann's presence?
    grpcurl -plaintext -d '{{\"server_names\": [\"example.org\"], \"states\": [{{\"user_id\": \"@ann:example.org\"}}]}}' \\
      {address} presence_router.v1.PresenceRouterService/GetUsersForStates

  whose presence may Joe see?
    grpcurl -plaintext -d '{{\"server_names\": [\"example.org\"], \"user_id\": \"@joe:example.org\"}}' \\
      {address} presence_router.v1.PresenceRouterService/GetInterestedUsers

A policy of your own: presence-router serve --policy FILE. Ctrl-C ends.
"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_all_addresses_and_types_the_shortest() {
        let text = what_next(&["unix:/run/x.sock", "127.0.0.1:9470"]);
        assert!(text.contains("listening on unix:/run/x.sock\n"), "{text}");
        assert!(text.contains("listening on 127.0.0.1:9470\n"), "{text}");
        assert_eq!(text.matches("grpcurl -plaintext -d ").count(), 2, "{text}");
        assert_eq!(text.matches("\n      127.0.0.1:9470 presence_router.v1.").count(), 2, "{text}");
        assert!(text.contains("--policy FILE"), "{text}");
    }

    #[test]
    fn types_the_socket_if_there_is_no_port() {
        let text = what_next(&["unix:/run/x.sock"]);
        assert_eq!(
            text.matches("\n      unix:/run/x.sock presence_router.v1.").count(),
            2,
            "{text}"
        );
    }
}
