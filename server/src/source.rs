//! The policy's files on the disk: reading them, noticing that they change, and waiting
//! until their content is complete.
//!
//! To read in this order: [`files`] reads one, and [`folder`] those that a policy names;
//! a [`digest`] tells one content from another, and a [`stamp`] one state of a file;
//! [`watcher`] hears of changes from the operating system, by the [`links`] that lead to a
//! file, and leaves them in an [`inbox`]; `network` file systems announce less; and
//! [`settling`] decides when the changed files may be read. [`progress`] is for the log
//! while they are. Nothing here knows which policy is active, or whether the files hold a
//! valid one.

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
