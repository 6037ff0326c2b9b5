"""The Synapse module: the daemon answers Synapse's presence router callbacks.

The module only adds to the presence that Synapse shows by itself, and never raises into
Synapse. It answers "ALL" only for a user who may see everyone without exception, because
"ALL" replaces the presence shown through rooms. It also must recognise Synapse's next
question: an answer that does not fit breaks /sync. The module redacts hidden fields where
Synapse sends the states of the answer: to other servers, and after "ALL". Elsewhere Synapse
takes the state from its database; there the module does not show the sender at all.
"""

import atexit
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

try:
    from synapse.module_api import (
        PRESENCE_ALL_USERS,
        ModuleApi,
        UserPresenceState,
        make_deferred_yieldable,
    )
    from twisted.internet.defer import CancelledError, Deferred
except ImportError as why:
    raise ImportError(
        f"presence_router.synapse runs inside Synapse, which is not installed here ({why}): "
        "install the wheel into the Python environment that Synapse itself runs from"
    ) from why

from . import config, metrics
from ._native import VERSION, Router
from .all_users import Promises, asking_context
from .completions import CompletionReader, check_reactor
from .health import DaemonHealth
from .follow import Follower
from .redact import redact
from .rooms import Rooms

if TYPE_CHECKING:
    from ._native import Done, Everyone, Gain, Keys, Room, RoomVerdict

logger = logging.getLogger("presence_router")

T = TypeVar("T")

# Seconds between attempts to read the known senders; the last value repeats.
_SEED_PAUSES = (1, 2, 5, 10, 30, 60, 300)


