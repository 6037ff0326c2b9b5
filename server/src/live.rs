//! The live state of a daemon: the active policy with the directory, and how another one
//! takes its place.
//!
//! ```text
//! source ──> loader ──> Live ──> publisher ──> rpc
//!            checks     counts   history,
//!            a policy   revi-    watchers,
//!            as a whole sions    failed load
//! ```
//!
//! To read in this order: the `loader` turns a source into a policy that was checked as a
//! whole, with members files as `active_files` allows them where a caller asks; the
//! `publisher` makes it the active one at the revision that it is given, keeps the latest
//! revisions in a `history`, and remembers a load that failed. [`Live`] joins the two, one
//! change at a time, and gives out the revisions. `candidate` checks and plans a policy that
//! does not become active.

mod active;
mod active_files;
mod candidate;
mod failed_load;
mod history;
mod load_error;
mod load_options;
mod loader;
mod publisher;
mod shadow_counts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use presence_router_engine::unstable::routing::engine::{Engine, Thresholds};
use presence_router_engine::{Difference, Edit, EditError, Policy, Problems, TooMuch, compare};
use tokio::sync::watch;

use self::active::Inputs;
pub use self::active::{ActivePolicy, Applied, Current};
pub use self::candidate::{Candidate, PlanError, Planned};
pub use self::failed_load::FailedLoad;
pub use self::load_error::LoadError;
pub use self::load_options::{LoadOptions, Loaded};
use self::loader::{Attempt, Before, Checked, Found, Loader};
pub use self::loader::{LoadSettings, Source};
use self::publisher::Publisher;
pub use self::shadow_counts::ShadowCounters;
use crate::revision::{Epoch, Revision};
use crate::source::progress::Progress;
use crate::source::stamp::SeenFile;

/// What is live in this process. All services share one.
///
/// Readers take what is active without waiting for a load; whatever changes it, a load or an
/// edit of the directory, does so one after another.
#[derive(Debug)]
pub struct Live {
    loader: Loader,
    publisher: Publisher,
    /// Held during a change, so that changes come one by one.
    writer: Mutex<Writer>,
}

