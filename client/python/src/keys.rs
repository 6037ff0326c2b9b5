//! Turns answers into what Synapse takes: dict keys that are user ids, and
//! explicit sets of senders. Synapse has no words for open sets, nor can it show
//! one recipient less of a state than another: a pair with anything hidden gets
//! nothing from here.

use std::collections::{HashMap, HashSet};

use presence_router_client::{
    Extent, Set, SetError,
    v1::{self, set_expression::Expression},
};

use crate::memory::Memory;

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
pub(crate) struct Keys {
    /// Keys and the positions of the states that each of them gets. No key and
    /// no list of positions occurs twice; positions ascend.
    pub(crate) groups: Vec<(Vec<String>, Vec<usize>)>,
    /// How many states have an audience on servers that nobody named.
    pub(crate) unsent: usize,
}

/// Collects keys over the answers to several parts of a batch.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    home: &'a Home,
    memory: &'a Memory,
    senders: &'a [Option<String>],
    positions: HashMap<String, Vec<usize>>,
    /// From whom something of which states is hidden.
    hidden: Vec<(Set, Vec<usize>)>,
    unsent: HashSet<usize>,
}

/// An answer that cannot be carried out. It is no verdict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("it hides something without saying from whom, or of whom")]
    Hides,
    #[error("it names a state that was not asked about")]
    Index,
    #[error("it holds a set of a kind that this version does not know")]
    UnknownSet,
}

// === impl Home ===

impl Home {
    pub(crate) fn is_local(&self, user_id: &str) -> bool {
        user_id.split_once(':').is_some_and(|(_, server)| server == self.server)
    }
}

// === impl Collector ===

impl<'a> Collector<'a> {
    /// `senders`: the user of each state; `None` if it is no user id at all.
    pub(crate) fn new(home: &'a Home, memory: &'a Memory, senders: &'a [Option<String>]) -> Self {
        let (positions, hidden, unsent) = (HashMap::new(), Vec::new(), HashSet::new());
        Self { home, memory, senders, positions, hidden, unsent }
    }

    /// Adds an answer; `asked` are the positions of the states it is about. All
    /// of it or, if it cannot be used, nothing.
    pub(crate) fn add(
        &mut self,
        answer: v1::GetUsersForStatesResponse,
        asked: &[usize],
    ) -> Result<(), Unusable> {
        let hidden = answer.hides.iter().map(|one| {
            let hide = one.hide.as_ref().ok_or(Unusable::Hides)?;
            Ok((hidden_users(hide)?, positions(&one.state_indexes, asked)?))
        });
        let hidden = hidden.collect::<Result<Vec<_>, Unusable>>()?;
        let listed = answer
            .recipients
            .into_iter()
            .map(|one| Ok((one.user_id, positions(&one.state_indexes, asked)?)));
        let open = answer.open_recipients.into_iter().map(|one| {
            let set = known_set(one.recipients.as_ref())?;
            Ok((set, one.destinations, positions(&one.state_indexes, asked)?))
        });
        let listed = listed.collect::<Result<Vec<_>, Unusable>>()?;
        let open = open.collect::<Result<Vec<_>, Unusable>>()?;
        self.hidden.extend(hidden);
        for (user_id, positions) in listed {
            self.add_key(user_id, &positions);
        }
        for (set, destinations, positions) in open {
            self.add_open(&set, &destinations, &positions);
        }
        Ok(())
    }

    fn add_open(&mut self, set: &Set, named: &[String], positions: &[usize]) {
        let home = self.home;
        let mut listed_on = HashSet::new();
        for user in set.listed() {
            listed_on.extend(user.split_once(':').map(|(_, server)| server));
            self.add_key(user.into(), positions);
        }
        // Only they need waking: whoever else is in the set gets it by asking.
        for user in self.memory.recent_in(set) {
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
            if set.on_server(server) != Extent::Nobody {
                self.add_key(format!("{HOST_KEY}:{server}"), &local);
            }
        }
        // One listed member brings its whole server, see `HOST_KEY`.
        let reached = |server: &str| {
            server == home.server || destinations.contains(server) || listed_on.contains(server)
        };
        if set.outside(reached) != Extent::Nobody {
            self.unsent.extend(local);
        }
    }

