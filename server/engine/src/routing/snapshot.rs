//! A snapshot: the rules of a ruleset over evaluated sets, from which answers are computed.
//! A snapshot never changes; the engine creates the next one, which shares all unchanged
//! data.
//!
//! [`members`] stores one set, [`user_table`] the numbers of users, `numbering` the list of
//! sets, `set_defs` their definitions, `rule_index` the rules by set, and `classes` the
//! users in the same sets. `possible_destinations` is the list of servers that answers may name.
//! `cow_vec` shares unchanged data between snapshots, and [`keys`] defines the typed indices.

pub(in crate::routing) mod classes;
pub(in crate::routing) mod cow_vec;
pub mod keys;
pub mod members;
pub(in crate::routing) mod numbering;
mod possible_destinations;
pub(in crate::routing) mod rule_index;
pub(in crate::routing) mod set_defs;
pub mod user_table;

use std::sync::Arc;

use roaring::RoaringBitmap;

use self::classes::ClassList;
use self::cow_vec::CowVec;
use self::keys::{ClassId, ServerId, SetId, UserNumber};
use self::members::{Members, Open};
use self::possible_destinations::PossibleDestinations;
use self::rule_index::RuleIndex;
use self::set_defs::Evaluated;
use self::user_table::{UserRef, UserTable};
use presence_router_ids::{Coverage, UserId};

/// The complete input of answers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(in crate::routing) users: UserTable,
    pub(in crate::routing) classes: ClassList,
    pub(in crate::routing) sets: Evaluated,
    pub(in crate::routing) rules: Arc<RuleIndex>,
    /// Sets of rules that contain users by server or pattern, ascending.
    pub(in crate::routing) open_sets: Arc<[SetId]>,
    /// The servers that the ruleset names in full, sorted.
    pub(in crate::routing) named_servers: Arc<[Box<str>]>,
    /// The number of lists, of policy and directory, that contain each user. A user's
    /// number stays assigned, listed or not.
    pub(in crate::routing) lists: CowVec<UserNumber, u32>,
    /// The number of listed users of each server.
    pub(in crate::routing) servers: CowVec<ServerId, u32>,
    /// The servers that answers may name as destinations.
    pub(in crate::routing) possible_destinations: PossibleDestinations,
}

impl Snapshot {
    /// Returns the numbered users: all users whom policy or directory name or once named.
    #[inline]
    pub fn users(&self) -> &UserTable {
        &self.users
    }

    /// Returns the users whom policy or directory list now. Formerly listed users keep their
    /// numbers too.
    pub fn listed_users(&self) -> RoaringBitmap {
        self.lists.iter().filter(|(_, lists)| **lists > 0).map(|(number, _)| number).collect()
    }

    /// Returns the number of users whom policy or directory list now.
    pub fn listed_count(&self) -> usize {
        self.listed_by_server().map(|(_, users)| usize::try_from(users).unwrap_or(usize::MAX)).sum()
    }

    /// Returns the servers of the users whom policy or directory list now, each with the number
    /// of these users, in no particular order.
    pub fn listed_by_server(&self) -> impl Iterator<Item = (&str, u32)> {
        self.users.servers_with_ids().filter_map(|(name, id)| {
            let users = self.servers.get(id)?;
            (*users > 0).then_some((name, *users))
        })
    }

    /// Returns the servers that the ruleset names in full, sorted.
    pub fn named_servers(&self) -> impl Iterator<Item = &str> {
        self.named_servers.iter().map(|name| &**name)
    }

    /// Returns the members of a set.
    #[inline]
    pub fn set(&self, id: SetId) -> Option<&Arc<Members>> {
        self.sets.get(id)
    }

    /// Returns the sets of rules that contain a user, ascending.
    pub fn sets_of(&self, who: UserRef<'_>) -> Vec<SetId> {
        match who {
            UserRef::Numbered { class, .. } => self.sets_of_class(class).to_vec(),
            UserRef::Unnumbered(user) => self.open_sets_of(user).collect(),
        }
    }

    /// Returns the sets of rules that contain the users of a class, ascending.
    #[inline]
    pub(in crate::routing) fn sets_of_class(&self, class: ClassId) -> &[SetId] {
        self.classes.get(class).map_or(&[], |class| &class.sets)
    }

    /// Returns the sets of rules that contain an unlisted user, ascending.
    pub(in crate::routing) fn open_sets_of(&self, user: UserId<'_>) -> impl Iterator<Item = SetId> {
        let lets_in = move |id: &SetId| self.set(*id).is_some_and(|set| set.open().contains(user));
        self.open_sets.iter().copied().filter(lets_in)
    }

    /// Returns the servers that policy or directory name, by a user or in full, and on which an
    /// open rule may include users. Sorted.
    pub fn destinations(&self, open: &Open) -> Vec<&str> {
        let mut names = self.all_named_servers();
        names.retain(|name| open.coverage_of(name) != Coverage::Nobody);
        names
    }

    /// Returns the servers that policy or directory name, by a user or in full. Sorted, without
    /// repeats.
    fn all_named_servers(&self) -> Vec<&str> {
        let in_full = self.named_servers();
        let by_user = self.listed_by_server().map(|(name, _)| name);
        let mut names: Vec<&str> = in_full.chain(by_user).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
