//! What a server answers to a client that does not keep the contract: a refusal
//! with its code and reason, and the rest goes on.

use presence_router_proto::ERROR_DOMAIN;
use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::v1::route_states_response::Message as Response;
use presence_router_proto::v1::{
    ErrorReason, GetInterestedUsersRequest, GetUsersForStatesRequest, InterestQuery, Open,
    PresenceState, RequestError, RouteStatesRequest, StateBatch, request_error,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::difference::{Difference, wait_for};
use super::target_server::TargetServer;

const GOOD: &str = "@ann:example.org";
const BAD: &str = "ann";

/// By unary calls.
pub(super) async fn unary(server: &TargetServer) -> Result<(), Difference> {
    let mut client = server.client();
    let states =
        [GOOD, BAD].map(|user| PresenceState { user_id: user.into(), ..Default::default() });
    let no_names = GetUsersForStatesRequest { states: states.to_vec(), ..Default::default() };
    let bad_state =
        GetUsersForStatesRequest { server_names: vec!["example.org".into()], ..no_names.clone() };
    let bad_user = GetInterestedUsersRequest {
        server_names: vec!["example.org".into()],
        user_id: BAD.into(),
        ..Default::default()
    };
    let answer = wait_for("GetUsersForStates", client.get_users_for_states(no_names)).await?;
    let what = "GetUsersForStates without server names";
    expect_refusal(what, answer.err(), Code::InvalidArgument, ErrorReason::ServerNamesMissing)?;

    let answer = wait_for("GetUsersForStates", client.get_users_for_states(bad_state)).await?;
    let what = "GetUsersForStates with a malformed user id";
    let status =
        expect_refusal(what, answer.err(), Code::InvalidArgument, ErrorReason::UserIdInvalid)?;
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations);
    let fields = fields.unwrap_or_default();
    if !fields.iter().map(|bad| bad.field.as_str()).eq(["states[1].user_id"]) {
        return Err(Difference(format!("{what}: no BadRequest that names `states[1].user_id`")));
    }

    let answer = wait_for("GetInterestedUsers", client.get_interested_users(bad_user)).await?;
    let what = "GetInterestedUsers with a malformed user id";
    expect_refusal(what, answer.err(), Code::InvalidArgument, ErrorReason::UserIdInvalid)
        .map(|_| ())
}

/// By streams.
pub(super) async fn stream(server: &TargetServer) -> Result<(), Difference> {
    let open = Request::Open(Open { server_names: vec!["example.org".into()], ..Open::default() });
    let query = |query_id, user: &str| {
        Request::Interest(InterestQuery { query_id, user_id: user.into(), ..Default::default() })
    };
    let batch = Request::Batch(StateBatch {
        batch_id: 1,
        states: vec![PresenceState { user_id: BAD.into(), ..PresenceState::default() }],
        ..StateBatch::default()
    });

    let (answers, _) =
        send_and_collect(server, vec![open.clone(), batch, query(2, BAD), query(3, GOOD)], 4)
            .await?;
    let what = "a malformed user id";
    match answers.as_slice() {
        [
            Response::Opened(_),
            Response::RequestError(batch),
            Response::RequestError(query),
            Response::InterestAnswer(answer),
        ] if answer.query_id == 3 => {
            use request_error::Request::{BatchId, QueryId};
            expect_request_error(what, batch, &BatchId(1), "states[0].user_id")?;
            expect_request_error(what, query, &QueryId(2), "user_id")?;
        }
        _ => {
            return Err(Difference(format!(
                "{what}: not a `RequestError` each, and the stream goes on"
            )));
        }
    }

    let (_, status) = send_and_collect(server, vec![query(1, GOOD)], 1).await?;
    let what = "a stream without `Open`";
    expect_refusal(what, status, Code::FailedPrecondition, ErrorReason::OpenMissing)?;
    let (_, status) = send_and_collect(server, vec![open.clone(), open], 2).await?;
    let what = "a second `Open`";
    expect_refusal(what, status, Code::FailedPrecondition, ErrorReason::OpenRepeated).map(|_| ())
}

/// Says all this on a stream, and takes so many answers, or the end. What else it
/// tells, of sets and changes, is no answer.
async fn send_and_collect(
    server: &TargetServer,
    requests: Vec<Request>,
    answers: usize,
) -> Result<(Vec<Response>, Option<Status>), Difference> {
    let requests = requests.into_iter().map(|ask| RouteStatesRequest { message: Some(ask) });
    let requests: Vec<_> = requests.collect();
    // The stream must stay open on our side, or its end would be ours.
    let requests =
        tokio_stream::StreamExt::chain(tokio_stream::iter(requests), tokio_stream::pending());
    let mut found = Vec::new();
    let mut client = server.client();
    let mut responses = match wait_for("RouteStates", client.route_states(requests)).await? {
        Ok(responses) => responses.into_inner(),
        Err(status) => return Ok((found, Some(status))),
    };
    while found.len() < answers {
        match wait_for("the stream", responses.message()).await? {
            Ok(Some(response)) => match response.message {
                Some(
                    answer @ (Response::Opened(_)
                    | Response::Deliveries(_)
                    | Response::InterestAnswer(_)
                    | Response::RequestError(_)),
                ) => found.push(answer),
                Some(_) => {}
                None => return Err(Difference("a message is empty, or of an unknown kind".into())),
            },
            Ok(None) => return Ok((found, None)),
            Err(status) => return Ok((found, Some(status))),
        }
    }
    Ok((found, None))
}

/// Whether a call was refused as it must be.
fn expect_refusal(
    what: &str,
    status: Option<Status>,
    code: Code,
    reason: ErrorReason,
) -> Result<Status, Difference> {
    let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
    let Some(status) = status else {
        return Err(Difference(format!("{what} is not refused")));
    };
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN);
    let said = info.map_or_else(String::new, |info| info.reason);
    if (status.code(), said.as_str()) == (code, reason) {
        return Ok(status);
    }
    Err(Difference(format!(
        "{what} is refused by {:?} with the reason `{said}`, and must be by {code:?} with \
         `{reason}`",
        status.code(),
    )))
}

fn expect_request_error(
    what: &str,
    error: &RequestError,
    request: &request_error::Request,
    field: &str,
) -> Result<(), Difference> {
    let code = i32::from(Code::InvalidArgument);
    let named = error.violations.iter().map(|violation| violation.field.as_str()).eq([field]);
    if error.request.as_ref() == Some(request)
        && error.code == code
        && error.reason() == ErrorReason::UserIdInvalid
        && named
    {
        return Ok(());
    }
    Err(Difference(format!("{what}: a `RequestError` of another request, code, reason or field")))
}
