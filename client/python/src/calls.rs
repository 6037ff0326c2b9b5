//! One call with all that belongs to it: its deadline, its parts, its further
//! tries without malformed user ids and in smaller parts, and the evaluation of
//! its answers.

use std::{collections::HashSet, sync::Arc, time::Duration};

use presence_router_client::{
    Client, Error, Refusal,
    v1::{
        GetInterestedUsersResponse, GetUsersForStatesResponse, PresenceState, SetExpression,
        set_expression::Expression,
    },
};
use tokio::time::{Instant, timeout};

use crate::{
    error::AnswerError,
    evaluations::Evaluations,
    hides::{Hide, State},
    known_users::KnownUsers,
    synapse_answer::{self, AnswerCollector, Home, SynapseAnswer},
};

/// Synapse may hand in any number of states at once, for example of everybody
/// who went offline while it was down; the daemon has a limit. What it finds
/// too large nevertheless is asked for in halves.
const PART: usize = 1000;

/// The deadline of a check, at least: nobody waits for it, and a machine that starts is
/// slow.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// Everything that a call needs besides its question.
#[derive(Clone, Debug)]
pub(crate) struct CallContext {
    pub(crate) client: Client,
    pub(crate) home: Arc<Home>,
    pub(crate) known_users: Arc<KnownUsers>,
    pub(crate) evaluations: Evaluations,
    /// Of a whole call from Synapse, all its parts included.
    pub(crate) deadline: Duration,
}

/// What is known of some states: not of all of them, if something failed.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) answer: SynapseAnswer,
    /// What failed last.
    pub(crate) failure: Option<Failure>,
}

/// Whose presence a user may see.
#[derive(Debug)]
pub(crate) enum Interest {
    /// Everybody's without exception, and what of it is hidden.
    Everyone(Vec<Hide>),
    /// Of the known senders, these.
    Senders(Vec<String>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Call(#[from] Error),
    #[error("answer cannot be used: {0}")]
    Unusable(#[from] AnswerError),
}

// === impl Failure ===

impl Failure {
    /// The name of this kind of failure, in metrics and to the Python side.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Call(Error::Deadline(_)) => "deadline",
            Self::Call(Error::Refused(refusal)) if is_about_a_user_id(refusal) => "malformed",
            Self::Call(Error::Refused(_)) => "refused",
            Self::Call(_) => "unreachable",
            Self::Unusable(_) => "unusable",
        }
    }
}

// === impl CallContext ===

impl CallContext {
    /// Who must get what of these states, by position.
    ///
    /// A part that fails takes nothing from the others. Each state is routed by
    /// itself, so what was answered is right without the rest; and to withhold
    /// it could leave somebody "online" to those who were told so.
    pub(crate) async fn users_for_states(&self, states: Vec<State>) -> Routed {
        let start = Instant::now();
        // Before anything is awaited: whoever hears of one of these states must
        // find its sender known when it asks.
        self.known_users.remember(states.iter().filter_map(|state| state.user_id.as_deref()));
        let mut collector = AnswerCollector::new(&self.home, &self.known_users, &states);
        let valid: Vec<_> = states
            .iter()
            .enumerate()
            .filter_map(|(position, state)| Some((position, state.user_id.as_deref()?)))
            .collect();
        // Those to ask about, the next one last.
        let mut parts: Vec<_> = valid.chunks(PART).rev().map(<[_]>::to_vec).collect();
        let mut failure = None;
        let mut total = states.len();
        while let Some(mut part) = parts.pop() {
            match self.ask(&part, start).await {
                Ok(answer) => {
                    let positions: Vec<_> = part.iter().map(|(position, _)| *position).collect();
                    let size = self.recipients_size(&answer);
                    total = total.saturating_add(size);
                    let add = || collector.add_answer(answer, &positions);
                    if let Err(why) = self.evaluations.run(size, add).await {
                        failure = Some(why.into());
                    }
                }
                Err(Error::Refused(refusal)) if is_about_a_user_id(&refusal) => {
                    // Again and again: one refusal lists only so many.
                    if !drop_malformed(&mut part, &refusal) {
                        failure = Some(AnswerError::Index.into());
                    } else if !part.is_empty() {
                        parts.push(part);
                    }
                }
                Err(Error::Refused(refusal)) if is_about_size(&refusal) && part.len() > 1 => {
                    let later = part.split_off(part.len() / 2);
                    parts.extend([later, part]);
                }
                Err(why @ Error::Refused(_)) => failure = Some(why.into()),
                Err(why) => {
                    // The daemon is away or the time is up: so it is for the rest.
                    failure = Some(why.into());
                    break;
                }
            }
        }
        let answer = self.evaluations.run(total, || collector.finish()).await;
        Routed { answer, failure }
    }

    /// Checks that the daemon answers this homeserver at all, by a question about no states.
    pub(crate) async fn check_daemon(&self) -> Result<(), Failure> {
        let client = self.client.with_deadline(self.deadline.max(CHECK_DEADLINE));
        client.get_users_for_states(Vec::new()).await?;
        Ok(())
    }

