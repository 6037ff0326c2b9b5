//! The presence-router daemon as a library. `main.rs` connects it to a command line; the
//! commands themselves are in the binary, below `cli`.
//!
//! ```text
//!   policy.yaml, members files                     SIGHUP   SIGTERM, SIGINT
//!              │                                      │           │
//!              ▼                                      ▼           ▼
//!   ┌─ source ──────────┐ files that changed  ┌─ reloader ─┐ ┌─ lifecycle ─┐
//!   │ reads and watches │────────────────────▶│ decides    │ │ start, stop │
//!   └──────────┬────────┘                     │ when       │ └──────┬──────┘
//!              │ texts                        └─────┬──────┘        │ starts all
//!              ▼                                    │ "load"        ▼ of these
//!   ┌─ live ───────────────────────────────────┐◀───┘        ┌─ config ─────┐
//!   │ loader: text ──engine──▶ checked policy  │             │ settings of  │
//!   │ publisher: active policy at a revision   │             │ an operator  │
//!   └──────────┬───────────────────────────────┘             └──────────────┘
//!              │ snapshot, revision, "it has changed"
//!              ▼
//!   ┌─ rpc ────────────────────────────────────┐   ┌─ logging ──────┐
//!   │ services, streams, transport             │──▶│ standard error │
//!   └──────────┬───────────────────────────────┘   └────────────────┘
//!              ▼
//!   homeservers, operators
//! ```
//!
//! Read the modules in this order: the engine, a crate of its own, decides from an operator's
//! policy which users may see whose presence. [`source`] reads the policy's files and notices
//! their changes; [`live`] keeps the active policy, at a [`revision`]; [`rpc`] answers callers;
//! [`config`] holds the operator's settings; [`reloader`] loads the policy again when its files
//! change; and [`lifecycle`] connects all of these to signals, to sockets and to the resources of
//! the process: its [`descriptors`], and [`logging`] to standard error.
//!
//! A module uses only modules before it in this list: `source`, `live`, `rpc`, `config`,
//! `reloader`, `lifecycle`. `revision`, `descriptors` and `logging` use none of these.

#![forbid(unsafe_code)]

pub mod config;
pub mod descriptors;
pub mod lifecycle;
pub mod live;
pub mod logging;
pub mod reloader;
pub mod revision;
pub mod rpc;
pub mod source;
