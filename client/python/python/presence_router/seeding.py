"""Reads the known senders from Synapse's database: Synapse needs them as an explicit list."""

import itertools
import logging
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi

from .bell_names import bells_of

if TYPE_CHECKING:
    from ._native import Router

logger = logging.getLogger("presence_router")

# Seconds between attempts; the last value repeats.
_PAUSES = (1, 2, 5, 10, 30, 60, 300)


async def seed_known_senders(api: ModuleApi, router: "Router") -> None:
    """Makes all users with a presence known senders, and tries until that works."""

    bells = bells_of(api.server_name)

    def read_senders(txn: Any) -> None:
        txn.execute("SELECT DISTINCT user_id FROM presence_stream")
        # In this thread of the database pool, not in the reactor's.
        while rows := txn.fetchmany(10_000):
            # Bells stay in the table when the operator goes back to `local: add`.
            router.add_known_users([user_id for (user_id,) in rows if user_id not in bells])

    pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
    for tries in itertools.count(1):
        try:
            # The module API has no list of users with a presence; this table and this
            # column are older than Synapse's modules.
            await api.run_db_interaction("presence_router_seed", read_senders)
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
            _finish_seeding(router)
        await api.sleep(next(pauses))
    while not _finish_seeding(router):
        await api.sleep(next(pauses))
    if tries > 1:
        logger.warning("The users with a presence were read at attempt %d", tries)


def _finish_seeding(router: "Router") -> bool:
    """Marks the known senders as complete. False: the native half cannot start its threads,
    and may be able to later; its other calls log the reason."""
    try:
        router.finish_seeding()
    except Exception:
        logger.debug("Cannot mark the known senders as complete", exc_info=True)
        return False
    return True
