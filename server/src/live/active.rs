//! The active policy, and the snapshot that answers are computed from. They are separate
//! types, because the history keeps snapshots of old revisions without their texts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use presence_router_engine::{Policy, Snapshot};

use super::failed_load::wall_clock;
use super::shadow_counts::ShadowCounters;
use crate::revision::Revision;
use crate::source::digest::Digest;
use crate::source::folder::Folder;

/// A revision with its snapshot, from which answers are computed.
#[derive(Debug)]
pub struct Current {
    /// The revision.
    pub revision: Revision,
    /// The policy, ready to answer.
    pub snapshot: Arc<Snapshot>,
    /// The counters of the shadow rules.
    pub shadows: ShadowCounters,
}

/// A policy and its snapshot at one revision.
#[derive(Clone, Debug)]
pub struct ActivePolicy {
    /// The revision with its snapshot.
    pub current: Arc<Current>,
    /// The policy from which, with the directory, the snapshot was built.
    pub applied: Arc<Applied>,
}

/// Digests of all inputs of a policy: a load of equal inputs gives an equal policy.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) text: Digest,
    pub(super) files: BTreeMap<String, Digest>,
}

/// A policy as it was loaded.
#[derive(Debug)]
pub struct Applied {
    /// The policy. Its snapshot does not contain later edits of the directory.
    pub policy: Policy,
    /// The text of the policy.
    pub text: String,
    /// The digest of the text.
    pub digest: Digest,
    /// Digests of the files that the text names, by name.
    pub files: BTreeMap<String, Digest>,
    /// The time of the load.
    pub loaded: SystemTime,
}

// === impl Inputs ===

impl Inputs {
    /// True if the text and the files still have the digests of these inputs.
    pub(super) fn still_match(&self, text: &[u8], folder: &Folder) -> bool {
        Digest::of_text(text) == self.text && folder.still_has(&self.files)
    }
}

// === impl Applied ===

impl Applied {
    pub(super) fn new(policy: Policy, text: &[u8], inputs: &Inputs) -> Self {
        let loaded = wall_clock();
        let Inputs { text: digest, files } = inputs.clone();
        // The text of a policy without problems is UTF-8.
        let text = String::from_utf8_lossy(text).into_owned();
        Self { policy, text, digest, files, loaded }
    }
}
