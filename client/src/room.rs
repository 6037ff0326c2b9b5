//! The call about rooms that users create.

use presence_router_proto::v1::{
    OnCreateRoomRequest, OnCreateRoomResponse, room_service_client::RoomServiceClient,
};
use tonic::Code;

use crate::{Client, Error};

impl Client {
    /// Asks what is to become of a room that a user of ours wants to create. The
    /// server names of the request are filled in.
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
    /// If there is no verdict: whether the room is created nevertheless is for the
    /// homeserver to say. [`Error::Unsupported`] if the daemon knows no rules about
    /// rooms.
    pub async fn on_create_room(
        &self,
        room: OnCreateRoomRequest,
    ) -> Result<OnCreateRoomResponse, Error> {
        let request =
            OnCreateRoomRequest { server_names: self.shared.server_names.clone(), ..room };
        let mut service = RoomServiceClient::new(self.shared.transport.clone());
        let answer = self
            .call(request, |request| async move { service.on_create_room(request).await })
            .await;
        answer.map_err(|error| match error {
            Error::Refused(refusal) if refusal.code == Code::Unimplemented => {
                Error::Unsupported("OnCreateRoom")
            }
            other => other,
        })
    }
}
