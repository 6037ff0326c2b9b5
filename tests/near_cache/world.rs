//! A daemon behind a connection that can be cut, the changes that happen to it, and the right
//! answers at each of its revisions.

use std::collections::BTreeSet;
use std::time::Duration;

use presence_router_client::{Client, NearCache, NearCacheOptions, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::LONG;
use crate::changes::{Asker, Edits, Members, apply, askers, document, two};
use crate::harness::Daemon;
use crate::harness::proxy::Proxy;
use crate::harness::ways::{self, Answers};
use crate::worlds::{DIRECTORY, LOW, everybody};

/// The beginning of a world.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    /// The active policy, and the one to change to.
    policies: [String; 2],
    /// A rule that hides something, and is not always there.
    hide: Value,
    pub(super) asker: Asker,
    pub(super) budget_bytes: u64,
    pub(super) stale_for: Duration,
    /// The users whose audience and interest are asked for.
    pub(super) asked: Vec<String>,
}

/// A change of the daemon. It makes a new revision unless it changes nothing.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Edits(Edits),
    /// The other policy.
    Reload,
    /// The rule that hides something comes or goes.
    Hide,
}

/// The events between two rounds of questions.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Changes(Vec<Change>),
    /// The connection breaks, and the daemon changes before the client is back.
    Cut(Vec<Change>),
    /// The daemon cannot be reached, and changes meanwhile. True: for longer than
    /// `stale_for`.
    Away(Vec<Change>, bool),
    /// Another daemon in its place, with a history of its own.
    Restart(Vec<Change>),
    /// A daemon that refuses the stream, for a while.
    Refusal,
}

pub(super) struct World {
    pub(super) daemon: Daemon,
    pub(super) proxy: Proxy,
    beginning: Beginning,
    is_hidden: bool,
    members: Members,
    revisions: Vec<(String, Answers)>,
}

/// Random beginnings, each with its steps.
pub(super) fn worlds() -> impl Strategy<Value = (Beginning, Vec<Step>)> {
    let crowds = || {
        let groups = DIRECTORY.map(|group| json!({ "group": group }));
        select(
            [json!("everyone"), json!({ "server": "one.org" })]
                .into_iter()
                .chain(groups)
                .collect::<Vec<_>>(),
        )
    };
    let unless = select(vec![json!({}), json!({ "presence": ["online"] })]);
    let hide = (crowds(), crowds(), select(vec!["status_msg", "presence"]), unless);
    let hide = hide.prop_map(|(from, to, fields, unless)| {
        let mut hide = json!({ "from": from, "to": to, "fields": [fields] });
        if unless != json!({}) {
            hide["unless"] = unless;
        }
        json!({ "name": "now and then", "hide": hide })
    });
    let budgets = prop_oneof![3 => Just(0), 1 => select(vec![1, 800, 3_000])];
    let stale_for = select(vec![0, 15, 60_000]).prop_map(Duration::from_millis);
    (two(), hide, askers(), budgets, stale_for, subsequence(everybody(), 10)).prop_flat_map(
        |(policies, hide, asker, budget_bytes, stale_for, asked)| {
            let moved = asked.iter().take(4).cloned().collect();
            let beginning = Beginning { policies, hide, asker, budget_bytes, stale_for, asked };
            (Just(beginning), steps(moved))
        },
    )
}

/// Random steps. The edits are about few users, so that much happens to each.
fn steps(users: Vec<String>) -> impl Strategy<Value = Vec<Step>> {
    let edit = (select(DIRECTORY.to_vec()), select(users), prop::bool::weighted(0.6));
    let edits = vec(edit, 1..4).prop_map(Change::Edits);
    let change = prop_oneof![4 => edits, 1 => Just(Change::Reload), 1 => Just(Change::Hide)];
    let changes = prop_oneof![3 => vec(change.clone(), 1), 1 => vec(change.clone(), 2..4)];
    let missed = vec(change, 0..3);
    let step = prop_oneof![
        6 => changes.prop_map(Step::Changes),
        2 => missed.clone().prop_map(Step::Cut),
        2 => (missed.clone(), any::<bool>()).prop_map(|(missed, longer)| Step::Away(missed, longer)),
        1 => missed.prop_map(Step::Restart),
        1 => Just(Step::Refusal),
    ];
    vec(step, 1..7)
}

