"""The module's metrics.

They are in the default registry, which Synapse serves with its own metrics.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

REACHABLE = Gauge(
    "presence_router_reachable",
    "1 if presence-router answered this process's last question in any way, 0 if it did not",
)

REQUESTS = Counter(
    "presence_router_requests",
    "Questions of Synapse to presence-router, by callback and outcome: ok, malformed, "
    "unreachable, deadline, refused, unusable, failed",
    ["callback", "outcome"],
)

SECONDS = Histogram(
    "presence_router_request_seconds",
    "Time that Synapse waited for presence-router, by callback",
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
    "Changes of visibility that this process followed (gained, reset, outage), presence that it "
    "sent again for them (senders, recipients), and failures to send (failed)",
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
