# The interface of the compiled half. `Router.routes_in_memory`, `Router.interest_in_memory` and
# `Everyone.hidden_of` answer at once, in the reactor's thread. All other methods return at once,
# and no thread of its own takes the GIL: results arrive as `done(outcome, detail, value)`,
# exactly once, when the reactor's thread calls `Router.deliver_completions`.
#
# outcome: "ok", with a value (None for `check_daemon`); "memory", with a value, if no question to
# the daemon was necessary; or "unreachable", "deadline", "refused", "unusable", "malformed" (the
# daemon rejects the user's id as invalid) or "failed" (a bug of the module), with detail for
# people and None as value. For states, there is a value with any outcome but "failed": the
# answer for some of the states.

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias, TypedDict, TypeVar, final

from synapse.module_api import UserPresenceState

__all__ = [
    "VERSION",
    "Change",
    "ChangedPairs",
    "Everyone",
    "RoomFacts",
    "Router",
    "Visibility",
    "check_address",
    "is_server_name",
]

VERSION: str

_T = TypeVar("_T")

Done: TypeAlias = Callable[[str, str, _T | None], None]

# The position of a state, and its hidden fields as bits: 1 the presence (the user must look
# offline; then all bits are set), 2 the status text, 4 the time of the last activity, 8 the
# flag of a user who is active now. Never 0.
Hidden: TypeAlias = tuple[int, int]

# The recipients of some states, each with the states that it gets: for other servers, and for
# users who were answered `Everyone`, without hidden fields. Recipients share sets. Of several
# states of one user, a server gets the last one. The number of states with an audience on
# servers that neither the policy nor `destinations` names; and the users of states that have no
# answer.
Routes: TypeAlias = tuple[dict[str, set[UserPresenceState]], int, list[str]]

# Known senders; local users who may see them from now on, None if they cannot be listed;
# true if users of other servers may be among the new recipients.
Gain: TypeAlias = tuple[list[str], list[str] | None, bool]

# A fact that a question lacks: its kind ("state" of a room, "members" of a room, "space": the
# children of a space), the room's id, and for "members" the number of the patterns of members
# who do not count, for `RoomFacts.count_members`; 0 for all other kinds, and if all count.
MissingFact: TypeAlias = tuple[str, str, int]

# The facts about rooms of this process, and for this question the numbers of joined members, by
# room and number of the patterns; None: unknown, as in a room whose state is partial.
Known: TypeAlias = tuple["RoomFacts", dict[tuple[str, int], int | None] | None]

# The rooms that a user shares with each of some others, in the order of these; None: no rooms.
# As a whole None: all of them share none.
SharedRooms: TypeAlias = Sequence[Collection[str] | None] | None

# Positions of those who are visible, in ascending order, with the fields that are hidden (0: none), and
# the facts that were missing: these counted as unknown, so that nothing was shown because of them.
Verdicts: TypeAlias = tuple[list[tuple[int, int]], list[MissingFact]]

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
RoomVerdict: TypeAlias = tuple[tuple[int, str, str, str] | None, list[tuple[str, str, str, str]]]

def check_address(address: str) -> None:
    """Raises ValueError unless an address is `unix:/path` or `http://host:port`."""

def is_server_name(value: object) -> bool:
    """Returns true if the daemon accepts a value as a server name."""

@final
class Change:
    """A revision of the policy and the directory, and what changed with it."""

    @property
    def revision(self) -> str:
        """Returns the revision, for comparison with others."""

    @property
    def pairs(self) -> list[ChangedPairs]:
        """Returns the pairs that may have become visible, or may be visible no longer."""

@final
class ChangedPairs:
    """All pairs of a sender in one set and a recipient in another one. A pair that depends on
    rooms is included if it may have changed."""

    @property
    def is_lost(self) -> bool:
        """Returns true if the pairs may be visible no longer, false if they may have become
        visible."""

    @property
    def known_senders(self) -> list[str] | None:
        """Returns those of the senders that were known when the change came. Others had no
        presence that anybody saw. None: more than 20,000, or the known senders were not complete.
        Each call makes a new list."""

    @property
    def size(self) -> int:
        """Returns about the number of bytes that this object keeps in memory."""

    def concern(self, recipient: str) -> bool:
        """Returns true if a user is one of the recipients."""

    def contain(self, sender: str, recipient: str) -> bool:
        """Returns true for one of the pairs."""

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
class RoomFacts:
    """What the state of rooms says, for the evaluation of conditions. Not the numbers of members."""

    def __new__(cls, rooms: int) -> RoomFacts:
        """Creates an empty memory for so many rooms, and as many spaces; when it is full, the
        rooms that were used least recently make way."""

    def put_state(
        self,
        room_id: str,
        encrypted: bool | None,
        join_rule: str | None,
        history_visibility: str | None,
        presence_sharing: str | None,
    ) -> None:
        """Stores what the state of a room says. None: unknown, but for the last one: the room has
        no such hint. A room without an event for the join rule has `invite`, for the history
        visibility `shared`."""

    def put_space(self, space_id: str, children: list[str] | None) -> None:
        """Stores the rooms that a space lists as children with a `via` that is not empty. None:
        this homeserver is not in the space."""

    def forget(self, room_ids: list[str]) -> None:
        """Forgets rooms and spaces."""

    def forget_all(self) -> None:
        """Forgets everything."""

    def count_members(self, patterns: int, members: list[str]) -> int:
        """Counts the members that match none of the patterns with this number, at once."""

    def member_limits(self) -> list[tuple[int, int]]:
        """Returns the numbers of members that answers noted, sorted, each after the number of the patterns: a condition may
        have another outcome for that many members than for one more."""

