//! The addresses to try: the given address, or the defaults. Does not connect.

#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::str::FromStr;

use presence_router_server::config::{DEFAULT_TCP, DEFAULT_UNIX};
use rustix::process::geteuid;

use super::address::Address;
use crate::cli::environment;

/// The addresses to try, in this order, with their origin.
#[derive(Debug)]
pub(super) enum Candidates<'a> {
    /// The address in `--addr`.
    Flag(&'a Address),
    /// The address in `PRESENCE_ROUTER_ADDR`.
    Variable(Box<Address>),
    /// The defaults, if neither is set.
    Default {
        addresses: Vec<Address>,
        /// The default socket and the reason, if the socket is not trusted.
        left_out: Option<String>,
    },
}

// === impl Candidates ===

impl<'a> Candidates<'a> {
    /// The addresses to try for this value of `--addr`.
    ///
    /// # Errors
    ///
    /// `PRESENCE_ROUTER_ADDR` is not valid.
    pub(super) fn for_flag(flag: Option<&'a Address>) -> Result<Self, String> {
        if let Some(address) = flag {
            return Ok(Self::Flag(address));
        }
        if let Some(address) = environment::read_text(environment::ADDR, Address::from_str)? {
            return Ok(Self::Variable(Box::new(address)));
        }
        Ok(Self::by_default(Path::new(DEFAULT_UNIX), &[0, geteuid().as_raw()]))
    }

    fn by_default(socket: &Path, trusted_users: &[u32]) -> Self {
        let (mut addresses, mut left_out) = (Vec::new(), None);
        let written = format!("unix:{}", socket.display());
        match reason_to_distrust(socket, trusted_users) {
            None => addresses.extend(written.parse().ok()),
            Some(why) => left_out = Some(format!("`{written}` was not tried: {why}")),
        }
        addresses.extend(DEFAULT_TCP.to_string().parse().ok());
        Self::Default { addresses, left_out }
    }

    pub(super) fn addresses(&self) -> &[Address] {
        match self {
            Self::Flag(address) => std::slice::from_ref(*address),
            Self::Variable(address) => std::slice::from_ref(&**address),
            Self::Default { addresses, .. } => addresses,
        }
    }

    /// The default address that was left out, with the reason.
    pub(super) fn left_out(&self) -> Option<&str> {
        match self {
            Self::Default { left_out, .. } => left_out.as_deref(),
            Self::Flag(_) | Self::Variable(_) => None,
        }
    }

    /// The origin of these addresses, for a message, behind an address. Empty for a flag, since
    /// the user has just typed the address.
    pub(super) fn origin(&self) -> &'static str {
        match self {
            Self::Flag(_) => "",
            Self::Variable(_) => " (from `PRESENCE_ROUTER_ADDR`)",
            Self::Default { .. } => " (a default)",
        }
    }
}

/// Returns the reason not to trust a socket, if there is one: any user may create a socket in
/// `/tmp` and answer instead of the daemon. A missing socket is no reason.
fn reason_to_distrust(socket: &Path, trusted_users: &[u32]) -> Option<String> {
    // Does not follow links: a link is as easy to plant as a socket.
    match std::fs::symlink_metadata(socket) {
        Ok(file) if !file.file_type().is_socket() => Some("it is not a socket".to_owned()),
        Ok(file) if !trusted_users.contains(&file.uid()) => {
            Some(format!("it belongs to user {}, who is neither root nor you", file.uid()))
        }
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}