// === impl World ===

impl World {
    pub(super) async fn begin(beginning: &Beginning) -> Self {
        let daemon = Daemon::serving(&beginning.policies[0]).await;
        daemon.live.set_thresholds(LOW);
        let mut world = Self {
            proxy: Proxy::start(&daemon.address).await,
            daemon,
            beginning: beginning.clone(),
            is_hidden: false,
            members: DIRECTORY.map(|name| (name, BTreeSet::new())).into(),
            revisions: Vec::new(),
        };
        world.note_revision();
        world
    }

    /// A near-cache that connects through the proxy.
    pub(super) fn near_cache(&self) -> NearCache {
        let Asker { server_names, capabilities, .. } = &self.beginning.asker;
        let mut options = Options::new(server_names);
        options.room_capabilities = capabilities.iter().copied().collect();
        options.deadline = LONG;
        options.backoff.initial_delay = Duration::from_millis(1);
        options.backoff.max_delay = Duration::from_millis(4);
        let client = Client::from_channel(self.proxy.channel(), options);
        let mut options = NearCacheOptions::default();
        options.budget_bytes = self.beginning.budget_bytes;
        options.stale_for = self.beginning.stale_for;
        client.near_cache(options)
    }

    /// The policy of the moment, without the members of the directory.
    fn policy(&self) -> String {
        let mut policy: Value = serde_json::from_str(&self.beginning.policies[0]).unwrap();
        if self.is_hidden {
            policy["rules"].as_array_mut().unwrap().push(self.beginning.hide.clone());
        }
        policy.to_string()
    }

    pub(super) fn change(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Edits(edits) => {
                    apply(&self.daemon, std::slice::from_ref(edits), &mut self.members);
                }
                Change::Reload => {
                    self.beginning.policies.swap(0, 1);
                    self.daemon.reload(&self.policy()).unwrap();
                }
                Change::Hide => {
                    self.is_hidden = !self.is_hidden;
                    self.daemon.reload(&self.policy()).unwrap();
                }
            }
            self.note_revision();
        }
    }

    /// Starts another daemon with the same policy and members. The old one ends.
    pub(super) async fn restart(&mut self) {
        self.daemon = Daemon::serving(&self.policy()).await;
        self.daemon.live.set_thresholds(LOW);
        self.note_revision();
        let members = std::mem::take(&mut self.members);
        let joins = members.into_iter().flat_map(|(group, users)| {
            self.members.insert(group, BTreeSet::new());
            users.into_iter().map(move |user| (group, user, true))
        });
        let joins: Edits = joins.collect();
        self.change(&[Change::Edits(joins)]);
    }

    fn note_revision(&mut self) {
        let revision = self.daemon.revision();
        if self.revisions.last().is_none_or(|(last, _)| *last != revision) {
            let document = document(&self.policy(), &self.members);
            let answers = ways::oracle(&document, self.beginning.asker.homeserver(), &everybody());
            self.revisions.push((revision, answers));
        }
    }

    /// The place of the last revision, among all.
    pub(super) fn last(&self) -> usize {
        self.revisions.len() - 1
    }

    pub(super) fn revision_at(&self, place: usize) -> &str {
        &self.revisions[place].0
    }

    /// The place of a revision.
    pub(super) fn place_of(&self, revision: &str) -> usize {
        let place = self.revisions.iter().position(|(one, _)| one == revision);
        place.unwrap_or_else(|| panic!("{revision} was never there"))
    }

    /// The right answers at the revision in a place.
    pub(super) fn answers_in(&self, place: usize) -> &Answers {
        &self.revisions[place].1
    }

    /// The right answers at the last revision.
    pub(super) fn answers(&self) -> &Answers {
        &self.revisions[self.last()].1
    }

    /// The right answers at one of the revisions from some place on.
    pub(super) fn answers_at(&self, revision: &str, from: usize) -> &Answers {
        let mut places = self.revisions[from..].iter();
        let found = places.find(|(one, _)| one == revision);
        &found.unwrap_or_else(|| panic!("{revision} was over, or never there")).1
    }
}
