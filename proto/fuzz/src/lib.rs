//! The check that the fuzz target makes of its bytes: a function that panics at a
//! fault. The tests of the workspace include this file, and
//! replay the corpus with it.

use presence_router_proto::v1;
use presence_router_proto::wire::{StateBatch, Users};
use prost::Message;
use prost::bytes::Buf;

/// A batch is read as prost reads it, in one piece or in two, or refused by both.
pub fn wire(data: &[u8]) {
    let want = v1::StateBatch::decode(data).map(|batch| StateBatch {
        batch_id: batch.batch_id,
        at_least: batch.at_least,
        users: batch.states.iter().map(|state| state.user_id.as_str()).collect::<Users>(),
    });
    // The cut may be anywhere.
    let (head, tail) = data.split_at(data.first().map_or(0, |cut| usize::from(*cut) % data.len()));
    for read in [StateBatch::decode(data), StateBatch::decode(head.chain(tail))] {
        match (&read, &want) {
            (Ok(read), Ok(want)) => assert_eq!(read, want),
            (Err(_), Err(_)) => {}
            _ => panic!("{read:?} against {want:?}: {data:?}"),
        }
    }
}
