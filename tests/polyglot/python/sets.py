"""Sets of Matrix users as presence-router sends them, and the fields that an answer hides.

Copy this file unchanged. It imports the generated messages, `presence_router.v1`, and
the standard library only. It follows `sets.proto`, `presence.proto` and the rules at
`RouteStatesResponse`. It raises `NoVerdict` for everything that it does not understand:
drop the whole answer then, and show no presence beyond your own.
"""

from collections.abc import Callable, Iterable, Sequence

from presence_router.v1 import route_states_pb2, sets_pb2
from presence_router.v1.capability_pb2 import Capability
from presence_router.v1.presence_pb2 import Hide, PresenceField
from presence_router.v1.room_mates_pb2 import RoomCondition, RoomPresenceSharing

# Returns true if a user is in a set: `contains(user, subject)`, with the user that the
# answer is about. `None`: a fact about rooms decides, and the homeserver lacks it.
Contains = Callable[[str, str], bool | None]

# Returns true if two users share a room that meets all conditions. `None`: the
# homeserver cannot tell, or does not know one of the kinds of condition.
ShareRoom = Callable[[str, str, Sequence[RoomCondition]], bool | None]

# The capabilities of a homeserver that evaluates every kind of condition.
ROOM_CAPABILITIES = (
    Capability.CAPABILITY_ROOM_MATES,
    Capability.CAPABILITY_ROOM_AT_MOST,
    Capability.CAPABILITY_ROOM_AT_LEAST,
    Capability.CAPABILITY_ROOM_ENCRYPTED,
    Capability.CAPABILITY_ROOM_JOIN_RULE,
    Capability.CAPABILITY_ROOM_HISTORY_VISIBILITY,
    Capability.CAPABILITY_ROOM_ROOMS,
    Capability.CAPABILITY_ROOM_NOT_ROOMS,
    Capability.CAPABILITY_ROOM_SPACE,
    Capability.CAPABILITY_ROOM_PRESENCE_SHARING,
)

# Returns how many users of a server a set contains: NONE, SOME or ALL of them.
Coverage = Callable[[str], int]
NONE, SOME, ALL = range(3)

# Every field that can be hidden.
FIELDS = frozenset(PresenceField.values()) - {PresenceField.PRESENCE_FIELD_UNSPECIFIED}


class NoVerdict(Exception):
    """The daemon sent something that this client does not understand."""


