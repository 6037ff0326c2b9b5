"""Some processes of one Synapse and the devices that ask them, as far as bells matter; nothing of
it is real but the bells."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from presence_router.exact.asking import Asked
from presence_router.bell_names import bells_of
from presence_router.exact.bells import Bells
from presence_router.exact.hang_bells import hang_bells
from presence_router.exact.sight import View
from synapse.module_api import UserPresenceState
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock, deferLater

DEADLINE = 0.2


class Policy:
    """Who sees whom, and whose status text is hidden from whom, at one revision."""

    def __init__(
        self,
        revision: str,
        sees: Iterable[tuple[str, str]],
        hides: Iterable[tuple[str, str]] = (),
        at_most: int | None = None,
    ) -> None:
        self.revision = revision
        # Pairs of a recipient and a sender.
        self.sees = frozenset(sees)
        self.hides = frozenset(hides)
        # If set, users also see those with whom they share a room of at most so many members.
        self.at_most = at_most


class Answer:
    """A daemon's answer about a recipient."""

    def __init__(self, user_id: str, policy: Policy, rooms: dict[str, list[str]]) -> None:
        self.user_id = user_id
        self.revision = policy.revision
        self.depends_on_rooms = policy.at_most is not None
        self.senders = {sender for who, sender in policy.sees if who == user_id}
        for members in rooms.values() if policy.at_most is not None else ():
            if user_id in members and len(members) <= policy.at_most:
                self.senders.update(members)
        self.hidden = {sender for who, sender in policy.hides if who == user_id}
        self.number = hash((frozenset(self.senders), frozenset(self.hidden)))

    def hides_as(self, other: "Answer") -> bool:
        return self.hidden == other.hidden

    def recipients(self, _presence: Any, users: list[str], *_: Any) -> tuple[list[Any], list[Any]]:
        return [(i, 0) for i, user in enumerate(users) if user in self.senders], []


class Pairs:
    """Pairs that a change names."""

    size = 100

    def __init__(self, pairs: Iterable[tuple[str, str]], is_lost: bool) -> None:
        self._pairs = set(pairs)
        self.is_lost = is_lost
        self.known_senders = [sender for _, sender in self._pairs]

    def concern(self, recipient: str) -> bool:
        return any(who == recipient for who, _ in self._pairs)

    def contain(self, sender: str, recipient: str) -> bool:
        return (recipient, sender) in self._pairs


class Belfry:
    """What the processes share: a database, rooms, and a clock."""

    def __init__(
        self, rooms: dict[str, Sequence[str]] | None = None, limit: int | None = None
    ) -> None:
        self.clock = Clock()
        # A number of members at which conditions change.
        self.limit = limit
        self.rooms = {room: list(users) for room, users in (rooms or {}).items()}
        self.states: dict[str, UserPresenceState] = {}
        # The position at which each user's presence changed last.
        self.changed: dict[str, int] = {}
        self.position = 100
        # The stream of events, and the changes of rooms: position, room, user, if the user is in
        # the room now, and was before.
        self.events = 1000
        self.deltas: list[tuple[int, str, str, bool, bool]] = []
        self.processes: list[Process] = []
        # False if presence is switched off in Synapse.
        self.has_presence = True
        self.policy = Policy("r0", ())
        self.rings: list[str] = []

    def process(self, writes: bool = False) -> "Process":
        process = Process(self, writes)
        self.processes.append(process)
        return process

    def set_state(self, user_id: str, presence: str, status_msg: str | None = None) -> None:
        self.position += 1
        self.changed[user_id] = self.position
        self.states[user_id] = UserPresenceState(
            user_id, presence, 0, 0, 0, status_msg, presence == "online"
        )

    def store_policy(self, policy: Policy) -> None:
        """A new policy, of which no process has heard yet."""
        self.policy = policy

    def apply(
        self,
        sees: Iterable[tuple[str, str]],
        maybe_lost: Iterable[tuple[str, str]] = (),
        **more: Any,
    ) -> None:
        """A new policy, of which every process hears at once; and the ring that follows.
        `maybe_lost`: pairs that the daemon names because it does not know rooms."""
        number = int(self.policy.revision[1:]) + 1
        self.store_policy(Policy(f"r{number}", sees, **more))
        for process in self.processes:
            process.hear(maybe_lost=maybe_lost)
        self.pass_time()

    def move(self, room_id: str, user_id: str, joins: bool, joined: bool | None = None) -> None:
        """`joined`: if the user was in the room before; unless given, the user was if `joins` is
        false."""
        self.events += 1
        joined = not joins if joined is None else joined
        self.deltas.append((self.events, room_id, user_id, joins, joined))
        members = self.rooms.setdefault(room_id, [])
        self.rooms[room_id] = [one for one in members if one != user_id] + [user_id] * joins
        for process in self.processes:
            process.notify()

    def wait_for_ring(self) -> None:
        before = len(self.rings)
        while len(self.rings) == before:
            self.pass_time(0.05)

    def pass_time(self, seconds: float = 3.0) -> None:
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)


