"""The ways by which Synapse sends presence to a client: functions that make it do so, and leave
with the viewer what came.

In all of them stock Synapse shows the presence of everybody who shares the room with the viewer,
and in some also that of the stranger. The viewer has synced before.
"""

from collections.abc import Callable
from typing import Any

from exact import Cast
from matrix import User

Path = Callable[[Cast], None]

# Members are sent when they first say something, and at first only the last event is.
LAZY = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}


def an_initial_sync(cast: Cast) -> None:
    cast.viewer.sync_again()


def incremental_syncs(cast: Cast) -> None:
    cast.change("incremental")
    cast.wait()


def a_sync_that_waits(cast: Cast) -> None:
    waiting = cast.viewer.poll()
    cast.change("waited for")
    waiting.result()
    cast.wait()


def a_sync_with_full_state(cast: Cast) -> None:
    cast.viewer.sync(full_state=True)


def a_sync_with_an_old_token(cast: Cast) -> None:
    cast.viewer.make_token_old()
    cast.viewer.sync()


def the_first_message_of_a_member_who_is_loaded_lazily(cast: Cast) -> None:
    viewer = cast.viewer
    viewer.filter = LAZY
    # The last event of the room is then one's own.
    viewer.send(cast.room_id, "hello")
    viewer.sync_again()
    viewer.forget()
    for sender in cast.senders:
        sync_until_event(viewer, sender.send(cast.room_id, "hello, too"))


def a_changed_display_name(cast: Cast) -> None:
    for sender in cast.senders:
        sender.set_display_name("other name")
        sync_until_member(cast.viewer, sender, "join")


def members_who_leave_and_rejoin(cast: Cast) -> None:
    viewer = cast.viewer
    for sender in cast.senders:
        sender.leave(cast.room_id)
        sync_until_member(viewer, sender, "leave")
    viewer.forget()
    for sender in cast.senders:
        # Only the viewer's server is still in the room.
        sender.join(cast.room_id, server_of(viewer))
        sync_until_member(viewer, sender, "join")


def a_viewer_who_leaves_and_rejoins(cast: Cast) -> None:
    viewer = cast.viewer
    viewer.leave(cast.room_id)
    viewer.sync()
    viewer.forget()
    viewer.join(cast.room_id, cast.via)
    sync_until_member(viewer, viewer, "join")


def an_invite_that_nobody_accepts(cast: Cast) -> None:
    """Also of the stranger."""
    viewer = cast.viewer
    room_id = viewer.create_room(name="trap")
    viewer.sync()
    viewer.forget()
    for user in (cast.stranger, *cast.senders):
        viewer.invite(room_id, user)
        sync_until_member(viewer, user, "invite")


def a_knock(cast: Cast) -> None:
    """Also of the stranger."""
    viewer = cast.viewer
    knocking = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = viewer.create_room(name="door", initial_state=[knocking])
    viewer.sync()
    viewer.forget()
    for user in (cast.stranger, *cast.senders):
        user.knock(room_id, server_of(viewer))
        sync_until_member(viewer, user, "knock")


def events_of_changes(cast: Cast) -> None:
    cast.change("by events")
    cast.viewer.sync_until(lambda _: cast.is_seen(), by=cast.viewer.follow_events)


def events_of_joins(cast: Cast) -> None:
    viewer = cast.viewer
    for sender in (cast.denied, cast.hidden):
        sender.leave(cast.room_id)
        follow_until_member(viewer, sender, "leave")
    viewer.leave(cast.room_id)
    follow_until_member(viewer, viewer, "leave")
    viewer.forget()
    # Their own join brings those who are there, the joins of others bring these.
    viewer.join(cast.room_id, cast.via)
    follow_until_member(viewer, viewer, "join")
    for sender in (cast.denied, cast.hidden):
        sender.join(cast.room_id, cast.via)
        follow_until_member(viewer, sender, "join")


def the_initial_sync_of_a_room(cast: Cast) -> None:
    cast.viewer.initial_sync_of_room(cast.room_id)


def the_initial_sync_of_all_rooms(cast: Cast) -> None:
    cast.viewer.initial_sync_of_all(10)


BY_SYNC: list[Path] = [
    an_initial_sync,
    incremental_syncs,
    a_sync_that_waits,
    a_sync_with_full_state,
    a_sync_with_an_old_token,
    the_first_message_of_a_member_who_is_loaded_lazily,
    a_changed_display_name,
    members_who_leave_and_rejoin,
    a_viewer_who_leaves_and_rejoins,
    an_invite_that_nobody_accepts,
    a_knock,
]

# Those for which the viewer need not share a room with the cast.
WITHOUT_ROOMS: list[Path] = [
    an_initial_sync,
    incremental_syncs,
    a_sync_that_waits,
    a_sync_with_full_state,
    a_sync_with_an_old_token,
    an_invite_that_nobody_accepts,
    a_knock,
]

# Those for which the viewer need not be in the room.
BY_PEEKING: list[Path] = [
    events_of_changes,
    the_initial_sync_of_a_room,
    the_initial_sync_of_all_rooms,
]

BY_OLDER_CALLS: list[Path] = [
    events_of_changes,
    events_of_joins,
    the_initial_sync_of_a_room,
    the_initial_sync_of_all_rooms,
]


def name_of(path: Any) -> str:
    """The name of a path, for the name of a test."""
    return str(path.__name__)


def server_of(user: User) -> str:
    """The server name of a user."""
    return user.id.partition(":")[2]


def sync_until_event(viewer: User, event_id: str) -> None:
    """Syncs until an event of a room has come."""
    viewer.sync_until(lambda _: any(event["event_id"] == event_id for event in viewer.events))


def sync_until_member(viewer: User, user: User, membership: str) -> None:
    """Syncs until a membership of a user has come."""
    viewer.sync_until(lambda _: has_member(viewer, user, membership))


def has_member(viewer: User, user: User, membership: str) -> bool:
    """Whether a membership of a user has come."""
    return any(
        (event["type"], event.get("state_key")) == ("m.room.member", user.id)
        and event["content"]["membership"] == membership
        for event in viewer.events
    )


def follow_until_member(viewer: User, user: User, membership: str) -> None:
    """Calls /events until a membership of a user has come."""
    viewer.sync_until(lambda _: has_member(viewer, user, membership), by=viewer.follow_events)