    /// Whose presence a user may see. `may_be_everyone`: whether the caller can
    /// make use of that answer. Of a remote user nobody can: our own users are
    /// all whom we may show there.
    pub(crate) async fn interested_users(
        &self,
        user_id: String,
        may_be_everyone: bool,
    ) -> Result<Interest, Failure> {
        let start = Instant::now();
        let local = self.home.is_local(&user_id);
        if local {
            self.known_users.ask(&user_id);
        }
        let interest = self.interest(&user_id, may_be_everyone && local, start).await;
        if local {
            self.known_users.answer(&user_id, matches!(interest, Ok(Interest::Everyone(_))));
        }
        interest
    }

    async fn interest(
        &self,
        user_id: &str,
        may_be_everyone: bool,
        start: Instant,
    ) -> Result<Interest, Failure> {
        let client = self.client.with_deadline(self.deadline);
        let answer = client.get_interested_users(user_id).await?;
        if may_be_everyone && let Some(hides) = synapse_answer::everyone(&answer)? {
            return Ok(Interest::Everyone(hides));
        }
        if answer.open_senders.is_some() {
            // Just after the start. If it takes too long, those known so far.
            let _ = timeout(self.left(start), self.known_users.seeded()).await;
        }
        let size = self.senders_size(&answer);
        let evaluate = || synapse_answer::interest(answer, user_id, &self.known_users);
        Ok(Interest::Senders(self.evaluations.run(size, evaluate).await?))
    }

    /// Returns the number of users that an evaluation looks at, once for each hide.
    fn recipients_size(&self, answer: &GetUsersForStatesResponse) -> usize {
        let mut size = answer.recipients.len();
        if !answer.open_recipients.is_empty() {
            // Each set is compared with every local user who asked.
            let open = answer.open_recipients.iter().filter_map(|open| open.recipients.as_ref());
            size = size
                .saturating_add(self.known_users.asked_len().saturating_mul(open.clone().count()))
                .saturating_add(open.map(listed_len).sum());
        }
        size.saturating_mul(1 + answer.hides.len())
    }

    /// Returns the number of users that an evaluation looks at, once for each hide.
    fn senders_size(&self, answer: &GetInterestedUsersResponse) -> usize {
        let mut size = answer.user_ids.len();
        if let Some(open) = &answer.open_senders {
            // The set is compared with every known user.
            size =
                size.saturating_add(self.known_users.known_len()).saturating_add(listed_len(open));
        }
        size.saturating_mul(1 + answer.hides.len())
    }

    async fn ask(
        &self,
        part: &[(usize, &str)],
        start: Instant,
    ) -> Result<GetUsersForStatesResponse, Error> {
        let state = |(_, id): &(usize, &str)| PresenceState {
            user_id: (*id).into(),
            ..PresenceState::default()
        };
        let states = part.iter().map(state).collect();
        match self.client.with_deadline(self.left(start)).get_users_for_states(states).await {
            // Not with what was left of it, which would tell nobody anything.
            Err(Error::Deadline(_)) => Err(Error::Deadline(self.deadline)),
            answer => answer,
        }
    }

    fn left(&self, start: Instant) -> Duration {
        self.deadline.saturating_sub(start.elapsed())
    }
}

/// Returns the number of users that a set lists, in it and excepted from it.
fn listed_len(set: &SetExpression) -> usize {
    match &set.expression {
        Some(Expression::Users(list)) => list.user_ids.len(),
        Some(Expression::AnyOf(list) | Expression::AllOf(list)) => {
            list.sets.iter().map(listed_len).sum()
        }
        Some(Expression::Difference(one)) => {
            one.any.iter().chain(&one.except).map(|set| listed_len(set)).sum()
        }
        _ => 0,
    }
}

/// Takes out the states whose user ids the daemon calls malformed, and only
/// those: which states it routes, it alone decides. Remote servers can send
/// anything. Says whether there were any.
fn drop_malformed(part: &mut Vec<(usize, &str)>, refusal: &Refusal) -> bool {
    let index = |field: &str| -> Option<usize> {
        field.strip_prefix("states[")?.strip_suffix("].user_id")?.parse().ok()
    };
    let bad: HashSet<usize> =
        refusal.violations.iter().filter_map(|one| index(&one.field)).collect();
    let before = part.len();
    let mut next = 0..;
    part.retain(|_| next.next().is_none_or(|index| !bad.contains(&index)));
    part.len() < before
}

fn is_about_a_user_id(refusal: &Refusal) -> bool {
    refusal.reason.as_deref() == Some("USER_ID_INVALID")
}

/// Whether fewer states may fit.
fn is_about_size(refusal: &Refusal) -> bool {
    matches!(
        refusal.reason.as_deref(),
        Some("ANSWER_TOO_LARGE" | "BATCH_TOO_LARGE" | "MESSAGE_TOO_LARGE")
    )
}
