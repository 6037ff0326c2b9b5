//! The keys of Synapse's dictionary for one audience, and the fields that are hidden from each
//! key. The homeserver is `x`, and its open audiences always go to the server `d`.

#![expect(clippy::unwrap_used, reason = "clippy allows it in test functions, but not in helpers")]

#[path = "../src/audience_keys.rs"]
mod audience_keys;
#[path = "audience_keys/expressions.rs"]
mod expressions;
#[path = "audience_keys/hidden_on_servers.rs"]
mod hidden_on_servers;
#[path = "../src/hides.rs"]
mod hides;
#[path = "../src/home.rs"]
mod home;
#[path = "audience_keys/local_recipients.rs"]
mod local_recipients;
#[path = "audience_keys/senders.rs"]
mod senders;

use presence_router_client::{Set, v1::SetExpression};

use audience_keys::{Audience, ListedKeys, Presence, StateKind};
use expressions::{any_of, difference, everyone, match_users, on_server, users};
use hides::Hide;
use home::{Home, server_of};

/// An audience, and a kind of states that go to it.
#[derive(Clone, Debug)]
struct Question {
    home: Home,
    recipients: Set,
    hides: Vec<Hide>,
    kind: StateKind,
    named_servers: Vec<&'static str>,
}

// === impl Question ===

impl Question {
    /// Asks for the keys of an only state of a local sender. Nothing is hidden.
    fn about(recipients: &SetExpression) -> Self {
        let presence = Presence::Other;
        Self {
            home: Home { server: "x".to_owned(), destinations: vec!["d".to_owned()] },
            recipients: Set::new(Some(recipients)).unwrap(),
            hides: Vec::new(),
            kind: StateKind { local_sender: true, last_of_sender: true, presence },
            named_servers: Vec::new(),
        }
    }

    /// The policy names some servers.
    fn naming(mut self, servers: &[&'static str]) -> Self {
        self.named_servers = servers.to_vec();
        self
    }

    /// The audience has hides. The sender is online.
    fn hiding(mut self, hides: &[Hide]) -> Self {
        self.hides = hides.to_vec();
        self.while_sender_is("online")
    }

    fn while_sender_is(mut self, presence: &str) -> Self {
        self.kind.presence = Presence::Named(presence.to_owned());
        self
    }

    fn audience(&self) -> Audience<'_> {
        let Self { home, recipients, hides, kind, named_servers } = self;
        Audience { home, recipients, hides, kind, named_servers }
    }

    /// Returns the keys if no local user sees everyone: see [`render_keys`].
    fn keys(&self) -> Vec<String> {
        render_keys(self.audience().listed_keys(|_| false))
    }

    /// Returns true if the answer says that some servers get nothing.
    fn is_unsent(&self) -> bool {
        self.audience().listed_keys(|_| false).unsent
    }
}

/// Returns the keys, sorted. Those from which fields are hidden are written as
/// `@user:server without status_msg`.
fn render_keys(listed: ListedKeys) -> Vec<String> {
    let render = |key: String, hidden| match render_fields(hidden) {
        fields if fields.is_empty() => key,
        fields => format!("{key} without {fields}"),
    };
    let mut keys: Vec<_> = listed
        .keys
        .into_iter()
        .flat_map(|(hidden, keys)| keys.into_iter().map(move |key| render(key, hidden)))
        .collect();
    keys.sort();
    keys
}

