//! Handles the daemon's messages: passes answers to the handles that wait for them, and
//! updates the stream's sets. This module sends nothing.

use std::sync::Arc;

use presence_router_proto::v1::{
    self, Deliveries, ErrorReason, InterestAnswer, RequestError, request_error,
    route_states_response::Message as ResponseMessage,
};
use tonic::Code;

use super::Task;
use crate::{
    Delivery, Error, FieldViolation, Hide, Interest, ProtocolViolation, Refusal, Routed, Set,
    stream::{
        route::request::{Question, Request},
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
        let revision = match message {
            ResponseMessage::Opened(_) => return Err(ProtocolViolation::OpenedTwice),
            ResponseMessage::SetPart(part) => return store.define_part(part),
            ResponseMessage::SetEdit(edit) => return store.edit_list(edit),
            ResponseMessage::SetRetired(retired) => return store.retire_set(retired),
            ResponseMessage::RequestError(error) => return self.refuse_request(error),
            ResponseMessage::Changed(changed) => {
                store.apply_pending()?;
                changed.revision
            }
            ResponseMessage::Reset(reset) => {
                store.reset();
                reset.revision
            }
            ResponseMessage::Heartbeat(heartbeat) => heartbeat.revision,
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
        let Question::Route(senders, _) = &self.expect_in_flight(answer.batch_id)?.question else {
            return Err(ProtocolViolation::UnexpectedAnswer);
        };
        let senders = Arc::clone(senders);
        let mut deliveries = Vec::with_capacity(answer.deliveries.len());
        for delivery in answer.deliveries {
            deliveries.push(Delivery {
                recipients: store.resolve(delivery.recipients_set_id)?,
                state_indexes: delivery.state_indexes,
                hides: resolve_hides(&delivery.hides, store)?,
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
        let Question::Interest(..) = &self.expect_in_flight(answer.query_id)?.question else {
            return Err(ProtocolViolation::UnexpectedAnswer);
        };
        let senders = match answer.senders_set_id {
            0 => Set::empty(),
            id => store.resolve(id)?,
        };
        let hides = resolve_hides(&answer.hides, store)?;
        let revision = answer.revision;
        if let Some((_, Request { question: Question::Interest(user_id, reply), .. })) =
            self.in_flight.pop_front()
        {
            let revision = revision.clone();
            let _ = reply.send(Ok(Interest { revision, user_id, senders, hides }));
        }
        Ok(revision)
    }

    /// Fails the first request in flight, which must be the one that the error names.
    fn refuse_request(&mut self, error: RequestError) -> Result<(), ProtocolViolation> {
        let (request_error::Request::BatchId(id) | request_error::Request::QueryId(id)) =
            error.request.ok_or(ProtocolViolation::UnexpectedAnswer)?;
        self.expect_in_flight(id)?;
        if let Some((_, request)) = self.in_flight.pop_front() {
            request.reply_error(refusal_of(error).into());
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

fn resolve_hides(hides: &[v1::Hide], store: &mut Store) -> Result<Vec<Hide>, ProtocolViolation> {
    hides.iter().map(|hide| Hide::new(hide, |users| store.resolve_expression(users))).collect()
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
