//! Evaluates a ruleset as a whole: numbers its users, evaluates its sets, and puts the
//! users into classes.

use std::sync::Arc;

use super::classify::Classified;
use super::{Engine, MAX_DEPTH, SetOwner, TooDeep};
use crate::routing::model::ruleset::{Rule, Ruleset};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::cow_vec::CowVec;
use crate::routing::snapshot::keys::{Key, ServerId, SetId, UserNumber};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::numbering::Numbering;
use crate::routing::snapshot::rule_index::RuleIndex;
use crate::routing::snapshot::set_defs::{Evaluated, SetDefs};
use crate::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

// === impl Engine ===

impl Engine {
    /// Evaluates a ruleset. `users` are the users whom the ruleset names; `directory` has the
    /// members of the groups that it fills. The result shares unchanged data with the engine
    /// `before`.
    pub(super) fn evaluate<'p>(
        ruleset: &'p Ruleset,
        numbering: &mut Numbering<'p>,
        users: &[UserId<'p>],
        mut user_table: UserTable,
        before: Option<&Self>,
        directory: impl Fn(&str) -> Option<Arc<Members>>,
    ) -> Result<Self, TooDeep> {
        for user in users {
            // Without numbers left the user stays unnamed, and no list holds it;
            // four billion users do not fit a policy's other bounds.
            user_table.number_or_assign(*user);
        }
        let defs = SetDefs::new(numbering, &user_table);
        let sets =
            defs.evaluate(&user_table, directory, |id, members| match members.open().depth() {
                ..=MAX_DEPTH => Ok(()),
                depth => Err(TooDeep { owner: owner_of_set(ruleset, numbering, id), depth }),
            })?;
        let rules = Arc::new(RuleIndex::new(ruleset, numbering));
        let is_open = |id: &SetId| sets.get(*id).is_some_and(|set| set.is_open());
        let open_sets: Box<[SetId]> = sets.keys().filter(is_open).collect();
        let open_of_rules = open_sets.iter().copied().filter(|id| rules.is_used(*id)).collect();
        let from_earlier =
            before.and_then(|before| Classified::from_earlier(before, &sets, &rules, &user_table));
        let Classified { classes, list, user_table } =
            from_earlier.unwrap_or_else(|| Classified::from_scratch(&sets, &rules, user_table));
        let lists = lists_of_users(users, &defs, &sets, &user_table);
        let snapshot = Snapshot {
            servers: listed_by_server(&lists, &user_table),
            lists: lists.into_iter().collect(),
            users: user_table,
            classes: list,
            sets,
            rules,
            open_sets: open_of_rules,
            named_servers: numbering.named_servers().into_iter().map(Into::into).collect(),
            possible_destinations: Default::default(),
        };
        snapshot.share_possible_destinations(before.map(|before| &before.snapshot));
        let thresholds = before.map(|before| before.thresholds).unwrap_or_default();
        Ok(Self { defs, classes, open_sets, snapshot, thresholds })
    }
}

/// Returns, for each user by number, the number of lists that contain it. All lists of the
/// ruleset count as one.
fn lists_of_users(
    users: &[UserId<'_>],
    defs: &SetDefs,
    sets: &Evaluated,
    user_table: &UserTable,
) -> Vec<u32> {
    let mut lists = vec![0; user_table.count()];
    let listed = users.iter().filter_map(|user| user_table.number(user.as_str()));
    let directory = defs.directory_sets().filter_map(|id| sets.get(id));
    for user in listed.chain(directory.flat_map(|set| set.named())) {
        if let Some(lists) = lists.get_mut(user.index()) {
            *lists += 1;
        }
    }
    lists
}

/// Counts the listed users of each server.
fn listed_by_server(lists: &[u32], user_table: &UserTable) -> CowVec<ServerId, u32> {
    let is_listed = |user: &UserNumber| lists.get(user.index()).is_some_and(|lists| *lists > 0);
    let listed = user_table
        .users_by_server()
        .map(|users| u32::try_from(users.iter().filter(is_listed).count()).unwrap_or(u32::MAX));
    listed.collect()
}

/// Returns the owner of a set: its group, or the first rule that names the set.
fn owner_of_set(ruleset: &Ruleset, numbering: &Numbering<'_>, id: SetId) -> SetOwner {
    let index = id.index();
    if index < ruleset.groups.len() {
        return SetOwner::Group(index);
    }
    let set = numbering.sets.get(index);
    let names = |rule: &Rule| {
        rule.products.iter().any(|product| {
            set.is_some_and(|set| **set == product.senders || **set == product.recipients)
        })
    };
    SetOwner::Rule(ruleset.rules.iter().position(names).unwrap_or_default())
}
