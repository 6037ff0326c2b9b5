//! The engine in the process: what a homeserver's tests rely on. That it decides
//! as the daemon does is shown by the scenarios and the random worlds of the
//! workspace's own tests.

#![cfg(feature = "in-process")]

use std::sync::Arc;

use presence_router_client::{ChangeEvent, Code, Error, InProcess, InProcessError, PresenceRouter};

const STAFF: &str = "
groups:
  staff: ['@ann:example.org', '@joe:example.org', '@pat:partner.example']
rules:
  - name: staff see each other
    allow: { within: staff }
  - name: partners see no status
    hide: { from: everyone, to: { server: partner.example }, fields: [status_msg] }
";
const NOBODY: &str = "rules: []";

#[tokio::test]
async fn a_homeservers_test_needs_no_daemon() {
    let engine = InProcess::new(STAFF, ["example.org"]).unwrap();
    // What the homeserver holds.
    let router: Arc<dyn PresenceRouter> = Arc::new(engine.clone());
    let mut changes = router.watch_changes();
    assert!(matches!(changes.next().await, Some(ChangeEvent::Connected { .. })));

    let senders = vec!["@ann:example.org".to_owned(), "@new:example.org".to_owned()];
    let routed = router.users_for_states(senders.clone()).await.unwrap();
    let audience = routed.audience(0);
    assert_eq!(audience.listed_users(), ["@joe:example.org", "@pat:partner.example"]);
    assert!(!audience.is_open());
    assert!(audience.hidden_fields("@pat:partner.example", "online").status_msg);
    assert!(audience.hidden_fields("@joe:example.org", "online").is_empty());
    assert!(routed.audience(1).listed_users().is_empty());
    let interest = router.interested_users("@pat:partner.example".into()).await.unwrap();
    assert_eq!(interest.revision, routed.revision);
    assert_eq!(interest.visible_senders().listed_users(), ["@ann:example.org", "@joe:example.org"]);

    // The policy changes, and the homeserver hears of it.
    engine.replace_policy(NOBODY).unwrap();
    let Some(ChangeEvent::Reset { revision }) = changes.next().await else { panic!("a reset") };
    let routed = router.users_for_states(senders).await.unwrap();
    assert_eq!(routed.revision, revision);
    assert!(routed.deliveries.is_empty());
}

#[tokio::test]
async fn refuses_what_the_daemon_refuses() {
    let router = InProcess::new(STAFF, ["example.org"]).unwrap();
    let senders = vec!["@ann:example.org".to_owned(), "nonsense".to_owned()];
    let Err(Error::Refused(refused)) = router.users_for_states(senders).await else {
        panic!("refused");
    };
    assert_eq!(refused.code, Code::InvalidArgument);
    assert_eq!(refused.reason.as_deref(), Some("USER_ID_INVALID"));
    assert_eq!(refused.violations[0].field, "states[1].user_id");
    let bad = router.users_for_states(vec![String::new(); 100]).await;
    let Err(Error::Refused(refused)) = bad else { panic!("refused") };
    assert_eq!(refused.violations.len(), 16);
    let bad = router.interested_users("@x".into()).await;
    let Err(Error::Refused(refused)) = bad else { panic!("refused") };
    assert_eq!(refused.violations[0].field, "user_id");
}

#[test]
fn says_what_is_wrong_and_keeps_what_was_right() {
    let error = InProcess::new("rules: [{ alow: x }]", ["example.org"]).unwrap_err().to_string();
    assert!(error.contains("the policy has problems") && error.contains("alow"), "{error}");
    let none: [&str; 0] = [];
    let error = InProcess::new(NOBODY, none).unwrap_err();
    assert!(matches!(error, InProcessError::ServerNamesMissing), "{error}");
    let error = InProcess::new(NOBODY, ["example.org", "a b"]).unwrap_err().to_string();
    assert!(error.contains("`server_names[1]` is not a server name"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    let error = InProcess::from_file(&file, ["example.org"]).unwrap_err().to_string();
    assert!(error.contains("cannot read the policy") && error.contains("policy.yaml"), "{error}");
    std::fs::write(&file, STAFF).unwrap();
    let router = InProcess::from_file(&file, ["example.org"]).unwrap();
    let before = format!("{router:?}");
    router.replace_policy("rules: 7").unwrap_err();
    assert_eq!(format!("{router:?}"), before, "the revision stays");
}

/// The questions of the near-cache, with the same answers as the router's.
#[tokio::test]
async fn answers_the_questions_of_the_near_cache() {
    let policy = "
groups: { team: ['@ann:example.org', '@joe:example.org', '@sue:example.org'] }
rules:
  - { name: team, allow: { within: team } }
  - { name: shy, hide: { within: team, fields: [status_msg], unless: { presence: offline } } }
";
    let router = InProcess::new(policy, ["example.org"]).unwrap();
    let (ann, joe, sue) = ("@ann:example.org", "@joe:example.org", "@sue:example.org");
    let audience = router.audience(ann).await.unwrap();
    assert_eq!(audience.counterparts().listed_users(), [joe, sue]);
    assert!(!audience.is_stale());
    let interest = router.interest(ann).await.unwrap();
    assert_eq!(interest.counterparts().listed_users(), [joe, sue]);
    assert_eq!(interest.revision(), router.interested_users(ann.into()).await.unwrap().revision);
    let senders =
        [(sue, "online"), ("@x:example.org", "online"), (ann, "online"), (joe, "offline")];
    let visible = router.filter(ann, &senders).await.unwrap();
    let said: Vec<_> = visible.iter().map(|one| (one.index, one.hidden.status_msg)).collect();
    assert_eq!(said, [(0, true), (3, false)]);
    assert!(router.audience("nonsense").await.is_err());
}
