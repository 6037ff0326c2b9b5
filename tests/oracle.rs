//! The definition of visibility over a parsed policy, with nothing clever in
//! it: no numbers, no signatures, no shared code but the document's types.

pub(crate) mod rooms;

use std::collections::BTreeSet;

use presence_router_engine::unstable::policy::document::{Document, Pairs, Rule, SetExpr};
use presence_router_engine::unstable::routing::model::ruleset::Relation;
use presence_router_engine::{Effect, Fields, Hide};
use presence_router_ids::RoomCapability;

use self::rooms::Rooms;

/// What is hidden on a pair: fields, and with which presence values they are shown all the
/// same.
pub(crate) type Hides = BTreeSet<(Fields, Box<[Box<str>]>)>;

/// The homeserver that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Homeserver<'a> {
    pub(crate) server_names: &'a [String],
    /// What it evaluates of rooms.
    pub(crate) capabilities: &'a [RoomCapability],
    /// Its rooms.
    pub(crate) rooms: &'a Rooms,
}

static NO_ROOMS: Rooms = Rooms(Vec::new());

/// A homeserver that knows nothing of rooms.
impl<'a, T: AsRef<[String]> + ?Sized> From<&'a T> for Homeserver<'a> {
    fn from(server_names: &'a T) -> Self {
        Self { server_names: server_names.as_ref(), capabilities: &[], rooms: &NO_ROOMS }
    }
}

// === impl Homeserver ===

impl<'a> Homeserver<'a> {
    /// The homeserver with these rooms, of which it evaluates everything.
    pub(crate) fn in_rooms(rooms: &'a Rooms) -> Self {
        Self { server_names: &[], capabilities: &RoomCapability::ALL, rooms }
    }

    /// Whether a rule's relation counts as met: a rule that allows needs to know that it is
    /// met, and other rules that it is not.
    fn meets_relation(self, rule: &Rule, sender: &str, recipient: &str) -> bool {
        let Some(relation) = &rule.relation else { return true };
        let holds = self.evaluates(relation).then(|| self.rooms.hold(relation, sender, recipient));
        holds.flatten().unwrap_or(rule.effect != Effect::Allow)
    }

    /// Whether the homeserver evaluates a relation.
    pub(crate) fn evaluates(self, relation: &Relation) -> bool {
        let needed = rooms::needed_capabilities(relation);
        needed.iter().all(|one| self.capabilities.contains(one))
    }

    /// The same homeserver with other rooms.
    pub(crate) fn with(self, rooms: &'a Rooms) -> Self {
        Self { rooms, ..self }
    }
}

/// Whether the sender's presence may be seen by the recipient, who share no room.
pub(crate) fn visible(policy: &Document, sender: &str, recipient: &str) -> bool {
    visible_to(policy, Homeserver::in_rooms(&NO_ROOMS), sender, recipient)
}

/// Whether a homeserver lets the recipient see the sender's presence, if it may ask.
pub(crate) fn visible_to(
    policy: &Document,
    homeserver: Homeserver<'_>,
    sender: &str,
    recipient: &str,
) -> bool {
    let any = |effect| {
        policy.rules.iter().any(|rule| {
            rule.effect == effect && counts(policy, homeserver, rule, sender, recipient)
        })
    };
    sender != recipient && any(Effect::Allow) && !any(Effect::Deny)
}

/// What is hidden on a visible pair that shares no room.
pub(crate) fn hides(policy: &Document, sender: &str, recipient: &str) -> Hides {
    hides_by(policy, Homeserver::in_rooms(&NO_ROOMS), sender, recipient)
}

/// What a homeserver hides on a visible pair.
pub(crate) fn hides_by(
    policy: &Document,
    homeserver: Homeserver<'_>,
    sender: &str,
    recipient: &str,
) -> Hides {
    let hides = policy.rules.iter().filter_map(|rule| match &rule.effect {
        Effect::Hide(hide) => counts(policy, homeserver, rule, sender, recipient).then_some(hide),
        Effect::Allow | Effect::Deny => None,
    });
    hides.map(|Hide { fields, unless }| (*fields, unless.clone())).collect()
}

/// Whether a rule matches, and takes part.
fn counts(
    policy: &Document,
    homeserver: Homeserver<'_>,
    rule: &Rule,
    sender: &str,
    recipient: &str,
) -> bool {
    !rule.shadow
        && matches(policy, rule, sender, recipient)
        && homeserver.meets_relation(rule, sender, recipient)
}

/// Whether a rule matches a pair for which its relation holds, in shadow or not.
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

/// The pair is visible and concerns the homeserver.
pub(crate) fn seen<'a>(
    policy: &Document,
    homeserver: impl Into<Homeserver<'a>>,
    sender: &str,
    recipient: &str,
) -> bool {
    let homeserver = homeserver.into();
    concerns(homeserver.server_names, sender, recipient)
        && visible_to(policy, homeserver, sender, recipient)
}

/// The pair concerns the homeserver, and may be visible in some rooms.
pub(crate) fn may_be_seen<'a>(
    policy: &Document,
    homeserver: impl Into<Homeserver<'a>>,
    sender: &str,
    recipient: &str,
) -> bool {
    let homeserver = homeserver.into();
    let any = |effect: Effect| {
        let mut rules = policy.rules.iter().filter(|rule| rule.effect == effect && !rule.shadow);
        rules.any(|rule| {
            let is_open = rule.relation.as_ref().is_some_and(|one| homeserver.evaluates(one));
            let is_met = match is_open {
                true => effect == Effect::Allow,
                false => homeserver.meets_relation(rule, sender, recipient),
            };
            is_met && matches(policy, rule, sender, recipient)
        })
    };
    concerns(homeserver.server_names, sender, recipient)
        && sender != recipient
        && any(Effect::Allow)
        && !any(Effect::Deny)
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
