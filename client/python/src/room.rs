//! The call about one room that a user wants to create.

use presence_router_client::{
    Error, Refusal,
    v1::{OnCreateRoomRequest, OnCreateRoomResponse, StateKey},
};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{failure::Failure, questions::CallContext};

/// A denial: HTTP status, errcode, message, and the rule that denies the room.
pub(crate) type Denial = (u32, String, String, String);

/// A state event to add: type, state key, content as JSON, and the rule that adds it.
pub(crate) type Event = (String, String, String, String);

/// The decision about a room: a denial, or events to add.
pub(crate) type Verdict = (Option<Denial>, Vec<Event>);

/// Converts a request from Python's dictionary.
pub(crate) fn read_request(room: &Bound<'_, PyDict>) -> PyResult<OnCreateRoomRequest> {
    let get =
        |key: &str| room.get_item(key)?.ok_or_else(|| PyTypeError::new_err(format!("no `{key}`")));
    let state = get("initial_state")?;
    let state: Vec<(String, String)> = state.cast::<PyList>()?.extract()?;
    let initial_state =
        state.into_iter().map(|(r#type, state_key)| StateKey { r#type, state_key }).collect();
    Ok(OnCreateRoomRequest {
        requester: get("requester")?.extract()?,
        is_admin: get("is_admin")?.extract()?,
        preset: get("preset")?.extract()?,
        visibility: get("visibility")?.extract()?,
        invites: get("invites")?.extract()?,
        name: get("name")?.extract()?,
        initial_state,
        ..OnCreateRoomRequest::default()
    })
}

// === impl CallContext ===

impl CallContext {
    /// Returns the decision about a room.
    pub(crate) async fn on_create_room(
        &self,
        room: OnCreateRoomRequest,
    ) -> Result<Verdict, Failure> {
        let client = self.client.with_deadline(self.deadline);
        match client.on_create_room(room).await {
            Ok(answer) => Ok(read_verdict(answer)),
            // The requester caused the error. Without a verdict the room could be
            // created, which would bypass every denial.
            Err(Error::Refused(refusal)) if is_about_size(&refusal) => {
                let message =
                    "The name of the room is too long, or it has too many invites or events";
                let denial = (413, "M_TOO_LARGE".to_owned(), message.to_owned(), String::new());
                Ok((Some(denial), Vec::new()))
            }
            Err(why) => Err(why.into()),
        }
    }
}

fn read_verdict(answer: OnCreateRoomResponse) -> Verdict {
    let denial = answer.denial.map(|why| (why.http_status, why.errcode, why.message, why.rule));
    let events = answer.added_events.into_iter();
    let events = events.map(|event| (event.r#type, event.state_key, event.content, event.rule));
    (denial, events.collect())
}

fn is_about_size(refusal: &Refusal) -> bool {
    matches!(refusal.reason.as_deref(), Some("ROOM_TOO_LARGE" | "MESSAGE_TOO_LARGE"))
}
