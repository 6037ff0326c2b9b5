//! A set of users as routing keeps it: numbers for the users whom the ruleset
//! names, and a rule for everybody else.
//!
//! Lists are finite and name their users, so of a user whom nobody names only
//! servers and patterns can say anything. Each set is therefore kept as three
//! parts that go through union, intersection and difference side by side:
//!
//! - `named`: which of the named users are in, for whatever reason;
//! - `open`: which others are, by server and pattern alone;
//! - `covered`: which named users `open` would let in, so that the set can be
//!   told as "`open`, except `covered - named`, and also `named - covered`"
//!   without a word about any other user.

use roaring::RoaringBitmap;

use crate::routing::model::caller::Caller;
use crate::routing::snapshot::user_table::UserRef;
use presence_router_ids::{Coverage, Glob, Region, UserGlob, UserId};

/// A set of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    named: RoaringBitmap,
    covered: RoaringBitmap,
    open: Open,
}

/// Users by server and pattern alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// No user.
    #[default]
    Nobody,

    /// Every user.
    Everyone,

    /// Users whose server name matches.
    Server(Glob),

    /// Users whose id matches.
    Match(UserGlob),

    /// Who is in any of them. At least two, none a union.
    Union(Vec<Open>),

    /// Who is in all of them. At least two, none an intersection.
    Intersection(Vec<Open>),

    /// Who is in the first and not in the second.
    Difference(Box<Open>, Box<Open>),
}

// === impl Members ===

impl Members {
    /// A list of named users.
    pub fn listed(named: RoaringBitmap) -> Self {
        Self { named, ..Self::default() }
    }

    /// All users of an open rule, with the named ones that it lets in.
    pub fn opened(open: Open, covered: RoaringBitmap) -> Self {
        Self { named: covered.clone(), covered, open }
    }

    /// Adds who is in the other.
    pub fn unite(&mut self, other: &Self) {
        self.named |= &other.named;
        self.covered |= &other.covered;
        self.open = std::mem::take(&mut self.open).or(other.open.clone());
    }

    /// Keeps only who is in the other too.
    pub fn intersect(&mut self, other: &Self) {
        self.named &= &other.named;
        self.covered &= &other.covered;
        self.open = std::mem::take(&mut self.open).and(other.open.clone());
    }

    /// Takes out who is in the other.
    pub fn subtract(&mut self, other: &Self) {
        self.named -= &other.named;
        self.covered -= &other.covered;
        self.open = std::mem::take(&mut self.open).and_not(other.open.clone());
    }

    /// Forgets all users with numbers but these. The open rule stays as it is.
    pub(in crate::routing) fn keep_numbered(&mut self, users: &RoaringBitmap) {
        self.named &= users;
        self.covered &= users;
    }

    /// Puts a named user in or takes it out, whatever the open rule says.
    pub(in crate::routing) fn put(&mut self, number: u32, is_in: bool) {
        if is_in {
            self.named.insert(number);
        } else {
            self.named.remove(number);
        }
    }

    /// Puts in a user who has just been named and whom the open rule lets in.
    pub(in crate::routing) fn cover(&mut self, number: u32) {
        self.named.insert(number);
        self.covered.insert(number);
    }

    /// Keeps only users of the caller's own servers.
    #[must_use]
    pub fn on_servers_of(&self, caller: &Caller, local: &RoaringBitmap) -> Self {
        Self {
            named: &self.named & local,
            covered: &self.covered & local,
            open: self.open.on_servers(caller),
        }
    }

    /// The same set where more users are named: all of `newcomers` whom the open
    /// rule lets in.
    #[must_use]
    pub(in crate::routing) fn among(&self, newcomers: impl Iterator<Item = (u32, String)>) -> Self {
        let mut members = self.clone();
        if members.open != Open::Nobody {
            for (number, id) in newcomers {
                if UserId::parse(&id).is_ok_and(|user| members.open.contains(user)) {
                    members.cover(number);
                }
            }
        }
        members
    }

    /// Whether this set, evaluated among the first users by number, is the other,
    /// evaluated among more.
    pub(in crate::routing) fn is_among(&self, first: u32, other: &Self) -> bool {
        let is = |one: &RoaringBitmap, two: &RoaringBitmap| {
            one.len() == two.range_cardinality(..first) && one.is_subset(two)
        };
        let newcomers = |users: &RoaringBitmap| -> Vec<u32> { users.range(first..).collect() };
        self.open == other.open
            && is(&self.named, &other.named)
            && is(&self.covered, &other.covered)
            && newcomers(&other.named) == newcomers(&other.covered)
    }

