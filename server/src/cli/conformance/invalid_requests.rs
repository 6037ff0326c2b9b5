//! Checks the answers to a client that breaks the contract: the server must refuse the
//! request with the right code and reason, and answer the other requests.

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

/// Checks the answers to unary calls.
pub(super) async fn check_calls(server: &TargetServer) -> Result<(), Difference> {
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
    let name = "GetUsersForStates without server names";
    expect_refusal(name, answer.err(), Code::InvalidArgument, ErrorReason::ServerNamesMissing)?;

    let answer = wait_for("GetUsersForStates", client.get_users_for_states(bad_state)).await?;
    let name = "GetUsersForStates with a malformed user id";
    let status =
        expect_refusal(name, answer.err(), Code::InvalidArgument, ErrorReason::UserIdInvalid)?;
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations);
    let fields = fields.unwrap_or_default();
    if !fields.iter().map(|bad| bad.field.as_str()).eq(["states[1].user_id"]) {
        return Err(Difference(format!(
            "{name}: the details lack a BadRequest for `states[1].user_id`"
        )));
    }

    let answer = wait_for("GetInterestedUsers", client.get_interested_users(bad_user)).await?;
    let name = "GetInterestedUsers with a malformed user id";
    expect_refusal(name, answer.err(), Code::InvalidArgument, ErrorReason::UserIdInvalid)
        .map(|_| ())
}

/// Checks the answers on streams.
pub(super) async fn check_stream(server: &TargetServer) -> Result<(), Difference> {
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
    let name = "a malformed user id";
    match answers.as_slice() {
        [
            Response::Opened(_),
            Response::RequestError(batch),
            Response::RequestError(query),
            Response::InterestAnswer(answer),
        ] if answer.query_id == 3 => {
            use request_error::Request::{BatchId, QueryId};
            expect_request_error(name, batch, &BatchId(1), "states[0].user_id")?;
            expect_request_error(name, query, &QueryId(2), "user_id")?;
        }
        _ => {
            return Err(Difference(format!(
                "{name}: each such request must get a `RequestError`, and the next one an answer"
            )));
        }
    }

    let (_, status) = send_and_collect(server, vec![query(1, GOOD)], 1).await?;
    let name = "a stream without `Open`";
    expect_refusal(name, status, Code::FailedPrecondition, ErrorReason::OpenMissing)?;
    let (_, status) = send_and_collect(server, vec![open.clone(), open], 2).await?;
    let name = "a second `Open`";
    expect_refusal(name, status, Code::FailedPrecondition, ErrorReason::OpenRepeated).map(|_| ())
}

/// Sends these requests on a stream, and collects this number of answers, or fewer if the
/// stream ends. Messages about sets and changes do not count as answers.
async fn send_and_collect(
    server: &TargetServer,
    requests: Vec<Request>,
    answers: usize,
) -> Result<(Vec<Response>, Option<Status>), Difference> {
    let requests = requests.into_iter().map(|ask| RouteStatesRequest { message: Some(ask) });
    let requests: Vec<_> = requests.collect();
    // Keeps our side of the stream open: an end must come from the server.
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

/// Checks that the server refused a request with this code and reason.
fn expect_refusal(
    name: &str,
    status: Option<Status>,
    code: Code,
    reason: ErrorReason,
) -> Result<Status, Difference> {
    let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
    let Some(status) = status else {
        return Err(Difference(format!("{name} is not refused")));
    };
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN);
    let found = info.map_or_else(String::new, |info| info.reason);
    if (status.code(), found.as_str()) == (code, reason) {
        return Ok(status);
    }
    Err(Difference(format!(
        "{name} is refused with the code {:?} and the reason `{found}`, but must be with {code:?} \
         and `{reason}`",
        status.code(),
    )))
}

fn expect_request_error(
    name: &str,
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
    Err(Difference(format!("{name}: a `RequestError` has a wrong request, code, reason or field")))
}
