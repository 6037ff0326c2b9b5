"""An application service that takes presence, and notes what it is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests
from daemon import LONG, SERVER, until
from matrix import Presence, User, session


class Service:
    """One application service: its registration, and the server that Synapse calls."""

    def __init__(self, name: str, sender: str, **namespaces: str) -> None:
        self.name = name
        self.sender = sender
        # The presences that came, in order: the user, and the presence.
        self.came: list[tuple[str, Presence]] = []
        self._namespaces = namespaces
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def registration(self) -> dict[str, Any]:
        """The file with which Synapse knows it."""
        return {
            "id": self.name,
            "url": f"http://127.0.0.1:{self._server.server_address[1]}",
            "as_token": self._token,
            "hs_token": f"hs-token-of-{self.name}",
            "sender_localpart": self.sender,
            "rate_limited": False,
            "namespaces": {
                kind: [{"regex": regex, "exclusive": False}]
                for kind, regex in self._namespaces.items()
            },
            # All supported versions know this name of the setting.
            "de.sorunome.msc2409.push_ephemeral": True,
        }

    def register(self, url: str, name: str) -> User:
        """Registers a user of its own, for whom it acts."""
        service = session(self._token)
        body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
        path = f"{url}/_matrix/client/v3/register"
        answer: requests.Response = service.post(path, json=body, timeout=LONG)
        answer.raise_for_status()
        user_id = f"@{name}:{SERVER}"
        return User(url, user_id, service, acts_for=user_id)

    def statuses(self, user: User) -> list[str | None]:
        """The status messages that came of a user."""
        return [content.get("status_msg") for sender, content in self.came if sender == user.id]

    def wait_for(self, user: User, status_msg: str | None, timeout: float = LONG) -> None:
        """Waits until a status message came, or with None, a presence without one."""
        what = f"{status_msg!r} of {user.id} comes to {self.name}, to which came {self.came}"
        until(lambda: status_msg in self.statuses(user), what, timeout)

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def _token(self) -> str:
        return f"as-token-of-{self.name}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for event in body.get("de.sorunome.msc2409.ephemeral", []):
                    if event["type"] == "m.presence":
                        came.append((event["sender"], event["content"]))
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        return Handler
