//! The check that the fuzz target makes of its bytes: a function that panics at a
//! fault. The tests of the workspace include this file, and
//! replay the corpus with it.

use presence_router_proto::v1::route_states_request::Message as Request;
use presence_router_proto::wire::{StateBatch, Users};
use presence_router_proto::{server, v1};
use prost::Message;
use prost::bytes::Buf;

/// The message types of the server are read as prost reads those of the contract, or refused
/// by both.
pub fn wire(data: &[u8]) {
    batch(data);
    request(data);
}

/// A request on a stream. Only batches have types of their own.
fn request(data: &[u8]) {
    use server::route_states_request::Message;
    let read = server::RouteStatesRequest::decode(data).map(|request| request.message);
    let want = v1::RouteStatesRequest::decode(data).map(|request| request.message);
    match (read, want) {
        (Ok(Some(Message::Open(read))), Ok(Some(Request::Open(want)))) => assert_eq!(read, want),
        (Ok(Some(Message::Touch(read))), Ok(Some(Request::Touch(want)))) => assert_eq!(read, want),
        (Ok(Some(Message::Interest(read))), Ok(Some(Request::Interest(want)))) => {
            assert_eq!(read, want);
        }
        (Ok(Some(Message::Batch(read))), Ok(Some(Request::Batch(want)))) => {
            assert_eq!(read.users.len(), want.states.len());
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        (read, want) => panic!("{read:?} against {want:?}: {data:?}"),
    }
}

/// A batch, in one piece or in two.
fn batch(data: &[u8]) {
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
