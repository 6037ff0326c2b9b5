//! The engine in the homeserver's own process: no daemon, no network, no task.
//!
//! For tests of a homeserver. The policy has the same syntax as the daemon's, and the
//! same engine evaluates it; only the network is missing.

mod answers;
mod policy_folder;
mod revision;

use std::{
    collections::HashMap,
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use presence_router_engine::unstable::routing::query::visibility::Signature;
use presence_router_engine::{Caller, CallerError, Policy, Problems, Side};
use presence_router_proto::ids::{RoomCapabilities, UserId};
use tokio::sync::watch;
use tokio_stream::{StreamExt, wrappers::WatchStream};
use tonic::Code;

use self::{
    answers::{Answered, State},
    policy_folder::PolicyFolder,
    revision::Revision,
};
use crate::{
    Answer, CachedAnswer, ChangeEvent, Changes, Delivery, Error, FieldViolation, Interest,
    PresenceRouter, Refusal, Routed, Set, VisibleSender,
    answer::{AnswerValue, Heard, SharedAnswer},
};

/// Maximum number of bad user ids in one refusal, as in the daemon's refusals.
const MAX_VIOLATIONS: usize = 16;

/// A [`PresenceRouter`] without a daemon. Clones share one policy.
///
/// It answers every request at once, on the calling thread.
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

/// The reason for which no engine could be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InProcessError {
    /// The policy has problems, or one of its tests fails.
    #[error("the policy has problems:\n{0}")]
    Policy(String),
    /// The policy's file cannot be read.
    #[error("cannot read the policy `{path}`: {error}")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The error of the file system.
        error: io::Error,
    },
    /// The list of server names is empty, so that no pair concerns the caller.
    #[error("no server names: name the servers that are your own")]
    ServerNamesMissing,
    /// One of the server names is malformed.
    #[error("`server_names[{index}]` is not a server name: {problem}")]
    ServerName {
        /// Its index in the list, from 0.
        index: usize,
        /// The problem, for people.
        problem: String,
    },
}

struct Shared {
    state: Mutex<State>,
    revision: watch::Sender<Revision>,
    /// Number of the last answer.
    last_number: AtomicU64,
}

// === impl InProcess ===

impl InProcess {
    /// Creates an engine with the text of a policy that names no files, for a homeserver
    /// with these server names.
    ///
    /// # Errors
    /// If the policy or a server name is not valid.
    pub fn new<S: AsRef<str>>(
        policy: &str,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        Self::from_policy(Policy::parse("policy", policy.as_bytes())?, server_names)
    }

