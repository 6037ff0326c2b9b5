//! The definition of visibility over a parsed policy, with nothing clever in
//! it: no numbers, no signatures, no shared code but the document's types.

use presence_router_server::policy::document::{Document, Pairs, SetExpr};
use presence_router_server::routing::plan::Effect;

/// Whether the sender's presence may be seen by the recipient.
pub(crate) fn visible(policy: &Document, sender: &str, recipient: &str) -> bool {
    let matches = |effect: Effect| {
        policy.rules.iter().any(|rule| {
            rule.effect == effect
                && match &rule.pairs {
                    Pairs::Product { from, to } => {
                        is_in(policy, from, sender) && is_in(policy, to, recipient)
                    }
                    Pairs::Within { groups, .. } => policy.groups.iter().any(|group| {
                        glob(groups.as_str().as_bytes(), group.name.as_bytes())
                            && is_in(policy, &group.members, sender)
                            && is_in(policy, &group.members, recipient)
                    }),
                }
        })
    };
    sender != recipient && matches(Effect::Allow) && !matches(Effect::Deny)
}

/// Whether a visible pair concerns a caller with these server names.
pub(crate) fn concerns(server_names: &[String], sender: &str, recipient: &str) -> bool {
    let local = |user: &str| server_names.iter().any(|name| name == split(user).1);
    local(sender) || local(recipient)
}

/// The pair is visible and concerns the caller.
pub(crate) fn seen(
    policy: &Document,
    server_names: &[String],
    sender: &str,
    recipient: &str,
) -> bool {
    concerns(server_names, sender, recipient) && visible(policy, sender, recipient)
}

fn is_in(policy: &Document, set: &SetExpr, user: &str) -> bool {
    let (before, server) = split(user);
    let globs = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
    match set {
        SetExpr::User(id) => id == user,
        SetExpr::Everyone => true,
        SetExpr::Server(any) => any.iter().any(|name| globs(name.as_str(), server)),
        SetExpr::Match(any) => any.iter().any(|pattern| {
            globs(pattern.user().as_str(), before) && globs(pattern.server().as_str(), server)
        }),
        SetExpr::Group { name, .. } => policy
            .groups
            .iter()
            .any(|group| group.name == *name && is_in(policy, &group.members, user)),
        SetExpr::Union(any) => any.iter().any(|set| is_in(policy, set, user)),
        SetExpr::AllOf(all) => all.iter().all(|set| is_in(policy, set, user)),
        SetExpr::Difference { any, except } => {
            is_in(policy, any, user) && !is_in(policy, except, user)
        }
    }
}

/// A user id at its first `:`.
pub(crate) fn split(user: &str) -> (&str, &str) {
    user.split_once(':').unwrap()
}

/// Whether a glob matches: its definition, byte by byte.
pub(crate) fn glob(glob_: &[u8], text: &[u8]) -> bool {
    match (glob_, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => glob(rest, text) || (!text.is_empty() && glob(glob_, &text[1..])),
        (_, []) => false,
        ([b'?', rest @ ..], [_, tail @ ..]) => glob(rest, tail),
        ([want, rest @ ..], [have, tail @ ..]) => want == have && glob(rest, tail),
    }
}
