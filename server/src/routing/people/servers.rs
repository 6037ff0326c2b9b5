//! The servers of named users, and which users live on each.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_router_proto::glob::Glob;
use roaring::RoaringBitmap;

/// The servers of named users. None is ever taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    /// Places in the other two.
    places: BTreeMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// Numbers of the users of each.
    users: Vec<Arc<RoaringBitmap>>,
}

impl Servers {
    /// The place of a server, given now if it has none.
    pub(super) fn add(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.places.insert(name.into(), place);
        self.names.push(name.into());
        self.users.push(Arc::default());
        place
    }

    /// Notes that a user lives on the server of a place.
    pub(super) fn settle(&mut self, place: u32, number: u32) {
        if let Some(users) = usize::try_from(place).ok().and_then(|at| self.users.get_mut(at)) {
            Arc::make_mut(users).insert(number);
        }
    }

    pub(super) fn name(&self, place: u32) -> Option<&str> {
        self.names.get(usize::try_from(place).ok()?).map(|name| &**name)
    }

    /// Names and places, sorted by name.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, u32)> {
        self.places.iter().map(|(name, place)| (&**name, *place))
    }

    /// Users of each server, by its place.
    pub(super) fn users(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.users.iter().map(|users| &**users)
    }

    pub(super) fn users_of(&self, name: &str) -> Option<&RoaringBitmap> {
        let place = *self.places.get(name)?;
        self.users.get(usize::try_from(place).ok()?).map(|users| &**users)
    }

    /// All users of the servers that match.
    pub(super) fn users_of_matching(&self, glob: &Glob) -> RoaringBitmap {
        if glob.is_literal() {
            return self.users_of(glob.as_str()).cloned().unwrap_or_default();
        }
        let servers = self.names.iter().zip(&self.users);
        let matching = servers.filter(|(name, _)| glob.matches(name));
        matching.fold(RoaringBitmap::new(), |all, (_, some)| all | &**some)
    }
}
