//! Puts all named users of a ruleset into classes: from scratch, or from their classes
//! under the previous ruleset. In the second case only users in a set that is not in both
//! rulesets are examined.

use roaring::RoaringBitmap;

use super::{Engine, Thresholds};
use crate::routing::change::set_mapping::{SetMapping, sets_of_rules};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::classes::{Class, ClassList, Classes};
use crate::routing::snapshot::keys::{Key, SetId, UserNumber};
use crate::routing::snapshot::rule_index::RuleIndex;
use crate::routing::snapshot::set_defs::Evaluated;
use crate::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// Users in their classes.
pub(super) struct Classified {
    pub(super) classes: Classes,
    pub(super) list: ClassList,
    pub(super) user_table: UserTable,
}

/// For each named user, the sets that contain it, among some sets.
struct Memberships {
    /// By the number of a user: the start of its sets. They end at the start of the next user's
    /// sets.
    starts: Vec<usize>,
    sets: Vec<SetId>,
}

// === impl Classified ===

impl Classified {
    /// Puts all users into new classes.
    pub(super) fn from_scratch(
        sets: &Evaluated,
        rules: &RuleIndex,
        mut user_table: UserTable,
    ) -> Self {
        let (mut classes, mut list) = (Classes::default(), ClassList::default());
        let memberships = Memberships::new(sets_of_rules(sets, rules), sets, user_table.count());
        for number in user_table.numbers() {
            let Some(server) = user_table.server_of(number) else { continue };
            let class = classes.add_user(server, memberships.sets_of(number), &mut list);
            user_table.set_class(number, class);
        }
        Self { classes, list, user_table }
    }

    /// Starts from the classes under an earlier ruleset, whose users have the same numbers.
    /// `None`: starting from scratch is less work.
    pub(super) fn from_earlier(
        before: &Engine,
        sets: &Evaluated,
        rules: &RuleIndex,
        user_table: &UserTable,
    ) -> Option<Self> {
        let old = &before.snapshot;
        // Most classes are empty: drop them by starting from scratch.
        let Thresholds { reclassified, unused_classes, .. } = before.thresholds;
        if old.classes.len() > 2 * before.classes.count() + unused_classes {
            return None;
        }
        let mapping = SetMapping::between(old, sets, rules);
        let touched = users_touched(&mapping, old, sets, user_table);
        if touched.len() > reclassified
            && touched.len() * 2 > u64::try_from(user_table.count()).ok()?
        {
            return None;
        }
        let mut user_table = user_table.clone();
        let (mut classes, mut list) = translate_classes(before, &mapping);
        let added = Memberships::new(mapping.added.iter().copied(), sets, user_table.count());
        let is_open = |id: &SetId| sets.get(*id).is_some_and(|set| set.is_open());
        let open: Vec<SetId> = mapping.kept_ids().filter(is_open).collect();
        for number in &touched {
            let mut now: Vec<SetId> = added.sets_of(number).to_vec();
            let earlier = old.users.class_of_number(number);
            match earlier {
                Some(class) => {
                    now.extend(
                        old.sets_of_class(class).iter().filter_map(|id| mapping.later_id(*id)),
                    );
                }
                // No list contained the user before, so only open rules can have included it.
                None => {
                    let id = String::from(user_table.id(number));
                    let user = UserId::parse(&id).ok()?;
                    let lets_in =
                        |id: &&SetId| sets.get(**id).is_some_and(|set| set.open().contains(user));
                    now.extend(open.iter().filter(lets_in));
                }
            }
            now.sort_unstable();
            let after = classes.add_user(user_table.server_of(number)?, &now, &mut list);
            if let Some(class) = earlier {
                classes.remove_user(class, &mut list);
            }
            user_table.set_class(number, after);
        }
        Some(Self { classes, list, user_table })
    }
}

/// Returns the users in a set that is not in both rulesets, and new users.
fn users_touched(
    mapping: &SetMapping,
    old: &Snapshot,
    sets: &Evaluated,
    user_table: &UserTable,
) -> RoaringBitmap {
    let mut touched: RoaringBitmap = user_table.numbers_since(&old.users).collect();
    for (all, ids) in [(&old.sets, &mapping.dropped), (sets, &mapping.added)] {
        for set in ids.iter().filter_map(|id| all.get(*id)) {
            touched |= set.named();
        }
    }
    touched
}

/// Returns the previous classes, with the current ids of their sets.
fn translate_classes(before: &Engine, mapping: &SetMapping) -> (Classes, ClassList) {
    let list = &before.snapshot.classes;
    if mapping.is_identity() {
        return (before.classes.clone(), list.clone());
    }
    let translated = |Class { server, sets }: &Class| {
        let mut sets: Vec<SetId> = sets.iter().filter_map(|id| mapping.later_id(*id)).collect();
        sets.sort_unstable();
        Class { server: *server, sets: sets.into() }
    };
    let list: ClassList = list.iter().map(|(_, class)| translated(class)).collect();
    (before.classes.rehashed(&list), list)
}

// === impl Memberships ===

impl Memberships {
    fn new(ids: impl Iterator<Item = SetId> + Clone, sets: &Evaluated, users: usize) -> Self {
        let members = |id: SetId| sets.get(id).map(|set| set.named());
        // Counting sort by user: count, sum up, fill in.
        let mut starts = vec![0usize; users + 1];
        for user in ids.clone().filter_map(members).flatten() {
            if let Some(count) = starts.get_mut(user.index() + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut starts {
            sum += *count;
            *count = sum;
        }
        let mut all = vec![SetId::default(); sum];
        let mut next = starts.clone();
        for id in ids {
            for user in members(id).into_iter().flatten() {
                if let Some(next) = next.get_mut(user.index()) {
                    if let Some(slot) = all.get_mut(*next) {
                        *slot = id;
                    }
                    *next += 1;
                }
            }
        }
        Self { starts, sets: all }
    }

    /// Ascending.
    fn sets_of(&self, user: UserNumber) -> &[SetId] {
        match self.starts.get(user.index()..=user.index() + 1) {
            Some([start, end]) => self.sets.get(*start..*end).unwrap_or_default(),
            _ => &[],
        }
    }
}
