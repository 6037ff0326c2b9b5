//! Threads that look up without pause while the daemon changes, and sets that do not all
//! fit: each answer is right at the revision that it claims.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use presence_router_client::{CachedAnswer, NearCache, NearCacheOptions};
use presence_router_engine::Edit;
use presence_router_ids::UserId;

use super::LONG;
use crate::agreement::RUNTIME;
use crate::harness::Daemon;

/// Users who come and go, one or more in each revision.
const MOVERS: [&str; 6] = ["@a:x.org", "@b:x.org", "@c:x.org", "@d:x.org", "@e:x.org", "@f:x.org"];

/// Groups of users who stay. Each user is in other ones, so that all have different
/// audiences, which all hold the movers: an edit changes many answers.
const BITS: usize = 7;

const EDITS: usize = 300;
/// More than processors, so that the system interrupts them between any two steps.
const READERS: usize = 6;

/// An answer about movers: those in the audience of a user who stays, or the visibility of such
/// a user to one mover.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Seen {
    Audience(BTreeSet<usize>),
    Interest(usize, bool),
}

fn user(number: usize) -> String {
    format!("@u{number}:x.org")
}

fn policy() -> String {
    let mut policy = "groups:\n  moving: { directory: true }\n".to_owned();
    for bit in 0..BITS {
        let members = (1..1 << BITS).filter(|number| number >> bit & 1 == 1);
        let members: Vec<_> = members.map(|number| format!("'{}'", user(number))).collect();
        writeln!(policy, "  team/{bit}: [{}]", members.join(", ")).unwrap();
    }
    policy.push_str("rules:\n  - { name: teams, allow: { within: 'team/*' } }\n");
    policy
        + "  - { name: moving, allow: { from: { match: '@u*:x.org' }, to: { group: moving } } }\n"
}

/// Returns the next number of a sequence without much order.
fn next_number(seed: &mut u32) -> usize {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    usize::try_from(*seed >> 8).unwrap()
}

/// Waits until the near-cache has heard of a revision.
async fn arrive(cache: &NearCache, revision: &str) {
    let arrived = async {
        while cache.audience("@probe:x.org").await.unwrap().revision() != revision {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, arrived).await.expect("a near-cache follows");
}

#[test]
fn readers_are_right_while_the_daemon_changes() {
    let (daemon, cache) = RUNTIME.block_on(async {
        let daemon = Daemon::serving(&policy()).await;
        let mut options = NearCacheOptions::default();
        options.budget_bytes = 0;
        let cache = daemon.rust_client(&["x.org".to_owned()]).near_cache(options);
        (daemon, cache)
    });
    let done = AtomicBool::new(false);
    let mut revisions = BTreeMap::from([(daemon.revision(), BTreeSet::new())]);
    let seen = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                scope.spawn({
                    let (cache, done) = (&cache, &done);
                    move || read_until(done, cache, number)
                })
            })
            .collect();
        RUNTIME.block_on(change(&daemon, &cache, &mut revisions));
        done.store(true, Relaxed);
        let seen = readers.into_iter().map(|reader| reader.join().unwrap());
        seen.flatten().collect::<HashSet<_>>()
    });
    let mut audiences = BTreeSet::new();
    for (revision, seen) in &seen {
        let members = &revisions[revision];
        match seen {
            Seen::Audience(movers) => {
                audiences.insert(revision);
                assert_eq!(movers, members, "at {revision}");
            }
            Seen::Interest(mover, sees) => {
                assert_eq!(*sees, members.contains(mover), "{mover} at {revision}");
            }
        }
    }
    let (hits, revisions) = (cache.stats().hits, audiences.len());
    assert!(hits > 10_000 && revisions > EDITS / 10, "{hits} hits at {revisions} revisions");
}

/// Looks up all users who stay, or all movers, and returns each different answer.
fn read_until(done: &AtomicBool, cache: &NearCache, number: usize) -> HashSet<(String, Seen)> {
    let mut all = HashSet::new();
    let users: Vec<String> = (1..1 << BITS).map(user).collect();
    let note = |answer: CachedAnswer<'_>, seen: Seen| (answer.revision().to_owned(), seen);
    while !done.load(Relaxed) {
        if number.is_multiple_of(2) {
            for user in &users {
                if let Some(answer) = cache.cached_audience(user) {
                    let sees = |mover: &usize| answer.counterparts().contains(MOVERS[*mover]);
                    let movers = (0..MOVERS.len()).filter(sees).collect();
                    all.insert(note(answer, Seen::Audience(movers)));
                }
            }
        } else {
            for (mover, id) in MOVERS.iter().enumerate() {
                if let Some(answer) = cache.cached_interest(id) {
                    let sees = answer.counterparts().contains(&users[0]);
                    all.insert(note(answer, Seen::Interest(mover, sees)));
                }
            }
        }
    }
    all
}

