//! The homeserver that the module answers for.

/// A homeserver.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The homeserver's own name.
    pub(crate) server: String,
    /// Remote servers that open audiences go to, beyond those that the policy names.
    pub(crate) destinations: Vec<String>,
}

// === impl Home ===

impl Home {
    pub(crate) fn is_local(&self, user_id: &str) -> bool {
        server_of(user_id) == Some(&self.server)
    }

    /// Returns the server of a user, if it is another one.
    pub(crate) fn other_server<'u>(&self, user_id: &'u str) -> Option<&'u str> {
        server_of(user_id).filter(|server| *server != self.server)
    }
}

/// Returns the part of a user id after its first `:`.
pub(crate) fn server_of(user_id: &str) -> Option<&str> {
    user_id.split_once(':').map(|(_, server)| server)
}
