//! Handles the daemon's messages: passes answers to the handles that wait for them, and
//! updates the stream's sets. This module sends nothing.

use std::sync::Arc;

use presence_router_proto::v1::{
    Deliveries, ErrorReason, InterestAnswer, RequestError, request_error,
    route_states_response::Message as ResponseMessage,
};
use tonic::Code;

use super::Task;
use crate::{
    Delivery, Error, FieldViolation, Interest, ProtocolViolation, Refusal, Routed, Set,
    answer_cache::Side,
    stream::{
        route::{
            cache_writer::SentAnswer,
            request::{Fill, Question, Request},
        },
        store::Store,
    },
};

// === impl Task ===

impl Task {
    /// Handles one message after `Opened`.
    pub(super) fn handle_message(
        &mut self,
        message: ResponseMessage,
        store: &mut Store,
    ) -> Result<(), ProtocolViolation> {
        if let Some(cache) = &self.cache
            && !matches!(message, ResponseMessage::NamedServers(_))
        {
            cache.check_named_servers()?;
        }
        let revision = match message {
            ResponseMessage::Opened(_) => return Err(ProtocolViolation::OpenedTwice),
            ResponseMessage::SetPart(part) => return store.define_part(part),
            ResponseMessage::SetEdit(edit) => {
                if let Some(cache) = &mut self.cache {
                    cache.note_edit(edit.id);
                }
                return store.edit_list(edit);
            }
            ResponseMessage::SetRetired(retired) => {
                if let Some(cache) = &mut self.cache {
                    cache.end_set(retired.id);
                }
                return store.retire_set(retired);
            }
            ResponseMessage::NamedServers(message) => {
                store.is_whole()?;
                // A stream without a near-cache does not ask for the list, and ignores it.
                return self.cache.as_mut().map_or(Ok(()), |cache| cache.name_servers(message));
            }
            ResponseMessage::RequestError(error) => return self.refuse_request(error),
            ResponseMessage::Changed(changed) => {
                store.apply_pending()?;
                if let Some(cache) = &mut self.cache {
                    cache.apply_change(&changed, store)?;
                    cache.balance_budget(store);
                }
                changed.revision
            }
            ResponseMessage::Reset(reset) => {
                store.reset();
                if let Some(cache) = &mut self.cache {
                    cache.reset(&reset.revision);
                }
                reset.revision
            }
            ResponseMessage::Heartbeat(heartbeat) => {
                if let Some(cache) = &self.cache {
                    cache.check_revision(&heartbeat.revision)?;
                }
                heartbeat.revision
            }
            ResponseMessage::Deliveries(answer) => self.answer_batch(answer, store)?,
            ResponseMessage::InterestAnswer(answer) => self.answer_interest(answer, store)?,
        };
        self.resume_revision = revision;
        Ok(())
    }

    /// Answers the first request in flight, which must be this batch. Returns the
    /// answer's revision.
    fn answer_batch(
        &mut self,
        answer: Deliveries,
        store: &mut Store,
    ) -> Result<String, ProtocolViolation> {
        let senders = match &self.expect_in_flight(answer.batch_id)?.question {
            Question::Route(senders, _) => Arc::clone(senders),
            Question::Fill(Fill { side: Side::Audience, users }) => {
                let answers = answers_by_state(&answer, users.len())?;
                self.fill_cache(answers, &answer.revision, store)?;
                return Ok(answer.revision);
            }
            _ => return Err(ProtocolViolation::UnexpectedAnswer),
        };
        if let Some(cache) = &mut self.cache {
            cache.check_revision(&answer.revision)?;
            if !cache.is_between_revisions() {
                let users = senders.iter().map(|sender| sender.as_str().into()).collect();
                let answers = answers_by_state(&answer, senders.len())?;
                cache.remember(&Fill { side: Side::Audience, users }, answers, store)?;
            }
        }
        let mut deliveries = Vec::with_capacity(answer.deliveries.len());
        for delivery in answer.deliveries {
            deliveries.push(Delivery {
                recipients: store.resolve(delivery.recipients_set_id)?,
                state_indexes: delivery.state_indexes,
                hides: store.resolve_hides(&delivery.hides)?,
            });
        }
        let routed = Routed::new(answer.revision.clone(), senders, deliveries)?;
        if let Some((_, Request { question: Question::Route(_, reply), .. })) =
            self.in_flight.pop_front()
        {
            // A caller that gave up needs no answer.
            let _ = reply.send(Ok(routed));
        }
        Ok(answer.revision)
    }