/// Lets users join and leave, and notes the members at each revision.
async fn change(
    daemon: &Daemon,
    cache: &NearCache,
    revisions: &mut BTreeMap<String, BTreeSet<usize>>,
) {
    let mut members = BTreeSet::new();
    let mut seed = 1;
    for edit in 0..EDITS {
        if edit % 4 == 0 {
            arrive(cache, &daemon.revision()).await;
            for number in 1..1 << BITS {
                cache.audience(&user(number)).await.unwrap();
            }
        }
        for mover in MOVERS {
            cache.interest(mover).await.unwrap();
        }
        let moved: BTreeSet<usize> = (0..=next_number(&mut seed) % 2)
            .map(|_| next_number(&mut seed) % MOVERS.len())
            .collect();
        let edits = moved.iter().map(|mover| {
            let (group, user) = ("moving", UserId::parse(MOVERS[*mover]).unwrap());
            if members.remove(mover) {
                return Edit::Leave { group, user };
            }
            members.insert(*mover);
            Edit::Join { group, user }
        });
        let edits: Vec<_> = edits.collect();
        let revision = daemon.live.edit_directory(&edits).unwrap();
        revisions.insert(revision.to_string(), members.clone());
    }
    arrive(cache, &daemon.revision()).await;
}

/// The sets take 1.5 MB, and the budget lets them have 1.05 MB.
#[tokio::test]
async fn answers_whose_sets_do_not_fit_end_and_come_back() {
    const GROUPS: usize = 30;
    const MEMBERS: usize = 200;
    let id = |group: usize, member: usize| format!("@{group}-{member}-{}:x.org", "x".repeat(235));
    let mut policy = "groups:\n".to_owned();
    let mut members: Vec<BTreeSet<String>> = Vec::new();
    for group in 0..GROUPS {
        writeln!(policy, "  team/{group}: {{ directory: true }}").unwrap();
        members.push((0..MEMBERS).map(|member| id(group, member)).collect());
    }
    policy.push_str("rules:\n  - { name: teams, allow: { within: 'team/*' } }\n");
    let daemon = Daemon::serving(&policy).await;
    for (group, members) in members.iter().enumerate() {
        let group = &format!("team/{group}");
        let join = |user| Edit::Join { group, user: UserId::parse(user).unwrap() };
        daemon
            .live
            .edit_directory(&members.iter().map(|user| join(user)).collect::<Vec<_>>())
            .unwrap();
    }
    let mut options = NearCacheOptions::default();
    options.budget_bytes = 1_400_000;
    let cache = daemon.rust_client(&["x.org".to_owned()]).near_cache(options);
    let (mut seed, mut kept, mut ended) = (1, 0, 0);
    for _ in 0..300 {
        let asked = next_number(&mut seed) % GROUPS;
        let moved = next_number(&mut seed) % GROUPS;
        let group = &format!("team/{moved}");
        let mover = id(moved, MEMBERS);
        let user = UserId::parse(&mover).unwrap();
        let edit = if members[moved].remove(&mover) {
            Edit::Leave { group, user }
        } else {
            members[moved].insert(mover.clone());
            Edit::Join { group, user }
        };
        let revision = daemon.live.edit_directory(&[edit]).unwrap().to_string();
        arrive(&cache, &revision).await;
        cache.audience(&id(asked, 0)).await.unwrap();
        for (group, members) in members.iter().enumerate() {
            let user = id(group, 0);
            let Some(answer) = cache.cached_audience(&user) else {
                ended += 1;
                continue;
            };
            kept += 1;
            assert_eq!(answer.revision(), revision);
            let others = members.iter().filter(|member| **member != user);
            assert!(answer.counterparts().listed_users().into_iter().eq(others), "{group}");
        }
    }
    assert!(kept > 1_000 && ended > 300, "{kept} kept, {ended} not in memory");
    assert!(cache.stats().bytes < 1_400_000, "{:?}", cache.stats());
}
