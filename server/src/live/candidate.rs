//! Policies that do not become active. The daemon checks them as a load would, or compares
//! them with the active policy.

use presence_router_engine::unstable::policy::analyse::impact;
use presence_router_engine::unstable::policy::analyse::members_files::{
    MembersFileChange, members_file_changes,
};
use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::{Differences, Impact, Policy, Problems, TooMuch, compare};

use super::active::{ActivePolicy, Applied};
use super::active_files::ActiveFiles;
use super::loader::Loader;
use crate::revision::Revision;

/// A policy that could replace the active one.
#[derive(Clone, Copy, Debug)]
pub enum Candidate<'a> {
    /// This text. It may name only members files that the active policy names too.
    Text(&'a str),
    /// The active policy, in which this shadow rule takes part in decisions.
    LiveRule(&'a str),
}

/// The changes that a candidate would make.
#[derive(Debug)]
pub struct Planned {
    /// The revision of the active policy.
    pub revision: Revision,
    /// The differences between the two texts.
    pub differences: Differences,
    /// Members files whose lists of users have changed.
    pub members_files: Vec<MembersFileChange>,
    /// The pairs that the candidate changes.
    pub impact: Result<Impact, TooMuch>,
}

/// The reason for which a candidate cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The candidate has problems.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The active policy has no shadow rule of this name.
    #[error("the active policy has no such rule in shadow")]
    NoSuchRule,
}

/// Checks a text as `loader` would, with the members files of the active policy.
pub(super) fn check_text(
    loader: &Loader,
    applied: &Applied,
    text: &str,
) -> Result<Policy, Problems> {
    let files = ActiveFiles::new(loader, applied);
    let policy = Policy::load("policy", text.as_bytes(), &files)?;
    let changes = members_file_changes(&applied.policy.document, &policy.document);
    let problems: Vec<_> = changes.iter().filter_map(MembersFileChange::emptied_problem).collect();
    if problems.is_empty() || loader.settings.allow_empty_members_files {
        Ok(policy)
    } else {
        Err(Problems::new("policy", problems))
    }
}

// === impl Candidate ===

impl Candidate<'_> {
    /// Loads the candidate as a policy that could be published, with the directory of
    /// `engine`.
    pub(super) fn load(
        self,
        loader: &Loader,
        applied: &Applied,
        engine: &Engine,
    ) -> Result<Policy, PlanError> {
        match self {
            Self::Text(text) => {
                let files = ActiveFiles::new(loader, applied);
                let loaded = Policy::load_candidate(engine, "policy", text.as_bytes(), &files);
                Ok(loaded.map(|(policy, _)| policy)?)
            }
            Self::LiveRule(rule) => {
                let live = applied.policy.with_live_rule(rule, engine);
                live.map(|(policy, _)| policy).ok_or(PlanError::NoSuchRule)
            }
        }
    }
}

// === impl Planned ===

impl Planned {
    /// Compares a policy with the active one.
    pub(super) fn new(
        ActivePolicy { current, applied }: &ActivePolicy,
        policy: &Policy,
        samples: usize,
    ) -> Self {
        Self {
            revision: current.revision,
            differences: compare(&applied.policy, policy),
            members_files: members_file_changes(&applied.policy.document, &policy.document),
            impact: impact::compute_impact(
                &applied.policy,
                &current.snapshot,
                policy,
                &policy.snapshot,
                samples,
            ),
        }
    }
}