/// What the next revision is made from.
#[derive(Debug)]
struct Writer {
    inputs: Inputs,
    engine: Engine,
    /// The latest revision that was given out.
    revision: Revision,
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
        let Attempt { found, files, .. } = loader.load(None, false);
        // Without a policy before it none is unchanged.
        let Found::Checked(checked) = found? else { return Err(LoadError::Incomplete) };
        let Checked { policy, engine, inputs, text } = *checked;
        let (snapshot, shadows) = (Arc::clone(&policy.snapshot), ShadowCounters::new(&policy));
        let revision = Revision::first(epoch);
        let current = Arc::new(Current { revision, snapshot, shadows });
        let applied = Arc::new(Applied::new(policy, &text, &inputs));
        let publisher = Publisher::new(ActivePolicy { current, applied }, files);
        Ok(Self { loader, publisher, writer: Mutex::new(Writer { inputs, engine, revision }) })
    }

    /// Loads the policy again. Takes long for a large one: not for a thread
    /// that answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The active one stays.
    pub fn reload(&self, options: LoadOptions<'_>) -> Result<Loaded, Arc<LoadError>> {
        let mut writer = self.writer();
        let ActivePolicy { current, applied } = self.active();
        let before = Before { inputs: &writer.inputs, engine: &writer.engine, applied: &applied };
        let Attempt { found, files, may_pass } = self.loader.load(Some(before), options.force);
        let loaded = match found {
            // No failure of the policy, and nothing of it was looked at.
            Err(LoadError::Incomplete) => return Err(Arc::new(LoadError::Incomplete)),
            Ok(Found::Checked(_)) if !(options.were_complete)(&files) => {
                return Err(Arc::new(LoadError::Incomplete));
            }
            Ok(Found::Checked(checked)) => Ok(self.replace(&mut writer, *checked)),
            Ok(Found::Unchanged) => Ok(Loaded::Unchanged(current.revision)),
            Err(error) => Err(Arc::new(error)),
        };
        match &loaded {
            Ok(_) => self.publisher.record_success(files),
            Err(error) => self.publisher.record_failure(Arc::clone(error), may_pass, files),
        }
        loaded
    }

    /// Checks a text as a load would, and changes nothing. It may name those members
    /// files that the active policy names too.
    ///
    /// # Errors
    ///
    /// All problems for which it would be rejected.
    pub fn check(&self, text: &str) -> Result<Policy, Problems> {
        candidate::check(&self.loader, &self.active().applied, text)
    }

    /// Tells what would change if another policy took the place of the active one. Takes
    /// long for large ones, and loads wait meanwhile.
    ///
    /// # Errors
    ///
    /// The candidate has problems.
    pub fn plan(&self, candidate: Candidate<'_>, samples: usize) -> Result<Planned, PlanError> {
        let writer = self.writer();
        let active = self.active();
        let policy = candidate.load(&self.loader, &active.applied, &writer.engine)?;
        drop(writer);
        Ok(Planned::new(&active, &policy, samples))
    }

    /// Changes who is in the groups that the directory fills, all of it or
    /// nothing, and returns the revision at which it holds.
    ///
    /// # Errors
    ///
    /// A group is not one that the directory fills.
    pub fn edit(&self, edits: &[Edit<'_>]) -> Result<Revision, EditError> {
        let mut writer = self.writer();
        writer.engine.edit(edits)?;
        let ActivePolicy { current, applied } = self.active();
        let (snapshot, shadows) = (writer.engine.snapshot(), current.shadows.clone());
        let revision = writer.next_revision();
        let current = Arc::new(Current { revision, snapshot, shadows });
        self.publisher.publish(ActivePolicy { current, applied });
        Ok(revision)
    }

    /// Sets the thresholds of the engine, so that tests reach with a few users what
    /// otherwise takes thousands.
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        self.writer().engine.set_thresholds(thresholds);
    }

    /// Publishes a policy that was loaded.
    fn replace(&self, writer: &mut Writer, checked: Checked) -> Loaded {
        let Checked { policy, engine, inputs, text } = checked;
        let ActivePolicy { current, applied } = self.active();
        let differences = compare(&applied.policy, &policy);
        let shadows = current.shadows.carry_over(&applied.policy, &policy, &differences);
        let snapshot = Arc::clone(&policy.snapshot);
        let applied = Arc::new(Applied::new(policy, &text, &inputs));
        (writer.inputs, writer.engine) = (inputs, engine);
        let revision = writer.next_revision();
        let current = Arc::new(Current { revision, snapshot, shadows });
        self.publisher.publish(ActivePolicy { current, applied });
        Loaded::Replaced(revision, Box::new(differences))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Poison is no harm: what is active is replaced in one piece.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files to look at for a change, the policy's own first, as they were when they
    /// were read, and word of every load, whoever asked for it: those that the active policy
    /// is made of, and if the latest load was rejected, those that its text names. None for
    /// the example.
    pub fn files(&self) -> watch::Receiver<Vec<SeenFile>> {
        self.publisher.files()
    }

    /// The latest load, if it failed, and word when that changes.
    pub fn failed_load(&self) -> watch::Receiver<Option<FailedLoad>> {
        self.publisher.failed_load()
    }

    /// How far the load is that is under way.
    pub fn progress(&self) -> &Progress {
        &self.loader.progress
    }

    /// Where the policy comes from.
    pub fn source(&self) -> &Source {
        &self.loader.source
    }

    /// What answers are computed from now.
    pub fn current(&self) -> Arc<Current> {
        self.publisher.current()
    }

    /// The active policy, along with what it decides.
    pub fn active(&self) -> ActivePolicy {
        self.publisher.active()
    }

    /// What answers are computed from, and word when that changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.publisher.subscribe()
    }

    /// What answers were computed from at a revision of this history, if it is kept.
    pub fn at_revision(&self, revision: Revision) -> Option<Arc<Current>> {
        self.publisher.at_revision(revision)
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
        self.publisher.difference(from, to).await
    }
}

// === impl Writer ===

impl Writer {
    /// Gives out a revision. Without a store, nobody else does.
    fn next_revision(&mut self) -> Revision {
        self.revision = self.revision.next();
        self.revision
    }
}
