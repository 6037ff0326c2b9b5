//! Who sees whom, read from either side.
//!
//! Rules are products: every sender in the one set with every recipient in the
//! other. So all that a user's counterparts depend on is which products the
//! user stands in, on its side: its *signature*. Users with one signature have
//! one audience, or one interest:
//!
//! ```text
//! counterparts(signature) = union over allow products A of (other side of A
//!                           minus the other sides of all deny products)
//! ```
//!
//! Each term of that union is a *part*. Parts depend on one allow product and
//! the deny products together, so users with different signatures share them;
//! a group is one part, however many audiences it is in.
//!
//! A user is never its own counterpart. Sets here are *modulo self*: they may
//! hold the user itself, and whoever spells them out leaves it away.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::caller::Caller;
use super::members::{Members, Open};
use super::people::{People, Who};
use super::snapshot::Snapshot;
use super::user_id::UserId;

/// A side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Whose presence it is.
    Sender,

    /// Who may see it.
    Recipient,
}

/// All that a user's counterparts depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The side that the user stands on.
    side: Side,
    /// Allow products that it stands in, ascending.
    allow: Box<[u32]>,
    /// Deny products that it stands in, ascending.
    deny: Arc<[u32]>,
    /// Whether only counterparts on the caller's own servers count.
    local_only: bool,
}

/// A term of the union that makes a user's counterparts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    side: Side,
    allow: u32,
    deny: Arc<[u32]>,
    local_only: bool,
}

/// Products of senders and recipients, and which users stand in which.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    products: Vec<[Arc<Members>; 2]>,
    sides: [Incidence; 2],
}

/// Which products a user stands in, on one side.
#[derive(Debug, Default)]
struct Incidence {
    /// For the named user `n`, `products[starts[n]..starts[n + 1]]` are those
    /// of its products that have no open rule, ascending.
    starts: Box<[usize]>,
    products: Box<[u32]>,
    /// Products with an open rule, ascending. Most users stand in them, so a
    /// list for each user would say the same a million times.
    open: Box<[u32]>,
}

// === impl Snapshot ===

impl Snapshot {
    /// What the counterparts of a user depend on, as far as they concern a
    /// caller.
    pub fn signature(&self, user: UserId<'_>, side: Side, caller: &Caller) -> Signature {
        let who = self.people.who(user);
        Signature {
            side,
            allow: self.allow.standing(who, side).into(),
            deny: self.deny.standing(who, side).into(),
            local_only: !caller.is_local(user),
        }
    }

    /// The members of one part.
    pub fn part(&self, part: &Part, caller: &Caller) -> Members {
        let other = part.side.other();
        let mut members =
            self.allow.side(part.allow, other).map(|set| Members::clone(set)).unwrap_or_default();
        for deny in part.deny.iter() {
            if let Some(denied) = self.deny.side(*deny, other) {
                members.subtract(denied);
            }
        }
        if part.local_only {
            let local = caller
                .server_names()
                .fold(RoaringBitmap::new(), |all, name| all | self.people.on_server(name));
            members = members.on_servers_of(caller, &local);
        }
        members
    }

    /// All counterparts of the users with a signature, modulo self.
    pub fn counterparts(&self, signature: &Signature, caller: &Caller) -> Members {
        let mut all = Members::default();
        for part in signature.parts() {
            all.unite(&self.part(&part, caller));
        }
        all
    }
}

// === impl Side ===

impl Side {
    /// The side across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Sender => Self::Recipient,
            Self::Recipient => Self::Sender,
        }
    }

    fn of<T>(self, [senders, recipients]: &[T; 2]) -> &T {
        match self {
            Self::Sender => senders,
            Self::Recipient => recipients,
        }
    }
}

// === impl Signature ===

impl Signature {
    /// The parts whose union the counterparts are. None: nobody.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Part> {
        self.allow.iter().map(|allow| Part {
            side: self.side,
            allow: *allow,
            deny: Arc::clone(&self.deny),
            local_only: self.local_only,
        })
    }
}

// === impl Pairs ===

impl Pairs {
    pub(super) fn new(products: Vec<(Arc<Members>, Arc<Members>)>, people: &People) -> Self {
        let products: Vec<_> = products.into_iter().map(|(s, r)| [s, r]).collect();
        let sides = [Side::Sender, Side::Recipient]
            .map(|side| Incidence::new(products.iter().map(|product| &**side.of(product)), people));
        Self { products, sides }
    }

    fn side(&self, product: u32, side: Side) -> Option<&Arc<Members>> {
        let product = self.products.get(usize::try_from(product).ok()?)?;
        Some(side.of(product))
    }

    /// The products that a user stands in, ascending.
    fn standing(&self, who: Who<'_>, side: Side) -> Vec<u32> {
        let incidence = side.of(&self.sides);
        let mut all = incidence.listed(who).to_vec();
        let listed = all.len();
        all.extend(
            incidence
                .open
                .iter()
                .filter(|product| self.side(**product, side).is_some_and(|set| set.contains(who))),
        );
        if listed > 0 && all.len() > listed {
            all.sort_unstable();
        }
        all
    }
}

// === impl Incidence ===

impl Incidence {
    fn new<'a>(sets: impl Iterator<Item = &'a Members> + Clone, people: &People) -> Self {
        let numbered = || (0u32..).zip(sets.clone());
        let finite = || numbered().filter(|(_, set)| *set.open() == Open::Nobody);
        let open =
            numbered().filter(|(_, set)| *set.open() != Open::Nobody).map(|(n, _)| n).collect();

        // Counting sort by user: count, sum up, fill in.
        let mut ends = vec![0usize; people.count() + 1];
        let at = |user: u32| usize::try_from(user).unwrap_or(usize::MAX);
        for (_, set) in finite() {
            for user in set.named() {
                if let Some(count) = ends.get_mut(at(user) + 1) {
                    *count += 1;
                }
            }
        }
        let mut sum = 0;
        for count in &mut ends {
            sum += *count;
            *count = sum;
        }
        let starts: Box<[usize]> = ends.as_slice().into();
        let mut products = vec![0u32; sum].into_boxed_slice();
        for (product, set) in finite() {
            for user in set.named() {
                if let Some(next) = ends.get_mut(at(user)) {
                    if let Some(slot) = products.get_mut(*next) {
                        *slot = product;
                    }
                    *next += 1;
                }
            }
        }
        Self { starts, products, open }
    }

    fn listed(&self, who: Who<'_>) -> &[u32] {
        let Who::Named(number) = who else { return &[] };
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        match self.starts.get(at..=at + 1) {
            Some([start, end]) => self.products.get(*start..*end).unwrap_or_default(),
            _ => &[],
        }
    }
}