class PresenceRouterModule:
    """Routes presence by the answers of a presence-router daemon."""

    # The methods must not have Synapse's names for the callbacks: if the legacy setting
    # `presence.presence_router` loads the module, Synapse would find and register them
    # too.

    def __init__(self, config: config.Config, module_api: ModuleApi) -> None:
        # Not at import: the first import of the reactor chooses which reactor runs.
        from twisted.internet import reactor

        check_reactor(reactor)
        self._reactor: Any = reactor
        self._api = module_api
        self._health = DaemonHealth(config.address, time.monotonic)
        self._warned_of_unsent = False
        self._promises = Promises(time.monotonic)
        self._may_promise = config.all_users == "auto"
        self._router = Router(
            config.address,
            module_api.server_name,
            list(config.destinations),
            config.deadline_ms,
        )
        atexit.register(self._router.close)
        logger.info(
            "presence-router module %s asks %s, waits %d ms for an answer, all_users: %s",
            VERSION,
            config.address,
            config.deadline_ms,
            config.all_users,
        )
        self._follower = Follower(module_api, self._next_change, config.follow_per_second)
        self._follows = config.follow_changes
        module_api.register_presence_router_callbacks(
            get_users_for_states=self.route_states,
            get_interested_users=self.interest_of,
        )
        if config.rooms:
            rooms = Rooms(self._ask_room_verdict, config.rooms_when_away == "deny")
            module_api.register_third_party_rules_callbacks(on_create_room=rooms.on_create_room)
        # At once if the reactor already runs; otherwise after Synapse's forks.
        self._reactor.callWhenRunning(self._start_reading)
        self._reactor.callWhenRunning(self._start_checking)
        self._reactor.callWhenRunning(self._start_seeding)
        if self._follows:
            self._reactor.callWhenRunning(self._start_following)

    @staticmethod
    def parse_config(raw: Any) -> config.Config:
        """Checks the configuration. Raises Synapse's ConfigError."""
        return config.parse(raw)

    async def route_states(
        self, state_updates: Iterable[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        """Returns the additional recipients of these updates, each with their states."""
        states = list(state_updates)
        promise = self._promises.take(asking_context())
        if promise is not None:
            # All states, including the user's own, which arrives by no other way. The hides
            # are those of the promise, whatever the daemon would answer by now.
            metrics.ALL_USERS.labels("kept").inc()
            for position, hidden in promise.everyone.hidden_of(states):
                states[position] = redact(states[position], hidden)
            return {promise.user_id: _as_set(states)}
        users_to_states = await self._ask_routes(states)
        for user_id in self._promises.pending_users():
            # The question may come from this user's /sync, in a context that the module
            # does not know: without a key, that /sync would fail.
            own = _as_set([state for state in states if state.user_id == user_id])
            users_to_states[user_id] = users_to_states.get(user_id, set()) | own
        return users_to_states

    async def _ask_routes(
        self, states: list[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        if not states:
            return {}
        if self._follows:
            self._follower.record_states(states)
        answer: Keys | None = await self._ask(
            "get_users_for_states",
            lambda done: self._router.get_users_for_states(states, done),
        )
        if answer is None:
            return {}
        groups, unsent = answer
        if unsent:
            self._count_unsent(unsent)
        users_to_states: dict[str, set[UserPresenceState]] = {}
        versions: dict[tuple[int, int], UserPresenceState] = {}
        for keys, whole, less in groups:
            shown = [states[position] for position in whole]
            for one in less:
                if one not in versions:
                    position, hidden = one
                    versions[one] = redact(states[position], hidden)
                shown.append(versions[one])
            # All these keys share one set: Synapse copies the sets that it keeps.
            users_to_states.update(dict.fromkeys(keys, _as_set(shown)))
        return users_to_states

    async def interest_of(self, user_id: str) -> set[str] | str:
        """Returns the senders whose presence a user may see."""
        context = asking_context()
        may_be_everyone = self._may_promise and context is not None
        answer: set[str] | Everyone | None = await self._ask(
            "get_interested_users",
            lambda done: self._router.get_interested_users(user_id, may_be_everyone, done),
        )
        if answer is None:
            return set()
        if isinstance(answer, set):
            return answer
        self._promises.add(context, user_id, answer)
        metrics.ALL_USERS.labels("promised").inc()
        return PRESENCE_ALL_USERS

    async def _ask_room_verdict(self, room: "Room") -> "RoomVerdict | None":
        verdict: RoomVerdict | None = await self._ask(
            "on_create_room",
            lambda done: self._router.on_create_room(room, done),
        )
        return verdict

    async def _ask(self, callback: str, start: "Callable[[Done[T]], None]") -> T | None:
        """Passes a question of Synapse to the daemon, and counts it. None: no verdict.

        A question that fails in part has a value nevertheless, and counts as a failure.
        """
        began = time.perf_counter()
        outcome, detail, value = await self._call(callback, start)
        metrics.requests_of(callback, outcome).inc()
        metrics.seconds_of(callback).observe(time.perf_counter() - began)
        if outcome == "malformed":
            logger.debug("%s: %s", callback, detail)
        self._health.report(outcome, detail)
        return value

    async def _call(
        self, name: str, start: "Callable[[Done[T]], None]"
    ) -> "tuple[str, str, T | None]":
        """Makes a call of the native half; returns its outcome, detail and value."""
        answered: Deferred[tuple[str, str, T | None]] = Deferred()

        def done(outcome: str, detail: str, value: T | None, /) -> None:
            # After a cancellation, the Deferred swallows the one late result.
            answered.callback((outcome, detail, value))

        try:
            start(done)
            return await make_deferred_yieldable(answered)
        except CancelledError:
            raise
        except Exception as why:
            # Every exception: raising it into Synapse would do more harm.
            logger.debug("%s failed", name, exc_info=True)
            return "failed", repr(why), None

    def _count_unsent(self, unsent: int) -> None:
        metrics.UNSENT.inc(unsent)
        if not self._warned_of_unsent:
            self._warned_of_unsent = True
            logger.warning(
                "The policy shows presence to servers that neither it nor `destinations` names. "
                "Synapse sends only to servers that it knows by name: add the servers that "
                "matter to `destinations`. From now on, only the metric "
                "presence_router_unsent_states_total counts such updates"
            )

    def _start_reading(self) -> None:
        self._reactor.addReader(CompletionReader(self._router))

    def _start_checking(self) -> None:
        self._api.run_as_background_process("presence_router_check", self._check_daemon)

    async def _check_daemon(self) -> None:
        """Warns if no daemon answers at the start, while an operator reads the log.

        Synapse may ask its first question only hours later.
        """
        outcome, detail, _ = await self._call("check_daemon", self._router.check_daemon)
        self._health.report(outcome, detail)

    def _start_following(self) -> None:
        self._api.run_as_background_process("presence_router_changes", self._follower.run)

    async def _next_change(self) -> "tuple[str, str, list[Gain] | None]":
        received: Deferred[tuple[str, str, list[Gain] | None]] = Deferred()

        def done(kind: str, why: str, gains: "list[Gain] | None", /) -> None:
            received.callback((kind, why, gains))

        self._router.next_change(done)
        return await make_deferred_yieldable(received)

    def _start_seeding(self) -> None:
        self._api.run_as_background_process("presence_router_seed", self._seed)

    async def _seed(self) -> None:
        """Reads the existing senders: Synapse needs them as an explicit list."""
        pauses = itertools.chain(_SEED_PAUSES, itertools.repeat(_SEED_PAUSES[-1]))
        for tries in itertools.count(1):
            try:
                # The module API has no list of users with a presence; this table and this
                # column are older than Synapse's modules.
                await self._api.run_db_interaction("presence_router_seed", self._read_senders)
                break
            except Exception as why:
                if tries == 1:
                    logger.warning(
                        "Cannot read the users with a presence: %r; until that works, users who "
                        "may see everyone see only senders whose presence changes. The module "
                        "keeps trying",
                        why,
                    )
                logger.debug(
                    "Attempt %d to read the users with a presence failed", tries, exc_info=True
                )
                # No question should wait for an attempt hours later.
                self._router.finish_seeding()
            await self._api.sleep(next(pauses))
        self._router.finish_seeding()
        if tries > 1:
            logger.warning("The users with a presence were read at attempt %d", tries)

    def _read_senders(self, txn: Any) -> None:
        txn.execute("SELECT DISTINCT user_id FROM presence_stream")
        # In this thread of the database pool, not in the reactor's.
        while rows := txn.fetchmany(10_000):
            self._router.add_known_users([user_id for (user_id,) in rows])


def _as_set(states: list[UserPresenceState]) -> set[UserPresenceState]:
    """Returns the states as the set that Synapse needs.

    Synapse accepts anything that other servers send: a list may take the place of a text,
    and a set cannot contain such a state. Only that state is dropped.
    """
    try:
        return set(states)
    except TypeError:
        return {state for state in states if _is_hashable(state)}


def _is_hashable(state: UserPresenceState) -> bool:
    try:
        hash(state)
    except TypeError:
        return False
    return True
