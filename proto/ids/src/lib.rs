#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod coverage;
mod glob;
mod rooms;
mod server_name;
mod three_valued;
mod user_id;

pub use coverage::{Coverage, Region};
pub use glob::{Glob, UserGlob};
pub use rooms::{
    MemberCount, PresenceSharing, RoomCapabilities, RoomCapability, RoomCondition, RoomConditions,
    RoomFacts,
};
pub use server_name::{MAX_SERVER_NAME_BYTES, ServerName, ServerNameError};
pub use three_valued::{all_of, any_of};
pub use user_id::{MAX_USER_ID_BYTES, UserId, UserIdError};