@final
class Visibility:
    """The daemon's answer about one user: the senders that a recipient may see, or the
    recipients of a sender. It never changes. Its user is never among them."""

    @property
    def user_id(self) -> str: ...
    @property
    def number(self) -> int:
        """Returns a number that only answers with the same users and hides have."""

    @property
    def revision(self) -> str:
        """Returns the revision at which this is the answer: the last one that the daemon had
        announced, or a later one, of which `Router.next_change` does not tell yet."""

    @property
    def is_stale(self) -> bool:
        """Returns true if there was no connection to the daemon."""

    @property
    def depends_on_rooms(self) -> bool:
        """Returns true if the rooms that users share decide something. If false, the methods
        need no shared rooms."""

    @property
    def is_open_to_strangers(self) -> bool:
        """Returns true if the answer may hold users whom it does not list and who share no room
        with its user."""

    def note_member_limits(self, facts: RoomFacts) -> None:
        """Notes the numbers of members at which conditions of this answer begin or end to be met."""

    def hides_as(self, other: Visibility) -> bool:
        """Returns true if another answer about the same user hides the same of the same users."""

    def shown_states(
        self, states: list[UserPresenceState], shared_rooms: SharedRooms, known: Known
    ) -> Verdicts:
        """Returns which of some states the recipient of this answer sees. For at most a few
        thousand states: it runs in the thread of the caller."""

    def recipients(
        self, presence: str | None, users: list[str], shared_rooms: SharedRooms, known: Known
    ) -> Verdicts:
        """Returns which of some users are in the answer, while the sender has this presence.
        None: the presence is not known, and no hide has an exception for it. As
        `shown_states`, for a few thousand users."""

    def server_sees(
        self,
        server: str,
        presence: str,
        room_mates: dict[str, Collection[str]],
        complete: bool,
        known: Known,
    ) -> tuple[int | None, list[MissingFact]]:
        """Returns the fields that are hidden from some of the sender's recipients on a server; None:
        there are none, and the server must not get the state.

        `room_mates`: the users of the server who share rooms with the sender, each with these
        rooms. Not `complete`: there may be others, because a room's state is partial."""

