//! The engine in the homeserver's own process: no daemon, no network, no task.
//!
//! For tests of a homeserver. The policy is the daemon's, text and all, and so
//! is what decides; only the way there is missing.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use presence_router_engine::unstable::routing::model::ruleset;
use presence_router_engine::unstable::routing::query::relation::{CallerView, Part, Signature};
use presence_router_engine::unstable::routing::snapshot::members::{Members, Open};
use presence_router_engine::unstable::routing::snapshot::user_table::UserTable;
use presence_router_engine::{Caller, Files, Policy, Problems, Side, Snapshot};
use presence_router_proto::ids::UserId;
use tokio::sync::watch;
use tokio_stream::{StreamExt, wrappers::WatchStream};
use tonic::Code;

use crate::{
    Answer, ChangeEvent, Changes, Delivery, Error, Fields, Hide, Interest, PresenceRouter, Refusal,
    Routed, Set, Violation, list::List, sets::Kind,
};

/// Answers that are remembered before all are forgotten.
const MAX_ANSWERS: usize = 100_000;

/// Bad user ids that one refusal lists, as the daemon's do.
const MAX_VIOLATIONS: usize = 16;

/// A [`PresenceRouter`] without a daemon. Clones share one policy.
///
/// Whatever it is asked it answers at once, on the thread that asks.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use presence_router_client::{InProcess, PresenceRouter};
///
/// let policy = "
/// rules:
///   - name: staff see each other
///     allow: { from: { server: example.org }, to: { server: example.org } }
/// ";
/// let router = InProcess::new(policy, ["example.org"])?;
/// let routed = router.users_for_states(vec!["@ann:example.org".into()]).await?;
/// assert!(routed.audience(0).contains("@joe:example.org"));
/// assert!(!routed.audience(0).contains("@mallory:evil.example"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Shared>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InProcessError {
    /// The policy has problems, or one of its tests fails.
    #[error("the policy has problems:\n{0}")]
    Policy(String),
    /// The policy's file cannot be read.
    #[error("cannot read the policy `{path}`: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// None was given, and without any nothing concerns the caller.
    #[error("no server names: name the servers that are your own")]
    ServerNamesMissing,
    /// One of the server names is malformed.
    #[error("`server_names[{index}]` is not a server name: {problem}")]
    ServerName {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
}

struct Shared {
    state: Mutex<State>,
    revision: watch::Sender<Revision>,
}

/// A position in the history of one engine: opaque to who asks it, and never that of
/// another engine.
#[derive(Clone, Copy)]
struct Revision {
    history: u64,
    number: u64,
}

/// The files beside a policy's own.
struct Folder<'p>(&'p Path);

/// What answers are made from at one revision, and what has been made.
struct State {
    snapshot: Arc<Snapshot>,
    scope: CallerView,
    parts: HashMap<Part, Option<Kind>>,
    answers: HashMap<Signature, Option<Answered>>,
}

/// The counterparts of users with one signature.
#[derive(Clone)]
struct Answered {
    set: Set,
    hides: Vec<Hide>,
}

// === impl InProcess ===

impl InProcess {
    /// An engine with a policy that names no files, for a homeserver with these
    /// server names.
    ///
    /// # Errors
    /// If the policy or a server name is not valid.
    pub fn new<S: AsRef<str>>(
        policy: &str,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        Self::of(Policy::parse("policy", policy.as_bytes())?, server_names)
    }

