//! Makes up unlisted users that the policy's servers and patterns match.

use std::collections::BTreeSet;

use fastrand::Rng;
use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::SetExpr;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// Maximum made-up users, and maximum unlisted users with a number.
const MAX_MADE_UP: usize = 64;

/// Returns unlisted users: on named servers, on servers that globs match, and on a server that
/// nobody has met; with localparts that patterns match, and with another one. Some more have a
/// number from a time when they were listed.
pub(super) fn unlisted_users(
    policy: &Policy,
    snapshot: &Snapshot,
    listed: &RoaringBitmap,
    rng: &mut Rng,
) -> Vec<String> {
    let [users, servers] = matching_parts(policy, snapshot);
    let all = users.len().saturating_mul(servers.len());
    let combinations = if all <= MAX_MADE_UP {
        (0..all).collect()
    } else {
        (0..MAX_MADE_UP).map(|_| rng.usize(..all)).collect::<BTreeSet<_>>()
    };
    let made_up = combinations.into_iter().filter_map(|combination| {
        let user = users.get(combination % users.len())?;
        let server = servers.get(combination / users.len())?;
        let sigil = if user.starts_with('@') { "" } else { "@" };
        Some(format!("{sigil}{user}:{server}"))
    });
    let user_table = snapshot.users();
    let is_listed = |id: &str| user_table.number(id).is_some_and(|user| listed.contains(user));
    let mut made_up: BTreeSet<String> =
        made_up.filter(|id| UserId::parse(id).is_ok() && !is_listed(id)).collect();
    let unlisted = user_table.everyone() - listed;
    let unlisted = rng.choose_multiple(&unlisted, MAX_MADE_UP);
    made_up.extend(unlisted.into_iter().map(|number| String::from(user_table.id(number))));
    made_up.into_iter().collect()
}

/// Returns parts of user ids that the policy's globs and patterns match, and one of each kind
/// that they probably do not match: the parts before the colon, and server names.
fn matching_parts(policy: &Policy, snapshot: &Snapshot) -> [Vec<String>; 2] {
    let make_match = |glob: &str| glob.replace('*', "made-up").replace('?', "x");
    let mut users = BTreeSet::from(["@made-up".to_owned()]);
    let mut servers = BTreeSet::from(["unmet.example".to_owned()]);
    policy.document.each_part(&mut |part| match part {
        SetExpr::Server(globs) => {
            servers.extend(globs.iter().map(|glob| make_match(glob.as_str())));
        }
        SetExpr::Match(patterns) => {
            users.extend(patterns.iter().map(|pattern| make_match(pattern.user().as_str())));
            servers.extend(patterns.iter().map(|pattern| make_match(pattern.server().as_str())));
        }
        _ => {}
    });
    servers.extend(snapshot.users().servers().map(str::to_owned));
    [users, servers].map(|parts| parts.into_iter().collect())
}
