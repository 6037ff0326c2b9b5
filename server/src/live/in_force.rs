//! The policy in force as it was written, for whoever wants to see it. What
//! answers are computed from is apart: old revisions of that are kept, and need
//! not keep old texts along.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::Current;
use super::failure::wall_clock;
use super::loader::Inputs;
use crate::files::Digest;
use presence_router_engine::policy::Policy;

/// A policy and what it decides, both of one revision.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What answers are computed from.
    pub current: Arc<Current>,
    /// What it was made of, along with the directory.
    pub applied: Arc<Applied>,
}

/// A policy as it was loaded.
#[derive(Debug)]
pub struct Applied {
    /// The policy. Its snapshot knows no later edit of the directory.
    pub policy: Policy,
    /// Its text.
    pub text: String,
    /// Digest of the text.
    pub digest: Digest,
    /// Digests of the files that it names, by name.
    pub files: BTreeMap<String, Digest>,
    /// When it was loaded.
    pub loaded: SystemTime,
}

// === impl Applied ===

impl Applied {
    pub(super) fn new(policy: Policy, text: &[u8], inputs: &Inputs) -> Self {
        let loaded = wall_clock();
        let Inputs { text: digest, files } = inputs.clone();
        // Of a policy without problems it is UTF-8.
        let text = String::from_utf8_lossy(text).into_owned();
        Self { policy, text, digest, files, loaded }
    }
}