    /// The same with the policy in a file.
    ///
    /// # Errors
    /// If it cannot be read, or it or a server name is not valid.
    pub fn load<S: AsRef<str>>(
        policy: impl AsRef<Path>,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        let path = policy.as_ref();
        let file = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| InProcessError::Unreadable { path: file.clone(), error })?;
        let folder = Folder(path.parent().unwrap_or(Path::new("")));
        Self::of(Policy::load(&file, &text, &folder)?, server_names)
    }

    /// Decides by another policy from here on. Whoever follows changes hears
    /// `Reset`.
    ///
    /// # Errors
    /// If the policy is not valid. The one before it stays.
    pub fn replace(&self, policy: &str) -> Result<(), InProcessError> {
        let policy = Policy::parse("policy", policy.as_bytes())?;
        let mut state = self.lock();
        *state = State::new(policy.snapshot, state.scope.caller().clone());
        self.shared.revision.send_modify(|revision| *revision = revision.next());
        Ok(())
    }

    fn of<S: AsRef<str>>(
        policy: Policy,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        let caller = Caller::new(server_names).map_err(|(index, error)| {
            InProcessError::ServerName { index, problem: error.to_string() }
        })?;
        if caller.server_names().next().is_none() {
            return Err(InProcessError::ServerNamesMissing);
        }
        let revision = Revision::first();
        let state = Mutex::new(State::new(policy.snapshot, caller));
        let revision = watch::Sender::new(revision);
        Ok(Self { shared: Arc::new(Shared { state, revision }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is half-done while the lock is held, so a poisoned one is good.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call it with the state locked, so that the two belong together.
    fn revision(&self) -> String {
        self.shared.revision.borrow().to_string()
    }

    fn route(&self, senders: Vec<String>) -> Result<Routed, Error> {
        let mut state = self.lock();
        let mut violations = Vec::new();
        let mut groups: HashMap<Signature, Vec<u32>> = HashMap::new();
        for (index, sender) in (0u32..).zip(&senders) {
            match UserId::parse(sender) {
                Ok(user) => {
                    let signature = state.signature(user, Side::Sender);
                    groups.entry(signature).or_default().push(index);
                }
                Err(error) if violations.len() < MAX_VIOLATIONS => violations.push(Violation {
                    field: format!("states[{index}].user_id"),
                    description: format!("is not a user id: {error}"),
                }),
                Err(_) => break,
            }
        }
        refuse(violations)?;
        let mut deliveries = Vec::with_capacity(groups.len());
        for (signature, state_indexes) in groups {
            if let Some(Answered { set, hides }) = state.answer(signature) {
                deliveries.push(Delivery { recipients: set, state_indexes, hides });
            }
        }
        Ok(Routed::new(self.revision(), senders.into(), deliveries)?)
    }

    fn interest(&self, user_id: String) -> Result<Interest, Error> {
        let mut state = self.lock();
        let answered = match UserId::parse(&user_id) {
            Ok(user) => {
                let signature = state.signature(user, Side::Recipient);
                state.answer(signature)
            }
            Err(error) => {
                let description = format!("is not a user id: {error}");
                return Err(refusal(vec![Violation { field: "user_id".to_owned(), description }]));
            }
        };
        let Answered { set: senders, hides } =
            answered.unwrap_or_else(|| Answered { set: Set::nobody(), hides: Vec::new() });
        Ok(Interest { revision: self.revision(), user_id, senders, hides })
    }
}

impl PresenceRouter for InProcess {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move { self.route(senders) })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move { self.interest(user_id) })
    }

    fn changes(&self) -> Changes {
        let mut connected = false;
        let revisions = WatchStream::new(self.shared.revision.subscribe());
        Changes::new(revisions.map(move |revision| {
            let revision = revision.to_string();
            if std::mem::replace(&mut connected, true) {
                ChangeEvent::Reset { revision }
            } else {
                ChangeEvent::Connected { revision }
            }
        }))
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("revision", &self.revision()).finish_non_exhaustive()
    }
}

// === impl Revision ===

impl Revision {
    /// The first revision of another history.
    fn first() -> Self {
        // The keys of the standard library's hash tables are random.
        Self { history: RandomState::new().hash_one(0), number: 1 }
    }

    fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.history, self.number)
    }
}

// === impl Folder ===

impl Files for Folder<'_> {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }
}

impl From<Problems> for InProcessError {
    fn from(problems: Problems) -> Self {
        Self::Policy(problems.to_string())
    }
}

// === impl State ===

