//! Writes policies, and the results of checks, plans, explanations and verifications, as
//! messages of the contract. The command line uses it too, for results without a daemon.

use std::time::{SystemTime, UNIX_EPOCH};

use presence_router_ids::RoomConditions;
use presence_router_proto::v1::rule_relation::Relation as RequiredRelation;
use presence_router_proto::v1::{
    self, ChangedPair, ChangedPairs, ComparedHides, CounterExample, ExplainPairResponse,
    ExplainedRule, FailedPolicyLoad, HideImpact, MembershipKind, MembershipStep, NoSharedRoom,
    PairCount, PlanPolicyResponse, PolicyFile, PolicyProblem, PolicyRule, RoomRuleChange,
    RuleChange, RuleEffect, RuleImpact, RuleRelation, VerifiedCallback, VerifyPolicyResponse,
};

use super::{fields_to_proto, hide_of_pair};
use crate::live::{FailedLoad, LoadError};
use crate::source::digest::Digest;
use presence_router_engine::unstable::policy::analyse::impact;
use presence_router_engine::unstable::policy::analyse::members_files::MembersFileChange;
use presence_router_engine::unstable::policy::analyse::verify;
use presence_router_engine::unstable::policy::document::Rule;
use presence_router_engine::unstable::routing::model::ruleset::{self, Relation};
use presence_router_engine::{
    Count, Effect, Explanation, Impact, PathStep, Policy, Problem, RoomChange, RuleMatch, Side,
    StepKind, Verified,
};

/// Most problems of a failed load in an answer about the active policy.
const MAX_FAILED_PROBLEMS: usize = 100;

/// Writes problems or warnings.
pub fn problems_to_proto(problems: &[Problem]) -> Vec<PolicyProblem> {
    let problem = |problem: &Problem| PolicyProblem {
        file: problem.file.as_deref().unwrap_or_default().to_owned(),
        line: problem.position.line,
        column: problem.position.column,
        message: problem.message.clone(),
        code: problem.code.to_string(),
        help: problem.help.clone(),
    };
    problems.iter().map(problem).collect()
}

/// Writes the reasons why a policy was not loaded.
pub(in crate::rpc) fn load_problems_to_proto(error: &LoadError) -> Vec<PolicyProblem> {
    problems_to_proto(&error.problems())
}

/// Writes the failed loads, with at most [`MAX_FAILED_PROBLEMS`] of their problems.
pub(in crate::rpc) fn failed_load_to_proto(failed: &FailedLoad) -> FailedPolicyLoad {
    let mut problems = load_problems_to_proto(&failed.error);
    let problem_count = u64::try_from(problems.len()).unwrap_or(u64::MAX);
    problems.truncate(MAX_FAILED_PROBLEMS);
    FailedPolicyLoad {
        since_time: Some(timestamp_to_proto(failed.since)),
        latest_time: Some(timestamp_to_proto(failed.latest)),
        problem_count,
        problems,
    }
}

/// Writes a time of the wall clock. A time before 1970 becomes 1970.
pub(in crate::rpc) fn timestamp_to_proto(time: SystemTime) -> prost_types::Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().try_into().unwrap_or_default(),
    }
}

/// Writes the explanation of a pair. `revision` is empty without a daemon.
pub fn explanation_to_proto(
    policy: &Policy,
    explanation: &Explanation,
    revision: String,
) -> ExplainPairResponse {
    let explained = |matched: &RuleMatch| ExplainedRule {
        rule: policy.document.rules.get(matched.rule).map(rule_to_proto),
        matches: matched.pair,
        sender_membership: matched.sender.iter().map(step_to_proto).collect(),
        recipient_membership: matched.recipient.iter().map(step_to_proto).collect(),
    };
    ExplainPairResponse {
        revision,
        visible: explanation.visible,
        reason: explanation.reason(&policy.document, ""),
        rules: explanation.rules.iter().map(explained).collect(),
        depends_on_rooms: explanation.depends_on_rooms,
    }
}

/// Writes the impact of a candidate. `revision` is empty without a daemon.
pub fn plan_to_proto(
    revision: String,
    differences: String,
    members_files: &[MembersFileChange],
    impact: Impact,
) -> PlanPolicyResponse {
    let count = |Count { named, open, bound, depends_on_rooms }| PairCount {
        listed: named,
        open,
        upper_bound: bound,
        depends_on_rooms,
    };
    let samples = |pairs: Vec<[String; 2]>| {
        pairs.into_iter().map(|[sender, recipient]| ChangedPair { sender, recipient }).collect()
    };
    let pairs = |side: impact::PairSummary| ChangedPairs {
        pairs: Some(count(side.pairs)),
        senders: side.senders,
        recipients: side.recipients,
        destinations: side.destinations,
        samples: samples(side.samples),
    };
    let rule = |impact::RuleImpact { name, gained, lost }| RuleImpact {
        name,
        gained: gained.map(count),
        lost: lost.map(count),
    };
    let hide = |impact::HideImpact { name, begins, ends }| {
        let [begins_samples, ends_samples] = [&begins, &ends]
            .map(|on| on.as_ref().map_or_else(Vec::new, |on| samples(on.samples.clone())));
        let [begins, ends] = [begins, ends].map(|on| on.map(|on| count(on.pairs)));
        HideImpact { name, begins, ends, begins_samples, ends_samples }
    };
    PlanPolicyResponse {
        revision,
        problems: Vec::new(),
        differences,
        gained: Some(pairs(impact.gained)),
        lost: Some(pairs(impact.lost)),
        rules: impact.rules.into_iter().map(rule).collect(),
        room_rules: impact.rooms.into_iter().map(room_rule_to_proto).collect(),
        hides: impact.hides.into_iter().map(hide).collect(),
        members_files: members_files.iter().map(members_file_to_proto).collect(),
    }
}

