//! The near-cache against the oracle, on random policies and through random steps: edits,
//! other rules, other hides, broken connections, daemons that are away for a while, other
//! daemons, refusals, and small budgets. Every answer must be right at the revision that it
//! claims: the last one while connected, and without a connection the last one heard. Without
//! a connection, there must be no answers after `stale_for`. The changes that the near-cache
//! reports must cover every pair whose visibility changed.
//!
//! `world` makes the steps happen, and knows the right answers; `observed` asks; `events` follows
//! the reported changes; `readers` has the tests with threads, and with sets that do not fit.

mod events;
mod observed;
mod readers;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use presence_router_client::{ChangeEvent, Error, NearCache, PresenceRouter, Visibility, WhenAway};
use presence_router_engine::Side;
use proptest::test_runner::TestRunner;
use tokio::time::Instant;
use tonic::Status;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;

use self::events::Subscriber;
use self::observed::{
    Numbered, Observed, Observer, SIDES, ask, filtered, look_up, pairs_of, senders,
};
use self::world::{Beginning, Change, Step, World, worlds};
use crate::agreement::{RUNTIME, cases};
use crate::harness::ways;
use crate::worlds::everybody;

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(30);

/// A user whose audience tells the revision that a near-cache has arrived at.
const PROBE: &str = "@probe:unmet.net";

/// Counts of questions, over all worlds.
#[derive(Debug, Default)]
struct Counts {
    worlds: AtomicUsize,
    /// Answers that memory still had after changes.
    kept: AtomicUsize,
    /// Answers that memory still had on the next connection.
    kept_across: AtomicUsize,
    /// Answers without a connection.
    stale: AtomicUsize,
    /// Questions that memory could not answer after a step.
    asked: AtomicUsize,
    /// Pairs whose visibility changed, and that a reported change named.
    reported: AtomicUsize,
    /// Changes that were reported as unknown.
    resets: AtomicUsize,
}

/// A near-cache, and the world that its answers are about.
struct Follower<'c> {
    world: World,
    cache: NearCache,
    subscriber: Subscriber,
    /// The answers by number, over the whole life of the near-cache.
    numbered: RefCell<HashMap<u64, Numbered>>,
    beginning: Beginning,
    counts: &'c Counts,
}

/// The address of a server that refuses every call.
static REFUSING: LazyLock<String> = LazyLock::new(|| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    RUNTIME.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let refuse = InterceptorLayer::new(|_| Err(Status::permission_denied("not you")));
        let server = Server::builder().layer(refuse).add_routes(Routes::default());
        server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)).await
    });
    address
});

#[test]
fn a_near_cache_is_right_at_the_revision_that_it_claims() {
    let counts = Counts::default();
    let mut runner = TestRunner::new(cases(500));
    let right = runner.run(&worlds(), |(beginning, steps)| {
        counts.worlds.fetch_add(1, Relaxed);
        RUNTIME.block_on(follow(beginning, steps, &counts));
        Ok(())
    });
    if let Err(wrong) = right {
        panic!("{wrong}\nafter {counts:?}");
    }
    println!("{counts:?}");
    let some = |count: &AtomicUsize| count.load(Relaxed) > 0;
    assert!(some(&counts.kept) && some(&counts.kept_across) && some(&counts.stale), "{counts:?}");
    assert!(some(&counts.reported) && some(&counts.resets), "{counts:?}");
}

async fn follow(beginning: Beginning, steps: Vec<Step>, counts: &Counts) {
    let world = World::begin(&beginning).await;
    let cache = world.near_cache();
    let subscriber = Subscriber::start(&cache, &beginning.asker, &beginning.asked);
    let numbered = RefCell::default();
    let of_follower = beginning.clone();
    let mut follower =
        Follower { world, cache, subscriber, numbered, beginning: of_follower, counts };
    follower.settle().await;
    follower.hear_changes(false).await;
    follower.ask_all(None).await;
    for step in steps {
        match step {
            Step::Changes(changes) => follower.apply_changes(&changes).await,
            Step::Cut(missed) => follower.cut_connection(&missed).await,
            Step::Away(missed, longer) => follower.lose_daemon(&missed, longer).await,
            Step::Restart(changes) => follower.replace_daemon(&changes).await,
            Step::Refusal => follower.refuse_stream().await,
        }
    }
    let users = everybody();
    let revision = follower.world.daemon.revision();
    let homeserver = beginning.asker.homeserver();
    let said = ways::router(&follower.cache, homeserver, &users, Some(&revision)).await;
    assert_eq!(said, *follower.world.answers(), "as a router");
}

// === impl Counts ===

impl Counts {
    fn add(count: &AtomicUsize, number: usize) {
        count.fetch_add(number, Relaxed);
    }
}