    /// Users with numbers from `first` on whom the open rule lets in.
    pub(in crate::routing) fn covered_from(&self, first: u32) -> RoaringBitmap {
        self.covered.range(first..).collect()
    }

    /// Whether somebody may be in both. `false` is certain.
    pub(in crate::routing) fn may_meet(&self, other: &Self) -> bool {
        let both_open = self.open != Open::Nobody && other.open != Open::Nobody;
        both_open || !self.named.is_disjoint(&other.named)
    }

    /// Whether the user is in.
    pub fn contains(&self, who: UserRef<'_>) -> bool {
        match who {
            UserRef::Named { number, .. } => self.named.contains(number),
            UserRef::Unnamed(user) => self.open.contains(user),
        }
    }

    /// Whether nobody is in, met before or not.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.open == Open::Nobody
    }

    /// All named users who are in, for whatever reason.
    pub fn named(&self) -> &RoaringBitmap {
        &self.named
    }

    /// The rule that says who else is in.
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// Named users who are in although the open rule does not let them in.
    pub fn listed_besides(&self) -> RoaringBitmap {
        &self.named - &self.covered
    }

    /// Without those who are in although the open rule does not let them in.
    #[must_use]
    pub(in crate::routing) fn let_in(&self) -> Self {
        Self { named: &self.named & &self.covered, ..self.clone() }
    }

    /// Named users who are not in although the open rule lets them in.
    pub fn exceptions(&self) -> RoaringBitmap {
        &self.covered - &self.named
    }
}

// === impl Open ===