@final
class Router:
    """Answers the questions of one homeserver, from memory or by asking one daemon.

    Its threads start with the first call, in each process separately, and keep one stream to
    the daemon open. Known senders survive a fork, answers do not.

    Synapse adds a user's own presence by itself: a user may be among the senders of its own
    interest, and its own states among those that it gets, so that answers can be shared.
    """

    def __new__(
        cls,
        address: str,
        server_name: str,
        destinations: list[str],
        deadline_ms: int,
        stale_for_ms: int,
        cache_mib: int,
        redact: Callable[[UserPresenceState, int], UserPresenceState],
        decides_alone: bool = False,
    ) -> Router:
        """Creates a router. `stale_for_ms`: the longest time that remembered answers are given
        without a connection. `cache_mib`: about so much memory for answers in each process.
        `redact(state, hidden)` returns a copy of a state without the fields in `hidden`, see
        `Hidden`. `decides_alone`: this process evaluates rules about shared rooms, by
        `Visibility`; otherwise no answer depends on rooms."""

    def routes_in_memory(self, states: list[UserPresenceState]) -> Routes | None:
        """Returns the recipients of these states; their users become known senders.

        None: memory lacks an answer, or the work would take more than one turn of the reactor.
        Then `find_routes` has the answer. A user may occur more than once. A malformed id
        excludes only its own states.
        """

    def find_routes(self, states: list[UserPresenceState], done: Done[Routes]) -> None:
        """Returns the recipients of these states, and asks the daemon for missing answers.

        A state without an answer excludes only itself.
        """

    def interest_in_memory(self, user_id: str, may_be_everyone: bool) -> set[str] | Everyone | None:
        """Returns the known senders whose presence a user may see, without those with hidden
        fields: a set that other answers share, and that nobody may change.

        None: as for `routes_in_memory`; `find_interest` has the answer. With
        `may_be_everyone`, the answer for a local user who may see everyone without exception is
        `Everyone`, unless there is no connection to the daemon. Until the next answer, states
        with hidden fields then have this user as a key, with the version that the user may see.
        """

    def find_interest(
        self,
        user_id: str,
        may_be_everyone: bool,
        done: Done[set[str] | Everyone],
    ) -> None:
        """Returns the same as `interest_in_memory`, and asks the daemon if necessary."""

    def visible_senders(self, user_id: str) -> Visibility | None:
        """Returns the senders that a user may see, from memory. None: memory has no answer, and
        `find_visible_senders` has it."""

    def find_visible_senders(self, user_id: str, done: Done[list[Visibility]]) -> None:
        """Returns the same, as the only element of a list, and asks the daemon if necessary."""

    def recipients_of(self, senders: list[str]) -> list[Visibility | None]:
        """Returns the recipients of each sender, from memory; the senders become known. None:
        memory has no answer for this sender."""

    def find_recipients_of(self, senders: list[str], done: Done[list[Visibility | None]]) -> None:
        """Returns the same, and asks the daemon if necessary. None: there is no answer for this
        sender. With any outcome but "failed" there is a value."""

    def find_senders_without_rooms(self, answer: Visibility, done: Done[list[str]]) -> None:
        """Returns the users that an answer lists, and the known senders whom it shows although they
        share no room with its user. Some of them may not be visible."""

    def named_servers(self) -> tuple[int, list[str]]:
        """Returns the other servers that the policy or `destinations` names, sorted, with the
        number of the list: it changes when the policy names others."""

    def is_away(self) -> bool:
        """Returns true if the daemon has not answered for `stale_for_ms`, so that memory gives
        no answers."""

    def check_daemon(self, done: Done[None]) -> None:
        """Checks that the daemon answers this homeserver, with a deadline of five seconds or
        that of any other question, whichever is longer."""

    def next_event(self, with_gains: bool, done: Done[list[Gain]]) -> None:
        """Waits for the next event of the stream. Only one call at a time.

        outcome: "connected", "disconnected" (answers in memory stay for a while) or "refused" (the
        daemon refuses the stream or breaks the contract; answers in memory have ended), the
        latter two with the reason as detail. One of the three is the first event. After
        "connected" comes one of the others, and once "refused" may follow "disconnected".
        "failed", as for any call. With `with_gains` also changes of visibility: "gained",
        with a value, and "reset" (everything may have changed). After "connected", these report
        what changed meanwhile; if nothing did, neither comes.
        """

    def next_change(self, done: Done[Change]) -> None:
        """Waits for the next event of the stream, as `next_event` does, for a module that decides
        alone. A process calls only one of the two, and only once at a time.

        outcome: "connected", "disconnected", "refused" and "failed" as for `next_event`; "reset"
        (everything may have changed); "changed" (the change lists what may have become visible,
        and what may be visible no longer; hidden fields may have changed besides). "connected",
        "reset" and "changed" have a value. Answers in memory are of its revision, or of a later
        one, before it arrives.
        """

    def find_answers_about_rooms(self, done: Done[list[Visibility | None]]) -> None:
        """Returns answers that depend on rooms: one of the audiences of the known senders for each
        distinct list of conditions. Asks the daemon about senders of whom memory has no answer,
        each thousand of them within the deadline. With any outcome but "failed" there is a
        value; with another one than "ok" some senders are left out."""

    def on_create_room(self, room: Room, done: Done[RoomVerdict]) -> None:
        """Asks for the decision about a room."""

    def add_known_users(self, user_ids: list[str]) -> None:
        """Adds known senders, and ignores texts that are not user ids. For any thread."""

    def finish_seeding(self) -> None:
        """Marks the known senders as complete. Until this call, questions about interest
        wait for it, within their deadline."""

    def cache_stats(self) -> dict[str, int]:
        """Returns figures of the near-cache in this process. Counters: `hits` and `misses` of
        look-ups, one for each state and each interest; `stale`, the hits without a connection;
        `ended` answers, that a change made invalid; `errors`, questions without an answer;
        `evictions`, answers dropped for lack of room. The present `bytes` and `entries`."""

    def completion_fd(self) -> int:
        """Returns an eventfd that is readable while calls of this process have finished and
        wait for `deliver_completions`.

        It stays the same, and open, as long as this object, also after `close`. A forked
        process has another one.
        """

    def deliver_completions(self) -> list[BaseException]:
        """Calls `done` of finished calls, oldest first, and returns the exceptions that these
        raised; one exception does not affect the other calls. Only for the reactor's thread.

        Reads the eventfd once. Delivers at most 100 calls, and handles at most 10,000 user
        ids and states: if anything remains, the eventfd stays readable.
        """

    def close(self) -> None:
        """Ends the threads. Calls in flight end as "failed": `deliver_completions` still
        delivers them."""
