//! Answers and sets, as a server writes them: in the bytes that go out.

use std::marker::PhantomData;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{
    self, DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint,
};
use prost::{DecodeError, Message};

use super::{LENGTH_DELIMITED, VARINT, bytes_field_len, number, string, to_u64};
use crate::v1::{self, Hide, SetExpression};

/// A message that is written as it grows, and never as fields of a type. On the wire
/// it is an `M`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written<M> {
    bytes: Vec<u8>,
    message: PhantomData<M>,
}

/// Deliveries of a batch.
pub type Deliveries = Written<v1::Deliveries>;

/// A part of a set.
pub type SetPart = Written<v1::SetPart>;

/// Whose presence a user may see, spelled out.
pub type GetInterestedUsersResponse = Written<v1::GetInterestedUsersResponse>;

// === impl Written ===

impl<M: Message + Default> Message for Written<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.bytes);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        // A server does not read them. For whoever does: by way of the type.
        let mut read = M::default();
        read.merge_field(tag, wire_type, buf, ctx)?;
        read.encode_raw(&mut self.bytes);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl<M> Written<M> {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, message: PhantomData }
    }
}

// === impl Deliveries ===

impl Deliveries {
    /// Deliveries of a batch, without any yet.
    pub fn new(batch_id: u64, revision: &str) -> Self {
        let mut bytes = Vec::with_capacity(64);
        number(1, batch_id, &mut bytes);
        string(2, revision, &mut bytes);
        Self::of(bytes)
    }

    /// Makes room for so many audiences with so many states among them.
    pub fn reserve(&mut self, audiences: usize, states: usize) {
        // An index takes five bytes at most, and so does a length; an id ten.
        self.bytes.reserve(audiences.saturating_mul(24) + states.saturating_mul(5));
    }

    /// Adds the states of one audience. `hides` are encoded `Hide` messages,
    /// each with its length before it.
    pub fn push(&mut self, recipients_set_id: u64, state_indexes: &[u32], hides: &[Vec<u8>]) {
        let packed: usize = state_indexes.iter().map(|i| encoded_len_varint(u64::from(*i))).sum();
        let hidden: usize = hides.iter().map(|hide| bytes_field_len(hide.len())).sum();
        let len = 1 + encoded_len_varint(recipients_set_id) + bytes_field_len(packed) + hidden;
        let bytes = &mut self.bytes;
        bytes.push(3 << 3 | LENGTH_DELIMITED);
        put_varint(to_u64(len), bytes);
        bytes.push(1 << 3 | VARINT);
        put_varint(recipients_set_id, bytes);
        bytes.push(2 << 3 | LENGTH_DELIMITED);
        put_varint(to_u64(packed), bytes);
        for index in state_indexes {
            put_varint(u64::from(*index), bytes);
        }
        for hide in hides {
            bytes.push(3 << 3 | LENGTH_DELIMITED);
            put_varint(to_u64(hide.len()), bytes);
            bytes.extend_from_slice(hide);
        }
    }
}

// === impl SetPart ===

impl SetPart {
    /// Users of a list, in their order, each as what stands before its first colon
    /// and after; whether they are the last.
    pub fn users<'a>(
        id: u64,
        users: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        last: bool,
    ) -> Self {
        let len = users.clone().map(|user| bytes_field_len(len_of(user))).sum();
        let mut bytes = Vec::with_capacity(PART_FRAME + len);
        number(1, id, &mut bytes);
        encode_key(2, WireType::LengthDelimited, &mut bytes);
        encode_varint(to_u64(len), &mut bytes);
        users.for_each(|user| put_user(1, user, &mut bytes));
        number(4, last.into(), &mut bytes);
        Self::of(bytes)
    }

    /// The whole of a set that is composed of others.
    pub fn expression(id: u64, expression: &SetExpression) -> Self {
        let mut bytes = Vec::with_capacity(PART_FRAME + expression.encoded_len());
        number(1, id, &mut bytes);
        encoding::message::encode(3, expression, &mut bytes);
        number(4, 1, &mut bytes);
        Self::of(bytes)
    }
}

// === impl GetInterestedUsersResponse ===

impl GetInterestedUsersResponse {
    /// Users in their order, each as what stands before its first colon and after;
    /// those of an open set besides; and what is hidden.
    pub fn new<'a>(
        revision: &str,
        users: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        open: Option<&SetExpression>,
        hides: &[Hide],
    ) -> Self {
        let len: usize = users.clone().map(|user| bytes_field_len(len_of(user))).sum();
        let open_len = open.map_or(0, |open| bytes_field_len(open.encoded_len()));
        let hidden: usize = hides.iter().map(|hide| bytes_field_len(hide.encoded_len())).sum();
        let len = bytes_field_len(revision.len()) + len + open_len + hidden;
        let mut bytes = Vec::with_capacity(len);
        string(1, revision, &mut bytes);
        users.for_each(|user| put_user(2, user, &mut bytes));
        open.into_iter().for_each(|open| encoding::message::encode(3, open, &mut bytes));
        hides.iter().for_each(|hide| encoding::message::encode(4, hide, &mut bytes));
        Self::of(bytes)
    }
}

/// Bytes of a user's id, which is given as what stands before its first colon and
/// after.
fn len_of((name, server): (&str, &str)) -> usize {
    name.len() + 1 + server.len()
}

/// Writes a user's id as a field (of a tag up to 15).
fn put_user(tag: u8, user: (&str, &str), bytes: &mut Vec<u8>) {
    bytes.push(tag << 3 | LENGTH_DELIMITED);
    put_varint(to_u64(len_of(user)), bytes);
    bytes.extend_from_slice(user.0.as_bytes());
    bytes.push(b':');
    bytes.extend_from_slice(user.1.as_bytes());
}

/// What a part takes besides its content: the id, the content's length, and
/// whether it is the last.
const PART_FRAME: usize = 11 + 11 + 2;

/// Writes a number. What prost has for it asks a buffer of any kind for room, byte
/// by byte.
fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        bytes.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    bytes.push(low);
}