// === impl Follower ===

impl Follower<'_> {
    /// Cuts the connection, and waits until the near-cache has noticed: it tries to connect
    /// again. `None`: nobody accepts the connection.
    async fn lead_to(&self, address: Option<&str>) {
        let before = self.world.proxy.connections();
        self.world.proxy.lead_to(address);
        let noticed = async {
            while self.world.proxy.connections() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, noticed).await.expect("a client connects again");
    }

    /// Leads the near-cache to the daemon on a new connection.
    async fn reconnect(&self) {
        self.lead_to(Some(&self.world.daemon.address)).await;
        self.settle().await;
    }

    /// Waits until the near-cache has arrived at the last revision.
    async fn settle(&self) {
        let revision = self.world.daemon.revision();
        let settled = tokio::time::timeout(LONG, async {
            loop {
                match self.cache.audience(PROBE).await {
                    Ok(probe) if probe.revision() == revision && !probe.is_stale() => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        });
        settled.await.expect("the near-cache arrives at the last revision");
    }

    /// Looks up an answer in memory.
    fn look_up(&self, side: Side, user: &str) -> Option<Observed> {
        look_up(&self.cache, self.beginning.asker.homeserver(), side, user)
    }

    /// Looks up an answer in memory, and asks the daemon if there is none.
    async fn ask(&self, side: Side, user: &str) -> Result<Observed, Error> {
        ask(&self.cache, self.beginning.asker.homeserver(), side, user).await
    }

    /// All questions of this world: both sides of some users.
    fn questions(&self) -> impl Iterator<Item = (Side, &String)> {
        let users = &self.beginning.asked;
        SIDES.iter().flat_map(move |side| users.iter().map(move |user| (*side, user)))
    }

    /// Checks the events of a step. `outage`: the connection was lost.
    async fn hear_changes(&mut self, outage: bool) {
        self.subscriber.arrive(&self.world, outage, self.counts).await;
        let first = self.cache.watch_changes().next().await;
        let revision = self.world.daemon.revision();
        assert_eq!(first, Some(ChangeEvent::Connected { revision }), "to a late subscriber");
    }

    /// Checks that an answer is right at the revision that it claims, which must be one of
    /// those from this place on, and that it is the one that has its number.
    fn check(&self, observed: &Observed, from: usize) {
        let mut numbered = self.numbered.borrow_mut();
        let first = numbered.entry(observed.number).or_insert_with(|| observed.numbered.clone());
        assert_eq!(*first, observed.numbered, "{observed:?}");
        let expected = self.world.answers_at(&observed.revision, from);
        let expected = expected.only(observed.side, &observed.user);
        assert_eq!(observed.answer, expected, "{observed:?}");
    }

    /// Asks a connected near-cache all questions, in every way. `kept` counts the answers
    /// that memory has before they are asked for.
    async fn ask_all(&self, kept: Option<&AtomicUsize>) {
        let last = self.world.last();
        let check = |observed: &Observed| {
            assert!(!observed.is_stale, "{observed:?}");
            self.check(observed, last);
        };
        let all = everybody();
        let senders = senders(&all);
        let visibility = Visibility::new(self.cache.clone(), WhenAway::Nobody);
        let rooms = self.beginning.asker.homeserver().rooms;
        for (side, user) in self.questions() {
            match (self.look_up(side, user), kept) {
                (Some(observed), kept) => {
                    check(&observed);
                    kept.map(|kept| kept.fetch_add(1, Relaxed));
                }
                (None, Some(_)) => drop(self.counts.asked.fetch_add(1, Relaxed)),
                (None, None) => {}
            }
            check(&self.ask(side, user).await.unwrap());
            if side == Side::Recipient {
                let expected = filtered(self.world.answers(), user, &senders);
                let question = visibility.filter(user, &senders).await.unwrap();
                let decided = question
                    .decide(|one, other, conditions| rooms.share_room(one, other, conditions));
                assert_eq!(pairs_of(&decided.visible), expected, "{user}");
                // These know nothing of rooms.
                if self.beginning.asker.capabilities.is_empty() {
                    let cached = self.cache.cached_filter(user, &senders);
                    assert!(cached.is_none_or(|cached| pairs_of(&cached) == expected), "{user}");
                    let asked = self.cache.filter(user, &senders).await.unwrap();
                    assert_eq!(pairs_of(&asked), expected, "{user}");
                }
            }
        }
        if self.beginning.budget_bytes == 0 {
            for (side, user) in self.questions() {
                let found = self.look_up(side, user);
                assert!(found.is_some(), "{side:?} {user}: {:?}", self.cache.stats());
            }
        }
    }

    /// Makes changes while an observer asks.
    async fn apply_changes(&mut self, changes: &[Change]) {
        let (from, observer) = (self.world.last(), self.observe());
        self.world.change(changes);
        self.settle().await;
        for observed in observer.stop().await {
            assert!(!observed.is_stale, "{observed:?}");
            self.check(&observed, from);
        }
        self.hear_changes(false).await;
        self.ask_all(Some(&self.counts.kept)).await;
    }

    /// Cuts the connection, and makes changes before the near-cache connects again.
    async fn cut_connection(&mut self, missed: &[Change]) {
        let (from, observer) = (self.world.last(), self.observe());
        self.world.proxy.lead_to(None);
        self.world.change(missed);
        self.reconnect().await;
        observer.stop().await.iter().for_each(|observed| self.check(observed, from));
        self.hear_changes(true).await;
        self.ask_all(Some(&self.counts.kept_across)).await;
    }

    /// Replaces the daemon by another one with a history of its own.
    async fn replace_daemon(&mut self, changes: &[Change]) {
        let (from, observer) = (self.world.last(), self.observe());
        self.world.restart().await;
        self.world.change(changes);
        self.reconnect().await;
        observer.stop().await.iter().for_each(|observed| self.check(observed, from));
        self.hear_changes(true).await;
        self.ask_all(None).await;
    }

    fn observe(&self) -> Observer {
        Observer::start(&self.cache, &self.beginning.asker, &self.beginning.asked)
    }

    /// Refuses the stream for a while.
    async fn refuse_stream(&mut self) {
        let from = self.world.last();
        self.lead_to(Some(&REFUSING)).await;
        let ended = tokio::time::timeout(LONG, async {
            loop {
                let answers = self.questions().filter_map(|(s, u)| self.look_up(s, u));
                let answers: Vec<_> = answers.collect();
                if answers.is_empty() {
                    return;
                }
                answers.iter().for_each(|observed| self.check(observed, from));
                tokio::task::yield_now().await;
            }
        });
        ended.await.expect("a refusal ends all answers");
        for (side, user) in self.questions().take(4) {
            assert!(self.ask(side, user).await.is_err(), "refused");
        }
        self.reconnect().await;
        self.hear_changes(true).await;
        self.ask_all(None).await;
    }

    /// Makes the daemon unreachable, for more than `stale_for` if `longer`, and makes changes
    /// meanwhile.
    async fn lose_daemon(&mut self, missed: &[Change], longer: bool) {
        let from = self.world.last();
        let before: BTreeSet<(Side, String)> = self
            .questions()
            .filter(|(side, user)| self.look_up(*side, user).is_some())
            .map(|(side, user)| (side, user.clone()))
            .collect();
        let since = Instant::now();
        self.lead_to(None).await;
        let noticed = Instant::now();
        self.world.change(missed);
        self.ask_all_without_daemon(&before, from, since, noticed).await;
        let stale_for = self.beginning.stale_for;
        if longer && stale_for < Duration::from_secs(1) {
            let over = stale_for.saturating_sub(noticed.elapsed()) + Duration::from_millis(1);
            tokio::time::sleep(over).await;
            assert!(self.questions().all(|(s, u)| self.look_up(s, u).is_none()), "over");
            for (side, user) in self.questions().take(4) {
                assert!(self.ask(side, user).await.is_err(), "over");
            }
        }
        self.reconnect().await;
        self.hear_changes(true).await;
        self.ask_all(Some(&self.counts.kept_across)).await;
    }

    /// Asks a near-cache without a connection all questions. `before` holds those that memory
    /// could answer before, at the revision in place `heard`.
    async fn ask_all_without_daemon(
        &self,
        before: &BTreeSet<(Side, String)>,
        heard: usize,
        since: Instant,
        noticed: Instant,
    ) {
        let stale_for = self.beginning.stale_for;
        for (side, user) in self.questions() {
            for may_ask in [false, true] {
                let asked = Instant::now();
                let found = match may_ask {
                    false => self.look_up(side, user),
                    true => self.ask(side, user).await.ok(),
                };
                match found {
                    Some(observed) => {
                        assert!(observed.is_stale, "{observed:?}");
                        assert!(asked - noticed < stale_for, "over: {observed:?}");
                        assert_eq!(observed.revision, self.world.revision_at(heard));
                        self.check(&observed, heard);
                        self.counts.stale.fetch_add(1, Relaxed);
                    }
                    None => {
                        let had = self.beginning.budget_bytes == 0
                            && before.contains(&(side, user.clone()));
                        assert!(!had || since.elapsed() >= stale_for, "{side:?} {user}");
                    }
                }
            }
        }
    }
}
