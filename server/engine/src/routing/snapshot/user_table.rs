//! The numbered users: those that the policy or the directory names, or has named since
//! users were numbered anew. Each has a number and a class.
//!
//! A user who was never named takes no number and no memory, so that a caller's invented
//! ids cost nothing. A number is assigned once and stays with its user, so that sets of an earlier
//! snapshot contain the same users in a later one.

mod index;
mod named_id;
mod servers;

pub use self::named_id::NamedId;

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use presence_router_ids::Glob;
use roaring::RoaringBitmap;
use smol_str::SmolStr;

use self::index::Index;
use self::servers::Servers;
use crate::routing::snapshot::cow_vec::CowVec;
use crate::routing::snapshot::keys::{ClassId, Key, ServerId, UserNumber};
use presence_router_ids::UserId;

/// All numbered users. A clone shares what did not change.
#[derive(Clone, Debug)]
pub struct UserTable {
    /// Tables with the same origin give a user the same number.
    origin: Arc<()>,
    hasher: RandomState,
    numbers: Arc<Index<UserNumber>>,
    persons: CowVec<UserNumber, Person>,
    servers: Arc<Servers>,
}

/// A named user. 32 bytes, so that one cache line holds what a decision needs:
/// no more of an id than stands before its server, which many share.
#[derive(Clone, Debug)]
struct Person {
    /// Of the id what stands before the first colon.
    name: SmolStr,
    server: ServerId,
    class: ClassId,
}

/// A user, as far as a snapshot knows it.
#[derive(Clone, Copy, Debug)]
pub enum UserRef<'a> {
    /// A user with a number: policy or directory lists the user, or has done so since
    /// numbers were assigned anew.
    Numbered {
        /// Its number.
        number: UserNumber,
        /// Its class.
        class: ClassId,
    },

    /// Any other user, known by its id alone.
    Unnumbered(UserId<'a>),
}

