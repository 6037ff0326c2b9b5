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
