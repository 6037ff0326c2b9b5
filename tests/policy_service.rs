//! `PolicyService` through gRPC: what each call answers, changes and refuses. What
//! is explained and verified is tested on random worlds in `explain`.

use presence_router_engine::unstable::policy::analyse::verify::verify;
use presence_router_engine::{Edit, Policy};
use presence_router_ids::{MemberCount, RoomCondition, RoomConditions, UserId};
use presence_router_proto::v1::plan_policy_request::Candidate;
use presence_router_proto::v1::policy_service_client::PolicyServiceClient;
use presence_router_proto::v1::rule_relation::Relation;
use presence_router_proto::v1::{
    CheckPolicyRequest, ComparedHides, ExplainPairRequest, ExplainPairResponse, GetPolicyRequest,
    GetPolicyResponse, Hide, MembershipKind, NoSharedRoom, PlanPolicyRequest, PolicyProblem,
    PresenceField, ReloadOutcome, ReloadPolicyRequest, ReloadPolicyResponse, RoomMates,
    RoomRuleChange, RuleChange, RuleEffect, VerifyPolicyRequest,
};
use presence_router_server::rpc::convert::policy as convert;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::harness::{Daemon, limits};

const POLICY: &str = "
groups:
  staff: ['@ann:one.org', '@joe:one.org']
  sales: { directory: true }
ours: [one.org]
local: true
inbound: false
rules:
  - name: staff see each other
    allow: { within: staff }
  - name: sales
    allow: { within: sales }
  - name: less
    hide: { from: everyone, to: '@joe:one.org', fields: [status_msg], unless: { presence: [busy] } }
  - name: never
    shadow: true
    deny: { from: [], to: everyone }
";

type Client = PolicyServiceClient<Channel>;

fn client(daemon: &Daemon) -> Client {
    Client::new(daemon.channel()).max_decoding_message_size(64 * 1024 * 1024)
}

async fn get(daemon: &Daemon, omit_text: bool) -> Result<GetPolicyResponse, Status> {
    client(daemon).get_policy(GetPolicyRequest { omit_text }).await.map(|a| a.into_inner())
}

async fn explain(daemon: &Daemon, pair: [&str; 2]) -> Result<ExplainPairResponse, Status> {
    let [sender, recipient] = pair.map(str::to_owned);
    let answer = client(daemon).explain_pair(ExplainPairRequest { sender, recipient }).await;
    answer.map(|answer| answer.into_inner())
}

async fn reload(daemon: &Daemon) -> ReloadPolicyResponse {
    client(daemon).reload_policy(ReloadPolicyRequest::default()).await.unwrap().into_inner()
}

/// Problems as `line:column code`.
fn codes(problems: &[PolicyProblem]) -> Vec<String> {
    problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.code)).collect()
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn tells_the_policy_in_force() {
    let daemon = Daemon::serving(POLICY).await;
    let policy = get(&daemon, false).await.unwrap();
    assert_eq!((policy.text.as_str(), policy.revision), (POLICY, daemon.revision()));
    assert!(policy.file.ends_with("policy.yaml"), "{}", policy.file);
    assert_eq!(policy.digest.len(), 64);
    assert!(policy.load_time.is_some_and(|time| time.seconds > 1_700_000_000));
    assert_eq!(codes(&policy.warnings), ["15:5 rule-never-matches"]);
    assert!(policy.warnings[0].message.contains("`never`") && !policy.warnings[0].help.is_empty());
    let rules: Vec<_> =
        policy.rules.iter().map(|r| (r.name.as_str(), r.line, r.effect(), r.shadow)).collect();
    let want = [
        ("staff see each other", 9, RuleEffect::Allow, false),
        ("sales", 11, RuleEffect::Allow, false),
        ("less", 13, RuleEffect::Hide, false),
        ("never", 15, RuleEffect::Deny, true),
        ("inbound: false", 7, RuleEffect::Deny, false),
    ];
    assert_eq!(rules, want);
    let less = &policy.rules[2];
    assert_eq!(less.hidden_fields().collect::<Vec<_>>(), [PresenceField::StatusMsg]);
    assert_eq!(less.unless_presence, ["busy"]);

    let short = get(&daemon, true).await.unwrap();
    assert!(short.text.is_empty());
    assert_eq!(short.digest, policy.digest);
}

/// The operator has chosen the size of the policy; everything else has the limit.
#[tokio::test]
async fn the_text_does_not_count_for_the_limit_of_answers() {
    let mut limits = limits();
    limits.response_bytes = 2000;
    let policy = format!("{POLICY}# {}\n", "x".repeat(5000));
    let daemon = Daemon::limited(&policy, limits).await;
    assert_eq!(get(&daemon, false).await.unwrap().text, policy);
    assert_eq!(get(&daemon, true).await.unwrap().rules.len(), 5);

    limits.response_bytes = 100;
    let daemon = Daemon::limited(&policy, limits).await;
    for omit_text in [false, true] {
        let refused = get(&daemon, omit_text).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::ResourceExhausted, "ANSWER_TOO_LARGE")
        );
        assert!(refused.message().ends_with("100: raise the limit"), "{}", refused.message());
    }
}