class Process:
    """One process: its bells, and what it has heard of the policy."""

    def __init__(self, belfry: Belfry, writes: bool) -> None:
        self.belfry = belfry
        self.writes = writes
        self.policy: Policy | None = None
        self.woken: list[set[str]] = []
        self.askers: set[str] = set()
        self.requests: list[str] = []
        self.rooms_seen = belfry.events
        self.lags_behind_rooms = False
        self.server_name = "test"
        self._hs = SimpleNamespace(
            config=SimpleNamespace(
                server=SimpleNamespace(presence_enabled=belfry.has_presence),
                key=SimpleNamespace(macaroon_secret_key=b"of all processes"),
            ),
            get_datastores=lambda: SimpleNamespace(main=self),
            get_presence_handler=lambda: self,
            get_notifier=lambda: self,
            hostname="test",
        )
        self.notify: Callable[[], None] = lambda: None
        self.sight = SimpleNamespace(
            on_unanswered=lambda: None,
            answer_about=self.answer_about,
            look_at=self.look_at,
            candidates=self.candidates,
        )
        self.bells: Bells = hang_bells(
            belfry.clock,
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.sight,  # type: ignore[arg-type]
            SimpleNamespace(shared=self.shared),  # type: ignore[arg-type]
            lambda: self.askers,
            DEADLINE,
            belfry.clock.seconds,
        )
        # The native half reads the limits from the daemon's answers. Here they are given.
        room_log = self.bells._room_log
        room_log.note_conditions = lambda _answer: None  # type: ignore[method-assign]
        room_log._limits = {0: [belfry.limit]} if belfry.limit else {}
        self.wait(self.bells.start())
        self.hear("connected")

    def wait(self, coroutine: Coroutine[Any, Any, Any], seconds: float = 0.0) -> Any:
        """Runs a coroutine until its end, at most for so long."""
        result: list[Any] = []
        deferred = ensureDeferred(coroutine)
        deferred.addBoth(result.append)
        self.belfry.pass_time(seconds)
        assert result, "it still waits"
        if hasattr(result[0], "raiseException"):
            result[0].raiseException()
        return result[0]

    # The daemon.

    def hear(self, kind: str = "changed", maybe_lost: Iterable[tuple[str, str]] = ()) -> None:
        """Hears of the present policy."""
        before, now = self.policy, self.belfry.policy
        self.policy = now
        lost = (before.sees if before else frozenset()) - now.sees | set(maybe_lost)
        gained = now.sees - (before.sees if before else frozenset())
        pairs = [Pairs(lost, True)] * bool(lost) + [Pairs(gained, False)] * bool(gained)
        change: Any = SimpleNamespace(revision=now.revision, pairs=pairs)
        self.bells.handle(kind, change)

    def lose_daemon(self) -> None:
        """The daemon is away, and nothing in memory is good any more."""
        self.policy = None
        self.bells.handle("disconnected", None)

    async def answer_about(self, user_id: str) -> Answer | None:
        if self.policy is None:
            self.sight.on_unanswered()
            return None
        return Answer(user_id, self.policy, self.belfry.rooms)

    def visible_senders(self, user_id: str) -> Answer | None:
        return None if self.policy is None else Answer(user_id, self.policy, self.belfry.rooms)

    def is_away(self) -> bool:
        return self.policy is None

    def find_answers_about_rooms(self, done: Callable[..., None]) -> None:
        depends = self.policy is not None and self.policy.at_most is not None
        # An outcome other than "ok": some answer may depend on rooms.
        done("deadline" if depends else "ok", "", [])

    async def look_at(self, user_id: str, states: Sequence[UserPresenceState]) -> View:
        answer = await self.answer_about(user_id)
        if answer is None:
            return View([], False)
        shown = [
            state.copy_and_replace(status_msg=None) if state.user_id in answer.hidden else state
            for state in states
            if state.user_id in answer.senders
            and state.user_id != user_id
            and state.user_id not in bells_of("test")
        ]
        return View(shown, True)

    async def candidates(self, user_id: str) -> set[str]:
        mates = {mate for some in self.belfry.rooms.values() if user_id in some for mate in some}
        answer = await self.answer_about(user_id)
        return mates | (answer.senders if answer else set())

    async def shared(self, user_id: str, others: Sequence[str]) -> list[frozenset[str] | None]:
        own = await self.get_rooms_for_user(user_id)
        rooms = [own & await self.get_rooms_for_user(other) for other in others]
        return [some or None for some in rooms]

    # Synapse.

    async def set_presence_for_users(self, users: dict[str, tuple[str, str]]) -> None:
        assert self.writes
        for user_id, (presence, status_msg) in users.items():
            self.belfry.rings.append(user_id)
            self.belfry.set_state(user_id, presence, status_msg)
            for process in self.belfry.processes:
                process.wake_for(user_id)

    def wake_for(self, bell: str) -> None:
        async def find() -> None:
            keys = await self.bells.keys_of([self.belfry.states[bell]])
            self.woken.append(set(keys))

        ensureDeferred(find())

    async def set_state(
        self, target_user: Any, device_id: str | None, state: dict[str, str], force_notify: bool
    ) -> None:
        """A worker asks the writer to change a presence."""
        assert device_id is None and force_notify
        (writer,) = [process for process in self.belfry.processes if process.writes]
        user_id = target_user.to_string()
        self.requests.append(user_id)
        self.belfry.set_state(user_id, state["presence"], state["status_msg"])
        writer.wake_for(user_id)

    async def current_state_for_users(
        self, user_ids: Iterable[str]
    ) -> dict[str, UserPresenceState]:
        return {
            user: self.belfry.states.get(user, UserPresenceState.default(user)) for user in user_ids
        }

    async def sleep(self, seconds: float) -> None:
        await deferLater(self.belfry.clock, seconds)  # type: ignore[arg-type]

    def run_as_background_process(self, _desc: str, func: Any) -> "Deferred[Any]":
        return ensureDeferred(func())

    def add_replication_callback(self, cb: Callable[[], None]) -> None:
        self.notify = cb

    def get_room_max_stream_ordering(self) -> int:
        if not self.lags_behind_rooms:
            self.rooms_seen = self.belfry.events
        return self.rooms_seen

    async def get_partial_current_state_deltas(
        self, prev_stream_id: int, max_stream_id: int
    ) -> tuple[int, list[Any]]:
        deltas = [
            SimpleNamespace(
                stream_id=position,
                room_id=room_id,
                event_type="m.room.member",
                state_key=user_id,
                event_id=f"{user_id} {'join' if joins else 'leave'}",
                prev_event_id=f"{user_id} {'join' if joined else 'leave'}",
            )
            for position, room_id, user_id, joins, joined in self.belfry.deltas
            if prev_stream_id < position <= max_stream_id
        ]
        return max_stream_id, deltas

    async def get_membership_from_event_ids(
        self, member_event_ids: Iterable[str]
    ) -> dict[str, Any]:
        return {one: SimpleNamespace(membership=one.split()[1]) for one in member_event_ids}

    @property
    def _curr_state_delta_stream_cache(self) -> Any:
        return SimpleNamespace(
            has_any_entity_changed=lambda stream_pos: any(
                one[0] > stream_pos for one in self.belfry.deltas
            ),
            has_entity_changed=lambda entity, stream_pos: any(
                one[0] > stream_pos and one[1] == entity for one in self.belfry.deltas
            ),
        )

    async def get_rooms_for_user(self, user_id: str) -> frozenset[str]:
        return frozenset(room for room, some in self.belfry.rooms.items() if user_id in some)

    async def get_users_in_room(self, room_id: str) -> list[str]:
        return self.belfry.rooms.get(room_id, [])