    fn add_key(&mut self, key: String, positions: &[usize]) {
        self.positions.entry(key).or_default().extend(positions);
    }

    fn is_of_local(&self, position: usize) -> bool {
        let sender = self.senders.get(position).and_then(Option::as_deref);
        sender.is_some_and(|sender| self.home.is_local(sender))
    }

    /// The keys, those with the same states together, so that they can share
    /// one set.
    pub(crate) fn finish(self) -> Keys {
        let mut groups: HashMap<Vec<usize>, Vec<String>> = HashMap::new();
        for (key, mut positions) in self.positions {
            positions.sort_unstable();
            positions.dedup();
            // Open sets are modulo self.
            positions.retain(|position| {
                self.senders.get(*position).is_some_and(|sender| sender.as_ref() != Some(&key))
            });
            for (users, states) in &self.hidden {
                if hides_from(users, &key, self.home) {
                    positions.retain(|position| !states.contains(position));
                }
            }
            if !positions.is_empty() {
                groups.entry(positions).or_default().push(key);
            }
        }
        let groups = groups.into_iter().map(|(positions, keys)| (keys, positions)).collect();
        Keys { groups, unsent: self.unsent.len() }
    }
}

/// Whether an answer is everyone, and that in so many words: anything excepted,
/// denied or blocked would make another expression of it.
pub(crate) fn is_everyone(answer: &v1::GetInterestedUsersResponse) -> bool {
    let open = answer.open_senders.as_ref().and_then(|set| set.expression.as_ref());
    matches!(open, Some(Expression::Everyone(_))) && answer.hides.is_empty()
}

/// The senders that a user may see.
pub(crate) fn interest(
    answer: v1::GetInterestedUsersResponse,
    user_id: &str,
    memory: &Memory,
) -> Result<Vec<String>, Unusable> {
    let hidden = answer.hides.iter().map(hidden_users).collect::<Result<Vec<_>, _>>()?;
    let mut senders = answer.user_ids;
    if let Some(open) = &answer.open_senders {
        let set = known_set(Some(open))?;
        senders.extend(set.listed().into_iter().map(String::from));
        senders.extend(memory.known_in(&set));
    }
    senders.retain(|sender| sender != user_id && !hidden.iter().any(|set| set.contains(sender)));
    Ok(senders)
}

fn hidden_users(hide: &v1::Hide) -> Result<Set, Unusable> {
    let users = hide.users.as_ref().filter(|users| users.expression.is_some());
    known_set(Some(users.ok_or(Unusable::Hides)?))
}

/// Makes a set ready. One that is not said, which is what a kind of a later
/// contract looks like, must not be taken for nobody: what else the answer says
/// may be said with a view to it.
fn known_set(expression: Option<&v1::SetExpression>) -> Result<Set, Unusable> {
    if is_known(expression) { Ok(Set::new(expression)?) } else { Err(Unusable::UnknownSet) }
}

fn is_known(expression: Option<&v1::SetExpression>) -> bool {
    match expression.and_then(|expression| expression.expression.as_ref()) {
        None => false,
        Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
            list.sets.iter().all(|set| is_known(Some(set)))
        }
        Some(Expression::Difference(both)) => {
            is_known(both.any.as_deref()) && is_known(both.except.as_deref())
        }
        Some(_) => true,
    }
}

/// Whether a key brings states to one from whom something is hidden. A remote
/// key brings them to its whole server, in one copy.
fn hides_from(users: &Set, key: &str, home: &Home) -> bool {
    match key.split_once(':') {
        Some((_, server)) if server != home.server => users.on_server(server) != Extent::Nobody,
        _ => users.contains(key),
    }
}

fn positions(indexes: &[u32], asked: &[usize]) -> Result<Vec<usize>, Unusable> {
    let position = |index: &u32| usize::try_from(*index).ok().and_then(|i| asked.get(i)).copied();
    indexes.iter().map(|index| position(index).ok_or(Unusable::Index)).collect()
}