impl Open {
    /// Whether the user is in.
    pub fn contains(&self, user: UserId<'_>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everyone => true,
            Self::Server(glob) => glob.matches(user.server()),
            Self::Match(pattern) => pattern.matches(user.as_str()),
            Self::Union(any) => any.iter().any(|open| open.contains(user)),
            Self::Intersection(all) => all.iter().all(|open| open.contains(user)),
            Self::Difference(any, except) => any.contains(user) && !except.contains(user),
        }
    }

    /// The coverage of a server by the expression.
    pub fn coverage_of(&self, server: &str) -> Coverage {
        let region = Region::Server(server);
        match self {
            Self::Nobody => Coverage::Nobody,
            Self::Everyone => Coverage::Everybody,
            Self::Server(glob) => region.covered_by(glob),
            Self::Match(pattern) => region.covered_by_pattern(pattern),
            Self::Union(any) => Coverage::of_union(any.iter().map(|open| open.coverage_of(server))),
            Self::Intersection(all) => {
                Coverage::of_intersection(all.iter().map(|open| open.coverage_of(server)))
            }
            Self::Difference(any, except) => {
                any.coverage_of(server).without(except.coverage_of(server))
            }
        }
    }

    /// How many levels of sets the expression has.
    pub fn depth(&self) -> usize {
        match self {
            Self::Nobody | Self::Everyone | Self::Server(_) | Self::Match(_) => 1,
            Self::Union(list) | Self::Intersection(list) => {
                1 + list.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Difference(any, except) => 1 + any.depth().max(except.depth()),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, open) | (open, Self::Nobody) => open,
            (Self::Everyone, _) | (_, Self::Everyone) => Self::Everyone,
            (a, b) if a == b => a,
            (Self::Union(mut list), other) => {
                let more = if let Self::Union(more) = other { more } else { vec![other] };
                more.into_iter().for_each(|open| {
                    if !list.contains(&open) {
                        list.push(open)
                    }
                });
                Self::Union(list)
            }
            (open, list @ Self::Union(_)) => list.or(open),
            (a, b) => Self::Union(vec![a, b]),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::Everyone, open) | (open, Self::Everyone) => open,
            (a, b) if a == b => a,
            (Self::Intersection(mut list), other) => {
                let more = if let Self::Intersection(more) = other { more } else { vec![other] };
                more.into_iter().for_each(|open| {
                    if !list.contains(&open) {
                        list.push(open)
                    }
                });
                Self::Intersection(list)
            }
            (open, list @ Self::Intersection(_)) => list.and(open),
            (a, b) => Self::Intersection(vec![a, b]),
        }
    }

    fn and_not(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Everyone) => Self::Nobody,
            (open, Self::Nobody) => open,
            (a, b) if b.names(&a) => Self::Nobody,
            // Those that are taken away by name leave no trace.
            (Self::Union(list), other) if list.iter().any(|open| other.names(open)) => {
                let left = list.into_iter().filter(|open| !other.names(open));
                left.fold(Self::Nobody, Self::or).and_not(other)
            }
            (Self::Difference(any, _), other) if other.names(&any) => Self::Nobody,
            // One difference with all exceptions, however many rules take away.
            (Self::Difference(any, except), other) => {
                Self::Difference(any, Box::new(except.or(other)))
            }
            (a, b) => Self::Difference(Box::new(a), Box::new(b)),
        }
    }

    /// Whether a set is this one, or one that this unites.
    fn names(&self, open: &Self) -> bool {
        self == open || matches!(self, Self::Union(list) if list.contains(open))
    }

    /// Users of the caller's own servers only. Goes down to the leaves, so that
    /// no word of the result is about another server.
    fn on_servers(&self, caller: &Caller) -> Self {
        let each = |open: &dyn Fn(&str) -> Option<Self>| {
            caller.server_names().filter_map(open).fold(Self::Nobody, Self::or)
        };
        match self {
            Self::Nobody => Self::Nobody,
            Self::Everyone => each(&|name| Some(Self::Server(Glob::new(name)))),
            Self::Server(glob) => {
                each(&|name| glob.matches(name).then(|| Self::Server(Glob::new(name))))
            }
            Self::Match(pattern) => each(&|name| {
                pattern.server().matches(name).then(|| Self::Match(pattern.on_server(name)))
            }),
            Self::Union(any) => {
                any.iter().map(|open| open.on_servers(caller)).fold(Self::Nobody, Self::or)
            }
            Self::Intersection(all) => {
                all.iter().map(|open| open.on_servers(caller)).fold(Self::Everyone, Self::and)
            }
            Self::Difference(any, except) => {
                any.on_servers(caller).and_not(except.on_servers(caller))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(glob: &str) -> Open {
        Open::Server(Glob::new(glob))
    }

    fn bots(server: &str) -> Open {
        Open::Match(UserGlob::parse(&format!("@*-bot:{server}")).unwrap())
    }

    #[test]
    fn folds_what_is_certain() {
        assert_eq!(Open::Everyone.and(server("a")), server("a"));
        assert_eq!(server("a").or(Open::Everyone), Open::Everyone);
        assert_eq!(server("a").and_not(Open::Everyone), Open::Nobody);
        assert_eq!(server("a").and_not(server("a")), Open::Nobody);
        assert_eq!(server("a").or(server("b")).or(server("a")).depth(), 2, "unions stay flat");
        let except_two = Open::Everyone.and_not(server("a")).and_not(server("b"));
        assert_eq!(except_two.depth(), 3, "exceptions stay in one place");
        let [a, b, c] = ["a", "b", "c"].map(server);
        assert_eq!(a.clone().and_not(a.clone().or(b.clone())), Open::Nobody);
        let more = a.clone().or(b.clone()).or(c);
        assert_eq!(more.clone().and_not(a.clone().or(b.clone())).depth(), 3, "c, minus a and b");
        assert_eq!(a.clone().or(b.clone()).and_not(more), Open::Nobody);
        assert_eq!(a.clone().and_not(b.clone()).and_not(a.or(b)), Open::Nobody);
    }

    #[test]
    fn keeps_to_the_callers_servers() {
        let caller = Caller::new(["a.org", "b.org"]).unwrap();
        let open = Open::Everyone.and_not(server("*.org").and_not(bots("a.*")));
        let on = open.on_servers(&caller);
        for id in ["@x:a.org", "@x-bot:a.org", "@x:b.org", "@x-bot:b.org"] {
            let user = UserId::parse(id).unwrap();
            assert_eq!(on.contains(user), open.contains(user), "{id}");
        }
        assert!(open.contains(UserId::parse("@x:c.com").unwrap()));
        assert!(!on.contains(UserId::parse("@x:c.com").unwrap()));
        assert_eq!(server("c.*").on_servers(&caller), Open::Nobody);
    }

    #[test]
    fn says_which_servers_it_covers() {
        assert_eq!(Open::Everyone.coverage_of("a"), Coverage::Everybody);
        assert_eq!(bots("a").coverage_of("a"), Coverage::Some);
        assert_eq!(
            Open::Match(UserGlob::parse("@*:a").unwrap()).coverage_of("a"),
            Coverage::Everybody
        );
        assert_eq!(bots("a").coverage_of("b"), Coverage::Nobody);
        assert_eq!(Open::Everyone.and_not(server("a")).coverage_of("a"), Coverage::Nobody);
        assert_eq!(Open::Everyone.and_not(bots("a")).coverage_of("a"), Coverage::Some);
        assert_eq!(bots("a").or(server("a")).coverage_of("a"), Coverage::Everybody);
        assert_eq!(bots("*").and(server("a")).coverage_of("b"), Coverage::Nobody);
    }
}
