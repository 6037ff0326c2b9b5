//! Reads the files that a policy names, from the folder of the policy's own file. This
//! module knows nothing of policies, and watches no files: each file is read once, while
//! the policy loads.

use std::{io, path::Path};

use presence_router_engine::Files;

/// The folder that the names in a policy are relative to.
pub(super) struct PolicyFolder<'p>(&'p Path);

// === impl PolicyFolder ===

impl<'p> PolicyFolder<'p> {
    /// Returns the folder of a policy's own file. A bare file name means the working
    /// directory.
    pub(super) fn of_policy(policy: &'p Path) -> Self {
        Self(policy.parent().unwrap_or(Path::new("")))
    }
}

impl Files for PolicyFolder<'_> {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_beside_the_policy_and_says_which_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lists")).unwrap();
        std::fs::write(dir.path().join("lists/staff.txt"), "@ann:x\n").unwrap();
        let policy = dir.path().join("policy.yaml");
        let folder = PolicyFolder::of_policy(&policy);
        assert_eq!(folder.read("lists/staff.txt").unwrap(), b"@ann:x\n");
        assert_eq!(folder.read("other.txt").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(PolicyFolder::of_policy(Path::new("policy.yaml")).0, Path::new(""));
    }
}
