"""A Matrix client of the simplest kind: presence, rooms, /sync and its older relatives."""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import requests
from daemon import until

# Of a long-poll, in seconds. Nothing that is meant to arrive takes nearly as long.
POLL = 30

Presence = dict[str, Any]


def session(token: str) -> requests.Session:
    """A connection that is kept, of one who has an access token."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return session


class User:
    """A user with a session. Syncs do not set its presence unless told to."""

    def __init__(
        self, url: str, user_id: str, session: requests.Session, acts_for: str | None = None
    ) -> None:
        self.id = user_id
        self._url = f"{url}/_matrix/client/v3"
        # Carries the access token. That of an application service acts for any of its users.
        self._session = session
        self._query = {} if acts_for is None else {"user_id": acts_for}
        self._since: str | None = None
        # The filter of each /sync.
        self.filter: dict[str, Any] | None = None
        # What Synapse said last of each user, and all that it ever said.
        self.sees: dict[str, Presence] = {}
        self.seen: list[tuple[str, Presence]] = []
        # All events that came from joined rooms.
        self.events: list[dict[str, Any]] = []

    @property
    def token(self) -> str:
        """The access token."""
        return str(self._session.headers["Authorization"]).removeprefix("Bearer ")

    def at(self, url: str) -> "User":
        """The same user, who calls another process of the homeserver, and has seen nothing."""
        return User(url, self.id, self._session, self._query.get("user_id"))

    def set_presence(self, presence: str, status_msg: str | None = None) -> float:
        """Sets the own presence; answers how long it took, in seconds."""
        body = {"presence": presence} | ({} if status_msg is None else {"status_msg": status_msg})
        began = time.monotonic()
        answer = self._session.put(
            f"{self._url}/presence/{self.id}/status",
            json=body,
            params=self._query,
            timeout=2 * POLL,
        )
        assert answer.status_code == 200, answer.text
        return time.monotonic() - began

    def get_presence(self, other: "User | str") -> requests.Response:
        """Asks for a presence by itself."""
        user_id = other if isinstance(other, str) else other.id
        url = f"{self._url}/presence/{user_id}/status"
        return self._session.get(url, params=self._query, timeout=2 * POLL)

    def sliding_sync(self) -> dict[str, Any]:
        """Syncs once by the newer way, from the beginning, with all that there is to ask for."""
        url = f"{self._url.removesuffix('v3')}unstable/org.matrix.simplified_msc3575/sync"
        lists = {"all": {"ranges": [[0, 99]], "required_state": [["*", "*"]], "timeline_limit": 9}}
        names = ("to_device", "e2ee", "account_data", "receipts", "typing", "threads", "presence")
        extensions = {name: {"enabled": True} for name in names}
        body = {"lists": lists, "extensions": extensions}
        answer = self._session.post(url, params=self._query, json=body, timeout=2 * POLL)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sync(self, timeout: float = 0, full_state: bool = False) -> dict[str, Presence]:
        """Syncs once; answers the presences that came, by user. `timeout` in seconds."""
        query = {"timeout": str(int(timeout * 1000)), "set_presence": "offline"}
        if self._since is not None:
            query["since"] = self._since
        if self.filter is not None:
            query["filter"] = json.dumps(self.filter)
        if full_state:
            query["full_state"] = "true"
        body = self._call("GET", "/sync", query)
        self._since = body["next_batch"]
        for room in body.get("rooms", {}).get("join", {}).values():
            for part in ("state", "timeline"):
                self.events.extend(room.get(part, {}).get("events", []))
        return self._note(body.get("presence", {}).get("events", []))

    def follow_events(self, timeout: float = 0, room_id: str | None = None) -> dict[str, Presence]:
        """Calls the older /events once, from where the last call or /sync ended; answers the
        presences that came, by user. `timeout` in seconds; of one room, also by peeking."""
        # Without a time, /events waits for half a minute.
        query = {"timeout": str(int(timeout * 1000))}
        if room_id is not None:
            query["room_id"] = room_id
        if self._since is not None:
            query["from"] = self._since
        body = self._call("GET", "/events", query)
        self._since = body["end"]
        self.events.extend(event for event in body["chunk"] if "event_id" in event)
        return self._note(event for event in body["chunk"] if event["type"] == "m.presence")

    def initial_sync_of_room(self, room_id: str) -> dict[str, Presence]:
        """Calls the older initialSync of one room; answers the presences that came."""
        return self._note(self._call("GET", f"/rooms/{room_id}/initialSync")["presence"])

    def initial_sync_of_all(self, limit: int) -> dict[str, Presence]:
        """Calls the older initialSync of all rooms; answers the presences that came. Synapse
        remembers its answer for a while, for each limit."""
        return self._note(self._call("GET", "/initialSync", {"limit": str(limit)})["presence"])

    def forget(self) -> None:
        """Forgets all that was seen, but not where the last /sync ended."""
        self.sees, self.seen, self.events = {}, [], []

    def make_token_old(self) -> None:
        """Makes the token of the last /sync one from before all changes of presence that Synapse
        remembers."""
        assert self._since is not None
        rooms, _, rest = self._since.split("_", 2)
        self._since = f"{rooms}_0_{rest}"

    def sync_again(self) -> dict[str, Presence]:
        """An initial sync; forgets what was seen."""
        self._since = None
        self.forget()
        return self.sync()

    def poll(self) -> "Future[dict[str, Presence]]":
        """Starts one long-poll, which waits for what changes from now on."""
        self.sync()
        thread = ThreadPoolExecutor(1)
        future = thread.submit(self.sync, POLL)
        thread.shutdown(wait=False)
        return future

    def sync_until(
        self,
        enough: Callable[["User"], bool],
        timeout: float = 2 * POLL,
        by: Callable[[float], object] | None = None,
    ) -> None:
        """Syncs, or makes another call, until it has seen what it must see."""
        end = time.monotonic() + timeout
        while not enough(self):
            assert time.monotonic() < end, f"{self.id} saw only {self.seen}"
            (by or self.sync)(min(5, timeout))

    def sync_until_status(self, sender: "User", status_msg: str) -> None:
        """Syncs until a user has shown this status message."""
        self.sync_until(lambda _: (sender.id, status_msg) in self.statuses())

    def statuses(self) -> list[tuple[str, str | None]]:
        """All status messages ever seen, with their users, in order."""
        return [(sender, content.get("status_msg")) for sender, content in self.seen]

    def senders(self) -> set[str]:
        """Everybody of whom anything was ever seen."""
        return {sender for sender, _ in self.seen}

    def create_room(self, **content: Any) -> str:
        """Creates a room that anybody may join, unless told otherwise."""
        body = {"preset": "public_chat"} | content
        return str(self._call("POST", "/createRoom", body=body)["room_id"])

    def join(self, room_id: str, via: str | None = None) -> None:
        """Joins a room, by way of a server that is in it."""
        self._call("POST", f"/join/{room_id}", _via(via), {})

    def knock(self, room_id: str, via: str | None = None) -> None:
        """Asks to be let into a room."""
        self._call("POST", f"/knock/{room_id}", _via(via), {})

    def leave(self, room_id: str) -> None:
        """Leaves a room."""
        self._call("POST", f"/rooms/{room_id}/leave", body={})

    def invite(self, room_id: str, other: "User") -> None:
        """Invites a user into a room."""
        self._call("POST", f"/rooms/{room_id}/invite", body={"user_id": other.id})

    def send(self, room_id: str, text: str) -> str:
        """Sends a message; answers the event's id."""
        body = {"msgtype": "m.text", "body": text}
        path = f"/rooms/{room_id}/send/m.room.message/{time.monotonic_ns()}"
        return str(self._call("PUT", path, body=body)["event_id"])

    def set_state(self, room_id: str, event_type: str, content: dict[str, Any]) -> None:
        """Sets a state event without a state key."""
        self._call("PUT", f"/rooms/{room_id}/state/{event_type}", body=content)

    def set_display_name(self, name: str) -> None:
        """Changes the own display name, and so the own membership of each room."""
        self._call("PUT", f"/profile/{self.id}/displayname", body={"displayname": name})

    def ask_for_room(self, **content: Any) -> requests.Response:
        """Asks for a room, whatever becomes of it."""
        return self._session.post(
            f"{self._url}/createRoom", json=content, params=self._query, timeout=2 * POLL
        )

    def room_state(self, room_id: str, event_type: str) -> requests.Response:
        """A state event without a state key, as the user sees it."""
        url = f"{self._url}/rooms/{room_id}/state/{event_type}"
        return self._session.get(url, params=self._query, timeout=2 * POLL)

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Makes a request that must succeed; answers the body."""
        answer = self._session.request(
            method,
            f"{self._url}{path}",
            params=self._query | (query or {}),
            json=body,
            timeout=3 * POLL,
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def _note(self, events: Iterable[dict[str, Any]]) -> dict[str, Presence]:
        # Only /sync has the sender outside the content.
        came = [
            (event.get("sender") or event["content"]["user_id"], event["content"])
            for event in events
        ]
        self.seen.extend(came)
        self.sees.update(came)
        return dict(came)


def _via(server: str | None) -> dict[str, str]:
    # By its old and its present name.
    return {} if server is None else {"server_name": server, "via": server}


def set_until_seen(sender: User, recipient: User, status_msg: str) -> None:
    """Changes a presence until another user sees it; it may be lost while the daemon is tried."""
    rounds = iter(range(1000))

    def seen() -> bool:
        text = f"{status_msg} {next(rounds)}"
        sender.set_presence("online", text)
        recipient.sync(0.5)
        return (sender.id, text) in recipient.statuses()

    until(seen, f"{recipient.id} sees {sender.id} again")
