//! What is in force: a policy, loaded at start and again on request, and the
//! directory. A policy is checked as a whole before it takes the place of the one
//! before it, which stays if anything is wrong.
//!
//! Every change makes the next revision. The latest ones are kept, so that it can
//! be told what has changed since.

mod failure;
mod history;
mod in_force;
mod loader;
mod tallies;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use tokio::sync::watch;

pub use self::failure::FailedLoad;
use self::history::History;
pub use self::in_force::{Applied, InForce};
use self::loader::{ActiveFiles, Attempt, Before, Checked, Inputs, Loader};
pub use self::loader::{LoadSettings, Source};
pub use self::tallies::Tallies;
use crate::revision::{Epoch, Revision};
use crate::source::progress::Progress;
use crate::source::stamp::SeenFile;
use presence_router_engine::policy::Policy;
use presence_router_engine::policy::analyse::compare::{Differences, compare};
use presence_router_engine::policy::analyse::impact::{self, Impact};
use presence_router_engine::policy::analyse::members_files::{
    MembersFileChange, members_file_changes,
};
use presence_router_engine::policy::problem::Problems;
use presence_router_engine::routing::change::difference::{Difference, TooMuch};
use presence_router_engine::routing::engine::{Edit, EditError, Engine, Thresholds};
use presence_router_engine::routing::snapshot::Snapshot;

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
    loader: Loader,
    current: watch::Sender<Arc<Current>>,
    history: History,
    in_force: Mutex<InForce>,
    /// Held while loading, so that changes come one by one.
    writer: Mutex<Writer>,
    files: watch::Sender<Vec<SeenFile>>,
    failed: watch::Sender<Option<FailedLoad>>,
}

/// What makes the next revision.
#[derive(Debug)]
struct Writer {
    inputs: Inputs,
    engine: Engine,
}

