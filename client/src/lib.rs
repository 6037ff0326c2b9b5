//! Client of the presence-router daemon, for homeservers written in Rust.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use presence_router_client::{Client, Options, Set, v1::PresenceState};
//!
//! // Lazy: returns at once, and it does not matter whether the daemon is up.
//! let client = Client::connect("unix:/run/presence-router.sock", Options::new(["example.org"]))?;
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
//!     // No verdict: nobody beyond those whom the homeserver would show it anyway.
//!     Err(why) => eprintln!("{why}"),
//! }
//! # Ok(())
//! # }
//! # let _ = example;
//! ```
//!
//! Reading order: [`client`](Client) makes the calls, `address` says where to,
//! `error` what an unanswered call means, `gate` keeps a dead daemon from
//! costing a deadline on every call, and `sets` evaluates the open parts of
//! answers. The messages are those of the contract, [`v1`].

#![forbid(unsafe_code)]

mod address;
mod client;
mod error;
mod gate;
mod sets;

pub use address::{Address, AddressError};
pub use client::{Client, Options};
pub use error::{Error, Refusal, Violation};
pub use gate::Backoff;
/// The messages of the contract.
pub use presence_router_proto::v1;
pub use sets::{Extent, Set, SetError};
/// The codes that a [`Refusal`] carries.
pub use tonic::Code;
