//! Client of the presence-router daemon, for homeservers written in Rust.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use presence_router_client::{Client, Options, Set, v1::PresenceState};
//!
//! // Lazy: returns at once, even if the daemon is not running.
//! let client = Client::connect("unix:/run/presence-router/presence-router.sock", Options::new(["example.org"]))?;
//!
//! let state = PresenceState { user_id: "@ann:example.org".into(), ..Default::default() };
//! match client.get_users_for_states(vec![state]).await {
//!     Ok(answer) => {
//!         for recipient in &answer.recipients {
//!             println!("{} gets {:?}", recipient.user_id, recipient.state_indexes);
//!         }
//!         for open in &answer.open_recipients {
//!             let set = Set::new(open.recipients.as_ref())?;
//!             println!("does joe get it? {}", set.contains("@joe:example.org"));
//!         }
//!     }
//!     // No verdict: show no presence beyond what the homeserver shows anyway.
//!     Err(why) => eprintln!("{why}"),
//! }
//! # Ok(())
//! # }
//! # let _ = example;
//! ```
//!
//! This example uses a unary call. A homeserver with many updates opens a stream once,
//! and holds it as a [`PresenceRouter`]:
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use presence_router_client::{ChangeEvent, Client, Options, PresenceRouter};
//!
//! let client = Client::connect("unix:/run/presence-router/presence-router.sock", Options::new(["example.org"]))?;
//! let router: Arc<dyn PresenceRouter> = Arc::new(client.route_states());
//!
//! let routed = router.users_for_states(vec!["@ann:example.org".into()]).await?;
//! for delivery in &routed.deliveries {
//!     println!("{:?} to {:?}", delivery.state_indexes, delivery.recipients.listed_users());
//! }
//! println!("does joe get it? {}", routed.audience(0).contains("@joe:example.org"));
//!
//! let mut changes = router.watch_changes();
//! while let Some(event) = changes.next().await {
//!     match event {
//!         ChangeEvent::Changed(changed) => println!("{} gained", changed.gained.len()),
//!         ChangeEvent::Reset { .. } => println!("treat everything as changed"),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! # let _ = example;
//! ```
//!
//! Reading order: [`client`](Client) makes the unary calls with its `options`, and `room`
//! the call about new rooms. `shared` is the state that clones and streams share,
//! `transport` the channel, `address` the daemon's address. `error` lists the reasons for
//! which a call has no answer, `protocol_violation` the messages that a daemon must not
//! send, and `circuit_breaker` fails calls to an unreachable daemon without waiting.
//! `sets` evaluates sets over shared `list`s of users; `answer` and `change` contain such
//! sets. `stream` keeps streams open. `near_cache` is the handle for questions that are
//! answered from memory, `answer_cache` this memory, and `named_servers` its list of servers.
//! `router` is the trait over unary calls, streams
//! and `in_process`, the implementation without a daemon. `visibility` stands on all of them: it
//! evaluates answers over the homeserver's rooms. The messages are those of the contract, [`v1`].

#![forbid(unsafe_code)]

mod address;
mod answer;
mod answer_cache;
mod change;
mod circuit_breaker;
mod client;
mod error;
#[cfg(feature = "in-process")]
mod in_process;
mod list;
mod named_servers;
mod near_cache;
mod options;
mod protocol_violation;
mod room;
mod router;
mod sets;
mod shared;
mod stream;
mod transport;
mod visibility;

pub use address::{Address, AddressError};
pub use answer::{
    CachedAnswer, Counterparts, Delivery, Fields, Hide, Interest, Routed, SharedAnswer,
    VisibleSender,
};
pub use answer_cache::NearCacheStats;
pub use change::{ChangeEvent, Changed, Changes, PairProduct};
pub use circuit_breaker::Backoff;
pub use client::Client;
pub use error::{Error, FieldViolation, Refusal};
#[cfg(feature = "in-process")]
pub use in_process::{InProcess, InProcessError};
pub use named_servers::NamedServers;
pub use near_cache::{NearCache, NearCacheOptions};
pub use options::Options;
/// Coverage of a server by a set, and checked ids.
pub use presence_router_proto::ids::{Coverage, ServerName, UserId};
/// Conditions on the rooms that two users share, and the facts that a homeserver gives.
pub use presence_router_proto::ids::{
    Glob, MemberCount, PresenceSharing, RoomCapabilities, RoomCapability, RoomCondition,
    RoomConditions, RoomFacts, UserGlob,
};
/// The messages of the contract.
pub use presence_router_proto::v1;
pub use protocol_violation::ProtocolViolation;
pub use router::{Answer, PresenceRouter};
pub use sets::{Set, SetError};
pub use stream::route::RouteStates;
/// The gRPC code of a [`Refusal`].
pub use tonic::Code;
pub use visibility::{
    Basis, Destinations, FilterQuestion, Filtered, NeededFacts, PairQuestion, RoomMates,
    ServerQuestion, Verdict, Visibility, WhenAway,
};

/// Compiles the examples in the README.
#[cfg(all(doctest, feature = "in-process"))]
#[doc = include_str!("../README.md")]
struct Readme;
