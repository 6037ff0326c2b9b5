//! The writer: holds the ruleset and the directory, and creates snapshots of them.
//!
//! The engine evaluates a ruleset as a whole. An edit of the directory touches only the
//! users that it names, and the sets that depend on its groups. Readers hold snapshots and
//! never wait; the engine copies shared data at the moment of a change.

mod classify;
mod edits;
mod evaluate;

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

pub use self::edits::{Edit, EditError};

use super::model::ruleset::{Ruleset, Set};
use super::snapshot::Snapshot;
use super::snapshot::classes::Classes;
use super::snapshot::keys::{SetId, UserNumber};
use super::snapshot::members::Members;
use super::snapshot::numbering::Numbering;
use super::snapshot::set_defs::SetDefs;
use super::snapshot::user_table::UserTable;
use presence_router_ids::UserId;

/// Maximum levels of sets in an open rule. Deeper rules would not survive the wire: Protobuf
/// decoders stop at a hundred nested messages, and each level takes two. An answer puts at most
/// eight levels around a set: unions and differences with the sets of other rules, exceptions, and
/// relations.
pub const MAX_DEPTH: usize = 32;

/// The only writer of the ruleset, the directory and the snapshots.
#[derive(Debug)]
pub struct Engine {
    defs: SetDefs,
    classes: Classes,
    /// All sets with an open rule, whether rules use them or not.
    open_sets: Box<[SetId]>,
    /// The current snapshot. Readers get a clone.
    snapshot: Snapshot,
    thresholds: Thresholds,
}

/// The sizes from which the engine works on the whole instead of step by step. No answer
/// depends on them; tests set them to 0, so that a few users suffice where otherwise thousands
/// are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Maximum kept numbers of formerly listed users, in addition to twice the number of listed
    /// users.
    pub unused_numbers: usize,

    /// Maximum users that another ruleset puts into classes one by one, even if they are most of
    /// all users.
    pub reclassified: u64,

    /// Maximum kept classes without users, in addition to the number of classes with users.
    pub unused_classes: usize,
}

/// The error for an open set with more than [`MAX_DEPTH`] levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "servers and patterns nest {depth} levels deep, but at most {MAX_DEPTH} levels are supported"
)]
pub struct TooDeep {
    /// The group or rule that the set belongs to.
    pub owner: SetOwner,
    /// The number of levels of the set.
    pub depth: usize,
}

/// The owner of a set, by its index in the ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOwner {
    /// The members of a group.
    Group(usize),
    /// A side of a rule's products.
    Rule(usize),
}

// === impl Thresholds ===

impl Default for Thresholds {
    fn default() -> Self {
        Self { unused_numbers: 10_000, reclassified: 10_000, unused_classes: 10_000 }
    }
}

// === impl Engine ===

impl Engine {
    /// Evaluates a ruleset, over an empty directory.
    ///
    /// # Errors
    ///
    /// If an open set is too deep for the wire.
    pub fn new(ruleset: &Ruleset) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(ruleset);
        let users = numbering.named_users();
        let user_table = UserTable::for_about(users.len());
        Self::evaluate(ruleset, &mut numbering, &users, user_table, None, |_| None)
    }

    /// Sets the thresholds of this engine, and of all engines made from it.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Evaluates a ruleset over a directory: for each membership, the group and the user.
    /// Ignores memberships in groups that the ruleset does not have.
    ///
    /// # Errors
    ///
    /// If an open set is too deep for the wire.
    pub fn with_memberships<'a>(
        ruleset: &Ruleset,
        memberships: impl IntoIterator<Item = (&'a str, UserId<'a>)>,
        users_about: usize,
    ) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(ruleset);
        let users = numbering.named_users();
        let mut user_table = UserTable::for_about(users_about.max(users.len()));
        let mut groups: HashMap<&str, Vec<UserNumber>> = ruleset
            .groups
            .iter()
            .filter_map(|set| match set {
                Set::Directory(name) => Some((&**name, Vec::new())),
                _ => None,
            })
            .collect();
        for (group, user) in memberships {
            let Some(numbers) = groups.get_mut(group) else { continue };
            numbers.extend(user_table.number_or_assign(user));
        }
        let groups: HashMap<&str, Arc<Members>> = groups
            .into_iter()
            .map(|(name, mut numbers)| {
                numbers.sort_unstable();
                let mut users: RoaringBitmap = numbers.into_iter().collect();
                users.optimize();
                (name, Arc::new(Members::listed(users)))
            })
            .collect();
        let directory = |name: &str| groups.get(name).cloned();
        Self::evaluate(ruleset, &mut numbering, &users, user_table, None, directory)
    }

    /// Evaluates another ruleset over the same directory. Users keep their numbers, so that the
    /// snapshots of both can be compared, however few users the ruleset lists.
    ///
    /// # Errors
    ///
    /// If an open set is too deep for the wire.
    pub fn with_ruleset(&self, ruleset: &Ruleset) -> Result<Self, TooDeep> {
        let mut numbering = Numbering::new(ruleset);
        let users = numbering.named_users();
        let directory = |name: &str| {
            let id = self.defs.directory_set(name)?;
            self.snapshot.set(id).cloned()
        };
        let user_table = self.snapshot.users.clone();
        Self::evaluate(ruleset, &mut numbering, &users, user_table, Some(self), directory)
    }

    /// Evaluates a ruleset that replaces this one, as [`Engine::with_ruleset`] does. If most
    /// numbers belong to formerly listed users, all users get new numbers: readers must then
    /// drop everything that they stored by number.
    ///
    /// A ruleset that drops most users never causes new numbers, because it may be an accident.
    /// Nor does its repair, if more than half of the numbers were in use before the accident. So
    /// after a ruleset that keeps at least half of the listed users, there are at most
    /// [`Thresholds::unused_numbers`] numbers plus twice the number of users that the larger of
    /// the two rulesets lists.
    ///
    /// # Errors
    ///
    /// If an open set is too deep for the wire.
    pub fn replace_ruleset(&self, ruleset: &Ruleset) -> Result<Self, TooDeep> {
        let next = self.with_ruleset(ruleset)?;
        let [before, after] = [self, &next].map(|engine| engine.snapshot.listed_count());
        let most = self.thresholds.unused_numbers.saturating_add(2 * before.max(after));
        if next.snapshot.users.count() > most && 2 * after >= before {
            return next.with_new_numbers(ruleset);
        }
        Ok(next)
    }

    /// Evaluates the same ruleset and directory, with numbers for listed users only.
    fn with_new_numbers(&self, ruleset: &Ruleset) -> Result<Self, TooDeep> {
        let user_table = &self.snapshot.users;
        let filled = ruleset.groups.iter().filter_map(|set| match set {
            Set::Directory(name) => {
                Some((&**name, self.snapshot.set(self.defs.directory_set(name)?)?))
            }
            _ => None,
        });
        let memberships: Vec<(&str, String)> = filled
            .flat_map(|(name, set)| {
                user_table.ids(set.named().iter()).map(move |id| (name, String::from(id)))
            })
            .collect();
        let memberships =
            memberships.iter().filter_map(|(name, id)| Some((*name, UserId::parse(id).ok()?)));
        let anew = Self::with_memberships(ruleset, memberships, self.snapshot.listed_count())?;
        Ok(Self { thresholds: self.thresholds, ..anew })
    }

    /// Returns the current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }
}
