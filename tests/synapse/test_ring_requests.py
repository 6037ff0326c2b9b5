"""Only processes of the same Synapse can ask for a ring of the bell for everything."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fake_api import state
from presence_router.bell_names import request_name
from presence_router.exact.requests import Requests
from synapse.module_api import UserPresenceState

pytestmark = pytest.mark.smoke

NAME = request_name("test")


class Worker:
    """A process with a key, and the presence that it sets."""

    def __init__(self, key: bytes = b"key", server_name: str = "test") -> None:
        self.set: list[UserPresenceState] = []
        hs = SimpleNamespace(
            hostname=server_name,
            config=SimpleNamespace(key=SimpleNamespace(macaroon_secret_key=key)),
            get_presence_handler=lambda: self,
        )
        self.requests = Requests(hs)

    async def set_state(
        self, user: Any, _device: None, content: dict[str, str], force_notify: bool
    ) -> None:
        assert force_notify
        self.set.append(state(user.to_string(), content["status_msg"], content["presence"]))

    def ask(self) -> UserPresenceState:
        asyncio.run(self.requests.send())
        return self.set[-1]


def test_a_request_rings_once() -> None:
    worker, writer = Worker(), Worker().requests
    first, second = worker.ask(), worker.ask()
    assert not writer.are_among([state("@ann:test")])
    assert writer.are_among([state("@ann:test"), first])
    # A service could read it, and set it again.
    assert not writer.are_among([first])
    assert writer.are_among([first, second])


def test_what_no_process_of_this_synapse_wrote_does_not_ring() -> None:
    writer = Worker().requests
    text = Worker().ask().status_msg
    assert text is not None
    number, code = text.split(" ")
    made_up: list[Any] = [
        None, "", "12.5", number, f"{number} ", f"{number[:-1]}x {code}", f"{number} {code} ",
        f"{number} \u00e9", ["a list"], Worker(b"another").ask().status_msg,
    ]  # fmt: skip
    assert not writer.are_among([state(NAME, one) for one in made_up])
    assert not writer.are_among([Worker(server_name="elsewhere").ask()])
    assert not writer.are_among([state("@ann:test", text)])
    assert writer.are_among([state(NAME, text)])