/// How to load.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Let a members file that listed users list nobody.
    pub force: bool,

    /// Asked before a policy is published: whether the files that it was read from were
    /// complete.
    pub were_complete: &'a dyn Fn(&[SeenFile]) -> bool,
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
#[derive(Clone, Copy, Debug)]
pub enum Candidate<'a> {
    /// This text, with those members files that the policy in force names too.
    Text(&'a str),
    /// The policy in force with a rule that is in shadow taking part.
    LiveRule(&'a str),
}

/// What a candidate would change.
#[derive(Debug)]
pub struct Planned {
    /// The revision of the policy in force.
    pub revision: Revision,
    /// What is different in the text.
    pub differences: Differences,
    /// Members files that list other users by now.
    pub members_files: Vec<MembersFileChange>,
    /// Whom it concerns.
    pub preview: Result<Impact, TooMuch>,
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

    /// Somebody was writing to a file meanwhile. This is no failure of the policy.
    #[error("the policy's files were being written while they were read; try again")]
    Incomplete,
}

// === impl LoadOptions ===

impl LoadOptions<'_> {
    /// For who asks for a load now, whatever is under way.
    pub const AT_ONCE: LoadOptions<'static> =
        LoadOptions { force: false, were_complete: &|_| true };
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("force", &self.force).finish_non_exhaustive()
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
        Self::start_with(source, LoadSettings::default(), Progress::default(), epoch)
    }

    /// As [`Live::start`], with settings. `progress` hears how far this load and later
    /// ones are.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded.
    pub fn start_with(
        source: Source,
        settings: LoadSettings,
        progress: Progress,
        epoch: Epoch,
    ) -> Result<Self, LoadError> {
        let loader = Loader { source, settings, progress };
        let Attempt { found, files, .. } = loader.attempt(None, false);
        // Without a policy before it none is unchanged.
        let Some(Checked { policy, engine, inputs, text }) = found? else {
            return Err(LoadError::Incomplete);
        };
        let revision = Revision::first(epoch);
        let shadows = Tallies::new(&policy);
        let current =
            Arc::new(Current { revision, snapshot: Arc::clone(&policy.snapshot), shadows });
        let history = History::new(Arc::clone(&current));
        let applied = Arc::new(Applied::new(policy, &text, &inputs));
        let in_force = Mutex::new(InForce { current: Arc::clone(&current), applied });
        let writer = Mutex::new(Writer { inputs, engine });
        let (current, files) = (watch::Sender::new(current), watch::Sender::new(files));
        let failed = watch::Sender::new(None);
        Ok(Self { loader, current, history, in_force, writer, files, failed })
    }

    /// Loads the policy again. Takes long for a large one: not for a thread
    /// that answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The one in force stays.
    pub fn reload(&self, options: LoadOptions<'_>) -> Result<Loaded, Arc<LoadError>> {
        let mut writer = self.writer();
        let InForce { current, applied } = self.in_force();
        let before = Before { inputs: &writer.inputs, engine: &writer.engine, applied: &applied };
        let Attempt { found, files, may_pass } = self.loader.attempt(Some(before), options.force);
        let found = match found {
            Ok(Some(_)) if !(options.were_complete)(&files) => Err(LoadError::Incomplete),
            found => found,
        };
        // No failure of the policy, and nothing of it was looked at.
        if matches!(found, Err(LoadError::Incomplete)) {
            return Err(Arc::new(LoadError::Incomplete));
        }
        let loaded = found.map(|found| match found {
            None => Loaded::Unchanged(current.revision),
            Some(Checked { policy, engine, inputs, text }) => {
                let differences = compare(&applied.policy, &policy);
                let shadows = current.shadows.carried(&applied.policy, &policy, &differences);
                let snapshot = Arc::clone(&policy.snapshot);
                let applied = Arc::new(Applied::new(policy, &text, &inputs));
                *writer = Writer { inputs, engine };
                let revision = self.publish(snapshot, applied, shadows);
                Loaded::Replaced(revision, Box::new(differences))
            }
        });
        let loaded = loaded.map_err(Arc::new);
        self.failed.send_modify(|failed| {
            *failed = loaded
                .as_ref()
                .err()
                .map(|error| FailedLoad::after(failed.as_ref(), Arc::clone(error), may_pass));
        });
        // Last: who hears of it finds everything else done.
        self.files.send_replace(files);
        loaded
    }

    /// Checks a text as a load would, and changes nothing. It may name those members
    /// files that the policy in force names too.
    ///
    /// # Errors
    ///
    /// All problems for which it would be rejected.
    pub fn check(&self, text: &str) -> Result<Policy, Problems> {
        let InForce { applied, .. } = self.in_force();
        let files = ActiveFiles::new(&self.loader, &applied);
        let policy = Policy::load("policy", text.as_bytes(), &files)?;
        let changes = members_file_changes(&applied.policy.document, &policy.document);
        let problems: Vec<_> = changes.iter().filter_map(MembersFileChange::problem).collect();
        if problems.is_empty() || self.loader.settings.allow_empty_members_files {
            Ok(policy)
        } else {
            Err(Problems::new("policy", problems))
        }
    }

    /// What would change if another policy took the place of the one in force. Takes
    /// long for large ones, and loads wait meanwhile.
    ///
    /// # Errors
    ///
    /// The candidate has problems.
    pub fn preview(&self, candidate: Candidate<'_>, samples: usize) -> Result<Planned, NoPreview> {
        let writer = self.writer();
        let InForce { current, applied } = self.in_force();
        let (policy, _) = match candidate {
            Candidate::Text(text) => {
                let files = ActiveFiles::new(&self.loader, &applied);
                Policy::load_candidate(&writer.engine, "policy", text.as_bytes(), &files)?
            }
            Candidate::LiveRule(rule) => {
                applied.policy.with_live_rule(rule, &writer.engine).ok_or(NoPreview::NoSuchRule)?
            }
        };
        drop(writer);
        Ok(Planned {
            revision: current.revision,
            differences: compare(&applied.policy, &policy),
            members_files: members_file_changes(&applied.policy.document, &policy.document),
            preview: impact::plan(
                &applied.policy,
                &current.snapshot,
                &policy,
                &policy.snapshot,
                samples,
            ),
        })
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

    /// The files to look at for a change, the policy's own first, as they were when they
    /// were read, and word of every load, whoever asked for it: those that the policy in
    /// force is made of, and if the latest load was rejected, those that its text names.
    /// None for the example.
    pub fn files(&self) -> watch::Receiver<Vec<SeenFile>> {
        self.files.subscribe()
    }

    /// The latest load, if it failed, and word when that changes.
    pub fn failed(&self) -> watch::Receiver<Option<FailedLoad>> {
        self.failed.subscribe()
    }

    /// How far the load is that is under way.
    pub fn progress(&self) -> &Progress {
        &self.loader.progress
    }

    /// Where the policy comes from.
    pub fn source(&self) -> &Source {
        &self.loader.source
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
