//! The messages on the server's hot path, without an allocation for each state,
//! delivery or user. They have the encoding of the contract's messages of the same
//! names, and accept and refuse the same bytes as prost does.

mod incoming;
mod outgoing;

use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

pub use self::incoming::{StateBatch, Users};
pub use self::outgoing::{Deliveries, GetInterestedUsersResponse, SetPart, Written};

/// The types of fields, as keys say them.
const VARINT: u8 = WireType::Varint as u8;
const LENGTH_DELIMITED: u8 = WireType::LengthDelimited as u8;

/// A number, left away if it is the default.
fn number(tag: u32, value: u64, buf: &mut impl BufMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, buf);
        encode_varint(value, buf);
    }
}

/// A text, left away if it is the default.
fn string(tag: u32, value: &str, buf: &mut impl BufMut) {
    if !value.is_empty() {
        encode_key(tag, WireType::LengthDelimited, buf);
        encode_varint(to_u64(value.len()), buf);
        buf.put_slice(value.as_bytes());
    }
}

/// A field of so many bytes, with its key (of a tag up to 15) and length.
fn bytes_field_len(len: usize) -> usize {
    1 + encoded_len_varint(to_u64(len)) + len
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