class Device:
    """A device of one user."""

    def __init__(self, user_id: str, process: Process) -> None:
        self.user_id = user_id
        self.process = process
        self.token: int | None = None

    def sync(self, wait: float = 0.0) -> dict[str, tuple[str, str | None]]:
        """Asks what changed since the last time, and returns it: state and status text."""
        return self.ask(wait, keep=False)

    def ask(self, wait: float = 0.0, keep: bool = True) -> dict[str, tuple[str, str | None]]:
        """Asks as `sync` does. `keep`: with the same token again next time."""
        belfry, bells = self.process.belfry, self.process.bells
        self.process.askers.add(self.user_id)
        now, token = belfry.position, self.token
        users = [user for user, at in belfry.changed.items() if token is not None and at > token]
        asked = Asked(None, self.user_id, True, 0.0)

        async def answer() -> list[UserPresenceState]:
            states = [belfry.states[user] for user in users]
            if token is None:
                # Synapse reads all states, and the module answers with what the user may see.
                asked.reads_all = True
                seen = await self.process.candidates(self.user_id)
                states = list((await self.process.current_state_for_users(seen)).values())
            heard = await bells.wait_for_rings(states)
            shown = (await self.process.look_at(self.user_id, states)).shown
            return [*shown, *await bells.missed_by(asked, heard, shown)]

        states = self.process.wait(answer(), wait)
        if not keep:
            self.token = now
        assert len({state.user_id for state in states}) == len(states), "two states of one user"
        return {state.user_id: (state.state, state.status_msg) for state in states}
