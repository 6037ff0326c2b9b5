"""The shape that Synapse's storage must have, so that the module finds rooms in it.

None of it is part of the module API. Tests look at it for each supported version. `Rooms` looks
before it listens to Synapse, and so before the seal is closed, which has shapes of its own.
"""

import inspect
from typing import Any

# Functions of the main store, with the parameters that the module gives them.
_FUNCTIONS = (
    ("get_rooms_for_user", ("user_id",)),
    ("get_rooms_for_users", ("user_ids",)),
    ("get_users_in_room", ("room_id",)),
    ("get_local_users_in_room", ("room_id",)),
    ("get_partial_rooms", ()),
    ("get_events", ("event_ids",)),
)

# Functions of the cache of changed rooms, to which the module listens.
_CACHE = "_curr_state_delta_stream_cache"
_LISTENED_TO = (
    ("entity_has_changed", ("entity", "stream_pos")),
    ("all_entities_changed", ("stream_pos",)),
)


def find_deviations_of_rooms(hs: Any) -> list[str]:
    """Returns what is not as the module expects, for an operator. Changes nothing."""
    store = hs.get_datastores().main
    found = [deviation_of(store, name, parameters) for name, parameters in _FUNCTIONS]
    cache = getattr(store, _CACHE, None)
    if cache is None:
        found.append(f"there is no {type(store).__name__}.{_CACHE}")
    else:
        found += [deviation_of(cache, name, parameters) for name, parameters in _LISTENED_TO]
    pool = getattr(store, "db_pool", None)
    found.append(deviation_of(pool, "runInteraction", ("desc", "func")))
    if "db_autocommit" not in _parameters(getattr(pool, "runInteraction", None)):
        found.append("runInteraction does not take `db_autocommit`")
    if not hasattr(store, "database_engine"):
        found.append(f"there is no {type(store).__name__}.database_engine")
    try:
        from synapse.storage.database import make_in_list_sql_clause
    except ImportError:
        found.append("there is no synapse.storage.database.make_in_list_sql_clause")
    else:
        if _parameters(make_in_list_sql_clause)[:3] != ["database_engine", "column", "iterable"]:
            found.append("make_in_list_sql_clause takes other parameters")
    return [deviation for deviation in found if deviation]


def deviation_of(owner: Any, name: str, expected: tuple[str, ...]) -> str:
    """Returns how a function of an object differs from one that takes these parameters first. An
    empty text: in nothing."""
    kind = owner if isinstance(owner, type) else type(owner)
    what = f"{kind.__name__}.{name}"
    function = getattr(owner, name, None)
    if function is None:
        return f"there is no {what}"
    parameters = _parameters(function)
    # More parameters, with values of their own, do not matter.
    if tuple(parameters[: len(expected)]) != expected:
        return f"{what} takes ({', '.join(parameters)}), not ({', '.join(expected)})"
    return ""


def _parameters(function: Any) -> list[str]:
    if function is None:
        return []
    # Synapse's cached functions show the one that they wrap.
    return [name for name in inspect.signature(function).parameters if name != "self"]
