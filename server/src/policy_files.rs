//! The files of the policy, followed from load to load, whoever asks for one: which
//! to watch, and whether a load has anything to tell that was not told before.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::files::{self, Digest};
use crate::live::{Live, LoadError, Loaded, Source};
use crate::watching::{Changes, Watching};

/// What is known of the files.
#[derive(Debug)]
pub struct PolicyFiles {
    watching: Watching,
    /// `None`: they are not to be watched.
    files: Option<watch::Receiver<Vec<PathBuf>>>,
    /// What was last told to be wrong.
    told: Option<Failure>,
}

/// A load that failed. Told once for each text and each message.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    text: Digest,
    message: String,
}

// === impl PolicyFiles ===

impl PolicyFiles {
    /// Watches the files of the policy in force, if it is one to watch.
    pub fn new(live: &Live, watch: bool) -> Self {
        let files = live.files();
        let watched = watch && !files.borrow().is_empty();
        let mut this =
            Self { watching: Watching::default(), files: watched.then_some(files), told: None };
        // A change since the start went unseen.
        this.follow();
        this
    }

    /// Word of their changes.
    pub fn changes(&self) -> Changes {
        self.watching.changes()
    }

    /// Watches the files of the latest load, by whomever. One that was not watched
    /// before may have changed meanwhile.
    pub fn follow(&mut self) {
        if self.watch() {
            self.watching.touch();
        }
    }

    /// Loads the policy again. Whether there is anything to tell of it besides a new
    /// policy: always of a load that somebody asked for by hand.
    pub fn load(&mut self, live: &Live, by_hand: bool) -> (Result<Loaded, LoadError>, bool) {
        // First, so that no change is missed that is made while it loads.
        self.watch();
        let loaded = live.reload();
        if self.files.is_none() {
            return (loaded, true);
        }
        let failure = loaded.as_ref().err().map(|error| {
            let text = match live.source() {
                Source::File(path) => files::regular(path).unwrap_or_default(),
                Source::Example => Vec::new(),
            };
            Failure { text: Digest::of(&text), message: error.to_string() }
        });
        let news = by_hand || failure != self.told;
        self.told = failure;
        (loaded, news)
    }

    /// Whether anything is watched that was not before.
    fn watch(&mut self) -> bool {
        let Some(files) = &mut self.files else { return false };
        let files = files.borrow_and_update().clone();
        self.watching.follow(&files)
    }
}
