//! The live state of a daemon: the active policy with the directory, and the replacement of
//! the policy by another one.
//!
//! ```text
//! source ──> loader ──> Live ──> publisher ──> rpc
//!            checks     counts   history,
//!            a policy   revi-    watchers,
//!            as a whole sions    failed load
//! ```
//!
//! Read in this order: the `loader` turns a source into a completely checked policy. For a
//! policy that a caller sends, `active_files` decides which members files it may read. The
//! `publisher` makes a policy active at a given revision, keeps the latest revisions in a
//! `history`, and remembers a failed load. [`Live`] connects loader and publisher, makes one
//! change at a time, and assigns the revisions. `candidate` checks and plans a policy that does
//! not become active.

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
use presence_router_ids::RoomCapabilities;
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

/// The live state of this process. All services share one `Live`.
///
/// Readers take the active policy without waiting for a load. Changes, which are loads and
/// edits of the directory, happen one after another.
#[derive(Debug)]
pub struct Live {
    loader: Loader,
    publisher: Publisher,
    /// Locked during a change, so that changes happen one after another.
    writer: Mutex<Writer>,
}

/// The state from which the next revision is built.
#[derive(Debug)]
struct Writer {
    inputs: Inputs,
    engine: Engine,
    /// The latest assigned revision.
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

    /// Does the same as [`Live::start`], with settings. `progress` receives the progress of
    /// this load and of later ones.
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
        // Not reached: without a previous policy, a load never finds the policy unchanged.
        let Found::Checked(checked) = found? else { return Err(LoadError::Incomplete) };
        let Checked { policy, engine, inputs, text } = *checked;
        let (snapshot, shadows) = (Arc::clone(&policy.snapshot), ShadowCounters::new(&policy));
        let revision = Revision::first(epoch);
        let current = Arc::new(Current { revision, snapshot, shadows });
        let applied = Arc::new(Applied::new(policy, &text, &inputs));
        let publisher = Publisher::new(ActivePolicy { current, applied }, files);
        Ok(Self { loader, publisher, writer: Mutex::new(Writer { inputs, engine, revision }) })
    }

    /// Loads the policy again. A large policy takes long: do not call this on a thread that
    /// answers requests.
    ///
    /// # Errors
    ///
    /// The policy cannot be loaded. The previous one stays active.
    pub fn reload(&self, options: LoadOptions<'_>) -> Result<Loaded, Arc<LoadError>> {
        let mut writer = self.lock_writer();
        let ActivePolicy { current, applied } = self.active();
        let before = Before { inputs: &writer.inputs, engine: &writer.engine, applied: &applied };
        let Attempt { found, files, may_pass } = self.loader.load(Some(before), options.force);
        let loaded = match found {
            // Not a failure of the policy, which was not even checked.
            Err(LoadError::Incomplete) => return Err(Arc::new(LoadError::Incomplete)),
            Ok(Found::Checked(_)) if !(options.were_complete)(&files) => {
                return Err(Arc::new(LoadError::Incomplete));
            }
            Ok(Found::Checked(checked)) => Ok(self.publish_loaded(&mut writer, *checked)),
            Ok(Found::Unchanged) => Ok(Loaded::Unchanged(current.revision)),
            Err(error) => Err(Arc::new(error)),
        };
        match &loaded {
            Ok(_) => self.publisher.record_success(files),
            Err(error) => self.publisher.record_failure(Arc::clone(error), may_pass, files),
        }
        loaded
    }

    /// Checks the text of a policy as a load would, and changes nothing. The text may name
    /// only members files that the active policy names too.
    ///
    /// # Errors
    ///
    /// All problems for which a load would reject the text.
    pub fn check_text(&self, text: &str) -> Result<Policy, Problems> {
        candidate::check_text(&self.loader, &self.active().applied, text)
    }

    /// Computes the effect of replacing the active policy by a candidate. Large policies
    /// take long, and loads wait meanwhile.
    ///
    /// # Errors
    ///
    /// The candidate has problems, or is the live form of a shadow rule that does not exist.
    pub fn plan_candidate(
        &self,
        candidate: Candidate<'_>,
        samples: usize,
    ) -> Result<Planned, PlanError> {
        let writer = self.lock_writer();
        let active = self.active();
        let policy = candidate.load(&self.loader, &active.applied, &writer.engine)?;
        drop(writer);
        Ok(Planned::new(&active, &policy, samples))
    }

    /// Changes the members of directory groups, and returns the revision with all of the
    /// edits. If one edit fails, none of them applies.
    ///
    /// # Errors
    ///
    /// A group is not a directory group.
    pub fn edit_directory(&self, edits: &[Edit<'_>]) -> Result<Revision, EditError> {
        let mut writer = self.lock_writer();
        writer.engine.edit(edits)?;
        let ActivePolicy { current, applied } = self.active();
        let (snapshot, shadows) = (writer.engine.snapshot(), current.shadows.clone());
        let revision = writer.next_revision();
        let current = Arc::new(Current { revision, snapshot, shadows });
        self.publisher.publish(ActivePolicy { current, applied });
        Ok(revision)
    }

    /// Sets the thresholds of the engine, so that tests with a few users cover code that
    /// otherwise runs only with thousands.
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        self.lock_writer().engine.set_thresholds(thresholds);
    }

    /// Publishes a loaded policy.
    fn publish_loaded(&self, writer: &mut Writer, checked: Checked) -> Loaded {
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

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        // A poisoned lock is harmless: the active policy is replaced in one step.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to the files to watch, the policy's own first, each in the state in which
    /// it was read. These are the files of the active policy and, if the latest load was
    /// rejected, the files that the rejected text names. The example policy has no files.
    /// Every load sends them, also a load by another caller.
    pub fn subscribe_files(&self) -> watch::Receiver<Vec<SeenFile>> {
        self.publisher.subscribe_files()
    }

    /// Subscribes to the latest load, if it failed.
    pub fn subscribe_failed_load(&self) -> watch::Receiver<Option<FailedLoad>> {
        self.publisher.subscribe_failed_load()
    }

    /// The progress of the load that is running.
    pub fn progress(&self) -> &Progress {
        &self.loader.progress
    }

    /// The source of the policy.
    pub fn source(&self) -> &Source {
        &self.loader.source
    }

    /// The current revision, with the snapshot that answers are computed from.
    pub fn current(&self) -> Arc<Current> {
        self.publisher.current()
    }

    /// The active policy, with its snapshot.
    pub fn active(&self) -> ActivePolicy {
        self.publisher.active()
    }

    /// Subscribes to the current revision and its snapshot.
    pub fn subscribe_current(&self) -> watch::Receiver<Arc<Current>> {
        self.publisher.subscribe_current()
    }

    /// Returns a revision of this history with its snapshot, if the history keeps it.
    pub fn at_revision(&self, revision: Revision) -> Option<Arc<Current>> {
        self.publisher.at_revision(revision)
    }

    /// Returns the pairs that a later revision gains and loses, for callers with these
    /// capabilities. The search runs once for all callers with the same two revisions whose
    /// capabilities make no difference to it.
    ///
    /// # Errors
    ///
    /// The difference is too large to list.
    pub async fn difference(
        &self,
        from: &Arc<Current>,
        to: &Arc<Current>,
        capabilities: RoomCapabilities,
    ) -> Result<Arc<Difference>, TooMuch> {
        self.publisher.difference(from, to, capabilities).await
    }
}

// === impl Writer ===

impl Writer {
    /// Assigns a revision. Without a store, nothing else assigns revisions.
    fn next_revision(&mut self) -> Revision {
        self.revision = self.revision.next();
        self.revision
    }
}
