//! The scenario files, through homeservers: one with the server names of a caller, and one for
//! each other server. Every user sets a presence, everything arrives, and each user sees those
//! whom the file says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use presence_router_client::{
    InProcess, PresenceSharing, RoomCapabilities, Visibility, v1::Capability,
};
use presence_router_proto::rooms::room_capabilities;
use serde::Deserialize;

use crate::harness::ways::Lists;
use crate::homeserver::{Homeserver, Presence, Room};
use crate::oracle::split;

/// The parts of a scenario file that matter here. `tests/scenarios.rs` describes the others.
#[derive(Deserialize)]
struct Scenario {
    policy: String,
    users: Vec<String>,
    #[serde(default)]
    rooms: Option<BTreeMap<String, GivenRoom>>,
    callers: Vec<Caller>,
}

#[derive(Deserialize)]
struct GivenRoom {
    members: BTreeSet<String>,
    #[serde(default)]
    encrypted: bool,
    join_rule: Option<String>,
    history_visibility: Option<String>,
    #[serde(default)]
    spaces: BTreeSet<String>,
    presence_sharing: Option<String>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
struct Caller {
    server_names: Vec<String>,
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    audiences: Lists,
    #[serde(default)]
    interests: Lists,
    /// For each sender, the fields that a recipient does not see.
    #[serde(default)]
    hides: BTreeMap<String, Lists>,
}

/// The homeservers of a scenario. The first one is the caller's.
struct Federation(Vec<Homeserver>);

#[tokio::test]
async fn homeservers_show_what_the_scenarios_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut number = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|end| end == "yaml") {
            let text = std::fs::read_to_string(&file).unwrap();
            let scenario: Scenario = serde_saphyr::from_str(&text).unwrap();
            for caller in &scenario.callers {
                run(&file.display().to_string(), &scenario, caller).await;
                number += 1;
            }
        }
    }
    assert!(number > 20, "the scenarios are where they were");
}

async fn run(file: &str, scenario: &Scenario, caller: &Caller) {
    let federation = Federation::new(scenario, caller).await;
    for user in &scenario.users {
        federation.server_of(user).set_presence(online(user)).await;
    }
    federation.deliver_all().await;
    let mut audiences = Lists::new();
    let mut interests = Lists::new();
    for recipient in &scenario.users {
        let shown = federation.server_of(recipient).sync(recipient, None).await.presence;
        for state in shown.into_iter().filter(|state| state.user_id != *recipient) {
            let (sender, is_own) = (&state.user_id, |user| federation.0[0].is_own(user));
            if is_own(sender) {
                audiences.entry(sender.clone()).or_default().insert(recipient.clone());
            }
            if is_own(recipient) {
                interests.entry(recipient.clone()).or_default().insert(sender.clone());
            }
            if is_own(sender) && is_own(recipient) {
                let hidden = caller.hides.get(sender).and_then(|of| of.get(recipient));
                let expected = without(online(sender), hidden);
                assert_eq!(state, expected, "{file}: shown to {recipient}");
            }
        }
    }
    let local = |lists: &Lists| {
        let is_local = |user: &&String| federation.0[0].is_own(user);
        let lists = lists.iter().filter(|(user, _)| is_local(user));
        lists.map(|(user, others)| (user.clone(), others.clone())).collect::<Lists>()
    };
    assert_eq!(audiences, local(&caller.audiences), "{file}: {:?}", caller.server_names);
    assert_eq!(interests, local(&caller.interests), "{file}: {:?}", caller.server_names);
}

// === impl Federation ===

impl Federation {
    async fn new(scenario: &Scenario, caller: &Caller) -> Self {
        let of_users = scenario.users.iter().map(|user| split(user).1.to_owned());
        let all: BTreeSet<_> = of_users.chain(caller.server_names.iter().cloned()).collect();
        let others = all.iter().filter(|name| !caller.server_names.contains(name));
        let own = (caller.server_names.clone(), caller.capabilities(scenario));
        let others = others.map(|name| (vec![name.clone()], RoomCapabilities::ALL));
        let mut homeservers = Vec::new();
        for (names, capabilities) in [own].into_iter().chain(others) {
            let engine = InProcess::new(&scenario.policy, &names).unwrap();
            let engine = engine.with_room_capabilities(capabilities);
            let visibility = Visibility::from_router(Arc::new(engine));
            let users =
                scenario.users.iter().filter(|user| names.iter().any(|n| n == split(user).1));
            let mut homeserver = Homeserver::new(&names, users, visibility);
            homeserver.add_peers(all.iter().cloned());
            for (room_id, room) in scenario.rooms.iter().flatten() {
                homeserver.change_room(room_id, room.to_room()).await;
            }
            homeservers.push(homeserver);
        }
        Self(homeservers)
    }

    fn server_of(&self, user: &str) -> &Homeserver {
        self.find(user).unwrap()
    }

    fn find(&self, user: &str) -> Option<&Homeserver> {
        self.0.iter().find(|homeserver| homeserver.is_own(user))
    }

    async fn deliver_all(&self) {
        for homeserver in &self.0 {
            for (destination, edu) in homeserver.take_outbox() {
                // A room may have members on servers that the scenario does not ask about.
                if let Some(homeserver) = self.find(&format!("@anybody:{destination}")) {
                    homeserver.receive(edu).await;
                }
            }
        }
    }
}

// === impl Caller ===

impl Caller {
    fn capabilities(&self, scenario: &Scenario) -> RoomCapabilities {
        let value = |name: &String| {
            let condition = name.strip_prefix("room_").unwrap_or(name).to_uppercase();
            Capability::from_str_name(&format!("CAPABILITY_ROOM_{condition}")).unwrap()
        };
        match &self.capabilities {
            Some(names) => room_capabilities(names.iter().map(value)),
            None if scenario.rooms.is_some() => RoomCapabilities::ALL,
            None => RoomCapabilities::NONE,
        }
    }
}

// === impl GivenRoom ===

impl GivenRoom {
    fn to_room(&self) -> Room {
        let hint = self.presence_sharing.as_deref();
        Room {
            members: self.members.clone(),
            encrypted: self.encrypted,
            join_rule: self.join_rule.clone(),
            history_visibility: self.history_visibility.clone(),
            spaces: self.spaces.clone(),
            presence_sharing: hint.map(|hint| PresenceSharing::parse(hint).unwrap()),
            partial: self.partial,
        }
    }
}

fn online(user: &str) -> Presence {
    Presence {
        user_id: user.to_owned(),
        presence: "online".to_owned(),
        status_msg: Some("at work".to_owned()),
        last_active_ts: Some(1),
        currently_active: Some(true),
    }
}

/// A state without fields of these names.
fn without(state: Presence, hidden: Option<&BTreeSet<String>>) -> Presence {
    let is_hidden = |name: &str| hidden.is_some_and(|names| names.contains(name));
    let mut fields = presence_router_client::Fields::NONE;
    fields.presence = is_hidden("presence");
    fields.status_msg = is_hidden("status_msg");
    fields.last_active_ts = is_hidden("last_active_ts");
    fields.currently_active = is_hidden("currently_active");
    state.without(fields)
}
