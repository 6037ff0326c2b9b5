# The interface of the compiled half. All methods but `Everyone.hidden_of` return at once, and
# no thread of its own takes the GIL. Results arrive as `done(outcome, detail, value)`, exactly
# once, when the reactor's thread calls `Router.deliver_completions`.
#
# outcome: "ok", with a value (None for `check_daemon`); or "unreachable", "deadline",
# "refused", "unusable", "malformed" (the daemon rejects the user's id as invalid) or
# "failed" (a bug of the module), with detail for people and None as value. For states, there
# may be a value with any outcome: the answer for some of the states.

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, TypeVar, final

from synapse.module_api import UserPresenceState

__all__ = ["VERSION", "Everyone", "Router", "check_address", "is_server_name"]

VERSION: str

_T = TypeVar("_T")

Done: TypeAlias = Callable[[str, str, _T | None], None]

# The position of a state, and its hidden fields as bits: 1 the presence (the user must look
# offline; then all bits are set), 2 the status text, 4 the time of the last activity, 8 the
# flag of a user who is active now. Never 0.
Hidden: TypeAlias = tuple[int, int]

# Keys, with the positions of the states that each key gets in full, and with the states that
# have hidden fields, in one version for each server; then the number of states with an
# audience on servers that neither policy nor `destinations` names. Of several states of one
# user, a server gets the last one.
Keys: TypeAlias = tuple[list[tuple[list[str], list[int], list[Hidden]]], int]

# Known senders; local users who may see them from now on, None if they cannot be listed;
# true if users of other servers may be among the new recipients.
Gain: TypeAlias = tuple[list[str], list[str] | None, bool]

class Room(TypedDict):
    requester: str
    is_admin: bool
    preset: str | None
    visibility: str | None
    invites: list[str]
    name: str | None
    initial_state: list[tuple[str, str]]

# The denial of a room: HTTP status, errcode, message, rule (empty: the room is too large to
# ask about). Then state events to add: type, state key, content as JSON, rule.
RoomVerdict: TypeAlias = tuple[
    tuple[int, str, str, str] | None, list[tuple[str, str, str, str]]
]

def check_address(address: str) -> None:
    """Raises ValueError unless an address is `unix:/path` or `http://host:port`."""

def is_server_name(value: object) -> bool:
    """Returns true if the daemon accepts a value as a server name."""

@final
class Everyone:
    """The answer about a local user who may see everyone without exception."""

    def hidden_of(self, states: list[UserPresenceState]) -> list[Hidden]:
        """Returns the fields of these states that are hidden from the user, by the hides of
        the answer. The user's own state has no hidden fields. Never raises.

        Returns at once if the answer has no hides. Otherwise it looks up every state, with
        the GIL held and in the thread of the caller: 100,000 states, as an initial /sync
        may have, take 10 ms and more.
        """

@final
class Router:
    """Asks one daemon on behalf of one homeserver.

    Its threads start with the first call, in each process separately. Known senders
    survive a fork.
    """

    def __new__(
        cls, address: str, server_name: str, destinations: list[str], deadline_ms: int
    ) -> Router: ...
    def get_users_for_states(
        self, states: list[UserPresenceState], done: Done[Keys]
    ) -> None:
        """Asks for the recipients of these states; their users become known senders.

        A user may occur more than once. A malformed id excludes only its own states, and a
        part without an answer excludes only itself.
        """

    def get_interested_users(
        self,
        user_id: str,
        may_be_everyone: bool,
        done: Done[set[str] | Everyone],
    ) -> None:
        """Asks for the known senders whose presence a user may see.

        The answer is the set of senders without hidden fields. With `may_be_everyone`,
        the answer for a local user who may see everyone without exception is `Everyone`;
        until the next answer, states with hidden fields then have this user as a key, with
        the version that the user may see.
        """

    def check_daemon(self, done: Done[None]) -> None:
        """Checks that the daemon answers this homeserver, with a deadline of five seconds or
        that of any other question, whichever is longer."""

    def next_change(self, done: Done[list[Gain]]) -> None:
        """Waits for the next change of visibility. Only one call at a time.

        outcome: "gained", with a value; "reset" (everything may have changed); "connected"
        (the daemon reports changes from now on) and "disconnected", with the reason as
        detail, which alternate; "failed", as for any call.
        """

    def on_create_room(self, room: Room, done: Done[RoomVerdict]) -> None:
        """Asks for the decision about a room."""

    def add_known_users(self, user_ids: list[str]) -> None:
        """Adds known senders, and ignores texts that are not user ids. For any thread."""

    def finish_seeding(self) -> None:
        """Marks the known senders as complete. Until this call, questions about interest
        wait for it, within their deadline."""

    def completion_fd(self) -> int:
        """Returns an eventfd that is readable while calls of this process have finished and
        wait for `deliver_completions`.

        It stays the same, and open, as long as this object, also after `close`. A forked
        process has another one.
        """

    def deliver_completions(self) -> list[BaseException]:
        """Calls `done` of finished calls, oldest first, and returns the exceptions that these
        raised; one exception does not affect the other calls. Only for the reactor's thread.

        Reads the eventfd once. Delivers at most 100 calls, and converts at most 10,000 user
        ids and positions: if anything remains, the eventfd stays readable.
        """

    def close(self) -> None:
        """Ends the threads. Calls in flight end as "failed": `deliver_completions` still
        delivers them."""
