//! Turns the source of the policy into a checked policy that may be published. The loader
//! publishes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use presence_router_engine::unstable::policy::analyse::members_files::members_file_changes;
use presence_router_engine::unstable::routing::engine::Engine;
use presence_router_engine::{EXAMPLE_POLICY, Files, NoFiles, Policy, Problems, named_files};
use tracing::warn;

use super::active::{Applied, Inputs};
use super::load_error::LoadError;
use crate::source::digest::Digest;
use crate::source::files;
use crate::source::folder::{Folder, MAX_MEMBERS_BYTES};
use crate::source::progress::Progress;
use crate::source::stamp::SeenFile;

/// The source of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, which every load reads.
    File(PathBuf),
    /// [`EXAMPLE_POLICY`], for a first start without any settings.
    Example,
}

/// The operator's settings for loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// Maximum size of a members file, in bytes.
    pub members_file_bytes: u64,
    /// True if a members file that listed users before may become empty.
    pub allow_empty_members_files: bool,
}

/// Reads and checks the policy.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) source: Source,
    pub(super) settings: LoadSettings,
    pub(super) progress: Progress,
}

/// A policy that may be published.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) policy: Policy,
    pub(super) engine: Engine,
    pub(super) inputs: Inputs,
    pub(super) text: Vec<u8>,
}

/// The active policy before a load.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) engine: &'a Engine,
    pub(super) applied: &'a Applied,
}

/// The policy that a load found in the source.
#[derive(Debug)]
pub(super) enum Found {
    /// A policy other than the active one.
    Checked(Box<Checked>),
    /// The active policy.
    Unchanged,
}

/// An attempt to load the policy.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) found: Result<Found, LoadError>,
    /// The files that the policy was read from, its own first. If it was rejected, the list
    /// also contains the files of the active policy. The example has no files.
    pub(super) files: Vec<SeenFile>,
    /// True if another try may succeed although no file changes.
    pub(super) may_pass: bool,
}

// === impl LoadSettings ===

impl Default for LoadSettings {
    fn default() -> Self {
        Self { members_file_bytes: MAX_MEMBERS_BYTES, allow_empty_members_files: false }
    }
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Example => f.write_str("example.yaml"),
        }
    }
}

// === impl Loader ===

impl Loader {
    /// Reads and checks the policy. With `force`, a members file that listed users before may
    /// be empty.
    pub(super) fn load(&self, before: Option<Before<'_>>, force: bool) -> Attempt {
        self.progress.begin_load();
        match &self.source {
            Source::File(path) => self.load_file(path, before, force),
            Source::Example => {
                let found = match before {
                    Some(_) => Ok(Found::Unchanged),
                    None => {
                        self.check_text(EXAMPLE_POLICY.into(), None, &NoFiles, BTreeMap::new, force)
                    }
                };
                Attempt { found, files: Vec::new(), may_pass: false }
            }
        }
    }

    fn load_file(&self, path: &Path, before: Option<Before<'_>>, force: bool) -> Attempt {
        let folder =
            Folder::with_limit(path, self.settings.members_file_bytes, self.progress.clone());
        let (text, stamp) = match files::read_regular(path) {
            Ok(read) => read,
            Err(error) => return unreadable_policy(path, error, &folder, before),
        };
        if before.is_some_and(|before| before.inputs.still_match(&text, &folder)) {
            let policy = SeenFile { path: path.to_owned(), stamp };
            let files = files_to_watch(policy, &folder, before, BTreeSet::new());
            return Attempt { found: Ok(Found::Unchanged), files, may_pass: false };
        }
        let digests = || {
            let read = folder.read_files().into_iter();
            read.map(|(name, read)| (name, read.digest)).collect()
        };
        let found = self.check_text(text.clone(), before, &folder, digests, force);
        let found = match found {
            Err(_) if folder.was_rewritten() => Err(LoadError::Incomplete),
            found => found,
        };
        // The problem may be in a file that only the rejected text names, and an operator
        // may solve it there.
        let (named, before) = match &found {
            Ok(_) => (BTreeSet::new(), None),
            Err(_) => (named_files(&text), before),
        };
        let policy = SeenFile { path: path.to_owned(), stamp };
        let files = files_to_watch(policy, &folder, before, named);
        let may_pass = found.is_err() && folder.may_pass();
        Attempt { found, files, may_pass }
    }

    /// Checks a text, and logs the policy's warnings. `digests` returns the digests of the
    /// files that were read.
    fn check_text(
        &self,
        text: Vec<u8>,
        before: Option<Before<'_>>,
        files: &dyn Files,
        digests: impl FnOnce() -> BTreeMap<String, Digest>,
        force: bool,
    ) -> Result<Found, LoadError> {
        let name = self.source.to_string();
        let engine = before.map(|before| before.engine);
        let (mut policy, engine) = Policy::load_over(engine, &name, &text, files)?;
        if let Some(Before { applied, .. }) = before {
            let changes = members_file_changes(&applied.policy.document, &policy.document);
            if !force && !self.settings.allow_empty_members_files {
                let problems: Vec<_> =
                    changes.iter().filter_map(|change| change.emptied_problem()).collect();
                if !problems.is_empty() {
                    return Err(Problems::new(&name, problems).into());
                }
            }
            policy.warnings.extend(changes.iter().filter_map(|change| change.shrunk_warning()));
            policy.warnings.sort_by_key(|warning| warning.position);
        }
        for warning in &policy.warnings {
            warn!("{}", warning.display_line(&name));
        }
        let inputs = Inputs { text: Digest::of_text(&text), files: digests() };
        Ok(Found::Checked(Box::new(Checked { policy, engine, inputs, text })))
    }
}

/// Returns the attempt for a policy whose own file cannot be read.
fn unreadable_policy(
    path: &Path,
    error: io::Error,
    folder: &Folder,
    before: Option<Before<'_>>,
) -> Attempt {
    let may_pass = files::may_pass(&error);
    let error = match files::was_rewritten(&error) {
        true => LoadError::Incomplete,
        false => LoadError::Unreadable { path: path.to_owned(), error },
    };
    let policy = SeenFile::look_at(path.to_owned());
    let files = files_to_watch(policy, folder, before, BTreeSet::new());
    Attempt { found: Err(error), files, may_pass }
}

/// Returns the files to watch: the policy's own file, the files that were read, the files of
/// the active policy, and `more`.
fn files_to_watch(
    policy: SeenFile,
    folder: &Folder,
    before: Option<Before<'_>>,
    more: BTreeSet<String>,
) -> Vec<SeenFile> {
    let read = folder.read_files();
    let mut names = more;
    names.extend(read.keys().cloned());
    names.extend(before.into_iter().flat_map(|before| before.inputs.files.keys()).cloned());
    let others = names.into_iter().map(|name| {
        let path = folder.path_of_file(&name);
        match read.get(&name) {
            Some(read) => SeenFile { path, stamp: read.stamp },
            None => SeenFile::look_at(path),
        }
    });
    std::iter::once(policy).chain(others).collect()
}
