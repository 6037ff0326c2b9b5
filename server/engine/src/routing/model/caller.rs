//! The calling homeserver, and the part of the relation that concerns it.

use presence_router_ids::{RoomCapabilities, ServerName, ServerNameError, UserId};

/// The server names that a caller holds as its own, and the relations that it can evaluate.
///
/// Only pairs with at least one user on these servers concern the caller. So for a user of
/// these servers every counterpart concerns the caller, and for any other user only
/// counterparts on these servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Sorted, without repeats.
    server_names: Box<[ServerName]>,
    /// The parts of `share_room` that the caller evaluates.
    capabilities: RoomCapabilities,
}

/// A text in a caller's list that is not a server name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text at index {index} is not a server name: {error}")]
pub struct CallerError {
    /// The index of the first such text in the list.
    pub index: usize,

    /// The reason why the text is not a server name.
    pub error: ServerNameError,
}

// === impl Caller ===

impl Caller {
    /// Creates a caller with these server names. Without a name, no pair concerns the caller.
    ///
    /// # Errors
    ///
    /// If one of the texts is not a server name.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, CallerError> {
        let names = names.into_iter().enumerate().map(|(index, name)| {
            ServerName::parse(name.as_ref()).map_err(|error| CallerError { index, error })
        });
        let mut server_names = names.collect::<Result<Vec<_>, _>>()?;
        server_names.sort_unstable();
        server_names.dedup();
        Ok(Self { server_names: server_names.into(), capabilities: RoomCapabilities::NONE })
    }

    /// Sets the parts of `share_room` that the caller evaluates; none before. For a rule that
    /// needs others, the relation counts as not met if the rule allows, and as met if it denies
    /// or hides.
    #[must_use]
    pub fn with_capabilities(self, capabilities: RoomCapabilities) -> Self {
        Self { capabilities, ..self }
    }

    /// Returns the parts of `share_room` that the caller evaluates.
    pub fn capabilities(&self) -> RoomCapabilities {
        self.capabilities
    }

    /// Returns the names, sorted by their bytes.
    pub fn server_names(&self) -> impl Iterator<Item = &str> {
        self.server_names.iter().map(ServerName::as_str)
    }

    /// Returns true if a server name is one of the caller's.
    pub fn holds(&self, server: &str) -> bool {
        self.server_names().any(|name| name == server)
    }

    /// Returns true if a user lives on one of the caller's servers.
    pub fn is_local(&self, user: UserId<'_>) -> bool {
        self.holds(user.server())
    }
}
