"""The Synapse module: the daemon answers Synapse's presence router callbacks.

The module only adds to the presence that Synapse shows by itself, and never raises into
Synapse. It answers "ALL" only for a user who may see everyone without exception, because
"ALL" replaces the presence shown through rooms. It also must recognise Synapse's next
question: an answer that does not fit breaks /sync. The module redacts hidden fields where
Synapse sends the states of the answer: to other servers, and after "ALL". Elsewhere Synapse
takes the state from its database; there the module does not show the sender at all.
"""

import atexit
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

try:
    from synapse.module_api import PRESENCE_ALL_USERS, ModuleApi, UserPresenceState
except ImportError as why:
    raise ImportError(
        f"presence_router.synapse runs inside Synapse, which is not installed here ({why}): "
        "install the wheel into the Python environment that Synapse itself runs from"
    ) from why

from . import config, metrics
from ._native import VERSION, Router
from .all_users import Promises, add_states, asking_context, show_to_promised
from .bell_names import bells_of
from .completions import CompletionReader, await_call, check_reactor
from .connection import Connection
from .exact.askers import Askers
from .exact.asking import Questions
from .exact.bells import Bells
from .exact.hang_bells import hang_bells
from .exact.rooms import Rooms as SharedRooms
from .exact.router import ExactRouter
from .exact.routing import Routing
from .exact.routing_shapes import require_routing_shapes
from .exact.seal import Seal, SendRows
from .exact.services import Services
from .exact.shapes import require_shapes
from .exact.sight import Sight
from .follow import Follower
from .health import AWAY, OF_ADD, OF_EXACT, DaemonHealth
from .redact import redact
from .rooms import Rooms
from .seeding import seed_known_senders

if TYPE_CHECKING:
    from ._native import Done, Everyone, Room, RoomVerdict, Routes, Visibility

logger = logging.getLogger("presence_router")

