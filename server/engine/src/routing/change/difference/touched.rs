//! Compares the products of two snapshots' rules, and finds the users whose membership in a
//! product changed.
//!
//! Sets are the same if they have the same members, whatever their names in a policy: an
//! unchanged rule or group touches no users. Products that only one snapshot has are paired by
//! their common members: if a group got a member, only that member is touched. Better pairing
//! only reduces the number of users that are touched in vain.

mod contents;
mod pairing;

use std::sync::Arc;

use roaring::RoaringBitmap;

use self::contents::{Contents, Products};
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
        let before = contents.products(self.old, first);
        let after = contents.products(self.new, first);
        let mut touched = Touched::default();
        for allows in [true, false] {
            let removed = self.products_only_in(self.old, &before, &after, allows)?;
            let added = self.products_only_in(self.new, &after, &before, allows)?;
            self.compare_products(allows, removed, added, &mut touched)?;
        }
        Ok(touched)
    }

    /// Finds the products with one effect that only one of the snapshots has.
    fn products_only_in(
        &mut self,
        of: &Snapshot,
        products: &Products,
        others: &Products,
        allows: bool,
    ) -> Result<Vec<Unmatched>, TooMuch> {
        let only = products.iter().filter(|(key, _)| key.0 == allows && !others.contains_key(key));
        let mut left = Vec::new();
        for ((_, contents), sides) in only {
            let [senders, recipients] = sides.map(|id| of.set(id).cloned().unwrap_or_default());
            let sides = if std::ptr::eq(of, self.old) {
                [Arc::new(self.lift_set(&senders)?), Arc::new(self.lift_set(&recipients)?)]
            } else {
                [senders, recipients]
            };
            left.push(Unmatched { contents: *contents, sides });
        }
        Ok(left)
    }

    fn compare_products(
        &mut self,
        allows: bool,
        mut removed: Vec<Unmatched>,
        mut added: Vec<Unmatched>,
        touched: &mut Touched,
    ) -> Result<(), TooMuch> {
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
                    touched.add_product(gains, side, moved, across);
                }
            }
        }
        for (gains, left) in [(!allows, removed), (allows, added)] {
            for Unmatched { sides: [senders, recipients], .. } in left {
                self.spend_budget(1)?;
                let size = |set: &Members| (set.is_open(), set.named().len());
                if size(&recipients) < size(&senders) {
                    touched.add_product(
                        gains,
                        Side::Recipient,
                        Members::clone(&recipients),
                        &senders,
                    );
                } else {
                    touched.add_product(gains, Side::Sender, Members::clone(&senders), &recipients);
                }
            }
        }
        Ok(())
    }
}

// === impl Touched ===

impl Touched {
    /// Some users of a side, and the users across in a product.
    fn add_product(&mut self, gains: bool, side: Side, moved: Members, across: &Members) {
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
            self.bounds.push((gains, Pairs { senders, recipients, found: Found::Bound }));
        }
    }
}
