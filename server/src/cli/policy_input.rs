//! Reads a policy that a person names on the command line: a file, or `-` for standard
//! input. The daemon itself reads files only, again and again.

use std::io::{self, Read};
use std::path::Path;

use presence_router_engine::{MAX_POLICY_BYTES, Policy, Problems};
use presence_router_server::source::files;
use presence_router_server::source::folder::Folder;
use presence_router_server::source::progress::Progress;

use super::args::MembersLimit;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The text of a policy, and what belongs to it.
#[derive(Debug)]
pub(crate) struct PolicyInput {
    /// The file, for messages.
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
    /// The directory of members files: that of the file, or for standard input the current
    /// one.
    pub(crate) folder: Folder,
}

// === impl PolicyInput ===

impl PolicyInput {
    /// Reads a policy, but no more of an endless file, such as a device, than shows that it
    /// is too large. `limit` is that of the members files that it names.
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

    /// Reads the text as a policy.
    pub(crate) fn parse(&self) -> Result<Policy, Problems> {
        Policy::load(&self.name, &self.text, &self.folder)
    }

    /// The text, to send it to a daemon.
    pub(crate) fn into_utf8(self) -> Result<String, String> {
        String::from_utf8(self.text)
            .map_err(|_| format!("cannot send the policy `{}`: it is not UTF-8", self.name))
    }
}

/// Reads a policy that must not have problems, to ask about it.
pub(crate) fn load_policy(path: &Path, limit: MembersLimit) -> Result<Policy, String> {
    let policy = PolicyInput::read(path, limit)?.parse();
    policy.map_err(|problems| format!("the policy has problems:\n{problems}"))
}

/// The name that messages have for a policy.
pub(crate) fn display_name(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// True for `-`. `./-` is a file of that name.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

fn read_standard_input() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().lock().take(MAX_POLICY_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
