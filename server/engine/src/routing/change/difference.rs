//! Pairs that became visible and pairs that stopped being visible, from one snapshot to a
//! later one.
//!
//! A pair can change only if a product of some rule contained the pair before and no product
//! of the same effect does now, or the other way round. So [`touched`] compares products, and
//! finds the *touched* users, who entered or left a product: every changed pair has a touched
//! user on one of its sides. Touched users who were in the same sets before and are in the same
//! sets now form a *row*: one audience before, one audience now, one subtraction. Rows are
//! exact.
//!
//! Unlisted users have no rows, because they cannot be listed. If a rule that is open on both
//! sides is new or changed, the difference contains the whole product, which is a *bound*: it
//! contains every such pair that changed, and may contain pairs that did not change.
//!
//! Where rules require relations, a pair is a function of the relations between its users, which
//! only the caller can evaluate. The difference then contains every pair that changes for some
//! outcome of the relations, and says which pairs change for some rooms only. A pair may be gained
//! for some rooms and lost for others.

pub mod attribution;
mod canonical;
mod comparison;
mod rows;
mod touched;

use roaring::RoaringBitmap;

use self::comparison::Comparison;
use self::touched::Touched;
use crate::routing::model::side::Side;
use crate::routing::query::visibility::CallerView;
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::members::Members;
use presence_router_ids::RoomCapabilities;

/// The changes of visibility between two snapshots.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// Pairs that became visible.
    pub gained: Vec<Pairs>,
    /// Pairs that stopped being visible.
    pub lost: Vec<Pairs>,
    /// Named users in the rows of senders: the rows of recipients contain the pairs with these
    /// users a second time.
    touched_senders: RoaringBitmap,
}

/// Every pair of a sender and a recipient, modulo self.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// The senders.
    pub senders: Members,
    /// The recipients, who may now see the senders or may no longer do so.
    pub recipients: Members,
    /// The origin of the pairs, which decides their precision.
    pub found: Found,
    /// True if a pair changes for some rooms only, so that some of the pairs may not change.
    pub depends_on_rooms: bool,
}

/// The origin of pairs, which decides their precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// For touched users of this side: all of these pairs have changed, or may change with the
    /// rooms of their users.
    For(Side),
    /// From a whole open product: some of these pairs may not have changed.
    Bound,
}

/// A number of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Pairs of named users.
    pub named: u64,
    /// True if there may be pairs with unlisted users.
    pub open: bool,
    /// True if `named` is an upper bound rather than the exact number.
    pub bound: bool,
    /// True if some of the pairs, named or not, change for some rooms only.
    pub depends_on_rooms: bool,
}

/// Maximum work of a comparison, in members of sets examined. Some hundred million take
/// a second.
#[derive(Clone, Copy, Debug)]
pub struct Budget(pub u64);

/// The error for a comparison that exceeds the budget, or that is impossible because the
/// snapshots number users differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change is too large to report")]
pub struct TooMuch;

// === impl Budget ===

impl Budget {
    /// The budget for a change that streams wait for.
    pub const CHANGE: Self = Self(100_000_000);
    /// The budget for a person who waits for an answer.
    pub const PLAN: Self = Self(3_000_000_000);
}

// === impl Difference ===

impl Difference {
    /// Computes the changes from a snapshot to a later one, for callers with these capabilities.
    /// Capabilities on which neither snapshot depends make no difference:
    /// [`Self::relevant_capabilities`] removes them.
    ///
    /// # Errors
    ///
    /// If the work exceeds the budget, or the snapshots have no users in common.
    pub fn between(
        old: &Snapshot,
        new: &Snapshot,
        capabilities: RoomCapabilities,
        budget: Budget,
    ) -> Result<Self, TooMuch> {
        if !new.users.share_numbers_with(&old.users) || new.users.count() < old.users.count() {
            return Err(TooMuch);
        }
        let mut comparison = Comparison::new(old, new, capabilities, budget);
        let Touched { users, bounds } = comparison.find_touched()?;
        let mut difference = Self::default();
        for side in [Side::Sender, Side::Recipient] {
            comparison.add_rows(side, side.select(&users), &mut difference)?;
        }
        for (gains, pairs) in bounds {
            let list = if gains { &mut difference.gained } else { &mut difference.lost };
            if !list.contains(&pairs) {
                list.push(pairs);
            }
        }
        let [senders, _] = users;
        difference.touched_senders = senders;
        Ok(difference)
    }

    /// Returns the part of a caller's capabilities on which the difference of two snapshots
    /// depends. Callers with the same part share the difference.
    pub fn relevant_capabilities(
        [old, new]: [&Snapshot; 2],
        capabilities: RoomCapabilities,
    ) -> RoomCapabilities {
        let needed = old.rules.needed_capabilities().union(new.rules.needed_capabilities());
        needed.intersection(capabilities)
    }

    /// Returns true if nothing changed.
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }

    /// Counts some of this difference's pairs, each once.
    pub fn count<'p>(&self, pairs: impl IntoIterator<Item = &'p Pairs>) -> Count {
        let mut count = Count::default();
        for Pairs { senders, recipients, found, depends_on_rooms } in pairs {
            let open = senders.is_open() || recipients.is_open();
            count.open |= open;
            let mut named = senders.named().len() * recipients.named().len();
            let mut itself = senders.named() & recipients.named();
            match found {
                Found::For(Side::Sender) => {}
                // A pair of two touched users is in a row of senders.
                Found::For(Side::Recipient) => {
                    named -= self.touched_senders.intersection_len(senders.named())
                        * recipients.named().len();
                    itself -= &self.touched_senders;
                }
                Found::Bound => count.bound |= named > itself.len(),
            }
            let named = named - itself.len();
            count.bound |= *depends_on_rooms && named > 0;
            count.depends_on_rooms |= *depends_on_rooms && (named > 0 || open);
            count.named += named;
        }
        count
    }
}

// === impl Pairs ===

impl Pairs {
    /// Returns the pairs that concern a caller, as products that contain only users of such
    /// pairs. A pair may be in two products. `snapshot` is the later one.
    pub fn concerning(&self, snapshot: &Snapshot, view: &CallerView) -> Vec<[Members; 2]> {
        let Self { senders, recipients, .. } = self;
        let local = |set: &Members| set.on_servers_of(view.caller(), view.local_users(snapshot));
        let (local_senders, local_recipients) = (local(senders), local(recipients));
        let products = if local_senders == *senders {
            vec![[local_senders, recipients.clone()]]
        } else if local_recipients == *recipients {
            vec![[senders.clone(), local_recipients]]
        } else {
            vec![[local_senders, recipients.clone()], [senders.clone(), local_recipients]]
        };
        let is_some = |product: &[Members; 2]| product.iter().all(|set| !set.is_empty());
        products.into_iter().filter(is_some).collect()
    }
}

#[cfg(test)]
mod tests;
