//! The servers of named users, with the users of each.

use std::sync::Arc;

use presence_router_ids::Glob;
use roaring::RoaringBitmap;

use super::index::Index;
use crate::routing::snapshot::cow_vec::CowVec;
use crate::routing::snapshot::keys::{ServerId, UserNumber};

/// The servers of named users. None is ever taken out. A clone shares what did not
/// change.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    /// By the hash of the name.
    ids: Index<ServerId>,
    all: CowVec<ServerId, Server>,
}

#[derive(Clone, Debug)]
struct Server {
    name: Arc<str>,
    /// Numbers of its users.
    users: Arc<RoaringBitmap>,
}

impl Default for Servers {
    fn default() -> Self {
        Self { ids: Index::for_about(0), all: CowVec::default() }
    }
}

impl Servers {
    /// The id of a server, whose name has this hash. Given now if it has none.
    pub(super) fn add_server(&mut self, name: &str, hash: u64) -> ServerId {
        if let Some((id, _)) = self.find(name, hash) {
            return id;
        }
        let id = self.all.push(Server { name: name.into(), users: Arc::default() });
        self.ids.insert(hash, id);
        id
    }

    /// Notes that a user lives on a server.
    pub(super) fn add_user(&mut self, server: ServerId, number: UserNumber) {
        if let Some(server) = self.all.get_mut(server) {
            Arc::make_mut(&mut server.users).insert(number);
        }
    }

    #[inline]
    pub(super) fn server_name(&self, id: ServerId) -> Option<&str> {
        self.all.get(id).map(|server| &*server.name)
    }

    /// Names and ids, in the order of the ids.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, ServerId)> {
        self.all.iter().map(|(id, server)| (&*server.name, id))
    }

    /// Users of each server, by its id.
    pub(super) fn users(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.all.iter().map(|(_, server)| &*server.users)
    }

    /// The users of a server, whose name has this hash.
    pub(super) fn users_of(&self, name: &str, hash: u64) -> Option<&RoaringBitmap> {
        self.find(name, hash).map(|(_, server)| &*server.users)
    }

    /// All users of the servers that match.
    pub(super) fn users_of_matching(&self, glob: &Glob) -> RoaringBitmap {
        let matching = self.all.iter().filter(|(_, server)| glob.matches(&server.name));
        matching.fold(RoaringBitmap::new(), |all, (_, server)| all | &*server.users)
    }

    fn find(&self, name: &str, hash: u64) -> Option<(ServerId, &Server)> {
        let servers = self.ids.candidates(hash);
        let mut servers = servers.filter_map(|id| Some((id, self.all.get(id)?)));
        servers.find(|(_, server)| *server.name == *name)
    }
}
