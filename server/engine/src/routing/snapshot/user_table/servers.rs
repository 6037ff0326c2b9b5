//! The servers of named users, and which users live on each.

use std::sync::Arc;

use presence_router_ids::Glob;
use roaring::RoaringBitmap;

use super::index::Index;
use crate::routing::snapshot::cow_vec::CowVec;

/// The servers of named users. None is ever taken out. A clone shares what did not
/// change.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    /// By the hash of the name.
    places: Index,
    all: CowVec<Server>,
}

#[derive(Clone, Debug)]
struct Server {
    name: Arc<str>,
    /// Numbers of its users.
    users: Arc<RoaringBitmap>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { places: Index::for_about(0), all: CowVec::default() }
    }
}

impl Servers {
    /// The place of a server, whose name has this hash. Given now if it has none.
    pub(super) fn add(&mut self, name: &str, hash: u64) -> u32 {
        if let Some((place, _)) = self.find(name, hash) {
            return place;
        }
        let server = Server { name: name.into(), users: Arc::default() };
        let place = u32::try_from(self.all.push(server)).unwrap_or(u32::MAX);
        self.places.insert(hash, place);
        place
    }

    /// Notes that a user lives on the server of a place.
    pub(super) fn settle(&mut self, place: u32, number: u32) {
        if let Some(server) = usize::try_from(place).ok().and_then(|at| self.all.get_mut(at)) {
            Arc::make_mut(&mut server.users).insert(number);
        }
    }

    pub(super) fn name(&self, place: u32) -> Option<&str> {
        self.at(place).map(|server| &*server.name)
    }

    /// Names and places, in the order of the places.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, u32)> {
        self.iter().map(|server| &*server.name).zip(0..)
    }

    /// Users of each server, by its place.
    pub(super) fn users(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.iter().map(|server| &*server.users)
    }

    /// The users of a server, whose name has this hash.
    pub(super) fn users_of(&self, name: &str, hash: u64) -> Option<&RoaringBitmap> {
        self.find(name, hash).map(|(_, server)| &*server.users)
    }

    /// All users of the servers that match.
    pub(super) fn users_of_matching(&self, glob: &Glob) -> RoaringBitmap {
        let matching = self.iter().filter(|server| glob.matches(&server.name));
        matching.fold(RoaringBitmap::new(), |all, server| all | &*server.users)
    }

    fn find(&self, name: &str, hash: u64) -> Option<(u32, &Server)> {
        let places = self.places.shard(hash)?.numbers(hash);
        let mut servers = places.filter_map(|place| Some((place, self.at(place)?)));
        servers.find(|(_, server)| *server.name == *name)
    }

    fn at(&self, place: u32) -> Option<&Server> {
        self.all.get(usize::try_from(place).ok()?)
    }

    fn iter(&self) -> impl Iterator<Item = &Server> {
        (0..self.all.len()).filter_map(|at| self.all.get(at))
    }
}
