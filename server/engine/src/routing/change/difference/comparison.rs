//! Compares two snapshots, within a budget of work.

use presence_router_ids::RoomCapabilities;

use super::{Budget, TooMuch};
use crate::routing::snapshot::Snapshot;
use crate::routing::snapshot::keys::UserNumber;
use crate::routing::snapshot::members::Members;

/// Two snapshots; the later one has all users of the earlier one and possibly more.
pub(super) struct Comparison<'s> {
    pub(super) old: &'s Snapshot,
    pub(super) new: &'s Snapshot,
    /// The capabilities of the callers for whom the comparison is.
    pub(super) capabilities: RoomCapabilities,
    /// The rest of the budget.
    left: u64,
}

// === impl Comparison ===

impl<'s> Comparison<'s> {
    pub(super) fn new(
        old: &'s Snapshot,
        new: &'s Snapshot,
        capabilities: RoomCapabilities,
        budget: Budget,
    ) -> Self {
        Self { old, new, capabilities, left: budget.0 }
    }

    /// Spends part of the budget.
    pub(super) fn spend_budget(&mut self, members: u64) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(members).ok_or(TooMuch)?;
        Ok(())
    }

    /// Returns the users who were named between the snapshots.
    fn newcomers(&self) -> impl Iterator<Item = (UserNumber, String)> + use<'_, 's> {
        let user_table = &self.new.users;
        let newcomers = user_table.numbers_since(&self.old.users);
        newcomers.map(|number| (number, user_table.id(number).into()))
    }

    /// Converts an earlier set to the users of the later snapshot.
    pub(super) fn lift_set(&mut self, members: &Members) -> Result<Members, TooMuch> {
        let newcomers = self.new.users.count() - self.old.users.count();
        if !members.is_open() || newcomers == 0 {
            return Ok(members.clone());
        }
        self.spend_budget(u64::try_from(newcomers).unwrap_or(u64::MAX))?;
        Ok(members.with_newcomers(self.newcomers()))
    }
}
