//! Rows of a difference: touched users who were in the same sets before and are in the same
//! sets now, with the counterparts that they gained and lost.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::canonical::{Became, Canonical};
use super::comparison::Comparison;
use super::{Difference, Found, Pairs, TooMuch};
use crate::routing::model::side::Side;
use crate::routing::snapshot::keys::{ClassId, SetId};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::UserId;

/// The common properties of the users in a row.
#[derive(PartialEq, Eq, Hash)]
struct RowKey {
    before: Before,
    class: ClassId,
}

/// The sets that contained a user.
#[derive(PartialEq, Eq, Hash)]
enum Before {
    /// The sets of a class of numbered users.
    Class(ClassId),
    /// The sets that contain a user without a number.
    OpenSets(Vec<SetId>),
}

/// Rows, merged if they have the same counterparts.
#[derive(Default)]
struct MergedRows {
    rows: Vec<Row>,
    /// Indices in `rows`, by a fingerprint of the counterparts: the number of named users, the
    /// first one and the last one.
    indexes: HashMap<(u64, Option<u32>, Option<u32>), Vec<usize>>,
}

/// Users with the same counterparts.
struct Row {
    users: RoaringBitmap,
    counterparts: Members,
    depends_on_rooms: bool,
}

// === impl Comparison ===

impl Comparison<'_> {
    /// Adds the rows of the touched users of a side.
    pub(super) fn add_rows(
        &mut self,
        side: Side,
        touched: &RoaringBitmap,
        difference: &mut Difference,
    ) -> Result<(), TooMuch> {
        let mut rows: HashMap<RowKey, RoaringBitmap> = HashMap::new();
        let mut id = String::new();
        for number in touched {
            self.spend_budget(1)?;
            self.new.users.id(number).replace(&mut id);
            let Ok(user) = UserId::parse(&id) else { continue };
            let before = match self.old.users.user_ref(user) {
                UserRef::Numbered { class, .. } => Before::Class(class),
                UserRef::Unnumbered(user) => {
                    Before::OpenSets(self.old.open_sets_of(user).collect())
                }
            };
            let class = self.new.users.class_of_number(number).unwrap_or_default();
            rows.entry(RowKey { before, class }).or_default().insert(number);
        }
        let [mut gained, mut lost] = [MergedRows::default(), MergedRows::default()];
        for (key, users) in rows {
            let sets = match &key.before {
                Before::Class(class) => self.old.sets_of_class(*class),
                Before::OpenSets(sets) => sets,
            };
            let class = self.new.sets_of_class(key.class);
            let before = self.old.counterparts_of(sets, side, self.capabilities);
            let after = self.new.counterparts_of(class, side, self.capabilities);
            let before = Canonical::new(&before, |members| self.lift_set(members))?;
            let after = Canonical::new(&after, |members| Ok(members.clone()))?;
            self.spend_budget(before.size() + after.size())?;
            gained.add_rows(&users, after.became_since(&before));
            lost.add_rows(&users, before.became_since(&after));
        }
        difference.gained.extend(gained.into_pairs(side));
        difference.lost.extend(lost.into_pairs(side));
        Ok(())
    }
}

// === impl MergedRows ===

impl MergedRows {
    /// Adds the users who became counterparts.
    fn add_rows(&mut self, users: &RoaringBitmap, became: Became) {
        let Became { certainly, for_some_rooms } = became;
        self.add_row(users, certainly, false);
        self.add_row(users, for_some_rooms, true);
    }

    fn add_row(&mut self, users: &RoaringBitmap, counterparts: Members, depends_on_rooms: bool) {
        let alone = |one: &RoaringBitmap| one.len() == 1 && one == users;
        if counterparts.is_empty() || (!counterparts.is_open() && alone(counterparts.named())) {
            return;
        }
        let named = counterparts.named();
        let fingerprint = (named.len(), named.min(), named.max());
        let indexes = self.indexes.entry(fingerprint).or_default();
        for index in &*indexes {
            if let Some(row) = self.rows.get_mut(*index)
                && row.counterparts == counterparts
                && row.depends_on_rooms == depends_on_rooms
            {
                row.users |= users;
                return;
            }
        }
        indexes.push(self.rows.len());
        self.rows.push(Row { users: users.clone(), counterparts, depends_on_rooms });
    }

    fn into_pairs(self, side: Side) -> impl Iterator<Item = Pairs> {
        self.rows.into_iter().map(move |Row { users, counterparts, depends_on_rooms }| {
            let users = Members::listed(users);
            let (senders, recipients) = match side {
                Side::Sender => (users, counterparts),
                Side::Recipient => (counterparts, users),
            };
            Pairs { senders, recipients, found: Found::For(side), depends_on_rooms }
        })
    }
}
