//! The contract's services, joined to tonic: [`presence_router`] is the one for homeservers,
//! [`room`] decides about new rooms, and [`policy`] is for operators.

pub(super) mod policy;
pub(super) mod presence_router;
pub(super) mod room;
