//! The answer of `GetInterestedUsers`: computed at once, and written when its size is known.

use presence_router_proto::wire::GetInterestedUsersResponse;
use roaring::RoaringBitmap;

use super::{check_lists, check_size, write_hide};
use crate::live::Current;
use crate::rpc::convert;
use crate::rpc::error::RpcError;
use presence_router_engine::Side;
use presence_router_engine::unstable::routing::query::conditional_members::ConditionalMembers;
use presence_router_engine::unstable::routing::query::visibility::{CallerView, Signature};
use presence_router_engine::unstable::routing::snapshot::members::Members;
use presence_router_ids::UserId;

/// Advice to a caller whose answer is over the limit.
const BY_STREAM: &str = "use the stream `RouteStates`, whose answers have no such limit";

/// The senders whose presence a user may see, before they are written out.
#[derive(Debug)]
pub struct Interest {
    signature: Signature,
    /// The finite part of them, without the user itself.
    listed: RoaringBitmap,
    /// All others: by server or pattern, or dependent on relations.
    others: ConditionalMembers,
}

// === impl Interest ===

impl Interest {
    /// The interest of one user.
    pub fn compute(current: &Current, view: &CallerView, recipient: UserId<'_>) -> Self {
        let snapshot = &current.snapshot;
        let signature = snapshot.signature(recipient, Side::Recipient, view.caller());
        let mut others = snapshot.counterparts(&signature, view);
        let mut listed = others.take_certain();
        if let Some(own) = snapshot.users().number(recipient.as_str()) {
            listed.remove(own);
        }
        Self { signature, listed, others }
    }

    /// The number of senders that the answer lists.
    pub fn listed_senders(&self) -> u64 {
        self.listed.len()
    }

    /// Returns true if the answer has more senders than the listed ones, as an expression.
    pub fn is_open(&self) -> bool {
        !self.others.is_empty()
    }

    /// The answer, with all senders that it lists.
    ///
    /// # Errors
    ///
    /// [`RpcError::AnswerTooLarge`] as soon as the answer has more than `limit` bytes, before it
    /// fills the memory.
    pub fn to_response(
        &self,
        current: &Current,
        limit: usize,
    ) -> Result<GetInterestedUsersResponse, RpcError> {
        let (snapshot, user_table) = (&current.snapshot, current.snapshot.users());
        let mut bytes = 0;
        for id in user_table.ids(self.listed.iter()) {
            bytes += id.len();
            if bytes > limit {
                return Err(RpcError::AnswerTooLarge { limit, instead: BY_STREAM });
            }
        }
        let bytes = check_lists(self.others.all_sets(), user_table, bytes, limit, BY_STREAM)?;
        let mut senders = self.others.at_most().into_owned();
        senders.unite(&Members::listed(self.listed.clone()));
        let hides = snapshot.hides(&self.signature, &senders);
        let hidden = hides.iter().map(|applied| &applied.users);
        check_lists(hidden, user_table, bytes, limit, BY_STREAM)?;
        let hides = hides.into_iter().map(|applied| write_hide(&applied, user_table));
        let answer = GetInterestedUsersResponse::new(
            &current.revision.to_string(),
            convert::user_ids(&self.listed, user_table).iter().map(|id| id.parts()),
            convert::conditional_to_expression(&self.others, user_table).as_ref(),
            &hides.collect::<Vec<_>>(),
        );
        check_size(answer, limit, BY_STREAM)
    }
}
