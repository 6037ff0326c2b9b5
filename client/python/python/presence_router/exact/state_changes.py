"""Hears of each change of a room's state, in every process, at the moment when Synapse notes it.

Synapse notes such changes in a cache of positions, `_curr_state_delta_stream_cache`. Comparing
these positions with that of the events stream is not safe in a worker: there Synapse also enters
positions of the stream of cache invalidations, which is another sequence. If that one is ahead, a
room counts as changed for ever, and the position of its next change is not entered. So the module
listens to what the cache is told.
"""

from collections.abc import Callable
from typing import Any


LISTENING = "entity_has_changed", "all_entities_changed"
"""The functions of the cache that the module replaces."""


def state_cache_of(store: Any) -> Any:
    """Returns the cache of the positions of changes."""
    return store._curr_state_delta_stream_cache


def listen_to_state_changes(
    store: Any, room_changed: Callable[[str], None], all_changed: Callable[[], None]
) -> None:
    """Calls a function with the id of each room whose state changes, and another one if any room
    may have changed. Both run in the reactor's thread, and must not raise.

    A worker hears of a change twice. The second time, Synapse has dropped what it remembered
    about the members of the room; in other processes it does so in the same turn.
    """
    cache = state_cache_of(store)
    note, note_all = cache.entity_has_changed, cache.all_entities_changed

    def entity_has_changed(entity: str, stream_pos: int) -> None:
        note(entity, stream_pos)
        room_changed(entity)

    def all_entities_changed(stream_pos: int) -> None:
        note_all(stream_pos)
        all_changed()

    cache.entity_has_changed = entity_has_changed
    cache.all_entities_changed = all_entities_changed
