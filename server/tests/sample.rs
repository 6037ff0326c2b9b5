//! `sample`: lines that a stream takes, the same at every run.

use std::process::Stdio;

use presence_router_proto::v1::{
    PresenceState, StateBatch, route_states_request::Message as Request,
    route_states_response::Message as Response,
};
use serde_json::{Value, json};

use crate::harness::calls::Stream;
use crate::harness::{Daemon, cannot_run, program, run, within};

async fn lines(args: &[&str]) -> Vec<Value> {
    let output = run(&[&["sample"], args].concat()).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A batch as grpcurl would read it: nothing in the line may be unknown.
fn batch(line: &Value) -> StateBatch {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(line), ["batch"]);
    let batch = &line["batch"];
    assert_eq!(keys(batch), ["batchId", "states"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let state = |state: &Value| {
        assert_eq!(keys(state), ["presence", "userId"]);
        let (user_id, presence) = (text(&state["userId"]), text(&state["presence"]));
        PresenceState { user_id, presence, ..Default::default() }
    };
    StateBatch {
        batch_id: batch["batchId"].as_u64().unwrap(),
        states: batch["states"].as_array().unwrap().iter().map(state).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_open_then_numbered_batches_of_one_size() {
    let lines = lines(&["--batches", "7", "--size", "3", "--server-name", "a.example:8448"]).await;
    assert_eq!(lines[0], json!({ "open": { "serverNames": ["a.example:8448"] } }));
    let batches: Vec<_> = lines[1..].iter().map(batch).collect();
    let ids: Vec<_> = batches.iter().map(|batch| batch.batch_id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    for StateBatch { states, .. } in &batches {
        assert_eq!(states.len(), 3);
        assert!(states.iter().all(|state| state.user_id.ends_with(":a.example:8448")));
    }
}

#[tokio::test]
async fn the_same_at_every_run() {
    let args = ["--batches", "20", "--size", "20"];
    assert_eq!(lines(&args).await, lines(&args).await);
    assert_eq!(lines(&[]).await.len(), 11);
}

#[tokio::test]
async fn the_daemon_takes_it() {
    let lines = lines(&["--batches", "30"]).await;
    let daemon = Daemon::start(&[]).await;
    let mut stream = Stream::open(&daemon.connect().await).await;
    let mut shown = 0;
    for line in &lines[1..] {
        let batch = batch(line);
        let id = batch.batch_id;
        stream.send(Request::Batch(batch));
        let answer = loop {
            match stream.next().await.unwrap() {
                Some(Response::SetPart(_)) => {}
                other => break other,
            }
        };
        let Some(Response::Deliveries(deliveries)) = answer else { panic!("{answer:?}") };
        assert_eq!(deliveries.batch_id, id);
        shown += deliveries.deliveries.len();
    }
    assert!(shown > 0, "a sample of which the example policy shows nothing");
}

#[tokio::test]
async fn what_no_daemon_would_take_is_not_printed() {
    for (args, why) in [
        (["--size", "18446744073709551615"], "18446744073709551615 is not in 0..=1000000"),
        (["--server-name", "a b"], "` ` is not valid in a host name"),
    ] {
        let said = cannot_run(&[&["sample"], &args[..]].concat()).await;
        assert!(said.contains(why), "{said}");
    }
}

/// As with `| head -1`.
#[tokio::test]
async fn a_reader_who_has_enough_is_no_failure() {
    let mut command = program(&["sample", "--batches", "1000000000"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = within("`sample` ends", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
