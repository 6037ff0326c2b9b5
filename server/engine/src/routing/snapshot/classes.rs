//! Classes: users of one server who are in the same sets. A user's counterparts depend only
//! on its sets and, as far as they concern a caller, on its server; so a class has one
//! audience and one interest.
//!
//! Ids of classes are never reused while a history of snapshots lasts, so that a stream
//! cannot mistake one class for another.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::routing::snapshot::cow_vec::CowVec;
use crate::routing::snapshot::keys::{ClassId, Key, ServerId, SetId};

/// The common properties of the users in a class.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Class {
    /// The server of the users.
    pub(in crate::routing) server: ServerId,
    /// The sets of rules that contain the users, ascending. Also empty once the class has no
    /// users left.
    pub(in crate::routing) sets: Arc<[SetId]>,
}

/// All classes, by id.
pub(in crate::routing) type ClassList = CowVec<ClassId, Class>;

/// Finds classes, and counts their users. Only writers need it.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Classes {
    hasher: RandomState,
    ids: HashTable<ClassId>,
    /// By the index of a class: the number of its users.
    users: Vec<u32>,
}

impl Classes {
    /// Adds a user to the class of the users of a server who are in exactly these sets, and
    /// returns the class.
    pub(in crate::routing) fn add_user(
        &mut self,
        server: ServerId,
        sets: &[SetId],
        list: &mut ClassList,
    ) -> ClassId {
        let hash = self.hasher.hash_one((server, sets));
        let is =
            |id: &ClassId| list.get(*id).is_some_and(|c| c.server == server && *c.sets == *sets);
        let id = match self.ids.find(hash, is) {
            Some(id) => *id,
            None => {
                let id = list.push(Class { server, sets: sets.into() });
                self.users.push(0);
                let hasher = &self.hasher;
                self.ids.insert_unique(hash, id, |id| hash_of(hasher, list, *id));
                id
            }
        };
        if let Some(users) = self.user_count_mut(id) {
            *users += 1;
        }
        id
    }

    /// Removes a user from a class. The removal of the last user clears the class's sets.
    pub(in crate::routing) fn remove_user(&mut self, id: ClassId, list: &mut ClassList) {
        let Some(users) = self.user_count_mut(id) else { return };
        *users = users.saturating_sub(1);
        if *users > 0 {
            return;
        }
        let hash = hash_of(&self.hasher, list, id);
        if let Ok(entry) = self.ids.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        if let Some(class) = list.get_mut(id) {
            class.sets = Arc::default();
        }
    }

    /// Returns the number of classes that are not empty.
    pub(in crate::routing) fn count(&self) -> usize {
        self.ids.len()
    }

    /// Returns the same classes with other ids of their sets.
    pub(in crate::routing) fn rehashed(&self, list: &ClassList) -> Self {
        let hasher = RandomState::default();
        let hash = |id: &ClassId| hash_of(&hasher, list, *id);
        let mut ids = HashTable::with_capacity(self.ids.len());
        for id in &self.ids {
            ids.insert_unique(hash(id), *id, hash);
        }
        Self { ids, users: self.users.clone(), hasher: hasher.clone() }
    }

    fn user_count_mut(&mut self, id: ClassId) -> Option<&mut u32> {
        self.users.get_mut(id.index())
    }
}

fn hash_of(hasher: &RandomState, list: &ClassList, id: ClassId) -> u64 {
    list.get(id).map_or(0, |class| hasher.hash_one((class.server, &*class.sets)))
}
