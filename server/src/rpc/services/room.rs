//! The contract's service for rooms: checks the request, and writes the policy's verdict as a
//! message of the contract.

use std::sync::Arc;

use presence_router_proto::server::room_service_server::RoomService;
use presence_router_proto::v1::{
    ErrorReason, FieldViolation, OnCreateRoomRequest, OnCreateRoomResponse, RoomDenial, StateEvent,
};
use tonic::{Request, Response, Status};

use crate::live::{ActivePolicy, Live};
use crate::rpc::blocking::run_blocking;
use crate::rpc::error::RpcError;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::UnaryStats;
use crate::rpc::{unary, validate};
use presence_router_engine::Caller;
use presence_router_engine::unstable::policy::rooms::{Room, Verdict, decide};
use presence_router_ids::UserId;

/// Most invites, and most events of the initial state.
const MAX_ENTRIES: usize = 10_000;

/// Most bytes of a room's name: the limit of a whole Matrix event.
const MAX_NAME_BYTES: usize = 65_536;

/// Most invites, and most bytes of a name, of a room that is decided inline.
const INLINE_INVITES: usize = 256;
const INLINE_NAME_BYTES: usize = 256;

/// The service for rooms over the active policy.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct Rooms {
    live: Arc<Live>,
    limits: Limits,
}

// === impl Rooms ===

impl Rooms {
    /// Returns a service over a daemon's policy.
    pub(in crate::rpc) fn new(live: Arc<Live>, limits: Limits) -> Self {
        Self { live, limits }
    }
}

#[tonic::async_trait]
impl RoomService for Rooms {
    async fn on_create_room(
        &self,
        request: Request<OnCreateRoomRequest>,
    ) -> Result<Response<OnCreateRoomResponse>, Status> {
        let request = request.into_inner();
        let caller = validate::parse_caller(&request.server_names, [])?;
        check_room_size(&request)?;
        let longest = self.limits.at_least;
        validate::wait_for_revision(&self.live, "at_least", &request.at_least, longest).await?;
        // The policy of the requested revision, or of a later one.
        let active = self.live.active();
        let (revision, limit) = (active.current.revision, self.limits.response_bytes);
        // Globs take long over a long name.
        let name = request.name.as_ref().map_or(0, String::len);
        let is_small = request.invites.len() <= INLINE_INVITES && name <= INLINE_NAME_BYTES;
        let answer = move || decide_room(&active, &caller, &request, limit);
        let answer = run_blocking(is_small, answer).await?;
        let answered = answer.added_events.len() + usize::from(answer.denial.is_some());
        Ok(UnaryStats { asked: 1, answered, revision }.attach_to(answer))
    }
}

/// Rejects a request that exceeds the limits of a room.
fn check_room_size(request: &OnCreateRoomRequest) -> Result<(), RpcError> {
    let name = request.name.as_ref().map_or(0, String::len);
    for (field, found, unit, limit) in [
        ("name", name, "bytes", MAX_NAME_BYTES),
        ("invites", request.invites.len(), "entries", MAX_ENTRIES),
        ("initial_state", request.initial_state.len(), "entries", MAX_ENTRIES),
    ] {
        if found > limit {
            return Err(RpcError::RoomTooLarge { field, found, unit, limit });
        }
    }
    Ok(())
}

fn decide_room(
    active: &ActivePolicy,
    caller: &Caller,
    request: &OnCreateRoomRequest,
    limit: usize,
) -> Result<OnCreateRoomResponse, RpcError> {
    let initial_state = request.initial_state.iter();
    let room = Room {
        requester: parse_requester(&request.requester, caller)?,
        is_admin: request.is_admin,
        preset: request.preset.as_deref(),
        visibility: request.visibility.as_deref(),
        invites: request.invites.iter().filter_map(|id| UserId::parse(id).ok()).collect(),
        name: request.name.as_deref(),
        initial_state: initial_state.map(|key| (&*key.r#type, &*key.state_key)).collect(),
    };
    let ActivePolicy { current, applied } = active;
    let revision = current.revision.to_string();
    let mut answer = OnCreateRoomResponse { revision, ..OnCreateRoomResponse::default() };
    match decide(&applied.policy, &current.snapshot, &room) {
        Verdict::Denied { rule, denial } => {
            answer.denial = Some(RoomDenial {
                errcode: denial.errcode.clone(),
                message: denial.message.clone(),
                http_status: denial.status.into(),
                rule: rule.to_owned(),
            });
        }
        Verdict::Created(events) => {
            let events = events.into_iter().map(|(rule, event)| StateEvent {
                r#type: event.event_type.clone(),
                state_key: event.state_key.clone(),
                content: event.content.clone(),
                rule: rule.to_owned(),
            });
            answer.added_events = events.collect();
        }
    }
    unary::check_size(answer, limit, "the policy adds large events to this room; raise the limit")
}

fn parse_requester<'r>(id: &'r str, caller: &Caller) -> Result<UserId<'r>, RpcError> {
    let bad = |reason, description: String| RpcError::BadFields {
        reason,
        violations: vec![FieldViolation { field: "requester".to_owned(), description }],
    };
    let user = UserId::parse(id)
        .map_err(|error| bad(ErrorReason::UserIdInvalid, format!("is not a user id: {error}")))?;
    if !caller.holds(user.server()) {
        let why = "lives on none of the servers in `server_names`: a homeserver creates rooms \
                   for its own users only";
        return Err(bad(ErrorReason::RequesterNotYours, why.to_owned()));
    }
    Ok(user)
}
