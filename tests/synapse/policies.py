"""Rules of policies, as short as tests want them."""

import itertools
from typing import Any

from matrix import User

_numbers = itertools.count()


def allow(sender: User | Any, recipient: User | Any) -> dict[str, Any]:
    """The sender's presence goes to the recipient: users, or sets as a policy writes them."""
    return _rule("allow", {"from": _set(sender), "to": _set(recipient)})


def allow_room_mates(**conditions: Any) -> dict[str, Any]:
    """Everybody's presence goes to everybody who shares a room that meets the conditions."""
    return _rule("allow", {"share_room": conditions or True})


def deny(sender: User | Any, recipient: User | Any) -> dict[str, Any]:
    """The sender's presence goes not to the recipient."""
    return _rule("deny", {"from": _set(sender), "to": _set(recipient)})


def hide(
    sender: User | Any, recipient: User | Any, *fields: str, unless: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Fields of the sender's are hidden from the recipient: the status message, unless others
    are named; and not with some presences."""
    rule = _rule("hide", {"from": _set(sender), "to": _set(recipient)})
    rule["hide"]["fields"] = list(fields) or ["status_msg"]
    if unless:
        rule["hide"]["unless"] = {"presence": list(unless)}
    return rule


def within(group: str) -> dict[str, Any]:
    """The members of a group see each other."""
    return _rule("allow", {"within": group})


def _rule(kind: str, pairs: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"rule {next(_numbers)}", kind: pairs}


def _set(value: User | Any) -> Any:
    return value.id if isinstance(value, User) else value
