//! Batches of states, as a server reads them.

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{
    self, DecodeContext, WireType, check_wire_type, decode_key, decode_varint, encode_key,
    encode_varint, encoded_len_varint, skip_field,
};

use super::{bytes_field_len, number, string, to_u64};

/// A batch of states as a server reads it: the users only, in one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// As in the contract.
    pub batch_id: u64,
    /// As in the contract.
    pub at_least: String,
    /// The `user_id` of each state, in their order.
    pub users: Users,
}

/// Texts, one after another, each of them UTF-8. Whether they are ids is not
/// checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
}

// === impl Users ===

impl Users {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of the texts, in their order.
    pub fn bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let user = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            user
        })
    }

    /// The texts, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.bytes().map(|user| std::str::from_utf8(user).unwrap_or_default())
    }

    /// The text at a place; empty if there is none.
    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let bytes =
            start.zip(self.ends.get(at)).and_then(|(start, end)| self.bytes.get(start..*end));
        bytes.and_then(|user| std::str::from_utf8(user).ok()).unwrap_or_default()
    }

    /// Makes room for as many as fit the bytes that are left, if all states are
    /// as long as the first.
    fn reserve_for(&mut self, state: usize, left: usize) {
        self.bytes.reserve(left.saturating_sub(left / (state + 2)));
        self.ends.reserve(left / (state + 2) + 1);
    }

    /// Adds one at the end.
    pub fn push(&mut self, user: &str) {
        self.push_bytes(user.as_bytes());
    }

    fn push_bytes(&mut self, user: &[u8]) {
        self.bytes.extend_from_slice(user);
        self.ends.push(self.bytes.len());
    }
}

impl<'a> FromIterator<&'a str> for Users {
    fn from_iter<I: IntoIterator<Item = &'a str>>(users: I) -> Self {
        let mut all = Self::default();
        users.into_iter().for_each(|user| all.push(user));
        all
    }
}

// === impl StateBatch ===

impl prost::Message for StateBatch {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        number(1, self.batch_id, buf);
        string(2, &self.at_least, buf);
        for user in self.users.iter() {
            encode_key(3, WireType::LengthDelimited, buf);
            encode_varint(to_u64(bytes_field_len(user.len())), buf);
            encode_key(1, WireType::LengthDelimited, buf);
            encode_varint(to_u64(user.len()), buf);
            buf.put_slice(user.as_bytes());
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::uint64::merge(wire_type, &mut self.batch_id, buf, ctx),
            2 => encoding::string::merge(wire_type, &mut self.at_least, buf, ctx),
            3 => {
                check_wire_type(WireType::LengthDelimited, wire_type)?;
                let len = length(buf)?;
                if self.users.is_empty() {
                    self.users.reserve_for(len, buf.remaining());
                }
                match buf.chunk().get(..len) {
                    Some(state) => {
                        self.users.push_bytes(user_of(state)?);
                        buf.advance(len);
                    }
                    None => {
                        let state = buf.copy_to_bytes(len);
                        self.users.push_bytes(user_of(&state)?);
                    }
                }
                Ok(())
            }
            _ => skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let number = |value: &u64| if *value == 0 { 0 } else { 1 + encoded_len_varint(*value) };
        let text = |text: &str| if text.is_empty() { 0 } else { bytes_field_len(text.len()) };
        let state = |user: &str| bytes_field_len(bytes_field_len(user.len()));
        number(&self.batch_id) + text(&self.at_least) + self.users.iter().map(state).sum::<usize>()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The user of an encoded `PresenceState`. The other fields are checked as
/// their types demand, and dropped.
fn user_of(mut state: &[u8]) -> Result<&[u8], DecodeError> {
    let mut user: &[u8] = &[];
    while !state.is_empty() {
        let (tag, wire_type) = key(&mut state)?;
        match tag {
            // Said twice, the last one counts.
            1 => user = text(wire_type, &mut state)?,
            2 | 6 => drop(text(wire_type, &mut state)?),
            3 | 4 | 5 | 7 => {
                check_wire_type(WireType::Varint, wire_type)?;
                varint(&mut state)?;
            }
            _ => skip_field(wire_type, tag, &mut state, DecodeContext::default())?,
        }
    }
    Ok(user)
}

/// The key of a field. One byte says nearly all that there are.
fn key(buf: &mut &[u8]) -> Result<(u32, WireType), DecodeError> {
    match *buf {
        [byte @ 8..0x80, rest @ ..] => {
            *buf = rest;
            Ok((u32::from(byte >> 3), WireType::try_from(u64::from(byte & 7))?))
        }
        _ => decode_key(buf),
    }
}

/// A number. Most take one byte.
fn varint(buf: &mut &[u8]) -> Result<u64, DecodeError> {
    match *buf {
        [byte @ ..0x80, rest @ ..] => {
            *buf = rest;
            Ok((*byte).into())
        }
        _ => decode_varint(buf),
    }
}

/// The bytes of a text.
fn text<'a>(wire_type: WireType, buf: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    check_wire_type(WireType::LengthDelimited, wire_type)?;
    let len = usize::try_from(varint(buf)?).ok();
    let (text, rest) = len
        .and_then(|len| buf.split_at_checked(len))
        .ok_or_else(|| invalid("a length exceeds the message"))?;
    *buf = rest;
    // Nearly all are, and that is quickly seen.
    if text.is_ascii() || std::str::from_utf8(text).is_ok() {
        Ok(text)
    } else {
        Err(invalid("a text is not UTF-8"))
    }
}

/// A length that the buffer has.
fn length(buf: &mut impl Buf) -> Result<usize, DecodeError> {
    let len = match buf.chunk() {
        [byte @ ..0x80, ..] => {
            let len = usize::from(*byte);
            buf.advance(1);
            Some(len)
        }
        _ => usize::try_from(decode_varint(buf)?).ok(),
    };
    len.filter(|len| *len <= buf.remaining()).ok_or_else(|| invalid("a length exceeds the message"))
}

fn invalid(what: &'static str) -> DecodeError {
    #[expect(deprecated, reason = "prost has no other public way to make one")]
    DecodeError::new(what)
}
