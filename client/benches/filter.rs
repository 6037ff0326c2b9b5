//! `filter_senders` against a hash set of the standard library, in one run.
//!
//!     cargo bench -p presence-router-client --features in-process --bench filter
//!
//! The question is the one of every `/sync`: which of 1,000 senders may one recipient see?
//! The recipient may see three groups without a denied one: 900 of the senders. The other
//! side is a `HashSet<String>` of all senders that the recipient may see, which somebody
//! would have to build, and keep up to date for each recipient. Only ratios within one run
//! count: the two sides take turns, and the median of the ratios is printed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at a fault")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use presence_router_client::{Fields, InProcess, Interest, PresenceRouter, VisibleSender};

const SENDERS: usize = 1000;
const VISIBLE: usize = 900;
const DENIED: usize = 50;
const TURNS: usize = 101;
/// Questions in a turn, so that the clock's own cost does not count.
const QUESTIONS: u32 = 20;

fn main() {
    println!(
        "{SENDERS} senders for one recipient, {VISIBLE} of them visible, by size of a group\n"
    );
    for size in [1000, 10_000, 100_000] {
        let interest = interest_in_three_groups(size);
        let counterparts = interest.visible_senders();
        let materialised: HashSet<String> =
            counterparts.listed_users().into_iter().map(str::to_owned).collect();
        let names = senders(size);
        let question: Vec<_> = names.iter().map(|name| (name.as_str(), "online")).collect();

        let ours = || counterparts.filter_senders(question.iter().copied());
        let stock = || {
            let indexes =
                (0..question.len()).filter(|index| materialised.contains(question[*index].0));
            indexes.map(|index| (index, Fields::default())).collect::<Vec<_>>()
        };
        let pair = |one: &VisibleSender| (one.index, one.hidden);
        assert!(ours().iter().map(pair).eq(stock()), "the two sides disagree");
        assert_eq!(stock().len(), VISIBLE);

        let mut turns: Vec<_> = (0..TURNS).map(|_| (time(ours), time(stock))).collect();
        turns.sort_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
        let (ours, stock) = turns[TURNS / 2];
        println!(
            "groups of {size:>6}: {:>5.1} ns a sender, HashSet {:>5.1} ns: {:.2} x",
            per_sender(ours),
            per_sender(stock),
            ratio((ours, stock)),
        );
    }
}

/// The senders that `@r:x` may see: three groups of this size, half of the third one
/// overlapping the second, without 50 denied users.
fn interest_in_three_groups(size: usize) -> Interest {
    let mut policy = "groups:\n".to_owned();
    for (name, first) in [("a", 0), ("b", size), ("c", size + size / 2)] {
        writeln!(policy, "  {name}:").unwrap();
        for number in first..first + size {
            writeln!(policy, "    - \"{}\"", user(number)).unwrap();
        }
    }
    policy.push_str("  denied:\n");
    for number in 0..DENIED {
        writeln!(policy, "    - \"{}\"", user(number)).unwrap();
    }
    policy.push_str("rules:\n");
    for name in ["a", "b", "c"] {
        writeln!(
            policy,
            "  - {{ name: {name}, allow: {{ from: {{ group: {name} }}, to: \"@r:x\" }} }}"
        )
        .unwrap();
    }
    policy.push_str("  - { name: denied, deny: { from: { group: denied }, to: \"@r:x\" } }\n");
    let router = InProcess::new(&policy, ["x", "example.org"]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(router.interested_users("@r:x".to_owned())).unwrap()
}

/// Senders of the question, in no order: visible ones from all three groups, denied ones,
/// and strangers.
fn senders(size: usize) -> Vec<String> {
    let others = size * 5 / 2 - DENIED;
    let visible = (0..VISIBLE).map(|number| number * others / VISIBLE).map(|number| {
        // The denied users are the first of the first group.
        user(number + DENIED)
    });
    let denied = (0..DENIED).map(user);
    let strangers = (0..SENDERS - VISIBLE - DENIED).map(|number| user(1_000_000 + number));
    let mut all: Vec<_> = visible.chain(denied).chain(strangers).collect();
    let mut seed = 7u32;
    for index in (1..all.len()).rev() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        all.swap(index, usize::try_from(seed >> 8).unwrap() % (index + 1));
    }
    all
}

fn user(number: usize) -> String {
    format!("@user{number}:example.org")
}

fn time<T>(question: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..QUESTIONS {
        black_box(question());
    }
    start.elapsed() / QUESTIONS
}

fn ratio((ours, stock): (Duration, Duration)) -> f64 {
    ours.as_secs_f64() / stock.as_secs_f64()
}

fn per_sender(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / 1000.0
}
