//! Two homeservers, the network between them, and their clients.

use std::collections::{BTreeMap, VecDeque};

use presence_router_client::{ChangeEvent, Changed, Changes, PresenceSharing, WhenAway};
use presence_router_engine::Policy;
use presence_router_engine::unstable::policy::document::Document;
use tokio::sync::watch;

use super::Counts;
use super::checks::Extent;
use super::policies::{ROOMS, SERVERS, USERS};
use super::source::{LONG, Source};
use super::steps::{Fact, Step, Story};
use crate::homeserver::{Edu, Homeserver, Presence, Room, Rooms, Shown};
use crate::oracle::split;

/// The two homeservers and everything around them.
pub(super) struct World<'c> {
    story: Story,
    /// The index of the active policy.
    active: usize,
    source: Source,
    pub(super) servers: Vec<Server>,
    /// The state of each room, of which the homeservers hear.
    rooms: Rooms,
    /// The last state that each user set.
    pub(super) latest: BTreeMap<&'static str, Presence>,
    states_set: u64,
    /// The policies that answers may be about: the active one, last, and while a homeserver has
    /// not heard of its revision, the one before.
    pub(super) policies: Vec<Document>,
    /// Set while the daemon is away.
    pub(super) away: Option<WhenAway>,
    pub(super) counts: &'c Counts,
}

/// A homeserver and its users.
pub(super) struct Server {
    pub(super) homeserver: Homeserver,
    changes: Changes,
    pub(super) clients: BTreeMap<&'static str, Client>,
    /// Messages on their way to the homeserver.
    incoming: VecDeque<Message>,
}

/// The device of a user.
pub(super) struct Client {
    /// The token of the next request.
    since: Option<u64>,
    /// The presence that the device shows, by sender.
    pub(super) shown: BTreeMap<String, Presence>,
    /// The presence that the user's application service has got, by sender.
    pub(super) pushed: BTreeMap<String, Presence>,
    /// The request that waits for news.
    waiting: watch::Receiver<()>,
}

/// A message between homeservers.
enum Message {
    Edu(Edu),
    /// The state of a room after an event.
    Room(String, Room),
}

// === impl World ===

impl<'c> World<'c> {
    /// Creates the homeservers, connects them, and lets the first members join.
    pub(super) async fn begin(story: &Story, source: Source, counts: &'c Counts) -> Self {
        let mut servers = Vec::new();
        for (place, name) in SERVERS.into_iter().enumerate() {
            let (visibility, changes) = source.connect(place);
            let users = USERS.into_iter().filter(|user| split(user).1 == name);
            let mut homeserver = Homeserver::new([name], users.clone(), visibility);
            homeserver.add_peers(SERVERS.map(str::to_owned));
            homeserver.register_service("@*:*");
            let clients = users.map(|user| (user, Client::new(&homeserver, user))).collect();
            servers.push(Server { homeserver, changes, clients, incoming: VecDeque::new() });
        }
        let mut world = Self {
            story: story.clone(),
            active: 0,
            source,
            servers,
            rooms: Rooms::default(),
            latest: BTreeMap::new(),
            states_set: 0,
            policies: vec![parse(&story.policies[0])],
            away: None,
            counts,
        };
        world.hear_until(|event| matches!(event, ChangeEvent::Connected { .. })).await;
        for (room_id, members) in ROOMS.into_iter().zip(story.members.clone()) {
            let members = members.into_iter().map(str::to_owned).collect();
            world.change_room(0, room_id, Room { members, ..Room::default() }).await;
        }
        world
    }

    pub(super) async fn take_step(&mut self, step: &Step) {
        match step {
            Step::SetPresence(user, presence) => self.set_presence(user, presence).await,
            Step::Join(user, room_id) => {
                let mut room = self.rooms.room(room_id);
                if room.members.insert((*user).to_owned()) {
                    self.change_room(server_index(user), room_id, room).await;
                }
            }
            Step::Leave(user, room_id) => {
                let mut room = self.rooms.room(room_id);
                if room.members.remove(*user) {
                    self.change_room(server_index(user), room_id, room).await;
                }
            }
            Step::Fact(room_id, fact) => {
                let mut room = self.rooms.room(room_id);
                fact.change(&mut room);
                self.change_room(0, room_id, room).await;
            }
            Step::Sync(user) => self.sync(user).await,
            Step::Status(requester, user) => self.get_status(requester, user).await,
            Step::Deliver(number) => {
                for place in 0..self.servers.len() {
                    for _ in 0..*number {
                        self.deliver_to(place).await;
                    }
                }
            }
            Step::Policy(index) => self.replace_policy(*index).await,
            Step::Away => self.lose_daemon().await,
            Step::Back => self.find_daemon().await,
            Step::Settle => self.settle().await,
        }
    }

