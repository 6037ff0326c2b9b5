//! The policy's files on disk: reading the files, noticing changes, and waiting until the
//! contents are complete.
//!
//! Read in this order: [`files`] reads one file, and [`folder`] reads the files that a policy
//! names. A [`digest`] identifies a content, and a [`stamp`] identifies a state of a file.
//! [`watcher`] receives changes from the operating system, for the file and for the [`links`]
//! that lead to it, and puts them into an [`inbox`]; `network` file systems announce fewer
//! changes. [`settling`] decides when the daemon may read the changed files, and [`progress`]
//! reports a long read to the log. Nothing here knows which policy is active, or whether the
//! files contain a valid one.

pub mod digest;
pub mod files;
pub mod folder;
pub mod inbox;
pub mod links;
mod network;
pub mod progress;
pub mod settling;
pub mod stamp;
pub mod watcher;
