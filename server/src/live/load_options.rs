//! What a load is asked for, and what it did.

use std::fmt;

use presence_router_engine::Differences;

use crate::revision::Revision;
use crate::source::stamp::SeenFile;

/// How to load.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Let a members file that listed users list nobody.
    pub force: bool,

    /// Asked before a policy is published: whether the files that it was read from were
    /// complete.
    pub were_complete: &'a dyn Fn(&[SeenFile]) -> bool,
}

/// What a load did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A new policy is active, at this revision, and what is different in it.
    Replaced(Revision, Box<Differences>),
    /// The text, and every file that it names, is the active one already.
    Unchanged(Revision),
}

// === impl LoadOptions ===

impl LoadOptions<'_> {
    /// For who asks for a load now, whatever is under way.
    pub const AT_ONCE: LoadOptions<'static> =
        LoadOptions { force: false, were_complete: &|_| true };
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("force", &self.force).finish_non_exhaustive()
    }
}
