//! What each fuzz target does with its bytes: one function each, which panics
//! where it finds that something is wrong. The tests of the workspace include
//! this file, and replay the corpora with it.

mod naive;

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use presence_router_engine::{Policy, named_files};
use presence_router_ids::{ServerName, UserId};
use serde_json::json;

use self::naive::Set;

/// Any text is a policy, or has problems whose positions are in it and whose messages
/// fit a terminal.
pub fn policy(data: &[u8]) {
    named_files(data);
    let Err(problems) = Policy::parse("policy.yaml", data) else { return };
    let breaks = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let text = String::from_utf8_lossy(data);
    // More breaks than any count of lines, whatever a line ends with.
    let breaks = breaks + text.matches(['\u{85}', '\u{2028}', '\u{2029}']).count();
    let lines = u64::try_from(breaks + 1).unwrap();
    assert!(!problems.list.is_empty());
    for problem in &problems.list {
        assert!(
            problem.position.line <= lines,
            "line {} of {lines}: {problem:?}",
            problem.position.line
        );
        assert!(!problem.message.contains(char::is_control), "{problem:?}");
    }
}

/// Sets as a policy has them, and users: who is in is what the definition says, on
/// either side of a rule.
pub fn sets(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(world) = naive::world(&mut bytes) else { return };
    let groups: serde_json::Map<_, _> =
        world.groups.iter().enumerate().map(|(i, set)| (naive::group(i), set.json())).collect();
    let rules =
        json!([{ "name": "x", "allow": { "from": world.from.json(), "to": world.to.json() } }]);
    // JSON is YAML. Globs that match nothing are refused, and that is all.
    let text = json!({ "groups": groups, "rules": rules }).to_string();
    let Ok(policy) = Policy::parse("policy.yaml", text.as_bytes()) else { return };
    let users: BTreeSet<&str> = world.users().filter(|id| UserId::parse(id).is_ok()).collect();
    for (sender, recipient) in users.iter().flat_map(|s| users.iter().map(move |r| (*s, *r))) {
        let holds = |set: &Set, user| set.holds(&world.groups, user);
        let want = sender != recipient && holds(&world.from, sender) && holds(&world.to, recipient);
        let [from, to] = [sender, recipient].map(|id| UserId::parse(id).unwrap());
        let is = policy.snapshot.visible(from, to);
        assert_eq!(is, want, "{sender:?} to {recipient:?}: {text}");
    }
}

/// User ids and server names are those of the specification's grammar.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let is_server = naive::is_server_name(text);
    let server = ServerName::parse(text);
    assert_eq!(server.is_ok(), is_server, "{text:?}: {server:?}");
    let user = UserId::parse(text);
    assert_eq!(user.is_ok(), naive::is_user_id(text), "{text:?}: {user:?}");
    if let Ok(user) = user {
        assert_eq!(user.as_str(), text);
        assert_eq!(text.split_once(':').map(|(_, server)| server), Some(user.server()));
    }
    for error in [user.err().map(|e| e.to_string()), server.err().map(|e| e.to_string())] {
        assert!(!error.is_some_and(|error| error.contains(char::is_control)), "{text:?}");
    }
}