    /// Answers the first request in flight, which must be this query. Returns the
    /// answer's revision.
    fn answer_interest(
        &mut self,
        answer: InterestAnswer,
        store: &mut Store,
    ) -> Result<String, ProtocolViolation> {
        match &self.expect_in_flight(answer.query_id)?.question {
            Question::Interest(..) => {}
            Question::Fill(Fill { side: Side::Interest, .. }) => {
                let sent =
                    SentAnswer { set_id: answer.senders_set_id, hides: answer.hides.as_slice() };
                let one = (sent.set_id != 0).then_some(sent);
                self.fill_cache(vec![one], &answer.revision, store)?;
                return Ok(answer.revision);
            }
            _ => return Err(ProtocolViolation::UnexpectedAnswer),
        }
        let senders = match answer.senders_set_id {
            0 => Set::empty(),
            id => store.resolve(id)?,
        };
        let hides = store.resolve_hides(&answer.hides)?;
        let revision = answer.revision;
        if let Some((_, Request { question: Question::Interest(user_id, reply), .. })) =
            self.in_flight.pop_front()
        {
            let revision = revision.clone();
            let _ = reply.send(Ok(Interest { revision, user_id, senders, hides }));
        }
        Ok(revision)
    }

    /// Remembers the answers to the first request in flight.
    fn fill_cache(
        &mut self,
        answers: Vec<Option<SentAnswer<'_>>>,
        revision: &str,
        store: &mut Store,
    ) -> Result<(), ProtocolViolation> {
        let Some((_, Request { question: Question::Fill(fill), .. })) = self.in_flight.front()
        else {
            return Err(ProtocolViolation::UnexpectedAnswer);
        };
        let Some(cache) = &mut self.cache else { return Err(ProtocolViolation::UnexpectedAnswer) };
        cache.check_revision(revision)?;
        if cache.is_between_revisions() {
            // Ask again: the answer is of neither revision.
            self.waiting.extend(self.in_flight.pop_front().map(|(_, request)| request));
            return Ok(());
        }
        cache.remember(fill, answers, store)?;
        self.in_flight.pop_front();
        Ok(())
    }

    /// Fails the first request in flight, which must be the one that the error names.
    fn refuse_request(&mut self, error: RequestError) -> Result<(), ProtocolViolation> {
        let (request_error::Request::BatchId(id) | request_error::Request::QueryId(id)) =
            error.request.ok_or(ProtocolViolation::UnexpectedAnswer)?;
        self.expect_in_flight(id)?;
        let Some((_, request)) = self.in_flight.pop_front() else { return Ok(()) };
        if let Question::Fill(fill) = &request.question
            && let Some(halves) = fill.split()
        {
            // One of the users may be the reason, or all of their sets together: ask for fewer.
            for fill in halves.into_iter().rev() {
                self.waiting.push_front(Request { question: Question::Fill(fill), ..request });
            }
        } else {
            self.fail_request(request, &refusal_of(error).into());
        }
        Ok(())
    }

    /// Returns the first request in flight, which must have this id. The request stays in
    /// the queue until its answer is validated, so that it can be repeated.
    fn expect_in_flight(&self, id: u64) -> Result<&Request, ProtocolViolation> {
        match self.in_flight.front() {
            Some((first, request)) if *first == id => Ok(request),
            _ => Err(ProtocolViolation::UnexpectedAnswer),
        }
    }
}

/// Returns the answer of each state of a batch. `None`: nobody.
fn answers_by_state(
    answer: &Deliveries,
    states: usize,
) -> Result<Vec<Option<SentAnswer<'_>>>, ProtocolViolation> {
    let mut answers = vec![None; states];
    for delivery in &answer.deliveries {
        let sent =
            SentAnswer { set_id: delivery.recipients_set_id, hides: delivery.hides.as_slice() };
        for index in &delivery.state_indexes {
            let one = usize::try_from(*index).ok().and_then(|index| answers.get_mut(index));
            match one {
                Some(one @ None) => *one = Some(sent),
                _ => return Err(ProtocolViolation::StateIndex),
            }
        }
    }
    Ok(answers)
}

fn refusal_of(error: RequestError) -> Error {
    let name = ErrorReason::try_from(error.reason).ok().filter(|r| *r != ErrorReason::Unspecified);
    let name = name.map(|reason| reason.as_str_name());
    let violations = error.violations.into_iter();
    Error::Refused(Box::new(Refusal {
        code: Code::from(error.code),
        reason: name.map(|name| name.strip_prefix("ERROR_REASON_").unwrap_or(name).to_owned()),
        message: error.message,
        violations: violations
            .map(|one| FieldViolation { field: one.field, description: one.description })
            .collect(),
    }))
}
