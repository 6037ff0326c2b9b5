//! `PolicyService`: shows, checks, plans, explains, verifies and reloads the policy, for
//! operators.
//!
//! All of this may take long for a large policy, so it runs outside the threads that answer
//! homeservers.

use std::sync::Arc;

use presence_router_proto::server::policy_service_server::PolicyService;
use presence_router_proto::v1::plan_policy_request::Candidate as RequestedCandidate;
use presence_router_proto::v1::{
    CheckPolicyRequest, CheckPolicyResponse, ErrorReason, ExplainPairRequest, ExplainPairResponse,
    FieldViolation, GetPolicyRequest, GetPolicyResponse, PlanPolicyRequest, PlanPolicyResponse,
    ReloadOutcome, ReloadPolicyRequest, ReloadPolicyResponse, ShadowCount, VerifyPolicyRequest,
    VerifyPolicyResponse,
};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tracing::{error, info};

use crate::live::{
    ActivePolicy, Applied, Candidate, Live, LoadOptions, Loaded, PlanError, Planned,
};
use crate::revision::Epoch;
use crate::rpc::blocking::run_blocking;
use crate::rpc::convert::policy as convert;
use crate::rpc::error::RpcError;
use crate::rpc::limits::Limits;
use crate::rpc::transport::access_log::UnaryStats;
use crate::rpc::{unary, validate};
use presence_router_engine::unstable::policy::analyse::explain::explain;
use presence_router_engine::unstable::policy::analyse::verify::{DEFAULT_PAIRS, MAX_PAIRS, verify};

/// Most sample pairs of each kind in a plan.
const MAX_SAMPLES: usize = 1000;

/// The service over the active policy.
#[derive(Clone, Debug)]
pub(in crate::rpc) struct PolicyAdmin {
    live: Arc<Live>,
    limits: Limits,
    /// Checks, verifications and loads run one at a time, so that they take little processor
    /// time from the answers for homeservers.
    turn: Arc<Semaphore>,
}

// === impl PolicyAdmin ===

impl PolicyAdmin {
    /// Returns a service over a daemon's policy.
    pub(in crate::rpc) fn new(live: Arc<Live>, limits: Limits) -> Self {
        Self { live, limits, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Runs long work, once all earlier work is done.
    async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Live) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(RpcError::internal)?;
        let live = Arc::clone(&self.live);
        run_blocking(false, move || {
            let _turn = turn;
            Ok(work(&live))
        })
        .await
    }

    fn respond_within_limit<T: Message>(
        &self,
        active: &ActivePolicy,
        answered: usize,
        answer: T,
        instead: &'static str,
    ) -> Result<Response<T>, Status> {
        let answer = unary::check_size(answer, self.limits.response_bytes, instead)?;
        let revision = active.current.revision;
        Ok(UnaryStats { asked: 1, answered, revision }.attach_to(answer))
    }
}

