//! The policy in force: loaded at start, loaded again on request. Checked as a
//! whole before it takes the place of the one before it, which stays if
//! anything is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use tokio::sync::watch;
use tracing::warn;

use crate::files::{Digest, Folder};
use crate::policy::Policy;
use crate::policy::problem::Problems;
use crate::revision::{Epoch, Revision};
use crate::routing::snapshot::Snapshot;

/// The example policy, for a first start without any settings.
pub const EXAMPLE: &str = include_str!("../policies/example.yaml");

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, read at every load.
    File(PathBuf),
    /// [`EXAMPLE`].
    Example,
}

/// What answers are computed from at one revision.
#[derive(Debug)]
pub struct Current {
    /// The revision.
    pub revision: Revision,
    /// The policy, ready to answer.
    pub snapshot: Arc<Snapshot>,
}

/// The policy in force, and how to replace it.
#[derive(Debug)]
pub struct Live {
    source: Source,
    current: watch::Sender<Arc<Current>>,
    /// What is in force. Held while loading, so that loads come one by one.
    inputs: Mutex<Inputs>,
}

/// All that a policy was made from: another load of the same gives the same.
#[derive(Debug)]
struct Inputs {
    text: Digest,
    files: BTreeMap<String, Digest>,
}

/// What a load did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A new policy is in force, at this revision.
    Replaced(Revision),
    /// The text, and every file that it names, is the one in force already.
    Unchanged(Revision),
}

/// Why a policy was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the policy `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },

    /// The text has problems.
    #[error("the policy has problems:\n{0}")]
    Problems(#[from] Problems),
}

// === impl Source ===

impl Source {
    fn read(&self) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::File(path) => std::fs::read(path)
                .map_err(|error| LoadError::Unreadable { path: path.clone(), error }),
            Self::Example => Ok(EXAMPLE.into()),
        }
    }

    /// Checks a text, and says in the log what is probably not meant.
    fn check(&self, text: &[u8]) -> Result<(Policy, Inputs), LoadError> {
        let name = self.to_string();
        let (policy, files) = match self {
            Self::File(path) => {
                let folder = Folder::of(path);
                (Policy::load(&name, text, &folder)?, folder.into_read())
            }
            Self::Example => (Policy::parse(&name, text)?, BTreeMap::new()),
        };
        for warning in &policy.warnings {
            warn!("{}", warning.line(&name));
        }
        Ok((policy, Inputs { text: Digest::of(text), files }))
    }

    /// Whether a text and the files that it names are these.
    fn is(&self, text: &[u8], inputs: &Inputs) -> bool {
        Digest::of(text) == inputs.text
            && match self {
                Self::File(path) => Folder::of(path).has(&inputs.files),
                Self::Example => true,
            }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Example => f.write_str("example.yaml"),
        }
    }
}

// === impl Live ===

impl Live {
    /// Loads a policy and begins a history with it.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded.
    pub fn start(source: Source, epoch: Epoch) -> Result<Self, LoadError> {
        let (policy, inputs) = source.check(&source.read()?)?;
        let current = Current { revision: Revision::first(epoch), snapshot: policy.snapshot };
        let current = watch::Sender::new(Arc::new(current));
        Ok(Self { source, current, inputs: Mutex::new(inputs) })
    }

    /// Loads the policy again. Takes long for a large one: not for a thread
    /// that answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The one in force stays.
    pub fn reload(&self) -> Result<Loaded, LoadError> {
        // Poison is no harm: what is in force is replaced in one piece.
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.source.read()?;
        let before = self.now().revision;
        if self.source.is(&text, &inputs) {
            return Ok(Loaded::Unchanged(before));
        }
        let (policy, new) = self.source.check(&text)?;
        *inputs = new;
        let revision = before.next();
        self.current.send_replace(Arc::new(Current { revision, snapshot: policy.snapshot }));
        Ok(Loaded::Replaced(revision))
    }

    /// The files that the policy in force is made of: its own first. None for the
    /// example. Waits while a policy is being loaded.
    pub fn files(&self) -> Vec<PathBuf> {
        let Source::File(path) = &self.source else { return Vec::new() };
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, own) = (Folder::of(path), path.clone());
        std::iter::once(own).chain(inputs.files.keys().map(|name| folder.path(name))).collect()
    }

    /// Where the policy comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What is in force now.
    pub fn now(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    /// What is in force, and word when that changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }
}
