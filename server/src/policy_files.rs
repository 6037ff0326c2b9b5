//! The files of the policy, followed from load to load: which to watch, and
//! whether a load has anything to tell that was not told before.

use std::path::PathBuf;

use crate::files::{Digest, Folder};
use crate::live::{Live, LoadError, Loaded, Source};
use crate::policy;
use crate::watching::{Changes, Watching};

/// What is known of the files.
#[derive(Debug)]
pub struct PolicyFiles {
    watching: Watching,
    /// Not watched if there are none.
    files: Vec<PathBuf>,
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
        let files = if watch { live.files() } else { Vec::new() };
        let mut this = Self { watching: Watching::default(), files, told: None };
        if !this.files.is_empty() {
            this.watching.follow(&this.files);
            // A change since the start went unseen.
            this.watching.touch();
        }
        this
    }

    /// Word of their changes.
    pub fn changes(&self) -> Changes {
        self.watching.changes()
    }

    /// Loads the policy again, and watches what it is made of now. Whether there
    /// is anything to tell of it besides a new policy: always of a load that
    /// somebody asked for by hand.
    pub fn load(&mut self, live: &Live, by_hand: bool) -> (Result<Loaded, LoadError>, bool) {
        if self.files.is_empty() {
            return (live.reload(), true);
        }
        // First, so that no change is missed that is made while it loads.
        self.watching.follow(&self.files);
        let loaded = live.reload();
        self.files = live.files();
        let failure = loaded.as_ref().err().map(|error| {
            let mut text = Vec::new();
            if let Source::File(path) = live.source() {
                text = std::fs::read(path).unwrap_or_default();
                // What is wrong may be in one of these, and put right there.
                let (named, folder) = (policy::named_files(&text), Folder::of(path));
                self.files.extend(named.iter().map(|name| folder.path(name)));
            }
            Failure { text: Digest::of(&text), message: error.to_string() }
        });
        if self.watching.follow(&self.files) {
            self.watching.touch();
        }
        let news = by_hand || failure != self.told;
        self.told = failure;
        (loaded, news)
    }
}
