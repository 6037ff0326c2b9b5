"""Sets of Matrix users as presence-router sends them: who is in, who is not.

Copy this file. It needs the generated messages and nothing else, and follows
`sets.proto` and the rules at `RouteStatesResponse`. Whatever it cannot tell for
certain raises `NoVerdict`: the whole answer is void then, and nobody sees more
than the homeserver would show without the daemon.
"""

from collections.abc import Callable

from presence_router.v1 import route_states_pb2, sets_pb2

# Says whether a user is in a set.
Contains = Callable[[str], bool]


class NoVerdict(Exception):
    """There is no telling what the daemon means."""


class Sets:
    """The sets that one stream has defined. They die with it.

    A unary answer refers to none: `Sets().compile(expression)`.
    """

    def __init__(self) -> None:
        self._complete: dict[int, Contains] = {}
        # Lists of users. Edited in place: who refers to one sees the edit.
        self._lists: dict[int, set[str]] = {}
        self._added: dict[int, set[str]] = {}

    def __getitem__(self, set_id: int) -> Contains:
        try:
            return self._complete[set_id]
        except KeyError:
            raise NoVerdict(f"set {set_id} is not defined") from None

    def define(self, part: route_states_pb2.SetPart) -> None:
        """Takes a part of a set, which is there once it has the last one."""
        if part.WhichOneof("content") == "users":
            users = self._lists.setdefault(part.id, set())
            users.update(part.users.user_ids)
            contains: Contains = users.__contains__
        else:
            contains = self.compile(part.expression)
        if part.last:
            self._complete[part.id] = contains

    def edit(self, edit: route_states_pb2.SetEdit) -> None:
        """Removes at once; what is added waits for `Changed`."""
        if edit.id not in self._lists:
            raise NoVerdict(f"set {edit.id} is no list of users")
        self._lists[edit.id].difference_update(edit.removed)
        added = self._added.setdefault(edit.id, set())
        added.difference_update(edit.removed)
        added.update(edit.added)

    def changed(self) -> None:
        """Lets in who was added."""
        for set_id, users in self._added.items():
            self._lists[set_id] |= users
        self._added.clear()

    def are_edited(self) -> bool:
        """Whether edits wait for their `Changed`."""
        return bool(self._added)

    def retire(self, set_id: int) -> None:
        """Drops a set. Answers that use it are void."""
        for sets in (self._complete, self._lists, self._added):
            sets.pop(set_id, None)

    def compile(self, expression: sets_pb2.SetExpression) -> Contains:
        """Makes an expression a function of the user.

        All of it is understood before anybody is asked about: a kind that is
        unknown must not hide behind one that happens to decide.
        """
        match expression.WhichOneof("expression"):
            case "users":
                return frozenset(expression.users.user_ids).__contains__
            case "everyone":
                return lambda _user: True
            case "server":
                return matching("*", expression.server)
            case "match" if ":" in expression.match:
                return matching(*expression.match.split(":", 1))
            case "set_id":
                return self[expression.set_id]
            case "any_of":
                some = [self.compile(one) for one in expression.any_of.sets]
                return lambda user: any(contains(user) for contains in some)
            case "all_of" if expression.all_of.sets:
                every = [self.compile(one) for one in expression.all_of.sets]
                return lambda user: all(contains(user) for contains in every)
            case "difference":
                whole = self.compile(expression.difference.any)
                without = self.compile(getattr(expression.difference, "except"))
                return lambda user: whole(user) and not without(user)
            case kind:
                raise NoVerdict(f"no set that this client knows: {kind}")


def matching(localparts: str, servers: str) -> Contains:
    """Users by two globs: for what is before the first `:`, and for the server."""

    def contains(user: str) -> bool:
        before, colon, server = user.partition(":")
        return bool(colon) and glob(localparts, before) and glob(servers, server)

    return contains


def glob(pattern: str, text: str) -> bool:
    """Whether all of a text matches. By bytes: `?` is one, `*` any run of them."""
    want, have = pattern.encode(), text.encode()
    w = h = 0
    # Where the last `*` stands, and where the text goes on behind its run. To
    # let that run grow is enough: no earlier one can do what it cannot.
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
