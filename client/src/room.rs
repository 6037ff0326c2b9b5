//! The call about rooms that users create.

use presence_router_proto::v1::{
    OnCreateRoomRequest, OnCreateRoomResponse, room_service_client::RoomServiceClient,
};
use tonic::Code;

use crate::{Client, Error};

impl Client {
    /// Returns the decision about a room that a local user wants to create. The client
    /// fills in the server names of the request.
    ///
    /// ```
    /// # async fn example(
    /// #     client: &presence_router_client::Client,
    /// # ) -> Result<(), presence_router_client::Error> {
    /// use presence_router_client::v1::OnCreateRoomRequest;
    ///
    /// let room = OnCreateRoomRequest {
    ///     requester: "@ann:example.org".into(),
    ///     preset: Some("private_chat".into()),
    ///     ..Default::default()
    /// };
    /// let answer = client.on_create_room(room).await?;
    /// match answer.denial {
    ///     Some(why) => println!("{} {}: {}", why.http_status, why.errcode, why.message),
    ///     None => println!("{} events to add", answer.added_events.len()),
    /// }
    /// # Ok(())
    /// # }
    /// # let _ = example;
    /// ```
    ///
    /// # Errors
    /// If there is no verdict: the homeserver decides by itself whether to create the
    /// room. [`Error::Unsupported`] if the daemon does not support rules about rooms.
    pub async fn on_create_room(
        &self,
        room: OnCreateRoomRequest,
    ) -> Result<OnCreateRoomResponse, Error> {
        let request =
            OnCreateRoomRequest { server_names: self.shared.server_names.clone(), ..room };
        let mut service = RoomServiceClient::new(self.shared.transport.clone());
        let answer =
            self.call_with_deadline(request, |request| async move {
                service.on_create_room(request).await
            })
            .await;
        answer.map_err(|error| match error {
            Error::Refused(refusal) if refusal.code == Code::Unimplemented => {
                Error::Unsupported("OnCreateRoom")
            }
            other => other,
        })
    }
}
