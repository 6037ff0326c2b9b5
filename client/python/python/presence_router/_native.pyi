# What the compiled half offers. All but `Everyone.hidden_of` return at once; results come
# through `call_from_thread`, which is Twisted's `reactor.callFromThread`, as
# `done(outcome, detail, value)`, exactly once, in the reactor's thread.
#
# outcome: "ok", with a value (None of `check_daemon`); "unreachable", "deadline", "refused", "unusable",
# "malformed" (the daemon takes the id of the user asked about for none), or
# "failed" (a fault of our own), with detail for people and None as value. Of
# states, there may be a value with any of them: what is known of some.

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, TypeVar, final

from synapse.module_api import UserPresenceState

__all__ = ["VERSION", "Everyone", "Router", "check_address", "is_server_name"]

VERSION: str

_T = TypeVar("_T")

Done: TypeAlias = Callable[[str, str, _T | None], None]

# The position of a state, and what is hidden of it, as bits: 1 its presence (it is to
# look offline; then all bits are set), 2 the status text, 4 the time of the last
# activity, 8 whether the user is active now. Never 0.
Hidden: TypeAlias = tuple[int, int]

# Keys with the positions of the states that each of them gets as they are, and with
# those of which something is hidden, in one version for each server; then the number
# of states whose audience is on servers that nobody named. Of several states of one
# user, a server gets the last.
Keys: TypeAlias = tuple[list[tuple[list[str], list[int], list[Hidden]]], int]

# Known senders; local users who may see them from now on, None if there is no list
# of them; whether users of other servers may be among those who may.
Gain: TypeAlias = tuple[list[str], list[str] | None, bool]

class Room(TypedDict):
    requester: str
    is_admin: bool
    preset: str | None
    visibility: str | None
    invites: list[str]
    name: str | None
    initial_state: list[tuple[str, str]]

# Why a room is denied: HTTP status, errcode, message, rule (empty: too large to ask
# about). Then state events to add: type, state key, content as JSON, rule.
RoomVerdict: TypeAlias = tuple[
    tuple[int, str, str, str] | None, list[tuple[str, str, str, str]]
]

def check_address(address: str) -> None:
    """Raises ValueError unless an address is `unix:/path` or `http://host:port`."""

def is_server_name(value: object) -> bool:
    """Whether a value is the name of a server, as the daemon sees it."""

@final
class Everyone:
    """The answer about a local user who may see everyone without exception."""

    def hidden_of(self, states: list[UserPresenceState]) -> list[Hidden]:
        """What of these states is hidden from the user, as was decided when the answer
        was given; nothing of their own. Never raises.

        At once if nothing is hidden of anybody. Else it reads and looks up every state,
        with the GIL held and in the thread of the caller: 100,000, as an initial /sync
        may have, take 10 ms and more.
        """

@final
class Router:
    """Asks one daemon on behalf of one homeserver.

    Its threads start with the first call, in each process anew. Known senders
    outlive a fork.
    """

    def __new__(
        cls, address: str, server_name: str, destinations: list[str], deadline_ms: int
    ) -> Router: ...
    def get_users_for_states(
        self,
        states: list[UserPresenceState],
        call_from_thread: Callable[..., Any],
        done: Done[Keys],
    ) -> None:
        """Asks who gets these states, whose users become known senders.

        A user may occur more than once. Malformed ids cost only their own states,
        and a part that gets no answer costs only itself.
        """

    def get_interested_users(
        self,
        user_id: str,
        may_be_everyone: bool,
        call_from_thread: Callable[..., Any],
        done: Done[set[str] | Everyone],
    ) -> None:
        """Asks whose presence a user may see, of the known senders.

        The answer is a set of those of whom nothing is hidden. With
        `may_be_everyone`, for a local user who may see everyone without exception, it
        is that; and until the next answer, this user gets as a key what they may see of
        states of which something is hidden.
        """

    def check_daemon(self, call_from_thread: Callable[..., Any], done: Done[None]) -> None:
        """Asks whether the daemon answers this homeserver at all, with a deadline of five
        seconds or of any other question, whichever is longer."""

    def next_change(self, call_from_thread: Callable[..., Any], done: Done[list[Gain]]) -> None:
        """Waits for the next change of who may see whom. One at a time.

        outcome: "gained", with a value; "reset" (take everything as changed);
        "connected", from which on changes are told, and "disconnected", with the
        reason as detail: those two alternate; "failed", as of any call.
        """

    def on_create_room(
        self, room: Room, call_from_thread: Callable[..., Any], done: Done[RoomVerdict]
    ) -> None:
        """Asks what is to become of a room."""

    def know(self, user_ids: list[str]) -> None:
        """Adds known senders, those that are user ids. For any thread."""

    def seeded(self) -> None:
        """Says that the known senders are complete; until then, questions about
        interest wait for it, within their deadline."""

    def close(self) -> None:
        """Ends the threads. Calls under way end as "failed"."""
