//! The two worlds of the benchmark, and the best that a cache could do in them.

use std::collections::{BTreeMap, HashMap};

/// Bytes of an answer beside its user id, and of an audience beside its lists: those that the
/// near-cache counts.
const ENTRY: u64 = 136;
const CELL: u64 = 240;

/// Users, and the lists of users that their audiences are unions of.
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) users: Vec<String>,
    /// The lists of each audience.
    pub(crate) audiences: Vec<Vec<usize>>,
    list_len: usize,
}

/// Numbers that are the same in every run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

/// Draws users by Zipf's law with exponent 1: the second user is asked for half as often as the
/// first, the third a third as often.
pub(crate) struct Zipf {
    sums: Vec<f64>,
    /// The user of each rank: neighbours in rank have nothing in common.
    order: Vec<usize>,
}

/// A cache that drops what was used least recently, and shares lists as the near-cache does.
pub(crate) struct IdealLru<'w> {
    world: &'w World,
    budget: u64,
    bytes: u64,
    clock: u64,
    used: HashMap<usize, u64>,
    by_use: BTreeMap<u64, usize>,
    audiences: HashMap<usize, usize>,
    lists: HashMap<usize, usize>,
    pub(crate) hits: u64,
}

// === impl World ===

impl World {
    /// 2,000 audiences of three lists each, out of 200 lists of 500 users.
    pub(crate) fn classes(users: usize) -> Self {
        let mut random = Random(1);
        let audience = |_| {
            let mut lists = [0; 3].map(|_| random.below(200)).to_vec();
            lists.sort_unstable();
            lists.dedup();
            lists
        };
        let audiences = (0..2000).map(audience).collect();
        Self { name: "classes", users: ids(users), audiences, list_len: 500 }
    }

    /// An audience of 40 users of its own for each user.
    pub(crate) fn distinct(users: usize) -> Self {
        let audiences = (0..users).map(|list| vec![list]).collect();
        Self { name: "all distinct", users: ids(users), audiences, list_len: 40 }
    }

    pub(crate) fn audience_of(&self, user: &str) -> usize {
        user[5..12].parse::<usize>().unwrap() % self.audiences.len()
    }

    pub(crate) fn list(&self, list: usize) -> Vec<String> {
        (0..self.list_len).map(|n| id(list * self.list_len + n)).collect()
    }

    pub(crate) fn list_bytes(&self, _list: usize) -> u64 {
        (self.list_len * id(0).len()) as u64
    }

    /// Bytes of all answers with all their sets.
    pub(crate) fn bytes(&self) -> u64 {
        let mut lists: Vec<_> = self.audiences.iter().flatten().collect();
        lists.sort_unstable();
        lists.dedup();
        let answers = self.users.len() as u64 * (ENTRY + id(0).len() as u64);
        let lists: u64 = lists.into_iter().map(|list| self.list_bytes(*list)).sum();
        answers + lists + self.audiences.len() as u64 * CELL
    }
}

fn id(number: usize) -> String {
    format!("@user{number:07}:example.org")
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(id).collect()
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

// === impl Zipf ===

impl Zipf {
    pub(crate) fn new(users: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=users).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        let mut order: Vec<usize> = (0..users).collect();
        let mut random = Random(2);
        let sums = sums.collect();
        for index in (1..users).rev() {
            order.swap(index, random.below(index + 1));
        }
        Self { sums, order }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let at = random.fraction() * self.sums.last().unwrap();
        self.order[self.sums.partition_point(|sum| *sum <= at).min(self.order.len() - 1)]
    }
}

// === impl IdealLru ===

impl<'w> IdealLru<'w> {
    pub(crate) fn new(world: &'w World, budget: u64) -> Self {
        Self {
            world,
            budget,
            bytes: 0,
            clock: 0,
            used: HashMap::new(),
            by_use: BTreeMap::new(),
            audiences: HashMap::new(),
            lists: HashMap::new(),
            hits: 0,
        }
    }

    pub(crate) fn ask(&mut self, user: usize) {
        self.clock += 1;
        if let Some(used) = self.used.insert(user, self.clock) {
            self.hits += 1;
            self.by_use.remove(&used);
            self.by_use.insert(self.clock, user);
            return;
        }
        self.by_use.insert(self.clock, user);
        self.count(user, true);
        while self.bytes > self.budget {
            let (_, oldest) = self.by_use.pop_first().unwrap();
            self.used.remove(&oldest);
            self.count(oldest, false);
        }
    }

    /// Adds a user's answer to the bytes, or subtracts it.
    fn count(&mut self, user: usize, add: bool) {
        let world = self.world;
        let audience = world.audience_of(&world.users[user]);
        let mut change = ENTRY + world.users[user].len() as u64;
        if count_reference(&mut self.audiences, audience, add) {
            change += CELL;
            for list in &world.audiences[audience] {
                if count_reference(&mut self.lists, *list, add) {
                    change += world.list_bytes(*list);
                }
            }
        }
        if add {
            self.bytes += change;
        } else {
            self.bytes -= change;
        }
    }
}

/// Returns true if this is the first reference, or was the last one.
fn count_reference(references: &mut HashMap<usize, usize>, to: usize, add: bool) -> bool {
    let count = references.entry(to).or_default();
    if add {
        *count += 1;
        return *count == 1;
    }
    *count -= 1;
    let last = *count == 0;
    if last {
        references.remove(&to);
    }
    last
}