impl State {
    fn new(snapshot: Arc<Snapshot>, caller: Caller) -> Self {
        let (parts, answers) = (HashMap::new(), HashMap::new());
        Self { snapshot, scope: CallerView::new(caller), parts, answers }
    }

    fn signature(&self, user: UserId<'_>, side: Side) -> Signature {
        self.snapshot.signature(user, side, self.scope.caller())
    }

    /// `None`: nobody.
    fn answer(&mut self, signature: Signature) -> Option<Answered> {
        if let Some(answered) = self.answers.get(&signature) {
            return answered.clone();
        }
        let answered = self.make(&signature);
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(signature, answered.clone());
        answered
    }

    fn make(&mut self, signature: &Signature) -> Option<Answered> {
        let Self { snapshot, scope, parts, .. } = self;
        let user_table = snapshot.users();
        // Each part is spelled out once, however many audiences share it.
        let part = |part: Part| {
            let known = parts.entry(part).or_insert_with_key(|part| {
                let members = snapshot.part(part, scope);
                (!members.is_empty()).then(|| kind(&members, user_table))
            });
            known.clone()
        };
        let sets: Vec<Kind> = snapshot.parts(signature).into_iter().filter_map(part).collect();
        if sets.is_empty() {
            return None;
        }
        let mut hides = Vec::new();
        if snapshot.hides_anything(signature) {
            let counterparts = snapshot.counterparts(signature, scope);
            for (users, what) in snapshot.hides(signature, &counterparts) {
                hides.push(hide(Set(kind(&users, user_table)), what));
            }
        }
        Some(Answered { set: Set(Kind::AnyOf(sets.into())), hides })
    }
}

fn hide(users: Set, what: &ruleset::Hide) -> Hide {
    let ruleset::Fields { presence, status_msg, last_active_ts, currently_active } = what.fields;
    let fields = Fields { presence, status_msg, last_active_ts, currently_active };
    let unless_presence = what.unless.iter().map(|presence| presence.to_string()).collect();
    Hide { users, fields, unless_presence }
}

fn kind(members: &Members, user_table: &UserTable) -> Kind {
    let list = |numbers: &mut dyn Iterator<Item = u32>| {
        Kind::Users(List::new(
            numbers.map(|number| String::from(user_table.id(number)).into()).collect(),
        ))
    };
    let listed = members.listed_besides();
    if *members.open() == Open::Nobody {
        return list(&mut listed.iter());
    }
    let mut whole = open(members.open());
    let exceptions = members.exceptions();
    if !exceptions.is_empty() {
        whole = Kind::Difference(Arc::new((whole, list(&mut exceptions.iter()))));
    }
    if !listed.is_empty() {
        whole = Kind::AnyOf([whole, list(&mut listed.iter())].into());
    }
    whole
}

fn open(rule: &Open) -> Kind {
    match rule {
        Open::Nobody => Kind::nobody(),
        Open::Everyone => Kind::Everyone,
        Open::Server(glob) => Kind::Server(glob.clone().into()),
        Open::Match(pattern) => Kind::Match(pattern.clone().into()),
        Open::Union(all) => Kind::AnyOf(all.iter().map(open).collect()),
        Open::Intersection(all) => Kind::AllOf(all.iter().map(open).collect()),
        Open::Difference(any, except) => Kind::Difference(Arc::new((open(any), open(except)))),
    }
}

fn refuse(violations: Vec<Violation>) -> Result<(), Error> {
    if violations.is_empty() { Ok(()) } else { Err(refusal(violations)) }
}

/// As the daemon says it.
fn refusal(violations: Vec<Violation>) -> Error {
    let said = violations.iter().map(|one| format!("`{}` {}", one.field, one.description));
    Error::Refused(Box::new(Refusal {
        code: Code::InvalidArgument,
        reason: Some("USER_ID_INVALID".to_owned()),
        message: said.collect::<Vec<_>>().join("; "),
        violations,
    }))
}
