//! Unlisted users, made up so that they meet what servers and patterns say.

use std::collections::BTreeSet;

use fastrand::Rng;
use roaring::RoaringBitmap;

use crate::policy::Policy;
use crate::policy::document::SetExpr;
use crate::routing::snapshot::Snapshot;
use presence_router_ids::UserId;

/// Most users that are made up, and most that have a number and are not listed.
const MAX_MADE_UP: usize = 64;

/// Unlisted users: on servers that are named, on those that globs fit, and on one
/// that nobody met; of the names that patterns fit, and of another. And some who
/// have a number from when they were listed.
pub(super) fn unlisted_users(
    policy: &Policy,
    snapshot: &Snapshot,
    listed: &RoaringBitmap,
    rng: &mut Rng,
) -> Vec<String> {
    let [users, servers] = fitting_parts(policy, snapshot);
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

/// Parts of user ids that the policy's globs and patterns fit, and one of each that they
/// probably do not: what stands before the colon, and server names.
fn fitting_parts(policy: &Policy, snapshot: &Snapshot) -> [Vec<String>; 2] {
    let fitting = |glob: &str| glob.replace('*', "made-up").replace('?', "x");
    let mut users = BTreeSet::from(["@made-up".to_owned()]);
    let mut servers = BTreeSet::from(["unmet.example".to_owned()]);
    policy.document.each_part(&mut |part| match part {
        SetExpr::Server(globs) => {
            servers.extend(globs.iter().map(|glob| fitting(glob.as_str())));
        }
        SetExpr::Match(patterns) => {
            users.extend(patterns.iter().map(|pattern| fitting(pattern.user().as_str())));
            servers.extend(patterns.iter().map(|pattern| fitting(pattern.server().as_str())));
        }
        _ => {}
    });
    servers.extend(snapshot.users().servers().map(str::to_owned));
    [users, servers].map(|parts| parts.into_iter().collect())
}
