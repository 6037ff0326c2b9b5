//! What is in force: a policy, loaded at start and again on request, and the
//! directory. A policy is checked as a whole before it takes the place of the one
//! before it, which stays if anything is wrong.
//!
//! Every change makes the next revision. The latest ones are kept, so that it can
//! be told what has changed since.

mod history;
mod in_force;
mod tallies;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use tokio::sync::watch;
use tracing::warn;

use self::history::History;
pub use self::in_force::{Applied, InForce};
pub use self::tallies::Tallies;
use crate::files::{self, Digest, Folder};
use crate::policy::compare::{Differences, compare};
use crate::policy::preview::Preview;
use crate::policy::problem::Problems;
use crate::policy::{self, Files, NoFiles, Policy};
use crate::revision::{Epoch, Revision};
use crate::routing::difference::{Difference, TooMuch};
use crate::routing::engine::{Edit, EditError, Engine, Thresholds};
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
    /// What rules in shadow would have changed.
    pub shadows: Tallies,
}

/// The policy in force, and how to replace it.
#[derive(Debug)]
pub struct Live {
    source: Source,
    current: watch::Sender<Arc<Current>>,
    history: History,
    in_force: Mutex<InForce>,
    /// Held while loading, so that changes come one by one.
    writer: Mutex<Writer>,
    files: watch::Sender<Vec<PathBuf>>,
}

/// What makes the next revision.
#[derive(Debug)]
struct Writer {
    inputs: Inputs,
    engine: Engine,
}

/// All that a policy was made from: another load of the same gives the same.
#[derive(Clone, Debug)]
struct Inputs {
    text: Digest,
    files: BTreeMap<String, Digest>,
}

/// What a load did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A new policy is in force, at this revision, and what is different in it.
    Replaced(Revision, Box<Differences>),
    /// The text, and every file that it names, is the one in force already.
    Unchanged(Revision),
}

/// What may take the place of the policy in force.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    /// This text, with the files that it names.
    Text(&'a str, &'a dyn Files),
    /// The policy in force with a rule that is in shadow taking part.
    LiveRule(&'a str),
}

