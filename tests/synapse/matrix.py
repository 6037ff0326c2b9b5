"""A Matrix client of the simplest kind: presence and /sync."""

import time
from collections.abc import Callable
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
        # What /sync said last of each user, and all that it ever said.
        self.sees: dict[str, Presence] = {}
        self.seen: list[tuple[str, Presence]] = []

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

    def get_presence(self, other: "User") -> requests.Response:
        """Asks for a presence by itself."""
        url = f"{self._url}/presence/{other.id}/status"
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

    def sync(self, timeout: float = 0) -> dict[str, Presence]:
        """Syncs once; answers the presences that came, by user. `timeout` in seconds."""
        query = self._query | {"timeout": str(int(timeout * 1000)), "set_presence": "offline"}
        if self._since is not None:
            query["since"] = self._since
        answer = self._session.get(f"{self._url}/sync", params=query, timeout=3 * POLL)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        self._since = body["next_batch"]
        events = body.get("presence", {}).get("events", [])
        came = [(event["sender"], event["content"]) for event in events]
        self.seen.extend(came)
        self.sees.update(came)
        return dict(came)

    def sync_again(self) -> dict[str, Presence]:
        """An initial sync; forgets what was seen."""
        self._since = None
        self.sees, self.seen = {}, []
        return self.sync()

    def poll(self) -> "Future[dict[str, Presence]]":
        """Starts one long-poll, which waits for what changes from now on."""
        self.sync()
        thread = ThreadPoolExecutor(1)
        future = thread.submit(self.sync, POLL)
        thread.shutdown(wait=False)
        return future

    def sync_until(self, enough: Callable[["User"], bool], timeout: float = 2 * POLL) -> None:
        """Syncs until it has seen what it must see."""
        end = time.monotonic() + timeout
        while not enough(self):
            assert time.monotonic() < end, f"{self.id} saw only {self.seen}"
            self.sync(min(5, timeout))

    def sync_until_status(self, sender: "User", status_msg: str) -> None:
        """Syncs until a user has shown this status message."""
        self.sync_until(lambda _: (sender.id, status_msg) in self.statuses())

    def statuses(self) -> list[tuple[str, str | None]]:
        """All status messages ever seen, with their users, in order."""
        return [(sender, content.get("status_msg")) for sender, content in self.seen]

    def senders(self) -> set[str]:
        """Everybody of whom anything was ever seen."""
        return {sender for sender, _ in self.seen}

    def create_room(self) -> str:
        """Creates a room that anybody may join."""
        answer = self._session.post(
            f"{self._url}/createRoom", json={"preset": "public_chat"}, params=self._query
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["room_id"])

    def join(self, room_id: str) -> None:
        """Joins a room."""
        answer = self._session.post(f"{self._url}/join/{room_id}", json={}, params=self._query)
        assert answer.status_code == 200, answer.text

    def ask_for_room(self, **content: Any) -> requests.Response:
        """Asks for a room, whatever becomes of it."""
        return self._session.post(
            f"{self._url}/createRoom", json=content, params=self._query, timeout=2 * POLL
        )

    def room_state(self, room_id: str, event_type: str) -> requests.Response:
        """A state event without a state key, as the user sees it."""
        url = f"{self._url}/rooms/{room_id}/state/{event_type}"
        return self._session.get(url, params=self._query, timeout=2 * POLL)


def set_until_seen(sender: User, recipient: User, status_msg: str) -> None:
    """Changes a presence until another user sees it; it may be lost while the daemon is tried."""
    rounds = iter(range(1000))

    def seen() -> bool:
        text = f"{status_msg} {next(rounds)}"
        sender.set_presence("online", text)
        recipient.sync(0.5)
        return (sender.id, text) in recipient.statuses()

    until(seen, f"{recipient.id} sees {sender.id} again")
