//! The presence-router daemon as a library. `main.rs` wires it to a command line; the
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
//! To read in this order: the engine, a crate of its own, decides who may see whom by an
//! operator's text. [`source`] reads the files that the text is in, and notices that they
//! change; [`live`] keeps the active policy, at a [`revision`]; [`rpc`] answers callers;
//! [`config`] is what an operator can set; [`reloader`] loads the policy again when its files
//! change, and [`lifecycle`] joins all of it to signals and sockets, and to what the process
//! may use: [`descriptors`] and the [`logging`] to standard error.
//!
//! Modules use those before them and none behind them: `source`, `live`, `rpc`, `config`,
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