    /// Ends the world: everything must have arrived.
    pub(super) async fn end(&mut self) {
        self.find_daemon().await;
        self.settle().await;
    }

    /// Delivers everything, lets all clients ask for news, and checks that all of them were
    /// shown everything.
    async fn settle(&mut self) {
        self.settle_to(Extent::Fields).await;
    }

    async fn settle_to(&mut self, extent: Extent) {
        self.deliver_all().await;
        for user in USERS {
            let server = &self.servers[server_index(user)];
            let since = server.clients[user].since;
            let is_new = !server.homeserver.sync(user, since).await.presence.is_empty();
            let is_woken = server.clients[user].waiting.has_changed().unwrap();
            // Nobody is woken by the loss of the daemon, after which other pairs are visible.
            let is_calm = since.is_none() || self.away.is_some();
            assert!(!is_new || is_woken || is_calm, "{user} was not woken");
            self.sync(user).await;
        }
        if self.away.is_some() {
            return;
        }
        for sender in USERS {
            for recipient in USERS {
                self.check_arrival(sender, recipient, extent);
            }
        }
    }

    async fn set_presence(&mut self, user: &'static str, presence: &str) {
        self.states_set += 1;
        let state = Presence {
            user_id: user.to_owned(),
            presence: presence.to_owned(),
            // No two states are equal.
            status_msg: Some(format!("status {}", self.states_set)),
            last_active_ts: Some(self.states_set),
            currently_active: Some(self.states_set.is_multiple_of(2)),
        };
        self.latest.insert(user, state.clone());
        let place = server_index(user);
        let server = &self.servers[place];
        let requests: Vec<_> =
            server.clients.keys().map(|user| (*user, server.homeserver.subscribe(user))).collect();
        server.homeserver.set_presence(state).await;
        for (recipient, request) in requests {
            let is_woken = request.has_changed().unwrap();
            let is_right = recipient == user || self.may_see(place, user, recipient);
            assert_eq!(is_woken, is_right, "{recipient} woken by {user}");
        }
        self.collect(place).await;
    }

    /// Changes a room at one homeserver, and lets the other one hear of it.
    async fn change_room(&mut self, place: usize, room_id: &str, room: Room) {
        // Every homeserver hears of the events of a room in their order.
        while !self.servers[place].incoming.is_empty() {
            self.deliver_to(place).await;
        }
        self.rooms.replace(room_id, room.clone());
        for (other, server) in self.servers.iter_mut().enumerate() {
            if other != place {
                server.incoming.push_back(Message::Room(room_id.to_owned(), room.clone()));
            }
        }
        self.servers[place].homeserver.change_room(room_id, room).await;
        self.collect(place).await;
    }

    async fn replace_policy(&mut self, index: usize) {
        self.active = index % self.story.policies.len();
        let policy = &self.story.policies[self.active];
        let revisions = self.source.replace_policy(policy).await;
        self.policies.push(parse(policy));
        if self.away.is_none() {
            self.hear_of(&revisions).await;
        }
    }

    /// Lets both homeservers hear of a revision, and checks what they send then.
    async fn hear_of(&mut self, revisions: &[String]) {
        self.hear_until(|event| {
            let revision = match event {
                ChangeEvent::Connected { revision } | ChangeEvent::Reset { revision } => revision,
                ChangeEvent::Changed(Changed { revision, .. }) => revision,
                _ => return false,
            };
            revisions.contains(revision)
        })
        .await;
        self.policies.drain(..self.policies.len() - 1);
        if matches!(self.source, Source::Daemon(_)) {
            self.settle_to(Extent::State).await;
            // Fields that the new policy shows arrive with the next state.
            for (user, state) in self.latest.clone() {
                self.set_presence(user, &state.presence).await;
            }
        }
    }

    /// Lets each homeserver follow the changes up to an event.
    async fn hear_until(&mut self, is_last: impl Fn(&ChangeEvent) -> bool) {
        for place in 0..self.servers.len() {
            loop {
                let server = &mut self.servers[place];
                let event = tokio::time::timeout(LONG, server.changes.next()).await;
                let event = event.expect("an event comes").unwrap();
                let is_last = is_last(&event);
                server.homeserver.follow(event).await;
                self.collect(place).await;
                if is_last {
                    break;
                }
            }
        }
    }

