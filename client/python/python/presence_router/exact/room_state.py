"""Reads what the state of rooms says from Synapse's database.

Everything comes from the current state as the database has it. Nothing waits for the full state
of a room, and nothing comes from the statistics of rooms, which lag and can be switched off.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

_ENCRYPTION = "m.room.encryption"
_JOIN_RULES = "m.room.join_rules"
_HISTORY = "m.room.history_visibility"
_HINT = "m.room.presence_sharing"
_CHILD = "m.space.child"


@dataclass(frozen=True)
class RoomState:
    """What the state of a room says. None: unknown; as a hint: the room has none."""

    encrypted: bool | None
    join_rule: str | None
    history_visibility: str | None
    presence_sharing: str | None


class StateReader:
    """Reads the state of rooms."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def states(self, room_ids: Collection[str]) -> dict[str, RoomState]:
        """Returns what the state of some rooms says, without rooms of which it is unknown if
        they have a hint."""
        rows = await self._select(
            "room_id, type, event_id",
            {"room_id": room_ids, "type": (_ENCRYPTION, _JOIN_RULES, _HISTORY, _HINT)},
            "state_key = ''",
        )
        events = await self._store.get_events([event_id for _, _, event_id in rows])
        found: dict[str, dict[str, Any]] = {room_id: {} for room_id in room_ids}
        for room_id, kind, event_id in rows:
            # None: Synapse has the event and cannot read it.
            event = events.get(event_id)
            found[room_id][kind] = None if event is None else event.content
        return {
            room_id: _room_state(contents)
            for room_id, contents in found.items()
            if _HINT not in contents or contents[_HINT] is not None
        }

    async def children(self, space_id: str) -> list[str] | None:
        """Returns the rooms that a space lists as children. None: this homeserver is not in the
        space, or cannot read an event of it."""
        if not await self._store.get_local_users_in_room(space_id):
            return None
        rows = await self._select(
            "state_key, event_id", {"room_id": (space_id,), "type": (_CHILD,)}
        )
        events = await self._store.get_events([event_id for _, event_id in rows])
        children = []
        for child, event_id in rows:
            event = events.get(event_id)
            if event is None:
                return None
            via = event.content.get("via")
            # Synapse may freeze the content of events, and then lists are tuples.
            if isinstance(via, (list, tuple)) and via:
                children.append(child)
        return children

    async def member_counts(self, room_ids: Collection[str]) -> dict[str, int]:
        """Returns the numbers of joined members of some rooms."""
        rows = await self._select(
            "room_id, COUNT(*)",
            {"room_id": room_ids},
            "type = 'm.room.member' AND membership = 'join' GROUP BY room_id",
        )
        return dict.fromkeys(room_ids, 0) | dict(rows)

    async def _select(
        self, columns: str, lists: Mapping[str, Collection[str]], rest: str = ""
    ) -> list[tuple[Any, ...]]:
        """Selects from the current state the rows whose columns are in lists."""
        # Not part of the module API, and not with the other imports, which serve `local: add` as
        # well.
        from synapse.storage.database import make_in_list_sql_clause

        clauses, values = [], []
        for column, some in lists.items():
            clause, arguments = make_in_list_sql_clause(self._store.database_engine, column, some)
            clauses.append(clause)
            values.extend(arguments)
        if rest:
            clauses.append(rest)
        sql = f"SELECT {columns} FROM current_state_events WHERE {' AND '.join(clauses)}"

        def select(txn: Any) -> list[tuple[Any, ...]]:
            txn.execute(sql, values)
            rows: list[tuple[Any, ...]] = txn.fetchall()
            return rows

        selected: list[tuple[Any, ...]] = await self._store.db_pool.runInteraction(
            "presence_router_rooms", select, db_autocommit=True
        )
        return selected


def _room_state(contents: Mapping[str, Any]) -> RoomState:
    """Reads the contents of a room's events, by type. A content of None cannot be read."""
    algorithm = _text(contents, _ENCRYPTION, "algorithm", absent="")
    return RoomState(
        None if algorithm is None else _ENCRYPTION in contents,
        _text(contents, _JOIN_RULES, "join_rule", absent="invite"),
        _text(contents, _HISTORY, "history_visibility", absent="shared"),
        _text(contents, _HINT, "presence_sharing", absent=None),
    )


def _text(contents: Mapping[str, Any], kind: str, key: str, absent: str | None) -> str | None:
    """Returns a text in an event's content; another value if the room has no such event. None:
    there is no valid text."""
    if kind not in contents:
        return absent
    content = contents[kind]
    value = None if content is None else content.get(key)
    if not isinstance(value, str):
        return None
    try:
        # JSON may contain halves of surrogate pairs, which the native half does not take.
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
