//! Compares the products of two snapshots' rules, and finds the users whose membership in a
//! product changed.
//!
//! Sets are the same if they have the same members, whatever their names in a policy: an
//! unchanged rule or group touches no users. Products that only one snapshot has are paired by
//! their common members: if a group got a member, only that member is touched. Better pairing
//! only reduces the number of users that are touched in vain.

mod contents;
mod pairing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use self::contents::{Contents, Kind, Products};
use self::pairing::{Unmatched, pair_up};
use super::comparison::Comparison;
use super::{Found, Pairs, TooMuch};
use crate::routing::model::side::Side;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;

/// The touched users.
#[derive(Default)]
pub(super) struct Touched {
    /// Named users, as senders and as recipients.
    pub(super) users: [RoaringBitmap; 2],
    /// Open products; `true`: the product is gained, `false`: lost.
    pub(super) bounds: Vec<(bool, Pairs)>,
}

// === impl Comparison ===

impl Comparison<'_> {
    pub(super) fn find_touched(&mut self) -> Result<Touched, TooMuch> {
        if Arc::ptr_eq(&self.old.rules, &self.new.rules) {
            self.touched_by_edits()
        } else {
            self.touched_by_rules()
        }
    }

    /// Finds touched users under one ruleset: users who entered or left a set.
    fn touched_by_edits(&mut self) -> Result<Touched, TooMuch> {
        let (old, new) = (self.old, self.new);
        let mut touched = Touched::default();
        for id in new.sets.unshared(&old.sets) {
            self.spend_budget(1)?;
            let Some((before, after)) = old.sets.get(id).zip(new.sets.get(id)) else {
                continue;
            };
            let decides = |side: &Side| new.rules.decides(id, *side);
            let sides = [Side::Sender, Side::Recipient].into_iter().filter(decides);
            if Arc::ptr_eq(before, after) || sides.clone().next().is_none() {
                continue;
            }
            let before = self.lift_set(before)?;
            self.spend_budget(before.named().len())?;
            let moved = before.named() ^ after.named();
            for side in sides {
                *side.select_mut(&mut touched.users) |= &moved;
            }
        }
        Ok(touched)
    }

    /// Finds touched users under two rulesets: users in a product that only one ruleset has.
    fn touched_by_rules(&mut self) -> Result<Touched, TooMuch> {
        let first = self.old.users.numbers().end;
        let mut contents = Contents::default();
        let before = contents.products(self.old, first, self.capabilities);
        let after = contents.products(self.new, first, self.capabilities);
        let mut touched = Touched::default();
        let mut removed = self.products_only_in(self.old, &before, &after)?;
        let mut added = self.products_only_in(self.new, &after, &before)?;
        let kinds: BTreeSet<Kind<'_>> = removed.keys().chain(added.keys()).copied().collect();
        for kind in kinds {
            let [removed, added] =
                [&mut removed, &mut added].map(|all| all.remove(&kind).unwrap_or_default());
            self.compare_products(kind, removed, added, &mut touched)?;
        }
        Ok(touched)
    }

    /// Finds the products that only one of the snapshots has, by kind.
    fn products_only_in<'p>(
        &mut self,
        of: &Snapshot,
        products: &Products<'p>,
        others: &Products<'_>,
    ) -> Result<BTreeMap<Kind<'p>, Vec<Unmatched>>, TooMuch> {
        let mut left: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((kind, contents), sides) in products {
            if others.contains_key(&(*kind, *contents)) {
                continue;
            }
            let [senders, recipients] = sides.map(|id| of.set(id).cloned().unwrap_or_default());
            let sides = if std::ptr::eq(of, self.old) {
                [Arc::new(self.lift_set(&senders)?), Arc::new(self.lift_set(&recipients)?)]
            } else {
                [senders, recipients]
            };
            left.entry(*kind).or_default().push(Unmatched { contents: *contents, sides });
        }
        Ok(left)
    }

    /// Compares the products of one kind.
    fn compare_products(
        &mut self,
        (allows, relation): Kind<'_>,
        mut removed: Vec<Unmatched>,
        mut added: Vec<Unmatched>,
        touched: &mut Touched,
    ) -> Result<(), TooMuch> {
        let depends_on_rooms = relation.is_some();
        for (before, after) in pair_up(&mut removed, &mut added) {
            for side in [Side::Sender, Side::Recipient] {
                let [one, two] = [&before, &after].map(|product| side.select(&product.sides));
                self.spend_budget(one.named().len() + two.named().len())?;
                *side.select_mut(&mut touched.users) |= one.named() ^ two.named();
                if one.open() == two.open() {
                    continue;
                }
                let across = [&before, &after].map(|product| side.other().select(&product.sides));
                for (gains, one, two, across) in
                    [(!allows, one, two, across[0]), (allows, two, one, across[1])]
                {
                    let mut moved = Members::clone(one);
                    moved.subtract(two);
                    touched.add_product((gains, depends_on_rooms), side, moved, across);
                }
            }
        }
        for (gains, left) in [(!allows, removed), (allows, added)] {
            for Unmatched { sides: [senders, recipients], .. } in left {
                self.spend_budget(1)?;
                let size = |set: &Members| (set.is_open(), set.named().len());
                let (side, moved, across) = if size(&recipients) < size(&senders) {
                    (Side::Recipient, recipients, senders)
                } else {
                    (Side::Sender, senders, recipients)
                };
                let moved = Arc::unwrap_or_clone(moved);
                touched.add_product((gains, depends_on_rooms), side, moved, &across);
            }
        }
        Ok(())
    }
}

// === impl Touched ===

impl Touched {
    /// Some users of a side, and the users across in a product.
    fn add_product(
        &mut self,
        (gains, depends_on_rooms): (bool, bool),
        side: Side,
        moved: Members,
        across: &Members,
    ) {
        let across_side = side.other();
        if !moved.is_open() {
            *side.select_mut(&mut self.users) |= moved.named();
        } else if !across.is_open() {
            *across_side.select_mut(&mut self.users) |= across.named();
        } else {
            // Users who are in by name get rows, which are exact. A bound must not name them: a
            // caller who sees none of them before or after has no business with them.
            *side.select_mut(&mut self.users) |= moved.named();
            *across_side.select_mut(&mut self.users) |= across.listed_besides();
            let [moved, across] = [&moved, across].map(Members::without_listed_besides);
            let (senders, recipients) = match side {
                Side::Sender => (moved, across),
                Side::Recipient => (across, moved),
            };
            let found = Found::Bound;
            self.bounds.push((gains, Pairs { senders, recipients, found, depends_on_rooms }));
        }
    }
}
