//! The id of a named user, stored in parts: users of one server share its name.

use std::cmp::Ordering;
use std::fmt;

use presence_router_ids::UserId;

/// The id of a named user, in the parts that it is kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedId<'a> {
    pub(super) name: &'a str,
    pub(super) server: &'a str,
}

// === impl NamedId ===

impl<'a> NamedId<'a> {
    /// Returns true if these are its bytes.
    #[inline]
    pub(super) fn has_bytes(self, bytes: &[u8]) -> bool {
        let rest = bytes.strip_prefix(self.name.as_bytes());
        matches!(rest, Some([b':', server @ ..]) if *server == *self.server.as_bytes())
    }

    /// Bytes of the id.
    #[expect(clippy::len_without_is_empty, reason = "no user's id is empty")]
    #[inline]
    pub fn len(self) -> usize {
        self.name.len() + 1 + self.server.len()
    }

    /// Returns the parts before and after the first `:`.
    #[inline]
    pub fn parts(self) -> (&'a str, &'a str) {
        (self.name, self.server)
    }

    /// Writes it in place of a text, which many can share.
    #[inline]
    pub fn replace(self, text: &mut String) {
        text.clear();
        text.reserve(self.len());
        text.push_str(self.name);
        text.push(':');
        text.push_str(self.server);
    }
}

/// By the bytes of the whole id.
impl Ord for NamedId<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let [one, two] = [self.name, other.name].map(str::as_bytes);
        let both = one.len().min(two.len());
        let as_far = one.get(..both).cmp(&two.get(..both));
        as_far.then_with(|| {
            let [one, two] = [self, other].map(|id| {
                let name = id.name.bytes().skip(both);
                name.chain(*b":").chain(id.server.bytes())
            });
            one.cmp(two)
        })
    }
}

impl PartialOrd for NamedId<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> From<UserId<'a>> for NamedId<'a> {
    #[inline]
    fn from(user: UserId<'a>) -> Self {
        Self { name: user.before_server(), server: user.server() }
    }
}

impl From<NamedId<'_>> for String {
    #[inline]
    fn from(id: NamedId<'_>) -> Self {
        let mut text = Self::new();
        id.replace(&mut text);
        text
    }
}

impl fmt::Display for NamedId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let ids = [
            "@a:x", "@a:y", "@a-b:x", "@a-b:a", "@ab:x", "@:x", "@a:x:1", "@A:x", "@a.:x", "@a;:x",
        ];
        for one in ids {
            for two in ids {
                let named = [one, two].map(|id| NamedId::from(UserId::parse(id).unwrap()));
                assert_eq!(named[0].cmp(&named[1]), one.cmp(two), "{one} {two}");
            }
        }
    }
}