#[tokio::test]
async fn checks_a_policy_and_changes_nothing() {
    let daemon = Daemon::serving(POLICY).await;
    let before = daemon.revision();
    let check = async |text: &str| {
        let request = CheckPolicyRequest { text: text.to_owned() };
        client(&daemon).check_policy(request).await.unwrap().into_inner()
    };
    let good = check(POLICY).await;
    assert!(good.problems.is_empty() && good.warnings.len() == 1, "{good:?}");
    assert!(good.summary.starts_with("valid: 4 rules, 2 groups, "), "{}", good.summary);

    let bad = check("ruls: []\ngroups: { a: [ann] }\n").await;
    assert_eq!(codes(&bad.problems), ["1:1 unknown-key", "2:15 not-a-set"]);
    assert!(bad.problems[0].help.ends_with("did you mean `rules`?"), "{bad:?}");
    assert!(bad.summary.is_empty() && bad.warnings.is_empty());

    // Not every file that the daemon may read.
    let files = check("groups: { a: { members_file: /etc/hostname } }\nrules: []\n").await;
    assert_eq!(codes(&files.problems), ["1:30 members-file-unreadable"]);
    let why =
        "cannot read the members file `/etc/hostname`: the active policy does not name this file";
    assert!(files.problems[0].message.contains(why), "{files:?}");
    assert_eq!(daemon.revision(), before);
}

#[tokio::test]
async fn explains_at_the_revision_in_force() {
    let daemon = Daemon::serving(POLICY).await;
    let answer = explain(&daemon, ["@ann:one.org", "@joe:one.org"]).await.unwrap();
    assert_eq!((answer.visible, answer.revision), (true, daemon.revision()));
    assert_eq!(answer.reason, "allowed by rule `staff see each other` (line 9)");
    let names = |matches: bool| -> Vec<String> {
        let rules = answer.rules.iter().filter(|rule| rule.matches == matches);
        rules.filter_map(|rule| Some(rule.rule.as_ref()?.name.clone())).collect()
    };
    assert_eq!(names(true), ["staff see each other", "less"]);
    assert_eq!(names(false), ["never", "inbound: false"]);
    let way: Vec<_> = answer.rules[0]
        .sender_membership
        .iter()
        .map(|s| (s.depth, s.kind(), s.value.as_str(), s.line))
        .collect();
    let want = [(0, MembershipKind::Group, "staff", 3), (1, MembershipKind::User, "", 3)];
    assert_eq!(way, want);

    let pair = ["@sam:one.org", "@joe:one.org"];
    assert!(!explain(&daemon, pair).await.unwrap().visible);
    let join = |user| Edit::Join { group: "sales", user: UserId::parse(user).unwrap() };
    daemon.live.edit_directory(&pair.map(join)).unwrap();
    let answer = explain(&daemon, pair).await.unwrap();
    assert_eq!((answer.visible, answer.revision), (true, daemon.revision()));
    let way = &answer.rules.iter().find(|rule| rule.matches).unwrap().sender_membership;
    assert_eq!((way[0].kind(), way[0].value.as_str()), (MembershipKind::Directory, "sales"));
    assert_eq!(get(&daemon, false).await.unwrap().revision, daemon.revision());
}

#[tokio::test]
async fn relations_stay_open() {
    let policy = "rules:
  - { name: small, allow: { share_room: { at_most: 9, encrypted: true } } }
  - { name: strangers, deny: { to: '@pat:one.org', share_room: false } }
  - { name: never, deny: { from: everyone, to: '@joe:one.org' } }
";
    let daemon = Daemon::serving(policy).await;
    let share_room = RoomMates::from(&RoomConditions::new([
        RoomCondition::AtMost(MemberCount::new(9, [])),
        RoomCondition::Encrypted(true),
    ]));
    let relations =
        [Some(Relation::ShareRoom(share_room)), Some(Relation::ShareNoRoom(NoSharedRoom {})), None];
    let rules = get(&daemon, false).await.unwrap().rules;
    let found = rules.into_iter().map(|rule| rule.relation.map(|found| found.relation.unwrap()));
    assert_eq!(found.collect::<Vec<_>>(), relations);
    for (recipient, depends_on_rooms, reason) in [
        (
            "@sue:one.org",
            true,
            "allowed by rule `small` (line 2) if they share a room of at most 9 members that is encrypted",
        ),
        (
            "@pat:one.org",
            true,
            "allowed by rule `small` (line 2) if they share a room of at most 9 members that is encrypted, but denied by rule `strangers` (line 3) if they share no room",
        ),
        ("@joe:one.org", false, "denied by rule `never` (line 4)"),
    ] {
        let answer = explain(&daemon, ["@ann:one.org", recipient]).await.unwrap();
        assert_eq!((answer.visible, answer.depends_on_rooms), (false, depends_on_rooms));
        assert_eq!(answer.reason.split("; ").next(), Some(reason));
    }
}

#[tokio::test]
async fn a_malformed_user_is_named_by_its_field() {
    let daemon = Daemon::serving(POLICY).await;
    for (pair, field) in [(["ann", "@a:b"], "sender"), (["@a:b", ""], "recipient")] {
        let refused = explain(&daemon, pair).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused), "USER_ID_INVALID");
        let details = refused.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
    }
}

