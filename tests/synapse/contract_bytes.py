"""Messages of the contract as bytes, written by hand: a test can add fields, kinds and values
that no generated code knows, or leave out what every daemon sends."""

from collections.abc import Iterator

# Kinds of messages in a `RouteStatesRequest`.
OPEN, BATCH, INTEREST, TOUCH = 1, 2, 3, 4

CAPABILITY_TOUCH, CAPABILITY_NAMED_SERVERS = 1, 2

# `SetExpression`: everyone, and a kind that nobody knows yet.
EVERYONE = b"\x12\x00"
UNKNOWN_SET = b"\x72\x06\x0a\x04what"


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a message."""
    if isinstance(value, int):
        return bytes(varint(number << 3)) + bytes(varint(value))
    value = value.encode() if isinstance(value, str) else value
    return bytes(varint(number << 3 | 2)) + bytes(varint(len(value))) + value


def varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


def read_fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """The numbers and values of a message's fields, in order: numbers and bytes only, since the
    client sends no others."""
    bytes_left = iter(message)

    def read_varint() -> int:
        value = shift = 0
        for byte in bytes_left:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return value

    fields: list[tuple[int, int | bytes]] = []
    while tag := read_varint():
        value = read_varint()
        if tag & 7 == 2:
            fields.append((tag >> 3, bytes(next(bytes_left) for _ in range(value))))
        else:
            assert tag & 7 == 0, f"field {tag >> 3} is of another type"
            fields.append((tag >> 3, value))
    return fields


def text(message: bytes, number: int) -> str:
    """The value of a text field, "" if it is unset."""
    values = (value for key, value in read_fields(message) if key == number)
    return "".join(value.decode() for value in values if isinstance(value, bytes))


# Sets.


def user_list(*user_ids: str) -> bytes:
    return b"".join(field(1, user_id) for user_id in user_ids)


def users(*user_ids: str) -> bytes:
    """`SetExpression` of a list of users."""
    return field(1, user_list(*user_ids))


def union(*sets: bytes) -> bytes:
    """`SetExpression` of a union."""
    return field(6, b"".join(field(1, one) for one in sets))


def difference(any_of: bytes, without: bytes) -> bytes:
    """`SetExpression` of a difference."""
    return field(8, field(1, any_of) + field(2, without))


def as_list(*user_ids: str) -> bytes:
    """The content of a `SetPart`: users."""
    return field(2, user_list(*user_ids))


def as_expression(expression: bytes) -> bytes:
    """The content of a `SetPart`: an expression."""
    return field(3, expression)


def hide(users: bytes, *fields: int) -> bytes:
    """A `Hide` of some fields of the users in a `SetExpression`."""
    return field(1, users) + b"".join(field(2, one) for one in fields)


# Messages of the daemon.


def opened(revision: str, *capabilities: int, new: bytes = b"") -> bytes:
    """`Opened`, without heartbeats: the daemon may be silent for ever."""
    return field(1, field(1, revision) + b"".join(field(3, one) for one in capabilities) + new)


def set_part(number: int, content: bytes, last: bool = True, new: bytes = b"") -> bytes:
    return field(2, field(1, number) + content + field(4, int(last)) + new)


def deliveries(
    batch: int, revision: str, *entries: tuple[int, list[int], bytes], new: bytes = b""
) -> bytes:
    """The answer to a batch: the set of each entry, its states, and its further fields."""
    answer = field(1, batch) + field(2, revision)
    for set_id, indexes, more in entries:
        states = b"".join(bytes(varint(index)) for index in indexes)
        answer += field(3, field(1, set_id) + field(2, states) + more)
    return field(3, answer + new)


def interest_answer(query: int, revision: str, set_id: int, more: bytes = b"") -> bytes:
    return field(4, field(1, query) + field(2, revision) + field(3, set_id) + more)


def changed(revision: str, *lost: tuple[bytes, bytes], new: bytes = b"") -> bytes:
    """`Changed`, with the products of senders and recipients that are no longer visible."""
    products = (field(1, senders) + field(2, recipients) for senders, recipients in lost)
    return field(5, field(1, revision) + b"".join(field(3, one) for one in products) + new)


def set_edit(number: int, *added: str, new: bytes = b"") -> bytes:
    return field(6, field(1, number) + b"".join(field(2, one) for one in added) + new)


def set_retired(number: int) -> bytes:
    return field(7, field(1, number))


def reset(revision: str) -> bytes:
    return field(8, field(1, revision))


def batch_error(batch: int, code: int, reason: int, new: bytes = b"") -> bytes:
    """`RequestError` for a batch."""
    return field(9, field(1, batch) + field(3, code) + field(4, reason) + field(5, "why") + new)


def query_error(query: int, code: int, reason: int, new: bytes = b"") -> bytes:
    """`RequestError` for a query."""
    return field(9, field(2, query) + field(3, code) + field(4, reason) + field(5, "why") + new)


def heartbeat(revision: str) -> bytes:
    return field(10, field(1, revision))


def named_servers(*added: str, removed: tuple[str, ...] = (), last: bool = True) -> bytes:
    names = [field(1, name) for name in added] + [field(2, name) for name in removed]
    return field(11, b"".join(names) + field(3, int(last)))


def status_details(code: int, reason: str) -> bytes:
    """`google.rpc.Status` with the stable reason of a refusal."""
    info = field(1, reason) + field(2, "presence-router")
    any_info = field(1, "type.googleapis.com/google.rpc.ErrorInfo") + field(2, info)
    return field(1, code) + field(2, reason) + field(3, any_info)