/// Names fields by the bits that Python knows, see `_native.pyi`.
fn render_fields(hidden: hides::Fields) -> String {
    let names =
        [(1, "presence"), (2, "status_msg"), (4, "last_active_ts"), (8, "currently_active")];
    let hidden = names.iter().filter(|(bit, _)| hidden.0 & bit != 0);
    hidden.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

#[test]
fn listed_recipients_are_keys_themselves() {
    let question = Question::about(&users(&["@a:x", "@r:y", "@s:y", "@t:z:8448"]));
    assert_eq!(question.keys(), ["@a:x", "@r:y", "@s:y", "@t:z:8448"]);
    assert!(!question.is_unsent());
    assert_eq!(Question::about(&users(&[])).keys(), [""; 0]);
}

#[test]
fn listed_and_open_recipients_add_up() {
    // Local members of the open part get their keys elsewhere, once they ask.
    let recipients = any_of(&[users(&["@c:x", "@r:y"]), difference(everyone(), on_server("n"))]);
    let question = Question::about(&recipients).naming(&["n", "o"]);
    assert_eq!(question.keys(), ["@c:x", "@presence-router:d", "@presence-router:o", "@r:y"]);
}

#[test]
fn a_server_with_a_listed_recipient_needs_no_key_of_its_own() {
    let recipients = any_of(&[users(&["@r:d"]), on_server("d")]);
    assert_eq!(Question::about(&recipients).keys(), ["@r:d"]);
}

#[test]
fn open_audiences_go_to_servers_that_may_contain_recipients() {
    for (recipients, keys) in [
        (everyone(), &["@presence-router:d", "@presence-router:n"][..]),
        (on_server("d"), &["@presence-router:d"]),
        (on_server("?"), &["@presence-router:d", "@presence-router:n"]),
        (match_users("@a*:n"), &["@presence-router:n"]),
        (difference(everyone(), on_server("d")), &["@presence-router:n"]),
        (difference(everyone(), users(&["@a:d"])), &["@presence-router:d", "@presence-router:n"]),
        (on_server("elsewhere"), &[]),
        // All recipients are listed: nobody else on `d` or `n` is one.
        (users(&["@a:q"]), &["@a:q"]),
    ] {
        // The homeserver's own name is no destination, and a repeated name is one.
        let question = Question::about(&recipients).naming(&["n", "x", "d"]);
        assert_eq!(question.keys(), keys, "{recipients:?}");
    }
}

#[test]
fn servers_without_a_name_are_reported_as_unsent() {
    for (recipients, unsent) in [
        (everyone(), true),
        (on_server("elsewhere"), true),
        (on_server("*"), true),
        // `x`, `d` and `n` are not the only servers with a name of one letter.
        (on_server("?"), true),
        (on_server("d"), false),
        (any_of(&[on_server("d"), on_server("n"), on_server("x")]), false),
        (match_users("@a*:n"), false),
        // A listed recipient makes Synapse send to the whole server.
        (any_of(&[users(&["@r:y"]), on_server("y")]), false),
        (any_of(&[users(&["@r:y"]), on_server("z")]), true),
    ] {
        let question = Question::about(&recipients).naming(&["n"]);
        assert_eq!(question.is_unsent(), unsent, "{recipients:?}");
    }
}

#[test]
fn states_of_remote_senders_do_not_go_to_open_audiences_of_other_servers() {
    let recipients = any_of(&[users(&["@a:x"]), everyone()]);
    let mut question = Question::about(&recipients).naming(&["n"]);
    assert!(question.is_unsent());
    question.kind.local_sender = false;
    assert_eq!(question.keys(), ["@a:x"]);
    assert!(!question.is_unsent());
}

/// Synapse sends a server one state of each sender, and takes it from a Python set: any of
/// several.
#[test]
fn a_server_gets_the_last_state_of_a_sender_only() {
    let recipients = any_of(&[users(&["@r:x", "@r:y", "@s:y"]), everyone()]);
    let mut question = Question::about(&recipients);
    assert_eq!(question.keys(), ["@presence-router:d", "@r:x", "@r:y", "@s:y"]);
    question.kind.last_of_sender = false;
    assert_eq!(question.keys(), ["@r:x"]);
    // The report is about the state, although no server gets this one.
    assert!(question.is_unsent());
}

#[test]
fn the_server_of_a_user_is_what_follows_the_first_colon() {
    let home = Home { server: "x:8448".to_owned(), destinations: Vec::new() };
    for (user, server, other) in [
        ("@a:x:8448", Some("x:8448"), None),
        ("@a:x", Some("x"), Some("x")),
        ("@a:[::1]:80", Some("[::1]:80"), Some("[::1]:80")),
        ("@a", None, None),
    ] {
        assert_eq!(server_of(user), server);
        assert_eq!(home.other_server(user), other);
        assert_eq!(home.is_local(user), server == Some("x:8448"));
    }
}