    async fn lose_daemon(&mut self) {
        let Some(when_away) = self.source.when_away() else { return };
        if self.away.is_none() {
            self.source.set_reachable(false);
            self.hear_until(|event| matches!(event, ChangeEvent::Disconnected(_))).await;
            self.away = Some(when_away);
        }
    }

    async fn find_daemon(&mut self) {
        if self.away.take().is_some() {
            self.source.set_reachable(true);
            self.hear_until(|event| matches!(event, ChangeEvent::Connected { .. })).await;
            // The changes that were missed come next. Those of another revision are the last.
            self.replace_policy(self.active).await;
        }
    }

    async fn deliver_all(&mut self) {
        while self.servers.iter().any(|server| !server.incoming.is_empty()) {
            for place in 0..self.servers.len() {
                self.deliver_to(place).await;
            }
        }
    }

    /// Delivers the next message to a homeserver.
    async fn deliver_to(&mut self, place: usize) {
        let server = &mut self.servers[place];
        match server.incoming.pop_front() {
            Some(Message::Edu(edu)) => server.homeserver.receive(edu).await,
            Some(Message::Room(room_id, room)) => {
                server.homeserver.change_room(&room_id, room).await;
            }
            None => {}
        }
        self.collect(place).await;
    }

    /// Takes what a homeserver sends to the other one, and to its application service.
    async fn collect(&mut self, place: usize) {
        let homeserver = &self.servers[place].homeserver;
        for Shown { recipient, state } in homeserver.take_transaction(0) {
            self.check_shown(place, &recipient, &state);
            let client = self.servers[place].clients.get_mut(recipient.as_str()).unwrap();
            client.pushed.insert(state.user_id.clone(), state);
        }
        for (destination, edu) in self.servers[place].homeserver.take_outbox() {
            for copy in &edu.push {
                self.check_copy(place, &destination, copy);
            }
            let other = SERVERS.iter().position(|name| *name == destination).unwrap();
            self.servers[other].incoming.push_back(Message::Edu(edu));
        }
    }

    async fn sync(&mut self, user: &'static str) {
        let place = server_index(user);
        let since = self.servers[place].clients[user].since;
        let response = self.servers[place].homeserver.sync(user, since).await;
        for state in &response.presence {
            self.check_shown(place, user, state);
        }
        let client = self.servers[place].clients.get_mut(user).unwrap();
        client.waiting.mark_unchanged();
        client.since = Some(response.next_batch);
        client.shown.extend(response.presence.into_iter().map(|s| (s.user_id.clone(), s)));
    }

    async fn get_status(&mut self, requester: &'static str, user: &'static str) {
        let place = server_index(requester);
        let homeserver = &self.servers[place].homeserver;
        match homeserver.get_status(requester, user).await {
            Some(state) => self.check_shown(place, requester, &state),
            None => {
                let exists = homeserver.stored_state(user).is_some();
                let may = requester == user || self.may_see(place, user, requester);
                assert!(!(exists && may), "{requester} asked about {user}, and got nothing");
                Counts::add(&self.counts.refused, 1);
            }
        }
    }
}

// === impl Client ===

impl Client {
    fn new(homeserver: &Homeserver, user: &str) -> Self {
        let (shown, pushed) = (BTreeMap::new(), BTreeMap::new());
        Self { since: None, shown, pushed, waiting: homeserver.subscribe(user) }
    }
}

// === impl Fact ===

impl Fact {
    fn change(&self, room: &mut Room) {
        fn toggle<T>(value: &mut Option<T>, other: T) {
            *value = if value.is_none() { Some(other) } else { None };
        }
        match self {
            Self::Encrypted => room.encrypted = !room.encrypted,
            Self::Public => toggle(&mut room.join_rule, "public".to_owned()),
            Self::WorldReadable => {
                toggle(&mut room.history_visibility, "world_readable".to_owned());
            }
            Self::InSpace => {
                if !room.spaces.remove("!space") {
                    room.spaces.insert("!space".to_owned());
                }
            }
            Self::Suggests => room.presence_sharing = Some(PresenceSharing::Suggest),
            Self::Forbids => room.presence_sharing = Some(PresenceSharing::Forbid),
            Self::Partial => room.partial = !room.partial,
        }
    }
}

fn parse(policy: &str) -> Document {
    let parsed = Policy::parse("policy.yaml", policy.as_bytes());
    parsed.unwrap_or_else(|error| panic!("{error}\n{policy}")).document
}

/// The place of a user's homeserver.
pub(super) fn server_index(user: &str) -> usize {
    SERVERS.iter().position(|name| *name == split(user).1).unwrap()
}