/// Why nothing can be told of a candidate.
#[derive(Debug, thiserror::Error)]
pub enum NoPreview {
    /// It has problems.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// There is no such rule in shadow.
    #[error("the policy in force has no such rule in shadow")]
    NoSuchRule,
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
            Self::File(path) => files::regular(path)
                .map_err(|error| LoadError::Unreadable { path: path.clone(), error }),
            Self::Example => Ok(EXAMPLE.into()),
        }
    }

    /// Checks a text, and says in the log what is probably not meant.
    fn check(&self, text: &[u8], before: Option<&Engine>) -> Result<(Policy, Writer), LoadError> {
        let name = self.to_string();
        let ((policy, engine), files) = match self {
            Self::File(path) => {
                let folder = Folder::of(path);
                (Policy::load_over(before, &name, text, &folder)?, folder.into_read())
            }
            Self::Example => (Policy::load_over(before, &name, text, &NoFiles)?, BTreeMap::new()),
        };
        for warning in &policy.warnings {
            warn!("{}", warning.line(&name));
        }
        let inputs = Inputs { text: Digest::of(text), files };
        Ok((policy, Writer { inputs, engine }))
    }

    /// Where the policy's files are, its own first: those that it was made of, and
    /// more that it names. None for the example.
    fn files(&self, inputs: &Inputs, more: &BTreeSet<String>) -> Vec<PathBuf> {
        let Self::File(path) = self else { return Vec::new() };
        let folder = Folder::of(path);
        let named = inputs.files.keys().chain(more).map(|name| folder.path(name));
        std::iter::once(path.clone()).chain(named).collect()
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

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(..) => f.write_str("Text"),
            Self::LiveRule(rule) => f.debug_tuple("LiveRule").field(rule).finish(),
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
        let text = source.read()?;
        let (policy, writer) = source.check(&text, None)?;
        let revision = Revision::first(epoch);
        let shadows = Tallies::new(&policy);
        let current =
            Arc::new(Current { revision, snapshot: Arc::clone(&policy.snapshot), shadows });
        let history = History::new(Arc::clone(&current));
        let applied = Arc::new(Applied::new(policy, &text, &writer.inputs));
        let in_force = Mutex::new(InForce { current: Arc::clone(&current), applied });
        let current = watch::Sender::new(current);
        let files = watch::Sender::new(source.files(&writer.inputs, &BTreeSet::new()));
        Ok(Self { source, current, history, in_force, writer: Mutex::new(writer), files })
    }

    /// Loads the policy again. Takes long for a large one: not for a thread
    /// that answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The one in force stays.
    pub fn reload(&self) -> Result<Loaded, LoadError> {
        let mut writer = self.writer();
        let (loaded, text) = match self.source.read() {
            Ok(text) => (self.load(&mut writer, &text), text),
            Err(error) => (Err(error), Vec::new()),
        };
        // What is wrong may be in a file that only the refused text names, and be put
        // right there.
        let refused = match &loaded {
            Ok(_) => BTreeSet::new(),
            Err(_) => policy::named_files(&text),
        };
        self.files.send_replace(self.source.files(&writer.inputs, &refused));
        loaded
    }

    fn load(&self, writer: &mut Writer, text: &[u8]) -> Result<Loaded, LoadError> {
        if self.source.is(text, &writer.inputs) {
            return Ok(Loaded::Unchanged(self.now().revision));
        }
        let (policy, next) = self.source.check(text, Some(&writer.engine))?;
        *writer = next;
        let InForce { current, applied } = self.in_force();
        let differences = compare(&applied.policy, &policy);
        let shadows = current.shadows.carried(&applied.policy, &policy, &differences);
        let snapshot = Arc::clone(&policy.snapshot);
        let applied = Arc::new(Applied::new(policy, text, &writer.inputs));
        let revision = self.publish(snapshot, applied, shadows);
        Ok(Loaded::Replaced(revision, Box::new(differences)))
    }

    /// What would change if another policy took the place of the one in force: at
    /// which revision that is, what is different in the text, and whom that
    /// concerns. Takes long for large ones, and loads wait meanwhile.
    ///
    /// # Errors
    ///
    /// The candidate has problems. Inside: it is too much to tell.
    pub fn preview(
        &self,
        candidate: Candidate<'_>,
        samples: usize,
    ) -> Result<(Revision, Differences, Result<Preview, TooMuch>), NoPreview> {
        let writer = self.writer();
        let InForce { current, applied } = self.in_force();
        let (policy, _) = match candidate {
            Candidate::Text(text, files) => {
                Policy::load_candidate(&writer.engine, "policy", text.as_bytes(), files)?
            }
            Candidate::LiveRule(rule) => {
                applied.policy.with_live_rule(rule, &writer.engine).ok_or(NoPreview::NoSuchRule)?
            }
        };
        drop(writer);
        let differences = compare(&applied.policy, &policy);
        let preview = applied.policy.preview(&current.snapshot, &policy, &policy.snapshot, samples);
        Ok((current.revision, differences, preview))
    }

    /// Changes who is in the groups that the directory fills, all of it or
    /// nothing, and says at which revision it holds.
    ///
    /// # Errors
    ///
    /// A group is not one that the directory fills.
    pub fn edit(&self, edits: &[Edit<'_>]) -> Result<Revision, EditError> {
        let mut writer = self.writer();
        writer.engine.edit(edits)?;
        let InForce { current, applied } = self.in_force();
        Ok(self.publish(writer.engine.snapshot(), applied, current.shadows.clone()))
    }

    /// Sets the thresholds of the engine, so that tests reach with a few users what
    /// otherwise takes thousands.
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        self.writer().engine.set_thresholds(thresholds);
    }

    /// Only for whoever holds the writer.
    fn publish(
        &self,
        snapshot: Arc<Snapshot>,
        applied: Arc<Applied>,
        shadows: Tallies,
    ) -> Revision {
        let revision = self.now().revision.next();
        let current = Arc::new(Current { revision, snapshot, shadows });
        // First: whoever hears of a revision can ask for it.
        self.history.add(Arc::clone(&current));
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) =
            InForce { current: Arc::clone(&current), applied };
        self.current.send_replace(current);
        revision
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Poison is no harm: what is in force is replaced in one piece.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files to look at for a change, the policy's own first, and word of every
    /// load, whoever asked for it: those that the policy in force is made of, and if
    /// the latest load was refused, those that its text names. None for the example.
    pub fn files(&self) -> watch::Receiver<Vec<PathBuf>> {
        self.files.subscribe()
    }

    /// Where the policy comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What is in force now.
    pub fn now(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    /// The policy in force, along with what it decides.
    pub fn in_force(&self) -> InForce {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in force, and word when that changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    /// What was in force at a revision of this history, if it is kept.
    pub fn at(&self, revision: Revision) -> Option<Arc<Current>> {
        self.history.at(revision)
    }

    /// Who gained and who lost sight of whom from one revision to a later one.
    /// Found once, however many ask.
    ///
    /// # Errors
    ///
    /// It is too much to tell.
    pub async fn difference(
        &self,
        from: &Arc<Current>,
        to: &Arc<Current>,
    ) -> Result<Arc<Difference>, TooMuch> {
        self.history.difference(from, to).await
    }
}
