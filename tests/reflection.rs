//! Reflection: what tools learn about the services and about errors.

use tonic_reflection::pb::v1;
use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

use crate::harness::Daemon;

#[tokio::test]
async fn v1alpha_lists_the_services_and_has_their_descriptors() {
    let daemon = Daemon::serving("rules: []").await;
    let mut client = ServerReflectionClient::new(daemon.channel());
    let service = "presence_router.v1.PresenceRouterService";
    let admin = "presence_router.v1.PolicyService";
    let ask =
        |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(service.to_owned())),
        ask(MessageRequest::FileContainingSymbol(admin.to_owned())),
    ]);
    let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().unwrap().message_response.unwrap();

    let MessageResponse::ListServicesResponse(list) = next().await else { panic!("no list") };
    for name in [service, admin, "presence_router.v1.RoomService"] {
        assert!(list.service.iter().any(|entry| entry.name == name), "{name}");
    }
    for _ in [service, admin] {
        let MessageResponse::FileDescriptorResponse(files) = next().await else {
            panic!("no file")
        };
        assert!(!files.file_descriptor_proto.is_empty());
    }
}

/// A refusal has these in its details, each as bytes beside the name of its type.
#[tokio::test]
async fn the_types_of_error_details_are_described() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let daemon = Daemon::serving("rules: []").await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(daemon.channel());
    let names = ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.Status"];
    let requests = names.map(|name| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(name.to_owned())),
    });
    let requests = tokio_stream::iter(requests);
    let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    for name in names {
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::FileDescriptorResponse(files) = answer else {
            panic!("{name}: {answer:?}")
        };
        assert!(!files.file_descriptor_proto.is_empty(), "{name}");
    }
}