    /// Creates an engine with the policy in a file, which may name further files.
    ///
    /// # Errors
    /// If a file cannot be read, or the policy or a server name is not valid.
    pub fn from_file<S: AsRef<str>>(
        policy: impl AsRef<Path>,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        let path = policy.as_ref();
        let file = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| InProcessError::Unreadable { path: file.clone(), error })?;
        Self::from_policy(Policy::load(&file, &text, &PolicyFolder::of_policy(path))?, server_names)
    }

    /// Returns another engine with the same policy, for a homeserver that evaluates these parts of
    /// `share_room`: as [`Options::room_capabilities`](crate::Options::room_capabilities) does.
    ///
    /// The two share nothing: each has a history of its own, and [`InProcess::replace_policy`]
    /// of one does not change the other.
    #[must_use]
    pub fn with_room_capabilities(&self, capabilities: RoomCapabilities) -> Self {
        let state = self.lock();
        let caller = state.view.caller().clone().with_capabilities(capabilities);
        Self::from_state(State::new(state.snapshot.clone(), caller))
    }

    /// Replaces the policy. Every [`Changes`] stream gets a [`ChangeEvent::Reset`].
    ///
    /// # Errors
    /// If the policy is not valid. The previous policy stays active.
    pub fn replace_policy(&self, policy: &str) -> Result<(), InProcessError> {
        let policy = Policy::parse("policy", policy.as_bytes())?;
        let mut state = self.lock();
        *state = State::new(policy.snapshot, state.view.caller().clone());
        self.shared.revision.send_modify(|revision| *revision = revision.next());
        Ok(())
    }

    fn from_policy<S: AsRef<str>>(
        policy: Policy,
        server_names: impl IntoIterator<Item = S>,
    ) -> Result<Self, InProcessError> {
        let caller = Caller::new(server_names).map_err(|CallerError { index, error }| {
            InProcessError::ServerName { index, problem: error.to_string() }
        })?;
        if caller.server_names().next().is_none() {
            return Err(InProcessError::ServerNamesMissing);
        }
        Ok(Self::from_state(State::new(policy.snapshot, caller)))
    }

    fn from_state(state: State) -> Self {
        let state = Mutex::new(state);
        let revision = watch::Sender::new(Revision::first());
        Self { shared: Arc::new(Shared { state, revision, last_number: AtomicU64::new(0) }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: no update is split into steps that a panic could
        // separate.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the recipients of a sender, as [`NearCache::audience`](crate::NearCache::audience)
    /// does.
    ///
    /// # Errors
    /// If the user id is malformed.
    pub async fn audience<'a>(&self, sender: &'a str) -> Result<CachedAnswer<'a>, Error> {
        self.answer_question(sender, Side::Sender)
    }

    /// Returns the senders whose presence a recipient may see, as
    /// [`NearCache::interest`](crate::NearCache::interest) does.
    ///
    /// # Errors
    /// If the user id is malformed.
    pub async fn interest<'a>(&self, recipient: &'a str) -> Result<CachedAnswer<'a>, Error> {
        self.answer_question(recipient, Side::Recipient)
    }

    /// Returns the visible ones of some senders, with the fields that are hidden of each, as
    /// [`NearCache::filter`](crate::NearCache::filter) does.
    ///
    /// # Errors
    /// If the user id of the recipient is malformed.
    pub async fn filter(
        &self,
        recipient: &str,
        senders: &[(&str, &str)],
    ) -> Result<Vec<VisibleSender>, Error> {
        let interest = self.answer_question(recipient, Side::Recipient)?;
        Ok(interest.counterparts().filter_senders(senders.iter().copied()))
    }

    fn answer_question<'a>(&self, user_id: &'a str, side: Side) -> Result<CachedAnswer<'a>, Error> {
        let mut state = self.lock();
        let user = UserId::parse(user_id).map_err(|error| malformed("user_id", &error))?;
        let signature = state.signature(user, side);
        let answered = state.answer_for(signature);
        let exact_at = Heard::new(0, self.revision());
        let number = self.shared.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let value = answered.map(|Answered { set, hides }| AnswerValue::new(number, set, hides));
        Ok(CachedAnswer::new(user_id, SharedAnswer { value, exact_at, stale: false }))
    }

    /// Returns the revision. Call it while the state is locked, so that the two match.
    fn revision(&self) -> String {
        self.shared.revision.borrow().to_string()
    }

    fn route_senders(&self, senders: Vec<String>) -> Result<Routed, Error> {
        let mut state = self.lock();
        let mut violations = Vec::new();
        let mut groups: HashMap<Signature, Vec<u32>> = HashMap::new();
        for (index, sender) in (0u32..).zip(&senders) {
            match UserId::parse(sender) {
                Ok(user) => {
                    let signature = state.signature(user, Side::Sender);
                    groups.entry(signature).or_default().push(index);
                }
                Err(error) if violations.len() < MAX_VIOLATIONS => {
                    violations.push(FieldViolation {
                        field: format!("states[{index}].user_id"),
                        description: format!("is not a user id: {error}"),
                    })
                }
                Err(_) => break,
            }
        }
        refuse_invalid(violations)?;
        let mut deliveries = Vec::with_capacity(groups.len());
        for (signature, state_indexes) in groups {
            if let Some(Answered { set, hides }) = state.answer_for(signature) {
                deliveries.push(Delivery { recipients: set, state_indexes, hides });
            }
        }
        Ok(Routed::new(self.revision(), senders.into(), deliveries)?)
    }

    fn answer_interest(&self, user_id: String) -> Result<Interest, Error> {
        let mut state = self.lock();
        let answered = match UserId::parse(&user_id) {
            Ok(user) => {
                let signature = state.signature(user, Side::Recipient);
                state.answer_for(signature)
            }
            Err(error) => return Err(malformed("user_id", &error)),
        };
        let Answered { set: senders, hides } =
            answered.unwrap_or_else(|| Answered { set: Set::empty(), hides: Vec::new() });
        Ok(Interest { revision: self.revision(), user_id, senders, hides })
    }
}

impl PresenceRouter for InProcess {
    fn users_for_states(&self, senders: Vec<String>) -> Answer<'_, Routed> {
        Box::pin(async move { self.route_senders(senders) })
    }

    fn interested_users(&self, user_id: String) -> Answer<'_, Interest> {
        Box::pin(async move { self.answer_interest(user_id) })
    }

    fn watch_changes(&self) -> Changes {
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

impl From<Problems> for InProcessError {
    fn from(problems: Problems) -> Self {
        Self::Policy(problems.to_string())
    }
}

fn refuse_invalid(violations: Vec<FieldViolation>) -> Result<(), Error> {
    if violations.is_empty() { Ok(()) } else { Err(invalid_argument(violations)) }
}

fn malformed(field: &str, error: &impl fmt::Display) -> Error {
    let description = format!("is not a user id: {error}");
    invalid_argument(vec![FieldViolation { field: field.to_owned(), description }])
}

/// Creates the same refusal as the daemon.
fn invalid_argument(violations: Vec<FieldViolation>) -> Error {
    let texts = violations.iter().map(|one| format!("`{}` {}", one.field, one.description));
    Error::Refused(Box::new(Refusal {
        code: Code::InvalidArgument,
        reason: Some("USER_ID_INVALID".to_owned()),
        message: texts.collect::<Vec<_>>().join("; "),
        violations,
    }))
}
