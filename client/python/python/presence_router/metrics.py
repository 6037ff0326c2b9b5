"""The module's metrics.

They are in the default registry, which Synapse serves with its own metrics.
"""

import logging
from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger("presence_router")

REACHABLE = Gauge(
    "presence_router_reachable",
    "1 if this process is connected to presence-router, which answered the last question in any "
    "way; 0 if not, or if an event of the connection was lost",
)

HITS = Counter(
    "presence_router_hits",
    "Questions of Synapse that were answered from memory, by callback",
    ["callback"],
)

# Looking up a label takes a lock.
STATES_HITS = HITS.labels("get_users_for_states")
INTEREST_HITS = HITS.labels("get_interested_users")

REQUESTS = Counter(
    "presence_router_requests",
    "Questions of Synapse that went to presence-router, by callback and outcome: ok, malformed, "
    "unreachable, deadline, refused, unusable, failed",
    ["callback", "outcome"],
)

SECONDS = Histogram(
    "presence_router_request_seconds",
    "Time that Synapse waited for presence-router, by callback; without answers from memory",
    ["callback"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

ALL_USERS = Counter(
    "presence_router_all_users",
    "Syncs of users who may see everyone, by step: promised (the module answered that the user "
    "gets everybody), kept (Synapse then asked for the states and got them)",
    ["step"],
)

ROOMS = Counter(
    "presence_router_rooms",
    "New rooms, by decision: unchanged, added (with additional state), denied; without a verdict "
    "of presence-router: let (created unchanged), denied_without_verdict",
    ["what"],
)

UNSENT = Counter(
    "presence_router_unsent_states",
    "Presence updates of local users that were not sent to some servers of their audience, because "
    "neither the policy nor `destinations` names these servers",
)

FOLLOWED = Counter(
    "presence_router_followed",
    "Changes of visibility that this process followed (gained, reset, outage), senders who "
    "appeared (new), presence that it sent again for them (senders, recipients), and failures to "
    "send (failed); if the policy alone decides, how often it told devices that they see other "
    "users than before (ring), or may do so (everything)",
    ["what"],
)


@cache
def requests_of(callback: str, outcome: str) -> Counter:
    """Returns the counter of these labels. Looking it up in `REQUESTS` takes a lock."""
    return REQUESTS.labels(callback, outcome)


@cache
def seconds_of(callback: str) -> Histogram:
    """Returns the histogram of this label."""
    return SECONDS.labels(callback)


_CACHE_COUNTERS = {
    "hits": "Look-ups of a sender or recipient that memory answered",
    "misses": "Look-ups that memory could not answer",
    "stale": "Look-ups that memory answered while there was no connection to presence-router",
    "ended": "Answers that ended because of a change, a refusal or another history",
    "errors": "Questions of look-ups that presence-router did not answer",
    "evictions": "Answers that were dropped for lack of memory",
}

_CACHE_GAUGES = {
    "bytes": "Bytes of the answers in memory",
    "entries": "Number of the answers in memory",
}


class _CacheCollector(Collector):
    """Reads the figures of every router of this process, at the moment they are asked for.

    There is one, unless Synapse loads the module twice.
    """

    def __init__(self) -> None:
        self._sources: list[Callable[[], dict[str, int]]] = []

    def add(self, source: Callable[[], dict[str, int]]) -> None:
        """Adds the figures of a router."""
        self._sources.append(source)

    def remove(self, source: Callable[[], dict[str, int]]) -> None:
        """Removes the figures of a router that ends, because reading them would start it
        again."""
        self._sources = [one for one in self._sources if one != source]

    def collect(self) -> Iterator[Metric]:
        """Returns the sums of all routers. Never raises: Synapse's own metrics would be lost."""
        totals: dict[str, int] = {}
        for source in self._sources:
            try:
                for name, value in source().items():
                    totals[name] = totals.get(name, 0) + value
            except Exception:
                logger.debug("Cannot read the figures of the memory for answers", exc_info=True)
        for name, meaning in _CACHE_COUNTERS.items():
            yield CounterMetricFamily(
                f"presence_router_cache_{name}", meaning, value=totals.get(name, 0)
            )
        for name, meaning in _CACHE_GAUGES.items():
            yield GaugeMetricFamily(
                f"presence_router_cache_{name}", meaning, value=totals.get(name, 0)
            )


CACHES = _CacheCollector()
REGISTRY.register(CACHES)


class _SealCollector(Collector):
    """Looks at the seal of this process, at the moment it is asked for.

    Without `local: exact` there is no seal and no metric.
    """

    def __init__(self) -> None:
        self._sources: list[Callable[[], dict[str, bool]]] = []

    def add(self, source: Callable[[], dict[str, bool]]) -> None:
        """Adds a seal, by the function that returns for each part if it is in place."""
        self._sources.append(source)

    def remove(self, source: Callable[[], dict[str, bool]]) -> None:
        """Removes a seal."""
        self._sources = [one for one in self._sources if one != source]

    def collect(self) -> Iterator[Metric]:
        """Returns 1 for each part that is in place in all seals, and 0 for any other. Never
        raises: Synapse's own metrics would be lost."""
        if not self._sources:
            return
        parts: dict[str, bool] = {}
        for source in self._sources:
            try:
                for part, is_in_place in source().items():
                    parts[part] = is_in_place and parts.get(part, True)
            except Exception:
                logger.warning("Cannot look at the seal", exc_info=True)
                parts["unknown"] = False
        family = GaugeMetricFamily(
            "presence_router_sealed",
            "1 if this part of Synapse still is what `local: exact` put in its place; 0 if not, so "
            "that presence may be shown around the policy",
            labels=["part"],
        )
        for part, is_in_place in sorted(parts.items()):
            family.add_metric([part], int(is_in_place))
        yield family


SEALS = _SealCollector()
REGISTRY.register(SEALS)