class Sets:
    """The sets that one stream has defined. They end with their stream.

    A unary answer refers to no set by id: use `Sets(share_room).compile(expression)`.
    Without `share_room`, state no capability about rooms.
    """

    def __init__(self, share_room: ShareRoom | None = None) -> None:
        self._share_room = share_room
        self._complete: dict[int, Contains] = {}
        self._coverages: dict[int, Coverage] = {}
        # Lists of users, edited in place, so that every set that refers to a list
        # sees the edit.
        self._lists: dict[int, set[str]] = {}
        self._added: dict[int, set[str]] = {}

    def __getitem__(self, set_id: int) -> Contains:
        try:
            return self._complete[set_id]
        except KeyError:
            raise NoVerdict(f"set {set_id} is not defined") from None

    def define(self, part: route_states_pb2.SetPart) -> None:
        """Adds a part of a set. The set is complete with the part that has `last`."""
        if part.WhichOneof("content") == "users":
            users = self._lists.setdefault(part.id, set())
            users.update(part.users.user_ids)
            contains: Contains = lambda user, _subject: user in users
            coverage = cover_list(users)
        else:
            contains = self.compile(part.expression)
            coverage = self.compile_coverage(part.expression)
        if part.last:
            self._complete[part.id] = contains
            self._coverages[part.id] = coverage

    def edit(self, edit: route_states_pb2.SetEdit) -> None:
        """Removes users at once, and keeps added users until `Changed` arrives."""
        if edit.id not in self._lists:
            raise NoVerdict(f"set {edit.id} is no list of users")
        self._lists[edit.id].difference_update(edit.removed)
        added = self._added.setdefault(edit.id, set())
        added.difference_update(edit.removed)
        added.update(edit.added)

    def changed(self) -> None:
        """Adds the users of all edits since the last `Changed`."""
        for set_id, users in self._added.items():
            self._lists[set_id] |= users
        self._added.clear()

    def are_edited(self) -> bool:
        """Returns true if an edit has no `Changed` yet."""
        return bool(self._added)

    def retire(self, set_id: int) -> None:
        """Drops a set. Drop the answers that use it as well."""
        for sets in (self._complete, self._coverages, self._lists, self._added):
            sets.pop(set_id, None)

    def compile(self, expression: sets_pb2.SetExpression) -> Contains:
        """Turns an expression into a function of the user.

        Checks the whole expression first: an unknown kind must be an error, even if
        another part of the expression decides about most users.
        """
        match expression.WhichOneof("expression"):
            case "users":
                users = frozenset(expression.users.user_ids)
                return lambda user, _subject: user in users
            case "everyone":
                return lambda _user, _subject: True
            case "server":
                return matching("*", expression.server)
            case "match" if ":" in expression.match:
                return matching(*expression.match.split(":", 1))
            case "set_id":
                return self[expression.set_id]
            case "any_of":
                some = [self.compile(one) for one in expression.any_of.sets]
                return lambda user, subject: any_of(one(user, subject) for one in some)
            case "all_of" if expression.all_of.sets:
                every = [self.compile(one) for one in expression.all_of.sets]
                return lambda user, subject: all_of(one(user, subject) for one in every)
            case "difference":
                whole = self.compile(expression.difference.any)
                without = self.compile(getattr(expression.difference, "except"))
                return lambda user, subject: subtract(whole(user, subject), without(user, subject))
            case "room_mates" if self._share_room:
                return self._compile_room_mates(expression.room_mates.all_of)
            case kind:
                raise NoVerdict(f"no set that this client knows: {kind}")

    def _compile_room_mates(self, conditions: Sequence[RoomCondition]) -> Contains:
        for condition in conditions:
            if not is_known(condition):
                raise NoVerdict(f"no condition that this client knows: {condition}")
        return lambda user, subject: self._share_room(user, subject, conditions)

    def compile_coverage(self, expression: sets_pb2.SetExpression) -> Coverage:
        """Turns an expression that `compile` accepts into a function of the server.

        The result may be `SOME` for a set without a user of this server, and never
        `NONE` for a set that has one.
        """
        match expression.WhichOneof("expression"):
            case "users":
                return cover_list(frozenset(expression.users.user_ids))
            case "everyone":
                return lambda _server: ALL
            case "server":
                return cover_pattern("*", expression.server)
            case "match":
                return cover_pattern(*expression.match.split(":", 1))
            case "set_id":
                return self._coverages[expression.set_id]
            case "any_of":
                some = [self.compile_coverage(one) for one in expression.any_of.sets]
                return lambda server: max((one(server) for one in some), default=NONE)
            case "all_of":
                every = [self.compile_coverage(one) for one in expression.all_of.sets]
                return lambda server: min(one(server) for one in every)
            case "room_mates":
                return lambda _server: SOME
            case _:
                whole = self.compile_coverage(expression.difference.any)
                without = self.compile_coverage(getattr(expression.difference, "except"))
                return lambda server: min(whole(server), ALL - without(server))

    def compile_hides(self, hides: Iterable[Hide], subject: str) -> "Hides":
        """Compiles the hides of the answer about a subject."""
        return Hides(
            subject,
            [(self.compile(hide.users), self.compile_coverage(hide.users), hide) for hide in hides],
        )


class Hides:
    """The hides of one answer. Each method returns the fields to remove."""

    def __init__(
        self, subject: str = "", hides: Iterable[tuple[Contains, Coverage, Hide]] = ()
    ) -> None:
        self._subject = subject
        self._hides = list(hides)

    def for_user(self, user: str, presence: str) -> frozenset[int]:
        """Fields hidden between the subject of the answer and this user.

        `user` is a recipient if the answer is about states, and a sender if it is
        about interest. `presence` is the sender's. If the result contains
        `PRESENCE_FIELD_PRESENCE`, it contains all fields: deliver the sender as
        offline, without status and activity.
        """
        # Also a hide applies that depends on an unknown fact.
        found = (
            hide
            for contains, _, hide in self._hides
            if contains(user, self._subject) is not False
        )
        return hidden_fields(found, presence)

    def for_server(self, server: str, presence: str) -> frozenset[int]:
        """Fields to remove from the one copy of a state that goes to a server.

        The server may show this copy to all of its users. So the result is the union
        over every user there, known or not.
        """
        found = (hide for _, covers, hide in self._hides if covers(server) != NONE)
        return hidden_fields(found, presence)


