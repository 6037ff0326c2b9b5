//! The policy in force: loaded at start, loaded again on request. Checked as a
//! whole before it takes the place of the one before it, which stays if
//! anything is wrong.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use tokio::sync::watch;

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
    /// The text in force. Held while loading, so that loads come one by one.
    text: Mutex<Vec<u8>>,
}

/// What a load did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A new policy is in force, at this revision.
    Replaced(Revision),
    /// The text is the one in force already.
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

    fn check(&self, text: &[u8]) -> Result<Policy, LoadError> {
        Ok(Policy::parse(&self.to_string(), text)?)
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
        let text = source.read()?;
        let policy = source.check(&text)?;
        let current = Current { revision: Revision::first(epoch), snapshot: policy.snapshot };
        Ok(Self { source, current: watch::Sender::new(Arc::new(current)), text: Mutex::new(text) })
    }

    /// Loads the policy again. Takes long for a large one: not for a thread
    /// that answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The one in force stays.
    pub fn reload(&self) -> Result<Loaded, LoadError> {
        // Poison is no harm: the text is replaced in one piece.
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.source.read()?;
        let before = self.now().revision;
        if new == *text {
            return Ok(Loaded::Unchanged(before));
        }
        let policy = self.source.check(&new)?;
        *text = new;
        let revision = before.next();
        self.current.send_replace(Arc::new(Current { revision, snapshot: policy.snapshot }));
        Ok(Loaded::Replaced(revision))
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
