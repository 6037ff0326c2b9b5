//! Turns answers into what Synapse takes: dict keys that are user ids, and
//! explicit sets of senders. Synapse has no words for open sets. It sends one copy
//! of a state to a whole server, so what is hidden from one there is hidden from
//! all; and to a local recipient it shows all of a state or nothing.

use std::collections::{HashMap, HashSet};

use presence_router_client::{
    Coverage, Set,
    v1::{self, set_expression::Expression},
};

use crate::{
    error::AnswerError,
    hides::{Fields, Hide, Hides, OnServer, State},
    known_users::KnownUsers,
};

/// Localpart of the key that stands for a whole remote server. Of a remote key,
/// Synapse uses the host only.
const HOST_KEY: &str = "@presence-router";

/// Whom we answer for.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The homeserver's own name.
    pub(crate) server: String,
    /// Remote servers that open audiences go to, beyond those the daemon names.
    pub(crate) destinations: Vec<String>,
}

/// The keys of one answer to Synapse.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SynapseAnswer {
    /// Keys and what each of them gets. No key and no `Shown` occurs twice.
    pub(crate) groups: Vec<(Vec<String>, Shown)>,
    /// How many states have an audience on servers that nobody named.
    pub(crate) unsent: usize,
}

/// The states that a key gets. Their positions ascend, and none is in both.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shown {
    /// As they are.
    pub(crate) whole: Vec<usize>,
    /// Without some fields.
    pub(crate) less: Vec<(usize, Fields)>,
}

/// Collects keys over the answers to several parts of a batch.
#[derive(Debug)]
pub(crate) struct AnswerCollector<'a> {
    home: &'a Home,
    known_users: &'a KnownUsers,
    states: &'a [State],
    positions: HashMap<String, Vec<usize>>,
    /// Open sets of recipients, for what is hidden from somebody in them.
    open: Vec<(Set, Vec<usize>)>,
    hides: Hides<'a>,
    unsent: HashSet<usize>,
}

// === impl Home ===

impl Home {
    pub(crate) fn is_local(&self, user_id: &str) -> bool {
        user_id.split_once(':').is_some_and(|(_, server)| server == self.server)
    }

    /// The server of a user, if it is another.
    fn other_server<'u>(&self, user_id: &'u str) -> Option<&'u str> {
        let (_, server) = user_id.split_once(':')?;
        (server != self.server).then_some(server)
    }
}

// === impl AnswerCollector ===

impl<'a> AnswerCollector<'a> {
    pub(crate) fn new(home: &'a Home, known_users: &'a KnownUsers, states: &'a [State]) -> Self {
        Self {
            home,
            known_users,
            states,
            positions: HashMap::new(),
            open: Vec::new(),
            hides: Hides::new(states),
            unsent: HashSet::new(),
        }
    }

    /// Adds an answer; `asked` are the positions of the states it is about. All
    /// of it or, if it cannot be used, nothing.
    pub(crate) fn add_answer(
        &mut self,
        answer: v1::GetUsersForStatesResponse,
        asked: &[usize],
    ) -> Result<(), AnswerError> {
        let hides = answer.hides.iter().map(|one| {
            let hide = one.hide.as_ref().ok_or(AnswerError::Hides)?;
            Ok((Hide::new(hide)?, positions(&one.state_indexes, asked)?))
        });
        let hides = hides.collect::<Result<Vec<_>, AnswerError>>()?;
        let listed = answer
            .recipients
            .into_iter()
            .map(|one| Ok((one.user_id, positions(&one.state_indexes, asked)?)));
        let open = answer.open_recipients.into_iter().map(|one| {
            let set = Set::new_strict(one.recipients.as_ref())?;
            Ok((set, one.destinations, positions(&one.state_indexes, asked)?))
        });
        let listed = listed.collect::<Result<Vec<_>, AnswerError>>()?;
        let open = open.collect::<Result<Vec<_>, AnswerError>>()?;
        for (hide, positions) in hides {
            self.hides.add_hide(hide, &positions);
        }
        for (user_id, positions) in listed {
            self.add_key(user_id, &positions);
        }
        for (set, destinations, positions) in open {
            self.add_open(&set, &destinations, &positions);
            self.open.push((set, positions));
        }
        Ok(())
    }

    fn add_open(&mut self, set: &Set, named: &[String], positions: &[usize]) {
        let home = self.home;
        let mut listed_on = HashSet::new();
        for user in set.listed_users() {
            listed_on.extend(user.split_once(':').map(|(_, server)| server));
            self.add_key(user.into(), positions);
        }
        // Only they need waking: whoever else is in the set gets it by asking.
        for user in self.known_users.recent_in(set) {
            self.add_key(user, positions);
        }
        // A server gets the presence of our own users only, from us.
        let local: Vec<_> =
            positions.iter().copied().filter(|position| self.is_of_local(*position)).collect();
        if local.is_empty() {
            return;
        }
        let destinations: HashSet<&str> = named
            .iter()
            .chain(&home.destinations)
            .map(String::as_str)
            .filter(|server| *server != home.server)
            .collect();
        for server in &destinations {
            if set.coverage_on_server(server) != Coverage::Nobody {
                self.add_key(format!("{HOST_KEY}:{server}"), &local);
            }
        }
        // One listed member brings its whole server, see `HOST_KEY`.
        let reached = |server: &str| {
            server == home.server || destinations.contains(server) || listed_on.contains(server)
        };
        if set.coverage_outside(reached) != Coverage::Nobody {
            self.unsent.extend(local);
        }
    }

