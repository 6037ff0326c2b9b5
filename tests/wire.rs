//! The server's own types for batches, deliveries and parts of sets are, on the wire,
//! what the contract has: prost's types of the same messages read what they write, and
//! of any bytes at all both read the same or refuse them.

use presence_router_proto::v1::set_expression::Expression;
use presence_router_proto::v1::set_part::Content;
use presence_router_proto::v1::{self, Hide, PresenceState, SetExpression, UserList};
use presence_router_proto::wire::{self, Users};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use crate::agreement::cases;

fn states() -> impl Strategy<Value = PresenceState> {
    (
        ".{0,30}",
        "(online|offline|)",
        any::<[i64; 3]>(),
        proptest::option::of(".{0,9}"),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(user_id, presence, [active, federation, sync], status_msg, currently_active)| {
                PresenceState {
                    user_id,
                    presence,
                    last_active_ts: active,
                    last_federation_update_ts: federation,
                    last_user_sync_ts: sync,
                    status_msg,
                    currently_active,
                }
            },
        )
}

fn batches() -> impl Strategy<Value = v1::StateBatch> {
    (any::<u64>(), ".{0,9}", vec(states(), 0..6))
        .prop_map(|(batch_id, at_least, states)| v1::StateBatch { batch_id, at_least, states })
}

/// What a server keeps of a batch.
fn kept(batch: &v1::StateBatch) -> wire::StateBatch {
    wire::StateBatch {
        batch_id: batch.batch_id,
        at_least: batch.at_least.clone(),
        users: batch.states.iter().map(|state| state.user_id.as_str()).collect::<Users>(),
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_batch_is_read_as_prost_reads_it(batch in batches()) {
        let bytes = batch.encode_to_vec();
        let read = wire::StateBatch::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(&read, &kept(&batch));
        // The other way: what it keeps, it can say.
        let said = read.encode_to_vec();
        prop_assert_eq!(said.len(), read.encoded_len());
        prop_assert_eq!(wire::StateBatch::decode(said.as_slice()).unwrap(), read);
    }

    /// Two messages in a row are one by Protobuf's rules: lists add up, of
    /// anything else the last one counts.
    #[test]
    fn repeats_are_merged_as_prost_merges_them(a in batches(), b in batches()) {
        let bytes = [a.encode_to_vec(), b.encode_to_vec()].concat();
        let both = v1::StateBatch::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(wire::StateBatch::decode(bytes.as_slice()).unwrap(), kept(&both));
    }

    #[test]
    fn damaged_bytes_are_read_or_refused_alike(
        batch in batches(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = batch.encode_to_vec();
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes.truncate(cut.index(bytes.len() + 1).max(bytes.len() / 2));
        match (wire::StateBatch::decode(bytes.as_slice()), v1::StateBatch::decode(bytes.as_slice())) {
            (Ok(read), Ok(want)) => prop_assert_eq!(read, kept(&want)),
            (Err(_), Err(_)) => {}
            (read, want) => prop_assert!(false, "{read:?} against {want:?}: {bytes:?}"),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_alike(bytes in vec(any::<u8>(), 0..40)) {
        let read = wire::StateBatch::decode(bytes.as_slice()).is_ok();
        prop_assert_eq!(read, v1::StateBatch::decode(bytes.as_slice()).is_ok());
    }

    #[test]
    fn deliveries_are_what_prost_writes(
        batch_id in any::<u64>(),
        entries in vec((1..u64::MAX, vec(any::<u32>(), 1..9), vec(".{0,5}", 0..3)), 0..6),
    ) {
        let mut written = wire::Deliveries::new(batch_id, "0123:4");
        let mut want = v1::Deliveries { batch_id, revision: "0123:4".to_owned(), deliveries: vec![] };
        for (recipients_set_id, state_indexes, unless) in entries {
            let hides = vec![Hide { unless_presence: unless, ..Hide::default() }];
            let encoded: Vec<_> = hides.iter().map(Message::encode_to_vec).collect();
            written.push(recipients_set_id, &state_indexes, &encoded);
            want.deliveries.push(v1::Delivery { recipients_set_id, state_indexes, hides });
        }
        prop_assert_eq!(written.encode_to_vec(), want.encode_to_vec());
        prop_assert_eq!(wire::Deliveries::decode(want.encode_to_vec().as_slice()).unwrap(), written);
    }

    #[test]
    fn parts_of_sets_are_what_prost_writes(
        id in any::<u64>(),
        users in vec(("[^:]{0,200}", ".{0,200}"), 0..9),
        last in any::<bool>(),
        server in ".{0,200}",
    ) {
        let expression = SetExpression { expression: Some(Expression::Server(server)) };
        let list = wire::SetPart::users(id, users.iter().map(|(name, server)| (name.as_str(), server.as_str())), last);
        let whole = wire::SetPart::expression(id, &expression);
        let user_ids = users.iter().map(|(name, server)| format!("{name}:{server}")).collect();
        let users = Content::Users(UserList { user_ids });
        for (written, content, last) in
            [(list, users, last), (whole, Content::Expression(expression), true)]
        {
            let want = v1::SetPart { id, content: Some(content), last };
            prop_assert_eq!(written.encode_to_vec(), want.encode_to_vec());
            prop_assert_eq!(wire::SetPart::decode(want.encode_to_vec().as_slice()).unwrap(), written);
        }
    }

    #[test]
    fn interests_are_what_prost_writes(
        users in vec(("[^:]{0,200}", ".{0,200}"), 0..9),
        server in prop::option::of(".{0,200}"),
        unless in vec(vec(".{0,5}", 0..3), 0..3),
    ) {
        let open = server.map(|server| SetExpression { expression: Some(Expression::Server(server)) });
        let hides: Vec<_> = unless
            .into_iter()
            .map(|unless_presence| Hide { unless_presence, ..Hide::default() })
            .collect();
        let parts = users.iter().map(|(name, server)| (name.as_str(), server.as_str()));
        let written = wire::GetInterestedUsersResponse::new("0123:4", parts, open.as_ref(), &hides);
        let want = v1::GetInterestedUsersResponse {
            revision: "0123:4".to_owned(),
            user_ids: users.iter().map(|(name, server)| format!("{name}:{server}")).collect(),
            open_senders: open,
            hides,
        };
        prop_assert_eq!(written.encode_to_vec(), want.encode_to_vec());
    }
}
