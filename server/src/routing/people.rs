//! The users whom policy or directory name: a number for each, and what set
//! class it is in.
//!
//! Nobody else takes a number or any memory, whatever ids a caller makes up.
//! Numbers are given once and stay with their user, so that sets of an earlier
//! snapshot mean the same users in a later one.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use presence_router_proto::glob::Glob;
use roaring::RoaringBitmap;
use smol_str::SmolStr;

use super::chunked::Chunked;
use super::user_id::UserId;

/// Users of a shard when it is made: below what a table of 256 places takes.
const PER_SHARD: usize = 180;

/// Most shards. A snapshot counts a reference to each when it is made.
const MAX_SHARDS: usize = 8192;

/// All users whom policy or directory name. A clone shares what did not change.
#[derive(Clone, Debug)]
pub struct People {
    /// Who has the same gives a user the same number.
    origin: Arc<()>,
    hasher: RandomState,
    /// By hash. A change copies one of them.
    shards: Vec<Arc<HashTable<Person>>>,
    /// By number.
    ids: Chunked<SmolStr>,
    /// Users by server.
    servers: Arc<Servers>,
}

/// The servers of named users.
#[derive(Clone, Debug, Default)]
struct Servers {
    /// Places in the other two.
    places: BTreeMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// Numbers of the users of each.
    users: Vec<Arc<RoaringBitmap>>,
}

/// A named user. 32 bytes, so that one cache line holds what a decision needs.
#[derive(Clone, Debug)]
struct Person {
    id: SmolStr,
    number: u32,
    class: u32,
}

/// A user, as far as a snapshot knows it.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// One whom policy or directory name.
    Named {
        /// Its number.
        number: u32,
        /// Its class: an index of the snapshot's.
        class: u32,
    },

    /// Anybody else.
    Unnamed(UserId<'a>),
}

// === impl People ===

impl People {
    /// Room for about so many users. More only make shards larger.
    pub(super) fn for_about(users: usize) -> Self {
        let shards = (users / PER_SHARD).clamp(1, MAX_SHARDS);
        Self {
            origin: Arc::default(),
            hasher: RandomState::default(),
            shards: vec![Arc::default(); shards],
            ids: Chunked::default(),
            servers: Arc::default(),
        }
    }