def hidden_fields(hides: Iterable[Hide], presence: str) -> frozenset[int]:
    """The union of the fields of some hides, for a sender with this presence."""
    hidden: frozenset[int] = frozenset()
    for hide in hides:
        if presence not in hide.unless_presence:
            fields = frozenset(hide.fields)
            # An unknown field means all fields. So does a hide without fields, which
            # this version of the contract does not allow.
            hidden |= fields if fields and fields <= FIELDS else FIELDS
    return FIELDS if PresenceField.PRESENCE_FIELD_PRESENCE in hidden else hidden


def any_of(values: Iterable[bool | None]) -> bool | None:
    """Returns true if one value is true, and false if all are false."""
    unknown = False
    for value in values:
        if value:
            return True
        unknown |= value is None
    return None if unknown else False


def all_of(values: Iterable[bool | None]) -> bool | None:
    """Returns true if all values are true, and false if one is false."""
    unknown = False
    for value in values:
        if value is False:
            return False
        unknown |= value is None
    return None if unknown else True


def subtract(whole: bool | None, without: bool | None) -> bool | None:
    """Returns true for a user in one set and not in the other."""
    return all_of((whole, None if without is None else not without))


def is_known(condition: RoomCondition) -> bool:
    """Returns false for a condition of a later version, and for one without a meaning."""
    match condition.WhichOneof("condition"):
        case "at_most":
            return all(":" in pattern for pattern in condition.at_most.not_counting)
        case "at_least":
            return all(":" in pattern for pattern in condition.at_least.not_counting)
        case "encrypted":
            return True
        case "join_rule" | "history_visibility" | "rooms" | "not_rooms" as kind:
            return bool(getattr(condition, kind).values)
        case "space":
            return condition.space != ""
        case "presence_sharing":
            return condition.presence_sharing in (
                RoomPresenceSharing.ROOM_PRESENCE_SHARING_SUGGEST,
                RoomPresenceSharing.ROOM_PRESENCE_SHARING_FORBID,
            )
        case _:
            return False


def cover_list(users: Iterable[str]) -> Coverage:
    """The coverage by a list of users, which may change later."""
    return lambda server: SOME if any(u.partition(":")[2] == server for u in users) else NONE


def cover_pattern(localparts: str, servers: str) -> Coverage:
    """The coverage by two globs. Every user id begins with `@`."""
    found = ALL if localparts in ("*", "@*") else SOME
    return lambda server: found if glob(servers, server) else NONE


def references(expression: sets_pb2.SetExpression) -> set[int]:
    """Ids of the sets that an expression refers to.

    Once one of them is retired, the answer that the expression is part of is void.
    """
    match expression.WhichOneof("expression"):
        case "set_id":
            return {expression.set_id}
        case "any_of":
            some = list(expression.any_of.sets)
        case "all_of":
            some = list(expression.all_of.sets)
        case "difference":
            some = [expression.difference.any, getattr(expression.difference, "except")]
        case _:
            some = []
    return set().union(*map(references, some))


def matching(localparts: str, servers: str) -> Contains:
    """The users that two globs match: one for the text before the first `:`, and one for
    the server."""

    def contains(user: str, _subject: str) -> bool:
        before, colon, server = user.partition(":")
        return bool(colon) and glob(localparts, before) and glob(servers, server)

    return contains


def glob(pattern: str, text: str) -> bool:
    """Returns true if the whole text matches: `?` is one byte, `*` any run of bytes."""
    want, have = pattern.encode(), text.encode()
    w = h = 0
    # The index of the last `*`, and the index in the text behind its run. On a
    # mismatch only this run grows: a longer run of an earlier `*` never helps.
    star, behind = -1, 0
    while h < len(have):
        if want[w : w + 1] == b"*":
            star, behind = w, h
            w += 1
        elif want[w : w + 1] in (b"?", have[h : h + 1]):
            w, h = w + 1, h + 1
        elif star >= 0:
            behind += 1
            w, h = star + 1, behind
        else:
            return False
    return not want[w:].strip(b"*")
