//! Numbers for the users whom a plan names.
//!
//! Numbers follow the byte order of the ids, so that walking a set in the order
//! of numbers walks it in the order of ids. Nobody else takes a number or any
//! memory, whatever ids a caller makes up.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use presence_router_proto::glob::Glob;
use roaring::RoaringBitmap;

use super::user_id::UserId;

/// All users whom a plan names.
#[derive(Debug, Default)]
pub struct People {
    ids: IndexSet<Box<str>, RandomState>,
    by_server: BTreeMap<Box<str>, RoaringBitmap>,
}

/// A user, as far as a snapshot knows it.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// One whom the plan names, by number.
    Named(u32),

    /// Anybody else.
    Unnamed(UserId<'a>),
}

impl People {
    /// Numbers all users named. Texts that are no user ids are passed over: no
    /// user can have them.
    pub fn new<'a>(named: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted: Vec<&str> = named.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut people = Self::default();
        for user in sorted.into_iter().filter_map(|text| UserId::parse(text).ok()) {
            let (number, _) = people.ids.insert_full(user.as_str().into());
            let Ok(number) = u32::try_from(number) else { break };
            people.by_server.entry(user.server().into()).or_default().insert(number);
        }
        people
    }

    /// What is known of a user.
    pub fn who<'a>(&self, user: UserId<'a>) -> Who<'a> {
        match self.number(user.as_str()) {
            Some(number) => Who::Named(number),
            None => Who::Unnamed(user),
        }
    }

    /// The number of a named user.
    pub fn number(&self, id: &str) -> Option<u32> {
        self.ids.get_index_of(id).and_then(|number| u32::try_from(number).ok())
    }

    /// The id of a number, empty for a number that nobody has.
    pub fn id(&self, number: u32) -> &str {
        usize::try_from(number).ok().and_then(|n| self.ids.get_index(n)).map_or("", |id| id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Every server that some named user lives on, sorted.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.by_server.keys().map(|name| &**name)
    }

    /// All named users.
    pub fn everyone(&self) -> RoaringBitmap {
        let end = u32::try_from(self.count()).unwrap_or(u32::MAX);
        RoaringBitmap::from_sorted_iter(0..end).unwrap_or_default()
    }

    /// All named users of one server.
    pub fn on_server(&self, name: &str) -> RoaringBitmap {
        self.by_server.get(name).cloned().unwrap_or_default()
    }

    /// All named users of the servers that match.
    pub fn on_servers(&self, glob: &Glob) -> RoaringBitmap {
        if glob.is_literal() {
            return self.on_server(glob.as_str());
        }
        let matching = self.by_server.iter().filter(|(name, _)| glob.matches(name));
        matching.fold(RoaringBitmap::new(), |all, (_, some)| all | some)
    }
}