#[tonic::async_trait]
impl PolicyService for PolicyAdmin {
    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        let GetPolicyRequest { omit_text } = request.into_inner();
        let active = self.live.active();
        let Applied { policy, text, digest, files, loaded } = &*active.applied;
        let answer = GetPolicyResponse {
            revision: active.current.revision.to_string(),
            file: self.live.source().to_string(),
            text: String::new(),
            digest: digest.to_string(),
            files: files
                .iter()
                .map(|(name, digest)| convert::file_to_proto(name, digest))
                .collect(),
            load_time: Some(convert::timestamp_to_proto(*loaded)),
            warnings: convert::problems_to_proto(&policy.warnings),
            rules: policy.document.rules.iter().map(convert::rule_to_proto).collect(),
            shadow_counts: active
                .current
                .shadows
                .counts_by_rule()
                .filter_map(|(index, states)| {
                    let name = policy.document.rules.get(index)?.name.clone();
                    Some(ShadowCount { name, states })
                })
                .collect(),
            failed_load: self
                .live
                .subscribe_failed_load()
                .borrow()
                .as_ref()
                .map(convert::failed_load_to_proto),
        };
        let mut answer =
            self.respond_within_limit(&active, answer.rules.len(), answer, "raise the limit")?;
        // The text is exempt from the limit: the operator has chosen the size of the policy.
        if !omit_text {
            answer.get_mut().text.clone_from(text);
        }
        Ok(answer)
    }

    async fn check_policy(
        &self,
        request: Request<CheckPolicyRequest>,
    ) -> Result<Response<CheckPolicyResponse>, Status> {
        let CheckPolicyRequest { text } = request.into_inner();
        let active = self.live.active();
        let answer = self.run_in_turn(move |live| match live.check_text(&text) {
            Ok(policy) => CheckPolicyResponse {
                problems: Vec::new(),
                warnings: convert::problems_to_proto(&policy.warnings),
                summary: policy.summary(),
            },
            Err(problems) => CheckPolicyResponse {
                problems: convert::problems_to_proto(&problems.list),
                ..CheckPolicyResponse::default()
            },
        });
        let answer = answer.await?;
        let found = answer.problems.len() + answer.warnings.len();
        self.respond_within_limit(
            &active,
            found,
            answer,
            "fix some of the problems, or raise the limit",
        )
    }

    async fn plan_policy(
        &self,
        request: Request<PlanPolicyRequest>,
    ) -> Result<Response<PlanPolicyResponse>, Status> {
        let PlanPolicyRequest { candidate, max_samples } = request.into_inner();
        let candidate = candidate.ok_or(RpcError::MessageEmpty)?;
        let samples = usize::try_from(max_samples).unwrap_or(usize::MAX).min(MAX_SAMPLES);
        let active = self.live.active();
        let planned = self.run_in_turn(move |live| {
            let candidate = match &candidate {
                RequestedCandidate::Text(text) => Candidate::Text(text),
                RequestedCandidate::LiveRule(rule) => Candidate::LiveRule(rule),
            };
            live.plan_candidate(candidate, samples)
        });
        let answer = match planned.await? {
            Ok(Planned { revision, differences, members_files, impact }) => {
                let impact = impact.map_err(|_| RpcError::ChangeTooLarge)?;
                let revision = revision.to_string();
                convert::plan_to_proto(revision, differences.to_string(), &members_files, impact)
            }
            Err(PlanError::Problems(problems)) => PlanPolicyResponse {
                revision: active.current.revision.to_string(),
                problems: convert::problems_to_proto(&problems.list),
                ..PlanPolicyResponse::default()
            },
            Err(PlanError::NoSuchRule) => {
                let violations = vec![FieldViolation {
                    field: "live_rule".to_owned(),
                    description: "is not a shadow rule of the active policy".to_owned(),
                }];
                return Err(
                    RpcError::BadFields { reason: ErrorReason::RuleUnknown, violations }.into()
                );
            }
        };
        let rules = answer.rules.len() + answer.hides.len() + answer.room_rules.len();
        let found = answer.problems.len() + rules;
        self.respond_within_limit(
            &active,
            found,
            answer,
            "ask for fewer samples, or raise the limit",
        )
    }

    async fn explain_pair(
        &self,
        request: Request<ExplainPairRequest>,
    ) -> Result<Response<ExplainPairResponse>, Status> {
        let pair = request.into_inner();
        validate::parse_user("sender", &pair.sender)?;
        validate::parse_user("recipient", &pair.recipient)?;
        let active = self.live.active();
        let ActivePolicy { current, applied } = active.clone();
        let answer = run_blocking(false, move || {
            let sender = validate::parse_user("sender", &pair.sender)?;
            let recipient = validate::parse_user("recipient", &pair.recipient)?;
            let explained = explain(&applied.policy, &current.snapshot, sender, recipient);
            let explained_visibility = (!explained.depends_on_rooms).then_some(explained.visible);
            // The daemon knows no rooms, so every relation is open.
            if current.snapshot.visible_if(sender, recipient, |_| None) != explained_visibility {
                error!(
                    "the answers differ from the policy: a fault of the daemon, please report it \
                     with the output of `presence-router verify`"
                );
                return Err(RpcError::Internal);
            }
            Ok(convert::explanation_to_proto(
                &applied.policy,
                &explained,
                current.revision.to_string(),
            ))
        });
        let answer = answer.await?;
        self.respond_within_limit(&active, answer.rules.len(), answer, "raise the limit")
    }

    async fn verify_policy(
        &self,
        request: Request<VerifyPolicyRequest>,
    ) -> Result<Response<VerifyPolicyResponse>, Status> {
        let VerifyPolicyRequest { max_pairs, seed } = request.into_inner();
        let pairs = if max_pairs == 0 { DEFAULT_PAIRS } else { max_pairs.min(MAX_PAIRS) };
        let seed = match seed {
            Some(seed) => seed,
            None => Epoch::random().map_err(RpcError::internal)?.as_u64(),
        };
        // Take the policy when the turn has come, since it may be replaced during the wait.
        let (active, verified) = self
            .run_in_turn(move |live| {
                let active = live.active();
                let snapshot = &active.current.snapshot;
                let verified = verify(&active.applied.policy, snapshot, pairs, seed);
                (active, verified)
            })
            .await?;
        if verified.counter_example.is_some() {
            error!(
                revision = %active.current.revision,
                seed,
                "the answers differ from the policy: a fault of the daemon, please report it"
            );
        }
        let answer = convert::verification_to_proto(verified, active.current.revision.to_string());
        self.respond_within_limit(&active, 1, answer, "raise the limit")
    }

    async fn reload_policy(
        &self,
        request: Request<ReloadPolicyRequest>,
    ) -> Result<Response<ReloadPolicyResponse>, Status> {
        let ReloadPolicyRequest { force } = request.into_inner();
        let (active, loaded) = self
            .run_in_turn(move |live| {
                let loaded = live.reload(LoadOptions { force, ..LoadOptions::AT_ONCE });
                (live.active(), loaded)
            })
            .await?;
        let policy = self.live.source();
        let mut different = String::new();
        let (outcome, revision, problems) = match loaded {
            Ok(Loaded::Replaced(revision, differences)) => {
                info!(%policy, %revision, "policy loaded, as a call requested: {differences}");
                different = differences.to_string();
                (ReloadOutcome::Replaced, revision, Vec::new())
            }
            Ok(Loaded::Unchanged(revision)) => (ReloadOutcome::Unchanged, revision, Vec::new()),
            Err(refused) => {
                let revision = active.current.revision;
                // The caller gets the problems.
                error!(%policy, %revision, "policy rejected, as a call requested its load; the previous one stays active");
                (ReloadOutcome::Refused, revision, convert::load_problems_to_proto(&refused))
            }
        };
        let warnings = match outcome {
            ReloadOutcome::Replaced => convert::problems_to_proto(&active.applied.policy.warnings),
            _ => Vec::new(),
        };
        let answer = ReloadPolicyResponse {
            outcome: outcome.into(),
            revision: revision.to_string(),
            file: policy.to_string(),
            problems,
            warnings,
            differences: different,
        };
        let found = answer.problems.len() + answer.warnings.len();
        self.respond_within_limit(
            &active,
            found,
            answer,
            "the load has finished; raise the limit to receive its result",
        )
    }
}