    fn add_key(&mut self, key: String, positions: &[usize]) {
        self.positions.entry(key).or_default().extend(positions);
    }

    fn is_of_local(&self, position: usize) -> bool {
        self.sender(position).is_some_and(|sender| self.home.is_local(sender))
    }

    fn sender(&self, position: usize) -> Option<&'a str> {
        self.states.get(position)?.user_id.as_deref()
    }

    /// The keys, those that get the same together, so that they can share one set.
    pub(crate) fn finish(mut self) -> SynapseAnswer {
        let on_servers = self.hidden_on_servers();
        let last_on = self.last_on_servers();
        let mut groups: HashMap<Shown, Vec<String>> = HashMap::new();
        for (key, mut positions) in std::mem::take(&mut self.positions) {
            positions.sort_unstable();
            positions.dedup();
            // Open sets are modulo self.
            positions.retain(|position| self.sender(*position) != Some(&key));
            if let Some(last) = self.home.other_server(&key).and_then(|on| last_on.get(on)) {
                positions.retain(|position| last.get(&self.sender(*position)) == Some(position));
            }
            let shown = if self.hides.is_empty() {
                Shown { whole: positions, less: Vec::new() }
            } else {
                self.shown(&key, positions, &on_servers)
            };
            if shown != Shown::default() {
                groups.entry(shown).or_default().push(key);
            }
        }
        let groups = groups.into_iter().map(|(shown, keys)| (keys, shown)).collect();
        SynapseAnswer { groups, unsent: self.unsent.len() }
    }

    /// Where a sender has several states, the position of the last that goes to each
    /// server. Synapse sends a server one state of a user, and takes it from sets:
    /// whichever comes last there.
    fn last_on_servers(&self) -> HashMap<String, HashMap<Option<&'a str>, usize>> {
        let mut last_on: HashMap<String, HashMap<_, usize>> = HashMap::new();
        let mut met = HashSet::new();
        if self.states.iter().all(|state| met.insert(&state.user_id)) {
            return last_on;
        }
        for (key, positions) in &self.positions {
            if let Some(server) = self.home.other_server(key) {
                let last = last_on.entry(server.into()).or_default();
                for position in positions {
                    let known = last.entry(self.sender(*position)).or_default();
                    *known = (*known).max(*position);
                }
            }
        }
        last_on
    }

    fn shown(
        &self,
        key: &str,
        positions: Vec<usize>,
        on_servers: &HashMap<String, OnServer>,
    ) -> Shown {
        let mut shown = Shown::default();
        let server = self.home.other_server(key);
        let on_server = server.and_then(|server| on_servers.get(server));
        let gets_hidden = server.is_some() || self.known_users.sees_everyone(key);
        for position in positions {
            let hidden = match server {
                Some(_) => on_server.and_then(|on| on.get(&position)).copied(),
                None => self.hides.hidden_from(key, position),
            };
            match hidden {
                None => shown.whole.push(position),
                // Of an ordinary local recipient: whatever the presence is now, for who
                // gets one must get all that follow.
                Some(_) if !gets_hidden => {}
                Some(Fields::NONE) => shown.whole.push(position),
                Some(fields) => shown.less.push((position, fields)),
            }
        }
        shown
    }

    /// What is hidden from whole servers: whatever is from any recipient there.
    fn hidden_on_servers(&self) -> HashMap<String, OnServer> {
        let mut on_servers: HashMap<String, OnServer> = HashMap::new();
        if self.hides.is_empty() {
            return on_servers;
        }
        for (key, positions) in &self.positions {
            if let Some(server) = self.home.other_server(key) {
                let hidden = on_servers.entry(server.into()).or_default();
                self.hides.add_user(key, positions, hidden);
            }
        }
        for (server, hidden) in &mut on_servers {
            for (set, positions) in &self.open {
                self.hides.add_open(set, server, positions, hidden);
            }
        }
        on_servers
    }
}

/// Of an answer that is everyone, and that in so many words, what it hides:
/// anything excepted, denied or blocked would make another expression of it.
pub(crate) fn everyone(
    answer: &v1::GetInterestedUsersResponse,
) -> Result<Option<Vec<Hide>>, AnswerError> {
    let open = answer.open_senders.as_ref().and_then(|set| set.expression.as_ref());
    if !matches!(open, Some(Expression::Everyone(_))) {
        return Ok(None);
    }
    answer.hides.iter().map(Hide::new).collect::<Result<_, _>>().map(Some)
}

/// The senders that a user may see, and nothing of whom is hidden.
pub(crate) fn interest(
    answer: v1::GetInterestedUsersResponse,
    user_id: &str,
    known_users: &KnownUsers,
) -> Result<Vec<String>, AnswerError> {
    let hides = answer.hides.iter().map(Hide::new).collect::<Result<Vec<_>, _>>()?;
    let mut senders = answer.user_ids;
    if let Some(open) = &answer.open_senders {
        let set = Set::new_strict(Some(open))?;
        senders.extend(set.listed_users().into_iter().map(String::from));
        senders.extend(known_users.known_in(&set));
    }
    let hidden = |sender: &String| hides.iter().any(|hide| hide.users.contains(sender));
    senders.retain(|sender| sender != user_id && !hidden(sender));
    Ok(senders)
}

fn positions(indexes: &[u32], asked: &[usize]) -> Result<Vec<usize>, AnswerError> {
    let position = |index: &u32| usize::try_from(*index).ok().and_then(|i| asked.get(i)).copied();
    indexes.iter().map(|index| position(index).ok_or(AnswerError::Index)).collect()
}