T = TypeVar("T")


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
        # They remain in the database when an operator goes back to `local: add`.
        self._unseen = bells_of(module_api.server_name)
        self._warned_of_unsent = False
        self._promises = Promises(time.monotonic)
        self._may_promise = config.all_users == "auto"
        self._is_exact = config.local == "exact"
        self._router = Router(
            config.address,
            module_api.server_name,
            list(config.destinations),
            config.deadline_ms,
            config.stale_for * 1000,
            config.cache_mib,
            redact,
            self._is_exact,
        )
        logger.info(
            "presence-router module %s asks %s, waits %d ms for an answer, all_users: %s, "
            "stale_for: %d s, cache_mib: %d, local: %s, federation: %s",
            VERSION,
            config.address,
            config.deadline_ms,
            config.all_users,
            config.stale_for,
            config.cache_mib,
            config.local,
            config.federation,
        )
        self._health = DaemonHealth(
            config.address,
            config.stale_for,
            time.monotonic,
            OF_EXACT[config.when_away] if self._is_exact else OF_ADD,
        )
        self._connection = Connection(module_api, self._router, self._health)
        atexit.register(self._connection.close)
        # None as well in a process that turns out not to write presence.
        self._follower: Follower | None = None
        if config.follow_changes and not self._is_exact:
            self._follower = Follower(
                module_api,
                config.follow_per_second,
                config.stale_for,
                time.monotonic,
            )
        self._bells: Bells | None = None
        exact = self._exact_router(config) if self._is_exact else None
        module_api.register_presence_router_callbacks(
            get_users_for_states=exact.route_states if exact else self.route_states,
            get_interested_users=exact.interest_of if exact else self.interest_of,
        )
        if config.rooms:
            rooms = Rooms(self._ask_room_verdict, config.rooms_when_away == "deny")
            module_api.register_third_party_rules_callbacks(on_create_room=rooms.on_create_room)
        # At once if the reactor already runs; otherwise after Synapse's forks.
        self._reactor.callWhenRunning(self._start)

    @staticmethod
    def parse_config(raw: Any) -> config.Config:
        """Checks the configuration. Raises Synapse's ConfigError."""
        return config.parse(raw)

    async def route_states(
        self, state_updates: Iterable[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        """Returns the additional recipients of these updates, each with their states.

        Recipients may share one set, which may contain the recipient's own state: Synapse
        copies the sets, and sends users their own presence anyway.
        """
        states = list(state_updates)
        promise = self._promises.take(asking_context())
        if promise is not None:
            metrics.ALL_USERS.labels("kept").inc()
            shown = await show_to_promised(self._reactor, promise, states, self._unseen)
            return {promise.user_id: shown}
        states = [state for state in states if state.user_id not in self._unseen]
        users_to_states = await self._find_routes(states) if states else {}
        for user_id in self._promises.pending_users():
            # The question may come from this user's /sync, in a context that the module
            # does not know: without a key, that /sync would fail.
            shown = set(users_to_states.get(user_id, ()))
            add_states(shown, [state for state in states if state.user_id == user_id])
            users_to_states[user_id] = shown
        return users_to_states

    async def _find_routes(
        self, states: list[UserPresenceState]
    ) -> dict[str, set[UserPresenceState]]:
        new = self._follower.record_states(states) if self._follower is not None else []
        routes: Routes | None = None
        try:
            routes = self._router.routes_in_memory(states)
        except Exception:
            logger.debug("The look-up of recipients failed", exc_info=True)
        if routes is not None:
            metrics.STATES_HITS.inc()
        else:
            routes = await self._ask_routes(states)
        users_to_states, unsent, _ = routes
        if unsent:
            self._count_unsent(unsent)
        if new and self._follower is not None:
            self._follower.record_new(new, users_to_states)
        return users_to_states

    async def _ask_routes(self, states: list[UserPresenceState]) -> "Routes":
        asked: tuple[str, Routes | None] = await self._ask(
            "get_users_for_states",
            lambda done: self._router.find_routes(states, done),
        )
        outcome, routes = asked
        if routes is None:
            routes = {}, 0, [state.user_id for state in states]
        # Not for other outcomes: the same answer would follow, or end the connection again.
        if outcome in AWAY and self._follower is not None:
            self._follower.record_unanswered(routes[2])
        return routes

    async def interest_of(self, user_id: str) -> set[str] | str:
        """Returns the senders whose presence a user may see.

        Nobody may change the set: other answers share it. Synapse copies it. It may contain
        the user, whom Synapse adds anyway.
        """
        context = asking_context()
        may_be_everyone = self._may_promise and context is not None
        answer: set[str] | Everyone | None = None
        try:
            answer = self._router.interest_in_memory(user_id, may_be_everyone)
        except Exception:
            logger.debug("The look-up of senders failed", exc_info=True)
        if answer is not None:
            metrics.INTEREST_HITS.inc()
        else:
            answer = await self._ask_interest(user_id, may_be_everyone)
        if isinstance(answer, set):
            return answer
        self._promises.add(context, user_id, answer)
        metrics.ALL_USERS.labels("promised").inc()
        return PRESENCE_ALL_USERS

    async def _ask_interest(self, user_id: str, may_be_everyone: bool) -> "set[str] | Everyone":
        asked: tuple[str, set[str] | Everyone | None] = await self._ask(
            "get_interested_users",
            lambda done: self._router.find_interest(user_id, may_be_everyone, done),
        )
        outcome, answer = asked
        if answer is not None:
            return answer
        if outcome in AWAY and self._follower is not None:
            self._follower.record_unanswered_interest()
        return set()

    def _exact_router(self, config: config.Config) -> ExactRouter:
        hs = self._api._hs
        # First: on another version of Synapse, anything below might fail without a message.
        require_shapes(hs, with_federation=config.federation == "exact")
        require_routing_shapes(hs, with_federation=config.federation == "exact")
        questions = Questions()
        rooms = SharedRooms(hs, self._router)
        sight = Sight(
            self._reactor,
            self._router,
            self._ask_visible_senders,
            rooms,
            config.when_away == "rooms",
            self._unseen,
        )
        askers = Askers()
        services = Services(hs.get_datastores().main, sight)
        routing = Routing(
            self._api,
            self._reactor,
            self._router,
            self._ask_recipients,
            rooms,
            askers,
            services,
            config.when_away == "rooms",
            config.federation == "exact",
            self._count_unsent,
        )
        if routing.snapshots is not None:
            self._reactor.callWhenRunning(routing.snapshots.start)
        send_rows = routing.sends.send_rows if config.federation == "exact" else None
        self._close_seal(questions, sight, send_rows)
        self._bells = hang_bells(
            self._reactor,
            self._api,
            self._router,
            sight,
            rooms,
            askers.all,
            config.deadline_ms / 1000,
        )
        routing.wake.on_unanswered = self._bells.note_unanswered
        self._bells.server_views = routing.server_views
        return ExactRouter(
            hs, questions, askers, sight, services, routing.wake, self._bells, routing.sends
        )

    def _close_seal(self, questions: Questions, sight: Sight, send_rows: SendRows | None) -> None:
        hs = self._api._hs
        if not hs.config.server.presence_enabled:
            logger.warning(
                "Presence is switched off in Synapse (`presence.enabled`): nobody sees any "
                "presence, and `local: exact` has no effect"
            )
        seal = Seal(self._reactor, hs, questions, sight, send_rows)
        seal.close()
        metrics.SEALS.add(seal.parts)
        # The modules that Synapse loads after this one are then loaded, and no request has come.
        self._reactor.callLater(0, seal.end_if_broken)

    async def _ask_visible_senders(self, user_id: str) -> "Visibility | None":
        asked: tuple[str, list[Visibility] | None] = await self._ask(
            "get_interested_users",
            lambda done: self._router.find_visible_senders(user_id, done),
        )
        answers = asked[1]
        return answers[0] if answers else None

    async def _ask_recipients(self, senders: list[str]) -> "tuple[list[Visibility | None], bool]":
        asked: tuple[str, list[Visibility | None] | None] = await self._ask(
            "get_users_for_states",
            lambda done: self._router.find_recipients_of(senders, done),
        )
        outcome, answers = asked
        # After other outcomes the same answer would follow, or end the connection again.
        may_come_later = outcome in AWAY or outcome == "failed"
        return answers or [None] * len(senders), may_come_later

    async def _ask_room_verdict(self, room: "Room") -> "RoomVerdict | None":
        asked: tuple[str, RoomVerdict | None] = await self._ask(
            "on_create_room",
            lambda done: self._router.on_create_room(room, done),
        )
        return asked[1]

    async def _ask(
        self, callback: str, start: "Callable[[Done[T]], None]"
    ) -> "tuple[str, T | None]":
        """Passes a question of Synapse to the daemon, and counts it; returns its outcome and
        value. None: no verdict.

        A question that fails in part has a value nevertheless, and counts as a failure.
        """
        began = time.perf_counter()
        outcome, detail, value = await await_call(callback, start)
        if outcome == "memory":
            metrics.HITS.labels(callback).inc()
            return outcome, value
        metrics.requests_of(callback, outcome).inc()
        metrics.seconds_of(callback).observe(time.perf_counter() - began)
        if outcome == "malformed":
            logger.debug("%s: %s", callback, detail)
        self._connection.report(outcome, detail)
        return outcome, value

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

    def _start(self) -> None:
        self._reactor.addReader(CompletionReader(self._router))
        self._api.run_as_background_process("presence_router_events", self._run_connection)
        self._api.run_as_background_process(
            "presence_router_seed", seed_known_senders, self._api, self._router
        )

    async def _run_connection(self) -> None:
        """Connects to the daemon: the first event warns an operator who reads the log at the
        start, and Synapse may ask its first question only hours later."""
        if self._bells is not None:
            await self._bells.start()
            await self._connection.run_with_bells(self._bells)
            return
        if self._follower is not None:
            if await self._follower.writes_presence():
                self._api.run_as_background_process("presence_router_states", self._follower.seed)
            else:
                self._follower = None
        await self._connection.run(self._follower)