fn members_file_to_proto(change: &MembersFileChange) -> v1::MembersFileChange {
    let number = |users: usize| u64::try_from(users).unwrap_or(u64::MAX);
    v1::MembersFileChange {
        name: change.file.clone(),
        active_users: number(change.before),
        users: number(change.after),
    }
}

fn room_rule_to_proto(RoomChange { name, before, after }: RoomChange) -> RoomRuleChange {
    let change = match (before, after) {
        (None, _) => RuleChange::Added,
        (Some(_), None) => RuleChange::Removed,
        (Some(_), Some(_)) => RuleChange::Changed,
    };
    let [active_line, line] = [before, after].map(|position| position.unwrap_or_default().line);
    RoomRuleChange { name, change: change.into(), line, active_line }
}

/// Writes the result of a verification. `revision` is empty without a daemon.
pub fn verification_to_proto(verified: Verified, revision: String) -> VerifyPolicyResponse {
    let Verified { pairs, exhaustive, seed, listed, invented_rooms, counter_example } = verified;
    let counter_example = counter_example.map(|found| {
        let verify::CounterExample { sender, recipient, of, visible, hides } = found;
        let callback = match of {
            Side::Sender => VerifiedCallback::Audience,
            Side::Recipient => VerifiedCallback::Interest,
        };
        let list = |hides: Vec<ruleset::Hide>| hides.iter().map(hide_of_pair).collect();
        let hides = hides.map(|verify::Hides { defined, answered }| ComparedHides {
            defined: list(defined),
            answered: list(answered),
        });
        CounterExample { sender, recipient, callback: callback.into(), visible, hides }
    });
    VerifyPolicyResponse {
        revision,
        pairs,
        exhaustive,
        seed,
        listed_users: listed,
        counter_example,
        invented_rooms,
    }
}

/// Writes a rule.
pub(in crate::rpc) fn rule_to_proto(rule: &Rule) -> PolicyRule {
    let (effect, hidden_fields, unless_presence) = match &rule.effect {
        Effect::Allow => (RuleEffect::Allow, Vec::new(), Vec::new()),
        Effect::Deny => (RuleEffect::Deny, Vec::new(), Vec::new()),
        Effect::Hide(hide) => {
            let unless = hide.unless.iter().map(|presence| presence.to_string()).collect();
            (RuleEffect::Hide, fields_to_proto(hide.fields), unless)
        }
    };
    PolicyRule {
        name: rule.name.clone(),
        line: rule.position.line,
        effect: effect.into(),
        shadow: rule.shadow,
        hidden_fields,
        unless_presence,
        relation: rule.relation.as_ref().map(relation_to_proto),
    }
}

fn relation_to_proto(relation: &Relation) -> RuleRelation {
    let relation = match relation {
        Relation::ShareRoom(conditions) => RequiredRelation::ShareRoom(conditions.into()),
        Relation::ShareNoRoom => RequiredRelation::ShareNoRoom(NoSharedRoom {}),
    };
    RuleRelation { relation: Some(relation) }
}

/// Reads a relation. `None`: it is of a kind that this version does not know.
pub fn relation_from_proto(relation: &RuleRelation) -> Option<Relation> {
    match relation.relation.as_ref()? {
        RequiredRelation::ShareRoom(mates) => {
            RoomConditions::try_from(mates).ok().map(Relation::ShareRoom)
        }
        RequiredRelation::ShareNoRoom(NoSharedRoom {}) => Some(Relation::ShareNoRoom),
    }
}

/// Writes a file that a policy names.
pub(in crate::rpc) fn file_to_proto(name: &str, digest: &Digest) -> PolicyFile {
    PolicyFile { name: name.to_owned(), digest: digest.to_string() }
}

fn step_to_proto(PathStep { depth, kind: what }: &PathStep) -> MembershipStep {
    let (kind, value, line) = match what {
        StepKind::Everyone => (MembershipKind::Everyone, "", 0),
        StepKind::User(position) => (MembershipKind::User, "", position.line),
        StepKind::MembersFile(file, position) => {
            (MembershipKind::MembersFile, file.as_str(), position.line)
        }
        StepKind::Server(glob) => (MembershipKind::Server, glob.as_str(), 0),
        StepKind::Match(pattern) => (MembershipKind::Match, pattern.as_str(), 0),
        StepKind::Group(name, position) => (MembershipKind::Group, name.as_str(), position.line),
        StepKind::Directory(name, position) => {
            (MembershipKind::Directory, name.as_str(), position.line)
        }
        StepKind::AllOf => (MembershipKind::AllOf, "", 0),
        StepKind::NotExcepted => (MembershipKind::NotExcepted, "", 0),
    };
    MembershipStep {
        depth: u32::try_from(*depth).unwrap_or(u32::MAX),
        kind: kind.into(),
        value: value.to_owned(),
        line,
    }
}