#[tokio::test]
async fn verifies_the_active_policy() {
    let daemon = Daemon::serving(POLICY).await;
    let verify = async |max_pairs, seed| {
        let request = VerifyPolicyRequest { max_pairs, seed };
        client(&daemon).verify_policy(request).await.unwrap().into_inner()
    };
    let all = verify(0, None).await;
    assert_eq!((all.counter_example, all.exhaustive), (None, true));
    assert_eq!((all.revision, all.listed_users), (daemon.revision(), 2));
    let join = Edit::Join { group: "sales", user: UserId::parse("@sam:two.org").unwrap() };
    daemon.live.edit_directory(&[join]).unwrap();
    let some = verify(4, Some(7)).await;
    assert_eq!((some.counter_example, some.exhaustive, some.seed), (None, false, 7));
    assert_eq!((some.revision, some.listed_users), (daemon.revision(), 3));
    assert!(some.pairs <= 4);
    assert!(verify(u64::MAX, None).await.exhaustive, "too many are taken as the most");
}

const ROOMS: &str = "
rules: []
rooms:
  - { name: gone, deny: { message: no } }
  - { name: other, deny: { message: no } }
";

#[tokio::test]
async fn a_plan_and_a_load_name_rules_about_rooms() {
    let daemon = Daemon::serving(ROOMS).await;
    let candidate =
        ROOMS.replace("gone", "new").replace("other, deny", "other, when: { admin: true }, deny");
    let plan = async |text: &str| {
        let candidate = Some(Candidate::Text(text.to_owned()));
        let request = PlanPolicyRequest { candidate, max_samples: 0 };
        client(&daemon).plan_policy(request).await.unwrap().into_inner()
    };
    assert_eq!(plan(ROOMS).await.room_rules, []);
    let rule = |name: &str, change: RuleChange, line, active_line| RoomRuleChange {
        name: name.to_owned(),
        change: change.into(),
        line,
        active_line,
    };
    let want = [
        rule("gone", RuleChange::Removed, 0, 4),
        rule("new", RuleChange::Added, 4, 0),
        rule("other", RuleChange::Changed, 5, 5),
    ];
    assert_eq!(plan(&candidate).await.room_rules, want);
    daemon.write(&candidate);
    assert_eq!(
        reload(&daemon).await.differences,
        "rooms added: 1 (`new`), removed: 1 (`gone`), changed: 1 (`other`)"
    );
}

/// No daemon of ours can be made to answer otherwise than by its policy.
#[test]
fn a_hide_that_is_wrong_is_told() {
    let parse = |text: &str| Policy::parse("policy.yaml", text.as_bytes()).unwrap();
    let (policy, other) = (parse(POLICY), parse(&POLICY.replace("busy", "away")));
    let told =
        convert::verification_to_proto(verify(&policy, &other.snapshot, 1000, 0), String::new());
    let found = told.counter_example.unwrap();
    assert!(found.visible && found.recipient == "@joe:one.org", "{found:?}");
    let hide = |presence: &str| Hide {
        fields: vec![PresenceField::StatusMsg.into()],
        unless_presence: vec![presence.to_owned()],
        ..Hide::default()
    };
    let (defined, answered) = (vec![hide("busy")], vec![hide("away")]);
    assert_eq!(found.hides, Some(ComparedHides { defined, answered }));
}

#[tokio::test]
async fn a_load_says_what_it_did() {
    let daemon = Daemon::serving(POLICY).await;
    let first = daemon.revision();
    let answer = reload(&daemon).await;
    assert_eq!((answer.outcome(), &answer.revision), (ReloadOutcome::Unchanged, &first));

    daemon.write("ruls: []\n");
    let answer = reload(&daemon).await;
    assert_eq!((answer.outcome(), &answer.revision), (ReloadOutcome::Refused, &first));
    assert_eq!(codes(&answer.problems)[0], "1:1 unknown-key", "{answer:?}");
    assert_eq!(get(&daemon, false).await.unwrap().text, POLICY, "the one before it stays");

    let changed = format!("{POLICY}# changed\n");
    daemon.write(&changed);
    let answer = reload(&daemon).await;
    assert_eq!((answer.outcome(), &answer.revision), (ReloadOutcome::Replaced, &daemon.revision()));
    assert_ne!(answer.revision, first);
    assert_eq!(answer.warnings.len(), 1);
    assert_eq!(get(&daemon, false).await.unwrap().text, changed);

    daemon.remove();
    let answer = reload(&daemon).await;
    assert_eq!(answer.outcome(), ReloadOutcome::Refused);
    assert!(answer.problems[0].message.starts_with("cannot read the policy `"), "{answer:?}");
    assert_eq!(answer.problems[0].code, "policy-unreadable");
}

#[tokio::test]
async fn health_knows_the_service() {
    let daemon = Daemon::serving(POLICY).await;
    let mut health = HealthClient::new(daemon.channel());
    let service = "presence_router.v1.PolicyService".to_owned();
    let answer = health.check(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}
