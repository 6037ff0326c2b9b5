//! The options of a load, and its result.

use std::fmt;

use presence_router_engine::Differences;

use crate::revision::Revision;
use crate::source::stamp::SeenFile;

/// The options of a load.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Allows an empty members file that listed users before.
    pub force: bool,

    /// Returns true if the files were complete while they were read. The load calls this
    /// before it publishes a policy.
    pub were_complete: &'a dyn Fn(&[SeenFile]) -> bool,
}

/// The result of a successful load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A new policy is active at this revision, with these differences from the previous one.
    Replaced(Revision, Box<Differences>),
    /// The text and every file that it names are those of the active policy.
    Unchanged(Revision),
}

// === impl LoadOptions ===

impl LoadOptions<'_> {
    /// A load at once, even if another program may be writing to the files.
    pub const AT_ONCE: LoadOptions<'static> =
        LoadOptions { force: false, were_complete: &|_| true };
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("force", &self.force).finish_non_exhaustive()
    }
}
