//! The definition of visibility over a parsed policy, with nothing clever in
//! it: no numbers, no signatures, no shared code but the document's types.

use std::collections::BTreeSet;

use presence_router_engine::unstable::policy::document::{Document, Pairs, Rule, SetExpr};
use presence_router_engine::{Effect, Fields, Hide};

/// Whether the sender's presence may be seen by the recipient.
pub(crate) fn visible(policy: &Document, sender: &str, recipient: &str) -> bool {
    let any = |effect| {
        policy
            .rules
            .iter()
            .any(|rule| rule.effect == effect && counts(policy, rule, sender, recipient))
    };
    sender != recipient && any(Effect::Allow) && !any(Effect::Deny)
}

/// What is hidden on a visible pair: fields, and with which presence values
/// they are shown all the same.
pub(crate) fn hides(
    policy: &Document,
    sender: &str,
    recipient: &str,
) -> BTreeSet<(Fields, Box<[Box<str>]>)> {
    let hides = policy.rules.iter().filter_map(|rule| match &rule.effect {
        Effect::Hide(hide) => counts(policy, rule, sender, recipient).then_some(hide),
        Effect::Allow | Effect::Deny => None,
    });
    hides.map(|Hide { fields, unless }| (*fields, unless.clone())).collect()
}

/// Whether a rule matches, and takes part.
fn counts(policy: &Document, rule: &Rule, sender: &str, recipient: &str) -> bool {
    !rule.shadow && matches(policy, rule, sender, recipient)
}

/// Whether a rule matches a pair, in shadow or not.
pub(crate) fn matches(policy: &Document, rule: &Rule, sender: &str, recipient: &str) -> bool {
    products(policy, rule)
        .any(|(from, to)| is_in(policy, from, sender) && is_in(policy, to, recipient))
}

/// Whether a rule matches a sender, and whether it matches a recipient, whoever
/// is on the other side.
pub(crate) fn sides(policy: &Document, rule: &Rule, sender: &str, recipient: &str) -> (bool, bool) {
    (
        products(policy, rule).any(|(from, _)| is_in(policy, from, sender)),
        products(policy, rule).any(|(_, to)| is_in(policy, to, recipient)),
    )
}

/// Senders and recipients of a rule.
fn products<'p>(
    policy: &'p Document,
    rule: &'p Rule,
) -> impl Iterator<Item = (&'p SetExpr, &'p SetExpr)> {
    let (product, within) = match &rule.pairs {
        Pairs::Product { from, to } => (Some((from, to)), None),
        Pairs::Within { groups, .. } => (None, Some(groups)),
    };
    let groups = policy.groups.iter().filter(move |group| {
        within.is_some_and(|glob_| glob(glob_.as_str().as_bytes(), group.name.as_bytes()))
    });
    product.into_iter().chain(groups.map(|group| (&group.members, &group.members)))
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
        SetExpr::User(listed) => listed.id == user,
        SetExpr::Members { ids, .. } => ids.iter().any(|id| id == user),
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
