//! Changes over `WatchChanges`: what is told, what was missed, and what a daemon
//! that cannot tell is good for.

use std::time::Duration;

use presence_router_client::{ChangeEvent, Changed, Changes, Code, Error, ProtocolViolation, v1};
use presence_router_proto::v1::{
    set_expression::Expression, watch_changes_response::Message as ResponseMessage,
};
use tokio::time::timeout;
use tonic::Status;

use crate::fake::{Fake, LONG, Watch, changed, edit, list, of, opened, refusal, set};

pub(crate) async fn next(changes: &mut Changes) -> ChangeEvent {
    timeout(LONG, changes.next()).await.expect("an event comes").expect("it goes on for ever")
}

pub(crate) fn connected(revision: &str) -> ChangeEvent {
    ChangeEvent::Connected { revision: revision.into() }
}

pub(crate) async fn change(changes: &mut Changes) -> Changed {
    match next(changes).await {
        ChangeEvent::Changed(changed) => changed,
        other => panic!("not a change: {other:?}"),
    }
}

async fn open(fake: &mut Fake, revision: &str) -> Watch {
    let watch = fake.watch().await;
    watch.tell(ResponseMessage::Opened(opened(revision, None))).await;
    watch
}

pub(crate) fn product(
    senders: v1::SetExpression,
    recipients: v1::SetExpression,
) -> v1::PairProduct {
    v1::PairProduct { senders: Some(senders), recipients: Some(recipients) }
}

#[tokio::test]
async fn changes_are_products_of_sets_as_they_are_then() {
    let mut fake = Fake::start().await;
    let mut changes = fake.client(Fake::options()).watch_changes();
    let watch = open(&mut fake, "r1").await;
    assert_eq!(watch.request.server_names, ["example.org"]);
    assert_eq!(watch.request.resume_revision, "");
    assert_eq!(next(&mut changes).await, connected("r1"));

    watch.tell(ResponseMessage::SetPart(list(1, &["@a:x", "@b:x"], true))).await;
    let server = of(Expression::Server("y".into()));
    let gained = vec![product(set(1), set(1)), product(set(1), server)];
    watch
        .tell(ResponseMessage::Changed(v1::Changed { gained: gained.clone(), ..changed("r2") }))
        .await;
    let first = change(&mut changes).await;
    assert_eq!((first.revision.as_str(), first.gained.len(), first.lost.len()), ("r2", 2, 0));
    assert!(first.gained[0].contains("@a:x", "@b:x"));
    assert!(!first.gained[0].contains("@a:x", "@a:x"), "modulo self");
    assert!(first.gained[1].contains("@a:x", "@anybody:y"));

    watch.tell(ResponseMessage::SetEdit(edit(1, &["@c:x"], &["@a:x"]))).await;
    watch.tell(ResponseMessage::Changed(v1::Changed { lost: gained, ..changed("r3") })).await;
    let second = change(&mut changes).await;
    assert_eq!(second.lost[0].senders.listed_users(), ["@b:x", "@c:x"]);
    assert_eq!(first.gained[0].senders.listed_users(), ["@a:x", "@b:x"], "stays what it was");

    watch.tell(ResponseMessage::SetRetired(v1::SetRetired { id: 1 })).await;
    watch.tell(ResponseMessage::Reset(v1::Reset { revision: "r4".into() })).await;
    assert_eq!(next(&mut changes).await, ChangeEvent::Reset { revision: "r4".into() });
    drop(changes);
    watch.abandoned().await;
}

