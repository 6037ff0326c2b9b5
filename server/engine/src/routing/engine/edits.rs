//! Edits of the members of the directory's groups. Each edit touches only the user that it
//! names, and the sets that depend on the group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use crate::routing::snapshot::keys::{SetId, UserNumber};
use crate::routing::snapshot::set_defs::Evaluated;
use presence_router_ids::UserId;

/// A change of the members of a group that the directory fills.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'a> {
    /// The user becomes a member.
    Join {
        /// The group.
        group: &'a str,
        /// The user.
        user: UserId<'a>,
    },
    /// The user stops being a member.
    Leave {
        /// The group.
        group: &'a str,
        /// The user.
        user: UserId<'a>,
    },
}

/// The reason for which the engine refused edits. The directory is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The ruleset has no group of this name that the directory fills.
    #[error("`{0}` is not a group that the directory fills")]
    NotInDirectory(Box<str>),

    /// All numbers for users are in use.
    #[error("no more than {} users can be named", u32::MAX)]
    Full,
}

// === impl Engine ===

impl Engine {
    /// Changes the members of the directory's groups: applies all edits, or none of them.
    ///
    /// # Errors
    ///
    /// If the directory does not fill a group, or no number is left for a new user.
    pub fn edit(&mut self, edits: &[Edit<'_>]) -> Result<(), EditError> {
        let groups = edits
            .iter()
            .map(|edit| {
                let name = edit.group();
                self.defs.directory_set(name).ok_or_else(|| EditError::NotInDirectory(name.into()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let unused_numbers = u32::MAX as usize - self.snapshot.users.count();
        if edits.len() > unused_numbers {
            return Err(EditError::Full);
        }
        for (edit, group) in edits.iter().zip(groups) {
            self.apply(*edit, group);
        }
        Ok(())
    }

    fn apply(&mut self, edit: Edit<'_>, group: SetId) {
        let (user, joins) = match edit {
            Edit::Join { user, .. } => (user, true),
            Edit::Leave { user, .. } => (user, false),
        };
        let number = match (self.snapshot.users.number(user.as_str()), joins) {
            (Some(number), _) => number,
            // The user has no number, and so is in no group.
            (None, false) => return,
            (None, true) => match self.number_user(user) {
                Some(number) => number,
                None => return,
            },
        };
        if !set_member(&mut self.snapshot.sets, group, number, joins) {
            return;
        }
        self.count_list(number, joins);
        // Sets that refer to others have larger ids: with the smallest id first, each set is up
        // to date before another set needs it.
        let mut changed = BTreeSet::from([group]);
        let mut todo: BTreeSet<SetId> = self.defs.referring_sets(group).iter().copied().collect();
        while let Some(id) = todo.pop_first() {
            let is_in = self.defs.holds(id, number, user, &self.snapshot.sets);
            if set_member(&mut self.snapshot.sets, id, number, is_in) {
                changed.insert(id);
                todo.extend(self.defs.referring_sets(id));
            }
        }
        changed.retain(|id| self.snapshot.rules.is_used(*id));
        self.reclassify(number, &changed);
    }

    /// Adds one list to, or subtracts one from, the count of a user.
    fn count_list(&mut self, number: UserNumber, joins: bool) {
        let Some(lists) = self.snapshot.lists.get_mut_or_fill(number) else { return };
        *lists = if joins { *lists + 1 } else { lists.saturating_sub(1) };
        let lists = *lists;
        let Some(server) = self.snapshot.users.server_of(number) else { return };
        let Some(users) = self.snapshot.servers.get_mut_or_fill(server) else { return };
        let before = *users;
        match (joins, lists) {
            (true, 1) => *users += 1,
            (false, 0) => *users = users.saturating_sub(1),
            _ => {}
        }
        if (before == 0) != (*users == 0) {
            self.snapshot.possible_destinations = Default::default();
        }
    }

    /// Assigns a number to a user, and adds the user to all sets that include it by server or
    /// pattern.
    fn number_user(&mut self, user: UserId<'_>) -> Option<UserNumber> {
        let number = self.snapshot.users.number_or_assign(user)?;
        // A user in no list is in a set if and only if the set's open rule includes the user.
        let mut entered = BTreeSet::new();
        for id in &*self.open_sets {
            if self.snapshot.sets.get(*id).is_some_and(|set| set.open().contains(user)) {
                if let Some(set) = self.snapshot.sets.get_mut(*id) {
                    Arc::make_mut(set).insert_covered(number);
                }
                if self.snapshot.rules.is_used(*id) {
                    entered.insert(*id);
                }
            }
        }
        let sets: Vec<SetId> = entered.into_iter().collect();
        let server = self.snapshot.users.server_of(number)?;
        let class = self.classes.add_user(server, &sets, &mut self.snapshot.classes);
        self.snapshot.users.set_class(number, class);
        Some(number)
    }

    /// Moves a user to the class that differs from its current class by these sets.
    fn reclassify(&mut self, number: UserNumber, changed: &BTreeSet<SetId>) {
        if changed.is_empty() {
            return;
        }
        let users = &self.snapshot.users;
        let Some((before, server)) = users.class_of_number(number).zip(users.server_of(number))
        else {
            return;
        };
        let old: BTreeSet<SetId> = self.snapshot.sets_of_class(before).iter().copied().collect();
        let new: Vec<SetId> = old.symmetric_difference(changed).copied().collect();
        let list = &mut self.snapshot.classes;
        let after = self.classes.add_user(server, &new, list);
        self.classes.remove_user(before, list);
        self.snapshot.users.set_class(number, after);
    }
}

// === impl Edit ===

impl Edit<'_> {
    fn group(&self) -> &str {
        match self {
            Self::Join { group, .. } | Self::Leave { group, .. } => group,
        }
    }
}

/// Adds a user to a set, or removes the user. Returns true if this changed the set.
fn set_member(sets: &mut Evaluated, id: SetId, number: UserNumber, is_in: bool) -> bool {
    if sets.get(id).is_none_or(|set| set.named().contains(number) == is_in) {
        return false;
    }
    if let Some(set) = sets.get_mut(id) {
        Arc::make_mut(set).set_named(number, is_in);
    }
    true
}
