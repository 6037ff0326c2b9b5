//! Puts all named users of a ruleset into classes: anew, or from the classes that
//! they have under the ruleset before. Then only those are looked at who are in a
//! set that is not in both.

use roaring::RoaringBitmap;

use super::{Engine, Thresholds};
use crate::routing::change::set_mapping::{SetMapping, used};
use crate::routing::snapshot::classes::{Class, ClassList, Classes, class};
use crate::routing::snapshot::members::Open;
use crate::routing::snapshot::rule_index::RuleIndex;
use crate::routing::snapshot::sets::{Evaluated, SetId, at};
use crate::routing::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// Users in their classes.
pub(super) struct Classified {
    pub(super) classes: Classes,
    pub(super) list: ClassList,
    pub(super) user_table: UserTable,
}

// === impl Classified ===

impl Classified {
    /// All users anew.
    pub(super) fn anew(sets: &Evaluated, rules: &RuleIndex, mut user_table: UserTable) -> Self {
        let (mut classes, mut list) = (Classes::default(), ClassList::default());
        let memberships = Memberships::new(used(sets, rules), sets, user_table.count());
        for number in 0..u32::try_from(user_table.count()).unwrap_or(u32::MAX) {
            let server = user_table.server_of(number);
            let class = classes.join(server, memberships.of(number), &mut list);
            user_table.set_class(number, class);
        }
        Self { classes, list, user_table }
    }

    /// From the classes under an earlier ruleset, whose users have the same numbers.
    /// `None`: that would be more work than to do it anew.
    pub(super) fn carried(
        before: &Engine,
        sets: &Evaluated,
        rules: &RuleIndex,
        user_table: &UserTable,
    ) -> Option<Self> {
        let old = &before.snapshot;
        let first = u32::try_from(old.users.count()).ok()?;
        // Most classes are of nobody any more: time to forget them.
        let Thresholds { reclassified, unused_classes, .. } = before.thresholds;
        if old.classes.len() > 2 * before.classes.count() + unused_classes {
            return None;
        }
        let carried = SetMapping::between(old, sets, rules);
        let mut touched: RoaringBitmap = (first..u32::try_from(user_table.count()).ok()?).collect();
        for (all, ids) in [(&old.sets, &carried.dropped), (sets, &carried.added)] {
            for set in ids.iter().filter_map(|id| all.get(at(*id)?)) {
                touched |= set.named();
            }
        }
        if touched.len() > reclassified
            && touched.len() * 2 > u64::try_from(user_table.count()).ok()?
        {
            return None;
        }
        let mut user_table = user_table.clone();
        let (mut classes, mut list) = translated(before, &carried);
        let added = Memberships::new(carried.added.iter().copied(), sets, user_table.count());
        let open = |id: &SetId| {
            at(*id).and_then(|id| sets.get(id)).is_some_and(|set| *set.open() != Open::Nobody)
        };
        let open: Vec<SetId> = carried.ids.iter().flatten().copied().filter(open).collect();
        for number in &touched {
            let mut now: Vec<SetId> = added.of(number).to_vec();
            let class = old.users.class(number).filter(|_| number < first);
            match class {
                Some(class) => {
                    let kept = old.sets_of_class(class).iter();
                    now.extend(kept.filter_map(|id| carried.ids.get(at(*id)?)?.as_ref()));
                }
                // Nobody listed it before, so only open rules can have let it in.
                None => {
                    let id = String::from(user_table.id(number));
                    let user = UserId::parse(&id).ok()?;
                    let lets_in = |id: &&SetId| {
                        at(**id)
                            .and_then(|id| sets.get(id))
                            .is_some_and(|s| s.open().contains(user))
                    };
                    now.extend(open.iter().filter(lets_in));
                }
            }
            now.sort_unstable();
            let after = classes.join(user_table.server_of(number), &now, &mut list);
            if let Some(class) = class {
                classes.leave(class, &mut list);
            }
            user_table.set_class(number, after);
        }
        Some(Self { classes, list, user_table })
    }
}

/// The classes before, by the ids that their sets have now.
fn translated(before: &Engine, carried: &SetMapping) -> (Classes, ClassList) {
    let list = &before.snapshot.classes;
    let is_same = |(id, now): (SetId, &Option<SetId>)| now.is_none_or(|now| now == id);
    if (0..).zip(&carried.ids).all(is_same) {
        return (before.classes.clone(), list.clone());
    }
    let translated = |id: u32| {
        let Some(Class { server, sets }) = class(list, id) else { return Class::default() };
        let now = sets.iter().filter_map(|id| *carried.ids.get(at(*id)?)?);
        let mut sets: Vec<SetId> = now.collect();
        sets.sort_unstable();
        Class { server: *server, sets: sets.into() }
    };
    let ids = 0..u32::try_from(list.len()).unwrap_or(u32::MAX);
    let list: ClassList = ids.map(translated).collect();
    (before.classes.renamed(&list), list)
}

/// For each named user, the sets it is in.
pub(super) struct Memberships {
    starts: Vec<usize>,
    sets: Vec<SetId>,
}

impl Memberships {
    fn new(ids: impl Iterator<Item = SetId> + Clone, sets: &Evaluated, users: usize) -> Self {
        let members = |id: SetId| at(id).and_then(|id| sets.get(id)).map(|set| set.named());
        let place = |user: u32| usize::try_from(user).unwrap_or(usize::MAX);
        // Counting sort by user: count, sum up, fill in.
        let mut starts = vec![0usize; users + 1];
        for user in ids.clone().filter_map(members).flatten() {
            if let Some(count) = starts.get_mut(place(user) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut starts {
            sum += *count;
            *count = sum;
        }
        let mut all = vec![0; sum];
        let mut next = starts.clone();
        for id in ids {
            for user in members(id).into_iter().flatten() {
                if let Some(next) = next.get_mut(place(user)) {
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
    fn of(&self, user: u32) -> &[SetId] {
        let place = usize::try_from(user).unwrap_or(usize::MAX);
        match self.starts.get(place..=place + 1) {
            Some([start, end]) => self.sets.get(*start..*end).unwrap_or_default(),
            _ => &[],
        }
    }
}
