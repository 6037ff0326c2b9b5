//! Rows of a difference: touched users who were in the same sets before and are in the same
//! sets now, with the counterparts that they gained and lost.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::comparison::Comparison;
use super::{Difference, Found, Pairs, TooMuch};
use crate::routing::model::side::Side;
use crate::routing::snapshot::keys::{ClassId, SetId};
use crate::routing::snapshot::members::Members;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::{RoomCapabilities, UserId};

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
    rows: Vec<(RoaringBitmap, Members)>,
    /// Indices in `rows`, by a fingerprint of the counterparts: the number of named users, the
    /// first one and the last one.
    indexes: HashMap<(u64, Option<u32>, Option<u32>), Vec<usize>>,
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
            let (all, class) = (RoomCapabilities::ALL, self.new.sets_of_class(key.class));
            let before = self.old.counterparts_of(sets, side, all).at_most().into_owned();
            let after = self.new.counterparts_of(class, side, all).at_most().into_owned();
            self.spend_budget(before.named().len() + after.named().len())?;
            let before = self.lift_set(&before)?;
            let mut more = after.clone();
            more.subtract(&before);
            let mut less = before;
            less.subtract(&after);
            gained.add_row(&users, more);
            lost.add_row(&users, less);
        }
        difference.gained.extend(gained.into_pairs(side));
        difference.lost.extend(lost.into_pairs(side));
        Ok(())
    }
}

// === impl MergedRows ===

impl MergedRows {
    fn add_row(&mut self, users: &RoaringBitmap, counterparts: Members) {
        let alone = |one: &RoaringBitmap| one.len() == 1 && one == users;
        if counterparts.is_empty() || (!counterparts.is_open() && alone(counterparts.named())) {
            return;
        }
        let named = counterparts.named();
        let fingerprint = (named.len(), named.min(), named.max());
        let indexes = self.indexes.entry(fingerprint).or_default();
        for index in &*indexes {
            if let Some((row, same)) = self.rows.get_mut(*index)
                && *same == counterparts
            {
                *row |= users;
                return;
            }
        }
        indexes.push(self.rows.len());
        self.rows.push((users.clone(), counterparts));
    }

    fn into_pairs(self, side: Side) -> impl Iterator<Item = Pairs> {
        self.rows.into_iter().map(move |(users, counterparts)| {
            let users = Members::listed(users);
            let found = Found::For(side);
            match side {
                Side::Sender => Pairs { senders: users, recipients: counterparts, found },
                Side::Recipient => Pairs { senders: counterparts, recipients: users, found },
            }
        })
    }
}
