//! The two worlds of every benchmark, because one alone flatters.

use presence_router_engine::Effect;
use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::unstable::routing::model::ruleset::{Product, Rule, Ruleset, Set};
use presence_router_ids::UserId;

/// A world: users, and what decides about them.
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) users: Vec<String>,
    pub(crate) ruleset: Ruleset,
    pub(crate) engine: Engine,
    pub(crate) memberships: usize,
}

/// Groups of world *classes*.
pub(crate) const CLASSES_GROUPS: usize = 200;

/// Numbers that are the same in every run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

/// Users in 2,000 signatures of 3 groups each, out of 200.
pub(crate) fn classes(users: usize) -> World {
    let signatures = signatures();
    world("classes", users, CLASSES_GROUPS, move |user, _| signatures[user % 2000].clone())
}

/// The groups of the users of world *classes*: of the first, the second ..., and
/// from the first again.
pub(crate) fn signatures() -> Vec<Vec<usize>> {
    let mut random = Random(1);
    let mut signature = || {
        let mut groups = [0; 3].map(|_| random.below(CLASSES_GROUPS)).to_vec();
        groups.sort_unstable();
        groups.dedup();
        groups
    };
    (0..2000).map(|_| signature()).collect()
}

/// The ids of so many users.
pub(crate) fn users(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("@user{i:07}:example.org")).collect()
}

/// Users in 20 random groups out of 10,000: practically every signature is
/// unique, and each audience has about 20 groups.
pub(crate) fn distinct(users: usize) -> World {
    world("all distinct", users, 10_000, |_, random| {
        (0..20).map(|_| random.below(10_000)).collect()
    })
}

fn world(
    name: &'static str,
    count: usize,
    groups: usize,
    groups_of: impl Fn(usize, &mut Random) -> Vec<usize>,
) -> World {
    let users = users(count);
    let names: Vec<String> = (0..groups).map(|i| format!("team/{i}")).collect();
    let within = |group| Product { senders: Set::Group(group), recipients: Set::Group(group) };
    let rule = |effect, products| Rule { effect, shadow: false, products, relation: None };
    // The last group is the one that may not be seen by the others.
    let private = Product {
        senders: Set::Group(groups - 1),
        recipients: Set::Difference(Box::new(Set::Everyone), Box::new(Set::Group(groups - 1))),
    };
    let ruleset = Ruleset {
        groups: names.iter().map(|name| Set::Directory(name.as_str().into())).collect(),
        rules: vec![
            rule(Effect::Allow, (0..groups).map(within).collect()),
            rule(Effect::Deny, vec![private]),
        ],
    };
    let mut random = Random(2);
    let mut memberships = 0;
    let all = users.iter().enumerate().flat_map(|(user, id)| {
        let mut groups = groups_of(user, &mut random);
        groups.sort_unstable();
        groups.dedup();
        memberships += groups.len();
        let (names, id) = (&names, UserId::parse(id).unwrap());
        groups.into_iter().map(move |group| (names[group].as_str(), id))
    });
    let engine = Engine::with_memberships(&ruleset, all, count).unwrap();
    World { name, users, ruleset, engine, memberships }
}
