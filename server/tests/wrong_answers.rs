//! `verify` when a daemon finds itself wrong. Ours cannot be made to, so this is
//! another server.

use presence_router_proto::v1::policy_service_server::{PolicyService, PolicyServiceServer};
use presence_router_proto::v1::{
    CheckPolicyRequest, CheckPolicyResponse, ComparedHides, CounterExample, ExplainPairRequest,
    ExplainPairResponse, GetPolicyRequest, GetPolicyResponse, Hide, PlanPolicyRequest,
    PlanPolicyResponse, PresenceField, ReloadPolicyRequest, ReloadPolicyResponse, VerifiedCallback,
    VerifyPolicyRequest, VerifyPolicyResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::harness::{cannot_run, run};

/// Says that it is wrong, and knows nothing else.
struct Wrong;

#[tonic::async_trait]
impl PolicyService for Wrong {
    async fn verify_policy(
        &self,
        request: Request<VerifyPolicyRequest>,
    ) -> Result<Response<VerifyPolicyResponse>, Status> {
        let VerifyPolicyRequest { max_pairs, seed } = request.into_inner();
        let hide = |field: PresenceField, unless: &[&str]| Hide {
            fields: vec![field.into()],
            unless_presence: unless.iter().map(|presence| (*presence).to_owned()).collect(),
            ..Hide::default()
        };
        let status = hide(PresenceField::StatusMsg, &["busy"]);
        let active = hide(PresenceField::LastActiveTs, &[]);
        let (callback, visible, hides) = match max_pairs {
            1 => (VerifiedCallback::Audience, true, None),
            2 => (VerifiedCallback::Interest, false, None),
            _ => {
                let hides = ComparedHides { defined: vec![status, active], answered: Vec::new() };
                (VerifiedCallback::Interest, true, Some(hides))
            }
        };
        let (sender, recipient) = ("@ann:a.org".to_owned(), "@joe:b.org".to_owned());
        let callback = callback.into();
        Ok(Response::new(VerifyPolicyResponse {
            revision: "0:1".to_owned(),
            pairs: max_pairs,
            seed: seed.unwrap_or_default(),
            listed_users: 2,
            counter_example: Some(CounterExample { sender, recipient, callback, visible, hides }),
            ..VerifyPolicyResponse::default()
        }))
    }

    async fn get_policy(
        &self,
        _: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn check_policy(
        &self,
        _: Request<CheckPolicyRequest>,
    ) -> Result<Response<CheckPolicyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn plan_policy(
        &self,
        _: Request<PlanPolicyRequest>,
    ) -> Result<Response<PlanPolicyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn explain_pair(
        &self,
        _: Request<ExplainPairRequest>,
    ) -> Result<Response<ExplainPairResponse>, Status> {
        Err(Status::invalid_argument("no such users"))
    }

    async fn reload_policy(
        &self,
        _: Request<ReloadPolicyRequest>,
    ) -> Result<Response<ReloadPolicyResponse>, Status> {
        Ok(Response::new(ReloadPolicyResponse { outcome: 99, ..ReloadPolicyResponse::default() }))
    }
}

/// Serves until the test ends. Where.
async fn serving() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepted, connections) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let _ = accepted.send(Ok::<_, std::io::Error>(connection)).await;
        }
    });
    let server = Server::builder().add_service(PolicyServiceServer::new(Wrong));
    tokio::spawn(server.serve_with_incoming(ReceiverStream::new(connections)));
    address
}

#[tokio::test]
async fn a_wrong_answer_is_a_finding() {
    let address = serving().await;
    for (pairs, want) in [
        (
            "1",
            "wrong: by the policy, `@ann:a.org` is visible to `@joe:b.org`, but the audience of `@ann:a.org` lacks `@joe:b.org`",
        ),
        (
            "2",
            "wrong: by the policy, `@ann:a.org` is not visible to `@joe:b.org`, but the interest of `@joe:b.org` contains `@ann:a.org`",
        ),
        (
            "3",
            "wrong: the policy hides status_msg (unless busy) and last_active_ts of `@ann:a.org` from `@joe:b.org`, but the interest of `@joe:b.org` hides nothing",
        ),
    ] {
        let output = run(&["verify", "--addr", &address, "--pairs", pairs, "--seed", "7"]).await;
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stdout.starts_with(want), "{stdout}");
        assert!(stdout.contains("seed 7, revision 0:1"), "{stdout}");
        assert!(stderr.contains("this is a bug in presence-router: please report it"), "{stderr}");
    }
}

#[tokio::test]
async fn a_server_of_another_version_is_told_of() {
    let address = serving().await;
    let said = cannot_run(&["show", "--addr", &address]).await;
    assert!(said.contains(&format!("the daemon at `{address}` does not know this call")), "{said}");
    let said = cannot_run(&["explain", "@a:b", "@c:d", "--addr", &address]).await;
    assert!(
        said.ends_with(&format!("the daemon at `{address}` refused the request: no such users\n")),
        "{said}"
    );
    let said = cannot_run(&["reload", "--addr", &address]).await;
    assert!(said.contains("the daemon is of a later version"), "{said}");
}
