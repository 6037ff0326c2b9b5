//! The text for a newcomer, when the daemon serves the example policy. Every printed command
//! works in a shell unchanged, for any path of the socket.

use std::fmt::Write;

/// The addresses of the daemon, and two calls to try next.
pub(crate) fn welcome_text(addresses: &[&str]) -> String {
    let mut text =
        format!("presence-router {} serves its example policy.\n\n", env!("CARGO_PKG_VERSION"));
    for address in addresses {
        let _ = writeln!(text, "  listening on {address}");
    }
    // grpcurl takes both forms, and a port is shorter to type.
    if let Some(address) = addresses.iter().min_by_key(|address| address.starts_with("unix:")) {
        let target = shell_quoted(&grpcurl_target(address));
        let _ = write!(
            text,
            "
Try it in another terminal:

  Who receives Ann's presence?
    grpcurl -plaintext -d '{{\"server_names\": [\"example.org\"], \"states\": [{{\"user_id\": \"@ann:example.org\"}}]}}' \\
      {target} presence_router.v1.PresenceRouterService/GetUsersForStates

  Whose presence may Joe see?
    grpcurl -plaintext -d '{{\"server_names\": [\"example.org\"], \"user_id\": \"@joe:example.org\"}}' \\
      {target} presence_router.v1.PresenceRouterService/GetInterestedUsers

To use your own policy: presence-router serve --policy FILE. Ctrl-C stops the daemon.
"
        );
    }
    text
}

/// An address in the form of grpcurl. For a socket, that form is a URL with an empty host:
/// from `unix:/path`, grpcurl makes an `:authority` that HTTP/2 does not allow.
fn grpcurl_target(address: &str) -> String {
    let Some(path) = address.strip_prefix("unix:") else { return address.to_owned() };
    let mut target = "unix://".to_owned();
    for c in path.chars() {
        // These characters end a path, or are not allowed in a URL.
        if c.is_ascii_control() || matches!(c, '%' | '?' | '#') {
            let _ = write!(target, "%{:02X}", u32::from(c));
        } else {
            target.push(c);
        }
    }
    target
}

/// A text as one word of a shell's command line.
fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+,@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_all_addresses_and_types_the_shortest() {
        let text = welcome_text(&["unix:/run/x.sock", "127.0.0.1:9470"]);
        assert!(text.contains("listening on unix:/run/x.sock\n"), "{text}");
        assert!(text.contains("listening on 127.0.0.1:9470\n"), "{text}");
        assert_eq!(text.matches("grpcurl -plaintext -d ").count(), 2, "{text}");
        assert_eq!(text.matches("\n      127.0.0.1:9470 presence_router.v1.").count(), 2, "{text}");
        assert!(text.contains("--policy FILE"), "{text}");
    }

    #[test]
    fn types_an_address_as_grpcurl_and_the_shell_take_it() {
        for (address, typed) in [
            ("unix:/run/x.sock", "unix:///run/x.sock"),
            ("unix:/run/a b.sock", "'unix:///run/a b.sock'"),
            ("unix:/run/it's.sock", r"'unix:///run/it'\''s.sock'"),
            ("unix:/run/$x`y.sock", "'unix:///run/$x`y.sock'"),
            ("unix:/run/50%?#\n.sock", "unix:///run/50%25%3F%23%0A.sock"),
            ("[::1]:9470", "'[::1]:9470'"),
        ] {
            let text = welcome_text(&[address]);
            let call = format!("\n      {typed} presence_router.v1.");
            assert_eq!(text.matches(&call).count(), 2, "{text}");
        }
    }
}
