//! The active policy, and what answers are computed from. The two are apart: of an old
//! revision the latter is kept, and need not keep an old text along.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use presence_router_engine::{Policy, Snapshot};

use super::failed_load::wall_clock;
use super::shadow_counts::ShadowCounters;
use crate::revision::Revision;
use crate::source::digest::Digest;
use crate::source::folder::Folder;

/// What answers are computed from at one revision.
#[derive(Debug)]
pub struct Current {
    /// The revision.
    pub revision: Revision,
    /// The policy, ready to answer.
    pub snapshot: Arc<Snapshot>,
    /// What rules in shadow would have changed.
    pub shadows: ShadowCounters,
}

/// A policy and what it decides, both of one revision.
#[derive(Clone, Debug)]
pub struct ActivePolicy {
    /// What answers are computed from.
    pub current: Arc<Current>,
    /// What it was made of, along with the directory.
    pub applied: Arc<Applied>,
}

/// All that a policy was made from: another load of the same gives the same.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) text: Digest,
    pub(super) files: BTreeMap<String, Digest>,
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

// === impl Inputs ===

impl Inputs {
    /// True if these are the text and the files of a policy.
    pub(super) fn are(&self, text: &[u8], folder: &Folder) -> bool {
        Digest::of(text) == self.text && folder.still_has(&self.files)
    }
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
