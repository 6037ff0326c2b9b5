//! From where the policy comes from to a policy that is checked, and may be published.
//! Publishes nothing.

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

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, read at every load.
    File(PathBuf),
    /// [`EXAMPLE_POLICY`], for a first start without any settings.
    Example,
}

/// What an operator can set about loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// Most bytes of a members file.
    pub members_file_bytes: u64,
    /// Whether a members file that listed users may list nobody.
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

/// What is active before a load.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) engine: &'a Engine,
    pub(super) applied: &'a Applied,
}

/// What a load found in the source.
#[derive(Debug)]
pub(super) enum Found {
    /// Another policy than the active one.
    Checked(Box<Checked>),
    /// The active policy.
    Unchanged,
}

/// A try to load.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) found: Result<Found, LoadError>,
    /// The policy's files, its own first: those that it is made of, and if it was
    /// rejected, also those that the active one is made of. None for the example.
    pub(super) files: Vec<SeenFile>,
    /// Whether another try may succeed though no file changes.
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
    /// Reads the policy and checks it. With `force`, a members file may have become
    /// empty.
    pub(super) fn load(&self, before: Option<Before<'_>>, force: bool) -> Attempt {
        self.progress.begin();
        match &self.source {
            Source::File(path) => self.load_file(path, before, force),
            Source::Example => {
                let found = match before {
                    Some(_) => Ok(Found::Unchanged),
                    None => self.check(EXAMPLE_POLICY.into(), None, &NoFiles, BTreeMap::new, force),
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
            Err(error) => return unreadable(path, error, &folder, before),
        };
        if before.is_some_and(|before| before.inputs.are(&text, &folder)) {
            let policy = SeenFile { path: path.to_owned(), stamp };
            let files = files_to_watch(policy, &folder, before, BTreeSet::new());
            return Attempt { found: Ok(Found::Unchanged), files, may_pass: false };
        }
        let digests = || {
            let read = folder.read_files().into_iter();
            read.map(|(name, read)| (name, read.digest)).collect()
        };
        let found = self.check(text.clone(), before, &folder, digests, force);
        let found = match found {
            Err(_) if folder.was_rewritten() => Err(LoadError::Incomplete),
            found => found,
        };
        // What is wrong may be in a file that only the rejected text names, and be put
        // right there.
        let (named, before) = match &found {
            Ok(_) => (BTreeSet::new(), None),
            Err(_) => (named_files(&text), before),
        };
        let policy = SeenFile { path: path.to_owned(), stamp };
        let files = files_to_watch(policy, &folder, before, named);
        let may_pass = found.is_err() && folder.may_pass();
        Attempt { found, files, may_pass }
    }

    /// Checks a text, and writes into the log what is probably not meant. `digests` are
    /// those of the files that were read.
    fn check(
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
                    changes.iter().filter_map(|change| change.problem()).collect();
                if !problems.is_empty() {
                    return Err(Problems::new(&name, problems).into());
                }
            }
            policy.warnings.extend(changes.iter().filter_map(|change| change.warning()));
            policy.warnings.sort_by_key(|warning| warning.position);
        }
        for warning in &policy.warnings {
            warn!("{}", warning.line(&name));
        }
        let inputs = Inputs { text: Digest::of(&text), files: digests() };
        Ok(Found::Checked(Box::new(Checked { policy, engine, inputs, text })))
    }
}

/// A load that ended at the policy's own file.
fn unreadable(
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

/// The files to look at for a change: the policy's own, those that were read, those
/// of the active policy, and some more.
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
        let path = folder.path(&name);
        match read.get(&name) {
            Some(read) => SeenFile { path, stamp: read.stamp },
            None => SeenFile::look_at(path),
        }
    });
    std::iter::once(policy).chain(others).collect()
}
