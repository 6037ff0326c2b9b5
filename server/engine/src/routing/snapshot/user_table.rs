//! The users whom policy or directory name: a number for each, and what set
//! class it is in.
//!
//! Nobody else takes a number or any memory, whatever ids a caller makes up.
//! Numbers are given once and stay with their user, so that sets of an earlier
//! snapshot mean the same users in a later one.

mod index;
mod servers;

use std::cmp::Ordering;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use presence_router_ids::Glob;
use roaring::RoaringBitmap;
use smol_str::SmolStr;

use self::index::Index;
use self::servers::Servers;
use crate::routing::snapshot::cow_vec::CowVec;
use presence_router_ids::UserId;

/// All users whom policy or directory name. A clone shares what did not change.
#[derive(Clone, Debug)]
pub struct UserTable {
    /// Who has the same gives a user the same number.
    origin: Arc<()>,
    hasher: RandomState,
    numbers: Arc<Index>,
    /// By number.
    persons: CowVec<Person>,
    servers: Arc<Servers>,
}

/// A named user. 32 bytes, so that one cache line holds what a decision needs:
/// no more of an id than stands before its server, which many share.
#[derive(Clone, Debug)]
struct Person {
    /// Of the id what stands before the first colon.
    name: SmolStr,
    /// A place in the servers.
    server: u32,
    class: u32,
}

/// The id of a named user, in the parts that it is kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedId<'a> {
    name: &'a str,
    server: &'a str,
}

/// A user, as far as a snapshot knows it.
#[derive(Clone, Copy, Debug)]
pub enum UserRef<'a> {
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

// === impl UserTable ===

impl UserTable {
    /// Room for about so many users. More only make changes dearer.
    pub(in crate::routing) fn for_about(users: usize) -> Self {
        Self {
            origin: Arc::default(),
            hasher: RandomState::default(),
            numbers: Arc::new(Index::for_about(users)),
            persons: CowVec::default(),
            servers: Arc::default(),
        }
    }

    /// What is known of a user.
    pub fn who<'a>(&self, user: UserId<'a>) -> UserRef<'a> {
        match self.find(user.as_str()) {
            Some((number, Person { class, .. })) => UserRef::Named { number, class: *class },
            None => UserRef::Unnamed(user),
        }
    }

    /// The number of a named user.
    pub fn number(&self, id: &str) -> Option<u32> {
        self.find(id).map(|(number, _)| number)
    }

    /// The id of a number. For a number that nobody has it is `:`, which is no id.
    pub fn id(&self, number: u32) -> NamedId<'_> {
        self.person(number).map_or(NamedId::default(), |person| self.id_of(person))
    }

    /// The ids of numbers, in their order. Users who follow one another mostly share a
    /// server, which is then looked up once.
    pub fn ids(&self, numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = NamedId<'_>> {
        let (mut place, mut server) = (u32::MAX, "");
        numbers.map(move |number| {
            let Some(person) = self.person(number) else { return NamedId::default() };
            if person.server != place {
                (place, server) = (person.server, self.server(person.server).unwrap_or_default());
            }
            NamedId { name: &person.name, server }
        })
    }

    /// Whether users of both have one number: the one began as a clone of the
    /// other.
    pub(in crate::routing) fn share_numbers_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.origin, &other.origin)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.persons.len()
    }

    /// Every server that some named user lives on, without order.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.servers.places().map(|(name, _)| name)
    }

    /// Named users of each server, by its place.
    pub(in crate::routing) fn users_by_server(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.servers.users()
    }

    /// Every server that some user has been named on, with its place.
    pub(in crate::routing) fn server_places(&self) -> impl Iterator<Item = (&str, u32)> {
        self.servers.places()
    }

    /// All named users.
    pub fn everyone(&self) -> RoaringBitmap {
        let end = u32::try_from(self.count()).unwrap_or(u32::MAX);
        RoaringBitmap::from_sorted_iter(0..end).unwrap_or_default()
    }

    /// All named users of one server.
    pub fn on_server(&self, name: &str) -> Option<&RoaringBitmap> {
        self.servers.users_of(name, self.hash(name.as_bytes()))
    }

    /// All named users of the servers that match.
    pub fn on_servers(&self, glob: &Glob) -> RoaringBitmap {
        if glob.is_literal() {
            return self.on_server(glob.as_str()).cloned().unwrap_or_default();
        }
        self.servers.users_of_matching(glob)
    }

    /// The number of a user, given now if it has none; and whether it was.
    /// `None`: there are no numbers left.
    pub(in crate::routing) fn name(&mut self, user: UserId<'_>) -> Option<(u32, bool)> {
        if let Some(number) = self.number(user.as_str()) {
            return Some((number, false));
        }
        let number = u32::try_from(self.count()).ok()?;
        // It marks a free place.
        if number == u32::MAX {
            return None;
        }
        let [hash, of_server] =
            [user.as_str(), user.server()].map(|text| self.hash(text.as_bytes()));
        Arc::make_mut(&mut self.numbers).insert(hash, number);
        let servers = Arc::make_mut(&mut self.servers);
        let server = servers.add(user.server(), of_server);
        servers.settle(server, number);
        self.persons.push(Person { name: SmolStr::new(user.before_server()), server, class: 0 });
        Some((number, true))
    }

    /// The class of a named user: one lookup, and no check of the text, which
    /// nobody else can have.
    pub fn class_of(&self, id: &str) -> Option<u32> {
        self.find(id).map(|(_, person)| person.class)
    }

    /// The classes of many users, told by the bytes of their ids, in their order;
    /// `None` for what nobody named has.
    ///
    /// A lookup waits for memory twice, the second time for what the first one
    /// found. So a few dozen go side by side, a step at a time: the processor
    /// waits for all of them at once.
    pub fn classes_of<'t>(
        &self,
        mut ids: impl Iterator<Item = &'t [u8]>,
        mut found: impl FnMut(Option<u32>),
    ) {
        const LANES: usize = 32;
        let mut lanes: [(&[u8], u64); LANES] = [(&[], 0); LANES];
        loop {
            let mut filled = 0;
            for (lane, id) in lanes.iter_mut().zip(&mut ids) {
                *lane = (id, self.hash(id));
                filled += 1;
            }
            let mut likely: [Option<&Person>; LANES] = [None; LANES];
            for (likely, (_, hash)) in likely.iter_mut().zip(&lanes).take(filled) {
                let shard = self.numbers.shard(*hash);
                let number = shard.and_then(|shard| shard.numbers(*hash).next());
                *likely = number.and_then(|number| self.person(number));
            }
            // Read before it is known whether it is the one.
            let classes = likely.map(|person| person.map_or(0, |person| person.class));
            let lanes = lanes.iter().zip(likely).zip(classes).take(filled);
            for (((id, hash), likely), class) in lanes {
                found(match likely {
                    Some(person) if self.id_of(person).is(id) => Some(class),
                    Some(_) => self.find_by(*hash, id).map(|(_, person)| person.class),
                    None => None,
                });
            }
            if filled < LANES {
                return;
            }
        }
    }

    /// The place of a named user's server. It stays what it is.
    pub(in crate::routing) fn server_of(&self, number: u32) -> u32 {
        self.person(number).map_or(u32::MAX, |person| person.server)
    }

    /// The name of a server by its place.
    pub(in crate::routing) fn server(&self, place: u32) -> Option<&str> {
        self.servers.name(place)
    }

    /// The class of a named user.
    pub(in crate::routing) fn class(&self, number: u32) -> Option<u32> {
        self.person(number).map(|person| person.class)
    }

    pub(in crate::routing) fn set_class(&mut self, number: u32, class: u32) {
        let person = usize::try_from(number).ok().and_then(|at| self.persons.get_mut(at));
        if let Some(person) = person {
            person.class = class;
        }
    }

    fn find(&self, id: &str) -> Option<(u32, &Person)> {
        let id = id.as_bytes();
        self.find_by(self.hash(id), id)
    }

    fn hash(&self, id: &[u8]) -> u64 {
        self.hasher.hash_one(id)
    }

    fn find_by(&self, hash: u64, id: &[u8]) -> Option<(u32, &Person)> {
        let numbers = self.numbers.shard(hash)?.numbers(hash);
        let mut persons = numbers.filter_map(|n| Some((n, self.person(n)?)));
        persons.find(|(_, person)| self.id_of(person).is(id))
    }

    fn person(&self, number: u32) -> Option<&Person> {
        self.persons.get(usize::try_from(number).ok()?)
    }

    fn id_of<'a>(&'a self, person: &'a Person) -> NamedId<'a> {
        NamedId { name: &person.name, server: self.server(person.server).unwrap_or_default() }
    }
}