    /// What is known of a user.
    pub fn who<'a>(&self, user: UserId<'a>) -> Who<'a> {
        match self.find(user.as_str()) {
            Some(Person { number, class, .. }) => Who::Named { number: *number, class: *class },
            None => Who::Unnamed(user),
        }
    }

    /// The number of a named user.
    pub fn number(&self, id: &str) -> Option<u32> {
        self.find(id).map(|person| person.number)
    }

    /// The id of a number, empty for a number that nobody has.
    pub fn id(&self, number: u32) -> &str {
        usize::try_from(number).ok().and_then(|n| self.ids.get(n)).map_or("", |id| id.as_str())
    }

    /// Whether users of both have one number: the one began as a clone of the
    /// other.
    pub(super) fn share_numbers_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.origin, &other.origin)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Every server that some named user lives on, sorted.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.servers.places.keys().map(|name| &**name)
    }

    /// Named users of each server, by its place.
    pub(super) fn users_by_server(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.servers.users.iter().map(|users| &**users)
    }

    /// Every server that some user has been named on, with its place.
    pub(super) fn server_places(&self) -> impl Iterator<Item = (&str, u32)> {
        self.servers.places.iter().map(|(name, place)| (&**name, *place))
    }

    /// All named users.
    pub fn everyone(&self) -> RoaringBitmap {
        let end = u32::try_from(self.count()).unwrap_or(u32::MAX);
        RoaringBitmap::from_sorted_iter(0..end).unwrap_or_default()
    }

    /// All named users of one server.
    pub fn on_server(&self, name: &str) -> Option<&RoaringBitmap> {
        let place = *self.servers.places.get(name)?;
        self.servers.users.get(usize::try_from(place).ok()?).map(|users| &**users)
    }

    /// All named users of the servers that match.
    pub fn on_servers(&self, glob: &Glob) -> RoaringBitmap {
        if glob.is_literal() {
            return self.on_server(glob.as_str()).cloned().unwrap_or_default();
        }
        let servers = self.servers.names.iter().zip(&self.servers.users);
        let matching = servers.filter(|(name, _)| glob.matches(name));
        matching.fold(RoaringBitmap::new(), |all, (_, some)| all | &**some)
    }

    /// The number of a user, given now if it has none; and whether it was.
    /// `None`: there are no numbers left.
    pub(super) fn name(&mut self, user: UserId<'_>) -> Option<(u32, bool)> {
        let hash = self.hasher.hash_one(user.as_str());
        let shard = self.shard_of(hash);
        let table = self.shards.get(shard)?;
        if let Some(person) = table.find(hash, |person| person.id == user.as_str()) {
            return Some((person.number, false));
        }
        let number = u32::try_from(self.ids.len()).ok()?;
        let id = SmolStr::new(user.as_str());
        self.ids.push(id.clone());
        let hasher = self.hasher.clone();
        let table = Arc::make_mut(self.shards.get_mut(shard)?);
        let rehash = |person: &Person| hasher.hash_one(person.id.as_str());
        table.insert_unique(hash, Person { id, number, class: 0 }, rehash);
        Arc::make_mut(&mut self.servers).add(user.server(), number);
        Some((number, true))
    }

    /// The class of a named user: one lookup, and no check of the text, which
    /// nobody else can have.
    pub fn class_of(&self, id: &str) -> Option<u32> {
        self.find(id).map(|person| person.class)
    }

    /// The classes of many users, in their order; `None` for texts that nobody
    /// named has.
    ///
    /// A lookup waits for memory three times, each time for what the one before
    /// found. So a few dozen go side by side, a step at a time: the processor
    /// waits for all of them at once.
    pub fn classes_of<'t>(
        &self,
        mut ids: impl Iterator<Item = &'t str>,
        mut found: impl FnMut(&'t str, Option<u32>),
    ) {
        const LANES: usize = 32;
        loop {
            let mut lanes: [Option<(&str, u64, &HashTable<Person>)>; LANES] = [None; LANES];
            for (lane, id) in lanes.iter_mut().zip(&mut ids) {
                let hash = self.hasher.hash_one(id);
                let table = self.shards.get(self.shard_of(hash));
                *lane = table.map(|table| (id, hash, &**table));
            }
            let mut likely: [Option<&Person>; LANES] = [None; LANES];
            for (likely, lane) in likely.iter_mut().zip(&lanes) {
                *likely = lane.and_then(|(_, hash, table)| table.iter_hash(hash).next());
            }
            let mut any = false;
            for ((id, hash, table), likely) in lanes.iter().flatten().zip(&likely) {
                any = true;
                let person = match likely {
                    Some(person) if person.id == *id => Some(*person),
                    Some(_) => table.find(*hash, |person| person.id == *id),
                    None => None,
                };
                found(id, person.map(|person| person.class));
            }
            if !any {
                return;
            }
        }
    }

    /// The place of a named user's server. It stays what it is.
    pub(super) fn server_of(&self, number: u32) -> u32 {
        let server = UserId::parse(self.id(number)).map_or("", UserId::server);
        self.servers.places.get(server).copied().unwrap_or(u32::MAX)
    }

    /// The name of a server by its place.
    pub(super) fn server(&self, place: u32) -> Option<&str> {
        self.servers.names.get(usize::try_from(place).ok()?).map(|name| &**name)
    }

    /// The class of a named user.
    pub(super) fn class(&self, number: u32) -> Option<u32> {
        self.find(self.id(number)).map(|person| person.class)
    }

    pub(super) fn set_class(&mut self, number: u32, class: u32) {
        let Some(id) = usize::try_from(number).ok().and_then(|n| self.ids.get(n)) else { return };
        let hash = self.hasher.hash_one(id.as_str());
        let shard = self.shard_of(hash);
        let Some(table) = self.shards.get_mut(shard) else { return };
        if let Some(person) = Arc::make_mut(table).find_mut(hash, |person| person.number == number)
        {
            person.class = class;
        }
    }

    fn find(&self, id: &str) -> Option<&Person> {
        let hash = self.hasher.hash_one(id);
        self.shards.get(self.shard_of(hash))?.find(hash, |person| person.id == id)
    }

    /// The table uses the hash's other bits.
    fn shard_of(&self, hash: u64) -> usize {
        let spread = (u128::from(hash.rotate_left(32)) * self.shards.len() as u128) >> 64;
        usize::try_from(spread).unwrap_or(0)
    }
}

// === impl Servers ===

impl Servers {
    fn add(&mut self, name: &str, number: u32) {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.places.insert(name.into(), place);
                self.names.push(name.into());
                self.users.push(Arc::default());
                place
            }
        };
        if let Some(users) = usize::try_from(place).ok().and_then(|at| self.users.get_mut(at)) {
            Arc::make_mut(users).insert(number);
        }
    }
}