const _: () = assert!(size_of::<Person>() == 32, "two persons share a cache line");

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

    /// Returns the reference to a user: its number, or its id if it is unlisted.
    #[inline]
    pub fn user_ref<'a>(&self, user: UserId<'a>) -> UserRef<'a> {
        match self.find(user.as_str()) {
            Some((number, Person { class, .. })) => UserRef::Numbered { number, class: *class },
            None => UserRef::Unnumbered(user),
        }
    }

    /// The number of a named user.
    #[inline]
    pub fn number(&self, id: &str) -> Option<UserNumber> {
        self.find(id).map(|(number, _)| number)
    }

    /// Returns the id of a number. For an unassigned number it is `:`, which is no id.
    #[inline]
    pub fn id(&self, number: UserNumber) -> NamedId<'_> {
        self.persons.get(number).map_or(NamedId::default(), |person| self.id_of(person))
    }

    /// The ids of numbers, in their order. Users who follow one another mostly share a
    /// server, which is then looked up once.
    pub fn ids(
        &self,
        numbers: impl Iterator<Item = UserNumber>,
    ) -> impl Iterator<Item = NamedId<'_>> {
        let (mut last, mut server) = (None, "");
        numbers.map(move |number| {
            let Some(person) = self.persons.get(number) else { return NamedId::default() };
            if last != Some(person.server) {
                (last, server) =
                    (Some(person.server), self.server(person.server).unwrap_or_default());
            }
            NamedId { name: &person.name, server }
        })
    }

    /// Returns true if both tables give a user the same number, because one began as a clone
    /// of the other.
    pub(in crate::routing) fn share_numbers_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.origin, &other.origin)
    }

    /// Returns the number of named users.
    pub fn count(&self) -> usize {
        self.persons.len()
    }

    /// All numbers that users have.
    pub(in crate::routing) fn numbers(&self) -> Range<UserNumber> {
        0..UserNumber::from_index(self.count())
    }

    /// Numbers that users have, and had not in an earlier state of this table.
    pub(in crate::routing) fn numbers_since(&self, earlier: &Self) -> Range<UserNumber> {
        earlier.numbers().end..self.numbers().end
    }

    /// Every server that some named user lives on, without order.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.servers.names().map(|(name, _)| name)
    }

    /// Named users of each server, by its id.
    pub(in crate::routing) fn users_by_server(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.servers.users()
    }

    /// Every server that some user has been named on, with its id.
    pub(in crate::routing) fn servers_with_ids(&self) -> impl Iterator<Item = (&str, ServerId)> {
        self.servers.names()
    }

    /// All named users.
    pub fn everyone(&self) -> RoaringBitmap {
        RoaringBitmap::from_sorted_iter(self.numbers()).unwrap_or_default()
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

    /// The number of a user, assigned now if it has none. `None`: there are no numbers left.
    pub(in crate::routing) fn number_or_assign(&mut self, user: UserId<'_>) -> Option<UserNumber> {
        if let Some(number) = self.number(user.as_str()) {
            return Some(number);
        }
        // `u32::MAX` is nobody's number: it marks a free slot in the index.
        let number = u32::try_from(self.count()).ok().filter(|number| *number < u32::MAX)?;
        let [hash, of_server] =
            [user.as_str(), user.server()].map(|text| self.hash(text.as_bytes()));
        Arc::make_mut(&mut self.numbers).insert(hash, number);
        let servers = Arc::make_mut(&mut self.servers);
        let server = servers.add_server(user.server(), of_server);
        servers.add_user(server, number);
        self.persons.push(Person {
            name: SmolStr::new(user.before_server()),
            server,
            class: ClassId::default(),
        });
        Some(number)
    }

    /// The class of a named user: one lookup, and no check of the text, which
    /// nobody else can have.
    #[inline]
    pub fn class_of(&self, id: &str) -> Option<ClassId> {
        self.find(id).map(|(_, person)| person.class)
    }

    /// The classes of many users, found by the bytes of their ids, in their order;
    /// `None` for what nobody named has.
    ///
    /// A lookup waits for memory twice, the second time for what the first one
    /// found. So a few dozen go side by side, a step at a time: the processor
    /// waits for all of them at once.
    pub fn classes_of<'t>(
        &self,
        mut ids: impl Iterator<Item = &'t [u8]>,
        mut found: impl FnMut(Option<ClassId>),
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
                let number = self.numbers.candidates(*hash).next();
                *likely = number.and_then(|number| self.persons.get(number));
            }
            // Read before it is known whether it is the one.
            let classes =
                likely.map(|person| person.map_or(ClassId::default(), |person| person.class));
            let lanes = lanes.iter().zip(likely).zip(classes).take(filled);
            for (((id, hash), likely), class) in lanes {
                found(match likely {
                    Some(person) if self.id_of(person).has_bytes(id) => Some(class),
                    Some(_) => self.find_by(*hash, id).map(|(_, person)| person.class),
                    None => None,
                });
            }
            if filled < LANES {
                return;
            }
        }
    }

    /// A named user's server. It stays what it is.
    pub(in crate::routing) fn server_of(&self, number: UserNumber) -> Option<ServerId> {
        self.persons.get(number).map(|person| person.server)
    }

    /// The name of a server.
    #[inline]
    pub(in crate::routing) fn server(&self, id: ServerId) -> Option<&str> {
        self.servers.server_name(id)
    }

    /// The class of a named user.
    #[inline]
    pub(in crate::routing) fn class_of_number(&self, number: UserNumber) -> Option<ClassId> {
        self.persons.get(number).map(|person| person.class)
    }

    pub(in crate::routing) fn set_class(&mut self, number: UserNumber, class: ClassId) {
        if let Some(person) = self.persons.get_mut(number) {
            person.class = class;
        }
    }

    #[inline]
    fn find(&self, id: &str) -> Option<(UserNumber, &Person)> {
        let id = id.as_bytes();
        self.find_by(self.hash(id), id)
    }

    #[inline]
    fn hash(&self, id: &[u8]) -> u64 {
        self.hasher.hash_one(id)
    }

    #[inline]
    fn find_by(&self, hash: u64, id: &[u8]) -> Option<(UserNumber, &Person)> {
        let numbers = self.numbers.candidates(hash);
        let mut persons = numbers.filter_map(|n| Some((n, self.persons.get(n)?)));
        persons.find(|(_, person)| self.id_of(person).has_bytes(id))
    }

    #[inline]
    fn id_of<'a>(&'a self, person: &'a Person) -> NamedId<'a> {
        NamedId { name: &person.name, server: self.server(person.server).unwrap_or_default() }
    }
}