// === impl NamedId ===

impl<'a> NamedId<'a> {
    /// Whether these are its bytes.
    fn is(self, bytes: &[u8]) -> bool {
        let rest = bytes.strip_prefix(self.name.as_bytes());
        matches!(rest, Some([b':', server @ ..]) if *server == *self.server.as_bytes())
    }

    /// Bytes of the id.
    #[expect(clippy::len_without_is_empty, reason = "no user's id is empty")]
    pub fn len(self) -> usize {
        self.name.len() + 1 + self.server.len()
    }

    /// What stands before its first colon, and after.
    pub fn parts(self) -> (&'a str, &'a str) {
        (self.name, self.server)
    }

    /// Writes it in place of a text, which many can share.
    pub fn replace(self, text: &mut String) {
        text.clear();
        text.reserve(self.len());
        text.push_str(self.name);
        text.push(':');
        text.push_str(self.server);
    }
}

/// By the bytes of the whole id.
impl Ord for NamedId<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let [one, two] = [self.name, other.name].map(str::as_bytes);
        let both = one.len().min(two.len());
        let as_far = one.get(..both).cmp(&two.get(..both));
        as_far.then_with(|| {
            let [one, two] = [self, other].map(|id| {
                let name = id.name.bytes().skip(both);
                name.chain(*b":").chain(id.server.bytes())
            });
            one.cmp(two)
        })
    }
}

impl PartialOrd for NamedId<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> From<UserId<'a>> for NamedId<'a> {
    fn from(user: UserId<'a>) -> Self {
        Self { name: user.before_server(), server: user.server() }
    }
}

impl From<NamedId<'_>> for String {
    fn from(id: NamedId<'_>) -> Self {
        let mut text = Self::new();
        id.replace(&mut text);
        text
    }
}

impl fmt::Display for NamedId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let ids = [
            "@a:x", "@a:y", "@a-b:x", "@a-b:a", "@ab:x", "@:x", "@a:x:1", "@A:x", "@a.:x", "@a;:x",
        ];
        for one in ids {
            for two in ids {
                let named = [one, two].map(|id| NamedId::from(UserId::parse(id).unwrap()));
                assert_eq!(named[0].cmp(&named[1]), one.cmp(two), "{one} {two}");
            }
        }
    }
}