#[tokio::test]
async fn an_outage_is_told_once_and_what_was_missed_is_asked_for() {
    let mut fake = Fake::start().await;
    let mut changes = fake.client(Fake::options()).watch_changes();
    let watch = open(&mut fake, "r1").await;
    assert_eq!(next(&mut changes).await, connected("r1"));
    watch.tell(ResponseMessage::Heartbeat(v1::Heartbeat { revision: "r2".into() })).await;
    watch.end(Status::unavailable("away")).await;
    for _ in 0..3 {
        let refused = fake.watch().await;
        assert_eq!(refused.request.resume_revision, "r2");
        refused.end(Status::unavailable("still away")).await;
    }
    // It opens, and breaks before it has told what was missed.
    let short = open(&mut fake, "r9").await;
    let away = Error::Unreachable { reason: "away".into(), retry_in: None };
    assert_eq!(next(&mut changes).await, ChangeEvent::Disconnected(away));
    assert_eq!(next(&mut changes).await, connected("r9"));
    drop(short);
    let lost = next(&mut changes).await;
    assert!(matches!(lost, ChangeEvent::Disconnected(Error::Unreachable { .. })), "{lost:?}");
    let watch = fake.watch().await;
    assert_eq!(watch.request.resume_revision, "r2", "nothing since then was told");
    watch.tell(ResponseMessage::Opened(opened("r9", None))).await;
    watch.tell(ResponseMessage::Changed(changed("r9"))).await;
    assert_eq!(next(&mut changes).await, connected("r9"));
    assert_eq!(change(&mut changes).await.revision, "r9");
    drop(watch);
    assert_eq!(fake.watch().await.request.resume_revision, "r9");
}

#[tokio::test]
async fn a_history_that_is_gone_counts_as_a_reset() {
    let mut fake = Fake::start().await;
    let mut changes = fake.client(Fake::options()).watch_changes();
    let watch = open(&mut fake, "r1").await;
    assert_eq!(next(&mut changes).await, connected("r1"));
    drop(watch);
    assert!(matches!(next(&mut changes).await, ChangeEvent::Disconnected(_)));
    let watch = fake.watch().await;
    assert_eq!(watch.request.resume_revision, "r1");
    watch.end(refusal(Code::FailedPrecondition, "REVISION_OF_OTHER_HISTORY")).await;
    let watch = fake.watch().await;
    assert_eq!(watch.request.resume_revision, "");
    watch.tell(ResponseMessage::Opened(opened("s1", None))).await;
    assert_eq!(next(&mut changes).await, connected("s1"));
    assert_eq!(next(&mut changes).await, ChangeEvent::Reset { revision: "s1".into() });
}

#[tokio::test]
async fn a_daemon_that_is_older_is_said_to_be_and_asked_again() {
    let mut fake = Fake::start().await;
    let mut changes = fake.client(Fake::options()).watch_changes();
    // Once with the budget, once without, and again later.
    for budget in [256 * 1024 * 1024, 0, 0, 0] {
        let watch = fake.watch().await;
        assert_eq!(watch.request.set_budget_bytes, budget);
        watch.end(refusal(Code::Unimplemented, "NOT_IMPLEMENTED")).await;
    }
    let older = Error::Unsupported("WatchChanges");
    assert_eq!(next(&mut changes).await, ChangeEvent::Disconnected(older));
    let _watch = open(&mut fake, "r1").await;
    assert_eq!(next(&mut changes).await, connected("r1"));
}

#[tokio::test]
async fn silence_and_breaches_end_a_stream() {
    let mut fake = Fake::start().await;
    let mut changes = fake.client(Fake::options()).watch_changes();
    let watch = fake.watch().await;
    watch.tell(ResponseMessage::Opened(opened("r1", Some(Duration::from_millis(20))))).await;
    assert_eq!(next(&mut changes).await, connected("r1"));
    let silent = next(&mut changes).await;
    assert!(matches!(silent, ChangeEvent::Disconnected(Error::Unreachable { .. })), "{silent:?}");
    watch.abandoned().await;

    let lost = vec![product(set(4), set(4))];
    for (breach, message) in [
        (ProtocolViolation::OpenedTwice, ResponseMessage::Opened(opened("r1", None))),
        (ProtocolViolation::EditOfNonList(4), ResponseMessage::SetEdit(edit(4, &[], &[]))),
        (
            ProtocolViolation::SetUndefined(4),
            ResponseMessage::Changed(v1::Changed { lost, ..changed("r2") }),
        ),
    ] {
        let watch = open(&mut fake, "r1").await;
        assert_eq!(next(&mut changes).await, connected("r1"));
        watch.tell(message).await;
        let error = Error::Protocol(breach);
        assert_eq!(next(&mut changes).await, ChangeEvent::Disconnected(error));
        watch.abandoned().await;
    }
}
