//! Who may see whose presence. Pure: no protocol, no file, no clock.

pub mod plan;
pub mod user_id;
