//! Reads a policy from a path on the command line: a file, or `-` for standard input. The
//! daemon itself reads files only, and reads them repeatedly.

use std::io::{self, Read};
use std::path::Path;

use presence_router_engine::{MAX_POLICY_BYTES, Policy, Problems};
use presence_router_server::source::files;
use presence_router_server::source::folder::Folder;
use presence_router_server::source::progress::Progress;

use super::args::MembersLimit;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// The text of a policy, its name and its directory.
#[derive(Debug)]
pub(crate) struct PolicyInput {
    /// The name of the file in messages.
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
    /// The directory of members files: the directory of the file, or for standard input the
    /// current one.
    pub(crate) folder: Folder,
}

// === impl PolicyInput ===

impl PolicyInput {
    /// Reads a policy. Of an endless file, such as a device, reads only as much as proves that
    /// the file is too large. `limit` applies to the members files of the policy.
    pub(crate) fn read(path: &Path, limit: MembersLimit) -> Result<Self, String> {
        let name = display_name(path);
        let text =
            if is_standard_input(path) { read_standard_input() } else { files::read_any(path) };
        match text {
            // The parent of `-` is the current directory.
            Ok(text) => {
                let bytes = limit.members_file_bytes;
                let folder = Folder::with_limit(path, bytes, Progress::default());
                Ok(Self { name, text, folder })
            }
            Err(error) => Err(format!("cannot read the policy `{name}`: {error}")),
        }
    }

    /// Parses and resolves the policy.
    pub(crate) fn load(&self) -> Result<Policy, Problems> {
        Policy::load(&self.name, &self.text, &self.folder)
    }

    /// Returns the text, to send it to a daemon.
    pub(crate) fn into_utf8(self) -> Result<String, String> {
        String::from_utf8(self.text)
            .map_err(|_| format!("cannot send the policy `{}`: it is not UTF-8", self.name))
    }
}

/// Reads and loads a policy; problems of the policy are an error.
pub(crate) fn load_policy(path: &Path, limit: MembersLimit) -> Result<Policy, String> {
    let policy = PolicyInput::read(path, limit)?.load();
    policy.map_err(|problems| format!("the policy has problems:\n{problems}"))
}

/// The name of a policy in messages.
pub(crate) fn display_name(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// True for `-`. `./-` is a file with this name.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

fn read_standard_input() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().lock().take(MAX_POLICY_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
